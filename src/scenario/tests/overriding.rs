//! Tests of overrides, the changes that flags make to a scenario.

use super::*;

fn base(load: &str) -> Scenario {
    check_text(&format!("{SMALL}load: {load}\n"), Unset::Problem).expect("valid")
}

#[test]
fn flags_change_the_load() {
    let seconds = |s| Some(Duration::from_secs(s));
    let lasts = |s| Extent::Duration(Duration::from_secs(s));
    let cases = [
        (
            "fewer calls, still all at once",
            "{calls: 100}",
            Some(5),
            None,
            None,
            Extent::Calls(5),
            5,
        ),
        (
            "more calls, still all at once",
            "{calls: 10}",
            Some(50),
            None,
            None,
            Extent::Calls(50),
            50,
        ),
        (
            "a lower concurrency is capped",
            "{calls: 100, concurrency: 10}",
            Some(5),
            None,
            None,
            Extent::Calls(5),
            5,
        ),
        (
            "a lower concurrency is kept",
            "{calls: 100, concurrency: 10}",
            Some(50),
            None,
            None,
            Extent::Calls(50),
            10,
        ),
        (
            "concurrency alone",
            "{calls: 100}",
            None,
            Some(7),
            None,
            Extent::Calls(100),
            7,
        ),
        (
            "rooms and concurrency",
            "{calls: 3}",
            Some(9),
            Some(2),
            None,
            Extent::Calls(9),
            2,
        ),
        (
            "a duration replaces the number of calls",
            "{calls: 100}",
            None,
            None,
            seconds(60),
            lasts(60),
            100,
        ),
        (
            "rooms for a duration",
            "{calls: 100}",
            Some(5),
            None,
            seconds(60),
            lasts(60),
            5,
        ),
        (
            "rooms in a load with a duration",
            "{duration: 9s}",
            Some(5),
            None,
            None,
            lasts(9),
            5,
        ),
    ];
    for (name, load, rooms, concurrency, duration, extent, at_once) in cases {
        let overrides = Overrides {
            rooms,
            concurrency,
            duration,
            ..Overrides::default()
        };
        let load = overrides.apply(&base(load)).expect(name).load;
        assert_eq!((load.extent, load.concurrency), (extent, at_once), "{name}");
    }
}

#[test]
fn flags_change_the_target_and_the_turns() {
    let overrides = Overrides {
        url: Some("ws://localhost:7880".to_owned()),
        timeout: Some(Duration::from_secs(3)),
        attributes: [("region".to_owned(), "fr".to_owned())].into(),
        ..Overrides::default()
    };
    let scenario = check_text(FULL, Unset::Problem).expect("valid");
    let scenario = overrides.apply(&scenario).expect("the overrides apply");
    let TargetConfig::Livekit(target) = &scenario.target else {
        panic!("{:?}", scenario.target)
    };
    assert_eq!(target.url.as_deref(), Some("ws://localhost:7880"));
    for variant in &scenario.variants {
        assert_eq!(variant.attributes["region"], "fr");
    }
    assert!(
        scenario
            .call
            .turns
            .iter()
            .all(|t| t.timeout == Duration::from_secs(3))
    );
    assert_eq!(Overrides::default().apply(&scenario), Ok(scenario));
}

#[test]
fn flags_that_cannot_apply_are_errors() {
    let none = Overrides::default;
    let embedded = SMALL.replace("kind: livekit", "kind: embedded");
    let embedded = check_text(&embedded, Unset::Problem).expect("valid");
    let cases = [
        (
            base("{calls: 5}"),
            Overrides {
                concurrency: Some(6),
                ..none()
            },
            "`--concurrency 6` is more than the 5 calls in all",
        ),
        (
            base("{calls: 5}"),
            Overrides {
                rooms: Some(0),
                ..none()
            },
            "`--rooms` must be from 1 to 100000, not 0",
        ),
        (
            base("{calls: 5}"),
            Overrides {
                duration: Some(Duration::ZERO),
                ..none()
            },
            "`--duration` must be greater than 0",
        ),
        (
            base("{calls: 5}"),
            Overrides {
                timeout: Some(Duration::ZERO),
                ..none()
            },
            "`--timeout` must be greater than 0",
        ),
        (
            base("{calls: 5, ramp: 9s}"),
            Overrides {
                duration: Some(Duration::from_secs(5)),
                ..none()
            },
            "`--duration` is shorter than the scenario's `load.ramp`",
        ),
        (
            base("{arrival: {rate: 1000}, duration: 10s}"),
            Overrides {
                duration: Some(Duration::from_secs(101)),
                ..none()
            },
            "with `--duration`, more than 100000 calls would arrive",
        ),
        (
            embedded,
            Overrides {
                agent_name: Some("x".to_owned()),
                ..none()
            },
            "`--agent-name` is for LiveKit rooms, but the target of this scenario is embedded",
        ),
    ];
    let attribute = |key: &str| Overrides {
        attributes: [(key.to_owned(), "x".to_owned())].into(),
        ..none()
    };
    let agent = || Overrides {
        agent_name: Some("x".to_owned()),
        ..none()
    };
    let differ = [
        (
            "[{name: a, agent_name: one}, {name: b, agent_name: two}]",
            agent(),
            "`--agent-name` would give the same value to variants that differ in it",
        ),
        (
            "[{name: a, agent_name: one}, {name: b}]",
            agent(),
            "`--agent-name` would give the same value to variants that differ in it",
        ),
        (
            "[{name: a, attributes: {llm: x}}, {name: b, attributes: {llm: y}}]",
            attribute("llm"),
            "`--attribute llm` would give the same value to variants that differ in it",
        ),
        (
            "[{name: a}, {name: b, attributes: {llm: x}}]",
            attribute("llm"),
            "`--attribute llm` would give the same value to variants that differ in it",
        ),
    ];
    let differ = differ.map(|(variants, overrides, message)| {
        let scenario = check_text(&format!("{SMALL}variants: {variants}\n"), Unset::Problem);
        (scenario.expect(message), overrides, message)
    });
    for (scenario, overrides, message) in cases.into_iter().chain(differ) {
        let error = overrides.apply(&scenario).expect_err(message);
        assert_eq!(error.to_string(), message);
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn settings_shared_by_all_variants_can_be_overridden() {
    let variants = "variants: [{name: a, agent_name: one, attributes: {llm: x, locale: en}}, \
                    {name: b, agent_name: one, attributes: {llm: y, locale: en}}]\n";
    let scenario = check_text(&format!("{SMALL}{variants}"), Unset::Problem).expect("valid");
    let overrides = Overrides {
        agent_name: Some("two".to_owned()),
        attributes: [("locale", "fr"), ("tier", "gold")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        ..Overrides::default()
    };
    let found = overrides.apply(&scenario).expect("the overrides apply");
    for (variant, llm) in found.variants.iter().zip(["x", "y"]) {
        assert_eq!(variant.agent_name.as_deref(), Some("two"));
        let attributes = variant.attributes.values().map(String::as_str);
        assert_eq!(attributes.collect::<Vec<_>>(), [llm, "fr", "gold"]);
    }
}
