//! `report.html` of a real run in a real browser.

use crate::support::{Browser, Loadgen, Reports, in_repo};
use serde_json::{Value, json};
use std::path::Path;

/// Eight calls of two turns; the second turn times out before its reply.
const SCENARIO: &str = "\
version: 1
# </script><img src=x onerror=alert(1)>
name: seen
target: {kind: embedded, agent: {delay: 300ms, reply_length: 300ms}}
utterances:
  yes: {file: FIXTURES/yes.wav}
  thanks: {file: FIXTURES/thanks.wav}
call:
  greeting: none
  turns:
    - {say: yes, start: {after: call_start, delay: 100ms}, timeout: 4s}
    - {say: thanks, start: {delay: 200ms}, timeout: 100ms}
load: {calls: 8, concurrency: 4}
thresholds:
  ttfa: [\"p(50)<1s\"]
  missed: [\"rate<0.9\"]
";

/// The texts of the cells in the column with this heading, in the visible rows.
fn column(page: &mut Browser, head: &str) -> Vec<String> {
    let cells = page.evaluate(&format!(
        "(() => {{ const nth = [...document.querySelectorAll('#turn-heads th')].findIndex(h => h.innerText.trim() === {head:?});
           return [...document.querySelectorAll('#turn-rows tr')].map(r => r.cells[nth].innerText); }})()"
    ));
    serde_json::from_value(cells).expect("texts")
}

fn click(page: &mut Browser, head: &str) {
    page.evaluate(&format!(
        "[...document.querySelectorAll('#turn-heads button')].find(b => b.innerText.trim() === {head:?}).click()"
    ));
}

/// Sets a control as a user would.
fn choose(page: &mut Browser, control: &str, value: &str) {
    page.evaluate(&format!(
        "(() => {{ const c = document.getElementById({control:?}); c.value = {value:?};
           c.dispatchEvent(new Event(c.tagName === 'INPUT' ? 'input' : 'change', {{bubbles: true}})); }})()"
    ));
}

fn numbers(cells: &[String]) -> Vec<f64> {
    cells.iter().filter_map(|c| c.parse().ok()).collect()
}

#[test]
fn the_report_of_a_run_works_in_a_browser() {
    let run = Loadgen::new(["run", "it.yaml", "--out", "run", "--quiet", "--evidence"]);
    let fixtures = in_repo("fixtures").display().to_string();
    let scenario = SCENARIO.replace("FIXTURES", &fixtures);
    std::fs::write(run.dir().join("it.yaml"), scenario).expect("writable");
    let run = run.run();
    let folder = run.dir().join("run");
    assert!(folder.join("report.html").is_file(), "{:?}", run.finished);
    let reports = Reports::read(&folder);
    let mut page = Browser::start();
    page.open(&folder.join("report.html"));

    charts_are_seen(&mut page);
    values_are_shown(&mut page);
    turns_are_those_of_the_csv(&mut page, &reports);
    turns_sort(&mut page);
    turns_filter(&mut page);
    sounds_play(&mut page);
    nothing_overflows(&mut page);
    colours_follow_the_scheme(&mut page);
    typical_values_can_be_hidden(&mut page);
    assert_eq!(
        page.evaluate("document.querySelectorAll('img').length"),
        json!(0)
    );
    assert_eq!(page.complaints(), [] as [String; 0]);
    a_page_without_its_folder_works(&mut page, &folder);
}

fn charts_are_seen(page: &mut Browser) {
    let charts = page.evaluate(
        "[...document.querySelectorAll('figure.chart')].map(f => { const b = f.querySelector('.plot svg').getBoundingClientRect();
           return [f.id, b.width, b.height, f.querySelectorAll('.plot svg *').length]; })",
    );
    let charts = charts.as_array().expect("a list");
    let ids: Vec<&str> = charts.iter().filter_map(|c| c[0].as_str()).collect();
    for id in ["histogram", "shares", "over-time", "parts-chart"] {
        assert!(ids.contains(&id), "{id} is not among {ids:?}");
    }
    for chart in charts {
        let at_least = |nth: usize, least: f64| chart[nth].as_f64().is_some_and(|n| n >= least);
        assert!(
            at_least(1, 200.0) && at_least(2, 100.0) && at_least(3, 20.0),
            "{chart}"
        );
    }
}

/// A checkbox hides the values that are typical of voice agents, in tables and in charts.
fn typical_values_can_be_hidden(page: &mut Browser) {
    let seen = "[...document.querySelectorAll('.typical, [stroke=\"#7A8693\"]')]
                .map(e => getComputedStyle(e).display != 'none')";
    let all = |seen: Value, shown: bool| {
        let seen: Vec<bool> = serde_json::from_value(seen).expect("a list");
        assert!(!seen.is_empty());
        assert!(seen.iter().all(|s| *s == shown), "{seen:?}");
    };
    all(page.evaluate(seen), true);
    page.evaluate("document.getElementById('typical').click()");
    all(page.evaluate(seen), false);
}

/// The pointer and the arrow keys show values that match the rows of the table of values.
fn values_are_shown(page: &mut Browser) {
    assert_eq!(
        page.evaluate("document.getElementById('tip').hidden"),
        json!(true)
    );
    page.point_at("#over-time .hits rect:nth-child(2)");
    page.wait_for("!document.getElementById('tip').hidden");
    let shown = "[...document.querySelectorAll('#tip b')].map(b => b.textContent)";
    let row = |nth: usize| {
        format!("[...document.querySelectorAll('#over-time .values tbody tr')][{nth}].textContent")
    };
    let joined = |shown: Value| -> String {
        let cells: Vec<String> = serde_json::from_value(shown).expect("texts");
        cells.concat()
    };
    let (tip, cells) = (page.evaluate(shown), page.evaluate(&row(1)));
    assert_eq!(json!(joined(tip)), cells);
    page.evaluate("document.querySelector('#over-time .plot').focus()");
    page.press("ArrowLeft");
    let (tip, cells) = (page.evaluate(shown), page.evaluate(&row(0)));
    assert_eq!(json!(joined(tip)), cells);
    page.press("Escape");
    page.wait_for("document.getElementById('tip').hidden");
}

fn turns_are_those_of_the_csv(page: &mut Browser, reports: &Reports) {
    let mut csv: Vec<f64> = reports
        .turns
        .iter()
        .filter_map(|t| t["ttfa_ms"].parse().ok())
        .collect();
    csv.sort_by(f64::total_cmp);
    let csv: Vec<String> = csv.iter().rev().map(|ms| format!("{ms:.1}")).collect();
    assert!(csv.len() >= 8, "{csv:?}");
    let table = column(page, "ttfa");
    assert_eq!(table.len(), reports.turns.len());
    // The slowest turns come first, turns without a reply last.
    assert_eq!(table[..csv.len()], csv);
    assert!(table[csv.len()..].iter().all(|cell| cell == "–"));
}

fn turns_sort(page: &mut Browser) {
    let slowest_first = numbers(&column(page, "ttfa"));
    click(page, "ttfa");
    let mut fastest_first = numbers(&column(page, "ttfa"));
    let sorting = "document.querySelector('#turn-heads [aria-sort]').getAttribute('aria-sort')";
    assert_eq!(page.evaluate(sorting), json!("ascending"));
    fastest_first.reverse();
    assert_eq!(fastest_first, slowest_first);
    click(page, "call");
    let calls = numbers(&column(page, "call"));
    assert!(calls.is_sorted() && calls.len() > 8, "{calls:?}");
    click(page, "utterance");
    let said = column(page, "utterance");
    assert!(
        said.is_sorted() || said.iter().rev().is_sorted(),
        "{said:?}"
    );
}

fn turns_filter(page: &mut Browser) {
    let all = column(page, "outcome").len();
    choose(page, "by-outcome", "missed");
    let missed = column(page, "outcome");
    assert!(
        !missed.is_empty() && missed.iter().all(|o| o == "missed"),
        "{missed:?}"
    );
    choose(page, "by-outcome", "");
    choose(page, "find", "call 3");
    let calls = column(page, "call");
    assert!(
        calls.len() == 2 && calls.iter().all(|c| c == "3"),
        "{calls:?}"
    );
    choose(page, "find", "thanks");
    assert!(column(page, "utterance").iter().all(|u| u == "thanks"));
    choose(page, "find", "text of no turn");
    assert_eq!(
        page.evaluate("document.getElementById('shown').textContent"),
        json!(format!("0 of {all} turns"))
    );
    choose(page, "find", "");
    assert_eq!(column(page, "outcome").len(), all);
}

/// The audio of the slowest and the missed turns plays from the folder next to the page.
fn sounds_play(page: &mut Browser) {
    let sounds = page.evaluate("document.querySelectorAll('audio').length");
    assert!(sounds.as_u64() >= Some(9), "{sounds}");
    page.evaluate("document.querySelector('audio').play()");
    page.wait_for("document.querySelector('audio').currentTime > 0.2");
    page.evaluate("document.querySelector('audio').pause()");
    let waves =
        page.evaluate("document.querySelector('.timeline').querySelectorAll('polygon').length");
    assert_eq!(waves, json!(2), "of the caller and the agent");
}

/// Nothing overflows the page, at the width of a phone or on paper.
fn nothing_overflows(page: &mut Browser) {
    let sticks_out = "document.documentElement.scrollWidth > innerWidth";
    for (width, media) in [
        (1360, "screen"),
        (760, "screen"),
        (390, "screen"),
        (794, "print"),
    ] {
        page.resize(width, 1000);
        page.show_as(media, "light");
        assert_eq!(page.evaluate(sticks_out), json!(false), "{width} {media}");
    }
    let shown = page.evaluate("getComputedStyle(document.querySelector('nav.contents')).display");
    assert_eq!(shown, json!("none"), "no table of contents on paper");
}

fn colours_follow_the_scheme(page: &mut Browser) {
    page.resize(1360, 1000);
    let mut seen = |scheme: &str| {
        page.show_as("screen", scheme);
        page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.chart text')).fill]")
    };
    let (light, dark) = (seen("light"), seen("dark"));
    assert_eq!(light[0], json!("rgb(255, 255, 255)"));
    assert_ne!(light[0], dark[0]);
    assert_ne!(light[1], dark[1]);
}

/// Without its run folder, the page still works and states where the audio is.
fn a_page_without_its_folder_works(page: &mut Browser, folder: &Path) {
    let alone = tempfile::tempdir().expect("a folder");
    let copy = alone.path().join("report.html");
    std::fs::copy(folder.join("report.html"), &copy).expect("a copy");
    page.open(&copy);
    page.evaluate("document.querySelector('audio').play().catch(() => 0)");
    page.wait_for("[...document.querySelectorAll('.timeline .note')].some(n => n.textContent.includes('folder'))");
    assert!(column(page, "ttfa").len() > 8);
}
