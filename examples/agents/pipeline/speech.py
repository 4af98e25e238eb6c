"""Speech recognition, language model and voice that need no cloud.

In: the call's `Settings`. Out: the three plugins an `AgentSession` takes.
Invariants: nothing is downloaded, nothing leaves the machine, and the scripted parts take
exactly the delays that are set (as long as the event loop is not blocked).
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, llm, stt, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import AudioBuffer
from settings import Settings

ESPEAK_RATE = 22_050  # the rate of espeak-ng's built-in voices
ESPEAK_CHUNK = 4_096  # bytes: 93 ms of audio
WAV_HEADER = 44
SPHINX_RATE = 16_000
# A stock session ignores an empty transcript, and the caller would wait in vain.
UNCLEAR = "(unclear)"
PREAMBLE = "Sure, let me look that up."
TOOL = "look_up"


def make_stt(settings: Settings) -> stt.STT:
    """The recogniser that the settings ask for."""
    if settings.stt == "pocketsphinx":
        return PocketSphinxSTT()
    return ScriptedSTT(settings.stt_text, settings.stt_delay_ms / 1000)


class ScriptedSTT(stt.STT):
    """Hears the same text in every utterance, after a fixed delay."""

    def __init__(self, text: str, delay: float) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._text = text
        self._delay = delay

    @property
    def model(self) -> str:
        return "scripted"

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        await asyncio.sleep(self._delay)
        return _final(self._text)


class PocketSphinxSTT(stt.STT):
    """CMU PocketSphinx with the US English model in its package."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._decoder: Any = None
        self._lock = asyncio.Lock()

    @property
    def model(self) -> str:
        return "pocketsphinx en-us"

    def prewarm(self) -> None:
        """Loads the model, in about half a second; called before the call begins."""
        if self._decoder is None:
            from pocketsphinx import Decoder

            self._decoder = Decoder(samprate=float(SPHINX_RATE), loglevel="FATAL")

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frames = buffer if isinstance(buffer, list) else [buffer]
        pcm = _pcm_at(rtc.combine_audio_frames(frames), SPHINX_RATE)
        async with self._lock:  # one decoder, one utterance at a time
            text = await asyncio.to_thread(self._decode, pcm)
        return _final(text or UNCLEAR)

    def _decode(self, pcm: bytes) -> str:
        self.prewarm()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""


def _pcm_at(frame: rtc.AudioFrame, rate: int) -> bytes:
    if frame.sample_rate == rate:
        return bytes(frame.data)
    resampler = rtc.AudioResampler(frame.sample_rate, rate, num_channels=frame.num_channels)
    parts = [*resampler.push(frame), *resampler.flush()]
    return b"".join(bytes(part.data) for part in parts)


def _final(text: str) -> stt.SpeechEvent:
    return stt.SpeechEvent(
        type=stt.SpeechEventType.FINAL_TRANSCRIPT,
        request_id=utils.shortuuid(),
        alternatives=[stt.SpeechData(language="en", text=text, confidence=1.0)],
    )


class ScriptedLLM(llm.LLM):
    """Streams the scripted replies in order, one per turn.

    With a tool, it first says a preamble and calls the tool; the reply follows the result.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings

    @property
    def model(self) -> str:
        return "scripted"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        return _ScriptedStream(
            self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options
        )


class _ScriptedStream(llm.LLMStream):
    async def _run(self) -> None:
        assert isinstance(self._llm, ScriptedLLM)
        settings = self._llm.settings
        calls_tool = settings.tool_call_ms > 0 and not self._has_tool_result()
        text = PREAMBLE if calls_tool else self._reply()
        # Due times count from the start: late wake-ups must not add up.
        started = time.perf_counter()
        request_id = utils.shortuuid()
        for index, word in enumerate(text.split()):
            due = settings.llm_ttft_ms / 1000 + index / settings.llm_tokens_per_s
            await asyncio.sleep(max(0.0, started + due - time.perf_counter()))
            delta = llm.ChoiceDelta(role="assistant", content=word if index == 0 else f" {word}")
            self._event_ch.send_nowait(llm.ChatChunk(id=request_id, delta=delta))
        if calls_tool:
            call = llm.FunctionToolCall(name=TOOL, arguments="{}", call_id=utils.shortuuid("call_"))
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[call])
            self._event_ch.send_nowait(llm.ChatChunk(id=request_id, delta=delta))
        words = len(text.split())
        usage = llm.CompletionUsage(completion_tokens=words, prompt_tokens=0, total_tokens=words)
        self._event_ch.send_nowait(llm.ChatChunk(id=request_id, usage=usage))

    def _reply(self) -> str:
        assert isinstance(self._llm, ScriptedLLM)
        settings = self._llm.settings
        # Counted by user turns, so that a discarded generation does not shift the script.
        asked = sum(1 for message in self._chat_ctx.messages() if message.role == "user")
        return settings.replies[(settings.first_turn + max(asked - 1, 0)) % len(settings.replies)]

    def _has_tool_result(self) -> bool:
        """Whether the tool has been called since the user last spoke."""
        for item in reversed(self._chat_ctx.items):
            if item.type == "function_call_output":
                return True
            if item.type == "message" and item.role == "user":
                return False
        return False


class EspeakTTS(tts.TTS):
    """espeak-ng, one process per sentence; its audio is passed on as it arrives."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=ESPEAK_RATE,
            num_channels=1,
        )
        self.settings = settings

    @property
    def model(self) -> str:
        return f"espeak-ng {self.settings.voice}"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _EspeakStream(tts=self, input_text=text, conn_options=conn_options)


class _EspeakStream(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        assert isinstance(self._tts, EspeakTTS)
        settings = self._tts.settings
        # The text goes through standard input: it can never be taken for an option.
        process = await asyncio.create_subprocess_exec(
            "espeak-ng",
            *("-v", settings.voice, "-s", str(settings.words_per_minute)),
            *("-b", "1", "--stdin", "--stdout"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdin and process.stdout and process.stderr
        try:
            process.stdin.write(self._input_text.encode())
            process.stdin.close()
            header = await process.stdout.readexactly(WAV_HEADER)
            output_emitter.initialize(
                request_id=utils.shortuuid(),
                sample_rate=int.from_bytes(header[24:28], "little"),
                num_channels=1,
                mime_type="audio/pcm",
            )
            while chunk := await process.stdout.read(ESPEAK_CHUNK):
                output_emitter.push(chunk)
            output_emitter.flush()
        except asyncio.IncompleteReadError:
            message = (await process.stderr.read(500)).decode(errors="replace").strip()
            raise APIConnectionError(f"espeak-ng gave no audio: {message}") from None
        finally:
            if process.returncode is None:
                _kill(process)
            await process.wait()


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kills a process that may just have ended by itself."""
    try:
        process.kill()
    except ProcessLookupError:
        pass
