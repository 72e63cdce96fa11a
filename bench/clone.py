"""Clone of 1.2 GB with indexes and constraints: godwit copy, pgcopydb, pg_dump -Fd -j2 with pg_restore -j2."""
import shutil
import tempfile

import rig
from report import Result
from godwit_support import roles


def by_godwit(blue, green):
    with rig.migration(blue, green) as one:
        seconds, mib, _ = rig.watched(one, "copy")
        one.run("abort", "--yes")
    return seconds, mib


def by_dump(blue, green):
    server = blue.server
    where = tempfile.mkdtemp(prefix="gw-dump-")
    try:
        seconds = rig.timed([rig.tool("pg_dump", server), "-Fd", "-j2", "-Z0", "-f", where + "/d", "-d", blue.dsn("postgres")])
        seconds += rig.timed([rig.tool("pg_restore", server), "-j2", "-d", green.dsn("postgres"), where + "/d"])
    finally:
        shutil.rmtree(where, ignore_errors=True)
    return seconds


def by_pgcopydb(blue, green):
    where = tempfile.mkdtemp(prefix="gw-pgcopydb-")
    try:
        return rig.timed([rig.tool("pgcopydb"), "clone", "--dir", where + "/d", "--table-jobs", "2", "--index-jobs", "2",
                          "--split-tables-larger-than", "200MB", "--source", blue.dsn("postgres"), "--target",
                          green.dsn("postgres")])
    finally:
        shutil.rmtree(where, ignore_errors=True)


def race(runs, scale):
    times = {"godwit": [], "pg_dump": [], "pgcopydb": []}
    memory = []
    with rig.servers() as (blue_server, green_server):
        blue = roles.Database(blue_server)
        rig.fill(blue, scale)
        for _ in range(runs):
            for name, clone in (("godwit", by_godwit), ("pg_dump", by_dump), ("pgcopydb", by_pgcopydb)):
                green = roles.Database(green_server)
                found = clone(blue, green)
                if name == "godwit":
                    memory.append(found[1])
                    found = found[0]
                times[name].append(found)
                green.drop()
                green_server.psql("CHECKPOINT")
                print(f"   {name} {found:.2f} s", flush=True)
        names = {"pg_dump": f"pg_dump {rig.version_of([rig.tool('pg_dump'), '--version'])} -j2 + pg_restore -j2",
                 "pgcopydb": f"pgcopydb {rig.version_of([rig.tool('pgcopydb'), '--version'])} (2022)"}
    fastest = min(("pg_dump", "pgcopydb"), key=lambda name: sorted(times[name])[runs // 2])
    other = "pgcopydb" if fastest == "pg_dump" else "pg_dump"
    return [Result("clone", "clone 1.2 GB", times["godwit"], times[fastest], names[fastest], goal=0.65),
            Result("clone", "clone 1.2 GB, the slower peer", times["godwit"], times[other], names[other]),
            Result("clone", "peak memory of the clone", memory, unit="MiB", goal=64)]
