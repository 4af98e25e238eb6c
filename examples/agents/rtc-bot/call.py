"""One call: detects the caller's turns and answers them according to the habit.

In: the room's name and the `Options`. Out: a participant in the room that speaks; log lines.
Invariants: one reply at a time; `turn` in the log is the number, from 0, of the caller's
utterance to which a segment of speech belongs.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from dataclasses import dataclass, field

from body import Body
from ears import Ears
from framelog import FrameLog, Samples
from habits import Change, Ending, Options, Publish
from livekit import rtc

# As with real agents, the state changes this long before and after the sound.
STATE_LEAD_S = 0.03
STATE_TAIL_S = 0.3
# How long the state is `thinking` before the answer to an interruption; until then it is
# `listening`.
THINKING_S = 0.15
MUTE_S = 0.2
REJOIN_S = 0.5
HANDOVER_S = 0.3


@dataclass
class Utterance:
    """One utterance of the caller. Instants are Unix seconds."""

    turn: int
    began: float
    ended: asyncio.Future[float] = field(default_factory=asyncio.Future)


@dataclass(frozen=True)
class Clips:
    """Everything the bot can say, made once."""

    sentences: list[Samples]
    filler: Samples


async def sleep_until(instant: float) -> None:
    """Sleeps until a Unix instant; returns at once if it has passed."""
    await asyncio.sleep(max(0.0, instant - time.time()))


class Call:
    """The bot in one room."""

    def __init__(self, options: Options, clips: Clips, log: FrameLog, room: str) -> None:
        self.over = asyncio.Event()
        self._options = options
        self._habit = options.habit
        self._clips = clips
        self._log = log
        self._name = room
        self._random = random.Random(f"{options.seed} {room}")
        self._bodies = 0
        self._body = self._new_body()
        self._ears = Ears(options.silence_ms / 1000, self._caller_began, self._caller_ended)
        self._turns = 0
        self._utterance: Utterance | None = None
        self._replying = asyncio.Lock()
        self._serving: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Joins, and stays until the caller or the bot has left."""
        await self._body.join()
        await self.over.wait()
        for task in self._serving:
            task.cancel()
        if self._body.room.isconnected():
            await self._body.leave()

    def _new_body(self) -> Body:
        self._bodies += 1
        identity = f"agent-{self._name[-24:]}" + (f"-{self._bodies}" if self._bodies > 1 else "")

        def heard(pcm: Samples, rate: int) -> None:
            # During a hand-over, two participants receive the caller's audio.
            if self._body is body:
                self._ears.feed(pcm, rate, time.time())

        body = Body(self._options, self._log, self._name, identity, heard)
        body.room.on("participant_disconnected", self._someone_left)
        return body

    def _someone_left(self, participant: rtc.RemoteParticipant) -> None:
        agent = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        if not agent and participant.name != "rtc-bot":
            self.over.set()

    def _caller_began(self, at: float) -> None:
        self._utterance = Utterance(self._turns, at)
        self._turns += 1
        self._write("caller_begins", turn=self._utterance.turn, began_at=at)
        task = asyncio.ensure_future(self._serve(self._utterance))
        self._serving.add(task)
        task.add_done_callback(self._served)

    def _caller_ended(self, at: float) -> None:
        if self._utterance is None:
            return
        self._write("caller_ends", turn=self._utterance.turn, ended_at=at)
        if not self._utterance.ended.done():
            self._utterance.ended.set_result(at)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._serving.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._write("error", message=repr(error)[:500])

    async def _serve(self, utterance: Utterance) -> None:
        """Handles one utterance, from its first word to the end of the reply to it."""
        if self._habit.yields and self._replying.locked():
            begin = await self._yield_to(utterance)
        else:
            await utterance.ended
            delay = self._options.answer_delay_ms
            delay = self._habit.answer_delay_ms if delay is None else delay
            begin = time.time() + delay / 1000
            if self._replying.locked():
                self._write("ignored", turn=utterance.turn)
                return
        if self._habit.publish is Publish.NEVER:
            return
        async with self._replying:
            self._body.tell_state("thinking")
            await sleep_until(begin)
            await self._reply(utterance.turn)

    async def _yield_to(self, utterance: Utterance) -> float:
        """Stops for an interruption. Returns the instant at which the answer is due."""
        await sleep_until(utterance.began + self._options.stop_ms / 1000)
        stopped = self._body.mouth.stop("interrupted") if self._body.mouth else None
        if stopped is None:
            return await utterance.ended
        self._body.tell_state("listening")
        self._write("interrupted", turn=utterance.turn, stopped_at=stopped)
        after = stopped if self._options.answer_from == "silence" else await utterance.ended
        due = after + self._options.answer_ms / 1000
        await sleep_until(due - THINKING_S)
        return due

    async def _reply(self, turn: int) -> None:
        """Speaks the reply, with the habit's changes before, during and after the reply."""
        chosen = turn == self._options.at_turn
        if chosen or not self._habit.only_at_turn:
            await self._change(self._habit.before_reply)
        if not self._body.published:
            await self._body.publish()
        await self._body.until_subscribed()
        if chosen and self._habit.ending is not Ending.NONE:
            asyncio.get_running_loop().call_later(self._options.after_ms / 1000, self._break_off)
        if not await self._say_everything(turn):
            return
        # A hand-over happens when the turn before the chosen one has been answered.
        next_chosen = turn + 1 == self._options.at_turn
        if next_chosen or not self._habit.only_at_turn:
            await self._change(self._habit.after_reply)

    async def _say_everything(self, turn: int) -> bool:
        """Speaks the filler and the sentences. Returns false if the bot was stopped."""
        if self._habit.filler_pause_ms is not None:
            pause = self._options.pause_ms
            pause = self._habit.filler_pause_ms if pause is None else pause
            if not await self._say(self._clips.filler, turn, "filler"):
                return False
            due = time.time() + pause / 1000
            await self._back_to("listening")
            self._body.tell_state("thinking")
            await sleep_until(due)
        for index, clip in enumerate(self._clips.sentences):
            if index > 0:
                await asyncio.sleep(self._random.randint(*self._habit.sentence_pause_ms) / 1000)
            if not await self._say(clip, turn, "reply", first=index == 0):
                return False
        await self._back_to("listening")
        return True

    async def _say(self, clip: Samples, turn: int, part: str, first: bool = True) -> bool:
        mouth = self._body.mouth
        if mouth is None:
            return False
        if first and self._options.state:
            self._body.tell_state("speaking")
            await asyncio.sleep(STATE_LEAD_S)
        return await mouth.say(clip, turn=turn, part=part)

    async def _back_to(self, state: str) -> None:
        if self._options.state:
            await asyncio.sleep(STATE_TAIL_S)
            self._body.tell_state(state)

    async def _change(self, change: Change) -> None:
        body = self._body
        if change in (Change.REPUBLISH, Change.UNPUBLISH):
            await body.unpublish()
        if change is Change.REPUBLISH:
            await body.publish()
        elif change is Change.MUTE:
            await body.mute_for(MUTE_S)
        elif change is Change.REJOIN:
            await body.leave()
            await asyncio.sleep(REJOIN_S)
            self._body = self._new_body()
            await self._body.join()
        elif change is Change.HANDOVER:
            await asyncio.sleep(HANDOVER_S)
            successor = self._new_body()
            await successor.join()
            self._body = successor
            self._write("handed_over")
            await body.leave()

    def _break_off(self) -> None:
        """Crashes or leaves in the middle of a reply."""
        crash = self._habit.ending is Ending.CRASH
        if self._body.mouth:
            self._body.mouth.stop("crash" if crash else "leave")
        if crash:
            self._write("crash")
            os.kill(os.getpid(), signal.SIGKILL)
        self.over.set()

    def _write(self, event: str, **fields: object) -> None:
        self._log.write(event, room=self._name, identity=self._body.identity, **fields)
