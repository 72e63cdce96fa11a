"""The application's own switch, as a hook gate has it: a file says which side to use, a lock says who is inside.

A client asks before each transaction and holds the lock, shared, as long as it lasts; `park` closes the door and takes the
lock for itself, which waits out whoever is inside. Works for any engine and any number of processes.
"""
import contextlib
import fcntl
import pathlib
import shlex
import threading
import time


class Doorway:
    def __init__(self, directory, target="blue"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.closed = self.directory / "parked"
        self.lock = self.directory / "lock"
        self.target = self.directory / "target"
        self.lock.touch()
        self.target.write_text(target)

    def gate(self):
        """The store's `gate:`."""
        closed, lock, target = (shlex.quote(str(one)) for one in (self.closed, self.lock, self.target))
        return {"type": "hook",
                "park": f"touch {closed} && flock -x {lock} true",
                "unpark": f"rm -f {closed}",
                # A watchdog may do it while an operator does: each has a file of its own.
                "point": f'printf %s "$GODWIT_TARGET" >{target}.$$ && mv {target}.$$ {target}',
                "probe": f"cat {target}; test ! -e {closed} || echo ' parked'"}

    @contextlib.contextmanager
    def inside(self, stop=threading.Event()):
        """The side ("blue", "green") to use until the end of the block; None when `stop` came first."""
        while not stop.is_set():
            if self.closed.exists():
                stop.wait(0.002)
                continue
            with open(self.lock, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH)
                if not self.closed.exists():
                    yield self.target.read_text()
                    return
        yield None
