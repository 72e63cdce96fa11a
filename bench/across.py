"""1 M rows between engines: MariaDB and SQLite to PostgreSQL beside pgloader, MariaDB to MariaDB beside mydumper + myloader."""
import maria
import rig
from report import Result
from godwit_support import mariadb, roles, sqlite

THREADS = 2


def contest(blue, new_green, peer, ours, runs):
    """Both by turns onto a fresh green; (our seconds, the peer's, our MiB)."""
    mine, theirs, memory = [], [], []
    for _ in range(runs):
        for by, found in ((peer, theirs), (ours, mine)):
            green = new_green()
            result = by(blue, green)
            maria.assert_same(blue, green)
            if isinstance(result, tuple):
                memory.append(result[1])
                result = result[0]
            found.append(result)
            green.drop()
            print(f"   {by.__name__} {result:.2f} s", flush=True)
    return mine, theirs, memory


def two_jobs(blue, green):
    return maria.by_godwit(blue, green, THREADS)


def mydumper(blue, green):
    return maria.by_mydumper(blue, green, THREADS)


def race(runs, scale):
    rows = max(1000, int(1_000_000 * scale))
    size = f"{rows:,} rows"
    results = []
    loader = f"pgloader {rig.version_of([rig.tool('pgloader'), '--version'])}"
    with rig.servers() as (_, postgres), maria.servers("mblue", "mgreen") as (blue_server, green_server):
        blue = mariadb.Database(blue_server)
        maria.fill(blue, rows)
        mine, theirs, memory = contest(blue, lambda: roles.Database(postgres), maria.by_pgloader, maria.by_godwit, runs)
        results += [Result("across", f"MariaDB to PostgreSQL, {size}", mine, theirs, loader, goal=0.3),
                    Result("across", "peak memory of MariaDB to PostgreSQL", memory, unit="MiB", goal=64)]
        mine, theirs, memory = contest(blue, lambda: mariadb.Database(green_server), mydumper, two_jobs, runs)
        dumper = f"mydumper {rig.version_of([rig.tool('mydumper'), '--version'])} + myloader, {THREADS} threads"
        results += [Result("across", f"MariaDB to MariaDB, {size}", mine, theirs, dumper, goal=0.5),
                    Result("across", "peak memory of MariaDB to MariaDB", memory, unit="MiB", goal=64)]
        lite = sqlite.Database()
        try:
            maria.fill(lite, rows)
            mine, theirs, memory = contest(lite, lambda: roles.Database(postgres), maria.by_pgloader, maria.by_godwit, runs)
        finally:
            lite.drop()
        results += [Result("across", f"SQLite to PostgreSQL, {size}", mine, theirs, loader, goal=0.3),
                    Result("across", "peak memory of SQLite to PostgreSQL", memory, unit="MiB", goal=64)]
    return results
