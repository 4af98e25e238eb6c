#!/usr/bin/env python3
"""Compares a run of loadgen with an agent's own log, turn by turn.

In: a run folder (`turns.jsonl` or `turns.csv`, `summary.json` or `run.json`) and the JSON
lines of an agent of this directory. Out: a table on standard output, and exit code 1 if an
instant differs by more than `--within` or has no counterpart.
Invariants: turns are matched by room and index, never by proximity in time; instants are
compared on the wire, without the playout delay that loadgen adds for the loudspeaker.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import re
import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Usual time from a frame's hand-over to its arrival at the caller: the SDK's clock, a packet
# of 20 ms, the codec. Only used where the run's zero has to be estimated.
USUAL_PATH_MS = 30.0
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"


@dataclass(frozen=True)
class Speech:
    """One segment of the agent's speech. Instants are Unix milliseconds."""

    first: float
    last: float
    part: str
    interrupted: bool


@dataclass(frozen=True)
class Row:
    """One instant that both sides may have, in milliseconds since the run's zero."""

    room: str
    turn: int
    what: str
    outcome: str
    loadgen: float | None
    agent: float | None

    @property
    def apart(self) -> float | None:
        """loadgen's instant minus the agent's."""
        if self.loadgen is None or self.agent is None:
            return None
        return self.loadgen - self.agent


Turn = tuple[str, int]  # the room and the caller's turn


@dataclass
class Agent:
    """The contents of the agent's log, by turn. Instants are Unix milliseconds."""

    speech: dict[Turn, list[Speech]] = field(default_factory=lambda: defaultdict(list))
    # When the agent stopped because the caller spoke in that turn, even if it continued later.
    paused: dict[Turn, float] = field(default_factory=dict)

    def stop(self, room: str, turn: int, heard: bool) -> float | None:
        """When the agent's speech ended after the caller's `turn` interrupted it.

        The end of uninterrupted speech counts only if loadgen `heard` a stop.
        """
        if (room, turn) in self.paused:
            return self.paused[room, turn]
        before = self.speech.get((room, turn - 1))
        return before[-1].last if before and (heard or before[-1].interrupted) else None


def read_agent(path: Path) -> Agent:
    """Reads the segments of speech and the pauses."""
    agent = Agent()
    found = agent.speech
    begun: dict[Turn, float] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                event = json.loads(line)
            except ValueError:
                print(f"{path}:{number}: not JSON, skipped", file=sys.stderr)
                continue
            if event.get("turn") is None:
                continue
            key = (str(event["room"]), int(event["turn"]))
            if event["event"] == "paused":
                agent.paused.setdefault(key, event["last_audible_at"] * 1000)
            elif event["event"] == "speech_begins":
                begun.setdefault(key, event["first_sound_at"] * 1000)
            elif event["event"] == "speech":
                first = event["first_audible_at"] * 1000
                last = event["last_audible_at"] * 1000
                interrupted = bool(event.get("interrupted"))
                found[key].append(Speech(first, last, str(event.get("part", "")), interrupted))
    # A process that was killed never logged the end of its last segment.
    for key, first in begun.items():
        if key not in found:
            found[key].append(Speech(first, float("nan"), "cut off", True))
    for segments in found.values():
        segments.sort(key=lambda speech: speech.first)
    return agent


def read_turns(folder: Path) -> list[dict[str, Any]]:
    """loadgen's turns, sorted by call and turn, without sentinel calls."""
    journal = folder / "turns.jsonl"
    if journal.exists():
        lines = journal.read_text(encoding="utf-8").split("\n")[:-1]
        turns = [turn for turn in map(json.loads, lines) if not turn.get("sentinel")]
    else:
        with (folder / "turns.csv").open(encoding="utf-8", newline="") as file:
            turns = [dict(row) for row in csv.DictReader(file)]
    return sorted(turns, key=lambda turn: (int(turn["call"]), int(turn["turn"])))


def number(turn: dict[str, Any], name: str) -> float | None:
    """A figure of a turn; None if it is absent."""
    value = turn.get(name)
    return None if value in (None, "") else float(value)


def read_zero(folder: Path) -> float | None:
    """The run's zero in Unix milliseconds, if the record has it."""
    for name in ("summary.json", "run.json"):
        path = folder / name
        if not path.exists():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        stamp = record.get("zero_at") or record.get("run", {}).get("zero_at")
        if stamp:
            return datetime.datetime.fromisoformat(stamp).timestamp() * 1000
    return None


def estimate_zero(turns: list[dict[str, Any]], agent: Agent) -> float | None:
    """The zero with which the median onset arrives `USUAL_PATH_MS` after it was handed over."""
    zeros = []
    for turn in turns:
        onset = heard_onset(turn)
        segments = agent.speech.get((turn["room"], int(turn["turn"])))
        if onset is not None and segments:
            zeros.append(segments[0].first + USUAL_PATH_MS - onset)
    return statistics.median(zeros) if zeros else None


def heard_onset(turn: dict[str, Any]) -> float | None:
    """When the reply's first audible sample arrived, early replies included."""
    end = number(turn, "speech_end_ms")
    if end is None:
        return None
    if (ttfa := number(turn, "ttfa_wire_ms")) is not None:
        return end + ttfa
    early = number(turn, "early_by_ms")
    return None if early is None else end - early


def speech_starts(folder: Path) -> dict[str, float]:
    """Start of speech in the file of each utterance, in ms, from the fixtures' sidecars."""
    scenario = folder / "scenario.yaml"
    if not scenario.exists():
        return {}
    found = {}
    pattern = r"^\s+([\w.-]+):\s*\{?\s*\n?\s*file:\s*\S*?([\w-]+)\.wav"
    for name, stem in re.findall(pattern, scenario.read_text(encoding="utf-8"), re.MULTILINE):
        sidecar = FIXTURES / f"{stem}.json"
        if sidecar.exists():
            found[name] = float(json.loads(sidecar.read_text())["speech_start_ms"])
    return found


def rows(
    turns: list[dict[str, Any]], agent: Agent, zero: float, starts: dict[str, float]
) -> list[Row]:
    """Every instant to compare, in the order of the turns."""
    made = []
    for turn in turns:
        room, index, outcome = turn["room"], int(turn["turn"]), turn["outcome"]
        segments = agent.speech.get((room, index), [])
        if turn["expect"].startswith("stop"):
            heard = heard_stop(turn, starts)
            stop = agent.stop(room, index, heard is not None)
            agents = None if stop is None else stop - zero
            made.append(Row(room, index, "stop", outcome, heard, agents))
        onset = heard_onset(turn)
        if turn["expect"] in ("respond", "stop_and_respond") or onset is not None:
            agents = segments[0].first - zero if segments else None
            made.append(Row(room, index, "onset", outcome, onset, agents))
    return made


def heard_stop(turn: dict[str, Any], starts: dict[str, float]) -> float | None:
    """When the last audible sample before the stop arrived."""
    started, stop = number(turn, "started_ms"), number(turn, "stop_ms")
    if started is None or stop is None:
        return None
    return started + starts.get(turn["utterance"], 0.0) + stop


def shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def report(compared: list[Row], within: float) -> bool:
    """Prints the table and the summary. Returns whether everything agrees."""
    head = f"{'room':<34} {'turn':>4} {'what':<6} {'outcome':<8}"
    print(f"{head} {'loadgen':>11} {'agent':>11} {'apart':>8}")
    bad = 0
    for row in compared:
        apart = row.apart
        absent = row.loadgen is None and row.agent is None
        agrees = absent or (apart is not None and abs(apart) <= within)
        bad += not agrees
        mark = "" if agrees else ("  no counterpart" if apart is None else "  TOO FAR")
        print(
            f"{row.room[-34:]:<34} {row.turn:>4} {row.what:<6} {row.outcome:<8} "
            f"{shown(row.loadgen):>11} {shown(row.agent):>11} {shown(apart):>8}{mark}"
        )
    for what in ("onset", "stop"):
        apart_all = [row.apart for row in compared if row.what == what and row.apart is not None]
        if apart_all:
            worst = max(apart_all, key=abs)
            print(
                f"{what}: {len(apart_all)} compared, "
                f"median {statistics.median(apart_all):+.1f} ms, lowest {min(apart_all):+.1f}, highest {max(apart_all):+.1f}, worst {worst:+.1f}"
            )
    print(f"{len(compared)} instants, {bad} that do not agree within {within:g} ms")
    return bad == 0 and bool(compared)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("agent_log", type=Path)
    parser.add_argument("--within", type=float, default=60.0, metavar="MS")
    parser.add_argument("--zero", type=float, help="the run's zero in Unix seconds")
    arguments = parser.parse_args()
    try:
        turns = read_turns(arguments.run_folder)
        agent = read_agent(arguments.agent_log)
        zero = arguments.zero * 1000 if arguments.zero else read_zero(arguments.run_folder)
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {error!r}\nhint: give a run folder and an agent's log", file=sys.stderr)
        return 2
    if zero is None:
        zero = estimate_zero(turns, agent)
        if zero is None:
            message = "error: no turn has an onset in both, and the run does not record its zero"
            print(message, file=sys.stderr)
            return 1
        print(f"the run records no zero; estimated so that the median is {USUAL_PATH_MS:+g} ms")
    agrees = report(rows(turns, agent, zero, speech_starts(arguments.run_folder)), arguments.within)
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
