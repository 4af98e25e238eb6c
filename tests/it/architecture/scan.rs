//! Tokenizes source text and extracts the paths in it.
//!
//! Invariants: comments and literals are left out; line numbers are kept; no input causes a panic.

/// A word or a punctuation mark, with its line number from 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The tokens of a file, without comments and literals; `::` is one token.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut line, mut found) = (0, 1, Vec::new());
    while at < chars.len() {
        let start = at;
        let next = |n: usize| chars.get(at + n).copied().unwrap_or('\0');
        let kept = match chars[at] {
            '/' if next(1) == '/' => {
                at = (at..chars.len())
                    .find(|i| chars[*i] == '\n')
                    .unwrap_or(chars.len());
                false
            }
            '/' if next(1) == '*' => {
                at = block_comment(&chars, at);
                false
            }
            '"' => {
                at = quoted(&chars, at, '"');
                false
            }
            // A lifetime has no closing quote after its first letter.
            '\'' if next(1) == '\\' || next(2) == '\'' => {
                at = quoted(&chars, at, '\'');
                false
            }
            ':' if next(1) == ':' => {
                at += 2;
                true
            }
            c if c.is_alphanumeric() || c == '_' => {
                let in_word = |i: &usize| chars[*i].is_alphanumeric() || chars[*i] == '_';
                at = (at..chars.len())
                    .find(|i| !in_word(i))
                    .unwrap_or(chars.len());
                match raw_string(&chars, start, at) {
                    Some(end) => {
                        at = end;
                        false
                    }
                    None => true,
                }
            }
            c => {
                at += 1;
                !c.is_whitespace()
            }
        };
        if kept {
            let text = chars[start..at].iter().collect();
            found.push(Token { text, line });
        }
        line += chars[start..at].iter().filter(|c| **c == '\n').count();
    }
    found
}

/// End of the literal whose opening quote is at `at`.
fn quoted(chars: &[char], mut at: usize, quote: char) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// End of the block comment at `at`; block comments nest.
fn block_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match chars[at..].get(..2) {
            Some(['/', '*']) => depth += 1,
            Some(['*', '/']) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    at
}

/// End of the raw string whose prefix is `start..end`, if it is one.
fn raw_string(chars: &[char], start: usize, end: usize) -> Option<usize> {
    let prefix: String = chars[start..end].iter().collect();
    let hashes = chars[end..].iter().take_while(|c| **c == '#').count();
    let raw = ["r", "br", "cr"].contains(&prefix.as_str());
    if !raw || chars.get(end + hashes) != Some(&'"') {
        return None;
    }
    let body = end + hashes + 1;
    let closes = |i: usize| {
        let rest = chars[i + 1..].iter().take_while(|c| **c == '#');
        chars[i] == '"' && rest.count() >= hashes
    };
    let close = (body..chars.len()).find(|i| closes(*i));
    Some(close.map_or(chars.len(), |c| c + 1 + hashes))
}

fn is_word(token: &Token) -> bool {
    token
        .text
        .starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// A full path, such as `std::fs::read`; the paths of a `use` group are expanded.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) path: String,
    /// The name after `as`.
    pub(crate) alias: Option<String>,
    pub(crate) line: usize,
    pub(crate) token: usize,
}

/// Every path and every single word of the code.
pub(crate) fn named(tokens: &[Token]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = if is_word(&tokens[at]) {
            path(tokens, at, "", &mut found)
        } else {
            at + 1
        };
    }
    found
}

/// Adds the path at `at`, preceded by `prefix`, to `found`; returns the index of the next token.
fn path(tokens: &[Token], mut at: usize, prefix: &str, found: &mut Vec<Named>) -> usize {
    let text = |i: usize| tokens.get(i).map_or("", |t| t.text.as_str());
    let (first, mut whole) = (at, prefix.to_owned());
    loop {
        match text(at) {
            "{" => {
                at += 1;
                while !["}", ""].contains(&text(at)) {
                    at = match text(at) {
                        "," => at + 1,
                        "as" => at + 2,
                        _ => path(tokens, at, &whole, found),
                    };
                }
                return at + 1;
            }
            word => {
                whole.push_str(word);
                at += 1;
            }
        }
        let more = tokens.get(at + 1).is_some_and(is_word) || ["{", "*"].contains(&text(at + 1));
        if text(at) != "::" || !more {
            let alias = (text(at) == "as").then(|| text(at + 1).to_owned());
            found.push(Named {
                path: whole,
                alias,
                line: tokens[first].line,
                token: first,
            });
            return at;
        }
        whole.push_str("::");
        at += 1;
    }
}
