"""What the trap tests share: a migration in its stages, a place to hold godwit at, and what the kernel says of it."""
import contextlib
import re

from . import compare
from .waiting import wait_until

FLIP = ("--yes", "--unverified", "--ignore-sessions")


def load(m, **kwargs):
    """Schema, rows, indexes; green follows from here on whenever a command runs."""
    return m.run("copy", **kwargs)


def catch_up(m, **kwargs):
    return m.run("follow", "--until", "caught-up", **kwargs)


def to_green(m):
    return m.run("switch", *FLIP)


def to_blue(m):
    return m.run("rollback", *FLIP)


def there_and_back(m, blue, green, on_blue=None, on_green=None, on_blue_again=None, tables=None):
    """Loads, then writes on the owner at each of three stages; after each both sides must be equal."""
    load(m)
    compare.assert_equal(blue, green, tables)
    if on_blue:
        on_blue(blue)
        catch_up(m)
        compare.assert_equal(blue, green, tables)
    to_green(m)
    if on_green:
        on_green(green)
        catch_up(m)
        compare.assert_equal(blue, green, tables)
    to_blue(m)
    if on_blue_again:
        on_blue_again(blue)
        catch_up(m)
    compare.assert_equal(blue, green, tables)
    m.run("verify")


class Held:
    """A godwit that stops at a named point until go()."""

    def __init__(self, m, point, *args, env=None):
        self.path = m.directory / "held-here"
        self.reached_path = m.directory / "held-here.reached"
        self.reached_path.unlink(missing_ok=True)
        self.path.touch()
        self.point = point
        self.process = m.popen(*args, env={"GODWIT_HOLD_AT": f"{point}={self.path}", **(env or {})})

    def reached(self):
        return self.reached_path.exists()

    def wait(self, timeout=30):
        def there():
            if not self.process.alive() and not self.reached():
                raise RuntimeError(f"ended without coming to {self.point}\n{self.process.wait()}")
            return self.reached()
        wait_until(there, timeout, f"godwit at {self.point}\n{self.process.stderr[-2000:]}")
        return self

    def go(self):
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        return self

    def end(self, expect=0, timeout=60):
        self.go()
        result = self.process.wait(timeout)
        allowed = expect if isinstance(expect, (tuple, list, set)) else (expect,)
        assert expect is None or result.rc in allowed, f"expected exit {expect}\n{result}"
        return result


def memory_peak_bytes(pid):
    """The most that process ever had resident (VmHWM), None when it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            found = re.search(r"^VmHWM:\s+(\d+) kB", status.read(), re.M)
            return int(found.group(1)) * 1024 if found else None
    except (FileNotFoundError, ProcessLookupError):
        return None


def peak_while(process, timeout=120):
    """The peak of a Process that runs to its end."""
    peak = [0]

    def ended():
        peak[0] = max(peak[0], memory_peak_bytes(process.pid) or 0)
        return not process.alive()
    wait_until(ended, timeout, "godwit to end", interval=0.005)
    return peak[0]


def blocks(m):
    """What status says blocks, as one text."""
    return "\n".join(m.status()["blocks"])
