"""What capture by triggers costs the application: pgbench and sysbench with the triggers, read and trimmed meanwhile, and
without.

Two loads each: transactions that write four rows and wait for the disk, as most do (pgbench's own, sysbench's
oltp_write_only); and updates of single rows that wait for nothing, which is the bare cost of a write.
"""
import re

import binlog
import maria
import rig
from report import Result
from godwit_support import mariadb, roles

CLIENTS = 4
LOADS = ("transaction of four rows", "update of one row, without waiting for the disk")
READERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'godwit stream %' AND datname = current_database()"
BARE = "\\set aid random(1, 100000)\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;\n"


def latency_us(blue, seconds, script=None):
    """Of a transaction, on average over the clients."""
    blue.sql(f"ALTER ROLE app_owner SET synchronous_commit = {'off' if script else 'on'}")
    out = rig.pgbench(blue.server, blue.name, "-c", CLIENTS, "-j", 2, "-T", seconds, "-n", "-M", "prepared",
                      *(["-f", script] if script else []))
    return float(re.search(r"latency average = ([\d.]+) ms", out).group(1)) * 1000


def with_and_without(engine, runs, blue, new_green, scripts, latency, read):
    """Each round measures the scripts without capture, then while `read(green)`, which waits for the stream, has come true."""
    loads = {name: ([], []) for name in scripts}

    def measure(into):
        for name, script in scripts.items():
            loads[name][into].append(latency(script))
    for _ in range(runs):
        measure(1)
        green = new_green()
        with rig.migration(blue, green, capture="trigger") as one:
            one.run("copy", timeout=600)
            process = one.popen("follow")
            read(green)
            measure(0)
            process.stop(expect=None)
            one.run("abort", "--yes", timeout=300)
        green.drop()
        print("   " + "; ".join(f"{name}: {ours[-1]:.0f} us captured, {plain[-1]:.0f} not"
                                for name, (ours, plain) in loads.items()), flush=True)
    return [Result("capture", f"{engine}, {name}, captured by triggers", ours, plain, "the same, not captured", unit="us",
                   note="server, clients and godwit share the machine")
            for name, (ours, plain) in loads.items()]


def race_postgres(runs, scale):
    seconds = max(2, round(5 * scale))
    with rig.servers(wal_level="replica") as (blue_server, green_server):
        blue = roles.Database(blue_server)
        bare = blue_server.base / "bare.sql"
        bare.write_text(BARE)
        rig.pgbench(blue_server, blue.name, "-i", "-I", "dtGvp", "-q", "-s", max(1, round(10 * scale)))

        def read(_):
            rig.wait_until(lambda: blue.value(READERS) == 1, 60, "the stream to be read")
        return with_and_without("PostgreSQL", runs, blue, lambda: roles.Database(green_server),
                                dict(zip(LOADS, (None, bare))), lambda script: latency_us(blue, seconds, script), read)


def sysbench_us(blue, seconds, script):
    """Of a transaction, on average over the clients."""
    blue.server.sql(f"SET GLOBAL innodb_flush_log_at_trx_commit = {1 if script == 'oltp_write_only' else 0}")
    out = binlog.sysbench(blue, "run", script=script, threads=CLIENTS, time=seconds, events=0)
    return float(re.search(r"avg: +([\d.]+)", out).group(1)) * 1000


def race_mariadb(runs, scale):
    seconds = max(2, round(5 * scale))
    with maria.servers("mblue", "mgreen") as (blue_server, green_server):
        blue = mariadb.Database(blue_server)
        binlog.sysbench(blue, "prepare")
        blue.owner_sql("CREATE TABLE beat (id int NOT NULL PRIMARY KEY, n int NOT NULL)")
        blue.owner_sql("INSERT INTO beat VALUES (1, 0)")

        def read(green):
            blue.owner_sql("UPDATE beat SET n = n + 1")
            beat = int(blue.value("SELECT n FROM beat"))
            rig.wait_until(lambda: int(green.value("SELECT n FROM beat")) == beat, 60, "the stream to be read")
        return with_and_without("MariaDB", runs, blue, lambda: mariadb.Database(green_server),
                                dict(zip(LOADS, ("oltp_write_only", "oltp_update_non_index"))),
                                lambda script: sysbench_us(blue, seconds, script), read)


def race(runs, scale):
    return race_postgres(runs, scale) + race_mariadb(runs, scale)
