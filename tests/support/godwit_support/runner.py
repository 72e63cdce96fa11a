"""Running godwit as a user does: a migration file in a directory, commands, exit codes."""
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

import yaml

from . import binary, roles
from .waiting import wait_until

# The exit codes of the command table.
OK, NO, USAGE, UNRESOLVED, UNREACHABLE, INTERRUPTED, BUG = 0, 1, 2, 3, 4, 5, 70


class Result:
    """What a finished command left."""

    def __init__(self, argv, rc, stdout, stderr, seconds):
        self.argv, self.rc, self.stdout, self.stderr, self.seconds = argv, rc, stdout, stderr, seconds

    @property
    def json(self):
        return json.loads(self.stdout)

    def __str__(self):
        return (f"$ {' '.join(map(str, self.argv))}\nexit {self.rc} after {self.seconds:.2f} s\n"
                f"--- stdout\n{self.stdout[-6000:]}\n--- stderr\n{self.stderr[-6000:]}")


def require_binary(path=None):
    path = pathlib.Path(path or binary())
    if not os.access(path, os.X_OK):
        import pytest
        pytest.fail(f"no godwit at {path}: run ./dev test, or set GODWIT_BINARY")
    return str(path)


def clean_env(home, extra=None):
    keep = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LANG", "TMPDIR")
    env = {k: os.environ[k] for k in keep if k in os.environ}
    env.update(HOME=str(home), XDG_STATE_HOME=str(pathlib.Path(home) / "state"),
               XDG_RUNTIME_DIR=str(pathlib.Path(home)), LC_ALL="C.UTF-8", NO_COLOR="1", TERM="dumb")
    env.update({k: str(v) for k, v in (extra or {}).items()})
    return env


class Process:
    """A godwit that runs on; its output is collected as it comes."""

    def __init__(self, argv, cwd, env):
        self.argv = argv
        self.began = time.monotonic()
        self.popen = subprocess.Popen(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, start_new_session=True)
        self._parts = {"stdout": [], "stderr": []}
        self._readers = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._parts]
        for reader in self._readers:
            reader.start()

    def _read(self, name):
        for line in getattr(self.popen, name):
            self._parts[name].append(line.decode(errors="replace"))

    @property
    def pid(self):
        return self.popen.pid

    @property
    def stdout(self):
        return "".join(self._parts["stdout"])

    @property
    def stderr(self):
        return "".join(self._parts["stderr"])

    def alive(self):
        return self.popen.poll() is None

    def wait_output(self, text, timeout=30):
        """Until `text` is in its stdout or stderr; fails at once when it has ended without it."""
        def seen():
            if text in self.stdout or text in self.stderr:
                return True
            if not self.alive():
                for reader in self._readers:
                    reader.join(5)
                if text not in self.stdout and text not in self.stderr:
                    raise RuntimeError(f"ended without saying {text!r}\n{self.result()}")
            return False
        wait_until(seen, timeout, f"{' '.join(self.argv[:2])} to say {text!r}\n{self.stderr[-2000:]}")

    def signal(self, number):
        if self.alive():
            self.popen.send_signal(number)

    def kill(self):
        """kill -9 of it and of its children (pg_dump and such)."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self.wait(10)

    def wait(self, timeout=60):
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            snapshot = f"{self.stdout[-3000:]}\n{self.stderr[-3000:]}"
            raise AssertionError(f"{' '.join(self.argv)} still runs after {timeout} s\n{snapshot}") from None
        for reader in self._readers:
            reader.join(5)
        return self.result()

    def stop(self, expect=OK, timeout=30):
        """SIGTERM, then its exit code must be the expected one."""
        self.signal(signal.SIGTERM)
        result = self.wait(timeout)
        assert expect is None or result.rc == expect, f"expected exit {expect}\n{result}"
        return result

    def result(self):
        return Result(self.argv, self.popen.poll(), self.stdout, self.stderr, time.monotonic() - self.began)


class Migration:
    """A directory with a godwit.yaml in it, and the commands run there."""

    def __init__(self, directory, blue=None, green=None, name="acme", program=None, **store_keys):
        self.directory = pathlib.Path(directory)
        self.name = name
        self.program = require_binary(program)
        self.env = {"PGPASSFILE": roles.passfile(directory)}
        self.file = self.directory / "godwit.yaml"
        self.config = {"migration": name, "stores": {"main": {}}}
        if blue is not None:
            self.store.update(blue=side_url(blue), green=side_url(green), **store_keys)
            self.write()
        self._running = []

    @property
    def store(self):
        return self.config["stores"]["main"]

    def write(self, text=None):
        """The file as text, or made from self.config."""
        self.file.write_text(text if text is not None else yaml.safe_dump(self.config, sort_keys=False))

    def run(self, *args, expect=OK, timeout=60, env=None, stdin=None):
        """Runs to the end. `expect`: the exit code (a number or several), None when any will do."""
        argv = [self.program, *map(str, args)]
        began = time.monotonic()
        try:
            done = subprocess.run(argv, cwd=self.directory, env=clean_env(self.directory, {**self.env, **(env or {})}),
                                  input=(stdin or "").encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=timeout, check=False)
        except subprocess.TimeoutExpired as late:
            parts = [(part or b"").decode(errors="replace")[-3000:] for part in (late.stdout, late.stderr)]
            raise AssertionError(f"{' '.join(argv)} still ran after {timeout} s\n{parts[0]}\n{parts[1]}") from None
        result = Result(argv, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"),
                        time.monotonic() - began)
        if expect is not None:
            allowed = expect if isinstance(expect, (tuple, list, set)) else (expect,)
            assert result.rc in allowed, f"expected exit {expect}\n{result}"
        return result

    def popen(self, *args, env=None):
        """Starts it and goes on; close() kills what still runs."""
        process = Process([self.program, *map(str, args)], self.directory,
                          clean_env(self.directory, {**self.env, **(env or {})}))
        self._running.append(process)
        return process

    def status(self, **kwargs):
        return self.run("status", "--json", expect=None, **kwargs).json

    def close(self):
        for process in self._running:
            if process.alive():
                process.kill()


def side_url(side):
    return side if isinstance(side, str) else side.dsn("godwit")
