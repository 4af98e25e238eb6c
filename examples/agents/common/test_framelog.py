"""Tests of the frame log in virtual time: `python -m unittest`. Needs numpy."""

import json
import os
import tempfile
import unittest
from typing import Any

import numpy as np
from framelog import SOUND, FrameLog, Playhead, Samples, Segment, SpeechLog, mono

RATE = 1_000  # a window is one sample


def clip(*stretches: tuple[int, int]) -> Samples:
    """Stretches of (level, milliseconds)."""
    return np.concatenate([np.full(ms, level, np.int16) for level, ms in stretches])


def rounded(spurts: list[list[float]]) -> list[list[float]]:
    return [[round(instant, 3) for instant in spurt] for spurt in spurts]


class PlayheadTest(unittest.TestCase):
    def test_a_frame_leaves_after_those_before_it(self) -> None:
        playhead = Playhead()
        self.assertEqual(playhead.push(10.0, 0.5), 10.0)
        self.assertEqual(playhead.push(10.1, 0.5), 10.5)
        self.assertEqual(playhead.push(12.0, 0.5), 12.0, "the queue had run dry")

    def test_a_cleared_queue_is_empty(self) -> None:
        playhead = Playhead()
        playhead.push(10.0, 5.0)
        playhead.clear(11.0)
        self.assertEqual(playhead.push(11.5, 1.0), 11.5)


class SegmentTest(unittest.TestCase):
    def test_pauses_separate_talk_spurts(self) -> None:
        loud, quiet = SOUND + 1, SOUND
        cases: list[tuple[str, Samples, list[list[float]]]] = [
            ("silence", clip((quiet, 50)), []),
            ("both signs", clip((0, 20), (-loud, 10), (0, 5)), [[5.02, 5.03]]),
            ("a pause of 199 ms", clip((loud, 10), (0, 199), (loud, 10)), [[5.0, 5.219]]),
            ("a soft start", clip((200, 30), (8_000, 10)), [[5.03, 5.04]]),
            ("201 ms", clip((loud, 10), (0, 201), (loud, 9)), [[5.0, 5.01], [5.211, 5.22]]),
        ]
        for name, pcm, expected in cases:
            with self.subTest(name):
                segment = Segment()
                segment.push(5.0, pcm, RATE)
                self.assertEqual(rounded(segment.spurts()), expected)

    def test_discarded_audio_does_not_count_as_heard(self) -> None:
        segment = Segment()
        segment.push(5.0, clip((SOUND + 1, 100), (0, 100), (SOUND + 1, 100)), RATE)
        segment.clear(5.15)
        self.assertEqual(rounded(segment.spurts()), [[5.0, 5.1]])


class SpeechLogTest(unittest.TestCase):
    def lines(self, act: Any) -> list[dict[str, Any]]:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "log")
            act(SpeechLog(FrameLog(path, echo=False), room="r"))
            if not os.path.exists(path):
                return []
            with open(path, encoding="utf-8") as file:
                return [json.loads(line) for line in file]

    def test_an_interrupted_segment_ends_where_its_queue_was_cleared(self) -> None:
        def act(speech: SpeechLog) -> None:
            speech.begin(turn=1)
            speech.push(clip((0, 100)), RATE, now=5.0)
            speech.push(clip((9_000, 100)), RATE, now=5.0)
            self.assertEqual(round(speech.audible_until() or 0, 3), 5.2)
            speech.clear(5.15)
            self.assertEqual(round(speech.audible_until() or 0, 3), 5.15)
            speech.end(interrupted=True)
            self.assertIsNone(speech.audible_until(), "no segment is in progress")

        begins, ended = self.lines(act)
        self.assertEqual((begins["event"], begins["first_sound_at"]), ("speech_begins", 5.1))
        self.assertEqual((begins["room"], begins["turn"]), ("r", 1))
        self.assertEqual((ended["event"], ended["last_audible_at"]), ("speech", 5.15))
        self.assertTrue(ended["interrupted"])

    def test_audio_that_was_never_audible_is_not_speech(self) -> None:
        def act(speech: SpeechLog) -> None:
            speech.push(clip((9_000, 10)), RATE, now=5.0)  # no segment is in progress
            speech.begin(turn=0)
            speech.push(clip((0, 100)), RATE, now=6.0)
            speech.end()

        self.assertEqual(self.lines(act), [])

    def test_a_source_that_ran_dry_leaves_a_hole(self) -> None:
        def act(speech: SpeechLog) -> None:
            speech.begin(turn=0)
            speech.push(clip((9_000, 40)), RATE, now=5.0)
            speech.push(clip((9_000, 40)), RATE, now=5.041)  # late by one clock tick
            speech.push(clip((9_000, 40)), RATE, now=5.2)
            speech.push(clip((9_000, 40)), RATE, now=5.21)
            speech.end()

        _, ended = self.lines(act)
        self.assertEqual(rounded(ended["holes"]), [[5.081, 5.2]])


class LineTest(unittest.TestCase):
    def test_a_long_line_is_still_json(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "log")
            FrameLog(path, echo=False).write("speech", turn=3, spurts=[[1.25, 2.5]] * 10_000)
            with open(path) as file:
                (line,) = file.read().splitlines()
        self.assertLess(len(line), 17_000)
        record = json.loads(line)
        self.assertEqual((record["turn"], record["left_out"]), (3, ["spurts"]))


class MonoTest(unittest.TestCase):
    def test_mono_selects_the_loudest_channel(self) -> None:
        right = np.array([0, 5, 0, -7], np.int16).tobytes()
        self.assertEqual(mono(right, 2).tolist(), [5, -7])
        self.assertEqual(mono(right, 1).tolist(), [0, 5, 0, -7])


if __name__ == "__main__":
    unittest.main()
