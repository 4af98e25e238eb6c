//! Replays the committed corpora, and mutations of them, through their targets.
//!
//! Invariant: the mutations are determined by a seed, which a failure prints. The instrumented
//! fuzzer of `scripts/fuzz` finds deeper defects, but needs a separate build.

use super::{Format, FuzzTarget, TARGETS, plant};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Factor by which `LOADGEN_FULL=1` increases the number of mutations.
const FULL: u64 = 100;
/// Maximum number of mutations applied to one input.
const MUTATIONS: u32 = 8;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The inputs of a target, by file name.
fn corpus(target: &FuzzTarget) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = corpora().join(target.name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    paths
        .map(|path| {
            let bytes = std::fs::read(&path).expect("a readable file");
            (path, bytes)
        })
        .collect()
}

#[test]
fn every_corpus_input_satisfies_its_targets_properties() {
    // No committed input may trigger a planted defect.
    plant();
    for target in TARGETS {
        let inputs = corpus(target);
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        for (path, bytes) in inputs {
            eprintln!("{}", path.display());
            (target.run)(&bytes);
        }
    }
}

#[test]
fn every_target_is_in_the_nightly_workflow() {
    let workflow = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows/fuzz.yml");
    let workflow = std::fs::read_to_string(workflow).expect("the workflow");
    let named = workflow
        .lines()
        .filter_map(|line| line.strip_prefix("          - "));
    let named: Vec<&str> = named.take_while(|name| !name.contains(':')).collect();
    let targets: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(named, targets);
}

#[test]
fn every_corpus_has_a_target() {
    for entry in std::fs::read_dir(corpora()).expect("a readable folder") {
        let name = entry.expect("a readable folder").file_name();
        let known = TARGETS.iter().any(|target| *target.name == name);
        assert!(known, "{name:?}");
    }
}

/// Without its keys, the fuzzer hardly ever writes a valid scenario that uses a new setting.
#[test]
fn the_dictionary_of_scenarios_has_every_key_of_the_schema() {
    fn keys(schema: &serde_json::Value, found: &mut BTreeSet<String>) {
        let serde_json::Value::Object(parts) = schema else {
            return schema
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|part| keys(part, found));
        };
        let named = parts.get("properties").and_then(|p| p.as_object());
        found.extend(named.into_iter().flat_map(|p| p.keys().cloned()));
        parts.values().for_each(|part| keys(part, found));
    }
    let dictionary = corpora().with_file_name("dictionaries").join("scenario");
    let dictionary = std::fs::read_to_string(dictionary).expect("a dictionary");
    let words: BTreeSet<&str> = dictionary.lines().collect();
    let mut expected = BTreeSet::new();
    let schema = serde_json::from_str(&crate::scenario::schema_text()).expect("JSON");
    keys(&schema, &mut expected);
    assert!(expected.contains("utterances"), "{expected:?}");
    let missing: Vec<&String> = expected
        .iter()
        .filter(|key| !words.contains(format!("\"{key}\"").as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "not in fuzz/dictionaries/scenario: {missing:?}"
    );
}

/// Boundary values for readers of numbers and of text.
const TELLING: [&[u8]; 12] = [
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\n",
    b"\"",
    b"-",
    b"0",
    b"99999999999999999999",
    b"${",
    b"1e308",
    b"\xe2\x80\xa8",
];

/// Changes an input according to its format, or changes arbitrary bytes.
fn mutated(random: &mut ChaCha8Rng, inputs: &[&Vec<u8>], format: Format) -> Vec<u8> {
    let mut bytes = inputs[random.random_range(0..inputs.len())].clone();
    if format != Format::Bytes && random.random() {
        for _ in 0..random.random_range(1..=MUTATIONS) {
            let other = inputs[random.random_range(0..inputs.len())];
            let changed = format.changed(&bytes, other, random.random());
            bytes = changed.unwrap_or(bytes);
        }
        return bytes;
    }
    for _ in 0..random.random_range(1..=MUTATIONS) {
        let at = random.random_range(0..=bytes.len());
        let length = random.random_range(0..=16).min(bytes.len() - at);
        match random.random_range(0..6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..at + length)),
            2 => {
                let part = bytes[at..at + length].to_vec();
                bytes.splice(at..at, part);
            }
            3 => {
                let telling = TELLING[random.random_range(0..TELLING.len())];
                bytes.splice(at..at + length.min(telling.len()), telling.iter().copied());
            }
            4 => {
                let other = inputs[random.random_range(0..inputs.len())];
                let from = random.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
        }
    }
    bytes
}

#[test]
fn mutated_corpus_inputs_satisfy_their_targets_properties() {
    let full = std::env::var("LOADGEN_FULL").is_ok_and(|full| full == "1");
    let times = if full { FULL } else { 1 };
    for target in TARGETS {
        let inputs = corpus(target);
        let inputs: Vec<_> = inputs.values().collect();
        for seed in 0..target.mutations * times {
            let input = mutated(&mut ChaCha8Rng::seed_from_u64(seed), &inputs, target.format);
            let taken = std::panic::catch_unwind(|| (target.run)(&input));
            assert!(
                taken.is_ok(),
                "{}, mutation {seed}: {input:x?}",
                target.name
            );
        }
    }
}
