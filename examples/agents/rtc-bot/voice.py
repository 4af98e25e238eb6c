"""The bot's speech: clips, and a `Mouth` that plays them in real time.

In: sentences for espeak-ng or a WAV file; a track's audio source. Out: 48 kHz mono PCM;
frames of 10 ms handed to the source.
Invariant: the source's queue never holds more than `LEAD_S`, so a stop is exact and the
log's timestamps are the instants at which the sound leaves.
"""

from __future__ import annotations

import asyncio
import io
import subprocess
import time
import wave

import numpy as np
from framelog import SOUND, Samples, SpeechLog
from habits import Stereo
from livekit import rtc

RATE = 48_000
FRAME = RATE // 100
FRAME_S = FRAME / RATE
# How far ahead of its due time a frame is handed over: enough that a late wake-up on a
# busy machine leaves no hole, but so little that a stop discards almost nothing.
LEAD_S = 0.02
# Samples kept around the audible part of a clip.
MARGIN = RATE // 100
MAX_CLIP_S = 60


class VoiceError(RuntimeError):
    """A clip cannot be made, for the reason in the message."""


def synthesize(text: str, voice: str) -> Samples:
    """Speaks `text` with espeak-ng. The clip begins and ends with its audible part."""
    command = ["espeak-ng", "-v", voice, "-s", "170", "-b", "1", "--stdin", "--stdout"]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=30)
    except FileNotFoundError:
        raise VoiceError("espeak-ng is not installed: apt-get install espeak-ng") from None
    if done.returncode != 0 or not done.stdout:
        message = done.stderr.decode(errors="replace").strip()[:200]
        raise VoiceError(f"espeak-ng cannot speak as {voice}: {message}")
    return trimmed(_decoded(done.stdout))


def read_clip(path: str) -> Samples:
    """The first minute of a 16-bit WAV file as it is, silence included."""
    try:
        with open(path, "rb") as file:
            return _decoded(file.read())
    except (OSError, wave.Error, EOFError) as error:
        raise VoiceError(f"cannot read {path}: {error}") from None


def _decoded(data: bytes) -> Samples:
    with wave.open(io.BytesIO(data)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        if file.getsampwidth() != 2:
            raise wave.Error("not 16-bit PCM")
        # espeak-ng does not know the length when it writes the header, so limit the read.
        pcm = np.frombuffer(file.readframes(rate * MAX_CLIP_S), dtype=np.int16)
    return resampled(pcm[: len(pcm) // channels * channels : channels], rate)


def resampled(pcm: Samples, rate: int) -> Samples:
    """`pcm` at the bot's rate."""
    if rate == RATE:
        return pcm
    resampler = rtc.AudioResampler(rate, RATE, quality=rtc.AudioResamplerQuality.HIGH)
    parts = [*resampler.push(bytearray(pcm.tobytes())), *resampler.flush()]
    return np.concatenate([np.frombuffer(bytes(part.data), np.int16) for part in parts])


def trimmed(pcm: Samples) -> Samples:
    """`pcm` without the silence around it."""
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > SOUND)
    if not len(loud):
        raise VoiceError("the clip is silent")
    return pcm[max(0, loud[0] - MARGIN) : loud[-1] + MARGIN]


def music() -> Samples:
    """Eight seconds of a quiet arpeggio, to be repeated."""
    notes = [220.0, 277.2, 329.6, 440.0, 329.6, 277.2, 246.9, 311.1] * 4
    length = RATE // 4
    time_axis = np.arange(length) / RATE
    envelope = np.minimum(1.0, time_axis / 0.01) * np.exp(-time_axis * 3)
    parts = [np.sin(2 * np.pi * note * time_axis) * envelope for note in notes]
    return (np.concatenate(parts) * 2_500).astype(np.int16)


def noise(seed: int) -> Samples:
    """Four seconds of quiet noise, to be repeated."""
    generator = np.random.default_rng(seed)
    return (generator.standard_normal(4 * RATE) * 1_000).astype(np.int16)


def interleaved(pcm: Samples, stereo: Stereo) -> Samples:
    """Mono audio as the interleaved samples of a track."""
    if stereo is Stereo.MONO:
        return pcm
    left = np.zeros_like(pcm) if stereo is Stereo.RIGHT else pcm
    right = pcm if stereo is Stereo.RIGHT else np.negative(pcm)
    return np.stack([left, right], axis=1).reshape(-1)


class Mouth:
    """Speaks through one audio source and logs what was audible."""

    def __init__(self, source: rtc.AudioSource, stereo: Stereo, speech: SpeechLog) -> None:
        self._source = source
        self._stereo = stereo
        self._speech = speech
        self._stopped = False

    async def say(self, pcm: Samples, **fields: object) -> bool:
        """Plays `pcm` to its end. Returns false if playback was stopped.

        `fields` go into the segment's lines in the log.
        """
        self._stopped = False
        self._speech.begin(**fields)
        padded = np.concatenate([pcm, np.zeros(-len(pcm) % FRAME, np.int16)])
        for start in range(0, len(padded), FRAME):
            await asyncio.sleep(max(0.0, self._speech.next_due - LEAD_S - time.time()))
            if self._stopped:
                return False
            await self._push(padded[start : start + FRAME])
        await asyncio.sleep(max(0.0, self._speech.next_due - time.time()))
        if self._stopped:
            return False
        self._speech.end(interrupted=False)
        return True

    def stop(self, why: str) -> float | None:
        """Stops the speech at once. Returns the instant, or None if no speech was in progress."""
        if not self._speech.open:
            return None
        self._stopped = True
        self._source.clear_queue()
        now = time.time()
        self._speech.clear(now)
        self._speech.end(interrupted=True, why=why)
        return now

    async def _push(self, frame: Samples) -> None:
        data = interleaved(frame, self._stereo)
        channels = len(data) // len(frame)
        # Stamped before the call, which returns some time after the source took the frame.
        self._speech.push(frame, RATE)
        await self._source.capture_frame(rtc.AudioFrame(data.tobytes(), RATE, channels, FRAME))


async def play_forever(source: rtc.AudioSource, pcm: Samples) -> None:
    """Repeats `pcm` until cancelled; the source's queue sets the pace."""
    usable = len(pcm) // FRAME * FRAME
    while True:
        for start in range(0, usable, FRAME):
            frame = pcm[start : start + FRAME].tobytes()
            await source.capture_frame(rtc.AudioFrame(frame, RATE, 1, FRAME))
