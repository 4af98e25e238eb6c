"""Speech recognition, language model and voice that need no cloud, as Pipecat services.

In: nothing. Out: three processors for a pipeline.
Invariant: nothing is downloaded and nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.utils.time import time_now_iso8601

STT_DELAY_S = 0.15
# From the caller's last word to the transcript: the VAD's 0.2 s and the recogniser's delay.
STT_P99_S = 0.2 + STT_DELAY_S
LLM_TTFT_S = 0.3
TOKENS_PER_S = 50
ESPEAK_RATE = 22_050  # the rate of espeak-ng's built-in voices
ESPEAK_CHUNK = 4_096
WAV_HEADER = 44
HEARD = "This is what the caller said."
# Each reply begins abruptly: a soft first sound has no definite onset.
REPLIES = (
    "Certainly. Your order left our warehouse this morning.",
    "Good news. It should arrive tomorrow before noon.",
    "You are welcome. Is there anything else I can do for you?",
)


class ScriptedSTT(SegmentedSTTService):
    """Returns the same transcript for every utterance, after a fixed delay."""

    def __init__(self) -> None:
        super().__init__(
            settings=STTSettings(model="scripted", language=None), ttfs_p99_latency=STT_P99_S
        )

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        await asyncio.sleep(STT_DELAY_S)
        yield TranscriptionFrame(text=HEARD, user_id="caller", timestamp=time_now_iso8601())


class ScriptedLLM(FrameProcessor):
    """Streams the scripted replies in order, one per turn."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        words = REPLIES[self._asked % len(REPLIES)].split()
        self._asked += 1
        await self.push_frame(LLMFullResponseStartFrame())
        try:
            await self._say(words)
        finally:
            await self.push_frame(LLMFullResponseEndFrame())

    async def _say(self, words: list[str]) -> None:
        """Streams the words; an interruption cancels this midway."""
        loop = asyncio.get_running_loop()
        # Due times count from the start: late wake-ups must not add up.
        started = loop.time()
        for index, word in enumerate(words):
            due = started + LLM_TTFT_S + index / TOKENS_PER_S
            await asyncio.sleep(max(0.0, due - loop.time()))
            text = LLMTextFrame(word if index == 0 else f" {word}")
            # The words already contain the spaces between them.
            text.includes_inter_frame_spaces = True
            await self.push_frame(text)


class EspeakTTS(TTSService):
    """espeak-ng, one process per sentence; its audio is passed on as it arrives."""

    def __init__(self, voice: str) -> None:
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            settings=TTSSettings(model=None, voice=voice, language=None),
        )
        self._espeak_voice = voice

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        try:
            audio = self._stream_audio_frames_from_iterator(
                spoken(text, self._espeak_voice),
                in_sample_rate=ESPEAK_RATE,
                context_id=context_id,
            )
            async for frame in audio:
                yield frame
        except OSError as error:
            yield ErrorFrame(error=f"espeak-ng cannot be run: {error}")


async def spoken(text: str, voice: str) -> AsyncIterator[bytes]:
    """The 16-bit PCM of `text`, in pieces."""
    # The text goes through standard input: it can never be taken for an option.
    process = await asyncio.create_subprocess_exec(
        *("espeak-ng", "-v", voice, "-b", "1", "--stdin", "--stdout"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    stdin, stdout = pipes(process)
    try:
        stdin.write(text.encode())
        stdin.close()
        await stdout.readexactly(WAV_HEADER)
        while chunk := await stdout.read(ESPEAK_CHUNK):
            yield chunk
    except asyncio.IncompleteReadError:
        raise OSError(f"it gave no audio for the voice {voice}") from None
    finally:
        if process.returncode is None:
            # If the reader stopped early, espeak-ng is still writing, or it may just have ended.
            try:
                process.kill()
            except ProcessLookupError:
                pass
        await process.wait()


def pipes(process: asyncio.subprocess.Process) -> tuple[Any, Any]:
    """Both pipes of a process that was started with them."""
    if process.stdin is None or process.stdout is None:
        raise OSError("it has no pipes")
    return process.stdin, process.stdout
