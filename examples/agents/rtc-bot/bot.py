"""A LiveKit bot on the plain SDK that answers callers with the habits of real agents.

In: LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET; a habit and its settings (`--help`).
Out: a participant in every room whose name has the prefix; a log of what it really did.
Invariant: with a habit that crashes its process, every call runs in its own process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from dataclasses import fields

import voice
from call import Call, Clips
from framelog import FrameLog
from habits import FILLER, HABITS, Ending, Options
from livekit import api

POLL_S = 0.1
MAX_MS = 600_000


def milliseconds(text: str) -> int:
    """A whole number of milliseconds from 0 to ten minutes."""
    if not text.isascii() or not text.isdigit() or int(text) > MAX_MS:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {MAX_MS}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    habits = "\n".join(f"  {name:<24}{habit.about}" for name, habit in HABITS.items())
    made = argparse.ArgumentParser(
        prog="rtc-bot/run",
        description=__doc__.splitlines()[0] if __doc__ else None,
        epilog=f"habits:\n{habits}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--habit", dest="habit_name", choices=HABITS, default="normal", metavar="HABIT")
    add("--kind", choices=("agent", "standard"), default="agent", help="kind of participant")
    add("--state", action="store_true", help="set lk.agent.state, as livekit-agents does")
    add("--prefix", default="loadgen", help="name prefix of the rooms to join")
    add("--log", help="file to which the log is appended")
    add("--silence-ms", type=milliseconds, default=400, help="silence that ends a caller's turn")
    add("--answer-delay-ms", type=milliseconds, help="time from that silence to the reply")
    add("--pause-ms", type=milliseconds, help="pause between filler and answer")
    add("--stop-ms", type=milliseconds, default=450, help="time from interruption to stop")
    add("--answer-ms", type=milliseconds, default=310, help="time from that stop to the answer")
    add("--answer-from", choices=("silence", "caller-end"), default="silence",
        help="whether --answer-ms counts from the bot's silence or the caller's end of speech")
    add("--at-turn", type=int, default=1, help="turn (from 0) of a crash, hand-over etc.")
    add("--after-ms", type=milliseconds, default=700, help="time in a reply until it breaks off")
    add("--reply", help="a 16-bit WAV file to say instead of the habit's sentences")
    add("--voice", default="en-us+f4", help="voice of espeak-ng")
    add("--seed", type=int, default=0, help="seed of the pauses between sentences")
    add("--room", help="serve only this room, then end")
    return made


def make_clips(options: Options) -> Clips:
    """Clips of everything that the bot says. Raises `VoiceError`."""
    if options.reply:
        sentences = [voice.read_clip(options.reply)]
    else:
        sentences = [voice.synthesize(text, options.voice) for text in options.habit.sentences]
    return Clips(sentences, voice.synthesize(FILLER, options.voice))


class Bot:
    """Watches for rooms and answers in each of them."""

    def __init__(self, options: Options, clips: Clips) -> None:
        self._options = options
        self._clips = clips
        self._log = FrameLog(options.log)
        self._seen: set[str] = set()
        self._calls: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """Joins rooms as they appear, until the process is ended."""
        self._log.write("ready", habit=self._options.habit_name, kind=self._options.kind)
        async with api.LiveKitAPI() as server:
            while True:
                try:
                    self._join(await server.room.list_rooms(api.ListRoomsRequest()))
                except Exception as error:  # the server may be restarting
                    self._log.write("error", message=f"cannot list rooms: {error!r:.400}")
                await asyncio.sleep(POLL_S)

    async def serve(self, room: str) -> None:
        """Serves one call, from joining the room to the end of the call."""
        try:
            await Call(self._options, self._clips, self._log, room).run()
        except Exception as error:  # the other calls continue
            self._log.write("error", room=room, message=f"{error!r:.400}")

    def _join(self, listed: api.ListRoomsResponse) -> None:
        names = {room.name for room in listed.rooms if room.name.startswith(self._options.prefix)}
        for name in sorted(names - self._seen):
            alone = self._options.habit.ending is Ending.CRASH
            call = self._serve_in_child(name) if alone else self.serve(name)
            task = asyncio.ensure_future(call)
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        # A room that is gone may be created again under the same name.
        self._seen = names

    async def _serve_in_child(self, room: str) -> None:
        child = await asyncio.create_subprocess_exec(sys.executable, *sys.argv, "--room", room)
        status = await child.wait()
        self._log.write("process_ended", room=room, status=status)


def main() -> None:
    """Checks the settings and runs the bot."""
    arguments = vars(parser().parse_args())
    room = arguments.pop("room")
    options = Options(**{field.name: arguments[field.name] for field in fields(Options)})
    for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        if not os.environ.get(name):
            sys.exit(f"error: {name} is not set\nhint: the bot joins rooms of a LiveKit server")
    try:
        clips = make_clips(options)
    except voice.VoiceError as error:
        sys.exit(f"error: {error}")
    bot = Bot(options, clips)
    try:
        asyncio.run(bot.serve(room) if room else bot.watch())
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
