"""A Pipecat bot that joins LiveKit rooms as an ordinary participant, and needs no cloud.

In: LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET; the options that `--help` lists.
Out: a participant in every room whose name has the prefix; its frame log.
Invariant: transport, VAD, aggregators and pipeline are Pipecat's own; only the recogniser,
language model and voice are ours, and the transport's audio source is only observed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import time
from typing import Any

from framelog import FrameLog, SpeechLog
from livekit import api
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterruptionFrame,
    TTSStartedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.livekit.transport import LiveKitParams, LiveKitTransport
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner
from services import EspeakTTS, ScriptedLLM, ScriptedSTT, spoken
from sourcelog import watch

POLL_S = 0.1
VOICE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{1,8}){0,4}(\+[a-zA-Z0-9_]{1,32})?")


class Scribe(FrameProcessor):
    """Sits between the voice and the transport; logs turns, states and audible speech."""

    def __init__(self, log: FrameLog, room: str, identity: str) -> None:
        super().__init__()
        self._log = log
        self._labels = {"room": room, "identity": identity}
        # The caller's current turn, from 0; None before the first.
        self._turn: int | None = None
        self.speech = SpeechLog(log, **self._labels)
        # Ends a reply whose last second is still in the source's queue.
        self._ending: asyncio.Task[None] | None = None

    def write(self, event: str, **fields: Any) -> None:
        """Writes a line with the room and the participant."""
        self._log.write(event, **self._labels, **fields)

    def cleared(self) -> None:
        """Called when the source's queue is emptied because the caller interrupted the bot."""
        self.end(interrupted=True)

    def end(self, **fields: Any) -> None:
        """Ends the reply in progress, if there is one."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        self.speech.end(**fields)

    async def _end_when_played(self) -> None:
        await asyncio.sleep(max(0.0, self.speech.next_due - time.time()))
        self._ending = None
        self.end(interrupted=False)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        # Some frames pass in both directions; handle them in only one.
        if isinstance(frame, BotStartedSpeakingFrame | BotStoppedSpeakingFrame):
            if direction is FrameDirection.UPSTREAM:
                self._bot_speaks(isinstance(frame, BotStartedSpeakingFrame))
        elif direction is FrameDirection.DOWNSTREAM:
            self._note(frame)
        await self.push_frame(frame, direction)

    def _bot_speaks(self, speaks: bool) -> None:
        self.write("state", state="speaking" if speaks else "listening", turn=self._turn)
        if not speaks and self.speech.open:
            self._ending = asyncio.ensure_future(self._end_when_played())

    def _note(self, frame: Frame) -> None:
        if isinstance(frame, UserStartedSpeakingFrame):
            self._turn = 0 if self._turn is None else self._turn + 1
            self.write("user_state", state="speaking", turn=self._turn)
        elif isinstance(frame, UserStoppedSpeakingFrame):
            self.write("user_state", state="listening", turn=self._turn)
        elif isinstance(frame, InterruptionFrame):
            self.write("interrupted", turn=self._turn)
        elif isinstance(frame, TTSStartedFrame):
            if self._ending is not None:
                self.end(interrupted=False)
            if not self.speech.open:
                self.speech.begin(turn=self._turn)


class Bot:
    """Watches for rooms and answers in each of them."""

    def __init__(self, prefix: str, voice: str, log: FrameLog) -> None:
        self._prefix = prefix
        self._voice = voice
        self._log = log
        self._seen: set[str] = set()
        self._calls: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """Joins rooms as they appear, until the process is ended."""
        self._log.write("ready")
        async with api.LiveKitAPI() as server:
            while True:
                try:
                    self._join(await server.room.list_rooms(api.ListRoomsRequest()))
                except Exception as error:  # the server may be restarting
                    self._log.write("error", message=f"cannot list rooms: {error!r:.400}")
                await asyncio.sleep(POLL_S)

    def _join(self, listed: api.ListRoomsResponse) -> None:
        names = {room.name for room in listed.rooms if room.name.startswith(self._prefix)}
        for name in sorted(names - self._seen):
            task = asyncio.ensure_future(self._serve(name))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        # A room that is gone may be created again under the same name.
        self._seen = names

    async def _serve(self, room: str) -> None:
        """Serves one call, from joining the room to the end of the call."""
        try:
            await self._call(room)
        except Exception as error:  # the other calls continue
            self._log.write("error", room=room, message=f"{error!r:.400}")

    async def _call(self, room: str) -> None:
        identity = f"pipecat-{room[-24:]}"
        transport = LiveKitTransport(
            url=os.environ["LIVEKIT_URL"],
            token=token(room, identity),
            room_name=room,
            params=LiveKitParams(audio_in_enabled=True, audio_out_enabled=True),
        )
        scribe = Scribe(self._log, room, identity)
        worker = PipelineWorker(
            pipeline(transport, self._voice, scribe),
            params=PipelineParams(),
            enable_rtvi=False,
            idle_timeout_secs=None,
        )

        @transport.event_handler("on_connected")
        async def on_connected(_: LiveKitTransport) -> None:
            # The transport offers no other access to the source that it makes.
            client = transport.output()._client
            watch(client._audio_source, scribe.speech, scribe.cleared)
            scribe.write("joined")

        @transport.event_handler("on_participant_disconnected")
        async def on_left(_: LiveKitTransport, participant: str) -> None:
            await worker.cancel()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()
        scribe.end(interrupted=True, why="left")
        scribe.write("left")


def pipeline(transport: LiveKitTransport, voice: str, scribe: Scribe) -> Pipeline:
    """The processors of the bot, in order."""
    user_params = LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(),
        user_turn_strategies=UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy()]),
    )
    context = LLMContextAggregatorPair(LLMContext(), user_params=user_params)
    return Pipeline(
        [
            transport.input(),
            ScriptedSTT(),
            context.user(),
            ScriptedLLM(),
            EspeakTTS(voice),
            scribe,
            transport.output(),
            context.assistant(),
        ]
    )


def token(room: str, identity: str) -> str:
    """An access token for an ordinary participant."""
    grants = api.VideoGrants(room_join=True, room=room)
    made = api.AccessToken().with_identity(identity).with_name("Pipecat bot")
    return made.with_grants(grants).to_jwt()


async def run(options: argparse.Namespace) -> None:
    """Checks the voice and runs the bot."""
    try:
        async for _ in spoken("hello", options.voice):
            pass
    except OSError as error:
        hint = "apt-get install espeak-ng; espeak-ng --voices lists its voices"
        sys.exit(f"error: espeak-ng cannot be used: {error}\nhint: {hint}")
    await Bot(options.prefix, options.voice, FrameLog(options.log)).watch()


def voice_name(text: str) -> str:
    """The name of an espeak-ng voice; it can never be taken for an option."""
    if not VOICE.fullmatch(text):
        raise argparse.ArgumentTypeError("must be a voice such as en-us or en+f3")
    return text


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="pipecat/run", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--prefix", default="loadgen", help="name prefix of the rooms to join")
    parser.add_argument("--log", help="file to which the frame log is appended")
    parser.add_argument("--voice", type=voice_name, default="en-us", help="voice of espeak-ng")
    parser.add_argument("--verbose", action="store_true", help="print Pipecat's own log, too")
    options = parser.parse_args()
    for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        if not os.environ.get(name):
            sys.exit(f"error: {name} is not set\nhint: the bot joins rooms of a LiveKit server")
    logger.remove()
    logger.add(sys.stderr, level="DEBUG" if options.verbose else "WARNING")
    try:
        asyncio.run(run(options))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
