"""A speech-to-speech model that needs no cloud: it takes the caller's audio and answers in speech.

In: the call's `Settings`, and the audio that the session pushes. Out: a `RealtimeModel` for an
`AgentSession`, with the events and figures that livekit-agents' plugins for such models provide.
Invariants: the model itself decides when a turn is over, as the servers of real models do; the
first audio of a reply comes `llm_ttft_ms` later, as long as the event loop is not blocked.
"""

from __future__ import annotations

import asyncio
import math
import time
from array import array
from collections.abc import AsyncIterable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from livekit import rtc
from livekit.agents import llm, utils
from livekit.agents.metrics import RealtimeModelMetrics
from livekit.agents.metrics.base import Metadata
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from settings import Settings
from speech import PREAMBLE, PROVIDER, TOOL, espeak, prompt_words

REALTIME_MODEL = "scripted-realtime"
# Speech is louder than this, in dBFS, for at least this long.
SPEECH_DBFS = -45.0
SPEECH_S = 0.06
# Tokens per second of audio, about as many as OpenAI's realtime models count.
HEARD_TOKENS_PER_S = 10
SPOKEN_TOKENS_PER_S = 20


class EnergyDetector:
    """Detects the beginning and the end of speech by its level.

    In: frames in order. Out: `started`, `stopped` or nothing for each. Time is the
    duration of the frames, not a clock.
    """

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._speaking = False
        # Duration of the current stretch whose level does not match `_speaking`.
        self._unlike_s = 0.0
        # Duration of the latest speech, without the silence that ended it.
        self.speech_s = 0.0

    def push(self, samples: array[int], rate: int) -> str | None:
        """Takes one frame of mono 16-bit samples."""
        seconds = len(samples) / rate
        loud = level_dbfs(samples) > SPEECH_DBFS
        self.speech_s += seconds if self._speaking else 0.0
        self._unlike_s = self._unlike_s + seconds if loud != self._speaking else 0.0
        if self._unlike_s < (self._silence_s if self._speaking else SPEECH_S):
            return None
        self._speaking = not self._speaking
        if self._speaking:
            self.speech_s = self._unlike_s
        else:
            self.speech_s -= self._unlike_s
        self._unlike_s = 0.0
        return "started" if self._speaking else "stopped"


def level_dbfs(samples: array[int]) -> float:
    """RMS level of 16-bit samples."""
    if not samples:
        return -math.inf
    power = sum(sample * sample for sample in samples) / len(samples) / 32_768**2
    return 10 * math.log10(power) if power else -math.inf


class ScriptedRealtimeModel(llm.RealtimeModel):
    """Answers each turn of the caller with the next scripted reply."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            capabilities=llm.RealtimeCapabilities(
                message_truncation=False,
                turn_detection=True,
                user_transcription=True,
                auto_tool_reply_generation=False,
                audio_output=True,
                manual_function_calls=False,
                mutable_chat_context=True,
                mutable_instructions=True,
                mutable_tools=True,
                per_response_tool_choice=True,
                supports_say=True,
            )
        )
        self.settings = settings

    @property
    def model(self) -> str:
        return REALTIME_MODEL

    @property
    def provider(self) -> str:
        return PROVIDER

    def session(self, *, turn_detection_disabled: bool = False) -> llm.RealtimeSession:
        return ScriptedRealtimeSession(self)

    async def aclose(self) -> None:
        pass


@dataclass
class _Response:
    """One reply that is being made."""

    text: str
    call: llm.FunctionCall | None
    heard_s: float
    # Words of the conversation so far.
    prompt: int
    id: str = field(default_factory=lambda: utils.shortuuid("resp_"))
    created_at: float = field(default_factory=time.time)
    first_audio_at: float | None = None
    spoken_s: float = 0.0
    messages: utils.aio.Chan[llm.MessageGeneration] = field(default_factory=utils.aio.Chan)
    calls: utils.aio.Chan[llm.FunctionCall] = field(default_factory=utils.aio.Chan)
    texts: utils.aio.Chan[str] = field(default_factory=utils.aio.Chan)
    audio: utils.aio.Chan[rtc.AudioFrame] = field(default_factory=utils.aio.Chan)

    def event(self, *, user_initiated: bool) -> llm.GenerationCreatedEvent:
        return llm.GenerationCreatedEvent(
            message_stream=self.messages,
            function_stream=self.calls,
            user_initiated=user_initiated,
            response_id=self.id,
        )

    def close(self) -> None:
        for channel in (self.messages, self.calls, self.texts, self.audio):
            channel.close()


class ScriptedRealtimeSession(llm.RealtimeSession):
    """The model's side of one call."""

    def __init__(self, model: ScriptedRealtimeModel) -> None:
        super().__init__(model)
        self._settings = model.settings
        self._detector = EnergyDetector(model.settings.vad_silence_ms / 1000)
        self._chat_ctx = llm.ChatContext.empty()
        self._tools = llm.ToolContext.empty()
        self._turn = model.settings.first_turn - 1
        self._turn_started_at = 0.0
        self._previous_prompt = 0
        self._response: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def chat_ctx(self) -> llm.ChatContext:
        return self._chat_ctx.copy()

    @property
    def tools(self) -> llm.ToolContext:
        return self._tools

    async def update_instructions(self, instructions: str) -> None:
        pass

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        self._chat_ctx = chat_ctx.copy()

    async def update_tools(self, tools: list[llm.Tool]) -> None:
        self._tools = llm.ToolContext(tools)

    def update_options(self, *, tool_choice: NotGivenOr[llm.ToolChoice | None] = NOT_GIVEN) -> None:
        pass

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        change = self._detector.push(array("h", bytes(frame.data)), frame.sample_rate)
        if change == "started":
            self._turn_started_at = time.time()
            self.emit("input_speech_started", llm.InputSpeechStartedEvent())
        elif change == "stopped":
            self._turn += 1
            stopped = llm.InputSpeechStoppedEvent(user_transcription_enabled=True)
            self.emit("input_speech_stopped", stopped)
            self._spawn(self._transcribe(self._turn, self._turn_started_at))
            event = self._respond(*self._answer(), heard_s=self._detector.speech_s)
            self.emit("generation_created", event)

    def push_video(self, frame: rtc.VideoFrame) -> None:
        pass

    def generate_reply(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,
    ) -> asyncio.Future[llm.GenerationCreatedEvent]:
        # Called only after a tool call, whose result is in the chat context by now.
        return _created(self._respond(self._reply(), None, user_initiated=True))

    def say(self, text: str | AsyncIterable[str]) -> asyncio.Future[llm.GenerationCreatedEvent]:
        if not isinstance(text, str):
            raise NotImplementedError("the scripted model says whole texts")
        return _created(self._respond(text, None, user_initiated=True))

    def commit_audio(self) -> None:
        pass

    def clear_audio(self) -> None:
        pass

    def interrupt(self) -> None:
        if self._response:
            self._response.cancel()

    def truncate(self, **_: Any) -> None:
        pass

    async def aclose(self) -> None:
        await utils.aio.cancel_and_wait(*self._tasks)

    def _reply(self) -> str:
        return self._settings.replies[max(self._turn, 0) % len(self._settings.replies)]

    def _answer(self) -> tuple[str, llm.FunctionCall | None]:
        """The model's answer to the caller: the reply, or a preamble and a call of the tool."""
        if not self._settings.tool_call_ms:
            return self._reply(), None
        call_id = utils.shortuuid("call_")
        return PREAMBLE, llm.FunctionCall(name=TOOL, arguments="{}", call_id=call_id)

    async def _transcribe(self, turn: int, started_at: float) -> None:
        await asyncio.sleep(self._settings.stt_delay_ms / 1000)
        text = self._settings.stt_text[turn % len(self._settings.stt_text)]
        item = self._chat_ctx.add_message(role="user", content=text)
        self.emit(
            "input_audio_transcription_completed",
            llm.InputTranscriptionCompleted(
                item_id=item.id, transcript=text, is_final=True, turn_started_at=started_at
            ),
        )

    def _respond(
        self,
        text: str,
        call: llm.FunctionCall | None,
        *,
        heard_s: float = 0.0,
        user_initiated: bool = False,
    ) -> llm.GenerationCreatedEvent:
        """Begins a reply, in place of one that is being made."""
        self.interrupt()
        response = _Response(text, call, heard_s, prompt_words(self._chat_ctx))
        self._response = self._spawn(self._make(response))
        return response.event(user_initiated=user_initiated)

    async def _make(self, response: _Response) -> None:
        cancelled = True
        try:
            modalities = asyncio.get_running_loop().create_future()
            modalities.set_result(["audio", "text"])
            message_id = utils.shortuuid("item_")
            message = llm.MessageGeneration(message_id, response.texts, response.audio, modalities)
            response.messages.send_nowait(message)
            await self._speak(response)
            if response.call:
                response.calls.send_nowait(response.call)
            self._chat_ctx.add_message(role="assistant", content=response.text, id=message_id)
            cancelled = False
        finally:
            response.close()
            self.emit("metrics_collected", self._figures(response, cancelled))

    async def _speak(self, response: _Response) -> None:
        due = response.created_at + self._settings.llm_ttft_ms / 1000
        async for rate, pcm in espeak(self._settings, response.text):
            if response.first_audio_at is None:
                await asyncio.sleep(max(0.0, due - time.time()))
                response.first_audio_at = time.time()
                response.texts.send_nowait(response.text)
                response.texts.close()
            frame = rtc.AudioFrame(pcm, rate, 1, len(pcm) // 2)
            response.spoken_s += frame.duration
            response.audio.send_nowait(frame)

    def _figures(self, response: _Response, cancelled: bool) -> RealtimeModelMetrics:
        duration = time.time() - response.created_at
        first = response.first_audio_at
        prompt = response.prompt
        cached, self._previous_prompt = min(self._previous_prompt, prompt), prompt
        heard = round(response.heard_s * HEARD_TOKENS_PER_S)
        written = 0 if first is None else len(response.text.split())
        spoken = round(response.spoken_s * SPOKEN_TOKENS_PER_S)
        return RealtimeModelMetrics(
            label=self._realtime_model.label,
            request_id=response.id,
            timestamp=response.created_at,
            duration=duration,
            ttft=-1 if first is None else first - response.created_at,
            cancelled=cancelled,
            input_tokens=prompt + heard,
            output_tokens=written + spoken,
            total_tokens=prompt + heard + written + spoken,
            tokens_per_second=(written + spoken) / duration if duration else 0.0,
            input_token_details=RealtimeModelMetrics.InputTokenDetails(
                audio_tokens=heard,
                text_tokens=prompt,
                cached_tokens=cached,
                cached_tokens_details=RealtimeModelMetrics.CachedTokenDetails(text_tokens=cached),
            ),
            output_token_details=RealtimeModelMetrics.OutputTokenDetails(
                text_tokens=written, audio_tokens=spoken
            ),
            metadata=Metadata(
                model_name=self._realtime_model.model, model_provider=self._realtime_model.provider
            ),
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or not (error := task.exception()):
            return
        assert isinstance(error, Exception)
        self.emit(
            "error",
            llm.RealtimeModelError(
                timestamp=time.time(),
                label=self._realtime_model.label,
                error=error,
                recoverable=True,
            ),
        )


def _created(
    event: llm.GenerationCreatedEvent,
) -> asyncio.Future[llm.GenerationCreatedEvent]:
    future: asyncio.Future[llm.GenerationCreatedEvent] = asyncio.get_running_loop().create_future()
    future.set_result(event)
    return future
