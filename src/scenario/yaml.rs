//! Parses YAML text into a JSON value, with the place of every value in it.
//!
//! In: untrusted text. Out: one document, or its problems. Invariants: work and memory are
//! bounded for any text: depth by [`MAX_DEPTH`], nodes with aliases expanded by [`MAX_NODES`];
//! recursion here is never deeper than [`MAX_DEPTH`].

use super::places::{Origin, Places, join};
use super::problem::{Code, Place, Problem, quoted};
use super::tree::{Data, Key, Node, scalar_value, to_json};
use super::variables::{Substituted, VariableLookup, substitute};
use saphyr::{ScalarStyle, Tag};
use saphyr_parser::{Event, Marker, Parser, StrInput};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

/// Maximum nesting depth of a scenario.
pub(super) const MAX_DEPTH: usize = 32;
/// Maximum number of values in a scenario, with aliases expanded.
pub(super) const MAX_NODES: usize = 100_000;

/// One YAML document.
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) places: Places,
}

/// A collection whose end has not been read yet.
struct Open {
    at: Place,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Rc<Node>>),
    Map {
        pairs: Vec<(Key, Rc<Node>)>,
        keys: HashMap<String, Place>,
        key: Option<Key>,
    },
}

struct Builder<'a> {
    env: VariableLookup<'a>,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    /// Number of the last line.
    last: usize,
    documents: usize,
    problems: Vec<Problem>,
}

/// Reading cannot continue; the problem has been recorded.
struct Stop;

/// The text without a byte order mark; joined files may begin with several.
pub(super) fn strip_mark(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
}

/// Reads `text` as one YAML document and substitutes variables. If there are problems, it may
/// still return a document without the invalid values, so that the rest can be checked.
pub(super) fn read(text: &str, env: VariableLookup<'_>) -> (Option<Document>, Vec<Problem>) {
    let text = strip_mark(text);
    let mut builder = Builder {
        env,
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        last: lines(text),
        documents: 0,
        problems: Vec::new(),
    };
    let complete = builder.run(Parser::new_from_str(text)).is_ok();
    let Builder {
        root, mut problems, ..
    } = builder;
    let Some(root) = root.filter(|_| complete) else {
        if problems.is_empty() {
            let hint = "`loadgen init` writes examples to start from";
            problems.push(Problem::of_file(Code::Syntax, "the file is empty", hint));
        }
        // Problems are not always found in the order of their places.
        problems.sort();
        return (None, problems);
    };
    let mut places = Places::default();
    let value = to_json(&root, "", None, &mut places);
    (Some(Document { value, places }), problems)
}

impl<'a> Builder<'a> {
    fn run(&mut self, mut parser: Parser<'a, StrInput<'a>>) -> Result<(), Stop> {
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => self.event(event, self.place(&span.start))?,
                Err(error) => {
                    let at = self.place(error.marker());
                    if error.info().contains("recursion limit") {
                        return self.too_deep(at);
                    }
                    let hint = syntax_hint(error.info());
                    let message = format!("not valid YAML: {}", error.info());
                    self.problem(at, Code::Syntax, message, hint);
                    return Err(Stop);
                }
            }
        }
        Ok(())
    }

    /// Keeps the place within the file: the parser may report something missing one line past the
    /// end.
    fn place(&self, marker: &Marker) -> Place {
        Place {
            line: marker.line().clamp(1, self.last),
            column: marker.col() + 1,
        }
    }

    fn event(&mut self, event: Event<'a>, at: Place) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let hint = "give every scenario a file of its own";
                    let message = "more than one YAML document in the file";
                    self.problem(at, Code::Syntax, message, hint);
                    return Err(Stop);
                }
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => return self.add(node),
                None => {
                    let hint = "write the value out";
                    self.problem(at, Code::Syntax, "an alias to a value containing it", hint);
                    return Err(Stop);
                }
            },
            Event::Scalar(text, style, anchor, tag) => {
                return self.scalar(text, style, anchor, tag, at);
            }
            Event::SequenceStart(anchor, tag) => {
                self.tag(tag, at);
                return self.start(at, anchor, OpenKind::List(Vec::new()));
            }
            Event::MappingStart(anchor, tag) => {
                self.tag(tag, at);
                let (pairs, keys) = (Vec::new(), HashMap::new());
                return self.start(
                    at,
                    anchor,
                    OpenKind::Map {
                        pairs,
                        keys,
                        key: None,
                    },
                );
            }
            Event::SequenceEnd | Event::MappingEnd => return self.end(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn problem(&mut self, at: Place, code: Code, message: impl Into<String>, hint: &str) {
        self.problems.push(Problem {
            place: at,
            path: self.path(),
            code,
            message: message.into(),
            excerpt: Vec::new(),
            hint: hint.to_owned(),
        });
    }

    /// Path of the value that is being read.
    fn path(&self) -> String {
        let mut pointer = String::new();
        for open in &self.open {
            match &open.kind {
                OpenKind::List(items) => pointer = join(&pointer, &items.len().to_string()),
                OpenKind::Map { key: Some(key), .. } => pointer = join(&pointer, &key.name),
                OpenKind::Map { key: None, .. } => {}
            }
        }
        super::places::readable(&pointer)
    }

    fn tag(&mut self, tag: Option<Cow<'_, Tag>>, at: Place) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            self.problem(
                at,
                Code::Syntax,
                format!("tag `{tag}` is not supported"),
                "leave it out",
            );
        }
    }

    fn start(&mut self, at: Place, anchor: usize, kind: OpenKind) -> Result<(), Stop> {
        self.no_complex_key(at)?;
        self.open.push(Open { at, anchor, kind });
        match self.open.len() > MAX_DEPTH {
            true => self.too_deep(at),
            false => Ok(()),
        }
    }

    fn too_deep(&mut self, at: Place) -> Result<(), Stop> {
        self.too_large(at, format!("nested deeper than {MAX_DEPTH} levels"))
    }

    fn too_large(&mut self, at: Place, message: String) -> Result<(), Stop> {
        self.problem(
            at,
            Code::TooLarge,
            message,
            "a scenario contains only settings: check that this is the right file",
        );
        Err(Stop)
    }

    fn no_complex_key(&mut self, at: Place) -> Result<(), Stop> {
        if let Some(Open {
            kind: OpenKind::Map { key: None, .. },
            ..
        }) = self.open.last()
        {
            let hint = "quote text that begins with `{`, `[` or `*`";
            self.problem(at, Code::Syntax, "a key must be plain text", hint);
            return Err(Stop);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        let Some(Open { at, anchor, kind }) = self.open.pop() else {
            return Err(Stop);
        };
        let data = match kind {
            OpenKind::List(items) => Data::List(items),
            OpenKind::Map { pairs, .. } => Data::Map(pairs),
        };
        let children: Box<dyn Iterator<Item = &Rc<Node>>> = match &data {
            Data::List(items) => Box::new(items.iter()),
            Data::Map(pairs) => Box::new(pairs.iter().map(|(_, node)| node)),
            Data::Scalar { .. } => Box::new(std::iter::empty()),
        };
        let (size, depth) = children.fold((1usize, 0), |(size, depth), child| {
            (size.saturating_add(child.size), depth.max(child.depth))
        });
        let node = Rc::new(Node {
            at,
            size,
            depth: depth + 1,
            data,
        });
        if size > MAX_NODES {
            return self.too_large(at, format!("more than {MAX_NODES} values"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.add(node)
    }

    /// Adds a complete value to the collection that is open, or makes it the root.
    fn add(&mut self, node: Rc<Node>) -> Result<(), Stop> {
        let at = node.at;
        self.no_complex_key(at)?;
        if self.open.len() + node.depth > MAX_DEPTH + 1 {
            return self.too_deep(at);
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map { pairs, keys, key }) => {
                // `no_complex_key` has made sure that there is a key.
                let Some(key) = key.take() else {
                    return Err(Stop);
                };
                if keys.contains_key(&key.name) {
                    return Ok(()); // reported when the key was read; the first value stays
                }
                keys.insert(key.name.clone(), key.at);
                pairs.push((key, node));
            }
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: Cow<'a, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<Cow<'a, Tag>>,
        at: Place,
    ) -> Result<(), Stop> {
        if let Some(Open {
            kind:
                OpenKind::Map {
                    keys,
                    key: key @ None,
                    ..
                },
            ..
        }) = self.open.last_mut()
        {
            let name = text.into_owned();
            let first = keys.get(&name).copied();
            *key = Some(Key {
                name: name.clone(),
                at,
            });
            if let Some(first) = first {
                let message = format!("key {} appears twice", quoted([name.as_str()]));
                let hint = format!("it is already on line {}; keep one of them", first.line);
                self.problem(at, Code::DuplicateKey, message, &hint);
            }
            return Ok(());
        }
        let (value, origin) = self.resolve(text.clone(), style, tag, at);
        let is_typed = value.is_number() || value.is_boolean();
        let spelling = is_typed.then(|| Rc::from(text.as_ref()));
        let node = Rc::new(Node {
            at,
            size: 1,
            depth: 1,
            data: Data::Scalar {
                value,
                origin,
                spelling,
            },
        });
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.add(node)
    }

    /// The value of a scalar. One with variables stays text: validation converts it to its type.
    fn resolve(
        &mut self,
        text: Cow<'a, str>,
        style: ScalarStyle,
        tag: Option<Cow<'a, Tag>>,
        at: Place,
    ) -> (Value, Origin) {
        match substitute(&text, self.env) {
            Ok(Substituted::AsWritten) => {}
            Ok(Substituted::Text(text)) => return (Value::String(text), Origin::Variable),
            Ok(Substituted::Matrix) => {
                let text = text.into_owned();
                return (Value::String(text.clone()), Origin::Matrix(text));
            }
            Ok(Substituted::Unset(names)) => {
                return (Value::String(text.into_owned()), Origin::Unset(names));
            }
            Err(error) => {
                self.problem(at, Code::Syntax, error.to_string(), error.hint());
                return (Value::Null, Origin::Unreadable);
            }
        }
        let core_tag = tag.clone().filter(|tag| tag.is_yaml_core_schema());
        self.tag(tag, at);
        match scalar_value(text.clone(), style, core_tag.as_ref()) {
            Some(value) => (value, Origin::Written),
            None => {
                let message = format!("`{text}` does not fit its tag");
                self.problem(at, Code::Syntax, message, "leave the tag out");
                (Value::Null, Origin::Unreadable)
            }
        }
    }
}

/// The hint for an error of the parser.
fn syntax_hint(info: &str) -> &'static str {
    let hints = [
        (
            "unprintable",
            "there is a control character here: remove it, and save the file as UTF-8",
        ),
        (
            "escape c",
            "in double quotes `\\` begins an escape: write `/` between folders, or use single quotes",
        ),
        ("tab", "YAML is indented with spaces, not with tabs"),
    ];
    let found = hints.iter().find(|(part, _)| info.contains(part));
    found.map_or(
        "look for a missing quote, colon, bracket or space before this place",
        |(_, hint)| hint,
    )
}

/// Number of lines; each break ends one and begins the next.
fn lines(text: &str) -> usize {
    let breaks = text.matches(['\n', '\r']).count() - text.matches("\r\n").count();
    breaks + 1
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
