"""A log of when an agent's audio was really audible, as JSON lines with Unix timestamps.

In: the PCM that an agent hands to its audio source, and when that audio is due to leave.
Out: one JSON object a line, each with `event`, `room`, `identity` and `at` (Unix seconds).
Invariants: a line is one `write` to a file opened for appending, so that several processes
can share a log; audio that was discarded before it was due is never reported as heard.
"""

from __future__ import annotations

import bisect
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

# A sample louder than this is sound: -50 dBFS.
SOUND = int(32_768 * 10 ** (-50 / 20))
# Sound within 20 dB of the segment's active level is audible. loadgen judges a reply by the
# same rule.
AUDIBLE_SHARE = 10 ** (-20 / 10)
# Sound is located to this precision.
WINDOW_S = 0.001
# A silence this long separates two talk spurts.
SPURT_GAP_S = 0.2
# A segment holds at most this many windows with sound (ten minutes); later windows replace the
# last one, so that the segment's end stays correct.
MAX_WINDOWS = 600_000
MAX_LINE = 16 * 1024
# If a source's next frame comes later than this, the speech has a hole.
HOLE_S = 0.002
MAX_HOLES = 50


class FrameLog:
    """Writes events to standard error and, if a path is given, to a file."""

    def __init__(self, path: str | None, echo: bool = True) -> None:
        self._path = path
        self._echo = echo

    def write(self, event: str, **fields: Any) -> None:
        """Writes one line. `at` is the current time unless it is among the fields."""
        record = {"event": event, "at": time.time(), **fields}
        self._emit(_line({name: _rounded(value) for name, value in record.items()}) + "\n")

    def _emit(self, line: str) -> None:
        if self._echo:
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
            print(f"error: cannot write to {self._path}: {error}", file=sys.stderr)


def _line(record: dict[str, Any]) -> str:
    """The record as JSON of at most `MAX_LINE` characters. If it is longer, its longest fields are
    left out and listed in `left_out`, because a reader cannot parse half a line."""
    left_out: list[str] = []
    line = json.dumps(record)
    while len(line) > MAX_LINE and len(record) > 1:
        longest = max(record, key=lambda name: len(json.dumps(record[name])))
        left_out.append(longest)
        record = {name: value for name, value in record.items() if name != longest}
        line = json.dumps({**record, "left_out": left_out})
    return line


def _rounded(value: Any) -> Any:
    """Rounds timestamps to a microsecond, also inside lists of lists."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value


class Playhead:
    """Computes when each frame leaves a source that plays its queue in real time.

    A frame pushed into an empty queue leaves at once; any other frame leaves after the frames
    before it.
    """

    def __init__(self) -> None:
        self.next_due = 0.0

    def push(self, now: float, duration: float) -> float:
        """Queues a frame. Returns the instant at which its first sample leaves."""
        due = max(now, self.next_due)
        self.next_due = due + duration
        return due

    def clear(self, now: float) -> None:
        """Records that the queue has been emptied: audio that was not due yet never leaves."""
        self.next_due = min(self.next_due, now)


class Segment:
    """The sound in one stretch of speech, such as a reply."""

    def __init__(self) -> None:
        self._starts: list[float] = []
        self._powers: list[float] = []

    def push(self, due: float, pcm: Samples, rate: int) -> None:
        """Adds mono audio whose first sample leaves at `due`."""
        size = max(1, round(rate * WINDOW_S))
        for index, power in sounding_windows(pcm, size):
            if len(self._starts) >= MAX_WINDOWS:
                self._starts.pop()
                self._powers.pop()
            self._starts.append(due + index * size / rate)
            self._powers.append(power)

    def clear(self, now: float) -> None:
        """Removes the audio that was not due by `now`."""
        kept = bisect.bisect_left(self._starts, now - WINDOW_S / 2)
        del self._starts[kept:], self._powers[kept:]

    def first_sound(self) -> float | None:
        """The first sample above -50 dBFS, if there was one."""
        return self._starts[0] if self._starts else None

    def spurts(self) -> list[list[float]]:
        """Start and end of every talk spurt: audible stretches with pauses under 200 ms."""
        found: list[list[float]] = []
        if not self._starts:
            return found
        threshold = AUDIBLE_SHARE * sum(self._powers) / len(self._powers)
        for start, power in zip(self._starts, self._powers, strict=True):
            if power < threshold:
                continue
            if found and start - found[-1][1] < SPURT_GAP_S:
                found[-1][1] = start + WINDOW_S
            else:
                found.append([start, start + WINDOW_S])
        return found


def sounding_windows(pcm: Samples, size: int) -> list[tuple[int, float]]:
    """Index and mean square of the windows of `size` samples that have sound in them.

    A shorter last window counts too.
    """
    samples = pcm.astype(np.float64)
    indices = np.unique(np.flatnonzero(np.abs(samples) > SOUND) // size)
    windows = [(int(index), samples[index * size : (index + 1) * size]) for index in indices]
    return [(index, float(np.mean(np.square(window)))) for index, window in windows]


class SpeechLog:
    """Logs every segment of one agent's speech.

    Writes `speech_begins` as soon as the first sound has been pushed, so that it is in the
    log even if the process is killed, and `speech` when the segment has ended.
    """

    def __init__(self, log: FrameLog, **labels: Any) -> None:
        self.log = log
        self.labels = labels
        self._playhead = Playhead()
        self._segment: Segment | None = None
        self._fields: dict[str, Any] = {}
        self._announced = False
        self._holes: list[list[float]] = []
        # The last audible sample of the segment that ended last.
        self.last_audible_at: float | None = None
        # numpy's first calls take some 10 ms; the first frame must not wait for them.
        sounding_windows(np.full(480, SOUND + 1, np.int16), 48)

    @property
    def next_due(self) -> float:
        """The instant at which a frame pushed now would leave; a past instant means at once."""
        return self._playhead.next_due

    def begin(self, **fields: Any) -> None:
        """Begins a segment and ends the one in progress; `fields` go into its lines."""
        self.end()
        self._segment = Segment()
        self._fields = fields
        self._announced = False
        self._holes = []

    @property
    def open(self) -> bool:
        """Whether a segment is in progress."""
        return self._segment is not None

    def push(self, pcm: Samples, rate: int, now: float | None = None) -> None:
        """Records mono audio that has been handed to the source."""
        stamp = time.time() if now is None else now
        dry_from = self._playhead.next_due
        due = self._playhead.push(stamp, len(pcm) / rate)
        if self._segment is None:
            return
        if self._announced and due - dry_from > HOLE_S and len(self._holes) < MAX_HOLES:
            self._holes.append([dry_from, due])
        self._segment.push(due, pcm, rate)
        if not self._announced and (first := self._segment.first_sound()) is not None:
            self._announced = True
            self._write("speech_begins", first_sound_at=first)

    def clear(self, now: float | None = None) -> None:
        """Records that the source's queue has been emptied."""
        stamp = time.time() if now is None else now
        self._playhead.clear(stamp)
        if self._segment is not None:
            self._segment.clear(stamp)

    def audible_until(self) -> float | None:
        """The last audible sample handed over so far in the segment in progress."""
        spurts = self._segment.spurts() if self._segment else []
        return spurts[-1][1] if spurts else None

    def end(self, **fields: Any) -> None:
        """Ends the segment. Nothing is written for a silent segment."""
        if self._segment is None:
            return
        spurts, first_sound = self._segment.spurts(), self._segment.first_sound()
        self._segment = None
        if spurts:
            self.last_audible_at = spurts[-1][1]
            self._write(
                "speech",
                first_sound_at=first_sound,
                first_audible_at=spurts[0][0],
                last_audible_at=spurts[-1][1],
                spurts=spurts,
                holes=self._holes,
                **fields,
            )

    def _write(self, event: str, **fields: Any) -> None:
        self.log.write(event, **self.labels, **self._fields, **fields)


def mono(data: bytes | memoryview | Sequence[int], channels: int) -> Samples:
    """The loudest channel's samples of interleaved 16-bit PCM."""
    samples = np.frombuffer(bytes(data), dtype=np.int16)
    if channels == 1:
        return samples
    frames = samples[: len(samples) // channels * channels].reshape(-1, channels)
    return frames[:, int(np.argmax(np.abs(frames.astype(np.int32)).sum(axis=0)))]
