//! Splits a protobuf message into fields and changes one field, at any depth.
//!
//! In: a message, and another message as a source of fields. Out: a changed message with correct
//! inner lengths. The schema is not known: bytes that can be read as a message are treated as one,
//! and all other bytes are written back unchanged.

use super::words::{change_word, insert};
use prost::encoding::{decode_varint, encode_varint};
use rand::{Rng, RngExt as _};

/// Maximum depth at which bytes are read as a message.
const DEEPEST: usize = 12;
/// Largest field number that counts as plausible; text that looks like a message has larger
/// numbers.
const LARGEST_NUMBER: u64 = 4_096;
/// Boundary values for readers of integers, including those that are negative as signed integers.
const INTEGERS: [u64; 8] = [
    0,
    1,
    2,
    1 << 31,
    u32::MAX as u64,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX,
];
/// Boundary values for readers of fractions; durations and instants are sent as fractions.
const FRACTIONS: [f64; 9] = [
    0.0,
    -1.0,
    0.5,
    1e-9,
    3_600.5,
    1e18,
    f64::MAX,
    f64::INFINITY,
    f64::NAN,
];

#[derive(Debug, Clone, PartialEq)]
struct Field {
    /// Number and wire type.
    key: u64,
    value: Value,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Integer(u64),
    /// 4 or 8 bytes.
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
    Fields(Vec<Field>),
}

/// Changes one field, or returns `None` if the bytes are not a message or the chosen change is not
/// possible.
pub(super) fn change_field(input: &[u8], other: &[u8], random: &mut impl Rng) -> Option<Vec<u8>> {
    let mut fields = message(input, DEEPEST)?;
    let mut donors = Vec::new();
    collect(message(other, DEEPEST).unwrap_or_default(), &mut donors);
    change(&mut fields, &donors, random)?;
    Some(encoded(&fields))
}

fn change(fields: &mut Vec<Field>, donors: &[Field], random: &mut impl Rng) -> Option<()> {
    if fields.is_empty() {
        return None;
    }
    let at = random.random_range(0..fields.len());
    if let Value::Fields(inner) = &mut fields[at].value
        && !inner.is_empty()
        && random.random_ratio(3, 4)
    {
        return change(inner, donors, random);
    }
    let place = random.random_range(0..fields.len());
    match random.random_range(0..10) {
        0 => drop(fields.remove(at)),
        1 => fields.insert(place, fields[at].clone()),
        2 => fields.swap(at, place),
        3 => fields.insert(place, donor(donors, None, random)?),
        4 | 5 => fields[at] = donor(donors, Some(fields[at].key), random)?,
        _ => change_value(&mut fields[at].value, random)?,
    }
    Some(())
}

/// A random field; if `key` is given, a field with this key.
fn donor(donors: &[Field], key: Option<u64>, random: &mut impl Rng) -> Option<Field> {
    let fits = |field: &&Field| key.is_none_or(|key| field.key == key);
    let number = donors.iter().filter(fits).count();
    let chosen = random.random_range(0..number.max(1));
    donors.iter().filter(fits).nth(chosen).cloned()
}

fn change_value(value: &mut Value, random: &mut impl Rng) -> Option<()> {
    match value {
        Value::Integer(number) => {
            *number = match random.random_range(0..4) {
                0 => INTEGERS[random.random_range(0..INTEGERS.len())],
                1 => number.wrapping_add(1),
                2 => number.wrapping_sub(1),
                _ => *number ^ 1 << random.random_range(0..64),
            };
        }
        Value::Fixed(bytes) if bytes.len() == size_of::<f64>() && random.random() => {
            let fraction = FRACTIONS[random.random_range(0..FRACTIONS.len())];
            *bytes = fraction.to_le_bytes().into();
        }
        Value::Fixed(bytes) => {
            let at = random.random_range(0..bytes.len());
            bytes[at] ^= 1 << random.random_range(0..8);
        }
        Value::Bytes(bytes) => {
            *bytes = match random.random_range(0..4) {
                0 => Vec::new(),
                1 => bytes.repeat(2),
                2 => insert(bytes, bytes, random)?,
                _ => change_word(bytes, bytes, random)?,
            };
        }
        // Replaces the nested message with an empty one.
        Value::Fields(fields) => fields.clear(),
    }
    Some(())
}

/// Collects all fields at all depths.
fn collect(fields: Vec<Field>, all: &mut Vec<Field>) {
    for field in fields {
        all.push(field.clone());
        if let Value::Fields(inner) = field.value {
            collect(inner, all);
        }
    }
}

/// The fields of a message; `None` if the bytes are not a message.
fn message(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = decode_varint(&mut bytes).ok()?;
        if !(1..=LARGEST_NUMBER).contains(&(key >> 3)) {
            return None;
        }
        let value = match key & 7 {
            0 => Value::Integer(decode_varint(&mut bytes).ok()?),
            1 => Value::Fixed(bytes.split_off(..8)?.into()),
            5 => Value::Fixed(bytes.split_off(..4)?.into()),
            2 => {
                let length = decode_varint(&mut bytes).ok()?;
                let content = bytes.split_off(..usize::try_from(length).ok()?)?;
                content_of(content, depth)
            }
            _ => return None,
        };
        fields.push(Field { key, value });
    }
    Some(fields)
}

fn content_of(bytes: &[u8], depth: usize) -> Value {
    let is_text = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let inner = depth.checked_sub(1).filter(|_| !is_text);
    // Only if encoding restores the same bytes: a varint may have been longer than necessary.
    let same = |fields: &Vec<Field>| encoded(fields) == bytes;
    match inner.and_then(|depth| message(bytes, depth)).filter(same) {
        Some(fields) => Value::Fields(fields),
        None => Value::Bytes(bytes.into()),
    }
}

fn encoded(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        encode_varint(field.key, &mut bytes);
        let content = match &field.value {
            Value::Integer(number) => {
                encode_varint(*number, &mut bytes);
                continue;
            }
            Value::Fixed(fixed) => {
                bytes.extend(fixed);
                continue;
            }
            Value::Bytes(content) => content,
            Value::Fields(fields) => &encoded(fields),
        };
        encode_varint(content.len() as u64, &mut bytes);
        bytes.extend(content);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    /// A number; a message with a fraction and a nested message with a text; bytes.
    const MESSAGE: &[u8] =
        b"\x08\x96\x01\x12\x0f\x09\0\0\0\0\0\0\xf0\x3f\x1a\x04\x0a\x02hi\x1a\x02\xff\xff";

    #[test]
    fn a_message_is_split_and_written_back_unchanged() {
        let fields = message(MESSAGE, DEEPEST).expect("a message");
        assert_eq!(fields.len(), 3);
        assert_eq!(fields[0].value, Value::Integer(150));
        let Value::Fields(inner) = &fields[1].value else {
            panic!("{fields:?}");
        };
        assert_eq!(inner[0].value, Value::Fixed(1.0_f64.to_le_bytes().into()));
        assert!(matches!(&inner[1].value, Value::Fields(one) if one.len() == 1));
        assert_eq!(fields[2].value, Value::Bytes(vec![0xff, 0xff]));
        assert_eq!(encoded(&fields), MESSAGE);
        assert_eq!(message(b"\x08", DEEPEST), None);
        assert_eq!(message(b"\x12\x05a", DEEPEST), None);
    }

    #[test]
    fn inner_lengths_are_correct_after_every_change() {
        let (mut changed, mut not_a_number) = (0, 0);
        for seed in 0..2_000 {
            let random = &mut ChaCha8Rng::seed_from_u64(seed);
            let Some(new) = change_field(MESSAGE, MESSAGE, random) else {
                continue;
            };
            changed += usize::from(new != MESSAGE);
            not_a_number += usize::from(new.windows(8).any(|part| part == f64::NAN.to_le_bytes()));
            assert!(message(&new, DEEPEST).is_some(), "{new:x?}");
        }
        assert!(changed > 1_000, "{changed}");
        assert!(not_a_number > 0);
    }

    #[test]
    fn bytes_that_are_no_message_are_not_changed() {
        let random = &mut ChaCha8Rng::seed_from_u64(1);
        assert_eq!(change_field(b"\xff\xff", MESSAGE, random), None);
        assert_eq!(change_field(b"", MESSAGE, random), None);
    }
}
