"""The habits that the bot can take on, one row each, and the settings that shape them.

In: nothing. Out: `HABITS`, a table by name, and `Options`, the settings of the command line.
Invariant: a habit is data; `call.py` and `body.py` read it and refer to no habit by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Side(Enum):
    """A second track that plays all the time."""

    NONE = "none"
    NOISE = "noise"  # like BackgroundAudioPlayer: named background_audio, source unknown
    MUSIC = "music"  # a second microphone track


class Publish(Enum):
    """When the voice track is published."""

    JOINING = "joining"
    FIRST_WORDS = "first words"
    NEVER = "never"


class Change(Enum):
    """A change to the voice track, or to its participant, before or after a reply."""

    NONE = "none"
    REPUBLISH = "republish"
    UNPUBLISH = "unpublish"
    MUTE = "mute"
    REJOIN = "rejoin"
    HANDOVER = "handover"


class Ending(Enum):
    """How the reply of the chosen turn breaks off."""

    NONE = "none"
    CRASH = "crash"
    LEAVE = "leave"


class Stereo(Enum):
    """Position of the voice in a stereo track; `MONO` is a mono track."""

    MONO = "mono"
    RIGHT = "right"
    ANTI = "anti"  # the right channel is the left one inverted


SHORT = ("Let me look that up for you right now.",)
LONG = (
    "I can certainly tell you that your order left our warehouse this morning and that it "
    "should be at your door tomorrow some time before noon",
)
SENTENCES = (
    "Your order left our warehouse this morning.",
    "It is on its way to you now.",
    "It should arrive tomorrow before noon.",
    "You will get a message when it is close.",
    "Is there anything else I can do?",
)
FILLER = "One moment."


@dataclass(frozen=True)
class Habit:
    """How the bot differs from a plain agent."""

    about: str
    track: str = "agent"
    microphone: bool = True
    dtx: bool | None = None
    red: bool | None = None
    stereo: Stereo = Stereo.MONO
    side: Side = Side.NONE
    publish: Publish = Publish.JOINING
    # Before and after every reply, or only the reply of the chosen turn.
    before_reply: Change = Change.NONE
    after_reply: Change = Change.NONE
    only_at_turn: bool = False
    ending: Ending = Ending.NONE
    sentences: tuple[str, ...] = SHORT
    # Pause between two sentences, in milliseconds: drawn at random from this range, using the
    # seed.
    sentence_pause_ms: tuple[int, int] = (0, 0)
    # Pause after a filler that comes before the answer; None: no filler.
    filler_pause_ms: int | None = None
    yields: bool = False
    answer_delay_ms: int = 0


HABITS: dict[str, Habit] = {
    "normal": Habit("answers every turn in one track; ignores interruptions"),
    "unknown-source": Habit("its track has the SDK's default source", microphone=False),
    "no-name": Habit("its track has no name", track=""),
    "dtx-red": Habit("publishes with DTX and RED", dtx=True, red=True),
    "background-first": Habit("publishes a noise track before its voice", side=Side.NOISE),
    "music-second-track": Habit("a second microphone track plays music", side=Side.MUSIC),
    "late": Habit("publishes with its first words", publish=Publish.FIRST_WORDS),
    "republish-between": Habit(
        "republishes its track after every reply", after_reply=Change.REPUBLISH
    ),
    "republish-before-reply": Habit(
        "republishes its track, and replies at once", before_reply=Change.REPUBLISH
    ),
    "unpublish-between": Habit(
        "has a track only while it speaks",
        publish=Publish.FIRST_WORDS,
        after_reply=Change.UNPUBLISH,
    ),
    "mute-between": Habit("mutes its track for 200 ms after a reply", after_reply=Change.MUTE),
    "crash-mid-reply": Habit("is killed during a reply", ending=Ending.CRASH, sentences=LONG),
    "leave-mid-reply": Habit("leaves during a reply", ending=Ending.LEAVE, sentences=LONG),
    "rejoin": Habit(
        "leaves, comes back half a second later, replies",
        before_reply=Change.REJOIN,
        only_at_turn=True,
    ),
    "handover": Habit(
        "a second participant takes over before the chosen turn",
        after_reply=Change.HANDOVER,
        only_at_turn=True,
    ),
    "filler": Habit("a filler, a pause of 900 ms, the answer", filler_pause_ms=900),
    "filler-pause": Habit("a filler, a pause of 650 ms, the answer", filler_pause_ms=650),
    "barge": Habit("stops when it is interrupted, and answers", yields=True, sentences=LONG),
    "talk-on": Habit(
        "keeps talking through interruptions, with pauses between its sentences",
        sentences=SENTENCES,
        sentence_pause_ms=(200, 600),
    ),
    "late-reply": Habit("answers 10.6 s after the caller's end of speech", answer_delay_ms=10_200),
    "no-audio": Habit("joins and publishes nothing", publish=Publish.NEVER),
    "stereo-right": Habit("stereo, the left channel silent", stereo=Stereo.RIGHT),
    "stereo-anti": Habit("stereo, one channel inverted", stereo=Stereo.ANTI),
}


@dataclass(frozen=True)
class Options:
    """The command line. All `_ms` are milliseconds."""

    habit_name: str
    kind: str = "agent"
    state: bool = False
    prefix: str = "loadgen"
    log: str | None = None
    silence_ms: int = 400
    answer_delay_ms: int | None = None
    pause_ms: int | None = None
    stop_ms: int = 450
    answer_ms: int = 310
    answer_from: str = "silence"
    at_turn: int = 1
    after_ms: int = 700
    reply: str | None = None
    voice: str = "en-us+f4"
    seed: int = 0

    @property
    def habit(self) -> Habit:
        """The chosen habit."""
        return HABITS[self.habit_name]
