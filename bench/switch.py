"""The pause of a switch at 400 transactions a second, 20 clients, SCRAM, through PgBouncer; beside the same by hand.

By hand, as a script of psql commands: PAUSE, a marker row and read-only on blue, wait until the marker has arrived at the
other side by a subscription, RELOAD, RESUME. And the least that any switch takes: the same in sessions that are open
already, without the read-only. Clients write through the pooler all the time; each request is timed and each acknowledged
row is looked for at the end.
"""
import threading
import time

import psycopg2

import rig
from report import Result
from godwit_support import roles
from godwit_support.pgbouncer import ADMIN, ADMIN_PASSWORD, PgBouncer
from godwit_support.waiting import wait_until

CLIENTS, RATE = 20, 400


class Clients:
    """Inserts through the pooler, paced; latencies and acknowledged ids."""

    def __init__(self, dsn):
        self.dsn, self.stop_now = dsn, False
        self.acknowledged, self.failed, self.slow = [], [], []
        self.threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(CLIENTS)]
        self.lock = threading.Lock()
        self.worst = 0.0

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def _work(self, number):
        connection = psycopg2.connect(self.dsn)
        connection.autocommit = True
        cursor = connection.cursor()
        pause, count = CLIENTS / RATE, 0
        next_at = time.monotonic() + pause * number / CLIENTS
        while not self.stop_now:
            time.sleep(max(0.0, next_at - time.monotonic()))
            next_at += pause
            count += 1
            key = number * 10_000_000 + count
            began = time.monotonic()
            try:
                cursor.execute("INSERT INTO ledger VALUES (%s, now())", (key,))
                self.acknowledged.append(key)
            except psycopg2.Error as error:
                self.failed.append(str(error))
            took = time.monotonic() - began
            with self.lock:
                self.worst = max(self.worst, took)

    def take_worst(self):
        with self.lock:
            worst, self.worst = self.worst, 0.0
        return worst

    def stop(self):
        self.stop_now = True
        for thread in self.threads:
            thread.join(20)


def admin(bouncer):
    connection = psycopg2.connect(f"host=127.0.0.1 port={bouncer.port} dbname=pgbouncer user={ADMIN} password={ADMIN_PASSWORD}")
    connection.autocommit = True
    return connection


def app_dsn(bouncer):
    return f"host=127.0.0.1 port={bouncer.port} dbname=app user=app password={roles.PASSWORDS['app']}"


def tables(database):
    database.owner_sql("CREATE TABLE ledger (id bigint PRIMARY KEY, at timestamptz)")
    database.owner_sql("CREATE TABLE marker (id int PRIMARY KEY)")
    database.owner_sql("GRANT ALL ON ledger, marker TO app")


def by_godwit(blue_server, green_server, rounds):
    blue, green = roles.Database(blue_server), roles.Database(green_server)
    tables(blue)
    bouncer = PgBouncer(blue).start()
    pauses, worsts = [], []
    gate = {"type": "pgbouncer", "database": "app", "ini": str(bouncer.ini()),
            "admin": f"postgresql://{ADMIN}:{ADMIN_PASSWORD}@127.0.0.1:{bouncer.port}/pgbouncer"}
    try:
        with rig.migration(blue, green, gate=gate) as one:
            runner = one.popen("run")
            peak = rig.PeakMemory(runner.pid)
            wait_until(lambda: one.status()["stage"] == "follow" and one.status()["verdict"]["verdict"] == "equal", 120,
                       "the runner to follow")
            clients = Clients(app_dsn(bouncer)).start()
            wait_until(lambda: len(clients.acknowledged) > 200, 30, "clients")
            for _ in range(rounds):
                for verb in ("switch", "rollback"):
                    clients.take_worst()
                    found = one.run(verb, "--yes", "--unverified", "--json").json
                    time.sleep(0.2)
                    pauses.append(found["pause_ms"])
                    worsts.append(clients.take_worst() * 1000)
            clients.stop()
            one.run("verify", timeout=120)
            lost = set(clients.acknowledged) - {row[0] for row in blue.sql("SELECT id FROM ledger")}
            memory = peak.mib()
            runner.stop(expect=None)
            assert not clients.failed, clients.failed[:3]
            assert not lost, f"{len(lost)} lost"
            one.run("abort", "--yes")
    finally:
        bouncer.remove()
    return pauses, worsts, memory, len(clients.acknowledged)


class Psql:
    """A psql for each step, as a script has it."""

    def __init__(self, blue, green, bouncer):
        self.blue, self.green = blue.dsn("postgres"), green.dsn("postgres")
        self.console = f"host=127.0.0.1 port={bouncer.port} dbname=pgbouncer user={ADMIN} password={ADMIN_PASSWORD}"
        self.name = blue.name

    def _run(self, dsn, *commands):
        return rig.run([rig.tool("psql"), "-XAtq", "-d", dsn, *(word for one in commands for word in ("-c", one))])

    def admin(self, *commands):
        self._run(self.console, *commands)

    def stop_blue(self):
        self._run(self.blue, "INSERT INTO marker VALUES (1)",
                  f'ALTER DATABASE "{self.name}" SET default_transaction_read_only = on')

    def arrived(self):
        return self._run(self.green, "SELECT 1 FROM marker").strip() == "1"


class OpenSessions:
    def __init__(self, blue, green, bouncer):
        self.console = admin(bouncer).cursor()
        self.left, self.right = blue.connect().cursor(), green.connect().cursor()

    def admin(self, *commands):
        for command in commands:
            self.console.execute(command)

    def stop_blue(self):
        self.left.execute("INSERT INTO marker VALUES (1)")

    def arrived(self):
        self.right.execute("SELECT 1 FROM marker")
        return bool(self.right.fetchall())


def by_hand(blue_server, green_server, rounds, how):
    """One way only (a subscription has no way back): each round is a fresh pair of databases."""
    pauses = []
    for _ in range(rounds):
        blue, green = roles.Database(blue_server), roles.Database(green_server)
        tables(blue)
        tables(green)
        bouncer = PgBouncer(blue).start()
        try:
            blue.sql("CREATE PUBLICATION hand FOR ALL TABLES")
            green.sql(f"CREATE SUBSCRIPTION hand CONNECTION 'host=127.0.0.1 port={blue_server.port} user=postgres "
                      f"dbname={blue.name}' PUBLICATION hand")
            wait_until(lambda: green.value("SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'") == 0, 60, "sync")
            clients = Clients(app_dsn(bouncer)).start()
            wait_until(lambda: len(clients.acknowledged) > 100, 30, "clients")
            hand = how(blue, green, bouncer)
            began = time.monotonic()
            hand.admin("PAUSE app")
            hand.stop_blue()
            wait_until(hand.arrived, 30, "the marker", interval=0.001)
            bouncer.point(green)
            hand.admin("RELOAD", "RESUME app")
            pauses.append((time.monotonic() - began) * 1000)
            wait_until(lambda: green.value("SELECT count(*) FROM ledger") > 100, 10, "writes on green")
            clients.stop()
            green.sql("DROP SUBSCRIPTION hand")
        finally:
            bouncer.remove()
            green.drop()
            blue.drop()
    return pauses


def race(runs, scale):
    rounds = max(2, round(20 * scale))
    with rig.servers() as (blue_server, green_server):
        pauses, worsts, memory, rows = by_godwit(blue_server, green_server, rounds)
        script = by_hand(blue_server, green_server, max(3, runs), Psql)
        least = by_hand(blue_server, green_server, max(3, runs), OpenSessions)
    note = f"{len(pauses)} switches and rollbacks, {rows} acknowledged, 0 failed, 0 lost"
    return [Result("switch", "pause, median", pauses, unit="ms", goal=40, note=note),
            Result("switch", "pause, worst", [max(pauses)], unit="ms", goal=60),
            Result("switch", "pause against by hand", pauses, script, "a script of psql commands, PgBouncer 1.18 (2022)", "ms",
                   goal=1.3),
            Result("switch", "pause against the least by hand", pauses, least, "PgBouncer 1.18 (2022), sessions open, no fence",
                   "ms"),
            Result("switch", "worst client request", [max(worsts)], unit="ms", goal=120),
            Result("switch", "peak memory of the runner", [memory], unit="MiB", goal=64)]
