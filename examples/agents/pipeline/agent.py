"""A stock livekit-agents worker that needs no cloud.

In: LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET, the settings of `settings.py`,
OTEL_EXPORTER_OTLP_ENDPOINT.
Out: an agent in every room it is dispatched to, and one log line for each turn.
Invariants: the session is livekit-agents' own; only the recogniser, language model and voice
are ours. A dispatch with settings that cannot be used is refused, never half-applied.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import subprocess
import sys

# Imported before the modules below, which keep references to `time.time`.
import clock  # noqa: F401
import telemetry
from habits import Habits
from livekit.agents import (
    AgentServer,
    AgentSession,
    JobContext,
    JobProcess,
    JobRequest,
    tokenize,
)
from livekit.agents.types import NOT_GIVEN
from livekit.agents.voice.room_io import RoomOptions
from livekit.agents.voice.turn import TurnHandlingOptions
from livekit.plugins import silero
from output import log_output
from realtime import ScriptedRealtimeModel
from settings import Settings, SettingsError, from_env, with_metadata
from speech import EspeakTTS, make_llm, make_stt
from turnlog import TurnLog

logger = logging.getLogger("pipeline")

MAX_IDLE_PROCESSES = 64
MAX_PORT = 65535


def check_voice(voice: str) -> None:
    """Raises `SettingsError` if espeak-ng does not have the voice; takes some 10 ms."""
    command = ["espeak-ng", "-q", "-v", voice, ""]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=10)
    if done.returncode != 0:
        raise SettingsError([f"voice: espeak-ng has none named {voice}; see espeak-ng --voices"])


def check_handover(settings: Settings) -> None:
    """Raises `SettingsError` if the settings request a hand-over that is not possible."""
    if settings.handover_after_turns and not os.environ.get("LIVEKIT_AGENT_NAME"):
        raise SettingsError(
            ["handover_after_turns: needs LIVEKIT_AGENT_NAME; the successor is dispatched by it"]
        )


def whole_number(name: str, default: int, highest: int, problems: list[str]) -> int:
    """A variable of the environment; adds a problem if it is not from 0 to `highest`."""
    text = os.environ.get(name) or str(default)
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number <= highest:
        problems.append(f"{name}: must be a whole number from 0 to {highest}, not {text!r:.60}")
    return number


def worker_settings() -> tuple[Settings, int, int | None]:
    """This worker's settings, number of warm processes, and port of its metrics, if any; exits
    with 2 if a setting is invalid.
    """
    problems: list[str] = []
    settings = Settings()
    try:
        settings = from_env(os.environ)
        check_handover(settings)
        check_voice(settings.voice)
    except SettingsError as error:
        problems = error.problems
    idle = whole_number("PIPELINE_IDLE_PROCESSES", 1, MAX_IDLE_PROCESSES, problems)
    port = whole_number("PIPELINE_PROMETHEUS_PORT", 0, MAX_PORT, problems)
    if problems:
        for problem in problems:
            print(f"error: {problem}", file=sys.stderr)
        print("hint: README.md in this directory lists the settings", file=sys.stderr)
        sys.exit(2)
    return settings, idle, port or None


SETTINGS, IDLE_PROCESSES, PROMETHEUS_PORT = worker_settings()


def prewarm(process: JobProcess) -> None:
    """Loads the VAD model (it comes with the plugin) before a call needs it.

    Also builds the table by which the transcript is synchronized with the speech. Built on first
    use, it would block the event loop for 50 ms or more just after the first frame of the first
    reply, and the caller would hear a hole there.
    """
    telemetry.set_up()
    process.userdata["vad"] = silero.VAD.load()
    tokenize.basic.hyphenate_word("hello")


async def accept(request: JobRequest) -> None:
    """Accepts a dispatch if its metadata can be used."""
    try:
        settings = with_metadata(SETTINGS, request.job.metadata)
        check_handover(settings)
        if settings.voice != SETTINGS.voice:
            await asyncio.to_thread(check_voice, settings.voice)
    except SettingsError as error:
        logger.error("refused the dispatch to room %s: %s", request.room.name, error)
        await request.reject()
        return
    await request.accept()


def no_load() -> float:
    """Always reports an idle worker.

    A load test keeps the machine busy on purpose. The library's own figure is the machine's
    CPU load, and the server gives no job to a worker whose load is 0.7 or more (its
    `agents.target_load`), whatever threshold the worker has set.
    """
    return 0.0


server = AgentServer(
    setup_fnc=prewarm,
    load_fnc=no_load,
    load_threshold=math.inf,
    num_idle_processes=IDLE_PROCESSES,
    prometheus_port=PROMETHEUS_PORT,
    initialize_process_timeout=60.0,
    drain_timeout=5,
    # The health endpoint: any free port, not reachable from other machines.
    host="127.0.0.1",
    port=0,
)


def make_session(settings: Settings, process: JobProcess) -> AgentSession:
    """A session with these settings."""
    aec_warmup = settings.aec_warmup_ms / 1000
    vad = process.userdata["vad"]
    # One job per process, and no stream of this VAD is open yet.
    vad.update_options(min_silence_duration=settings.vad_silence_ms / 1000)
    if settings.realtime:
        # A speech-to-speech model detects turns itself. It needs no VAD, but sessions may have one.
        return AgentSession(
            vad=vad if settings.realtime_vad else NOT_GIVEN,
            llm=ScriptedRealtimeModel(settings),
            turn_handling=TurnHandlingOptions(turn_detection="realtime_llm"),
            aec_warmup_duration=aec_warmup,
        )
    endpointing = settings.endpointing_delay_ms / 1000
    return AgentSession(
        vad=vad,
        stt=make_stt(settings),
        llm=make_llm(settings),
        tts=EspeakTTS(settings),
        turn_handling=TurnHandlingOptions(
            turn_detection="vad",
            endpointing={"min_delay": endpointing, "max_delay": max(3.0, endpointing)},
            interruption={"mode": "vad"},
            preemptive_generation={"enabled": settings.preemptive},
        ),
        aec_warmup_duration=aec_warmup,
    )


@server.rtc_session(on_request=accept)
async def entrypoint(ctx: JobContext) -> None:
    """Serves one call."""
    settings = with_metadata(SETTINGS, ctx.job.metadata)
    telemetry.attach(ctx)
    session = make_session(settings, ctx.proc)
    if session.stt:
        await asyncio.to_thread(session.stt.prewarm)
    TurnLog(ctx.room.name, os.environ.get("PIPELINE_METRICS_FILE")).attach(session)
    # The process is free for the next call as soon as the caller has left.
    session.on("close", lambda event: ctx.shutdown(reason=str(event.reason)))
    output = log_output(ctx.job.room.name, ctx.local_participant_identity, settings.publish_late)
    habits = Habits(ctx, settings, output)
    habits.attach(session)
    options = RoomOptions(audio_output=not settings.text_only)
    await session.start(
        agent=habits.agent(), room=ctx.room, record=False, room_options=options
    )
    if settings.greeting:
        session.say(settings.greeting)
