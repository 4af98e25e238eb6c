//! Substitutes `${NAME}`, `${NAME:-default}` and `${matrix.NAME}` in scalars.
//!
//! In: a scalar's text and a function that looks up variables. Out: the text with their values,
//! or the names of the unset ones. Invariant: references in the value of a variable are not
//! substituted.

/// Looks up a variable in the environment that the caller provides.
pub(crate) type VariableLookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Result of a substitution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Substituted {
    /// The text contains no reference.
    AsWritten,
    /// Every variable had a value or a default; `$${` became `${`.
    Text(String),
    /// These variables have neither a value nor a default.
    Unset(Vec<String>),
    /// The text refers to the matrix; it stays as written until the combinations are known.
    Matrix,
}

/// A reference that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum VariableError {
    #[error("`${{` without a closing `}}`")]
    Unclosed,
    #[error("`${{{0}}}` is not a reference to a variable")]
    Malformed(String),
}

impl VariableError {
    pub(super) fn hint(&self) -> &'static str {
        "write `${NAME}`, `${NAME:-default}` or `${matrix.NAME}`, and `$${` for a literal `${`"
    }
}

/// Replaces every reference in `text`. As in a shell, `:-` also applies to an empty value.
pub(super) fn substitute(
    text: &str,
    env: VariableLookup<'_>,
) -> Result<Substituted, VariableError> {
    if !text.contains("${") {
        return Ok(Substituted::AsWritten);
    }
    if !text.contains("${matrix.") {
        return replace(text, env, is_name);
    }
    // The other variables in the text must still be set.
    let env = |name: &str| match name.strip_prefix(MATRIX) {
        Some(_) => Some(String::new()),
        None => env(name),
    };
    Ok(match substitute_at(text, &env)? {
        Substituted::Text(_) if matrix_names(text).next().is_some() => Substituted::Matrix,
        other => other,
    })
}

/// Like [`substitute`], for one combination of the matrix: `env` also resolves `matrix.NAME`.
pub(super) fn substitute_at(
    text: &str,
    env: VariableLookup<'_>,
) -> Result<Substituted, VariableError> {
    replace(text, env, |name| {
        is_name(name) || name.strip_prefix(MATRIX).is_some_and(is_name)
    })
}

/// Prefix of references to the matrix.
const MATRIX: &str = "matrix.";

/// Names of the matrix lists that a string refers to.
pub(super) fn matrix_names(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("${").filter_map(|(at, _)| {
        let (inner, _) = text[at + 2..].split_once('}')?;
        let escaped = text[..at].ends_with('$');
        inner.strip_prefix(MATRIX).filter(|_| !escaped)
    })
}

fn replace(
    text: &str,
    env: VariableLookup<'_>,
    is_name: impl Fn(&str) -> bool,
) -> Result<Substituted, VariableError> {
    let mut out = String::new();
    let mut unset = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let end = inner.find('}').ok_or(VariableError::Unclosed)?;
        let (name, default) = match inner[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inner[..end], None),
        };
        if !is_name(name) {
            return Err(VariableError::Malformed(
                inner[..end].chars().take(64).collect(),
            ));
        }
        match (env(name), default) {
            (Some(value), None) => out.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => out.push_str(&value),
            (_, Some(default)) => out.push_str(default),
            (None, None) => unset.push(name.to_owned()),
        }
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(if unset.is_empty() {
        Substituted::Text(out)
    } else {
        Substituted::Unset(unset)
    })
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.org".to_owned()),
            "EMPTY" => Some(String::new()),
            "SLY" => Some("${HOST}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_substituted() {
        let text = |text: &str| Ok(Substituted::Text(text.to_owned()));
        let unset = |names: &[&str]| {
            Ok(Substituted::Unset(
                names.iter().map(|n| (*n).to_owned()).collect(),
            ))
        };
        let cases = [
            ("plain $HOST", Ok(Substituted::AsWritten)),
            ("wss://${HOST}:443", text("wss://example.org:443")),
            ("${HOST}${HOST}", text("example.orgexample.org")),
            ("${NONE:-a b}", text("a b")),
            ("${NONE:-}", text("")),
            ("${EMPTY}", text("")),
            ("${EMPTY:-x}", text("x")),
            ("${HOST:-x}", text("example.org")),
            ("${SLY}", text("${HOST}")),
            ("$${HOST}", text("${HOST}")),
            ("${A}-${HOST}-${B}", unset(&["A", "B"])),
            ("${", Err(VariableError::Unclosed)),
            ("${HOST", Err(VariableError::Unclosed)),
            ("${}", Err(VariableError::Malformed(String::new()))),
            ("${1A}", Err(VariableError::Malformed("1A".to_owned()))),
            ("${matrix.llm}", Ok(Substituted::Matrix)),
            ("${HOST} ${matrix.llm}", Ok(Substituted::Matrix)),
            ("${A} ${matrix.llm}", unset(&["A"])),
            ("$${matrix.llm}", text("${matrix.llm}")),
            (
                "${matrix.}",
                Err(VariableError::Malformed("matrix.".to_owned())),
            ),
            ("${A:+b}", Err(VariableError::Malformed("A:+b".to_owned()))),
        ];
        for (written, expected) in cases {
            assert_eq!(substitute(written, &env), expected, "{written}");
        }
    }

    #[test]
    fn malformed_references_have_messages() {
        assert_eq!(
            VariableError::Unclosed.to_string(),
            "`${` without a closing `}`"
        );
        assert_eq!(
            VariableError::Malformed("1A".to_owned()).to_string(),
            "`${1A}` is not a reference to a variable"
        );
    }
}
