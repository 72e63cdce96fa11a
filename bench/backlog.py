"""100,000 pgbench -N transactions of backlog: godwit and PostgreSQL's own subscription, end to end; and from the spool.

Both stand still while the load runs (godwit killed, the subscription disabled), then catch up; the clock stops when the
last history row is there.
"""
import subprocess
import time

import rig
from report import Result
from godwit_support import roles
from godwit_support.waiting import wait_until

TABLES = "pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history"


def load(database, transactions):
    rig.pgbench(database.server, database.name, "-n", "-N", "-c", 4, "-j", 2, "-t", transactions // 4)


def count(database):
    return database.value("SELECT count(*) FROM pgbench_history")


def godwit_run(blue, green, transactions):
    with rig.migration(blue, green) as one:
        one.run("copy", timeout=300)
        had = count(blue)
        load(blue, transactions)
        seconds, mib, _ = rig.watched(one, "follow", "--until", "caught-up")
        assert count(green) == had + transactions, "not caught up"
        one.run("abort", "--yes")
    return seconds, mib


def spool_run(blue, green, transactions):
    """The follower received everything with the target frozen; then only applying is left."""
    with rig.migration(blue, green) as one:
        one.run("copy", timeout=300)
        had = count(blue)
        lock = green.connect(autocommit=False)
        runner = one.popen("run")
        wait_until(lambda: one.status()["stage"] == "follow", 60, "the runner")
        with lock.cursor() as cursor:
            cursor.execute("LOCK TABLE pgbench_accounts IN SHARE MODE")
        load(blue, transactions)
        end = blue.value("SELECT pg_current_wal_insert_lsn()")
        wait_until(lambda: lsn(stream(one)["received"]) >= lsn(end), 120, "everything in the spool")
        began = time.monotonic()
        lock.rollback()
        wait_until(lambda: count(green) >= had + transactions, 120, "the spool to be applied", interval=0.02)
        seconds = time.monotonic() - began
        lock.close()
        runner.stop(expect=None)
        one.run("abort", "--yes")
    return seconds


def stream(one):
    return one.status()["streams"][0]


def lsn(text):
    high, low = (text or "0/0").split("/")
    return (int(high, 16) << 32) | int(low, 16)


def subscription_run(blue, green, transactions):
    blue.sql(f"CREATE PUBLICATION race FOR TABLE {TABLES}")
    schema = rig.run([rig.tool("pg_dump", blue.server), "-s", "-d", blue.dsn("postgres")])
    subprocess.run([rig.tool("psql", blue.server), "-q", "-d", green.dsn("postgres")], input=schema.encode(), check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    where = f"host=127.0.0.1 port={blue.server.port} user=postgres dbname={blue.name}"
    green.sql("CREATE SUBSCRIPTION race CONNECTION '%s' PUBLICATION race" % where)
    wait_until(lambda: green.value("SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'") == 0, 120, "the sync")
    green.sql("ALTER SUBSCRIPTION race DISABLE")
    wait_until(lambda: not blue.value("SELECT active FROM pg_replication_slots WHERE slot_name = 'race'"), 30, "it stands")
    had = count(green)
    load(blue, transactions)
    began = time.monotonic()
    green.sql("ALTER SUBSCRIPTION race ENABLE")
    wait_until(lambda: count(green) >= had + transactions, 300, "the subscription", interval=0.02)
    seconds = time.monotonic() - began
    green.sql("DROP SUBSCRIPTION race")
    blue.sql("DROP PUBLICATION race")
    return seconds


def race(runs, scale):
    transactions = max(4000, int(100_000 * scale) // 4 * 4)
    ours, spooled, theirs, memory = [], [], [], []
    with rig.servers() as (blue_server, green_server):
        for _ in range(runs):
            blue = roles.Database(blue_server)
            rig.pgbench(blue_server, blue.name, "-i", "-I", "dtGvp", "-q", "-s", 10)
            for kind, found in ((godwit_run, ours), (spool_run, spooled), (subscription_run, theirs)):
                green = roles.Database(green_server)
                result = kind(blue, green, transactions)
                if isinstance(result, tuple):
                    memory.append(result[1])
                    result = result[0]
                found.append(result)
                green.drop()
                print(f"   {kind.__name__} {result:.2f} s", flush=True)
            blue.drop()
    peer = f"subscription of PostgreSQL {green_server.major}"
    return [Result("backlog", f"{transactions:,} transactions end to end", ours, theirs, peer, goal=0.6),
            Result("backlog", f"{transactions:,} transactions from the spool", spooled, theirs, peer, goal=0.3),
            Result("backlog", "peak memory while catching up", memory, unit="MiB", goal=64)]
