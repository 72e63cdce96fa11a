"""What a person at a terminal sees of a long verb, and what a script or a service manager gets instead."""
import errno
import os
import pty
import re
import signal
import subprocess
import threading

import pytest
from godwit_support import traps, writers
from godwit_support.runner import INTERRUPTED, NO, OK, clean_env
from godwit_support.waiting import wait_until

BAR = re.compile(r"\[([#.]{24})\] copy  (\d+) rows, [0-9.]+ k?B, \S+ \S+/s, \d/2 tables")


class Terminal:
    """A godwit on a terminal; what it shows is collected as it comes."""

    def __init__(self, m, *args, env=None):
        ours, its = pty.openpty()
        self.popen = subprocess.Popen([m.program, *args], cwd=m.directory, stdin=its, stdout=its, stderr=its,
                                      env=clean_env(m.directory, {**m.env, "TERM": "xterm", **(env or {})}),
                                      start_new_session=True)
        os.close(its)
        self._pieces = []
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()

    def _read(self, descriptor):
        piece = b"-"
        while piece:
            try:
                piece = os.read(descriptor, 65536)
            except OSError as error:
                assert error.errno == errno.EIO
                piece = b""
            self._pieces.append(piece)
        os.close(descriptor)

    @property
    def shown(self):
        return b"".join(self._pieces).decode(errors="replace")

    def wait_shown(self, pattern, timeout=30):
        wait_until(lambda: re.search(pattern, self.shown), timeout, f"{pattern} in\n{self.shown[-1500:]!r}")

    def end(self, timeout=30):
        code = self.popen.wait(timeout)
        self._reader.join(10)
        return code


@pytest.fixture
def terminal():
    made = []

    def make(*args, **kwargs):
        made.append(Terminal(*args, **kwargs))
        return made[-1]
    yield make
    for one in made:
        if one.popen.poll() is None:
            one.popen.kill()
            one.popen.wait()


@pytest.fixture
def filled(pair, migration):
    writers.create_tables(pair[0], rows=300)
    m = migration(*pair, copy={"jobs": 1, "chunk_rows": 50})
    pair[0].sql("ANALYZE")
    return m, *pair


def test_a_bar_that_goes_when_it_is_done(filled, terminal):
    m, blue, green = filled
    held = m.directory / "held-here"
    held.touch()
    copy = terminal(m, "copy", env={"GODWIT_HOLD_AT": f"copy.chunk.after_commit={held}"})
    copy.wait_shown(BAR)
    done, rows = BAR.findall(copy.shown)[-1]
    assert int(rows) < 302 and done.count("#") < 24, copy.shown
    held.unlink()
    assert copy.end() == OK
    assert "[#" not in copy.shown.rsplit("\x1b[K", 1)[-1], "the bar is left standing"


def test_ctrl_c_during_a_bar_leaves_a_clean_line(filled, terminal):
    m, blue, green = filled
    held = m.directory / "held-here"
    held.touch()
    copy = terminal(m, "copy", env={"GODWIT_HOLD_AT": f"copy.chunk.after_mark={held}"})
    copy.wait_shown("copy  ")
    copy.popen.send_signal(signal.SIGINT)
    held.unlink()
    assert copy.end() == INTERRUPTED
    assert copy.shown.endswith("\n"), repr(copy.shown[-200:])


def test_plain_lines_where_there_is_no_terminal(filled):
    m, blue, green = filled
    held = traps.Held(m, "copy.chunk.after_commit", "copy")
    held.process.wait_output("copy  ", 20)
    result = held.end()
    assert "\x1b" not in result.stderr and "\r" not in result.stderr
    assert re.search(r"^godwit: copy  \d+ rows, .*/2 tables", result.stderr, re.M), result.stderr


def test_watch_without_a_terminal_appends(filled):
    m, blue, green = filled
    watch = m.popen("status", "--watch")
    wait_until(lambda: watch.stdout.count("stage new") >= 2, 20, "status twice")
    assert "\x1b" not in watch.stdout
    assert watch.stop(expect=OK).stderr == ""


def test_check_tells_a_script_whether_something_blocks(filled):
    m, blue, green = filled
    runner = m.popen("run")
    runner.wait_output("the runner stays", 30)
    wait_until(lambda: m.run("status", "--check", expect=(OK, NO)).rc == OK, 20, f"nothing to block: {traps.blocks(m)}")
    green.sql("ALTER TABLE items DISABLE TRIGGER ALL; DELETE FROM items WHERE id = 7; ALTER TABLE items ENABLE TRIGGER ALL")
    blue.owner_sql("UPDATE items SET n = 70 WHERE id = 7")
    wait_until(lambda: m.run("status", "--check", expect=(OK, NO)).rc == NO, 20, "the quarantine to block")
    assert "quarantine" in m.run("status", "--check", expect=NO).stdout
    assert m.run("status", "--check", "--json", expect=NO).json["quarantine"] >= 1
    m.run("status", expect=OK)
    runner.stop()
