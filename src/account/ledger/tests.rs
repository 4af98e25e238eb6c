//! Claims and turns of invented calls, in ms since the start of the call.

use super::*;

/// Reading of the agent's clock at the start of the call, in ns.
const AHEAD: i64 = 1_700_000_000_000_000_000;

/// A call in which both clocks are read in ms since its start.
struct Script {
    start: Instant,
    account: CallAccount,
    /// Identity of the agent that makes the claims.
    agent: &'static str,
}

impl Script {
    fn new() -> Self {
        let start = Instant::now();
        let mut script = Self {
            start,
            account: CallAccount::new(start),
            agent: "agent",
        };
        // The request takes 3 ms to arrive, its answer 2 ms.
        script.claim(5, Some(3), Some(0), ClaimKind::Other);
        script
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn claim(&mut self, arrival: u64, sent: Option<i64>, asked: Option<u64>, kind: ClaimKind) {
        let claim = Claim {
            agent: self.agent.into(),
            arrival: self.at(arrival),
            sent: sent.map(agent),
            requested: asked.map(|asked| self.at(asked)),
            kind,
        };
        self.account.claim(&claim);
    }

    fn user_turn(&mut self, arrival: u64, stopped: i64, delay: u64) {
        let turn = UserTurn {
            stopped_speaking: Some(agent(stopped)),
            end_of_turn_delay: Some(Duration::from_millis(delay)),
            ..UserTurn::default()
        };
        self.claim(arrival, None, None, ClaimKind::UserTurn(turn));
    }

    fn reply(&mut self, arrival: u64, started: i64, ttft: Option<u64>, e2e: Option<u64>) {
        let reply = Reply {
            started_speaking: Some(agent(started)),
            llm_node_ttft: ttft.map(Duration::from_millis),
            e2e_latency: e2e.map(Duration::from_millis),
            ..Reply::default()
        };
        self.claim(arrival, None, None, ClaimKind::Reply(reply));
    }

    fn turn(&mut self, turn: usize, media_start: u64, speech_end: u64, onset: Option<u64>) {
        let times = TurnTimes {
            turn,
            media_start: self.at(media_start),
            speech_end: self.at(speech_end),
            onset: onset.map(|onset| self.at(onset)),
        };
        self.account.turn(times);
    }

    /// The accounts of complete turns as `turn: end of turn, ttft, e2e`, in ms.
    fn settled(&mut self, over: bool) -> Vec<String> {
        let ms = |d: Option<Duration>| d.map_or("-".into(), |d| d.as_millis().to_string());
        let told = |(turn, account): (usize, TurnAccount)| {
            let figures = [
                account.end_of_turn_delay,
                account.llm_node_ttft,
                account.e2e_latency,
            ];
            format!("{turn}: {}", figures.map(ms).join(", "))
        };
        self.account.settle(over).into_iter().map(told).collect()
    }
}

fn agent(ms: i64) -> AgentTime {
    AgentTime(AHEAD + ms * 1_000_000)
}

#[test]
fn claims_are_matched_to_their_turns_and_placed_on_the_callers_clock() {
    let mut call = Script::new();
    call.user_turn(2_717, 2_030, 470);
    call.turn(0, 1_000, 2_000, Some(3_000));
    assert!(call.settled(false).is_empty(), "reply not described yet");
    call.reply(6_000, 2_823, Some(150), Some(793));
    call.user_turn(9_500, 9_020, 480);
    call.turn(1, 8_000, 9_000, Some(9_900));
    assert_eq!(call.settled(false), ["0: 470, 150, 793"]);
    assert!(call.account.awaits_reply());
    call.reply(12_000, 9_800, Some(151), Some(780));
    assert!(!call.account.awaits_reply());
    let (turn, last) = &call.account.settle(true)[0];
    assert_eq!(*turn, 1);
    let started = last.started_speaking.expect("placed");
    let earliest = started.earliest.expect("the agent answers requests");
    assert!(earliest <= call.at(9_800) && call.at(9_800) <= started.latest);
    let width = started.width().expect("both ends");
    assert!(width < Duration::from_millis(16), "{width:?}");
}

#[test]
fn an_interrupted_reply_belongs_to_the_turn_before_the_interruption() {
    let mut call = Script::new();
    call.user_turn(2_500, 2_020, 400);
    call.turn(0, 1_000, 2_000, Some(3_000));
    // The caller interrupts at 4 s; the agent describes both replies later.
    call.reply(5_300, 2_900, Some(100), Some(880));
    call.user_turn(5_500, 5_020, 410);
    call.turn(1, 4_000, 5_000, Some(6_000));
    call.reply(8_000, 5_900, Some(200), Some(890));
    let all = call.settled(true);
    assert_eq!(all, ["0: 400, 100, 880", "1: 410, 200, 890"]);
}

#[test]
fn a_turn_waits_for_the_description_of_its_reply() {
    let mut call = Script::new();
    call.user_turn(2_500, 2_020, 400);
    call.turn(0, 1_000, 2_000, Some(3_000));
    // The next turn only expects the agent to stop; the interrupted reply is described later.
    call.turn(1, 4_000, 5_000, None);
    assert!(call.settled(false).is_empty());
    assert!(call.account.awaits_reply());
    call.reply(6_300, 2_900, Some(100), Some(880));
    assert!(!call.account.awaits_reply());
    assert_eq!(call.settled(false), ["0: 400, 100, 880"]);
    // An agent that was cut off never describes its reply; after two more turns the description is
    // no longer awaited.
    call.user_turn(9_500, 9_020, 410);
    call.turn(2, 8_000, 9_000, Some(10_000));
    call.turn(3, 12_000, 13_000, None);
    assert!(call.settled(false).is_empty());
    call.turn(4, 16_000, 17_000, None);
    assert_eq!(call.settled(false), ["2: 410, -, -"]);
}

#[test]
fn amending_a_settled_turn_has_no_effect() {
    let mut call = Script::new();
    for turn in 0..3u64 {
        let start = 4_000 * turn;
        call.turn(turn as usize, start, start + 1_000, Some(start + 2_000));
    }
    assert!(call.settled(false).is_empty());
    call.turn(0, 0, 1_000, None);
    call.reply(10_900, 9_900, Some(100), Some(880));
    assert_eq!(call.settled(true), ["2: -, 100, 880"]);
}

#[test]
fn each_agent_has_its_own_clock() {
    let mut call = Script::new();
    call.turn(0, 1_000, 2_000, Some(3_000));
    // The successor's clock is an hour ahead.
    let hour = 3_600_000;
    call.agent = "successor";
    call.claim(500, Some(hour + 498), Some(490), ClaimKind::Other);
    call.reply(6_000, hour + 2_900, Some(100), Some(880));
    let (_, account) = &call.account.settle(true)[0];
    let started = account.started_speaking.expect("placed");
    assert!(started.earliest.is_some_and(|at| at <= call.at(2_900)));
    assert!(call.at(2_900) <= started.latest && started.latest <= call.at(2_910));
}

#[test]
fn the_critical_path_goes_through_the_tool_that_the_reply_waited_for() {
    let ms = |ms| Some(Duration::from_millis(ms));
    let mut call = Script::new();
    let user = UserTurn {
        stopped_speaking: Some(agent(2_000)),
        end_of_turn_delay: ms(700),
        ..UserTurn::default()
    };
    call.claim(2_800, Some(2_790), None, ClaimKind::UserTurn(user));
    let tool = |began: Option<i64>, ended: Option<i64>, failed| {
        ClaimKind::Tools(vec![ToolEvent {
            id: "call".into(),
            name: began.map(|_| "look_up".into()),
            began: began.map(agent),
            ended: ended.map(agent),
            failed,
        }])
    };
    call.claim(3_010, Some(3_000), None, tool(Some(3_000), None, false));
    call.claim(3_710, Some(3_700), None, tool(None, Some(3_700), true));
    let reply = Reply {
        text: Some("It is on its way.".into()),
        asked: Some(agent(3_710)),
        started_speaking: Some(agent(4_130)),
        llm_node_ttft: ms(300),
        llm_node_ttfs: ms(400),
        tts_node_ttfb: ms(15),
        // Python agents report no latency for a reply that follows a tool call.
        e2e_latency: None,
    };
    call.claim(6_000, Some(5_990), None, ClaimKind::Reply(reply));
    call.turn(0, 1_000, 2_000, Some(4_200));
    let (_, account) = &call.account.settle(true)[0];
    let path = account.path.iter();
    let path: Vec<_> = path.map(|(step, d)| (step.name(), d.as_millis())).collect();
    let expected = [
        ("end_of_turn", 700),
        ("tool_choice", 300),
        ("tool", 700),
        ("unexplained", 10),
        ("llm", 400),
        ("unexplained", 5),
        ("tts", 15),
    ];
    assert_eq!(path, expected);
    let [tool] = &account.tools[..] else {
        panic!("expected one tool call, got {:?}", account.tools);
    };
    assert!(tool.failed && &*tool.name == "look_up");
    let length = tool.ended.expect("it ended").likely() - tool.began.likely();
    assert!(length.abs_diff(Duration::from_millis(700)) < Duration::from_millis(1));
}

#[test]
fn texts_belong_to_the_turn_in_which_they_were_said() {
    let mut call = Script::new();
    let words = |call: &mut Script, arrival, stopped, text: &str| {
        let turn = UserTurn {
            text: Some(text.into()),
            stopped_speaking: Some(agent(stopped)),
            ..UserTurn::default()
        };
        call.claim(arrival, None, None, ClaimKind::UserTurn(turn));
    };
    let said = |call: &mut Script, arrival, started, text: &str| {
        let reply = Reply {
            text: Some(text.into()),
            started_speaking: Some(agent(started)),
            ..Reply::default()
        };
        call.claim(arrival, None, None, ClaimKind::Reply(reply));
    };
    // The agent split the utterance into two turns at a pause.
    words(&mut call, 1_900, 1_500, "where is");
    words(&mut call, 2_500, 2_020, "my order");
    said(&mut call, 4_000, 3_000, "Let me check.");
    said(&mut call, 6_000, 4_200, "It is on its way.");
    call.turn(0, 1_000, 2_000, Some(3_060));
    words(&mut call, 9_500, 9_020, "thanks");
    call.turn(1, 8_000, 9_000, None);
    // The agent recognised no words in the third turn; the transcript of the fourth may still come.
    call.turn(2, 14_000, 15_000, None);
    call.turn(3, 18_000, 19_000, None);
    let all = call.account.settle(true);
    let texts: Vec<_> = all
        .iter()
        .map(|(_, account)| (account.heard_text.as_deref(), account.reply_text.as_deref()))
        .collect();
    let expected = [
        (
            Some("where is my order"),
            Some("Let me check. It is on its way."),
        ),
        (Some("thanks"), None),
        (Some(""), None),
    ];
    assert_eq!(texts, expected);
}

#[test]
fn transcripts_alone_are_enough_for_the_texts_of_a_turn() {
    let mut call = Script::new();
    let transcript = |text: &str| ClaimKind::Transcript(text.into());
    let reply = |text: &str| ClaimKind::ReplyTranscript(text.into());
    call.claim(900, None, None, reply("Hello, how can I help?"));
    call.claim(2_700, None, None, transcript("cancel it"));
    call.claim(6_000, None, None, reply("It is cancelled."));
    call.turn(0, 1_000, 2_000, Some(3_000));
    let (_, account) = &call.account.settle(true)[0];
    assert_eq!(account.heard_text.as_deref(), Some("cancel it"));
    assert_eq!(account.reply_text.as_deref(), Some("It is cancelled."));
    let long: Arc<str> = "ä".repeat(TEXT).into();
    let cut = joined([&*long, "more"].into_iter()).expect("a text");
    assert!(cut.len() <= TEXT && cut.chars().all(|c| c == 'ä'));
}

#[test]
fn the_text_of_a_reply_is_known_before_its_turn_is_settled() {
    let mut call = Script::new();
    let turn = TurnTimes {
        turn: 0,
        media_start: call.at(1_000),
        speech_end: call.at(2_000),
        onset: Some(call.at(3_000)),
    };
    let known = |call: &Script| {
        let known = call.account.reply_so_far(&turn);
        known.map(|(text, complete)| (text.to_string(), complete))
    };
    let transcript = |text: &str| ClaimKind::ReplyTranscript(text.into());
    call.claim(900, None, None, transcript("Hello!"));
    assert_eq!(known(&call), None, "the greeting is no reply");
    call.claim(3_500, None, None, transcript("Which order?"));
    assert_eq!(known(&call), Some(("Which order?".to_owned(), false)));
    let reply = Reply {
        text: Some("Which order do you mean?".into()),
        started_speaking: Some(agent(2_990)),
        ..Reply::default()
    };
    call.claim(4_000, None, None, ClaimKind::Reply(reply));
    let whole = "Which order do you mean?".to_owned();
    assert_eq!(known(&call), Some((whole, true)));
}

#[test]
fn states_belong_to_the_turn_in_which_they_began() {
    let mut call = Script::new();
    for (at, state) in [
        (500, SessionState::Listening),
        (2_720, SessionState::Thinking),
        (3_000, SessionState::Speaking),
        (8_500, SessionState::Listening),
    ] {
        call.claim(at as u64 + 5, Some(at), None, ClaimKind::State(state));
    }
    call.turn(0, 1_000, 2_000, Some(3_000));
    call.turn(1, 8_000, 9_000, None);
    let all = call.account.settle(true);
    let states = |turn: usize| all[turn].1.states.iter().map(|(state, _)| *state);
    let first: Vec<_> = states(0).collect();
    assert_eq!(first, [SessionState::Thinking, SessionState::Speaking]);
    assert_eq!(states(1).collect::<Vec<_>>(), [SessionState::Listening]);
}

#[test]
fn a_turn_with_a_filler_uses_the_model_figures_of_the_answer_that_follows() {
    let mut call = Script::new();
    call.turn(0, 1_000, 2_000, Some(2_600));
    call.reply(3_500, 2_550, None, None);
    call.reply(7_000, 4_000, Some(900), Some(1_980));
    assert_eq!(call.settled(true), ["0: -, 900, -"]);
}

#[test]
fn a_reply_that_begins_after_its_description_is_ignored() {
    let mut call = Script::new();
    call.turn(0, 1_000, 2_000, Some(3_000));
    call.reply(6_000, 2_000_000_000_000, Some(150), Some(793));
    assert!(call.account.awaits_reply());
    assert!(call.settled(true).is_empty());
}

#[test]
fn without_claims_there_is_no_account() {
    let mut call = Script::new();
    call.turn(0, 1_000, 2_000, Some(3_000));
    call.turn(1, 8_000, 9_000, None);
    assert!(!call.account.awaits_reply());
    assert!(call.settled(true).is_empty());
}

#[test]
fn the_greeting_and_other_speech_belong_to_no_turn() {
    let mut call = Script::new();
    call.reply(900, 100, Some(50), None);
    // Long after the caller's speech, the agent mistakes noise for a turn.
    call.turn(0, 1_000, 2_000, None);
    call.user_turn(44_000, 43_500, 300);
    assert!(call.settled(true).is_empty());
}

#[test]
fn the_first_final_transcript_after_the_end_of_speech_counts() {
    let mut call = Script::new();
    for arrival in [1_500, 2_700, 3_100] {
        call.claim(arrival, None, None, ClaimKind::Transcript("word".into()));
    }
    call.turn(0, 1_000, 2_000, Some(3_500));
    let (_, account) = &call.account.settle(true)[0];
    assert_eq!(account.transcribed, Some(call.at(2_700)));
}

#[test]
fn claims_without_turns_are_bounded() {
    let mut call = Script::new();
    for n in 0..10 * WAITING as u64 {
        call.user_turn(n, n as i64, 1);
        call.reply(n, n as i64, None, None);
        call.claim(n, None, None, ClaimKind::Transcript("word".into()));
        call.claim(n, None, None, ClaimKind::ReplyTranscript("word".into()));
        let state = ClaimKind::State(SessionState::Idle);
        call.claim(n, Some(n as i64), None, state);
        call.claim(n, Some(n as i64), None, ClaimKind::CallerStopped);
        let tool = ToolEvent {
            id: n.to_string().into(),
            name: None,
            began: None,
            ended: None,
            failed: false,
        };
        call.claim(n, None, None, ClaimKind::Tools(vec![tool]));
    }
    let account = &call.account;
    let kept = [
        account.user_turns.len(),
        account.replies.len(),
        account.transcripts.len(),
        account.reply_texts.len(),
        account.tools.len(),
        account.states.len(),
        account.stops.len(),
    ];
    let expected = [WAITING, WAITING, TEXTS, TEXTS, WAITING, WAITING, WAITING];
    assert_eq!(kept, expected);
}

#[test]
fn a_speech_to_speech_model_has_a_critical_path() {
    let reply = |e2e: Option<u64>| Reply {
        started_speaking: Some(agent(3_000)),
        e2e_latency: e2e.map(Duration::from_millis),
        ..Reply::default()
    };
    let steps = |account: &TurnAccount| -> Vec<_> {
        let path = account.path.iter();
        path.map(|(step, d)| (step.name(), d.as_millis())).collect()
    };
    // The only thing the agent reports is when it detected that the caller had stopped.
    let mut call = Script::new();
    call.claim(2_590, Some(2_580), None, ClaimKind::CallerStopped);
    call.claim(6_000, Some(5_990), None, ClaimKind::Reply(reply(None)));
    // The caller interrupts the reply.
    call.claim(5_500, Some(5_480), None, ClaimKind::CallerStopped);
    call.turn(0, 1_000, 2_000, Some(3_060));
    let (_, account) = &call.account.settle(true)[0];
    assert_eq!(account.stopped_speaking, None);
    let over = account.turn_over.expect("noticed").likely();
    assert!(over.duration_since(call.at(2_580)) < Duration::from_millis(10));
    assert_eq!(steps(account), [("model", 420)]);

    // The agent reports its latency, from which the end of speech is derived.
    let mut call = Script::new();
    call.claim(6_000, Some(5_990), None, ClaimKind::Reply(reply(Some(950))));
    call.turn(0, 1_000, 2_000, Some(3_060));
    let (_, account) = &call.account.settle(true)[0];
    let stopped = account.stopped_speaking.expect("by its latency").likely();
    assert!(stopped.duration_since(call.at(2_050)) < Duration::from_millis(10));
    assert_eq!(
        (steps(account), account.turn_over),
        (vec![("model", 950)], None)
    );
}

#[test]
fn descriptions_by_another_agent_in_the_room_are_not_added() {
    let mut call = Script::new();
    let describe = |call: &mut Script| {
        let turn = UserTurn {
            text: Some("where is my order".into()),
            stopped_speaking: Some(agent(2_020)),
            end_of_turn_delay: Some(Duration::from_millis(400)),
            ..UserTurn::default()
        };
        call.claim(2_500, Some(2_490), None, ClaimKind::UserTurn(turn));
        let thinking = ClaimKind::State(SessionState::Thinking);
        call.claim(2_500, Some(2_495), None, thinking);
    };
    // A second agent only transcribes the call.
    call.agent = "notes";
    describe(&mut call);
    call.agent = "agent";
    describe(&mut call);
    call.reply(6_000, 2_900, Some(150), Some(880));
    call.turn(0, 1_000, 2_000, Some(3_000));
    let (_, account) = &call.account.settle(true)[0];
    assert_eq!(account.heard_text.as_deref(), Some("where is my order"));
    assert_eq!(account.states.len(), 1);
    assert!(!account.path.is_empty());
}

#[test]
fn instants_outside_the_call_are_not_placed() {
    let mut call = Script::new();
    let reply = Reply {
        // The Unix epoch. `i64::MAX`, below, is what a timestamp saturates to if its milliseconds
        // are read as seconds.
        asked: Some(AgentTime(0)),
        started_speaking: Some(agent(2_900)),
        llm_node_ttft: Some(Duration::from_millis(150)),
        ..Reply::default()
    };
    call.claim(6_000, Some(5_990), None, ClaimKind::Reply(reply));
    let tool = ToolEvent {
        id: "call".into(),
        name: Some("look_up".into()),
        began: Some(agent(2_100)),
        ended: Some(AgentTime(i64::MAX)),
        failed: false,
    };
    call.claim(6_000, Some(5_990), None, ClaimKind::Tools(vec![tool]));
    call.turn(0, 1_000, 2_000, Some(3_000));
    let (_, account) = &call.account.settle(true)[0];
    assert_eq!(account.asked, None);
    assert_eq!(account.tools[0].ended, None);
    assert!(account.started_speaking.is_some());
}

#[test]
fn a_transcript_during_the_utterance_is_part_of_its_turn() {
    let mut call = Script::new();
    for (at, text) in [
        (1_400, "where is my order"),
        (2_600, "I ordered it last week"),
    ] {
        call.claim(at, None, None, ClaimKind::Transcript(text.into()));
    }
    call.turn(0, 1_000, 2_000, Some(3_000));
    call.turn(1, 8_000, 9_000, None);
    let all = call.account.settle(true);
    let text = all[0].1.heard_text.as_deref();
    assert_eq!(text, Some("where is my order I ordered it last week"));
    assert_eq!(all[0].1.transcribed, Some(call.at(2_600)));
}
