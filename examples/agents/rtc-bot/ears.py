"""An energy voice detector: finds when the caller begins and stops speaking.

In: the caller's audio in frames, with the instant at which each arrived. Out: calls of
`on_begin` and `on_end`.
Invariants: the two alternate; their stamps are those of the sound, not of the decision.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from framelog import Samples

# A frame louder than this is speech: -45 dBFS.
SPEECH_RMS = 32_768 * 10 ** (-45 / 20)
# An utterance has at least this much loud audio; less is a click.
LEAST_SPEECH_S = 0.06


class Ears:
    """Finds the utterances of one caller."""

    def __init__(
        self,
        silence_s: float,
        on_begin: Callable[[float], None],
        on_end: Callable[[float], None],
    ) -> None:
        self._silence_s = silence_s
        self._on_begin = on_begin
        self._on_end = on_end
        self._loud_s = 0.0
        self._began_at: float | None = None
        self._last_loud_at = 0.0
        self._announced = False

    def feed(self, pcm: Samples, rate: int, now: float) -> None:
        """Takes one frame, whose last sample arrived at `now`."""
        if len(pcm) == 0:
            return
        duration = len(pcm) / rate
        if float(np.sqrt(np.mean(np.square(pcm.astype(np.float64))))) > SPEECH_RMS:
            self._hear_speech(duration, now)
        elif self._began_at is not None and now - self._last_loud_at >= self._silence_s:
            self._hear_silence()

    def _hear_speech(self, duration: float, now: float) -> None:
        if self._began_at is None:
            self._began_at = now - duration
        self._loud_s += duration
        self._last_loud_at = now
        if not self._announced and self._loud_s >= LEAST_SPEECH_S:
            self._announced = True
            self._on_begin(self._began_at)

    def _hear_silence(self) -> None:
        announced = self._announced
        self._began_at, self._loud_s, self._announced = None, 0.0, False
        if announced:
            self._on_end(self._last_loud_at)
