"""Sets the wall clock of this agent wrong on purpose, so that a test can compare a caller's
interpretation of the agent's timestamps with the truth.

In: PIPELINE_CLOCK_OFFSET_MS and PIPELINE_CLOCK_DRIFT_PPM. Out: another `time.time` and
`time.time_ns`.
Invariants: all processes of a worker have the same clock, provided that each imports this module
before anything that keeps a reference to `time.time`.
"""

from __future__ import annotations

import os
import sys
import time


def _number(name: str) -> float:
    text = os.environ.get(name) or "0"
    try:
        return float(text)
    except ValueError:
        raise SystemExit(f"error: {name}: must be a number, not {text!r:.60}") from None


def _set_wrong() -> None:
    offset = _number("PIPELINE_CLOCK_OFFSET_MS") / 1e3
    drift = _number("PIPELINE_CLOCK_DRIFT_PPM") / 1e6
    if not offset and not drift:
        return
    right = time.time
    base = float(os.environ.setdefault("PIPELINE_CLOCK_BASE", repr(right())))

    def wrong() -> float:
        now = right()
        return now + offset + (now - base) * drift

    right_ns = time.time_ns

    def wrong_ns() -> int:
        return int(wrong() * 1e9)

    time.time, time.time_ns = wrong, wrong_ns
    # OpenTelemetry's SDK took its reference when livekit-agents was imported, before this file.
    for module in list(sys.modules.values()):
        if getattr(module, "time_ns", None) is right_ns:
            module.time_ns = wrong_ns


_set_wrong()
