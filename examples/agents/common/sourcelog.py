"""Logs the audio that passes through an audio source of the LiveKit SDK.

In: an `rtc.AudioSource` that other code feeds. Out: calls of a `SpeechLog`.
Invariant: the source behaves as before; it is only observed.
"""

from __future__ import annotations

from collections.abc import Callable

from framelog import SpeechLog, mono
from livekit import rtc


def watch(source: rtc.AudioSource, speech: SpeechLog, on_clear: Callable[[], None]) -> None:
    """Reports every frame and every discarded queue of `source` to `speech` from now on.

    Calls `on_clear` after each discarded queue.
    """
    capture, clear = source.capture_frame, source.clear_queue

    async def capture_frame(frame: rtc.AudioFrame) -> None:
        # Stamped before the call, which returns some time after the source took the frame.
        speech.push(mono(frame.data, frame.num_channels), frame.sample_rate)
        await capture(frame)

    def clear_queue() -> None:
        clear()
        speech.clear()
        on_clear()

    source.capture_frame = capture_frame  # type: ignore[method-assign]
    source.clear_queue = clear_queue  # type: ignore[method-assign]
