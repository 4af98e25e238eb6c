//! Walks over the fields of a protobuf message without decoding it.
//!
//! In: a message as received. Out: its fields. Invariant: nothing is allocated. Two bytes on the wire
//! can become hundreds in memory (an empty attribute), so repeated parts are counted and chosen
//! before they are decoded.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// A message is not protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl From<prost::DecodeError> for Malformed {
    fn from(_: prost::DecodeError) -> Self {
        Self
    }
}

/// A field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub number: u32,
    /// With its key, as in the message.
    pub whole: &'a [u8],
    /// What it contains, if it is text, bytes or a message.
    pub content: Option<&'a [u8]>,
}

/// The fields of a message, until the first error.
pub(super) struct Fields<'a>(&'a [u8]);

/// The fields of a message.
pub(super) fn fields(message: &[u8]) -> Fields<'_> {
    Fields(message)
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Result<Field<'a>, Malformed> {
        let before = self.0;
        let (number, wire) = decode_key(&mut self.0)?;
        let mut content = None;
        if wire == WireType::LengthDelimited {
            let length = decode_varint(&mut self.0)?;
            let length = usize::try_from(length).map_err(|_| Malformed)?;
            let (inside, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
            (content, self.0) = (Some(inside), rest);
        } else {
            skip_field(wire, number, &mut self.0, DecodeContext::default())?;
        }
        Ok(Field {
            number,
            whole: &before[..before.len() - self.0.len()],
            content,
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.0 = &[];
        }
        Some(read)
    }
}

/// Calls `each` with the content of every field with this number.
pub(super) fn each<'a>(
    message: &'a [u8],
    number: u32,
    mut each: impl FnMut(&'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    for field in fields(message) {
        let field = field?;
        if let Some(content) = field.content.filter(|_| field.number == number) {
            each(content)?;
        }
    }
    Ok(())
}

/// The content of the last field with this number.
pub(super) fn last(message: &[u8], number: u32) -> Result<Option<&[u8]>, Malformed> {
    let mut found = None;
    each(message, number, |content| {
        found = Some(content);
        Ok(())
    })?;
    Ok(found)
}

/// Text, cut at `most` bytes.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rfind(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}
