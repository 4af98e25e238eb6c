//! Tables of recordings: the channel that is used and the doubt that is reported.

use super::*;
use crate::audio::RATE;
use crate::audio::test_signals::{FIXTURES, mix, noise};

/// A stereo recording at 48 kHz.
fn stereo(left: &[i16], right: &[i16]) -> Recording {
    let mut recording = Recording::new(RATE, 2).expect("within bounds");
    let length = left.len().max(right.len());
    let at = |x: &[i16], n: usize| f32::from(x.get(n).copied().unwrap_or(0)) / 32768.0;
    let both: Vec<f32> = (0..length)
        .flat_map(|n| [at(left, n), at(right, n)])
        .collect();
    recording.append(&both).expect("within bounds");
    recording
}

fn scaled(pcm: &[i16], by: f32) -> Vec<i16> {
    pcm.iter().map(|&x| (f32::from(x) * by) as i16).collect()
}

#[test]
fn channels_that_cancel_or_hold_two_voices_are_reported() {
    let caller = FIXTURES[0].pcm();
    let silence = vec![0; caller.len()];
    let agent = [silence.clone(), FIXTURES[3].pcm()].concat();
    let talk_over: Vec<i16> = [vec![0; 40_000], FIXTURES[3].pcm()].concat();
    let hiss = noise(-55.0, agent.len(), 7);
    let loud_hiss = noise(-40.0, agent.len(), 7);
    let dc = vec![500; agent.len()];
    let cancel = |said| Some(Doubt::ChannelsCancel { said });
    let voices = Some(Doubt::TwoVoices {
        said: Channel::Left,
    });
    type Case = (&'static str, Vec<i16>, Vec<i16>, Option<Doubt>);
    let cases: [Case; 14] = [
        ("the same twice", caller.clone(), caller.clone(), None),
        ("right quieter", caller.clone(), scaled(&caller, 0.3), None),
        ("left alone", caller.clone(), silence.clone(), None),
        ("right alone", silence.clone(), caller.clone(), None),
        ("left and hiss", caller.clone(), hiss.clone(), None),
        ("left and loud hiss", caller.clone(), loud_hiss, None),
        (
            "independent noise",
            noise(-30.0, 96_000, 1),
            noise(-30.0, 96_000, 2),
            None,
        ),
        (
            "inverted",
            caller.clone(),
            scaled(&caller, -1.0),
            cancel(Channel::Left),
        ),
        (
            "inverted and louder",
            scaled(&caller, 0.5),
            scaled(&caller, -1.0),
            cancel(Channel::Right),
        ),
        (
            "inverted, with the same DC",
            mix(&caller, &dc),
            mix(&scaled(&caller, -1.0), &dc),
            cancel(Channel::Left),
        ),
        ("taking turns", caller.clone(), agent.clone(), voices),
        (
            "taking turns, with hiss",
            mix(&caller, &hiss),
            mix(&agent, &hiss),
            voices,
        ),
        (
            "taking turns, with crosstalk",
            mix(&caller, &scaled(&agent, 0.1)),
            mix(&agent, &scaled(&caller, 0.1)),
            voices,
        ),
        ("talking over each other", caller.clone(), talk_over, voices),
    ];
    for (name, left, right, expected) in cases {
        let recording = stereo(&left, &right);
        let (said, doubt) = recording.mono(None).expect(name);
        assert_eq!(doubt, expected, "{name}");
        let wanted = match doubt {
            None => None,
            Some(Doubt::ChannelsCancel { said } | Doubt::TwoVoices { said }) => Some(said),
            Some(other) => panic!("{name}: {other}"),
        };
        let (same, _) = recording
            .mono(Some(wanted.unwrap_or(Channel::Mix)))
            .expect(name);
        assert!(said == same, "{name}");
    }
}

#[test]
fn the_requested_channel_is_used() {
    let (left, right) = (FIXTURES[0].pcm(), scaled(&FIXTURES[0].pcm(), -1.0));
    let recording = stereo(&left, &right);
    assert_eq!(
        recording.mono(Some(Channel::Left)),
        Ok((left.clone(), None))
    );
    assert_eq!(recording.mono(Some(Channel::Right)), Ok((right, None)));
    let (mixed, doubt) = recording.mono(Some(Channel::Mix)).expect("stereo");
    assert!(mixed.iter().all(|x| x.unsigned_abs() <= 1));
    assert_eq!(doubt, Some(Doubt::ChannelsCancel { said: Channel::Mix }));

    let mut one = Recording::new(RATE, 1).expect("within bounds");
    one.append(&[0.25; 10]).expect("within bounds");
    for channel in [None, Some(Channel::Left), Some(Channel::Mix)] {
        assert_eq!(one.mono(channel), Ok((vec![8192; 10], None)), "{channel:?}");
    }
    assert_eq!(
        one.mono(Some(Channel::Right)),
        Err(AudioError::NoSuchChannel)
    );

    let mut four = Recording::new(RATE, 4).expect("within bounds");
    four.append(&[0.5, 0.25, 0.125, 0.125])
        .expect("within bounds");
    for (channel, value) in [
        (None, 8192),
        (Some(Channel::Mix), 8192),
        (Some(Channel::Left), 16384),
        (Some(Channel::Right), 8192),
    ] {
        assert_eq!(four.mono(channel), Ok((vec![value], None)), "{channel:?}");
    }
}

#[test]
fn kept_ranges_stay_in_order_and_are_bounded() {
    let numbers: Vec<i16> = (0..100).collect();
    let kept = |pieces: &[Range<usize>]| {
        let mut recording = stereo(&numbers, &numbers);
        recording.keep(pieces)?;
        Ok(recording.mono(Some(Channel::Right))?.0)
    };
    let of = |a: Range<i16>, b: Range<i16>| Ok(a.chain(b).collect::<Vec<_>>());
    let none = Err(AudioError::Empty);
    for (pieces, expected) in [
        (vec![0..100, 0..0], of(0..100, 0..0)),
        (vec![10..200, 7..7], of(10..100, 0..0)),
        (vec![90..100, 0..5], of(90..100, 0..5)),
        (vec![usize::MAX - 1..usize::MAX, 3..4], of(3..4, 0..0)),
        (vec![], none.clone()),
        (vec![100..200, 0..0], none),
    ] {
        assert_eq!(kept(&pieces), expected, "{pieces:?}");
    }
    let limit = Err(AudioError::TooLong { limit: MAX_LENGTH });
    assert_eq!(kept(&vec![0..100; 288_001]), limit);
}
