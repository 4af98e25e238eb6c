"""One participant of the bot in one room, with its tracks.

In: the room's name and an identity; commands to publish, unpublish, mute, leave. Out: the
caller's audio, frame by frame, and log lines for every change.
Invariant: at most one voice track is published at a time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import numpy as np
import voice
from framelog import FrameLog, Samples, SpeechLog
from habits import Options, Publish, Side, Stereo
from livekit import api, rtc

EAR_RATE = 16_000
# Capacity of a source's queue, which `voice.Mouth` keeps nearly empty.
QUEUE_MS = 200
SUBSCRIPTION_S = 5.0
STATE = "lk.agent.state"

Heard = Callable[[Samples, int], None]


def token(options: Options, room: str, identity: str) -> str:
    """An access token for the kind of participant that the options select."""
    grants = api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True)
    made = api.AccessToken().with_identity(identity).with_name("rtc-bot").with_grants(grants)
    if options.state:
        made = made.with_attributes({STATE: "listening"})
    if options.kind == "agent":
        made = made.with_kind("agent")
    return made.to_jwt()


class Body:
    """A participant that speaks and receives the caller's audio."""

    def __init__(
        self, options: Options, log: FrameLog, room: str, identity: str, heard: Heard
    ) -> None:
        self.identity = identity
        self.mouth: voice.Mouth | None = None
        self.room = rtc.Room()
        self._options = options
        self._name = room
        self._log = log
        self._heard = heard
        self._voice_track: rtc.LocalAudioTrack | None = None
        self._sid = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._states: asyncio.Queue[str] = asyncio.Queue()
        self.room.on("track_subscribed", self._on_track)

    async def join(self) -> None:
        """Joins the room, and publishes the tracks that the habit has from the beginning."""
        await self.room.connect(
            os.environ["LIVEKIT_URL"], token(self._options, self._name, self.identity)
        )
        self._write("joined")
        if self._options.state:
            self._spawn(self._send_states())
        await self._publish_side_track()
        if self._options.habit.publish is Publish.JOINING:
            await self.publish()

    async def leave(self) -> None:
        """Leaves the room."""
        if self.mouth:
            self.mouth.stop("left")
        for task in self._tasks:
            task.cancel()
        self._voice_track, self.mouth = None, None
        await self.room.disconnect()
        self._write("left")

    @property
    def published(self) -> bool:
        """Whether the voice track is in the room."""
        return self._voice_track is not None

    async def publish(self) -> None:
        """Publishes the voice track, with a source of its own."""
        habit = self._options.habit
        channels = 1 if habit.stereo is Stereo.MONO else 2
        source = rtc.AudioSource(voice.RATE, channels, queue_size_ms=QUEUE_MS)
        options = rtc.TrackPublishOptions()
        if habit.microphone:
            options.source = rtc.TrackSource.SOURCE_MICROPHONE
        if habit.dtx is not None:
            options.dtx = habit.dtx
        if habit.red is not None:
            options.red = habit.red
        self._voice_track = rtc.LocalAudioTrack.create_audio_track(habit.track, source)
        publication = await self.room.local_participant.publish_track(self._voice_track, options)
        self._sid = publication.sid
        labels = {"room": self._name, "identity": self.identity, "track": self._sid}
        self.mouth = voice.Mouth(source, habit.stereo, SpeechLog(self._log, **labels))
        self._write("published", track=self._sid)

    async def until_subscribed(self) -> None:
        """Waits until a participant has subscribed to the voice track, a few seconds at most.

        Words said before the subscription are lost, so agents wait for it.
        """
        publication = self.room.local_participant.track_publications.get(self._sid)
        if isinstance(publication, rtc.LocalTrackPublication):
            try:
                await asyncio.wait_for(publication.wait_for_subscription(), SUBSCRIPTION_S)
            except asyncio.TimeoutError:
                pass

    async def unpublish(self) -> None:
        """Unpublishes the voice track."""
        if self._voice_track is None:
            return
        self._voice_track, self.mouth = None, None
        await self.room.local_participant.unpublish_track(self._sid)
        self._write("unpublished", track=self._sid)

    async def mute_for(self, seconds: float) -> None:
        """Mutes the voice track for a while."""
        if self._voice_track is None:
            return
        self._voice_track.mute()
        self._write("muted", track=self._sid)
        await asyncio.sleep(seconds)
        self._voice_track.unmute()
        self._write("unmuted", track=self._sid)

    def tell_state(self, state: str) -> None:
        """Queues a change of the state attribute, without waiting for the server."""
        if self._options.state:
            self._states.put_nowait(state)

    async def _send_states(self) -> None:
        """Sends the states one at a time, so that they arrive in order."""
        while True:
            state = await self._states.get()
            self._write("state", state=state)
            await self.room.local_participant.set_attributes({STATE: state})

    async def _publish_side_track(self) -> None:
        side = self._options.habit.side
        if side is Side.NONE:
            return
        source = rtc.AudioSource(voice.RATE, 1, queue_size_ms=QUEUE_MS)
        options = rtc.TrackPublishOptions()
        if side is Side.MUSIC:
            name, pcm = "music", voice.music()
            options.source = rtc.TrackSource.SOURCE_MICROPHONE
        else:
            name, pcm = "background_audio", voice.noise(self._options.seed)
        track = rtc.LocalAudioTrack.create_audio_track(name, source)
        publication = await self.room.local_participant.publish_track(track, options)
        self._write("published", track=publication.sid, side_track=name)
        self._spawn(voice.play_forever(source, pcm))

    def _on_track(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        agent = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        # The bot's other participants may be of kind standard too; they share a name.
        if track.kind == rtc.TrackKind.KIND_AUDIO and not agent and participant.name != "rtc-bot":
            self._spawn(self._listen(track))

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=EAR_RATE, num_channels=1)
        try:
            async for event in stream:
                self._heard(np.frombuffer(bytes(event.frame.data), np.int16), EAR_RATE)
        finally:
            await stream.aclose()

    def _spawn(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._write("error", message=repr(error)[:500])

    def _write(self, event: str, **fields: object) -> None:
        self._log.write(event, room=self._name, identity=self.identity, **fields)
