//! The place of each value in the file, and its origin.
//!
//! In: JSON pointers (`/call/turns/1/say`). Out: line and column of the value or its key.

use super::problem::Place;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// From the file itself.
    Written,
    /// From at least one variable; a string until its type is known.
    Variable,
    /// A string with references to the matrix, as written.
    Matrix(String),
    /// From these variables, which are not set.
    Unset(Vec<String>),
    /// From a reference or tag that could not be read; it has been reported and is left out.
    Unreadable,
}

#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) key: Option<Place>,
    pub(super) value: Place,
    pub(super) origin: Origin,
    /// A number or boolean as written in the file: `1.10`.
    pub(super) spelling: Option<Rc<str>>,
}

/// The spots of a document by JSON pointer.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<String, Spot>);

impl Places {
    /// The same spots, with `prefix` before each pointer.
    pub(super) fn below(self, prefix: &str) -> Self {
        let spots = self.0.into_iter();
        Self(
            spots
                .map(|(at, spot)| (format!("{prefix}{at}"), spot))
                .collect(),
        )
    }

    pub(super) fn insert(&mut self, pointer: &str, spot: Spot) {
        self.0.insert(pointer.to_owned(), spot);
    }

    /// Place of the value at `pointer`, or of the nearest value that encloses it.
    pub(super) fn value(&self, pointer: &str) -> Place {
        self.nearest(pointer)
            .map_or(Place::START, |spot| spot.value)
    }

    /// Place of the key of the value at `pointer`, or of the value itself if it has no key.
    pub(super) fn key(&self, pointer: &str) -> Place {
        self.nearest(pointer)
            .map_or(Place::START, |spot| spot.key.unwrap_or(spot.value))
    }

    pub(super) fn origin(&self, pointer: &str) -> Option<&Origin> {
        self.0.get(pointer).map(|spot| &spot.origin)
    }

    /// A number or boolean as written in the file.
    pub(super) fn spelling(&self, pointer: &str) -> Option<&str> {
        self.0.get(pointer)?.spelling.as_deref()
    }

    /// The unset variables of the value at `pointer`; empty if all are set.
    pub(super) fn unset(&self, pointer: &str) -> &[String] {
        match self.origin(pointer) {
            Some(Origin::Unset(names)) => names,
            _ => &[],
        }
    }

    /// Pointers of the values that could not be read.
    pub(super) fn all_unreadable(&self) -> impl Iterator<Item = &str> {
        let unreadable = |spot: &Spot| spot.origin == Origin::Unreadable;
        self.0
            .iter()
            .filter(move |(_, spot)| unreadable(spot))
            .map(|(pointer, _)| pointer.as_str())
    }

    /// Every value with unset variables: pointer, place, names.
    pub(super) fn all_unset(&self) -> impl Iterator<Item = (&str, Place, &[String])> {
        self.0
            .iter()
            .filter_map(|(pointer, spot)| match &spot.origin {
                Origin::Unset(names) => Some((pointer.as_str(), spot.value, names.as_slice())),
                _ => None,
            })
    }

    /// Every string with references to the matrix, by pointer.
    pub(super) fn all_matrix(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|(pointer, spot)| match &spot.origin {
                Origin::Matrix(text) => Some((pointer.as_str(), text.as_str())),
                _ => None,
            })
    }

    fn nearest(&self, pointer: &str) -> Option<&Spot> {
        let mut pointer = pointer;
        loop {
            if let Some(spot) = self.0.get(pointer) {
                return Some(spot);
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }
}

/// `pointer` with one more segment.
pub(super) fn join(pointer: &str, segment: &str) -> String {
    format!(
        "{pointer}/{}",
        segment.replace('~', "~0").replace('/', "~1")
    )
}

/// The last segment of a pointer.
pub(super) fn last(pointer: &str) -> String {
    unescape(pointer.rsplit('/').next().unwrap_or_default())
}

/// A pointer in readable form: `call.turns[1].say`.
pub(super) fn readable(pointer: &str) -> String {
    let mut path = String::new();
    for segment in pointer.split('/').skip(1) {
        if !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit()) {
            path.push_str(&format!("[{segment}]"));
            continue;
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.extend(unescape(segment).chars().take(64));
    }
    path
}

fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_pointers_are_shown_as_paths() {
        let cases = [
            ("", ""),
            ("/call/turns/1/say", "call.turns[1].say"),
            ("/utterances/a~1b/file", "utterances.a/b.file"),
            ("/call/turns/0/say/2", "call.turns[0].say[2]"),
        ];
        for (pointer, path) in cases {
            assert_eq!(readable(pointer), path);
        }
        assert_eq!(join("/a", "b/c~"), "/a/b~1c~0");
        assert_eq!(last("/a/b~1c~0"), "b/c~");
    }
}
