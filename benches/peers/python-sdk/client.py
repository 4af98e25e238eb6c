"""One call of one turn through the official LiveKit Python SDK.

In: LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET; a fixture, an agent's name.
Out: one JSON line on standard output: the time from the end of speech to the reply's onset.
Invariants: both instants are on CLOCK_MONOTONIC, like the reference agent's truth. Frame k of the
utterance is handed to the SDK at start + (k + 1) frames, as by a microphone; a received frame is
assumed to be played from the instant at which the SDK delivers it.
"""

import argparse
import asyncio
import json
import os
import sys
import time
import uuid
import wave
from pathlib import Path

import numpy as np
from livekit import api, rtc

RATE = 48_000
# The onset is the first 2 ms window at -40 dBFS or more, if seven of the next ten are so too.
WINDOW = RATE // 500
AUDIBLE_DBFS = -40.0
NEXT, NEEDED = 10, 7


def read_fixture(path: Path) -> tuple[np.ndarray, float]:
    """Samples at 48 kHz (linear interpolation is good enough for a level) and the end of
    speech in seconds, from the sidecar annotation."""
    with wave.open(str(path)) as f:
        rate, channels = f.getframerate(), f.getnchannels()
        pcm = np.frombuffer(f.readframes(f.getnframes()), dtype="<i2")
    pcm = pcm.reshape(-1, channels)[:, 0].astype(np.float64)
    at = np.arange(int(len(pcm) * RATE / rate)) * rate / RATE
    pcm = np.interp(at, np.arange(len(pcm)), pcm).astype("<i2")
    end = json.loads(path.with_suffix(".json").read_text())["speech_end_ms"] / 1e3
    return pcm, end


def onset(samples: np.ndarray) -> int | None:
    """The first audible sample according to these levels, if there is one."""
    count = len(samples) // WINDOW
    windows = samples[: count * WINDOW].astype(np.float64).reshape(count, WINDOW)
    power = np.maximum((windows**2).mean(axis=1) / 32768.0**2, 1e-12)
    loud = 10 * np.log10(power) >= AUDIBLE_DBFS
    for k in range(count - NEXT):
        if loud[k] and loud[k + 1 : k + 1 + NEXT].sum() >= NEEDED:
            return k * WINDOW
    return None


def token(room: str, agent: str) -> str:
    grants = api.VideoGrants(room_join=True, room=room)
    built = api.AccessToken().with_identity("sdk-caller").with_grants(grants)
    if agent:
        dispatch = api.RoomAgentDispatch(agent_name=agent)
        built = built.with_room_config(api.RoomConfiguration(agents=[dispatch]))
    return built.to_jwt()


async def speak(source: rtc.AudioSource, pcm: np.ndarray, frame_ms: int, state: dict) -> None:
    """Sends frames of silence, and the utterance from the first slot at or after
    `state["say_at"]`; stores the instant of its first sample in `state["media_start"]`."""
    size, period = RATE * frame_ms // 1000, frame_ms / 1e3
    silence = np.zeros(size, dtype="<i2")
    frames = -(-len(pcm) // size)
    begin, slot, first = time.monotonic(), 0, None
    while True:
        slot += 1
        due = begin + slot * period
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if first is None and state.get("say_at", float("inf")) <= due:
            first = slot
            state["media_start"] = due - period
        data = silence
        if first is not None and slot - first < frames:
            data = np.zeros(size, dtype="<i2")
            part = pcm[(slot - first) * size : (slot - first + 1) * size]
            data[: len(part)] = part
            state["late"] = max(state.get("late", 0.0), time.monotonic() - due)
        frame = rtc.AudioFrame(data.tobytes(), RATE, 1, size)
        await source.capture_frame(frame)


async def listen(track: rtc.Track, heard: list) -> None:
    stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=10)
    async for event in stream:
        heard.append((time.monotonic(), np.frombuffer(event.frame.data, dtype="<i2").copy()))


def first_after(heard: list, since: float) -> float | None:
    """The instant of the first audible sample in frames delivered after `since`."""
    frames = [(at, data) for at, data in heard if at >= since]
    if not frames:
        return None
    found = onset(np.concatenate([data for _, data in frames]))
    if found is None:
        return None
    for at, data in frames:
        if found < len(data):
            return at + found / RATE
        found -= len(data)
    return None


async def buffered_ms(track: rtc.Track) -> float | None:
    """Mean delay of the jitter buffer so far, from WebRTC's own statistics."""
    for stat in await track.get_stats():
        if stat.HasField("inbound_rtp"):
            inbound = stat.inbound_rtp.inbound
            if inbound.jitter_buffer_emitted_count:
                return 1e3 * inbound.jitter_buffer_delay / inbound.jitter_buffer_emitted_count
    return None


async def call(args: argparse.Namespace) -> dict:
    pcm, speech_end = read_fixture(args.fixture)
    name = f"sdk-{uuid.uuid4().hex[:12]}"
    room, heard, state = rtc.Room(), [], {}
    # A microphone delivers 10 ms at a time and has no queue. A file is pushed in larger frames
    # into the SDK's one-second queue, which adds to the delay to the agent.
    frame_ms, queue_ms = (20, 1000) if args.queued else (10, 0)
    subscribed = asyncio.get_running_loop().create_future()

    @room.on("track_subscribed")
    def on_track(track, publication, participant):
        if track.kind == rtc.TrackKind.KIND_AUDIO and not subscribed.done():
            subscribed.set_result(track)

    await room.connect(os.environ["LIVEKIT_URL"], token(name, args.agent_name))
    tasks = []
    try:
        source = rtc.AudioSource(RATE, 1, queue_size_ms=queue_ms)
        mic = rtc.LocalAudioTrack.create_audio_track("mic", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await room.local_participant.publish_track(mic, options)
        tasks.append(asyncio.create_task(speak(source, pcm, frame_ms, state)))
        track = await asyncio.wait_for(subscribed, 30)
        tasks.append(asyncio.create_task(listen(track, heard)))
        state["say_at"] = time.monotonic() + args.after
        await asyncio.sleep(args.after + speech_end)
        while "media_start" not in state:
            if tasks[0].done():
                tasks[0].result()  # the task ends only with an error
            await asyncio.sleep(0.05)
        end = state["media_start"] + speech_end
        deadline, found = end + args.timeout, None
        while found is None and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            found = first_after(heard, end)
        return {
            "ttfa_ms": None if found is None else (found - end) * 1e3,
            "buffered_ms": await buffered_ms(track),
            "late_ms": state["late"] * 1e3,
            "room": name,
            "end_ms": end * 1e3,
            "onset_ms": None if found is None else found * 1e3,
        }
    finally:
        for task in tasks:
            task.cancel()
        await room.disconnect()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fixture", type=Path, required=True)
    parser.add_argument("--agent-name", default="")
    parser.add_argument("--after", type=float, default=3.0, help="seconds before speaking")
    parser.add_argument("--queued", action="store_true", help="push a file through the SDK's queue")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for the reply")
    print(json.dumps(asyncio.run(call(parser.parse_args()))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
