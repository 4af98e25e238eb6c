"""Measures the same agent alternately with loadgen and with a client on the official SDK.

In: the variables of client.py, and the built program. Out: a table, or JSON with --json.
Invariants: the two never call at the same time; each turn is a separate call in its own room.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def by_loadgen(program: Path, agent: str) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [program, "run", HERE / "scenario.yaml", "--out", out, "--quiet"]
        if agent:
            command += ["--agent-name", agent]
        done = subprocess.run(command, capture_output=True, text=True)
        # 110: loadgen found the machine too busy; the turn's flags show whether it was affected.
        if done.returncode not in (0, 110):
            raise SystemExit(f"loadgen exited with {done.returncode}:\n{done.stderr}")
        with open(out / "turns.csv", newline="") as rows:
            row = next(csv.DictReader(rows))
    number = lambda name: float(row[name]) if row[name] else None
    figures = {name: number(name) for name in ("ttfa_ms", "ttfa_wire_ms", "playout_ms")}
    return figures | {"flags": row["flags"]}


def by_sdk(fixture: Path, agent: str, queued: bool) -> dict:
    command = [sys.executable, HERE / "client.py", "--fixture", fixture, "--agent-name", agent]
    command += ["--queued"] if queued else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"client.py exited with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def apart(turns: list, truth: Path) -> dict:
    """Parts of the latency of the SDK's turns, from the reference agent's truth file: median
    delays from the caller to the agent, in the agent, and from the agent to the caller."""
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    by_room = {line["room"]: line for line in lines if line["turn"] == 0}
    there, kept, back = [], [], []
    for turn in turns:
        line = by_room.get(turn["room"])
        if line is None or turn["onset_ms"] is None:
            continue
        speech_end = line["speech_end_ns"] / 1e6
        onset = line["reply_packet_ns"] / 1e6 + line["onset_offset_ms"]
        there.append(speech_end - turn["end_ms"])
        kept.append(onset - speech_end)
        back.append(turn["onset_ms"] - onset)
    names = ("to_the_agent", "agent", "from_the_agent")
    return {n: statistics.median(v) for n, v in zip(names, (there, kept, back)) if v}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=15, help="number of turns with each client")
    parser.add_argument("--agent-name", default="")
    parser.add_argument("--loadgen", type=Path, default=ROOT / "target/release/loadgen")
    parser.add_argument("--bound", type=float, default=25.0, help="largest median difference, ms")
    parser.add_argument("--queued", action="store_true", help="use the SDK's one-second queue")
    parser.add_argument("--truth", type=Path, help="the reference agent's truth file")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    fixture = ROOT / "fixtures/yes.wav"
    ours, theirs = [], []
    for turn in range(args.turns):
        ours.append(by_loadgen(args.loadgen, args.agent_name))
        theirs.append(by_sdk(fixture, args.agent_name, args.queued))
        print(
            f"{turn + 1:>3}: loadgen {ours[-1]['ttfa_ms']} (wire {ours[-1]['ttfa_wire_ms']}, "
            f"playout {ours[-1]['playout_ms']}), SDK {theirs[-1]['ttfa_ms']} "
            f"(buffer {theirs[-1]['buffered_ms']}, late {theirs[-1]['late_ms']})",
            file=sys.stderr,
        )

    def median(turns: list, name: str) -> float:
        return statistics.median([t[name] for t in turns if t[name] is not None])

    missed = sum(t["ttfa_ms"] is None for t in ours + theirs)
    medians = {
        "loadgen": median(ours, "ttfa_ms"),
        "loadgen_wire": median(ours, "ttfa_wire_ms"),
        "loadgen_playout": median(ours, "playout_ms"),
        "sdk": median(theirs, "ttfa_ms"),
        "sdk_buffer": median(theirs, "buffered_ms"),
    }
    parts = apart(theirs, args.truth) if args.truth else {}
    difference = medians["sdk"] - medians["loadgen"]
    good = missed == 0 and abs(difference) <= args.bound
    if args.json:
        result = {"loadgen": ours, "sdk": theirs, "medians_ms": medians, "sdk_parts_ms": parts}
        print(json.dumps(result | {"difference_ms": difference, "missed": missed}, indent=1))
    else:
        print(f"ttfa, median of {args.turns} turns each, ms")
        print(f"  loadgen {medians['loadgen']:8.1f}   = wire {medians['loadgen_wire']:.1f} and "
              f"modelled playout delay {medians['loadgen_playout']:.1f}")
        print(f"  SDK     {medians['sdk']:8.1f}   mean delay of its jitter buffer "
              f"{medians['sdk_buffer']:.1f}")
        for name, value in parts.items():
            print(f"          {value:8.1f}   {name.replace('_', ' ')}")
        print(f"  SDK - loadgen {difference:+.1f}; bound ±{args.bound:g}; {missed} missed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
