"""One JSON line for each conversation turn, with the agent's own figures.

In: the session's `conversation_item_added` events. Out: lines on standard error and in
the file named by PIPELINE_METRICS_FILE.
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

from livekit.agents import AgentSession, ConversationItemAddedEvent, llm

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


class TurnLog:
    """Pairs what the user said with what the agent answered."""

    def __init__(self, room: str, path: str | None) -> None:
        self._room = room
        self._path = path
        self._turn = 0
        self._user: llm.ChatMessage | None = None

    def attach(self, session: AgentSession) -> None:
        """Listens to the session until it closes."""
        session.on("conversation_item_added", self._on_item)
        session.on("close", lambda _: self._unanswered())

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
        line: dict[str, Any] = {
            "event": "turn" if user else "agent_speech",
            "room": self._room,
            "turn": self._turn if user else None,
            "logged_at": time.time(),
            # Lets a test that shifts the wall clock recover the true time.
            "monotonic": time.monotonic(),
            "user_started_speaking_at": heard.get("started_speaking_at"),
            "user_stopped_speaking_at": heard.get("stopped_speaking_at"),
            "agent_started_speaking_at": said.get("started_speaking_at"),
            "agent_stopped_speaking_at": said.get("stopped_speaking_at"),
            **{name: heard.get(name) for name in _USER_FIGURES},
            **{name: said.get(name) for name in _REPLY_FIGURES},
            "interrupted": reply.interrupted if reply else None,
            "user_text": user.text_content if user else None,
            "reply_text": reply.text_content if reply else None,
        }
        if user:
            self._turn += 1
        self._emit(json.dumps(line) + "\n")

    def _emit(self, line: str) -> None:
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
            # The call continues: a full disk must not change what is measured.
            logger.error("cannot write the turn to %s: %s", self._path, error)
