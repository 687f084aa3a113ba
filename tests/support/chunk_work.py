"""Work for the tests of ``ripe_lib.output.chunked``; importable by worker processes."""

import errno
import os
import signal
import time
from pathlib import Path


class SquareWork:
    """Write the square of the payload and log the call; die on one payload, once or always; lack room for another."""

    def __init__(self, log, *, die_on=None, die_always=False, full_on=None, seconds=0.0):
        self.log, self.die_on, self.die_always, self.seconds = Path(log), die_on, die_always, seconds
        self.full_on = full_on

    def __call__(self, chunk, path):
        with self.log.open("a") as handle:
            handle.write(f"{chunk.index}\n")
        time.sleep(self.seconds)
        if chunk.payload == self.die_on:
            marker = self.log.with_suffix(".died")
            if self.die_always or not marker.exists():
                marker.touch()
                path.write_text("half a par")
                os.kill(os.getpid(), signal.SIGKILL)
        if chunk.payload == self.full_on:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_text(f"{chunk.payload**2}\n")


class FailingWork:
    """Raise the user's error on payload 2."""

    def __call__(self, chunk, path):
        from ripe_lib.errors import InputError

        if chunk.payload == 2:
            raise InputError("input.txt:2: expected something else.")
        path.write_text(f"{chunk.payload**2}\n")


def expensive(seed):
    """Something that tells whether it was made again."""
    return object(), seed
