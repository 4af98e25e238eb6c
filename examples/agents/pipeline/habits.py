"""Behaviours of real agents besides answering: tools, fillers, hand-overs, new tracks, crashes.

In: the call's `Settings` and the session's events. Out: the `Agent` of the session; calls of
its output; lines in the frame log.
Invariant: with the default settings, nothing here changes the call except its log.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import signal
import time
from collections.abc import Coroutine
from typing import Any

from livekit import api, rtc
from livekit.agents import (
    Agent,
    AgentFalseInterruptionEvent,
    AgentSession,
    AgentStateChangedEvent,
    JobContext,
    UserStateChangedEvent,
    function_tool,
    llm,
)
from output import Output
from settings import Settings
from speech import TOOL

logger = logging.getLogger("pipeline.habits")

INSTRUCTIONS = "You are a helpful voice agent. Your answers are scripted."
# Maximum wait for a successor to join; after that, the agent stays.
SUCCESSOR_S = 15.0
# Digits that are remembered until the caller dials `#`.
MAX_DIGITS = 64


class Habits:
    """Adds the configured behaviours to one session."""

    def __init__(self, ctx: JobContext, settings: Settings, output: Output) -> None:
        self.settings = settings
        self.output = output
        self._ctx = ctx
        self._heard = settings.first_turn
        self._replied: int | None = None
        self._digits = ""
        self._tasks: set[asyncio.Task[None]] = set()
        output.on_segment = self._segment_begins

    def agent(self) -> Agent:
        """The agent that the session runs."""
        tools = [make_tool(self.settings)] if self.settings.tool_call_ms else []
        return HabitualAgent(self, tools)

    def attach(self, session: AgentSession) -> None:
        """Listens to the session until it closes."""
        session.on("user_state_changed", self._on_user_state)
        session.on("agent_state_changed", self._on_agent_state)
        session.on("agent_false_interruption", self._on_false_interruption)
        self._ctx.room.on("sip_dtmf_received", lambda dtmf: self._on_digit(session, dtmf))
        self._ctx.add_shutdown_callback(self._left)

    async def before_reply(self, agent: Agent) -> None:
        """Runs when the caller's turn has ended, before the request to the language model."""
        settings = self.settings
        if settings.filler:
            await agent.session.say(settings.filler).wait_for_playout()
            ended = self.output.speech.last_audible_at or time.time()
            self.output.hold_until = ended + settings.filler_pause_ms / 1000
        if settings.republish_before_reply and self._is_republished(self._heard - 1):
            await self._republish()

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self.output.turn = self._heard
            self._heard += 1
        self.output.write("user_state", state=event.new_state, turn=self.output.turn)

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        self.output.write("state", state=event.new_state, turn=self.output.turn)
        # A turn is over when the agent has answered it and is listening again.
        if event.new_state == "listening" and self._replied is not None:
            turn, self._replied = self._replied, None
            self._spawn(self._after_reply(turn))

    def _on_false_interruption(self, event: AgentFalseInterruptionEvent) -> None:
        self.output.write("false_interruption", resumed=event.resumed, turn=self.output.turn)

    def _on_digit(self, session: AgentSession, dtmf: rtc.SipDTMF) -> None:
        self.output.write("digit", digit=dtmf.digit, code=dtmf.code)
        if not self.settings.answer_digits:
            return
        if dtmf.digit != "#":
            self._digits = (self._digits + dtmf.digit)[-MAX_DIGITS:]
            return
        digits, self._digits = self._digits, ""
        session.say(f"You have dialled {' '.join(digits) or 'nothing'}. Thank you.")

    def _segment_begins(self, turn: int | None) -> None:
        self._replied = turn
        settings = self.settings
        if settings.crash_after_ms and turn == settings.crash_turn:
            loop = asyncio.get_running_loop()
            loop.call_later(settings.crash_after_ms / 1000, self._crash)

    async def _after_reply(self, turn: int) -> None:
        settings = self.settings
        if turn + 1 - settings.first_turn == settings.handover_after_turns:
            await self._hand_over(turn + 1)
        elif not settings.republish_before_reply and self._is_republished(turn + 1):
            await self._republish()

    def _is_republished(self, turn: int) -> bool:
        """Whether the track is new from `turn` on."""
        every = self.settings.republish_after_turns
        return every > 0 and turn > 0 and turn % every == 0

    async def _republish(self) -> None:
        if self.output.track:
            await self.output.track.republish()

    def _crash(self) -> None:
        self.output.speech.clear()
        self.output.speech.end(interrupted=True, why="crash")
        self.output.write("crash")
        os.kill(os.getpid(), signal.SIGKILL)

    async def _hand_over(self, first_turn: int) -> None:
        """Dispatches a successor under the same name and leaves when it has joined."""
        settings = dataclasses.replace(self.settings, first_turn=first_turn, greeting=None)
        settings = dataclasses.replace(settings, handover_after_turns=0)
        joined = asyncio.Event()

        def on_participant(participant: rtc.RemoteParticipant) -> None:
            if participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:
                joined.set()

        def on_track(
            publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
        ) -> None:
            on_participant(participant)

        if settings.publish_late:
            self._ctx.room.on("participant_connected", on_participant)
        else:
            self._ctx.room.on("track_published", on_track)
        request = api.CreateAgentDispatchRequest(
            agent_name=os.environ["LIVEKIT_AGENT_NAME"],
            room=self._ctx.room.name,
            metadata=json.dumps(dataclasses.asdict(settings)),
        )
        await self._ctx.api.agent_dispatch.create_dispatch(request)
        try:
            await asyncio.wait_for(joined.wait(), SUCCESSOR_S)
        except asyncio.TimeoutError:
            logger.error("no successor joined within %s s; the agent stays", SUCCESSOR_S)
            return
        self.output.write("handed_over", turn=first_turn)
        self._ctx.shutdown(reason="handed over")

    async def _left(self) -> None:
        self.output.write("left")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("%r", error)


class HabitualAgent(Agent):
    """An agent that notifies its `Habits` when a turn of the caller has ended."""

    def __init__(self, habits: Habits, tools: list[llm.Tool]) -> None:
        super().__init__(instructions=INSTRUCTIONS, tools=tools)
        self._habits = habits

    async def on_user_turn_completed(
        self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage
    ) -> None:
        await self._habits.before_reply(self)


def make_tool(settings: Settings) -> llm.Tool:
    """A tool that takes `tool_call_ms` to answer, or to fail."""

    @function_tool(name=TOOL)
    async def look_up() -> str:
        """Looks up the caller's order."""
        await asyncio.sleep(settings.tool_call_ms / 1000)
        if settings.tool_fails:
            raise llm.ToolError("the order system does not answer")
        return "It left the warehouse this morning."

    return look_up
