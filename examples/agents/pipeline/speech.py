"""Speech recognition, language model and voice that need no cloud.

In: the call's `Settings`. Out: the three plugins an `AgentSession` takes, which report their
usage as the plugins of real providers do.
Invariants: nothing is downloaded, nothing leaves the machine, and the scripted parts take
exactly the delays that are set (as long as the event loop is not blocked).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
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
# A stock session ignores an empty transcript, and the caller would get no reply.
UNCLEAR = "(unclear)"
# Reported with the usage of a session and with the figures of its turns.
PROVIDER = "loadgen"
LLM_MODEL = "scripted-llm"
FALLBACK_MODEL = "scripted-llm-fallback"
PREAMBLE = "Sure, let me look that up."
TOOL = "look_up"


def make_stt(settings: Settings) -> stt.STT:
    """The recogniser that the settings select."""
    if settings.stt == "pocketsphinx":
        return PocketSphinxSTT()
    return ScriptedSTT(settings)


def make_llm(settings: Settings) -> llm.LLM:
    """The language model that the settings select."""
    first = ScriptedLLM(settings, LLM_MODEL, fails_after_turns=settings.fallback_after_turns)
    if not settings.fallback_after_turns:
        return first
    return llm.FallbackAdapter([first, ScriptedLLM(settings, FALLBACK_MODEL)])


class ScriptedSTT(stt.STT):
    """Returns the scripted transcripts in order, one per utterance, each after a fixed delay.

    An utterance shorter than `stt_min_ms`, such as a cough, has no words, and takes no transcript.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._texts = settings.stt_text
        self._delay = settings.stt_delay_ms / 1000
        self._shortest = settings.stt_min_ms / 1000
        self._heard = settings.first_turn

    @property
    def model(self) -> str:
        return "scripted-stt"

    @property
    def provider(self) -> str:
        return PROVIDER

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frames = buffer if isinstance(buffer, list) else [buffer]
        if sum(frame.duration for frame in frames) < self._shortest:
            await asyncio.sleep(self._delay)
            return _final("")
        text = self._texts[self._heard % len(self._texts)]
        self._heard += 1
        await asyncio.sleep(self._delay)
        return _final(text)


class PocketSphinxSTT(stt.STT):
    """CMU PocketSphinx with the US English model in its package."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._decoder: Any = None
        self._lock = asyncio.Lock()

    @property
    def model(self) -> str:
        return "pocketsphinx en-us"

    @property
    def provider(self) -> str:
        return PROVIDER

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

    With a tool, it first says a preamble (unless disabled) and calls the tool; the reply follows
    the result. A token is a word; words that the previous request already contained count as read
    from the cache.
    """

    def __init__(self, settings: Settings, model: str, fails_after_turns: int = 0) -> None:
        super().__init__()
        self.settings = settings
        self._model = model
        self._fails_after_turns = fails_after_turns
        self._previous_prompt = 0

    @property
    def model(self) -> str:
        return self._model

    @property
    def provider(self) -> str:
        return PROVIDER

    def check_works(self, turns: int) -> None:
        """Raises `APIConnectionError` if this model does not answer in the caller's `turns`th turn."""
        if 0 < self._fails_after_turns < turns:
            raise APIConnectionError(f"{self._model} is set not to answer", retryable=False)

    def usage(self, prompt: int, completion: int) -> llm.CompletionUsage:
        """Tokens of one request."""
        cached, self._previous_prompt = min(self._previous_prompt, prompt), prompt
        return llm.CompletionUsage(
            prompt_tokens=prompt,
            prompt_cached_tokens=cached,
            completion_tokens=completion,
            total_tokens=prompt + completion,
        )

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
        self._llm.check_works(self._asked())
        calls_tool = settings.tool_call_ms > 0 and not self._has_tool_result()
        preamble = PREAMBLE if settings.tool_preamble else ""
        text = preamble if calls_tool else self._reply()
        # Due times count from the start: late wake-ups must not add up.
        started = time.perf_counter()
        request_id = utils.shortuuid()
        for index, word in enumerate(text.split()):
            due = settings.llm_ttft_ms / 1000 + index / settings.llm_tokens_per_s
            await asyncio.sleep(max(0.0, started + due - time.perf_counter()))
            delta = llm.ChoiceDelta(role="assistant", content=word if index == 0 else f" {word}")
            self._event_ch.send_nowait(llm.ChatChunk(id=request_id, delta=delta))
        if calls_tool:
            if not text:
                await asyncio.sleep(settings.llm_ttft_ms / 1000)
            call = llm.FunctionToolCall(name=TOOL, arguments="{}", call_id=utils.shortuuid("call_"))
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[call])
            self._event_ch.send_nowait(llm.ChatChunk(id=request_id, delta=delta))
        usage = self._llm.usage(prompt_words(self._chat_ctx), len(text.split()))
        self._event_ch.send_nowait(llm.ChatChunk(id=request_id, usage=usage))

    def _reply(self) -> str:
        assert isinstance(self._llm, ScriptedLLM)
        settings = self._llm.settings
        turn = settings.first_turn + max(self._asked() - 1, 0)
        return settings.replies[turn % len(settings.replies)]

    def _asked(self) -> int:
        """Number of user turns so far, which discarded generations do not change."""
        return sum(1 for message in self._chat_ctx.messages() if message.role == "user")

    def _has_tool_result(self) -> bool:
        """Whether the tool has been called since the user last spoke."""
        for item in reversed(self._chat_ctx.items):
            if item.type == "function_call_output":
                return True
            if item.type == "message" and item.role == "user":
                return False
        return False


def prompt_words(chat_ctx: llm.ChatContext) -> int:
    """Words in everything that a request sends to the model."""
    texts = [message.text_content or "" for message in chat_ctx.messages()]
    texts += [item.output for item in chat_ctx.items if item.type == "function_call_output"]
    return sum(len(text.split()) for text in texts)


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

    @property
    def provider(self) -> str:
        return PROVIDER

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _EspeakStream(tts=self, input_text=text, conn_options=conn_options)


class _EspeakStream(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        assert isinstance(self._tts, EspeakTTS)
        initialized = False
        async for rate, pcm in espeak(self._tts.settings, self._input_text):
            if not initialized:
                output_emitter.initialize(
                    request_id=utils.shortuuid(),
                    sample_rate=rate,
                    num_channels=1,
                    mime_type="audio/pcm",
                )
                initialized = True
            output_emitter.push(pcm)
        output_emitter.flush()


async def espeak(settings: Settings, text: str) -> AsyncIterator[tuple[int, bytes]]:
    """Speaks `text` with espeak-ng; yields the sample rate and 16-bit mono PCM as it arrives.

    Raises `APIConnectionError` if espeak-ng makes no audio.
    """
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
        process.stdin.write(text.encode())
        process.stdin.close()
        header = await process.stdout.readexactly(WAV_HEADER)
        rate = int.from_bytes(header[24:28], "little")
        rest = b""
        while chunk := await process.stdout.read(ESPEAK_CHUNK):
            chunk = rest + chunk
            whole = len(chunk) & ~1  # a read may end in the middle of a sample
            if whole:
                yield rate, chunk[:whole]
            rest = chunk[whole:]
    except asyncio.IncompleteReadError:
        message = (await process.stderr.read(500)).decode(errors="replace").strip()
        raise APIConnectionError(f"espeak-ng made no audio: {message}") from None
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
