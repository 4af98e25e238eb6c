"""A LiveKit agent worker whose agents cannot be heard; the job's metadata selects the reason.

Registers as AGENT_NAME, with LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET from the
environment; prints `ready` once it is registered.
"""

import asyncio
import os

from livekit import api, rtc
from livekit.agents import JobContext, JobExecutorType, JobRequest, WorkerOptions, cli

RATE = 48_000


async def request(job: JobRequest) -> None:
    if job.job.metadata == "rejects":
        await job.reject()
    else:
        await job.accept()


async def publish(room: rtc.Room, name: str, source: rtc.TrackSource.ValueType) -> None:
    """Publishes a track of silence that plays until the agent leaves the room."""
    audio = rtc.AudioSource(RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track(name, audio)
    await room.local_participant.publish_track(track, rtc.TrackPublishOptions(source=source))
    frame = rtc.AudioFrame.create(RATE, 1, RATE // 100)

    async def run() -> None:
        while room.isconnected():
            await audio.capture_frame(frame)

    room.pump = asyncio.ensure_future(run())  # a reference prevents garbage collection


async def as_somebody(ctx: JobContext, kind: str) -> None:
    """Joins the room with a token of its own instead of the job's token."""
    grants = api.VideoGrants(room_join=True, room=ctx.job.room.name)
    token = api.AccessToken().with_identity("recorder-1").with_kind(kind).with_grants(grants)
    room = rtc.Room()
    await room.connect(os.environ["LIVEKIT_URL"], token.to_jwt())
    ctx.somebody = room


async def entry(ctx: JobContext) -> None:
    mode = ctx.job.metadata
    if mode == "raises":
        raise RuntimeError("the model's key is missing")
    if mode == "returns":
        ctx.shutdown(reason="nothing to do")
        return
    if mode == "starts-slowly":
        await asyncio.sleep(60)
    if mode == "other-kind":
        return await as_somebody(ctx, "egress")
    await ctx.connect()
    if mode == "leaves":
        # The server announces a participant to the others once its media has connected.
        await asyncio.sleep(4)
        ctx.shutdown(reason="had enough")
        await ctx.room.disconnect()
    elif mode == "other-source":
        await publish(ctx.room, "screen", rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO)
    elif mode == "other-name":
        await publish(ctx.room, "voice", rtc.TrackSource.SOURCE_MICROPHONE)
    # "no-track": the agent joins and publishes nothing.


if __name__ == "__main__":
    cli.run_app(
        WorkerOptions(
            entrypoint_fnc=entry,
            request_fnc=request,
            agent_name=os.environ["AGENT_NAME"],
            job_executor_type=JobExecutorType.THREAD,
            num_idle_processes=2,
            load_fnc=lambda *_: 0.0,  # takes every job, however busy the machine is
            host="127.0.0.1",
            port=0,
        )
    )
