"""Tests of the scripted plugins: texts and usage. Needs the agent's packages, but no server and no
espeak-ng: `.venv/bin/python -m unittest`."""

import unittest

from livekit import rtc
from livekit.agents import APIConnectionError, llm
from settings import Settings
from speech import FALLBACK_MODEL, LLM_MODEL, PREAMBLE, PROVIDER, make_llm, make_stt

QUICK = {"llm_ttft_ms": 0, "llm_tokens_per_s": 10_000, "stt_delay_ms": 0}


def asked(*texts: str) -> llm.ChatContext:
    """A conversation of the user's `texts`, with an answer after each one but the last."""
    chat = llm.ChatContext.empty()
    for index, text in enumerate(texts):
        if index:
            chat.add_message(role="assistant", content="One moment.")
        chat.add_message(role="user", content=text)
    return chat


async def answer(model: llm.LLM, chat: llm.ChatContext) -> tuple[str, llm.CompletionUsage | None]:
    """The text and the usage of one request."""
    text, usage = "", None
    async with model.chat(chat_ctx=chat) as stream:
        async for chunk in stream:
            text += (chunk.delta.content or "") if chunk.delta else ""
            usage = chunk.usage or usage
    return text, usage


class Model(unittest.IsolatedAsyncioTestCase):
    async def test_a_request_reports_its_words_as_tokens(self) -> None:
        model = make_llm(Settings(**QUICK, replies=("On its way.", "Tomorrow.")))
        text, usage = await answer(model, asked("where is my order"))
        self.assertEqual(text, "On its way.")
        self.assertEqual((usage.prompt_tokens, usage.prompt_cached_tokens), (4, 0))
        self.assertEqual((usage.completion_tokens, usage.total_tokens), (3, 7))

    async def test_words_of_the_previous_request_count_as_cached(self) -> None:
        model = make_llm(Settings(**QUICK))
        await answer(model, asked("where is my order"))
        _, usage = await answer(model, asked("where is my order", "thank you"))
        self.assertEqual((usage.prompt_tokens, usage.prompt_cached_tokens), (8, 4))

    async def test_the_result_of_a_tool_is_part_of_the_prompt(self) -> None:
        model = make_llm(Settings(**QUICK, tool_call_ms=1, replies=("On its way.",)))
        chat = asked("where is my order")
        text, _ = await answer(model, chat)
        self.assertEqual(text, PREAMBLE)
        chat.items.append(
            llm.FunctionCallOutput(name="x", call_id="1", output="it left", is_error=False)
        )
        text, usage = await answer(model, chat)
        self.assertEqual((text, usage.prompt_tokens), ("On its way.", 6))

    async def test_a_tool_call_without_a_preamble_has_no_text(self) -> None:
        settings = Settings(**QUICK, tool_call_ms=1, tool_preamble=False)
        text, usage = await answer(make_llm(settings), asked("where is my order"))
        self.assertEqual((text, usage.completion_tokens), ("", 0))

    async def test_the_fallback_answers_after_the_configured_turns(self) -> None:
        model = make_llm(Settings(**QUICK, fallback_after_turns=1, replies=("One.", "Two.")))
        served = []
        model.on("metrics_collected", lambda metrics: served.append(metrics.metadata.model_name))
        texts = [(await answer(model, chat))[0] for chat in (asked("a"), asked("a", "b"))]
        self.assertEqual(texts, ["One.", "Two."])
        self.assertEqual(served, [LLM_MODEL, FALLBACK_MODEL])
        self.assertEqual(model.metrics_metadata["model_name"], FALLBACK_MODEL)

    async def test_a_model_that_no_longer_answers_fails_at_once(self) -> None:
        adapter = make_llm(Settings(**QUICK, fallback_after_turns=2))
        first = adapter._llm_instances[0]
        await answer(first, asked("a", "b"))
        with self.assertRaises(APIConnectionError):
            await answer(first, asked("a", "b", "c"))


class Recogniser(unittest.IsolatedAsyncioTestCase):
    async def test_transcripts_are_the_scripted_texts_in_order(self) -> None:
        recogniser = make_stt(Settings(**QUICK, stt_text=("yes", "no"), first_turn=1))
        silence = rtc.AudioFrame.create(16_000, 1, 1_600)
        heard = [await recogniser.recognize(silence) for _ in range(3)]
        self.assertEqual([event.alternatives[0].text for event in heard], ["no", "yes", "no"])

    async def test_short_sounds_have_no_words_and_take_no_text(self) -> None:
        recogniser = make_stt(Settings(**QUICK, stt_text=("yes", "no"), stt_min_ms=500))
        lengths = (8_000, 7_984, 1_600, 16_000)
        sounds = [rtc.AudioFrame.create(16_000, 1, length) for length in lengths]
        heard = [await recogniser.recognize(sound) for sound in sounds]
        texts = [event.alternatives[0].text for event in heard]
        self.assertEqual(texts, ["yes", "", "", "no"])

    async def test_the_recogniser_reports_the_duration_of_its_audio(self) -> None:
        recogniser = make_stt(Settings(**QUICK))
        reported = []
        recogniser.on("metrics_collected", reported.append)
        await recogniser.recognize(rtc.AudioFrame.create(16_000, 1, 1_600))
        self.assertEqual([metrics.audio_duration for metrics in reported], [0.1])
        self.assertEqual(reported[0].metadata.model_provider, PROVIDER)


if __name__ == "__main__":
    unittest.main()
