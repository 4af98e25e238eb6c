//! Who speaks when: overlap, silences, and who came in on whom.
//!
//! In: spans of the caller's speech (at capture) and of the agent's (at playout), within a window.
//! Out: a [`Floor`]. Pure. Invariants: pauses under 200 ms are part of the speech; speech outside
//! the window counts only as far as it lies inside.

use super::span::{SEPARATES, Span};
use std::time::Duration;

/// Who spoke for how long within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Floor {
    /// Speech of the caller.
    pub(crate) caller: Duration,
    /// Speech of the agent.
    pub(crate) agent: Duration,
    /// Time in which both spoke.
    pub(crate) overlap: Duration,
    /// How often the agent began to speak while the caller was speaking.
    pub(crate) agent_came_in: usize,
    /// How often the caller began to speak while the agent was speaking.
    pub(crate) caller_came_in: usize,
}

impl Floor {
    /// Measures the speech of both within `window`. The spans may be in any order and may overlap.
    pub(super) fn of(window: Span, caller: Vec<Span>, agent: Vec<Span>) -> Self {
        let (caller, agent) = (joined(caller), joined(agent));
        let mut floor = Self {
            caller: length(&caller, window),
            agent: length(&agent, window),
            ..Self::default()
        };
        for one in &caller {
            for other in &agent {
                let both = Span {
                    from: one.from.max(other.from),
                    to: one.to.min(other.to),
                };
                let inside = both.within(window);
                if inside.is_zero() {
                    continue;
                }
                floor.overlap += inside;
                // An overlap that began before the window was counted in the window before.
                if both.from >= window.from {
                    floor.agent_came_in += usize::from(other.from > one.from);
                    floor.caller_came_in += usize::from(other.from <= one.from);
                }
            }
        }
        floor
    }

    /// Adds the figures of another window.
    pub(super) fn add(&mut self, other: Self) {
        self.caller += other.caller;
        self.agent += other.agent;
        self.overlap += other.overlap;
        self.agent_came_in += other.agent_came_in;
        self.caller_came_in += other.caller_came_in;
    }

    /// Time in which anybody spoke.
    pub(crate) fn speech(&self) -> Duration {
        (self.caller + self.agent).saturating_sub(self.overlap)
    }
}

/// Silences of at least `bound` within a window, in which neither speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Silences {
    pub(crate) count: usize,
    pub(crate) total: Duration,
    pub(crate) longest: Duration,
}

impl Silences {
    /// Finds the silences of at least `bound` between the spans of `speech` inside `window`, and
    /// between them and its ends.
    pub(super) fn of(window: Span, speech: Vec<Span>, bound: Duration) -> Self {
        let mut silences = Self::default();
        let mut last = window.from;
        let end = Span {
            from: window.to,
            to: window.to,
        };
        for span in joined(speech).into_iter().chain([end]) {
            let gap = span.from.min(window.to).saturating_duration_since(last);
            if gap >= bound && !gap.is_zero() {
                silences.count += 1;
                silences.total += gap;
                silences.longest = silences.longest.max(gap);
            }
            last = last.max(span.to);
        }
        silences
    }
}

/// The spans in order, those closer than 200 ms joined.
fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| span.from < span.to);
    spans.sort_by_key(|span| span.from);
    let mut all: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match all.last_mut() {
            Some(last) if span.from < last.to + SEPARATES => last.to = last.to.max(span.to),
            _ => all.push(span),
        }
    }
    all
}

fn length(spans: &[Span], window: Span) -> Duration {
    spans.iter().map(|span| span.within(window)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Spans from ms after `zero`.
    fn spans(zero: Instant, all: &[(u64, u64)]) -> Vec<Span> {
        let at = |ms| zero + Duration::from_millis(ms);
        all.iter()
            .map(|(from, to)| Span {
                from: at(*from),
                to: at(*to),
            })
            .collect()
    }

    #[test]
    fn overlap_and_who_came_in_follow_from_the_spans() {
        type Spans = &'static [(u64, u64)];
        // Caller, agent, [caller, agent, overlap] in ms, times that agent and caller came in.
        type Case = (&'static str, Spans, Spans, [u64; 3], [usize; 2]);
        let cases: [Case; 8] = [
            (
                "one after another",
                &[(0, 1000)],
                &[(1500, 3000)],
                [1000, 1500, 0],
                [0, 0],
            ),
            (
                "the agent comes in",
                &[(0, 1000)],
                &[(700, 1900)],
                [1000, 1200, 300],
                [1, 0],
            ),
            (
                "the caller comes in",
                &[(500, 1000)],
                &[(0, 800)],
                [500, 800, 300],
                [0, 1],
            ),
            (
                "a pause under 200 ms",
                &[(0, 400), (590, 1000)],
                &[(450, 500)],
                [1000, 50, 50],
                [1, 0],
            ),
            (
                "a pause of 200 ms",
                &[(0, 400), (600, 1000)],
                &[(450, 500)],
                [800, 50, 0],
                [0, 0],
            ),
            (
                "both, twice",
                &[(0, 1000), (2000, 3000)],
                &[(500, 2500)],
                [2000, 2000, 1000],
                [1, 1],
            ),
            (
                "beyond the window",
                &[(0, 1000)],
                &[(900, 9000)],
                [1000, 4100, 100],
                [1, 0],
            ),
            (
                "on two tracks",
                &[(0, 1000)],
                &[(500, 800), (600, 900)],
                [1000, 400, 400],
                [1, 0],
            ),
        ];
        let zero = Instant::now();
        let window = spans(zero, &[(0, 5000)])[0];
        for (name, caller, agent, [spoke, answered, both], [in_on_caller, in_on_agent]) in cases {
            let floor = Floor::of(window, spans(zero, caller), spans(zero, agent));
            let ms = |d: Duration| d.as_millis() as u64;
            assert_eq!(
                [ms(floor.caller), ms(floor.agent), ms(floor.overlap)],
                [spoke, answered, both],
                "{name}"
            );
            let came = [floor.agent_came_in, floor.caller_came_in];
            assert_eq!(came, [in_on_caller, in_on_agent], "{name}");
            assert_eq!(ms(floor.speech()), spoke + answered - both, "{name}");
        }
    }

    #[test]
    fn windows_add_up_to_the_figures_of_the_whole() {
        let zero = Instant::now();
        let caller = || spans(zero, &[(0, 1000), (4000, 6000)]);
        let agent = || spans(zero, &[(900, 4500), (5000, 9000)]);
        let window = |range| spans(zero, &[range])[0];
        let whole = Floor::of(window((0, 10_000)), caller(), agent());
        let mut sum = Floor::default();
        for cut in [(0, 4000), (4000, 5500), (5500, 10_000)] {
            sum.add(Floor::of(window(cut), caller(), agent()));
        }
        assert_eq!(sum, whole);
        assert_eq!((whole.agent_came_in, whole.caller_came_in), (2, 1));
    }

    #[test]
    fn silences_count_from_their_bound_on() {
        let zero = Instant::now();
        let window = spans(zero, &[(1000, 20_000)])[0];
        let bound = Duration::from_secs(3);
        let of = |all| Silences::of(window, spans(zero, all), bound);
        let found = |count, total, longest| Silences {
            count,
            total: Duration::from_millis(total),
            longest: Duration::from_millis(longest),
        };
        assert_eq!(of(&[]), found(1, 19_000, 19_000));
        assert_eq!(of(&[(0, 30_000)]), found(0, 0, 0));
        assert_eq!(
            of(&[(3_999, 17_001)]),
            found(0, 0, 0),
            "just under the bound"
        );
        assert_eq!(
            of(&[(4_000, 10_000), (14_000, 19_000)]),
            found(2, 7_000, 4_000)
        );
        assert_eq!(
            of(&[(2_000, 2_100), (30_000, 31_000)]),
            found(1, 17_900, 17_900)
        );
    }
}
