"""Tests of the speech-to-speech model: turns, answers and reported figures. Needs the agent's
packages, but no server and no espeak-ng: `.venv/bin/python -m unittest`."""

from __future__ import annotations

import asyncio
import unittest
from array import array
from collections.abc import AsyncIterator
from unittest import mock

import realtime
from livekit import rtc
from livekit.agents import llm
from realtime import EnergyDetector, ScriptedRealtimeModel
from settings import Settings
from speech import PREAMBLE, PROVIDER

RATE = 1_000
FRAME_MS = 20


def frames(loud: bool, ms: int) -> list[array[int]]:
    level = 3_000 if loud else 10
    return [array("h", [level, -level] * (FRAME_MS // 2)) for _ in range(ms // FRAME_MS)]


async def voice(settings: Settings, text: str) -> AsyncIterator[tuple[int, bytes]]:
    """Half a second of speech, in two parts."""
    for _ in range(2):
        await asyncio.sleep(0)
        yield RATE, bytes(2 * RATE // 4)


class Detector(unittest.TestCase):
    def test_speech_begins_and_ends_by_level(self) -> None:
        cases = [
            ("silence", [(False, 1_000)], []),
            ("a click", [(False, 100), (True, 40), (False, 1_000)], []),
            (
                "speech",
                [(False, 100), (True, 500), (False, 600)],
                [(160, "started"), (900, "stopped")],
            ),
            ("a short pause", [(True, 500), (False, 200), (True, 500)], [(60, "started")]),
            (
                "two turns",
                [(True, 100), (False, 300), (True, 100), (False, 300)],
                [(60, "started"), (400, "stopped"), (460, "started"), (800, "stopped")],
            ),
        ]
        for name, stretches, expected in cases:
            with self.subTest(name):
                detector, now, changes = EnergyDetector(silence_s=0.3), 0, []
                for loud, ms in stretches:
                    for frame in frames(loud, ms):
                        now += FRAME_MS
                        if change := detector.push(frame, RATE):
                            changes.append((now, change))
                self.assertEqual(changes, expected)

    def test_the_duration_of_speech_excludes_the_silence_after_it(self) -> None:
        detector = EnergyDetector(silence_s=0.3)
        for frame in frames(False, 100) + frames(True, 500) + frames(False, 300):
            detector.push(frame, RATE)
        self.assertAlmostEqual(detector.speech_s, 0.5)


class Call(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        patch = mock.patch.object(realtime, "espeak", voice)
        patch.start()
        self.addCleanup(patch.stop)

    def session(self, **settings: object) -> llm.RealtimeSession:
        """A session with a list of everything that it has emitted."""
        quick = {"llm_ttft_ms": 0, "stt_delay_ms": 0, "vad_silence_ms": 300, **settings}
        session = ScriptedRealtimeModel(Settings(**quick)).session()
        self.events: list[tuple[str, object]] = []
        for name in (
            "input_speech_started",
            "input_speech_stopped",
            "input_audio_transcription_completed",
            "generation_created",
            "metrics_collected",
        ):
            session.on(name, lambda event, name=name: self.events.append((name, event)))
        return session

    def speak(self, session: llm.RealtimeSession) -> None:
        for samples in frames(True, 1_000) + frames(False, 300):
            session.push_audio(rtc.AudioFrame(samples.tobytes(), RATE, 1, len(samples)))

    def emitted(self, name: str) -> list:
        return [event for kind, event in self.events if kind == name]

    async def heard(self, generation: llm.GenerationCreatedEvent) -> tuple[str, float, list[str]]:
        """Text, seconds of audio and called tools of a generation."""
        text, seconds = "", 0.0
        async for message in generation.message_stream:
            self.assertEqual(await message.modalities, ["audio", "text"])
            text += "".join([part async for part in message.text_stream])
            seconds += sum([frame.duration async for frame in message.audio_stream])
        return text, seconds, [call.name async for call in generation.function_stream]

    async def test_a_turn_is_heard_transcribed_answered_and_reported(self) -> None:
        session = self.session(stt_text=("yes", "no"), replies=("One moment.", "Done."))
        replies = []
        for _ in range(2):
            self.speak(session)
            replies.append((await self.heard(self.emitted("generation_created")[-1]))[:2])
        self.assertEqual(replies, [("One moment.", 0.5), ("Done.", 0.5)])
        await asyncio.sleep(0.01)
        heard = self.emitted("input_audio_transcription_completed")
        self.assertEqual([event.transcript for event in heard], ["yes", "no"])
        first, second = self.emitted("metrics_collected")
        self.assertEqual(first.input_token_details.audio_tokens, 10)
        self.assertEqual(first.output_token_details.audio_tokens, 10)
        self.assertEqual(first.output_token_details.text_tokens, 2)
        self.assertEqual(first.metadata.model_provider, PROVIDER)
        # The second prompt has the words of the first turn: transcript and reply.
        self.assertEqual(first.input_token_details.text_tokens, 0)
        self.assertEqual(second.input_token_details.text_tokens, 3)
        self.assertEqual(second.input_tokens, 3 + 10)

    async def test_a_tool_call_follows_a_preamble_and_the_reply_follows_on_request(self) -> None:
        session = self.session(tool_call_ms=1, replies=("Done.",))
        self.speak(session)
        said = await self.heard(self.emitted("generation_created")[-1])
        self.assertEqual(said, (PREAMBLE, 0.5, ["look_up"]))
        said = await self.heard(await session.generate_reply())
        self.assertEqual(said, ("Done.", 0.5, []))

    async def test_an_interrupted_reply_ends_and_is_reported_as_cancelled(self) -> None:
        session = self.session(llm_ttft_ms=10_000)
        self.speak(session)
        await asyncio.sleep(0)
        session.interrupt()
        text, seconds, _ = await self.heard(self.emitted("generation_created")[-1])
        self.assertEqual((text, seconds), ("", 0.0))
        (figures,) = self.emitted("metrics_collected")
        self.assertTrue(figures.cancelled)
        self.assertEqual((figures.ttft, figures.output_tokens), (-1, 0))


if __name__ == "__main__":
    unittest.main()
