//! The flags that start the reference agent with the settings of a scenario, and the shortest delay
//! that the agent guarantees.
//!
//! In: an agent's settings. Out: arguments of `loadgen agent`. Invariant: `loadgen agent` parses
//! them back into the same settings (tested next to its parser).

use crate::scenario::{AgentSettings, Sound};
use crate::vocab::duration;
use std::time::Duration;

/// Shortest delay that the agent guarantees: before that, it may not yet have detected that the
/// caller has stopped speaking.
pub(crate) const SHORTEST_KEPT: Duration = Duration::from_millis(180);

/// Command-line arguments that start an agent with these settings.
pub(crate) fn arguments(settings: &AgentSettings) -> Vec<String> {
    let sound = |sound: &Sound| match sound {
        Sound::Tone => "tone".to_owned(),
        Sound::File(path) => path.display().to_string(),
    };
    let mut arguments = vec![
        format!("--delay={}", settings.delay),
        format!("--seed={}", settings.seed),
        format!("--reply={}", sound(&settings.reply)),
        format!("--reply-length={}", duration::format(settings.reply_length)),
    ];
    arguments.extend(
        settings
            .greeting
            .as_ref()
            .map(|g| format!("--greeting={}", sound(g))),
    );
    arguments.extend(settings.capacity.map(|n| format!("--capacity={n}")));
    if !settings.behaviour.is_default() {
        // JSON is YAML. The behaviour has only texts, numbers and lists of them, so it cannot fail.
        let text = serde_json::to_string(&settings.behaviour).unwrap_or_default();
        arguments.push(format!("--behaviour={text}"));
    }
    let truth = settings.truth.as_ref();
    arguments.extend(truth.map(|path| format!("--truth={}", path.display())));
    arguments
}
