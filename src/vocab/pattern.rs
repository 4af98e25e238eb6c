//! A regular expression that a text should match.
//!
//! In: the pattern as written. Out: whether it matches anywhere in a text. Invariant: the size of a
//! pattern and the time of a match are bounded.

/// A regular expression; two expressions are equal if their texts are.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(regex_lite::Regex);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A message that describes the error in the pattern.
    pub(crate) fn new(written: &str) -> Result<Self, String> {
        match regex_lite::Regex::new(written) {
            Ok(regex) => Ok(Self(regex)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The pattern as written.
    pub(crate) fn written(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the pattern matches anywhere in the text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}
