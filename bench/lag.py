"""Steady following at 1,000 transactions a second: the lag of godwit and of a subscription, beside each other.

Both follow the same blue at once, each onto a green of its own. A probe row is written on blue; two readers look for it on
each green without rest, and the time from the acknowledged commit to the first sight is the lag.
"""
import subprocess
import threading
import time

import psycopg2

import rig
from report import Result
from godwit_support import roles
from godwit_support.waiting import wait_until

SECONDS_PER_RUN = 12
RATE = 1000


class Watcher(threading.Thread):
    """Looks for the newest probe row on one side."""

    def __init__(self, database):
        super().__init__(daemon=True)
        self.connection = database.connect()
        self.seen, self.stop = {}, False

    def run(self):
        with self.connection.cursor() as cursor:
            last = 0
            while not self.stop:
                cursor.execute("SELECT id FROM probe WHERE id > %s", (last,))
                now = time.monotonic()
                for (number,) in cursor.fetchall():
                    self.seen[number] = now
                    last = max(last, number)
                time.sleep(0.0005)


def measure(blue, greens, first, seconds):
    watchers = [Watcher(green) for green in greens]
    for watcher in watchers:
        watcher.start()
    load = subprocess.Popen([rig.tool("pgbench", blue.server), "-h", str(blue.server.base), "-p", str(blue.server.port), "-U",
                             "postgres", "-n", "-N", "-c", "4", "-j", "1", "-R", str(RATE), "-T", str(seconds), blue.name],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sent, number = {}, first
    connection = psycopg2.connect(blue.dsn("postgres"))
    connection.autocommit = True
    with connection.cursor() as cursor:
        while load.poll() is None:
            number += 1
            cursor.execute("INSERT INTO probe VALUES (%s)", (number,))
            sent[number] = time.monotonic()
            time.sleep(0.02)
    assert load.returncode == 0, "pgbench failed"
    for watcher, who in zip(watchers, ("godwit", "the subscription")):
        wait_until(lambda w=watcher: number in w.seen, 60, f"the last probe by {who}")
    lags = []
    for watcher in watchers:
        watcher.stop = True
        watcher.join(5)
        lags.append(sorted(max(0.0, watcher.seen[n] - at) * 1000 for n, at in sent.items() if n in watcher.seen))
        assert len(lags[-1]) == len(sent), "a probe row is missing"
    return lags, number


def percentile(values, part):
    return values[min(len(values) - 1, int(len(values) * part))]


def race(runs, scale):
    ours50, ours99, theirs50, theirs99 = [], [], [], []
    with rig.servers() as (blue_server, green_server):
        blue, green, other = roles.Database(blue_server), roles.Database(green_server), roles.Database(green_server)
        rig.pgbench(blue_server, blue.name, "-i", "-I", "dtGvp", "-q", "-s", 10)
        blue.owner_sql("CREATE TABLE probe (id bigint PRIMARY KEY)")
        schema = rig.run([rig.tool("pg_dump", blue_server), "-s", "-d", blue.dsn("postgres")])
        subprocess.run([rig.tool("psql", blue_server), "-q", "-d", other.dsn("postgres")], input=schema.encode(), check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        blue.sql("CREATE PUBLICATION race FOR TABLE pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history, probe")
        other.sql(f"CREATE SUBSCRIPTION race CONNECTION 'host=127.0.0.1 port={blue_server.port} user=postgres "
                  f"dbname={blue.name}' PUBLICATION race")
        wait_until(lambda: other.value("SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'") == 0, 120, "sync")
        with rig.migration(blue, green) as one:
            runner = one.popen("run")
            wait_until(lambda: one.status()["stage"] == "follow", 120, "the runner to follow")
            peak = rig.PeakMemory(runner.pid)
            last = 0
            for _ in range(runs):
                (mine, peer), last = measure(blue, (green, other), last, max(3, round(SECONDS_PER_RUN * scale)))
                ours50.append(percentile(mine, 0.5))
                ours99.append(percentile(mine, 0.99))
                theirs50.append(percentile(peer, 0.5))
                theirs99.append(percentile(peer, 0.99))
                print(f"   godwit p50 {ours50[-1]:.1f} p99 {ours99[-1]:.1f} ms, subscription {theirs50[-1]:.1f}"
                      f" {theirs99[-1]:.1f} ms, {len(mine)} probes", flush=True)
            memory = peak.mib()
            runner.stop(expect=None)
            one.run("abort", "--yes")
        other.sql("DROP SUBSCRIPTION race")
    peer = f"subscription of PostgreSQL {green_server.major}"
    return [Result("lag", "lag at 1,000/s, p50", ours50, theirs50, peer, "ms", goal=1.0),
            Result("lag", "lag at 1,000/s, p99", ours99, theirs99, peer, "ms", goal=1.0),
            Result("lag", "peak memory of the runner", [memory], unit="MiB", goal=64)]


