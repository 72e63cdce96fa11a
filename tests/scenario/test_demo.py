"""`godwit demo` from outside: the numbers it ends with, and that nothing stays behind however it ends."""
import glob
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from godwit_support import binary
from godwit_support.runner import clean_env
from godwit_support.waiting import pace, wait_until

GONE_S = 60  # removing two data directories takes its time on a busy disk


def of_folder(folder):
    """Pids of the live processes that have the demo's folder in their command line or as working directory."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes()
            where = os.readlink(entry / "cwd")
        except OSError:
            continue
        if folder.encode() in words or where.startswith(folder):
            found.append(int(entry.name))
    return found


def orphaned_shared_memory():
    """System V segments that nobody is attached to and whose maker is dead."""
    rows = [line.split() for line in pathlib.Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[6] == "0" and not os.path.exists(f"/proc/{row[4]}")}


class Demo:
    def __init__(self, home, *args):
        self.before = set(glob.glob("/tmp/godwit-demo-*"))
        self.memory = orphaned_shared_memory()
        self.log = home / "demo.log"
        self.out = home / "demo.out"
        self.process = subprocess.Popen([binary(), "demo", *args], stdin=subprocess.DEVNULL, stdout=self.out.open("w"),
                                        stderr=self.log.open("w"), env=clean_env(home), cwd=home,
                                        start_new_session=True)
        self.folder = None

    def said(self):
        return self.out.read_text() + self.log.read_text()

    def wait_said(self, text):
        def seen():
            assert self.process.poll() is None, f"it ended:\n{self.said()[-3000:]}"
            return text in self.said()
        wait_until(seen, 120, f"the demo to say {text!r}")

    def find_folder(self):
        """The new folder that a child of this very demo was told of."""
        def look():
            for folder in set(glob.glob("/tmp/godwit-demo-*")) - self.before:
                if any(os.getpgid(pid) == self.process.pid or parent_of(pid) == self.process.pid
                       for pid in of_folder(folder)):
                    return folder
            return None
        self.folder = wait_until(look, 60, "the demo's folder")

    def assert_nothing_left(self):
        wait_until(lambda: not of_folder(self.folder), GONE_S, f"its processes to end: {of_folder(self.folder)}")
        wait_until(lambda: not os.path.exists(self.folder), GONE_S, f"{self.folder} to go")
        assert not of_folder(self.folder)
        wait_until(lambda: not orphaned_shared_memory() - self.memory, 20, "shared memory to go")

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(GONE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


def parent_of(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


@pytest.fixture
def demo(tmp_path):
    if not (shutil.which("pgbouncer") or os.access("/usr/sbin/pgbouncer", os.X_OK)):
        pytest.skip("pgbouncer is not installed")
    made = []

    def make(*args):
        made.append(Demo(tmp_path, *args))
        return made[-1]
    yield make
    for one in made:
        one.close()


def test_moves_a_live_database_and_back_with_nothing_failed_or_lost(demo, tmp_path):
    picture = tmp_path / "demo.svg"
    run = demo("--json", "--picture", str(picture))
    run.find_folder()
    assert run.process.wait(240) == 0, run.said()[-4000:]
    score = json.loads(run.out.read_text())
    assert score["transactions"] > 0 and score["acknowledged"] > 0 and score["rows_compared"] > 0
    assert (score["failed"], score["lost"], score["duplicated"], score["differences"]) == (0, 0, 0, 0)
    assert score["verdict"] == "equal" and score["money_kept"] is True
    text = picture.read_text()
    assert "<svg" in text and "0 failed, 0 lost" in text and "switch" in text and "rollback" in text
    run.assert_nothing_left()


@pytest.mark.parametrize("after, delay_s", [(None, 0.5), ("godwit run", 1.0), ("godwit switch", 0.4)])
def test_ctrl_c_leaves_nothing(demo, after, delay_s):
    run = demo()
    run.find_folder()
    if after:
        run.wait_said(after)
    pace(delay_s)  # the moment is what is tested
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does
    assert run.process.wait(GONE_S) == 5
    run.assert_nothing_left()


@pytest.mark.parametrize("after, delay_s", [(None, 0.2), ("godwit run", 1.0), ("godwit switch", 0.2),
                                            ("godwit switch", 0.4), ("godwit rollback", 0.3)])
def test_kill_9_leaves_nothing(demo, after, delay_s):
    """In the pause, too: the runner dies with it, and so must its watchdog, which has no servers left to serve."""
    run = demo()
    run.find_folder()
    if after:
        run.wait_said(after)
    pace(delay_s)  # the moment is what is tested
    run.process.kill()
    run.process.wait(10)
    run.assert_nothing_left()
