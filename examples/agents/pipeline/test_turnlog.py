"""Tests of the lines that the turn log writes for a session's events. Needs the agent's packages,
but no server: `.venv/bin/python -m unittest`."""

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from livekit import rtc
from livekit.agents import ConversationItemAddedEvent, ToolExecutionUpdatedEvent, llm
from livekit.agents.metrics import LLMModelUsage, STTModelUsage, TTSModelUsage
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted
from turnlog import TurnLog


class Session(rtc.EventEmitter[Any]):
    """The parts of a session that the log uses."""

    def __init__(self) -> None:
        super().__init__()
        self.usage = SimpleNamespace(model_usage=[])

    def says(self, role: str, text: str, **metrics: Any) -> None:
        item = llm.ChatMessage(role=role, content=[text], metrics=metrics)
        self.emit("conversation_item_added", ConversationItemAddedEvent(item=item))

    def tool(self, update: Any, at: float) -> None:
        self.emit("tool_execution_updated", ToolExecutionUpdatedEvent(update=update, created_at=at))

    def has_used(self, tokens: int, characters: int, heard_s: float) -> None:
        names = {"provider": "p", "model": "m"}
        self.usage.model_usage = [
            LLMModelUsage(**names, input_tokens=10 * tokens, output_tokens=tokens),
            TTSModelUsage(**names, characters_count=characters),
            STTModelUsage(**names, audio_duration=heard_s),
        ]


class Lines(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "turns.jsonl"
        self.session = Session()
        # The log goes to standard error as well.
        quiet = contextlib.redirect_stderr(io.StringIO())
        quiet.__enter__()
        self.addCleanup(quiet.__exit__, None, None, None)
        TurnLog("room", str(self.path)).attach(self.session)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def test_a_turn_has_the_names_of_its_models(self) -> None:
        self.session.says("user", "yes", stt_metadata={"model_name": "ear"})
        self.session.says(
            "assistant", "Sure.", llm_metadata={"model_name": "mind"}, e2e_latency=1.5
        )
        (line,) = self.lines()
        self.assertEqual((line["event"], line["turn"], line["e2e_latency"]), ("turn", 0, 1.5))
        models = (line["stt_model"], line["llm_model"], line["tts_model"])
        self.assertEqual(models, ("ear", "mind", None))

    def test_a_line_has_the_usage_since_the_previous_line(self) -> None:
        self.session.has_used(3, 20, 1.5)
        self.session.says("user", "yes")
        self.session.says("assistant", "Sure.")
        self.session.has_used(5, 50, 1.5)
        self.session.says("assistant", "Here it is.")
        used = [
            (line["llm_input_tokens"], line["llm_output_tokens"], line["tts_characters"])
            for line in self.lines()
        ]
        self.assertEqual(used, [(30, 3, 20), (20, 2, 30)])
        self.assertEqual([line["stt_audio_s"] for line in self.lines()], [1.5, 0.0])

    def test_a_tool_belongs_to_the_turn_that_called_it(self) -> None:
        call = llm.FunctionCall(name="look_up", call_id="c1", arguments="{}")
        self.session.says("user", "yes")
        self.session.tool(ToolCallStarted(function_call=call), at=10.0)
        self.session.says("assistant", "Let me look.")
        self.session.tool(ToolCallEnded(id="c1", call_id="c1", status="error"), at=12.5)
        turn, tool = self.lines()
        self.assertEqual((turn["event"], turn["turn"]), ("turn", 0))
        expected = {
            **{"event": "tool", "turn": 0, "tool": "look_up", "call_id": "c1"},
            **{"started_at": 10.0, "ended_at": 12.5, "status": "error"},
        }
        self.assertEqual({name: tool[name] for name in expected}, expected)

    def test_the_end_of_the_call_writes_the_unanswered_turn_and_the_usage(self) -> None:
        self.session.has_used(3, 20, 1.5)
        self.session.says("user", "yes")
        self.session.emit("close", None)
        turn, call = self.lines()
        self.assertEqual((turn["event"], turn["reply_text"]), ("turn", None))
        self.assertEqual(call["event"], "call")
        self.assertEqual([entry["type"] for entry in call["usage"]][0], "llm_usage")
        self.assertEqual(call["usage"][0]["output_tokens"], 3)


if __name__ == "__main__":
    unittest.main()
