"""`godwit demo` from outside: the numbers it ends with, and that nothing stays behind however it ends."""
import glob
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from godwit_support import binary
from godwit_support.runner import clean_env
from godwit_support.waiting import pace, wait_until

GONE_S = 60  # removing two data directories takes its time on a busy disk


def demo_folders():
    return set(glob.glob(f"{tempfile.gettempdir()}/godwit-demo-*"))


def processes():
    """{pid: (parent, in which folder, command line)} of every live process."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            if state not in "ZX":
                found[int(entry.name)] = (int(parent), os.readlink(entry / "cwd"), (entry / "cmdline").read_bytes())
        except (OSError, ValueError, IndexError):
            continue
    return found


def of_folder(folder, besides=()):
    """Pids of the live processes that have the demo's folder in their command line or as working directory."""
    return [pid for pid, (_, where, words) in processes().items()
            if pid not in (os.getpid(), *besides) and (folder.encode() in words or where.startswith(folder))]


def shared_memory(keys):
    """Ids of the System V segments with these keys. PostgreSQL's key is the inode of its data directory."""
    rows = [line.split() for line in pathlib.Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return {row[1] for row in rows if int(row[0]) in keys}


class Demo:
    def __init__(self, home, *args, env=None):
        self.before = demo_folders()
        self.log = home / "demo.log"
        self.out = home / "demo.out"
        self.process = subprocess.Popen([binary(), "demo", *args], stdin=subprocess.DEVNULL, stdout=self.out.open("w"),
                                        stderr=self.log.open("w"), env=clean_env(home, env), cwd=home,
                                        start_new_session=True)
        self.folder = None
        self.keys = set()
        self.bystanders = []

    def said(self):
        return self.out.read_text() + self.log.read_text()

    def wait_said(self, text):
        def seen():
            assert self.process.poll() is None, f"it ended:\n{self.said()[-3000:]}"
            return text in self.said()
        wait_until(seen, 120, f"the demo to say {text!r}")

    def family(self):
        """Pids of this demo and of all it started, by descent."""
        every, found = processes(), {self.process.pid}
        while more := {pid for pid, (parent, *_) in every.items() if parent in found} - found:
            found |= more
        return found

    def worker(self):
        """The demo is two processes: the one started here, which waits, and its only child, which works."""
        children = [pid for pid, (parent, *_) in processes().items() if parent == self.process.pid]
        assert len(children) == 1, children
        return children[0]

    def find_folder(self):
        """The new folder that something of this very demo works in."""
        def look():
            for folder in demo_folders() - self.before:
                if self.family() & set(of_folder(folder)):
                    return folder
            return None
        self.folder = wait_until(look, 60, "the demo's folder", interval=0.005)

    def note_data_directories(self):
        self.keys |= {os.stat(path).st_ino for path in glob.glob(f"{self.folder}/*/data")}

    def running(self):
        return of_folder(self.folder, [one.pid for one in self.bystanders])

    def assert_nothing_left(self):
        wait_until(lambda: not self.running() and not os.path.exists(self.folder), GONE_S,
                   f"its processes to end and {self.folder} to go\n{self.said()[-2000:]}")
        wait_until(lambda: not self.running(), 5, "processes without a folder")
        assert not shared_memory(self.keys), f"shared memory is left\n{self.said()[-2000:]}"

    def close(self):
        for one in self.bystanders:
            one.kill()
            one.wait(10)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(GONE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


@pytest.fixture
def demo(tmp_path):
    if not (shutil.which("pgbouncer") or os.access("/usr/sbin/pgbouncer", os.X_OK)):
        pytest.skip("pgbouncer is not installed")
    made = []

    def make(*args, env=None):
        made.append(Demo(tmp_path, *args, env=env))
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("kind", ([], ["--embedded"]), ids=("servers", "embedded"))
def test_moves_a_live_database_and_back_with_nothing_failed_or_lost(kind, demo, tmp_path):
    picture = tmp_path / "demo.svg"
    run = demo("--json", "--picture", str(picture), *kind)
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
    run.note_data_directories()
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does
    assert run.process.wait(GONE_S) == 5
    run.assert_nothing_left()


def test_the_second_ctrl_c_does_not_wait_and_leaves_nothing_either(demo):
    run = demo()
    run.find_folder()
    run.wait_said("godwit run")
    run.note_data_directories()
    worker = run.worker()
    os.kill(worker, signal.SIGSTOP)  # it is busy with something: the first one alone would be waited out
    wait_until(lambda: status_of(worker, "State").startswith("T"), 10, "the worker to stand")
    run.process.send_signal(signal.SIGINT)
    wait_until(lambda: int(status_of(worker, "ShdPnd"), 16) & 1 << (signal.SIGINT - 1), 10, "the first one to arrive")
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(GONE_S) == 5
    run.assert_nothing_left()


def status_of(pid, field):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(field + ":"))


def kill_9(run, who):
    run.note_data_directories()
    worker = run.worker()
    if who == "worker":
        os.kill(worker, signal.SIGKILL)
    else:
        os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait(GONE_S)


@pytest.mark.parametrize("after, delay_s, who", [
    (None, 0.2, "worker"), ("godwit run", 1.0, "worker"), ("godwit switch", 0.2, "worker"),
    ("godwit switch", 0.4, "worker"), ("godwit rollback", 0.3, "worker"),
    (None, 0.2, "guard"), ("godwit switch", 0.2, "guard")])
def test_kill_9_leaves_nothing(demo, after, delay_s, who):
    """In the pause, too: the runner dies with it, and so must its watchdog, which has no servers left to serve."""
    run = demo()
    run.find_folder()
    if after:
        run.wait_said(after)
    pace(delay_s)  # the moment is what is tested
    kill_9(run, who)
    run.assert_nothing_left()


def test_killed_as_soon_as_there_is_a_folder(demo):
    run = demo(env={"GODWIT_CRASH_AT": "demo.folder_made"})
    assert run.process.wait(GONE_S) == 5
    assert "ended by SIGKILL" in run.said()
    assert not [folder for folder in demo_folders() - run.before if not os.listdir(folder)]


def test_its_guard_killed_as_soon_as_there_is_a_folder(demo, tmp_path):
    hold = tmp_path / "hold"
    hold.touch()
    run = demo(env={"GODWIT_HOLD_AT": f"demo.folder_made={hold}"})
    wait_until(lambda: (tmp_path / "hold.reached").exists(), 20, "the demo to be held")
    worker = run.worker()
    run.process.kill()
    run.process.wait(10)
    hold.unlink()
    wait_until(lambda: worker not in processes(), GONE_S, "the worker to end")
    assert "nothing is left behind" in run.said() and "stopped by SIGTERM" in run.said(), run.said()
    assert not os.path.exists(run.said().split(" removed")[0].split()[-1])


def test_a_bystander_in_the_folder_lives_and_a_killed_server_leaves_no_memory(demo):
    run = demo()
    run.find_folder()
    run.wait_said("they are there")
    run.bystanders.append(subprocess.Popen(["sh", "-c", "exec sleep 600", f"{run.folder}/m/godwit.yaml"], cwd=run.folder))
    run.note_data_directories()
    assert len(shared_memory(run.keys)) == 2
    os.kill(run.worker(), signal.SIGSTOP)
    family = run.family()
    for pid, (_, _, words) in processes().items():
        if pid in family and b"postgres\0-D" in words:
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not [pid for pid in run.running() if b"postgres" in processes().get(pid, (0, "", b""))[2]], 20,
               "the servers' processes to notice")
    assert len(shared_memory(run.keys)) == 2, "nobody was there to remove it"
    kill_9(run, "worker")
    run.assert_nothing_left()
    assert run.bystanders[0].poll() is None
