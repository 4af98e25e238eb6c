//! The example scenarios and their sounds, compiled into the binary.
//!
//! Invariant: paths are the same as in the repository, so that `init` writes the same files as
//! `run quickstart` uses.

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)) as &[u8])),*]
    };
}

/// Path in the repository and content of every built-in file.
pub(super) const BUILTINS: &[(&str, &[u8])] = files![
    "scenarios/quickstart.yaml",
    "scenarios/100-calls.yaml",
    "scenarios/bad-networks.yaml",
    "scenarios/capacity.yaml",
    "scenarios/ci-gate.yaml",
    "scenarios/compare-providers.yaml",
    "scenarios/conversation.yaml",
    "scenarios/fillers.yaml",
    "scenarios/interruptions.yaml",
    "scenarios/noisy-callers.yaml",
    "scenarios/pipeline.yaml",
    "scenarios/soak.yaml",
    "scenarios/spike.yaml",
    "scenarios/track-changes.yaml",
    "scenarios/troubles.yaml",
    "scenarios/schema.json",
    "fixtures/account-number.json",
    "fixtures/account-number.wav",
    "fixtures/babble.json",
    "fixtures/babble.wav",
    "fixtures/cancel.json",
    "fixtures/cancel.wav",
    "fixtures/correction.json",
    "fixtures/correction.wav",
    "fixtures/cough.json",
    "fixtures/cough.wav",
    "fixtures/door.json",
    "fixtures/door.wav",
    "fixtures/help.json",
    "fixtures/help.wav",
    "fixtures/hesitation.json",
    "fixtures/hesitation.wav",
    "fixtures/long-story.json",
    "fixtures/long-story.wav",
    "fixtures/mhm.json",
    "fixtures/mhm.wav",
    "fixtures/opening-hours.json",
    "fixtures/opening-hours.wav",
    "fixtures/order-status.json",
    "fixtures/order-status.wav",
    "fixtures/reply.json",
    "fixtures/reply.wav",
    "fixtures/thanks.json",
    "fixtures/thanks.wav",
    "fixtures/yes.json",
    "fixtures/yes.wav",
];

/// Names of the built-in scenarios.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let name = |path: &'static str| path.strip_prefix("scenarios/")?.strip_suffix(".yaml");
    BUILTINS.iter().filter_map(move |(path, _)| name(path))
}

/// Content of a built-in file.
pub(super) fn content(path: &str) -> Option<&'static [u8]> {
    let found = BUILTINS.iter().find(|(name, _)| *name == path);
    found.map(|(_, content)| *content)
}
