"""A backlog of 100,000 sysbench oltp_write_only transactions (4 row changes each): MariaDB's own replica, with one thread and
with two in parallel, and godwit, onto the same kind of server; and godwit onto PostgreSQL.

All of them follow the same blue (PostgreSQL's in a second round) and stand still while the load runs; then one after the
other catches up, alone. The order changes from run to run. The disk is kept out of it (innodb_flush_log_at_trx_commit = 2): with a sync for each transaction a
replica takes ten times as long. The replicas keep no binlog of what they apply; godwit's target does, for the way back.
"""
import shutil
import tempfile
import pathlib
import time

import maria
import rig
from report import Result
from godwit_support import mariadb, roles

TABLES, SIZE, CHANGES = 4, 25_000, 4
RATE = 30_000
RELAXED = {"innodb_flush_log_at_trx_commit": 2}


def sysbench(blue, *args, script="oltp_write_only", **options):
    """What it prints."""
    server = blue.server
    return rig.run([rig.tool("sysbench"), script, "--db-driver=mysql", f"--mysql-socket={server.socket}",
                    "--mysql-user=app_owner", f"--mysql-password={roles.PASSWORDS['app_owner']}", f"--mysql-db={blue.name}",
                    f"--tables={TABLES}", f"--table-size={SIZE}", "--rand-type=uniform",
                    *(f"--{name.replace('_', '-')}={value}" for name, value in options.items()), *args])


def load(blue, transactions):
    sysbench(blue, "run", threads=4, events=transactions, time=0)


def checksum(side):
    """Of every row, on either engine."""
    total = []
    for number in range(1, TABLES + 1):
        total.append(tuple(map(int, side.sql(f"SELECT count(*), sum(id), sum(k), sum(length(c)) FROM sbtest{number}")[0])))
    return total


class Replica:
    """A replica of MariaDB: the same rows by a dump with its GTID, then the binlog."""

    def __init__(self, blue, server, threads):
        self.server, self.threads, self.blue = server, threads, blue
        self.side = mariadb.Database(server, name=blue.name)
        self.name = f"{threads} parallel threads" if threads else "1 thread"
        gtid = blue.value("SELECT @@gtid_binlog_pos")  # nobody writes now
        dump = rig.run([rig.tool("mariadb-dump"), "-uroot", f"-S{blue.server.socket}", "--single-transaction", blue.name])
        rig.run([rig.tool("mariadb"), "-uroot", f"-S{server.socket}", self.side.name], input=dump.encode())
        server.sql(f"SET GLOBAL gtid_slave_pos = '{gtid}'")
        server.sql(f"SET GLOBAL slave_parallel_threads = {threads}")
        server.sql(f"CHANGE MASTER TO master_host='127.0.0.1', master_port={blue.server.port}, master_user='godwit',"
                   f" master_password='{roles.PASSWORDS['godwit']}', master_use_gtid=slave_pos")

    def catch_up(self):
        end = self.blue.value("SELECT @@gtid_binlog_pos")
        began = time.monotonic()
        self.server.sql("START SLAVE")
        assert self.server.sql(f"SELECT MASTER_GTID_WAIT('{end}', 600)")[0][0] == 0, "the replica did not catch up"
        seconds = time.monotonic() - began
        self.server.sql("STOP SLAVE")
        return seconds, None


class Godwit:
    def __init__(self, blue, side, name):
        self.side, self.name = side, name
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="gw-bench-"))
        self.one = rig.runner.Migration(self.directory, blue, side, name, program=rig.release_binary())
        self.one.run("copy", timeout=300)

    def catch_up(self):
        seconds, mib, _ = rig.watched(self.one, "follow", "--until", "caught-up")
        return seconds, mib

    def close(self):
        self.one.run("abort", "--yes", timeout=120, expect=None)
        self.one.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def contest(blue, followers, runs, transactions):
    """({name: seconds}, [MiB]): everybody catches up with each load, by turns."""
    took, memory = {one.name: [] for one in followers}, []
    for number in range(runs):
        load(blue, transactions)
        wanted = checksum(blue)
        for at in range(len(followers)):
            follower = followers[(at + number) % len(followers)]
            seconds, mib = follower.catch_up()
            took[follower.name].append(seconds)
            memory += [mib] if mib else []
            assert checksum(follower.side) == wanted, f"{follower.name} is not where blue is"
            print(f"   {follower.name} {seconds:.2f} s", flush=True)
    return took, memory


def race(runs, scale):
    transactions = max(2000, int(100_000 * scale))
    with rig.servers() as (_, postgres), \
            maria.servers("mblue", "mreplica1", "mreplica2", "mgreen", **RELAXED) as (source, one, two, other):
        blue = mariadb.Database(source, name="app")
        sysbench(blue, "prepare")
        took, memory = {}, []
        # A side belongs to one migration at a time.
        for name, green, peers in (("maria", lambda: mariadb.Database(other, name="app"), ((one, 0), (two, 2))),
                                   ("postgres", lambda: roles.Database(postgres), ())):
            godwit = Godwit(blue, green(), name)
            try:
                found = contest(blue, [*(Replica(blue, *peer) for peer in peers), godwit], runs, transactions)
            finally:
                godwit.close()
            took.update(found[0])
            memory += found[1]
        peer = f"replica of MariaDB {source.version().split('-')[0]}"
    changes = transactions * CHANGES
    rates = ", ".join(f"{changes / seconds:,.0f}" for seconds in took["postgres"])
    what = f"{transactions:,} transactions"
    return [Result("binlog", f"{what} to MariaDB", took["maria"], took["1 thread"], f"{peer}, 1 thread", goal=0.5),
            Result("binlog", f"{what} to MariaDB", took["maria"], took["2 parallel threads"], f"{peer}, 2 parallel threads",
                   goal=0.5),
            Result("binlog", f"{changes:,} changes from MariaDB to PostgreSQL", took["postgres"], goal=round(changes / RATE, 2),
                   note=f"changes a second: {rates}; {RATE:,} wanted"),
            Result("binlog", "peak memory while catching up", memory, unit="MiB", goal=64)]


