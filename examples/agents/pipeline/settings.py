"""The pipeline agent's settings: the environment, overridden by the dispatch's metadata.

In: a mapping such as `os.environ`, and the metadata string of one dispatch.
Out: a checked `Settings`.
Invariants: every value is bounded, and all problems are reported at once.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENV_PREFIX = "PIPELINE_"
MAX_METADATA_BYTES = 64 * 1024
MAX_TEXT = 2_000
MAX_TEXTS = 50

# A language tag of espeak-ng with an optional variant: en-us, de, en-gb-x-rp, en+f3.
_VOICE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{1,8}){0,4}(\+[a-zA-Z0-9_]{1,32})?")

# Each reply begins abruptly: a soft first sound, as in "thanks", has no definite onset.
DEFAULT_REPLIES = (
    "Sure, let me help you with that. Your order left our warehouse this morning.",
    "Good news. It should arrive tomorrow before noon.",
    "You are welcome. Is there anything else I can do for you?",
)


class SettingsError(ValueError):
    """Settings that cannot be used; `problems` lists every problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(frozen=True)
class Settings:
    """The agent's settings for one call. All `_ms` are milliseconds."""

    vad_silence_ms: int = 550
    endpointing_delay_ms: int = 500
    stt: str = "scripted"
    stt_delay_ms: int = 150
    stt_min_ms: int = 0
    stt_text: tuple[str, ...] = ("This is what the caller said.",)
    llm_ttft_ms: int = 300
    llm_tokens_per_s: int = 50
    replies: tuple[str, ...] = DEFAULT_REPLIES
    voice: str = "en-us"
    words_per_minute: int = 175
    preemptive: bool = False
    aec_warmup_ms: int = 3_000
    greeting: str | None = None
    fallback_after_turns: int = 0
    realtime: bool = False
    realtime_vad: bool = False
    tool_call_ms: int = 0
    tool_fails: bool = False
    tool_preamble: bool = True
    filler: str | None = None
    filler_pause_ms: int = 650
    handover_after_turns: int = 0
    first_turn: int = 0
    crash_after_ms: int = 0
    crash_turn: int = 1
    republish_after_turns: int = 0
    republish_before_reply: bool = False
    publish_late: bool = False
    text_only: bool = False
    answer_digits: bool = False


_RANGES = {
    "vad_silence_ms": (50, 5_000),
    "endpointing_delay_ms": (0, 10_000),
    "stt_delay_ms": (0, 30_000),
    "stt_min_ms": (0, 10_000),
    "llm_ttft_ms": (0, 60_000),
    "llm_tokens_per_s": (1, 10_000),
    "words_per_minute": (80, 450),
    "aec_warmup_ms": (0, 60_000),
    "fallback_after_turns": (0, 1_000),
    "tool_call_ms": (0, 60_000),
    "filler_pause_ms": (0, 10_000),
    "handover_after_turns": (0, 1_000),
    "first_turn": (0, 1_000_000),
    "crash_after_ms": (0, 60_000),
    "crash_turn": (0, 1_000),
    "republish_after_turns": (0, 1_000),
}
_FLAGS = (
    "preemptive",
    "tool_preamble",
    "realtime",
    "realtime_vad",
    "tool_fails",
    "republish_before_reply",
    "publish_late",
    "text_only",
    "answer_digits",
)
# These act on a pipeline's request to its language model; speech to speech has no such request.
_NOT_WITH_REALTIME = ("preemptive", "fallback_after_turns", "filler", "republish_before_reply")
_OPTIONAL_TEXTS = ("greeting", "filler")
# Used in rotation. In the environment, one per line.
_TEXTS = ("stt_text", "replies")
_NAMES = tuple(field.name for field in dataclasses.fields(Settings))


def from_env(env: Mapping[str, str]) -> Settings:
    """Settings of the worker: the defaults, overridden by `PIPELINE_<NAME>`.

    An empty variable counts as not set. Raises `SettingsError`.
    """
    given: dict[str, Any] = {}
    problems: list[str] = []
    for name in _NAMES:
        variable = ENV_PREFIX + name.upper()
        text = env.get(variable, "")
        if text:
            try:
                given[name] = _from_text(name, text)
            except ValueError as error:
                problems.append(f"{variable}: {error}")
    return _checked(Settings(), given, problems, label=lambda name: ENV_PREFIX + name.upper())


def with_metadata(base: Settings, metadata: str) -> Settings:
    """`base`, overridden by one dispatch's metadata (a JSON object, or nothing).

    Raises `SettingsError`, also for unknown keys: a misspelt setting would otherwise be
    ignored, and the call measured as if it had been applied.
    """
    if not metadata.strip():
        return base
    if len(metadata.encode()) > MAX_METADATA_BYTES:
        raise SettingsError([f"metadata: longer than {MAX_METADATA_BYTES} bytes"])
    try:
        given = json.loads(metadata)
    except (ValueError, RecursionError) as error:
        raise SettingsError([f"metadata: not JSON ({error})"]) from None
    if not isinstance(given, dict):
        raise SettingsError(["metadata: must be a JSON object"])
    return _checked(base, given, [], label=lambda name: f"metadata.{name}")


def _from_text(name: str, text: str) -> Any:
    if name in _RANGES:
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"must be a whole number, not {text!r}") from None
    if name in _FLAGS:
        words = {"true": True, "1": True, "false": False, "0": False}
        if text.lower() not in words:
            raise ValueError(f"must be true or false, not {text!r}")
        return words[text.lower()]
    if name in _TEXTS:
        return [line for line in text.splitlines() if line.strip()]
    return text


def _checked(base: Settings, given: dict[str, Any], problems: list[str], label: Any) -> Settings:
    good: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _NAMES:
            problems.append(f"{label(name)}: unknown; the settings are {', '.join(_NAMES)}")
            continue
        try:
            good[name] = _check(name, value)
        except ValueError as error:
            problems.append(f"{label(name)}: {error}")
    settings = dataclasses.replace(base, **good)
    if settings.realtime:
        clashes = [name for name in _NOT_WITH_REALTIME if getattr(settings, name)]
        clashes += ["stt"] if settings.stt != "scripted" else []
        clashes += ["tool_preamble: false"] if not settings.tool_preamble else []
        problems += [f"{label('realtime')}: cannot be combined with {name}" for name in clashes]
    elif settings.realtime_vad:
        problems.append(f"{label('realtime_vad')}: needs realtime")
    if problems:
        raise SettingsError(problems)
    return settings


def _check(name: str, value: Any) -> Any:
    if name in _RANGES:
        low, high = _RANGES[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not {value!r:.60}")
        return value
    if name in _FLAGS:
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {value!r:.60}")
        return value
    if name == "stt":
        if value not in ("scripted", "pocketsphinx"):
            raise ValueError(f"must be scripted or pocketsphinx, not {value!r:.60}")
        return value
    if name == "voice":
        if not isinstance(value, str) or not _VOICE.fullmatch(value):
            raise ValueError(f"must be a voice such as en-us or en+f3, not {value!r:.60}")
        return value
    if name == "stt_text" and isinstance(value, str):
        value = [value]
    if name in _TEXTS:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_TEXTS:
            raise ValueError(f"must be a list of 1 to {MAX_TEXTS} texts")
        return tuple(_check_text(text) for text in value)
    if name in _OPTIONAL_TEXTS and value is None:
        return None
    return _check_text(value)


def _check_text(value: Any) -> str:
    # A text without a letter or digit gives no audio, and so no reply.
    if not isinstance(value, str) or len(value) > MAX_TEXT or not re.search(r"\w", value):
        raise ValueError(f"must be a text of at most {MAX_TEXT} characters with a word in it")
    return value
