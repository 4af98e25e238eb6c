"""JSON lines with the agent's own figures: one for each conversation turn, one for each tool
call, and one with the usage of the whole call.

In: the session's events. Out: lines on standard error and in the file named by
PIPELINE_METRICS_FILE.
Invariants: every user turn gets exactly one line, even if it was never answered; a line
is one `write` to a file opened for appending, so that lines of concurrent calls never mix.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any

from livekit.agents import AgentSession, ConversationItemAddedEvent, ToolExecutionUpdatedEvent, llm

logger = logging.getLogger("pipeline.turns")

_USER_FIGURES = ("transcription_delay", "end_of_turn_delay", "on_user_turn_completed_delay")
_REPLY_FIGURES = (
    "llm_node_ttft",
    "llm_node_ttfs",
    "llm_node_tps",
    "tts_node_ttfb",
    "playback_latency",
    "e2e_latency",
)
# Usage of a turn: name in the log, kind of livekit-agents' usage, and field of that usage.
_USED = (
    ("llm_input_tokens", "llm_usage", "input_tokens"),
    ("llm_input_cached_tokens", "llm_usage", "input_cached_tokens"),
    ("llm_output_tokens", "llm_usage", "output_tokens"),
    ("tts_characters", "tts_usage", "characters_count"),
    ("tts_audio_s", "tts_usage", "audio_duration"),
    ("stt_audio_s", "stt_usage", "audio_duration"),
)


class TurnLog:
    """Pairs each turn of the user with the agent's reply."""

    def __init__(self, room: str, path: str | None) -> None:
        self._room = room
        self._path = path
        self._turn = 0
        self._user: llm.ChatMessage | None = None
        self._session: AgentSession | None = None
        self._used: dict[str, float] = {}
        # Name, start and turn of each tool call that has not ended.
        self._tools: dict[str, tuple[str, float, int]] = {}

    def attach(self, session: AgentSession) -> None:
        """Listens to the session until it closes."""
        self._session = session
        session.on("conversation_item_added", self._on_item)
        session.on("tool_execution_updated", self._on_tool)
        session.on("close", lambda _: self._closed())

    def _closed(self) -> None:
        self._unanswered()
        usage = self._session.usage.model_usage if self._session else []
        self._emit("call", usage=[entry.model_dump() for entry in usage])

    def _on_tool(self, event: ToolExecutionUpdatedEvent) -> None:
        update = event.update
        if update.type == "tool_call_started":
            call = update.function_call
            turn = self._turn if self._user else self._turn - 1
            self._tools[call.call_id] = (call.name, event.created_at, turn)
        elif update.type == "tool_call_ended":
            name, started, turn = self._tools.pop(update.call_id, (None, None, None))
            self._emit(
                "tool",
                turn=turn,
                tool=name,
                call_id=update.call_id,
                started_at=started,
                ended_at=event.created_at,
                status=update.status,
            )

    def _used_since(self) -> dict[str, float]:
        """Usage since the last call of this function, summed over all models."""
        total: dict[str, float] = {name: 0 for name, _, _ in _USED}
        for entry in self._session.usage.model_usage if self._session else []:
            for name, kind, figure in _USED:
                if entry.type == kind:
                    total[name] += getattr(entry, figure)
        since = {name: total[name] - self._used.get(name, 0) for name in total}
        self._used = total
        return since

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, llm.ChatMessage):
            return
        if item.role == "user":
            self._unanswered()
            self._user = item
        elif item.role == "assistant":
            self._write(self._user, item)
            self._user = None

    def _unanswered(self) -> None:
        if self._user is not None:
            self._write(self._user, None)
            self._user = None

    def _write(self, user: llm.ChatMessage | None, reply: llm.ChatMessage | None) -> None:
        heard: Any = (user.metrics if user else None) or {}
        said: Any = (reply.metrics if reply else None) or {}
        figures: dict[str, Any] = {
            "turn": self._turn if user else None,
            "user_started_speaking_at": heard.get("started_speaking_at"),
            "user_stopped_speaking_at": heard.get("stopped_speaking_at"),
            "agent_started_speaking_at": said.get("started_speaking_at"),
            "agent_stopped_speaking_at": said.get("stopped_speaking_at"),
            **{name: heard.get(name) for name in _USER_FIGURES},
            **{name: said.get(name) for name in _REPLY_FIGURES},
            **self._used_since(),
            "stt_model": heard.get("stt_metadata", {}).get("model_name"),
            "llm_model": said.get("llm_metadata", {}).get("model_name"),
            "tts_model": said.get("tts_metadata", {}).get("model_name"),
            "interrupted": reply.interrupted if reply else None,
            "user_text": user.text_content if user else None,
            "reply_text": reply.text_content if reply else None,
        }
        if user:
            self._turn += 1
        self._emit("turn" if user else "agent_speech", **figures)

    def _emit(self, event: str, **fields: Any) -> None:
        line = json.dumps(
            {
                "event": event,
                "room": self._room,
                "logged_at": time.time(),
                # Lets a test that shifts the wall clock recover the true time.
                "monotonic": time.monotonic(),
                **fields,
            }
        )
        line += "\n"
        sys.stderr.write(line)
        sys.stderr.flush()
        if not self._path:
            return
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(file, line.encode())
            finally:
                os.close(file)
        except OSError as error:
            # The call continues: a full disk must not affect the measurement.
            logger.error("cannot write the turn to %s: %s", self._path, error)
