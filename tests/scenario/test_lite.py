"""A SQLite file is moved to another one and back while several processes write it by Python's own sqlite3, each with a
journal of what was acknowledged: nothing is lost, nothing is there twice. And what the fence, check and the script of
the last resort promise to an application that knows nothing of godwit.
"""
import json
import os
import pwd
import shutil
import sqlite3
import subprocess
import sys

import pytest

from godwit_support import sqlite as lite
from godwit_support.waiting import wait_until

SCHEMA = """
CREATE TABLE account (id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL UNIQUE, balance DECIMAL(12,2));
CREATE TABLE entry (id INTEGER PRIMARY KEY, account INT REFERENCES account ON DELETE CASCADE, writer INT, n INT, note,
                    UNIQUE (writer, n));
CREATE TABLE latest (name TEXT PRIMARY KEY COLLATE NOCASE, value ANY) WITHOUT ROWID;
CREATE TABLE scrap (a, b);
CREATE VIEW rich AS SELECT * FROM account WHERE balance > 100;
CREATE TRIGGER entry_counts AFTER INSERT ON entry BEGIN
    UPDATE account SET balance = balance + 1 WHERE id = NEW.account;
END;
PRAGMA user_version = 42;
"""
TABLES = ("account", "entry", "latest", "scrap")

# A client that goes where `target` says, journals each transaction before and after its commit, and steps over the fence.
CLIENT = r"""
import json, os, random, sqlite3, sys, threading
folder, writer, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng, n, PACE = random.Random(seed), 0, threading.Event()
journal = open(f"{folder}/journal-{writer}", "a", buffering=1)
def target():
    with open(f"{folder}/target") as f:
        return f.read().strip()
while not os.path.exists(f"{folder}/stop"):
    path, n = target(), n + 1
    db = sqlite3.connect(path, timeout=20, isolation_level=None)
    db.execute("PRAGMA foreign_keys=ON")
    db.execute(f"PRAGMA recursive_triggers={'ON' if writer % 2 else 'OFF'}")
    try:
        db.execute("BEGIN IMMEDIATE")
        account = rng.randrange(1, 40)
        db.execute("INSERT OR IGNORE INTO account (id, owner, balance) VALUES (?, ?, 0)", (account, f"o{account}"))
        db.execute("INSERT INTO entry (account, writer, n, note) VALUES (?, ?, ?, ?)",
                   (account, writer, n, rng.choice([None, 1, 1.5, "text", b"\x00\xff", "x" * 3000])))
        what = rng.randrange(8)
        if what == 0:
            db.execute("INSERT OR REPLACE INTO latest VALUES (?, ?)", (rng.choice("aAbBcC"), rng.random()))
        elif what == 1:
            db.execute("UPDATE OR REPLACE account SET owner = ? WHERE id = ?", (f"o{rng.randrange(1, 40)}", account))
        elif what == 2:
            db.execute("INSERT INTO scrap VALUES (?, ?), (?, ?)", (writer, "twin", writer, "twin"))
        elif what == 3:
            db.execute("DELETE FROM scrap WHERE rowid = (SELECT max(rowid) FROM scrap)")
        elif what == 4:
            db.execute("REPLACE INTO latest VALUES ('counter', ?)", (n,))
        elif what == 5:
            db.execute("UPDATE entry SET note = 'changed' WHERE writer = ? AND n = ?", (writer, n - 1))
        elif what == 6:
            db.execute("SAVEPOINT s")
            db.execute("DELETE FROM entry")
            db.execute("ROLLBACK TO s")
        journal.write(json.dumps(["doubt", n]) + "\n")
        db.execute("COMMIT")
        journal.write(json.dumps(["done", n, path]) + "\n")
    except sqlite3.Error as e:
        journal.write(json.dumps(["failed", n, str(e)]) + "\n")
        PACE.wait(0.02)
    finally:
        db.close()
    PACE.wait(rng.random() / 100)
"""


class Clients:
    def __init__(self, folder, path, count=3):
        self.folder = folder
        self.point(path)
        self.processes = [subprocess.Popen([sys.executable, "-c", CLIENT, str(folder), str(i), str(i + 11)])
                          for i in range(count)]

    def point(self, path):
        with open(f"{self.folder}/target.new", "w", encoding="utf-8") as f:
            f.write(str(path))
        os.replace(f"{self.folder}/target.new", f"{self.folder}/target")

    def journal(self):
        for i in range(len(self.processes)):
            if (self.folder / f"journal-{i}").exists():
                for line in (self.folder / f"journal-{i}").read_text(encoding="utf-8").splitlines():
                    yield i, json.loads(line)

    def committed(self, path=None):
        return [(i, e[1]) for i, e in self.journal() if e[0] == "done" and (path is None or e[2] == str(path))]

    def stop(self):
        (self.folder / "stop").touch()
        for process in self.processes:
            assert process.wait(30) == 0


def rows_of(path, table):
    """Every value with its storage class."""
    db = sqlite3.connect(path)
    db.text_factory = bytes
    columns = [row[1].decode() for row in db.execute(f"PRAGMA table_info({table})")]
    rows = db.execute("SELECT {} FROM {}".format(", ".join(f"typeof({c}), {c}" for c in columns), table)).fetchall()
    db.close()
    return sorted(rows, key=repr)


def assert_same(blue, green):
    for table in TABLES:
        assert rows_of(blue.path, table) == rows_of(green.path, table), table


@pytest.fixture
def files(tmp_path):
    sides = []
    for side in ("blue", "green"):
        (tmp_path / side).mkdir()
        sides.append(lite.Database(tmp_path / side / "app.db"))
    sides[0].sql(SCHEMA)
    yield sides


def verdict_is_equal(m):
    status = m.status()
    return status["stage"] in ("follow", "retain") and status["verdict"]["verdict"] == "equal"


def test_a_file_is_moved_and_moved_back_under_writers(migration, files, tmp_path):
    blue, green = files
    blue.sql("INSERT INTO account (owner, balance) VALUES ('first', 10.25)")
    m = migration(blue, green)
    (tmp_path / "clients").mkdir()
    clients = Clients(tmp_path / "clients", blue.path)
    try:
        wait_until(lambda: len(clients.committed()) > 20, 30, "the clients to write")
        runner = m.popen("run")
        wait_until(lambda: verdict_is_equal(m), 60, "the runner to follow and verify")
        before = len(clients.committed())
        wait_until(lambda: len(clients.committed()) > before + 50, 30, "more writes while it follows")
        m.run("switch", "--yes", "--ignore-sessions", expect=None)
        assert m.status()["owner"] == "green"
        clients.point(green.path)
        wait_until(lambda: len(clients.committed(green.path)) > 50, 30, "writes on green")
        assert runner.alive()
        m.run("rollback", "--yes", "--ignore-sessions", expect=None)
        assert m.status()["owner"] == "blue"
        clients.point(blue.path)
        on_blue = len(clients.committed(blue.path))
        wait_until(lambda: len(clients.committed(blue.path)) > on_blue + 20, 30, "writes on blue again")
    finally:
        clients.stop()
    wait_until(lambda: m.run("verify", expect=None).rc == 0, 30, "both sides to be equal")
    assert_same(blue, green)
    there = {(w, n) for w, n in blue.sql("SELECT writer, n FROM entry")}
    doubled = blue.value("SELECT count(*) FROM (SELECT 1 FROM entry GROUP BY writer, n HAVING count(*) > 1)")
    assert doubled == 0
    # An account that UPDATE OR REPLACE took away took its entries with it (ON DELETE CASCADE): those are gone on purpose.
    gone = [e for e in clients.committed() if e not in there]
    assert len(gone) < len(clients.committed())
    for side in files:
        assert side.value("PRAGMA integrity_check") == "ok"
        assert side.value("PRAGMA user_version") == 42
    m.run("abort", "--yes")
    for side in files:
        assert side.value("SELECT count(*) FROM sqlite_master WHERE name LIKE 'godwit%'") == 0


def test_every_acknowledged_insert_is_on_the_owner(migration, files, tmp_path):
    """Without anything that deletes: what was acknowledged is there, once, wherever it was written."""
    blue, green = files
    (tmp_path / "clients").mkdir()
    m = migration(blue, green)
    client = CLIENT.replace("rng.randrange(8)", "4 + rng.randrange(3)")
    folder = tmp_path / "clients"
    clients = Clients(folder, blue.path, count=0)
    clients.processes = [subprocess.Popen([sys.executable, "-c", client, str(folder), str(i), str(i)]) for i in range(3)]
    try:
        m.popen("run")
        wait_until(lambda: verdict_is_equal(m), 60, "the runner to follow and verify")
        for verb, side in (("switch", green), ("rollback", blue), ("switch", green)):
            done = len(clients.committed())
            wait_until(lambda: len(clients.committed()) > done + 30, 30, "writes")
            m.run(verb, "--yes", "--ignore-sessions")
            clients.point(side.path)
    finally:
        clients.stop()
    assert m.status()["owner"] == "green"
    wait_until(lambda: m.run("verify", expect=None).rc == 0, 30, "both sides to be equal")
    assert_same(blue, green)
    there = sorted(green.sql("SELECT writer, n FROM entry"))
    assert len(there) == len(set(there))
    done, doubt = set(clients.committed()), {(i, e[1]) for i, e in clients.journal() if e[0] == "doubt"}
    assert done <= set(there)
    assert set(there) <= done | doubt


def test_the_fence_holds_for_every_way_to_write(migration, files):
    blue, green = files
    blue.sql("INSERT INTO account (owner, balance) VALUES ('x', 1); INSERT INTO latest VALUES ('k', 1)")
    m = migration(blue, green)
    m.popen("run")
    wait_until(lambda: verdict_is_equal(m), 60, "the runner to follow and verify")
    early = blue.connect()
    early.execute("BEGIN")
    assert early.execute("SELECT count(*) FROM account").fetchone() == (1,)
    late = blue.connect()
    late.execute("BEGIN")
    m.run("switch", "--yes", "--ignore-sessions")
    early.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(sqlite3.OperationalError, match="locked"): # its snapshot is older: it can never write again
        early.execute("INSERT INTO account (owner) VALUES ('early')")
    # A client that forgets to roll back does not keep the write lock either.
    for connection in (late, blue.connect()):
        for statement in ("INSERT INTO account (owner) VALUES ('late')", "INSERT OR IGNORE INTO latest VALUES ('k', 2)",
                          "REPLACE INTO latest VALUES ('k', 2)", "UPDATE OR REPLACE account SET balance = 2",
                          "INSERT INTO latest VALUES ('k', 2) ON CONFLICT DO UPDATE SET value = 2", "DELETE FROM account",
                          "UPDATE OR IGNORE latest SET value = 3"):
            with pytest.raises(sqlite3.IntegrityError, match="godwit"):
                connection.execute(statement)
    assert blue.sql("SELECT value FROM latest") == [(1,)]


def test_check_finds_what_would_go_wrong(migration, files):
    blue, green = files
    db = sqlite3.connect(blue.path)
    db.executescript("INSERT INTO account (owner, balance) VALUES ('x', 'n/a'); INSERT INTO entry (account) VALUES ('abc');"
                     "CREATE VIRTUAL TABLE words USING fts5(body); CREATE TABLE nulls (k TEXT PRIMARY KEY);"
                     "INSERT INTO nulls VALUES (NULL), (NULL);")
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    m = migration(blue, green)
    report = json.loads(m.run("check", "--json", expect=None).stdout)
    found = {}
    for finding in report["findings"]:
        found.setdefault(finding["id"], []).append(finding)
    assert any("PRAGMA journal_mode=WAL" in f["fix"] for f in found["journal-mode"])
    assert "'n/a'" in " ".join(f["what"] for f in found["storage-class"])
    assert "id 1" in " ".join(f["what"] for f in found["storage-class"])
    assert "words_data" in found["virtual-table"][0]["what"]
    assert found["null-in-key"] and found["foreign-key-broken"]
    tables = blue.sql("SELECT name FROM sqlite_master WHERE name LIKE 'godwit%'")
    assert tables == []


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="no sqlite3 shell")
def test_the_script_of_the_last_resort_leaves_nothing(migration, files):
    blue, green = files
    blue.sql("INSERT INTO account (owner, balance) VALUES ('x', 1)")
    m = migration(blue, green)
    m.run("copy")
    for side in files:
        name = "blue" if side is blue else "green"
        script = m.run("plan", "--break-glass", name).stdout
        assert side.value("SELECT count(*) FROM sqlite_master WHERE name LIKE 'godwit%'") > 10
        done = subprocess.run(["sqlite3", str(side.path)], input=script.encode(), stdout=subprocess.PIPE, check=True)
        assert done.stdout == b""
        wait_until(lambda: side.value("SELECT count(*) FROM sqlite_master WHERE name LIKE 'godwit%'") == 0, 10,
                   "the second shell to end")
        side.sql("INSERT INTO account (owner, balance) VALUES ('y', 2)")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who could leave files that the application cannot open")
def test_files_that_root_makes_belong_to_the_application(migration, files):
    """The trap: app.db-wal made by root, and the application cannot write any more."""
    blue, green = files
    nobody = pwd.getpwnam("nobody")
    for side in files:
        os.chown(side.path, nobody.pw_uid, nobody.pw_gid)
        os.chown(side.path.parent, nobody.pw_uid, nobody.pw_gid)
        for suffix in ("-wal", "-shm"):
            path = f"{side.path}{suffix}"
            if os.path.exists(path):
                os.unlink(path)
    m = migration(blue, green)
    m.popen("run")
    wait_until(lambda: verdict_is_equal(m), 60, "the runner to follow and verify")
    for side in files:
        for suffix in ("-wal", "-shm"):
            assert os.stat(f"{side.path}{suffix}").st_uid == nobody.pw_uid, suffix
