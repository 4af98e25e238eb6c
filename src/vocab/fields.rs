//! Walks over the fields of a protobuf message without decoding them.
//!
//! In: a message as received. Out: its fields, up to the first error. Invariant: nothing is
//! allocated. Two bytes on the wire can become hundreds in memory (an empty nested message), so
//! repeated parts are counted and selected before they are decoded.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// The bytes are not a protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl From<prost::DecodeError> for Malformed {
    fn from(_: prost::DecodeError) -> Self {
        Self
    }
}

/// What to do with groups, which are obsolete: no message that is read here has any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Groups {
    /// They make the message malformed.
    Refused,
    /// They are fields without content, as other readers skip them.
    Skipped,
}

/// A field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub number: u32,
    /// The field's key and value.
    pub whole: &'a [u8],
    /// The value, if it is text, bytes or a message.
    pub content: Option<&'a [u8]>,
}

/// The fields of a message, up to and including the first error.
pub(crate) fn fields(
    mut rest: &[u8],
    groups: Groups,
) -> impl Iterator<Item = Result<Field<'_>, Malformed>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let read = next(&mut rest, groups);
        if read.is_err() {
            rest = &[];
        }
        Some(read)
    })
}

/// Contents of the fields of a message that have this `number`: text, bytes or messages.
pub(crate) fn contents(
    message: &[u8],
    number: u32,
    groups: Groups,
) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    fields(message, groups).filter_map(move |field| match field {
        Ok(field) => field.content.filter(|_| field.number == number).map(Ok),
        Err(e) => Some(Err(e)),
    })
}

/// Removes the next field from `rest` and returns it.
fn next<'a>(rest: &mut &'a [u8], groups: Groups) -> Result<Field<'a>, Malformed> {
    let all = *rest;
    let (number, wire) = decode_key(rest)?;
    let mut content = None;
    match wire {
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(rest)?).map_err(|_| Malformed)?;
            let (inside, after) = rest.split_at_checked(length).ok_or(Malformed)?;
            (content, *rest) = (Some(inside), after);
        }
        WireType::StartGroup | WireType::EndGroup if groups == Groups::Refused => {
            return Err(Malformed);
        }
        _ => skip_field(wire, number, rest, DecodeContext::default())?,
    }
    Ok(Field {
        number,
        whole: &all[..all.len() - rest.len()],
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_up_to_the_first_error() {
        // A number, a text, a group, and a text whose end is missing.
        let message = [0x08, 0x96, 0x01, 0x12, 1, b'a', 0x1b, 0x1c, 0x12, 9, b'b'];
        let numbers = |groups| -> Vec<Result<u32, Malformed>> {
            fields(&message, groups).map(|f| Ok(f?.number)).collect()
        };
        assert_eq!(
            numbers(Groups::Skipped),
            [Ok(1), Ok(2), Ok(3), Err(Malformed)]
        );
        assert_eq!(numbers(Groups::Refused), [Ok(1), Ok(2), Err(Malformed)]);
        let texts: Vec<_> = contents(&message, 2, Groups::Skipped).collect();
        assert_eq!(texts, [Ok(&b"a"[..]), Err(Malformed)]);
        let whole: Vec<_> = fields(&message[..6], Groups::Refused)
            .map(|f| f.map(|f| f.whole))
            .collect();
        assert_eq!(whole, [Ok(&message[..3]), Ok(&message[3..6])]);
    }
}
