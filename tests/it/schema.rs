//! The committed JSON Schemas match those generated from the types, and are valid; the schema of
//! scenarios refuses null, unknown keys and invalid values.

use loadgen::report::json::summary_schema;
use loadgen::scenario::schema_text;
use std::path::Path;

fn committed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn the_committed_scenario_schema_matches_the_generated_one() {
    let same = committed("scenarios/schema.json") == schema_text();
    assert!(
        same,
        "run `cargo run -- schema > scenarios/schema.json` and review the changes"
    );
}

#[test]
fn the_committed_summary_schema_matches_the_generated_one() {
    let generated = summary_schema();
    let same = committed("docs/summary.schema.json") == generated;
    assert!(
        same,
        "run `cargo run -- schema summary > docs/summary.schema.json` and review the changes"
    );
    let schema: serde_json::Value = serde_json::from_str(&generated).expect("JSON");
    jsonschema::meta::validate(&schema).expect("valid against its meta-schema");
    let required = schema["required"].as_array().expect("required fields");
    for field in ["version", "verdict", "run", "metrics", "outcomes", "calls"] {
        assert!(required.iter().any(|r| r == field), "{field}");
    }
}

#[test]
fn the_schema_is_valid_and_refuses_null() {
    let schema: serde_json::Value = serde_json::from_str(&schema_text()).expect("JSON");
    jsonschema::meta::validate(&schema).expect("valid against its meta-schema");
    let validator = jsonschema::validator_for(&schema).expect("compiles");
    let scenario = |load: &str| {
        let text = format!(
            r#"{{"version": 1, "target": {{"kind": "embedded"}}, "load": {load},
                "utterances": {{"a": {{"file": "a.wav"}}}}, "call": {{"turns": [{{"say": "a"}}]}}}}"#
        );
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
    };
    assert!(validator.is_valid(&scenario(r#"{"calls": 3, "ramp": "1s"}"#)));
    for wrong in [
        "null",
        r#"{"calls": null}"#,
        r#"{"calls": 0}"#,
        r#"{"call": 1}"#,
        r#"{"ramp": 1}"#,
    ] {
        assert!(!validator.is_valid(&scenario(wrong)), "{wrong}");
    }
}
