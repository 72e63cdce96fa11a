"""HAProxy in TCP mode as the gate: what it holds, what it closes, and what it costs clients that connect again. The gate
is driven through tests/scenario/gate_driver.c, and by whole switches; the clients are psycopg2's."""
import os
import signal
import threading
import time

import psycopg2
import pytest
from godwit_support import compare, roles, traps, writers
from godwit_support.waiting import pace, wait_until

# pylint: disable=unused-import,redefined-outer-name
from test_gate import Driver, Refused, drive, own, watchdogs  # noqa: F401


def dsn_of(port, database):
    return f"host=127.0.0.1 port={port} dbname={database.name} user=app password={roles.PASSWORDS['app']}"


@pytest.fixture
def one_name(new_database, servers):
    """(blue, green) of one name, as what a client asks for is passed on as it is."""
    blue = new_database(servers[0])
    green = new_database(servers[1], name=blue.name)
    return blue, green


@pytest.fixture
def pair(one_name):
    return one_name


@pytest.fixture
def proxied(new_haproxy, two_sides, drive):
    """proxied(count=1, env=None, **gate_keys): (HAProxy, Driver)."""
    def make(count=1, env=None, haproxy=None, **keys):
        proxy = new_haproxy(*two_sides, count=count, **(haproxy or {}))
        gate = {"type": "haproxy", "socket": proxy.sockets(), **keys}
        return proxy, drive(env=env, **gate)
    return make


class Clients:
    """Threads that ask which side they are on and write; one whose connection ends connects again and says so."""

    def __init__(self, ports, database, count=6, connect=None, error=psycopg2.Error):
        self.ports, self.error = ports, error
        self.connect = connect or (lambda port: psycopg2.connect(dsn_of(port, database), connect_timeout=10))
        self.sides, self.errors, self.refused = [], [], []
        self.worst, self.done = 0.0, 0
        self.came = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(i,), daemon=True) for i in range(count)]

    def _work(self, index):
        connection, since = None, time.monotonic()
        while not self._stop.is_set():
            try:
                if connection is None:
                    connecting = True
                    connection = self.connect(self.ports[index % len(self.ports)])
                    self.came += 1
                connecting = False
                with connection.cursor() as cursor:
                    cursor.execute("SELECT name FROM side")
                    side = cursor.fetchone()[0]
                    cursor.execute("INSERT INTO hits (n) VALUES (1)")
                connection.commit()
                now = time.monotonic()
                self.worst = max(self.worst, now - since)
                since = now
                self.sides.append(side)
                self.done += 1
                pace(0.005)
            except self.error as error:
                (self.refused if connecting else self.errors).append(str(error).strip())
                connection = None
        if connection is not None:
            connection.close()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.all_there()
        return self

    def all_there(self, times=1):
        """A login under way is cut off like anything else: where none may be refused, none is under way."""
        count = len(self._threads)
        wait_until(lambda: self.came >= times * count and self.came == count + len(self.errors), 20,
                   "all clients to be connected")

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive(), "a client hangs"

    def goes_on(self, timeout=10):
        before = self.done
        wait_until(lambda: self.done > before + 20, timeout, "traffic to flow")

    def now_on(self):
        del self.sides[:]
        self.goes_on()
        return set(self.sides[-10:])


@pytest.fixture
def two_sides(one_name):
    """Both databases, each with a table that says where one is."""
    for name, database in zip(("blue", "green"), one_name):
        database.owner_sql("CREATE TABLE side (name text); CREATE TABLE hits (id bigserial PRIMARY KEY, n int)")
        database.owner_sql("INSERT INTO side VALUES (%s)", (name,))
    return one_name


def limits(proxy, index=0):
    found = proxy.servers(index)
    return found["blue"]["slim"], found["green"]["slim"]


# --- parking, pointing, letting go on ---

def test_new_connections_wait_and_open_ones_are_closed_once_each(proxied, two_sides):
    proxy, driver = proxied()
    with Clients([proxy.port], two_sides[0]) as clients:
        assert driver.findings() == ""
        for turn, side in enumerate(("green", "blue", "green", "blue"), 1):
            driver("prepare")
            driver("park 5000")
            assert driver("state").startswith("parked")
            driver(f"point {side}")
            driver("unpark")
            assert driver("state") == f"open {side}"
            assert clients.now_on() == {side}
            clients.all_there(times=turn + 1)
            assert 6 * turn <= len(clients.errors) <= 7 * turn, "one of them may have come through while parked"
    assert clients.refused == [], "no new connection may be refused"
    assert len(clients.errors) >= 6, "closing connections is what this gate costs"
    assert limits(proxy) == ("100", "100")


def test_parked_connections_wait_in_the_queue_and_none_reaches_a_server(proxied, two_sides):
    proxy, driver = proxied()
    blue = two_sides[0]
    held = [psycopg2.connect(dsn_of(proxy.port, blue)) for _ in range(3)]
    driver("park 5000")
    came = []
    threads = [threading.Thread(target=lambda: came.append(psycopg2.connect(dsn_of(proxy.port, blue))), daemon=True)
               for _ in range(5)]
    for thread in threads:
        thread.start()
    wait_until(lambda: proxy.queued() == 5, 5, "the queue to fill")
    assert proxy.servers()["blue"]["scur"] == "1", "one connection is kept, so that nobody comes through"
    assert not came
    driver("unpark")
    for thread in threads:
        thread.join(5)
    assert len(came) == 5
    for connection in came + held:
        connection.close()


def test_park_twice_and_unpark_twice_are_fine(proxied):
    proxy, driver = proxied()
    for command in ("park 2000", "park 2000", "unpark", "unpark"):
        driver(command)
    assert driver("state") == "open blue"
    assert limits(proxy) == ("100", "100")


def test_a_server_without_maxconn_gets_none_back(proxied):
    proxy, driver = proxied(haproxy={"server": ""})
    driver("park 2000")
    assert limits(proxy)[0] == "1"
    driver("unpark")
    assert limits(proxy) == ("", "")


def test_a_gate_that_was_opened_while_parked_gives_the_limit_of_the_other_server(proxied, drive):
    proxy, driver = proxied()
    driver("park 2000")
    driver.kill()
    late = drive(type="haproxy", socket=proxy.sockets())
    assert late("state") == "parked blue"
    late("point blue")
    late("unpark")
    assert limits(proxy) == ("100", "100")
    assert "before it was parked is not known" in late.log.read_text()


def test_every_haproxy_is_parked_and_pointed(proxied, two_sides):
    proxy, driver = proxied(count=2)
    with Clients(proxy.ports, two_sides[0]) as clients:
        assert driver.findings() == ""
        driver("park 5000")
        assert [limits(proxy, i)[0] for i in (0, 1)] == ["1", "1"]
        driver("point green")
        driver("unpark")
        assert clients.now_on() == {"green"}
    assert [limits(proxy, i) for i in (0, 1)] == [("100", "100")] * 2
    assert clients.refused == []


def test_a_park_that_fails_lets_traffic_go_on_at_every_haproxy(proxied, two_sides):
    proxy, driver = proxied(count=2)
    driver("prepare")
    with Clients(proxy.ports[:1], two_sides[0]) as clients:
        proxy.stop(1)
        with pytest.raises(Refused, match="could not connect to HAProxy's stats socket"):
            driver("park 1000")
        clients.goes_on()
    assert limits(proxy)[0] == "100"


def test_another_protocol_goes_the_same_way(new_mariadb_database, new_haproxy, tmp_path):
    """It passes bytes: MariaDB on both sides."""
    blue, green = new_mariadb_database(), new_mariadb_database()
    pymysql = pytest.importorskip("pymysql")
    for name, database in (("blue", blue), ("green", green)):
        database.sql("CREATE TABLE side (name varchar(9))")
        database.sql("CREATE TABLE hits (id bigint AUTO_INCREMENT PRIMARY KEY, n int)")
        database.sql(f"INSERT INTO side VALUES ('{name}')")
    proxy = new_haproxy(blue, green)
    driver = Driver(tmp_path, {"type": "haproxy", "socket": proxy.sockets()},
                    *(f"mysql://godwit@127.0.0.1:{side.server.port}/app" for side in (blue, green)))
    with Clients(proxy.ports, None, error=pymysql.Error, connect=lambda port: pymysql.connect(
            host="127.0.0.1", port=port, user="app", password=roles.PASSWORDS["app"], database="app")) as clients:
        for turn, side in enumerate(("green", "blue"), 1):
            driver("park 5000")
            driver(f"point {side}")
            driver("unpark")
            assert clients.now_on() == {side}
            clients.all_there(times=turn + 1)
    driver.close()
    assert clients.refused == []
    assert 12 <= len(clients.errors) <= 14


# --- its word, before anything is done ---

def test_a_restart_keeps_the_target_with_a_state_file_and_loses_it_without(new_haproxy, two_sides, drive):
    proxy = new_haproxy(*two_sides, keep_state=True)
    for keys, after in (({"state_file": str(proxy.state_file())}, "open green"),
                        ({"write_state_command": f"cat >{proxy.state_file()}"}, "open green"), ({}, "open blue")):
        if proxy.state_file().exists():
            proxy.state_file().unlink()
        proxy.stop()
        proxy.start()
        driver = drive(type="haproxy", socket=proxy.sockets(), **keys)
        assert driver.findings() == ""
        for command in ("park 2000", "point green", "unpark"):
            driver(command)
        assert driver("state") == "open green"
        proxy.stop()
        proxy.start()
        assert driver("state") == after
        assert ("memory alone" in "\n".join(driver.lines("costs"))) == (not keys)
        driver.close()


def test_what_it_costs_is_said_in_figures(proxied, two_sides):
    proxy, driver = proxied()
    held = [psycopg2.connect(dsn_of(proxy.port, two_sides[0])) for _ in range(3)]
    said = "\n".join(driver.lines("costs"))
    assert "3 are open now" in said and "connect again" in said and "timeout queue" in said and "memory alone" in said
    assert "zero" not in said.lower()
    for connection in held:
        connection.close()


def test_what_is_not_ready_is_found_with_its_fix(proxied, new_haproxy, two_sides, drive):
    proxy, driver = proxied(haproxy={"level": "operator"})
    assert "gives level operator" in driver.findings() and "level admin" in driver.findings()
    with pytest.raises(Refused, match="(?s)refused.*[Pp]ermission denied.*level admin"):
        driver("park 1000")

    proxy = new_haproxy(*two_sides)
    driver = drive(type="haproxy", socket=proxy.sockets())
    proxy.ask("set server app/green state ready")
    assert "both in service" in driver.findings()
    proxy.ask("set server app/green state maint;set server app/blue state maint")
    assert "both in maintenance" in driver.findings()
    proxy.ask("set server app/blue state ready;set maxconn server app/green 1")
    assert "has maxconn 1" in driver.findings()

    with_replica = new_haproxy(*two_sides, backend="server replica 127.0.0.1:1")
    assert "also leads to server replica" in drive(type="haproxy", socket=with_replica.sockets()).findings()
    http = new_haproxy(*two_sides)
    twice = drive(type="haproxy", socket=[http.sockets()[0]] * 2)
    assert "same process" in twice.findings()


def test_the_configuration_is_read_for_what_the_socket_does_not_tell(new_haproxy, two_sides, drive):
    proxy = new_haproxy(*two_sides, queue="3s")
    driver = drive(type="haproxy", socket=proxy.sockets(), config=str(proxy.config()),
                   state_file=str(proxy.state_file()))
    found = driver.findings(budget_ms=5000)
    assert "timeout queue of backend app is 3000 ms" in found and "above 10000 ms" in found
    assert "would not read the state" in found and "server-state-file in the global section and load-server" in found
    proxy = new_haproxy(*two_sides, keep_state=True)
    driver = drive(type="haproxy", socket=proxy.sockets(), config=str(proxy.config()),
                   state_file=str(proxy.state_file()))
    assert driver.findings(budget_ms=5000) == ""
    missing = drive(type="haproxy", socket=proxy.sockets(), config=str(proxy.base / "nothing.cfg"))
    assert "nothing.cfg" in missing.findings()


@pytest.mark.parametrize("keys, words", [
    ({"backend": "ap"}, 'no backend "ap".*did you mean app'),
    ({"backend": "app", "blue_server": "bleu"}, 'no server "bleu" in backend app.*did you mean blue'),
    ({"green": "127.0.0.1:9/x"}, "no server of HAProxy leads to green .127.0.0.1:9/x.*green_server"),
    ({"blue_server": "blue", "green_server": "blue"}, "the same server"),
])
def test_names_that_are_not_there_are_said_with_what_is(proxied, keys, words):
    _, driver = proxied(**keys)
    with pytest.raises(Refused, match=f"(?s){words}"):
        driver("state")


def test_no_haproxy_is_said_with_where(drive):
    for where, words in (("/nowhere/admin.sock", "could not connect to HAProxy's stats socket /nowhere/admin.sock"),
                         ("127.0.0.1:1", "could not connect to HAProxy's stats socket 127.0.0.1:1"),
                         ("admin.sock", "neither a path nor host:port")):
        with pytest.raises(Refused, match=words):
            drive(type="haproxy", socket=where)("state")


# --- the one who parked dies ---

@pytest.mark.alone
@pytest.mark.parametrize("owner", ["blue", "green"])
def test_killed_parker_traffic_goes_on_to_the_owner_within_2_s(proxied, two_sides, owner):
    proxy, driver = proxied()
    own(driver, owner)
    with Clients([proxy.port], two_sides[0]) as clients:
        driver("take 30000")
        driver("park 5000")
        driver.kill()
        clients.goes_on(timeout=2)
        assert clients.now_on() == {owner}
    assert clients.refused == []
    assert clients.worst < 2.5
    wait_until(lambda: not watchdogs(driver), 5, "the watchdog to go")
    assert limits(proxy) == ("100", "100")


@pytest.mark.alone
@pytest.mark.parametrize("point", ["gate.park.holding", "gate.park.parked", "gate.point.before_ready",
                                   "gate.point.both_ready", "gate.point.done", "gate.unpark.before_resume",
                                   "gate.unpark.after_resume"])
def test_killed_at_every_step_of_the_gate(proxied, two_sides, point):
    proxy, driver = proxied(env={"GODWIT_CRASH_AT": point})
    own(driver, "green")
    with Clients([proxy.port], two_sides[0]) as clients:
        driver("take 30000")
        with pytest.raises((Refused, BrokenPipeError)):
            for command in ("park 5000", "point green", "unpark"):
                driver(command)
        wait_until(lambda: not watchdogs(driver), 5, "the watchdog to be done")
        assert clients.now_on() == {"green"}
    assert clients.refused == []
    assert clients.worst < 2.5
    assert limits(proxy) == ("100", "100")


# --- whole switches ---

@pytest.fixture
def loaded(pair, migration, new_haproxy):
    """(m, blue, green, HAProxy), loaded and verified."""
    blue, green = pair
    writers.create_tables(blue, rows=300)
    proxy = new_haproxy(blue, green)
    m = migration(blue, green, gate={"type": "haproxy", "socket": proxy.sockets(), "lease": "1s"},
                  switch={"pause_budget": "3s", "lock_timeout": "1s"})
    traps.load(m)
    m.run("verify")
    return m, blue, green, proxy


CLOSED = ("server closed the connection", "connection already closed", "SSL connection has been closed",
          "terminating connection", "godwit")


@pytest.mark.alone
def test_switch_and_rollback_lose_nothing_and_each_client_connects_again(loaded, new_writers):
    m, blue, green, proxy = loaded
    live = new_writers(dsn_of(proxy.port, blue), rows=300, count=4, rate=200)
    wait_until(lambda: live.committed > 50, 20, "the workload")
    dry = m.run("switch", "--dry-run")
    assert "are open now" in dry.stdout + dry.stderr and "zero" not in (dry.stdout + dry.stderr).lower()
    plan = m.run("plan", expect=None)
    assert "What a switch costs the application's clients (gate haproxy)" in plan.stdout
    m.run("switch", *traps.FLIP)
    at = live.committed
    wait_until(lambda: live.committed > at + 50, 20, "writes on green")
    after_switch = len(live.errors)
    traps.catch_up(m)
    wait_until(lambda: m.run("rollback", "--dry-run", *traps.FLIP[1:], expect=None).rc == 0, 30, "the way back to be near")
    m.run("rollback", *traps.FLIP)
    at = live.committed
    wait_until(lambda: live.committed > at + 50, 20, "writes on blue")
    live.stop()
    traps.catch_up(m)
    for side in (blue, green):
        live.assert_nothing_lost(side)
    compare.assert_equal(blue, green)
    print(f"errors: {after_switch} at the switch, {len(live.errors) - after_switch} at the rollback, of 4 clients; "
          f"{live.in_doubt} commits without an answer; longest gap {live.worst_latency_s * 1000:.0f} ms")
    assert all(any(words in error for words in CLOSED) for error in live.errors), live.errors
    assert 1 <= after_switch <= 8 and len(live.errors) - after_switch <= 8
    assert live.worst_latency_s < 3


def test_an_open_transaction_gets_the_drain_time_to_commit(loaded):
    m, blue, _, proxy = loaded
    idle = psycopg2.connect(dsn_of(proxy.port, blue))
    busy = psycopg2.connect(dsn_of(proxy.port, blue))
    with busy.cursor() as cursor:
        cursor.execute("UPDATE items SET n = 4711 WHERE id = 7")
    switch = m.popen("switch", *traps.FLIP)
    wait_until(lambda: proxy.servers()["blue"]["slim"] == "1", 20, "traffic to be parked")
    busy.commit()
    assert switch.wait(30).rc == 0
    with psycopg2.connect(dsn_of(proxy.port, blue)) as late, late.cursor() as cursor:
        cursor.execute("SELECT n FROM items WHERE id = 7")
        assert cursor.fetchone() == (4711,)
    for connection in (idle, busy, late):
        connection.close()


def test_a_session_around_haproxy_blocks_the_switch_and_those_through_it_do_not(loaded):
    m, blue, _, proxy = loaded
    through = psycopg2.connect(dsn_of(proxy.port, blue))
    m.run("switch", "--dry-run", "--unverified")
    around = blue.connect("app", application_name="cron", tcp=True)
    refused = m.run("switch", "--dry-run", "--unverified", expect=1)
    assert "bypasses the gate" in refused.stdout + refused.stderr and "cron" in refused.stdout + refused.stderr
    around.close()
    through.close()


@pytest.mark.alone
@pytest.mark.parametrize("point", ["gate.park.parked", "switch.before_flip", "switch.between_flips",
                                   "gate.point.both_ready"])
def test_the_switcher_killed_while_parked_clients_go_on_within_two_seconds(loaded, new_writers, point):
    m, blue, green, proxy = loaded
    live = new_writers(dsn_of(proxy.port, blue), rows=300, count=3, rate=100)
    wait_until(lambda: live.committed > 20, 20, "the workload")
    held = traps.Held(m, point, "switch", *traps.FLIP).wait()
    os.kill(held.process.popen.pid, signal.SIGKILL)
    died = time.monotonic()
    held.go()
    before = live.committed
    wait_until(lambda: live.committed > before + 6, 10, "traffic to go on")
    took = time.monotonic() - died
    traps.catch_up(m)
    owner = m.status()["owner"]
    before = live.committed
    wait_until(lambda: live.committed > before + 10, 10, "traffic to go on")
    live.stop()
    assert took < 2.5, f"{took:.1f} s until traffic went on"
    traps.catch_up(m)
    compare.assert_equal(blue, green)
    live.assert_nothing_lost(blue if owner == "blue" else green)
    assert limits(proxy) == ("100", "100")
