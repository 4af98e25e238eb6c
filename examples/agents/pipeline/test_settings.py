"""Which settings are accepted and which are refused. Needs no packages: `python -m unittest`."""

import json
import unittest

from settings import MAX_METADATA_BYTES, Settings, SettingsError, from_env, with_metadata


class FromEnv(unittest.TestCase):
    def test_valid_settings_are_accepted(self) -> None:
        cases = [
            ("nothing set", {}, Settings()),
            ("an empty variable", {"PIPELINE_VOICE": ""}, Settings()),
            ("unrelated variables", {"HOME": "/", "LLM_TTFT_MS": "1"}, Settings()),
            ("a number", {"PIPELINE_LLM_TTFT_MS": "0"}, Settings(llm_ttft_ms=0)),
            ("a flag", {"PIPELINE_PREEMPTIVE": "True"}, Settings(preemptive=True)),
            ("lines", {"PIPELINE_REPLIES": "One.\n\nTwo."}, Settings(replies=("One.", "Two."))),
            ("a greeting", {"PIPELINE_GREETING": "Hello"}, Settings(greeting="Hello")),
            ("a tool", {"PIPELINE_TOOL_CALL_MS": "3000"}, Settings(tool_call_ms=3000)),
            ("a filler", {"PIPELINE_FILLER": "Hm, yes"}, Settings(filler="Hm, yes")),
            (
                "transcripts, one a line",
                {"PIPELINE_STT_TEXT": "where is my order\nthank you"},
                Settings(stt_text=("where is my order", "thank you")),
            ),
            ("a habit", {"PIPELINE_PUBLISH_LATE": "1"}, Settings(publish_late=True)),
            ("no voice", {"PIPELINE_TEXT_ONLY": "1"}, Settings(text_only=True)),
            ("digits", {"PIPELINE_ANSWER_DIGITS": "1"}, Settings(answer_digits=True)),
        ]
        for name, env, expected in cases:
            with self.subTest(name):
                self.assertEqual(from_env(env), expected)

    def test_every_problem_is_reported_at_once(self) -> None:
        with self.assertRaises(SettingsError) as raised:
            from_env({"PIPELINE_VAD_SILENCE_MS": "soon", "PIPELINE_STT": "x", "PIPELINE_VOICE": "-v"})
        names = [problem.split(":")[0] for problem in raised.exception.problems]
        self.assertEqual(
            sorted(names), ["PIPELINE_STT", "PIPELINE_VAD_SILENCE_MS", "PIPELINE_VOICE"]
        )


class WithMetadata(unittest.TestCase):
    def test_valid_settings_are_accepted(self) -> None:
        base = Settings(voice="de")
        cases = [
            ("nothing", "", base),
            ("blanks", " \n", base),
            ("an empty object", "{}", base),
            ("one key", '{"llm_ttft_ms": 900}', Settings(voice="de", llm_ttft_ms=900)),
            ("no greeting", '{"greeting": null}', base),
            ("a variant", '{"voice": "en-gb-x-rp"}', Settings(voice="en-gb-x-rp")),
            ("no warm-up", '{"aec_warmup_ms": 0}', Settings(voice="de", aec_warmup_ms=0)),
            ("no filler", '{"filler": null}', base),
            ("one text", '{"stt_text": "yes"}', Settings(voice="de", stt_text=("yes",))),
            (
                "texts",
                '{"stt_text": ["yes", "no"]}',
                Settings(voice="de", stt_text=("yes", "no")),
            ),
            (
                "a fallback model",
                '{"fallback_after_turns": 2}',
                Settings(voice="de", fallback_after_turns=2),
            ),
            (
                "speech to speech",
                '{"realtime": true, "realtime_vad": true}',
                Settings(voice="de", realtime=True, realtime_vad=True),
            ),
            (
                "a tool that fails",
                '{"tool_call_ms": 500, "tool_fails": true}',
                Settings(voice="de", tool_call_ms=500, tool_fails=True),
            ),
            (
                "a hand-over",
                '{"handover_after_turns": 2, "first_turn": 4}',
                Settings(voice="de", handover_after_turns=2, first_turn=4),
            ),
            (
                "a crash",
                '{"crash_turn": 0, "crash_after_ms": 700}',
                Settings(voice="de", crash_turn=0, crash_after_ms=700),
            ),
            (
                "a republished track",
                '{"republish_after_turns": 1, "republish_before_reply": true}',
                Settings(voice="de", republish_after_turns=1, republish_before_reply=True),
            ),
        ]
        for name, metadata, expected in cases:
            with self.subTest(name):
                self.assertEqual(with_metadata(base, metadata), expected)

    def test_invalid_settings_are_refused(self) -> None:
        cases = [
            ("not JSON", "{", "not JSON"),
            ("a list", "[]", "JSON object"),
            ("nested too deeply", "[" * 60_000, "not JSON"),
            ("unknown key", '{"tier": "gold"}', "metadata.tier: unknown"),
            ("too small", '{"vad_silence_ms": 49}', "from 50 to 5000"),
            ("too large", '{"llm_ttft_ms": 60001}', "from 0 to 60000"),
            ("not whole", '{"stt_delay_ms": 1.5}', "whole number"),
            ("a flag as a number", '{"stt_delay_ms": true}', "whole number"),
            ("a number as text", '{"stt_delay_ms": "1"}', "whole number"),
            ("a text as a flag", '{"preemptive": "no"}', "true or false"),
            ("a long tool call", '{"tool_call_ms": 60001}', "from 0 to 60000"),
            ("a flag as a turn", '{"crash_turn": true}', "from 0 to 1000"),
            ("a number as a flag", '{"publish_late": 1}', "true or false"),
            ("a filler without a word", '{"filler": "..."}', "with a word"),
            ("an option as a voice", '{"voice": "--stdin"}', "must be a voice"),
            ("a voice with a newline", '{"voice": "en\\n"}', "must be a voice"),
            ("no transcripts", '{"stt_text": []}', "1 to 50"),
            ("a number for transcripts", '{"stt_text": 1}', "1 to 50"),
            ("a transcript without a word", '{"stt_text": ["yes", "..."]}', "with a word"),
            ("a negative number of turns", '{"fallback_after_turns": -1}', "from 0 to 1000"),
            ("realtime with a filler", '{"realtime": true, "filler": "Hm"}', "with filler"),
            ("realtime with a recogniser", '{"realtime": true, "stt": "pocketsphinx"}', "with stt"),
            ("no replies", '{"replies": []}', "1 to 50"),
            ("a reply without a word", '{"replies": ["…"]}', "with a word"),
            ("a long greeting", json.dumps({"greeting": "a" * 2001}), "at most 2000"),
            ("too long", '"' + "a" * MAX_METADATA_BYTES + '"', "longer than"),
        ]
        for name, metadata, message in cases:
            with self.subTest(name), self.assertRaisesRegex(SettingsError, message):
                with_metadata(Settings(), metadata)

    def test_metadata_that_clashes_with_the_workers_settings_is_refused(self) -> None:
        base = Settings(fallback_after_turns=1)
        with self.assertRaisesRegex(SettingsError, "metadata.realtime: .*fallback_after_turns"):
            with_metadata(base, '{"realtime": true}')


if __name__ == "__main__":
    unittest.main()
