"""The agent's audio output: livekit-agents' own, with a log; its track can be republished.

In: the room, and the session's speech. Out: the track `roomio_audio`, and JSON lines in the
file named by PIPELINE_FRAMES_FILE.
Invariants: frames pass through unchanged; a segment in the log is one playback of the
session, labelled with the latest turn of the caller at its start.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from framelog import FrameLog, SpeechLog
from livekit import rtc
from livekit.agents.voice.room_io import room_io
from livekit.agents.voice.room_io._output import _ParticipantAudioOutput
from sourcelog import watch


@dataclass
class Output:
    """The state of the audio output that the rest of the agent uses."""

    room: str
    identity: str
    late: bool
    log: FrameLog
    speech: SpeechLog
    # The caller's current turn, from 0; None before the first.
    turn: int | None = None
    # A segment does not begin before this Unix instant.
    hold_until: float = 0.0
    # Called with the turn when a segment's first frame is handed over.
    on_segment: Callable[[int | None], None] = lambda turn: None
    track: TrackOutput | None = field(default=None)

    def write(self, event: str, **fields: Any) -> None:
        """Writes a line with the room and the participant."""
        self.log.write(event, room=self.room, identity=self.identity, **fields)


class TrackOutput(_ParticipantAudioOutput):
    """RoomIO's output, with a log of what was audible."""

    def __init__(self, shared: Output, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shared = shared
        self._first_words = asyncio.Event()
        self._paused_at: float | None = None
        shared.track = self
        watch(self._audio_source, shared.speech, self._on_clear)

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        self._first_words.set()
        if not self._shared.speech.open:
            await asyncio.sleep(max(0.0, self._shared.hold_until - time.time()))
            self._shared.speech.begin(turn=self._shared.turn)
            self._shared.on_segment(self._shared.turn)
        await super().capture_frame(frame)

    def _on_clear(self) -> None:
        """Logs a pause: the session pauses its speech until the caller's words are recognised."""
        until = self._shared.speech.audible_until()
        if self._playback_enabled.is_set() or until is None or until == self._paused_at:
            return
        # The queue may be cleared again before the speech continues.
        self._paused_at = until
        self._shared.write("paused", turn=self._shared.turn, last_audible_at=until)

    def on_playback_finished(
        self,
        *,
        playback_position: float,
        interrupted: bool,
        synchronized_transcript: str | None = None,
    ) -> None:
        self._shared.speech.end(interrupted=interrupted)
        super().on_playback_finished(
            playback_position=playback_position,
            interrupted=interrupted,
            synchronized_transcript=synchronized_transcript,
        )

    async def republish(self) -> None:
        """Unpublishes the track and publishes the same audio as a new one."""
        if self._publication is None:
            return
        sid = self._publication.sid
        await self._room.local_participant.unpublish_track(sid)
        self._shared.write("unpublished", track=sid)
        await self._publish_track()

    async def _publish_track(self) -> None:
        if self._shared.late:
            await self._first_words.wait()
        await super()._publish_track()
        if self._publication is not None:
            self._shared.write("published", track=self._publication.sid)


def log_output(room: str, identity: str, late: bool) -> Output:
    """Makes the next session in this process speak through a `TrackOutput`.

    RoomIO makes its output itself and accepts no other class for it; a custom output would
    lack its transcript synchronizer, which stock agents have. So the class is replaced where
    RoomIO looks it up; there is one session per process.
    """
    log = FrameLog(os.environ.get("PIPELINE_FRAMES_FILE"), echo=False)
    speech = SpeechLog(log, room=room, identity=identity)
    shared = Output(room, identity, late, log, speech)

    def make(*args: Any, **kwargs: Any) -> TrackOutput:
        return TrackOutput(shared, *args, **kwargs)

    room_io._ParticipantAudioOutput = make  # type: ignore[assignment, misc]
    return shared
