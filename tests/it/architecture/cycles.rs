//! Finds cycles of imports between the files of `src`.
//!
//! In: path and text of every source file. Out: each cycle, with its files and the imports that
//! form it. Invariants: a path is an edge to the file that defines the item, however many
//! re-exports it goes through; a parent's `mod` and `pub use` are not edges, nor is test code.
//! Not detected: methods called on values, paths in the strings of attributes, names that a macro
//! builds. `super` in an inline module is resolved as if it were outside that module.

use super::scan::{Named, Token, named, tokens};
use super::{files, is_test_file};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A module's path from the crate's root: `["audio", "ear"]`.
type Module = Vec<String>;
/// For each file, the files that it uses, each with the line and the path of a reference to it.
type Edges = BTreeMap<String, BTreeMap<String, (usize, String)>>;

/// Maximum depth to which re-exports are followed; only imports that form a loop go deeper.
const MOST_REEXPORTS: usize = 16;

/// One name that a `use` declaration imports.
#[derive(Debug)]
struct Import {
    /// `*` for everything.
    name: String,
    path: Vec<String>,
    line: usize,
    /// Whether other files can use the name: `pub`, `pub(super)` and the like.
    public: bool,
}

/// A file without its test code.
#[derive(Debug)]
struct File {
    path: String,
    imports: Vec<Import>,
    /// Paths in the code.
    paths: Vec<(Vec<String>, usize)>,
    /// Names of the items that it defines.
    items: BTreeSet<String>,
}

/// Every module of the crate except test-only ones.
#[derive(Debug, Default)]
struct Crate(BTreeMap<Module, File>);

/// The module that a file of `src` defines: `src/audio/ear.rs` → `audio::ear`; `None` for the
/// binary.
fn module_of(path: &str) -> Option<Module> {
    let inside = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let names = inside.strip_suffix("/mod").unwrap_or(inside);
    match names {
        "lib" => Some(Vec::new()),
        "main" => None,
        _ => Some(names.split('/').map(str::to_owned).collect()),
    }
}

/// Whether a `use` declaration begins at `at`, rather than the `use<…>` of an opaque type.
fn is_import(tokens: &[Token], at: usize) -> bool {
    let text = |i: usize| tokens.get(i).map_or("", |t| t.text.as_str());
    text(at) == "use" && text(at + 1) != "<"
}

/// Index of the token after the item that begins at `at`, which may have attributes.
fn end_of_item(tokens: &[Token], at: usize) -> usize {
    let (mut depth, mut import) = (0, false);
    for (i, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "use" if depth == 0 => import |= is_import(tokens, i),
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        let closes = token.text == "}" && !import;
        if depth <= 0 && (closes || token.text == ";") {
            return i + 1;
        }
    }
    tokens.len()
}

/// The tokens outside `#[cfg(test)]` items, and the names of the test modules.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut at, mut kept, mut modules) = (0, Vec::new(), Vec::new());
    while at < tokens.len() {
        let texts = tokens[at..].iter().map(|t| t.text.as_str());
        if !texts.take(mark.len()).eq(mark) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = end_of_item(tokens, at + mark.len());
        let declared = tokens[at..end].windows(2).filter(|t| t[0].text == "mod");
        modules.extend(declared.map(|t| t[1].text.clone()));
        at = end;
    }
    (kept, modules)
}

/// The names of a path; `a::{self}` is `a`.
fn names(path: &str) -> Vec<String> {
    let path = path.strip_suffix("::self").unwrap_or(path);
    path.split("::").map(str::to_owned).collect()
}

impl Import {
    fn new(named: &Named, public: bool) -> Self {
        let path = names(&named.path);
        let last = path.last().cloned().unwrap_or_default();
        Self {
            name: named.alias.clone().unwrap_or(last),
            path,
            line: named.line,
            public,
        }
    }
}

impl File {
    fn new(path: &str, tokens: &[Token]) -> Self {
        let text = |i: usize| tokens.get(i).map_or("", |t| t.text.as_str());
        let defines = [
            "fn", "struct", "enum", "union", "trait", "type", "const", "static",
        ];
        let items = (1..tokens.len()).filter(|i| defines.contains(&text(i - 1)));
        let mut file = Self {
            path: path.to_owned(),
            imports: Vec::new(),
            paths: Vec::new(),
            items: items.map(|i| text(i).to_owned()).collect(),
        };
        // The current `use` declaration: the index after its last token, and whether it is public.
        let (mut end, mut public) = (0, false);
        for name in named(tokens) {
            let before = |n: usize| name.token.checked_sub(n).map_or("", text);
            let method = before(1) == "." && before(2) != ".";
            if is_import(tokens, name.token) {
                end = end_of_item(tokens, name.token);
                public = ["pub", ")"].contains(&before(1));
            } else if name.token < end {
                file.imports.push(Import::new(&name, public));
            } else if !method && before(1) != "fn" && text(name.token + 1) != ":" {
                file.paths.push((names(&name.path), name.line));
            }
        }
        file
    }

    fn import(&self, name: &str) -> Option<&Import> {
        self.imports.iter().find(|i| i.name == name)
    }
}

impl Crate {
    fn new(files: &[(String, String)]) -> Self {
        let (mut all, mut tests) = (Self::default(), Vec::new());
        for (path, text) in files.iter().filter(|f| !is_test_file(&f.0)) {
            let Some(module) = module_of(path) else {
                continue;
            };
            let (tokens, test_modules) = without_tests(&tokens(text));
            let of_tests = test_modules.into_iter().map(|name| child(&module, &name));
            tests.extend(of_tests);
            all.0.insert(module, File::new(path, &tokens));
        }
        all.0
            .retain(|module, _| !tests.iter().any(|t| module.starts_with(t)));
        all
    }

    /// The module at which a path written in `module` starts, and the rest of the path.
    fn start<'a>(
        &self,
        module: &Module,
        path: &'a [String],
        depth: usize,
    ) -> Option<(Module, &'a [String])> {
        let (first, rest) = path.split_first()?;
        let own = child(module, first);
        match first.as_str() {
            "crate" => Some((Module::new(), rest)),
            "self" => Some((module.clone(), rest)),
            "super" => {
                let up = path.iter().take_while(|name| *name == "super").count();
                let left = module.len().checked_sub(up)?;
                Some((module[..left].to_vec(), &path[up..]))
            }
            _ if self.0.contains_key(&own) => Some((own, rest)),
            _ => {
                let import = self.0.get(module)?.import(first)?;
                Some((self.module(module, &import.path, depth + 1)?, rest))
            }
        }
    }

    /// The module that a path refers to, if it refers to a module.
    fn module(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        if depth > MOST_REEXPORTS {
            return None;
        }
        let (mut module, rest) = self.start(from, path, depth)?;
        for name in rest {
            let inner = child(&module, name);
            if self.0.contains_key(&inner) {
                module = inner;
                continue;
            }
            let import = self.0.get(&module)?.import(name)?;
            module = self.module(&module, &import.path, depth + 1)?;
        }
        Some(module)
    }

    /// The file that defines the item at a path. `None` for an item of another crate, an
    /// item in scope without an import, and a module: only items named inside a module count.
    fn defines(&self, from: &Module, path: &[String], depth: usize) -> Option<&File> {
        if depth > MOST_REEXPORTS {
            return None;
        }
        let Some((mut module, mut rest)) = self.start(from, path, depth) else {
            // An imported item, such as the type before an associated function.
            let import = self.0.get(from)?.import(path.first()?)?;
            return match import.path.as_slice() == path {
                true => None,
                false => self.defines(from, &import.path, depth + 1),
            };
        };
        while let Some((name, further)) = rest.split_first() {
            let inner = child(&module, name);
            if self.0.contains_key(&inner) && !further.is_empty() {
                (module, rest) = (inner, further);
                continue;
            }
            let file = self.0.get(&module)?;
            if name == "*" {
                return Some(file);
            }
            if let Some(import) = file.import(name) {
                let path = [&import.path, further].concat();
                return self.defines(&module, &path, depth + 1);
            }
            if self.0.contains_key(&inner) {
                return None;
            }
            let globs = file.imports.iter().filter(|i| i.name == "*");
            let mut behind = globs.filter_map(|glob| {
                let (_, path) = glob.path.split_last()?;
                let path = [path, rest].concat();
                let found = self.defines(&module, &path, depth + 1)?;
                found.items.contains(name).then_some(found)
            });
            return match file.items.contains(name) {
                true => Some(file),
                false => behind.next().or(Some(file)),
            };
        }
        None
    }

    /// Every reference from one file to another.
    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (module, file) in &self.0 {
            let uses = edges.entry(file.path.clone()).or_default();
            let imports = file.imports.iter().map(|i| (&i.path, i.line, i.public));
            let paths = file.paths.iter().map(|(path, line)| (path, *line, false));
            for (path, line, public) in imports.chain(paths) {
                let Some(used) = self.defines(module, path, 0) else {
                    continue;
                };
                // A parent that re-exports its children's items does not thereby use them.
                let below = module_of(&used.path).is_some_and(|m| m.starts_with(module));
                if used.path != file.path && !(public && below) {
                    uses.entry(used.path.clone())
                        .or_insert((line, path.join("::")));
                }
            }
        }
        edges
    }
}

fn child(module: &Module, name: &str) -> Module {
    [&module[..], &[name.to_owned()]].concat()
}

/// Every file that `file` uses, directly or through others.
fn reached<'a>(edges: &'a Edges, file: &str) -> BTreeSet<&'a str> {
    let used = |file: &str| edges.get(file).into_iter().flat_map(BTreeMap::keys);
    let mut open: Vec<&str> = used(file).map(String::as_str).collect();
    let mut found = BTreeSet::new();
    while let Some(file) = open.pop() {
        if found.insert(file) {
            open.extend(used(file).map(String::as_str));
        }
    }
    found
}

/// A description of each set of files that use each other, directly or through others.
fn cycles(files: &[(String, String)]) -> Vec<String> {
    let edges = Crate::new(files).edges();
    let reached: BTreeMap<&str, _> = edges
        .keys()
        .map(|file| (file.as_str(), reached(&edges, file)))
        .collect();
    let (mut seen, mut described) = (BTreeSet::new(), Vec::new());
    for (file, all) in &reached {
        if !all.contains(file) || seen.contains(file) {
            continue;
        }
        let back = |other: &&&str| reached[**other].contains(file);
        let cycle: BTreeSet<&str> = all.iter().filter(back).copied().collect();
        let names: Vec<&str> = cycle.iter().copied().collect();
        let mut text = format!("{} files use each other: {}", cycle.len(), names.join(", "));
        for user in &cycle {
            for (used, (line, path)) in edges[*user].iter().filter(|e| cycle.contains(&**e.0)) {
                let _ = write!(text, "\n    {user}:{line} uses `{path}` of {used}");
            }
        }
        seen.extend(cycle);
        described.push(text);
    }
    described
}

#[test]
fn files_have_no_import_cycles() {
    let found = cycles(&files("src"));
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The files below `from` that use a file below `to`, directly or through others.
fn uses(files: &[(String, String)], from: &str, to: &str) -> Vec<String> {
    let edges = Crate::new(files).edges();
    let below = edges.keys().filter(|file| file.starts_with(from));
    let using = below.filter(|file| {
        reached(&edges, file)
            .iter()
            .any(|used| used.starts_with(to))
    });
    using.cloned().collect()
}

#[test]
fn recorded_facts_do_not_use_judgements() {
    let files = files("src");
    let (facts, judge) = ("src/record/facts/", "src/record/judge/");
    assert_eq!(uses(&files, facts, judge), [""; 0]);
    assert!(
        !uses(&files, judge, facts).is_empty(),
        "the search finds nothing"
    );
}

/// Each cycle is found with the imports that form it, and nothing else is reported.
#[test]
#[rustfmt::skip]
fn the_search_finds_every_cycle() {
    type Files = &'static [(&'static str, &'static str)];
    let cases: &[(&str, Files, &[&str])] = &[
        (
            "a cycle of two",
            &[
                ("src/a.rs", "mod x;\nmod y;"),
                ("src/a/x.rs", "use super::y::Y;\npub struct X(Y);"),
                ("src/a/y.rs", "\nuse crate::a::x::X;\npub struct Y(X);"),
            ],
            &["2 files use each other: src/a/x.rs, src/a/y.rs
    src/a/x.rs:1 uses `super::y::Y` of src/a/y.rs
    src/a/y.rs:2 uses `crate::a::x::X` of src/a/x.rs"],
        ),
        (
            "a cycle of three, by a group, an alias and a path in code; and one file outside it",
            &[
                ("src/a.rs", "use crate::{\n    b::{self, B as C},\n    d::D,\n};"),
                ("src/b.rs", "use crate::c;\npub struct B;\nfn f() { c::go() }"),
                ("src/c.rs", "pub fn go() { crate::a::f() }"),
                ("src/d.rs", "pub struct D;"),
            ],
            &["3 files use each other: src/a.rs, src/b.rs, src/c.rs
    src/a.rs:2 uses `crate::b::B` of src/b.rs
    src/b.rs:3 uses `c::go` of src/c.rs
    src/c.rs:1 uses `crate::a::f` of src/a.rs"],
        ),
        (
            "a re-export hides the file that defines the item",
            &[
                ("src/a/mod.rs", "mod x;\nmod y;\npub use x::X;\npub(crate) use y::{Y as Z};"),
                ("src/a/x.rs", "use super::Z;\npub struct X;"),
                ("src/a/y.rs", "fn f(x: crate::a::X) {}\npub struct Y;"),
            ],
            &["2 files use each other: src/a/x.rs, src/a/y.rs
    src/a/x.rs:1 uses `super::Z` of src/a/y.rs
    src/a/y.rs:1 uses `crate::a::X` of src/a/x.rs"],
        ),
        (
            "everything re-exported",
            &[
                ("src/a/mod.rs", "mod x;\nmod y;\npub use x::*;\npub use y::*;"),
                ("src/a/x.rs", "use super::Y;\npub struct X;"),
                ("src/a/y.rs", "use super::*;\nuse super::X;\npub struct Y;"),
            ],
            &["2 files use each other: src/a/x.rs, src/a/y.rs
    src/a/x.rs:1 uses `super::Y` of src/a/y.rs
    src/a/y.rs:2 uses `super::X` of src/a/x.rs"],
        ),
        (
            "a parent that uses its child",
            &[
                ("src/a.rs", "mod x;\nuse x::X;\npub const N: X = X;"),
                ("src/a/x.rs", "pub struct X;\nfn f() { super::N; }"),
            ],
            &["2 files use each other: src/a.rs, src/a/x.rs
    src/a.rs:2 uses `x::X` of src/a/x.rs
    src/a/x.rs:2 uses `super::N` of src/a.rs"],
        ),
        (
            "two cycles",
            &[
                ("src/a.rs", "fn f() { crate::b::f() }"),
                ("src/b.rs", "fn f() { crate::a::f() }"),
                ("src/c.rs", "fn f() { crate::a::f(); crate::d::f() }"),
                ("src/d.rs", "fn f() { super::c::f() }"),
            ],
            &["2 files use each other: src/a.rs, src/b.rs
    src/a.rs:1 uses `crate::b::f` of src/b.rs
    src/b.rs:1 uses `crate::a::f` of src/a.rs",
              "2 files use each other: src/c.rs, src/d.rs
    src/c.rs:1 uses `crate::d::f` of src/d.rs
    src/d.rs:1 uses `super::c::f` of src/c.rs"],
        ),
        (
            "a parent's `mod` and `pub use`",
            &[
                ("src/a.rs", "mod x;\npub mod y;\npub use x::X;\npub(super) use self::y::{f, Y};\npub const N: u8 = 0;"),
                ("src/a/x.rs", "use super::N;\npub struct X;"),
                ("src/a/y.rs", "use super::{N, X};\npub(in crate::a) struct Y;"),
            ],
            &[],
        ),
        (
            "imports of a module itself",
            &[
                ("src/lib.rs", "pub mod a;\npub mod b;"),
                ("src/a/mod.rs", "mod x;\nfn f() { x::go() }"),
                ("src/a/x.rs", "use crate::a;\nuse crate::b;\npub(in crate::a) fn go() { b::f() }"),
                ("src/b.rs", "pub fn f() {}"),
            ],
            &[],
        ),
        (
            "test code",
            &[
                ("src/a/mod.rs", "mod x;\n#[cfg(test)]\nmod fixtures;\n#[cfg(test)]\nmod tests;\nfn f() { x::f() }\npub fn g() {}"),
                ("src/a/x.rs", "pub fn f() {}\n#[cfg(test)]\nuse super::{g};\n#[cfg(test)]\n#[must_use]\nfn h() { super::g() }\n#[cfg(test)]\nmod tests { use super::super::g; }"),
                ("src/a/fixtures.rs", "use super::g;"),
                ("src/a/tests.rs", "use super::g;"),
                ("src/a/tests/more.rs", "use super::super::g;"),
                ("src/a/x_tests.rs", "use super::g;"),
            ],
            &[],
        ),
        (
            "after test code",
            &[
                ("src/a.rs", "mod x;\nfn f() { x::f() }\npub fn g() {}"),
                ("src/a/x.rs", "#[cfg(test)]\nmod tests { }\npub fn f() { super::g() }"),
            ],
            &["2 files use each other: src/a.rs, src/a/x.rs
    src/a.rs:2 uses `x::f` of src/a/x.rs
    src/a/x.rs:3 uses `super::g` of src/a.rs"],
        ),
        (
            "comments, literals, other crates, and a name that imports itself",
            &[
                ("src/a.rs", "use crate::b::B;\nuse opus::opus;"),
                ("src/b.rs", "//! crate::a::A\n// use super::a::A;\nuse a::A;\nconst S: &str = \"crate::a::A\";\nfn f() { opus::go(); serde::a::A }"),
                ("src/main.rs", "use crate::a::A;"),
            ],
            &[],
        ),
    ];
    for (name, files, expected) in cases {
        let owned = |file: &(&str, &str)| (file.0.to_owned(), file.1.to_owned());
        let files: Vec<_> = files.iter().map(owned).collect();
        assert_eq!(cycles(&files), *expected, "{name}");
    }
}

/// The compiler reports invalid syntax; the search only has to terminate.
#[test]
fn arbitrary_source_never_makes_the_search_panic() {
    let whole = "use super::{a::{b as c, *}, d}; use c::c; #[cfg(test)] mod t { } pub use self::b::*; fn f() { super::super::super::x(); c::d() }";
    for at in (0..whole.len()).filter(|i| whole.is_char_boundary(*i)) {
        let parts = [&whole[..at], &whole[at..]];
        let paths = ["src/a.rs", "src/a/b.rs"];
        let files = paths.iter().zip(parts);
        let files: Vec<_> = files
            .map(|(p, t)| ((*p).to_owned(), t.to_owned()))
            .collect();
        cycles(&files);
    }
}
