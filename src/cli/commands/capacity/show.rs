//! Formats the capacity search: each step, a chart of latency by concurrency, the answer.
//!
//! In: measurements. Out: text. Invariant: every bar has its value next to it as a number.

use super::answer::CapacityResult;
use super::full;
use super::step::Measured;
use crate::record::Ms;
use crate::stats::Sample;

/// Width of the longest bar.
const WIDTH: usize = 40;

/// One line about a step, printed when the step is over.
pub(super) fn line(step: &Measured) -> String {
    let again = if step.recheck { " (again)" } else { "" };
    let word = match (step.keeps, step.weak) {
        (true, false) => "meets the SLO",
        (true, true) => "meets the SLO, but inconclusively",
        (false, false) => "violates the SLO",
        (false, true) => "violates the SLO, but inconclusively",
    };
    format!(
        "{} calls at once{again}: {} {} of {} turns, {} missed or failed: {word}",
        step.calls,
        figure(step.quantile_ms),
        interval(step),
        step.turns,
        step.failed
    )
}

fn figure(ms: Option<Ms>) -> String {
    ms.map_or_else(|| "never".to_owned(), |ms| format!("{ms:.1} ms"))
}

fn interval(step: &Measured) -> String {
    let end = |ms: Option<Ms>| ms.map_or_else(|| "∞".to_owned(), |ms| format!("{ms:.1}"));
    format!("[{}, {}]", end(step.lower_ms), end(step.upper_ms))
}

/// Formats the whole search.
pub(super) fn render(answer: &CapacityResult, bound: Sample) -> String {
    let mut text = format!("ttfa {} against {}\n\n", answer.slo, answer.target);
    text += &chart(answer, bound);
    text += &match (&answer.generator_limit, answer.capacity) {
        (Some(limit), best) => format!(
            "\nthe generator was the limit {limit}\n{}\n",
            match best {
                Some(n) => format!("the agent sustains at least {n} calls at once"),
                None => "no conclusion about the agent is possible".to_owned(),
            }
        ),
        (None, None) => "\nnot even one call meets this SLO\n".to_owned(),
        (None, Some(n)) if answer.at_max => {
            format!("\ncapacity: at least {n} calls at once (--max)\n")
        }
        (None, Some(n)) => format!("\ncapacity: {n} calls at once\n"),
    };
    text + &full::table(&answer.steps)
}

/// Bar chart of the quantile by concurrency. A mark in each row shows the bound; a horizontal line
/// shows the knee.
fn chart(answer: &CapacityResult, bound: Sample) -> String {
    let mut steps: Vec<&Measured> = answer.steps.iter().collect();
    steps.sort_by_key(|s| (s.calls, s.recheck));
    let ms = |s: &Measured| s.quantile_ms.map(Ms::as_f64);
    let bound = bound.as_ms();
    let most = steps.iter().filter_map(|s| ms(s)).fold(bound, f64::max);
    let cell = |v: f64| ((v / most * WIDTH as f64).round() as usize).min(WIDTH);
    let mut text = format!("{:>6} {:>6}  {:<WIDTH$}\n", "calls", "turns", "ttfa");
    let mut knee = false;
    for step in steps {
        if !step.keeps && !knee && answer.capacity.is_some_and(|n| step.calls > n) {
            knee = true;
            text += &format!("{:>6} {:>6}  {}\n", "", "", "─".repeat(WIDTH));
        }
        let length = ms(step).map_or(WIDTH, cell);
        let mut bar: Vec<char> = (0..WIDTH)
            .map(|k| if k < length { '█' } else { ' ' })
            .collect();
        bar[cell(bound).saturating_sub(1)] = '│';
        let bar: String = bar.into_iter().collect();
        let weak = if step.weak { " weak" } else { "" };
        text += &format!(
            "{:>6} {:>6}  {bar} {} {}{weak}\n",
            step.calls,
            step.turns,
            figure(step.quantile_ms),
            interval(step),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::observed::ObservedMean;
    use super::*;
    use std::time::Duration;

    fn step(calls: u32, ms: Option<i64>) -> Measured {
        let of = |ms: i64| Ms::from_micros(ms * 1000);
        Measured {
            calls,
            recheck: false,
            turns: 200,
            failed: if ms.is_some() { 0 } else { 200 },
            quantile_ms: ms.map(of),
            lower_ms: ms.map(|m| of(m - 5)),
            upper_ms: ms.map(|m| of(m + 5)),
            keeps: ms.is_some_and(|m| m < 600),
            weak: false,
            generator_limit: None,
            observed: Vec::new(),
        }
    }

    fn seen(source: &str, series: &str, rate: bool, mean: f64) -> ObservedMean {
        ObservedMean {
            source: source.into(),
            series: series.into(),
            rate,
            mean,
            max: mean,
        }
    }

    #[test]
    fn observations_of_the_last_good_and_the_first_bad_step_are_shown() {
        let bound = Sample::Finite(Duration::from_millis(600));
        let mut answer = answer(Some(10), None);
        let cpu = "process_cpu_seconds_total";
        answer.steps[0].observed = vec![
            seen("worker", cpu, true, 0.48),
            seen("worker", "lk_agents_worker_load", false, 0.5),
        ];
        answer.steps[1].observed = vec![
            seen("worker", cpu, true, 0.974),
            seen("server", "process_resident_memory_bytes", false, 2e8),
        ];
        answer.steps[2].observed = vec![seen("worker", cpu, true, 9.0)];
        let shown = render(&answer, bound);
        let (_, table) = shown.split_once("calls at once\n").expect("an answer");
        insta::assert_snapshot!("observed", table);
    }

    fn answer(capacity: Option<u32>, limit: Option<&str>) -> CapacityResult {
        CapacityResult {
            measurement_version: crate::record::MEASUREMENT_VERSION,
            target: "embedded agent".into(),
            slo: "p(95)<600ms".into(),
            capacity,
            at_max: false,
            generator_limit: limit.map(str::to_owned),
            steps: vec![step(10, Some(400)), step(20, Some(800)), step(40, None)],
        }
    }

    #[test]
    fn the_chart_marks_the_knee_and_the_bound() {
        let bound = Sample::Finite(Duration::from_millis(600));
        insta::assert_snapshot!(render(&answer(Some(10), None), bound));
        let limited = render(
            &answer(Some(10), Some("at 40 calls at once: too slow")),
            bound,
        );
        assert!(limited.contains("at least 10 calls"), "{limited}");
        let none = render(&answer(None, None), bound);
        assert!(none.contains("not even one call"), "{none}");
    }
}
