"""Verify of the 1.2 GB on both sides: godwit verify and postgresql-comparator."""
import rig
from report import Result
from godwit_support import roles


def comparator(blue, green, table, key):
    """pg_comparator wants one URL a side and a table at a time."""
    def url(side):
        return (f"pgsql://postgres@127.0.0.1:{side.server.port}/{side.name}/{table}")
    return rig.timed([rig.tool("pg_comparator"), url(blue) + f"?{key}", url(green) + f"?{key}"])


def race(runs, scale):
    ours, theirs, memory = [], [], []
    with rig.servers() as (blue_server, green_server):
        blue, green = roles.Database(blue_server), roles.Database(green_server)
        for side in (blue, green):
            side.sql("CREATE EXTENSION pgcmp")  # the peer's checksums, in C
        rig.fill(blue, scale)
        with rig.migration(blue, green) as one:
            one.run("copy", timeout=600)
            green.sql("VACUUM ANALYZE")
            for _ in range(runs):
                seconds, mib, _ = rig.watched(one, "verify")
                ours.append(seconds)
                memory.append(mib)
                theirs.append(comparator(blue, green, "pgbench_accounts", "aid") + comparator(blue, green, "mixed", "id"))
                print(f"   godwit {ours[-1]:.2f} s, pg_comparator {theirs[-1]:.2f} s", flush=True)
            one.run("abort", "--yes")
    name = f"pg_comparator {rig.version_of(['dpkg-query', '-W', 'postgresql-comparator'])} (2022)"
    return [Result("verify", "verify 1.2 GB a side", ours, theirs, name, goal=0.5,
                   note="the peer compares two of the five tables"),
            Result("verify", "peak memory of verify", memory, unit="MiB", goal=64)]
