"""The gate against a real PgBouncer (and hooks): parking, pointing, letting go on, and the watchdog that does so when the
one who parked dies. godwit's gate is driven through tests/scenario/gate_driver.c; the clients are psycopg2's."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

import psycopg2
import pytest
import yaml

from godwit_support import binary, roles
from godwit_support.waiting import pace, wait_until


def driver_program():
    given = os.environ.get("GODWIT_GATE_DRIVER")
    return pathlib.Path(given) if given else binary().parent / "tests/scenario/gate_driver"


class Refused(Exception):
    """The driver answered "error ..."."""


class Driver:
    """One open gate in a process of its own."""

    def __init__(self, folder, gate, blue, green, env=None):
        self.folder = pathlib.Path(folder)
        self.lease_folder = self.folder / "lease"
        self.lease_folder.mkdir(mode=0o700, exist_ok=True)
        self.file = self.folder / "godwit.yaml"
        self.file.write_text(yaml.safe_dump(
            {"migration": "acme", "stores": {"main": {"blue": blue, "green": green, "gate": gate}}}))
        self.log = self.folder / "driver.log"
        self.process = subprocess.Popen(
            [driver_program(), self.file, self.lease_folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.log.open("a"), text=True, cwd=self.folder,
            env={**os.environ, "PGPASSFILE": roles.passfile(folder), **(env or {})})
        self._answer()

    def send(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def _answer(self):
        lines = []
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line.startswith("| "):
                lines.append(line[2:])
            elif line.startswith("error "):
                raise Refused(line[6:])
            else:
                return lines, line[3:].strip()
        raise Refused(f"the driver ended ({self.process.wait(10)})\n{self.log.read_text()[-2000:]}")

    def __call__(self, command):
        """The answer behind "ok"."""
        self.send(command)
        return self._answer()[1]

    def lines(self, command):
        self.send(command)
        return self._answer()[0]

    def findings(self, budget_ms=5000):
        return "\n".join(self.lines(f"preflight {budget_ms}"))

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def close(self):
        if self.process.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


@pytest.fixture
def two_sides(pair):
    """Both databases, each with a table that says where one is."""
    for name, database in zip(("blue", "green"), pair):
        database.owner_sql("CREATE TABLE side (name text); CREATE TABLE hits (id bigserial PRIMARY KEY)")
        database.owner_sql("INSERT INTO side VALUES (%s)", (name,))
    return pair


@pytest.fixture
def drive(tmp_path, two_sides):
    """drive(pgbouncer, **gate_keys): a Driver on that PgBouncer."""
    made = []
    blue, green = two_sides

    def make(bouncer=None, env=None, **keys):
        gate = {"type": "pgbouncer", "database": "app", "ini": str(bouncer.ini()),
                "admin": [bouncer.admin_dsn(i) for i in range(bouncer.count)]} if bouncer else {}
        gate.update(keys)
        folder = tmp_path / f"d{len(made)}"
        folder.mkdir(mode=0o700)
        made.append(Driver(folder, gate, blue.dsn(tcp=True), green.dsn(tcp=True), env))
        return made[-1]
    yield make
    for driver in made:
        driver.close()
        log = driver.lease_folder / "watchdog.log"
        for pid in re.findall(r"ready (\d+)", log.read_text()) if log.exists() else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def bouncer(new_pgbouncer, two_sides):
    return new_pgbouncer(two_sides[0])


class Clients:
    """Threads that ask through the gate which side they are on, and write; nothing may fail."""

    def __init__(self, dsn, count=6):
        self.dsn = dsn
        self.sides, self.errors, self.worst = [], [], 0.0
        self.done = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]

    def _work(self):
        try:
            connection = psycopg2.connect(self.dsn)
            while not self._stop.is_set():
                began = time.monotonic()
                with connection, connection.cursor() as cursor:
                    cursor.execute("SELECT name FROM side")
                    side = cursor.fetchone()[0]
                    cursor.execute("INSERT INTO hits DEFAULT VALUES")
                self.worst = max(self.worst, time.monotonic() - began)
                self.sides.append(side)
                self.done += 1
                pace(0.002)
            connection.close()
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(repr(error))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.done > 20 or self.errors, 20, "the clients to work")
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive(), "a client hangs"

    def goes_on(self, timeout=10):
        before = self.done
        wait_until(lambda: self.done > before + 20 or self.errors, timeout, "traffic to flow")
        assert self.errors == []

    def now_on(self):
        del self.sides[:]
        self.goes_on()
        return set(self.sides[-10:])


def paused(bouncer, index=0):
    return [row for row in bouncer.admin("SHOW DATABASES", index) if row["name"] == "app"][0]["paused"] == 1


# ---- parking, pointing, letting go on -----------------------------------------------------------------------------------

def test_switches_there_and_back_without_an_error(bouncer, drive):
    driver = drive(bouncer)
    with Clients(bouncer.dsn()) as clients:
        assert driver.findings() == ""
        for side in ("green", "blue", "green", "blue"):
            driver("prepare")
            driver("park 5000")
            assert driver("state").startswith("parked")
            driver(f"point {side}")
            driver("unpark")
            assert driver("state") == f"open {side}"
            assert clients.now_on() == {side}
    assert clients.errors == []


@pytest.mark.alone
def test_a_login_under_way_is_not_cut_off(bouncer, drive):
    """PAUSE in the middle of a login makes PgBouncer refuse to connect for server_login_retry, 15 s."""
    driver = drive(bouncer)
    limits = {row["key"]: row["value"] for row in bouncer.admin("SHOW CONFIG")}
    with Clients(bouncer.dsn(), count=12) as clients:
        for turn in range(40):
            driver("park 5000")
            driver(f"point {('green', 'blue')[turn % 2]}")
            driver("unpark")
            before = clients.done  # logins are under way now: the next PAUSE comes in the middle of them
            wait_until(lambda: clients.done > before or clients.errors, 5, "the first client to go on", interval=0.001)
        clients.goes_on()
    assert clients.errors == []
    assert clients.worst < 2
    assert {row["key"]: row["value"] for row in bouncer.admin("SHOW CONFIG")} == limits


def test_limits_are_as_before_when_parking_was_given_up(bouncer, drive):
    driver = drive(bouncer)
    limits = {row["key"]: row["value"] for row in bouncer.admin("SHOW CONFIG")}
    holder = psycopg2.connect(bouncer.dsn())
    holder.cursor().execute("SELECT 1")
    with pytest.raises(Refused, match="still run"):
        driver("park 300")
    assert {row["key"]: row["value"] for row in bouncer.admin("SHOW CONFIG")} == limits
    holder.close()


def test_everything_else_in_the_ini_is_kept_byte_for_byte(bouncer, drive):
    ini = bouncer.ini()
    text = ini.read_text().replace(
        "[databases]\n", "; mine\n[databases]\n  \tother = host=10.0.0.1 dbname='a b'\n"
    ).replace("app = host", "app  =   pool_size=15 application_name='it''s' host")
    ini.write_text(text)
    os.chmod(ini, 0o640)
    before = os.stat(ini)
    bouncer.admin("RELOAD")
    driver = drive(bouncer)
    driver("park 5000")
    driver("point green")
    after = ini.read_text()
    assert after != text
    driver("point blue")
    driver("unpark")
    assert ini.read_text() == text
    now = os.stat(ini)
    assert (now.st_mode, now.st_uid, now.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    changed = [(a, b) for a, b in zip(text.splitlines(), after.splitlines()) if a != b]
    assert len(changed) == 1 and "pool_size=15 application_name='it''s'" in changed[0][1]
    assert [p.name for p in ini.parent.iterdir() if "godwit" in p.name] == []


def test_park_twice_and_unpark_twice_are_fine(bouncer, drive):
    driver = drive(bouncer)
    driver("park 2000")
    driver("park 2000")
    driver("unpark")
    driver("unpark")
    assert driver("state") == "open blue"


@pytest.mark.alone
def test_a_long_transaction_makes_park_give_up_with_traffic_flowing(bouncer, drive):
    driver = drive(bouncer)
    holder = psycopg2.connect(bouncer.dsn())
    holder.cursor().execute("SELECT 1")
    with Clients(bouncer.dsn()) as clients:
        began = time.monotonic()
        with pytest.raises(Refused, match="(?s)retry: transactions still run.*user app"):
            driver("park 700")
        assert time.monotonic() - began < 1.7
        clients.goes_on()
    assert clients.errors == []
    assert not paused(bouncer)
    holder.close()


@pytest.mark.alone
def test_somebody_elses_resume_does_not_hang_park(bouncer, drive):
    """pgbouncer#715: PAUSE never answers when another console RESUMEs meanwhile."""
    driver = drive(bouncer)
    holder = psycopg2.connect(bouncer.dsn())
    holder.cursor().execute("SELECT 1")
    driver.send("park 10000")
    wait_until(lambda: paused(bouncer), 5, "PAUSE to be on its way")
    bouncer.admin("RESUME app")
    wait_until(lambda: paused(bouncer), 1, "PAUSE to be given again")
    began = time.monotonic()
    holder.close()
    assert driver._answer()[1] == ""  # pylint: disable=protected-access
    assert time.monotonic() - began < 1.0
    assert paused(bouncer)
    driver("unpark")


def test_a_resume_by_hand_while_parked_is_seen_as_open(bouncer, drive):
    driver = drive(bouncer)
    driver("park 2000")
    bouncer.admin("RESUME app")
    assert driver("state") == "open blue"
    driver("unpark")


def test_a_cancelled_or_failed_park_never_leaves_traffic_parked_when_pgbouncer_restarts(bouncer, drive):
    driver = drive(bouncer)
    holder = psycopg2.connect(bouncer.dsn())
    holder.cursor().execute("SELECT 1")
    driver.send("park 5000")
    wait_until(lambda: paused(bouncer), 5, "PAUSE to be on its way")
    bouncer.kill()
    bouncer.restart()
    try:
        driver._answer()  # pylint: disable=protected-access
        assert paused(bouncer)
        driver("unpark")
    except Refused:
        pass
    assert driver("state") == "open blue"


def test_point_notices_that_pgbouncer_did_not_take_the_file(bouncer, drive):
    """RELOAD of a file PgBouncer cannot read says RELOAD all the same."""
    driver = drive(bouncer)
    driver("park 2000")
    ini = bouncer.ini()
    ini.write_text("[databases]\nthis is not a setting\n" + ini.read_text())
    with pytest.raises(Refused, match="line 2 under|after RELOAD.*leads to"):
        driver("point green")
    driver("unpark")
    assert driver("state").startswith("open blue")


def test_pointing_without_parking_lets_go_of_the_old_side(bouncer, drive):
    """A repair: server connections to the old side end as soon as their transaction does."""
    driver = drive(bouncer)
    client = psycopg2.connect(bouncer.dsn())
    with client, client.cursor() as cursor:
        cursor.execute("SELECT name FROM side")
        assert cursor.fetchone() == ("blue",)
    driver("point green")
    with client, client.cursor() as cursor:
        cursor.execute("SELECT name FROM side")
        assert cursor.fetchone() == ("green",)
    servers = [row for row in bouncer.admin("SHOW SERVERS") if row["database"] == "app" and not row["close_needed"]]
    assert len({row["port"] for row in servers}) == 1
    client.close()


def test_sessions_are_the_pools_server_processes(bouncer, drive, two_sides):
    driver = drive(bouncer)
    client = psycopg2.connect(bouncer.dsn())
    with client, client.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    around = two_sides[0].connect("app", tcp=True)
    assert str(pid) in driver.lines("sessions")
    assert str(around.get_backend_pid()) not in driver.lines("sessions")
    client.close()
    around.close()


def test_an_included_file_is_followed(bouncer, drive):
    ini = bouncer.ini()
    lines = ini.read_text().splitlines()
    databases = bouncer.base / "databases.ini"
    databases.write_text("\n".join(line for line in lines if line.startswith("app = ")) + "\n")
    os.chmod(databases, 0o644)
    ini.write_text("\n".join(f"%include {databases}" if line.startswith("app = ") else line for line in lines) + "\n")
    text = ini.read_text()
    bouncer.admin("RELOAD")
    driver = drive(bouncer)
    assert driver.findings() == ""
    driver("point green")
    assert driver("state") == "open green"
    assert ini.read_text() == text


def test_a_command_may_write_the_ini(bouncer, drive, tmp_path):
    seen = tmp_path / "seen"
    driver = drive(bouncer, write_ini_command=f'cat >"{bouncer.ini()}.x" && cat "{bouncer.ini()}.x" >"$GODWIT_INI" && '
                                              f'rm "{bouncer.ini()}.x" && env | grep ^GODWIT_ >{seen}')
    driver("point green")
    assert driver("state") == "open green"
    assert "GODWIT_TARGET=green" in seen.read_text() and "secret" not in seen.read_text()
    driver("point blue")
    assert driver("state") == "open blue"


def test_a_command_that_fails_is_shown(bouncer, drive):
    driver = drive(bouncer, write_ini_command="echo the disk is read-only >&2; exit 3")
    with pytest.raises(Refused, match="exit code 3.*the disk is read-only"):
        driver("point green")
    assert driver("state") == "open blue"


# ---- several processes ---------------------------------------------------------------------------------------------------

def test_all_processes_of_a_so_reuseport_set_are_parked_and_pointed(new_pgbouncer, two_sides, drive):
    bouncer = new_pgbouncer(two_sides[0], count=2)
    driver = drive(bouncer)
    with Clients(bouncer.dsn(), count=12) as clients:
        assert driver.findings() == ""
        driver("park 5000")
        assert paused(bouncer, 0) and paused(bouncer, 1)
        driver("point green")
        driver("unpark")
        assert clients.now_on() == {"green"}
    assert clients.errors == []
    assert driver("state") == "open green"


def test_one_console_of_a_so_reuseport_set_is_refused(new_pgbouncer, two_sides, drive):
    bouncer = new_pgbouncer(two_sides[0], count=2)
    driver = drive(bouncer, admin=bouncer.admin_dsn(0))
    assert "2 PgBouncer processes share port" in driver.findings()


def test_one_process_listed_twice_is_refused(bouncer, drive):
    driver = drive(bouncer, admin=[bouncer.admin_dsn(0), bouncer.admin_dsn()])
    assert "are the same process" in driver.findings()


# ---- preflight -----------------------------------------------------------------------------------------------------------

def test_session_pooling_is_refused_with_the_fix(new_pgbouncer, two_sides, drive):
    bouncer = new_pgbouncer(two_sides[0], pool_mode="session")
    assert "pool_mode = transaction" in drive(bouncer).findings()


def test_session_pooling_of_one_database_is_refused(bouncer, drive):
    ini = bouncer.ini()
    ini.write_text(ini.read_text().replace("app = ", "app = pool_mode=session "))
    bouncer.admin("RELOAD")
    assert "pool_mode = transaction" in drive(bouncer).findings()


def test_short_query_wait_timeout_is_refused(new_pgbouncer, two_sides, drive):
    bouncer = new_pgbouncer(two_sides[0], settings={"query_wait_timeout": 8})
    driver = drive(bouncer)
    assert "query_wait_timeout is 8 s" in driver.findings(5000)
    assert driver.findings(1000) == ""


def test_an_ini_that_is_not_the_one_read_is_refused(bouncer, drive, tmp_path):
    copy = tmp_path / "copy.ini"
    copy.write_text(bouncer.ini().read_text().replace("host=127.0.0.1", "host=127.0.0.9"))
    assert "reads another file" in drive(bouncer, ini=str(copy)).findings()


def test_a_database_without_a_line_of_its_own_is_refused(bouncer, drive):
    ini = bouncer.ini()
    ini.write_text(ini.read_text().replace("app = ", "* = "))
    bouncer.admin("RELOAD")
    with contextlib.closing(psycopg2.connect(bouncer.dsn())):
        assert "no line for database" in drive(bouncer).findings() or "has no database" in drive(bouncer).findings()


def test_an_alias_that_would_stay_behind_is_named(bouncer, drive):
    ini = bouncer.ini()
    line = [line for line in ini.read_text().splitlines() if line.startswith("app = ")][0]
    ini.write_text(ini.read_text().replace(line, line + "\n" + line.replace("app = ", "reports = ")))
    bouncer.admin("RELOAD")
    assert 'database "reports" leads to the same place' in drive(bouncer).findings()


def test_a_place_that_is_neither_side_is_refused(new_pgbouncer, new_database, two_sides, drive):
    bouncer = new_pgbouncer(new_database(two_sides[0].server))
    assert "neither blue" in drive(bouncer).findings()


def test_a_side_may_be_named_as_the_gate_sees_it(bouncer, drive, two_sides):
    """PgBouncer and godwit may know a server by different names."""
    ini = bouncer.ini()
    ini.write_text(ini.read_text().replace("host=127.0.0.1", "host=127.0.0.2"))
    bouncer.admin("RELOAD")
    blue = two_sides[0]
    assert "neither blue" in drive(bouncer).findings()
    assert "neither blue" not in drive(bouncer, blue=f"127.0.0.2:{blue.server.port}/{blue.name}").findings()


def test_who_may_only_look_is_told_so(new_pgbouncer, two_sides, drive):
    bouncer = new_pgbouncer(two_sides[0], settings={"admin_users": "pgb_admin", "stats_users": "godwit"})
    assert "admin_users" in drive(bouncer).findings()


def test_logins_that_would_fail_on_the_other_side_are_found(bouncer, drive, two_sides, new_server):
    green = roles.Database(new_server(name="other"))
    green.server.psql("ALTER ROLE app PASSWORD 'another'")
    with contextlib.closing(psycopg2.connect(bouncer.dsn())) as client:
        client.cursor().execute("SELECT 1")
        client.commit()
        found = drive(bouncer, green=f"127.0.0.1:{green.server.port}/{green.name}").findings()
    assert "user app cannot log in on green" in found and "secret" not in found


def test_a_transaction_longer_than_the_budget_is_named(bouncer, drive):
    driver = drive(bouncer)
    holder = psycopg2.connect(bouncer.dsn())
    holder.cursor().execute("SELECT 1")
    wait_until(lambda: "a transaction of user app" in driver.findings(1000), 10, "it to be old enough", interval=0.3)
    holder.close()


def test_unreachable_console_says_where_without_the_password(bouncer, drive):
    driver = drive(bouncer, admin="postgresql://godwit:topsecret@127.0.0.1:1/pgbouncer")
    with pytest.raises(Refused, match="could not connect to PgBouncer's console") as refused:
        driver("state")
    assert "topsecret" not in str(refused.value)


# ---- hooks and none ------------------------------------------------------------------------------------------------------

def hook_commands(folder):
    """A gate made of files: `parked` is there while parked, `target` says where traffic goes."""
    log = f'echo "$GODWIT_STEP $GODWIT_TARGET $GODWIT_GREEN_DB" >>{folder}/steps'
    return {"type": "hook", "park": f"{log}; touch {folder}/parked", "unpark": f"{log}; rm -f {folder}/parked",
            "point": f'{log}; echo "$GODWIT_TARGET" >{folder}/target',
            "probe": f"cat {folder}/target; test -e {folder}/parked && echo parked || echo open"}


def test_hook_commands_park_point_and_let_go_on(drive, tmp_path, two_sides):
    (tmp_path / "target").write_text("blue\n")
    driver = drive(**hook_commands(tmp_path))
    assert driver.findings() == ""
    driver("park 2000")
    assert driver("state") == "parked blue"
    driver("point green")
    driver("unpark")
    assert driver("state") == "open green"
    steps = (tmp_path / "steps").read_text().splitlines()
    name = two_sides[1].name
    assert steps == [f"park  {name}", f"point green {name}", f"unpark  {name}"]


def test_a_hook_that_fails_or_hangs_is_undone_and_shown(drive, tmp_path):
    (tmp_path / "target").write_text("blue\n")
    failing = drive(**{**hook_commands(tmp_path), "park": "echo balancer said no >&2; exit 9"})
    with pytest.raises(Refused, match="park command.*exit code 9.*balancer said no"):
        failing("park 1000")
    hanging = drive(**{**hook_commands(tmp_path), "park": f"touch {tmp_path}/parked; sleep 60"})
    began = time.monotonic()
    with pytest.raises(Refused, match="park command.*did not end"):
        hanging("park 500")
    assert time.monotonic() - began < 5
    assert hanging("state") == "open blue"


def test_a_hook_that_lies_is_caught_by_its_probe(drive, tmp_path):
    (tmp_path / "target").write_text("blue\n")
    driver = drive(**{**hook_commands(tmp_path), "point": "true"})
    with pytest.raises(Refused, match="probe says \"blue\""):
        driver("point green")
    assert 'printed "nonsense"' in drive(**{**hook_commands(tmp_path), "probe": "echo nonsense"}).findings()


def test_without_a_gate_nothing_is_parked_and_the_outage_is_said(drive):
    driver = drive(type="none")
    driver("park 1000")
    driver("point green")
    driver("unpark")
    assert driver("state") == "open unknown"
    said = driver.log.read_text()
    assert "writes fail" in said and "zero" not in said


# ---- the watchdog --------------------------------------------------------------------------------------------------------

def watchdog_log(driver):
    path = driver.lease_folder / "watchdog.log"
    return path.read_text() if path.exists() else ""


def watchdogs(driver):
    """Pids of the live watchdogs of this lease."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"watchdog" in words and str(driver.lease_folder).encode() in words:
                    found.append(int(entry.name))
    return found


def own(driver, owner, epoch=1, side=""):
    (driver.lease_folder / f"owner{side}").write_text(f"{owner} {epoch}")


def lease(driver):
    return json.loads((driver.lease_folder / "lease").read_text())


def test_released_lease_ends_the_watchdog(bouncer, drive):
    driver = drive(bouncer)
    own(driver, "blue")
    driver("take 2000")
    assert len(watchdogs(driver)) == 1
    driver("renew")
    driver("release")
    wait_until(lambda: not watchdogs(driver), 5, "the watchdog to go")
    assert "letting traffic go on" not in watchdog_log(driver)


@pytest.mark.alone
@pytest.mark.parametrize("owner", ["blue", "green"])
def test_killed_parker_traffic_goes_on_to_the_owner_within_2_s(bouncer, drive, owner):
    driver = drive(bouncer)
    own(driver, owner)
    with Clients(bouncer.dsn()) as clients:
        driver("take 30000")
        driver("park 5000")
        driver.kill()
        clients.goes_on(timeout=2)
        assert clients.now_on() == {owner}
    assert clients.errors == []
    assert clients.worst < 2.5
    wait_until(lambda: not watchdogs(driver), 5, "the watchdog to go")


@pytest.mark.alone
@pytest.mark.parametrize("point", ["gate.park.holding", "gate.park.pausing", "gate.park.parked", "gate.point.before_ini",
                                   "gate.point.before_reload", "gate.point.done", "gate.unpark.before_resume",
                                   "gate.unpark.after_resume"])
def test_killed_at_every_step_of_the_gate(bouncer, drive, point):
    driver = drive(bouncer, env={"GODWIT_CRASH_AT": point})
    own(driver, "green")
    limits = {row["key"]: row["value"] for row in bouncer.admin("SHOW CONFIG")}
    with Clients(bouncer.dsn()) as clients:
        driver("take 30000")
        with pytest.raises((Refused, BrokenPipeError)):
            for command in ("park 5000", "point green", "unpark"):
                driver(command)
        wait_until(lambda: not watchdogs(driver), 5, "the watchdog to be done")
        assert clients.now_on() == {"green"}
    assert clients.errors == []
    assert not paused(bouncer)
    assert clients.worst < 2.5
    assert {row["key"]: row["value"] for row in bouncer.admin("SHOW CONFIG")} == limits


@pytest.mark.alone
def test_frozen_parker_loses_its_lease_and_learns_it(bouncer, drive):
    driver = drive(bouncer)
    own(driver, "blue")
    with Clients(bouncer.dsn()) as clients:
        driver("take 1000")
        driver("park 5000")
        os.kill(driver.process.pid, signal.SIGSTOP)
        clients.goes_on(timeout=3.5)
        assert clients.now_on() == {"blue"}
        os.kill(driver.process.pid, signal.SIGCONT)
        with pytest.raises(Refused, match="conflict: the lease ran out"):
            driver("renew")
    assert clients.errors == []


@pytest.mark.alone
def test_a_lease_that_is_renewed_does_not_run_out(bouncer, drive):
    driver = drive(bouncer)
    own(driver, "green")
    driver("take 600")
    driver("park 2000")
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        driver("renew")
        pace(0.1)
    assert driver("state") == "parked blue"
    driver("unpark")
    driver("release")


@pytest.mark.alone
def test_watchdog_that_cannot_reach_a_side_lets_traffic_go_on_all_the_same(bouncer, drive):
    driver = drive(bouncer)
    own(driver, "green")
    own(driver, "green", 4, ".green")
    (driver.lease_folder / "unreachable").touch()
    with Clients(bouncer.dsn()) as clients:
        driver("take 30000")
        driver("park 5000")
        began = time.monotonic()
        driver.kill()
        clients.goes_on(timeout=3)
        assert time.monotonic() - began < 3
        assert clients.now_on() == {"green"}
    assert clients.errors == []
    assert watchdogs(driver), "it keeps trying to settle"
    (driver.lease_folder / "unreachable").unlink()
    wait_until(lambda: not watchdogs(driver), 10, "the watchdog to settle and go")
    assert "settled" in watchdog_log(driver)


@pytest.mark.alone
def test_watchdog_with_no_side_reachable_opens_where_the_gate_points(bouncer, drive):
    driver = drive(bouncer)
    (driver.lease_folder / "unreachable").touch()
    own(driver, "blue")
    with Clients(bouncer.dsn()) as clients:
        driver("take 30000")
        driver("park 5000")
        driver.kill()
        clients.goes_on(timeout=3)
        assert clients.now_on() == {"blue"}
    (driver.lease_folder / "unreachable").unlink()
    wait_until(lambda: not watchdogs(driver), 10, "the watchdog to settle and go")


def test_watchdog_of_a_removed_migration_goes(bouncer, drive):
    """Neither gate nor sides answer any more, and the lease's folder is gone: there is nothing to bring back."""
    driver = drive(bouncer)
    own(driver, "blue")
    driver("take 30000")
    driver("park 5000")
    (driver.lease_folder / "unreachable").touch()
    bouncer.stop()
    driver.kill()
    wait_until(lambda: "letting traffic go on" in watchdog_log(driver), 5, "the watchdog to notice")
    assert watchdogs(driver)
    shutil.rmtree(driver.lease_folder)
    wait_until(lambda: not watchdogs(driver), 10, "the watchdog to go")


def test_parker_notices_that_its_watchdog_is_gone(bouncer, drive):
    driver = drive(bouncer)
    own(driver, "blue")
    driver("take 30000")
    for pid in watchdogs(driver):
        os.kill(pid, signal.SIGTERM)  # it is deaf to this
        driver("renew")
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not watchdogs(driver), 5, "the watchdog to die")
    with pytest.raises(Refused, match="the watchdog has died"):
        driver("renew")
    driver("release")


def test_no_parking_without_a_watchdog(bouncer, drive):
    driver = drive(bouncer)
    own(driver, "blue")
    bouncer.stop()
    with pytest.raises(Refused, match="traffic is not parked without a watchdog"):
        driver("take 2000")
    assert lease(driver)["state"] == "released"


def test_two_parkers_exclude_each_other(bouncer, drive):
    first = drive(bouncer)
    own(first, "blue")
    first("take 5000")
    second = Driver(first.folder, yaml.safe_load(first.file.read_text())["stores"]["main"]["gate"],
                    *[yaml.safe_load(first.file.read_text())["stores"]["main"][side] for side in ("blue", "green")])
    try:
        with pytest.raises(Refused, match="holds the lease"):
            second("take 5000")
        first("release")
        second("take 5000")
        second("release")
    finally:
        second.close()


def test_lease_and_log_are_private(bouncer, drive):
    driver = drive(bouncer)
    own(driver, "blue")
    driver("take 5000")
    for name in ("lease", "lease.lock", "watchdog.log"):
        assert os.stat(driver.lease_folder / name).st_mode & 0o077 == 0
    driver("release")
