"""What capture by triggers costs the application: pgbench with the triggers, read and trimmed meanwhile, and without.

Two loads: pgbench's own, whose transactions write four rows and wait for the disk, as most do; and updates of single rows
that wait for nothing, which is the bare cost of a write.
"""
import re

import rig
from report import Result
from godwit_support import roles

CLIENTS = 4
READERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'godwit stream %' AND datname = current_database()"
BARE = "\\set aid random(1, 100000)\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;\n"


def latency_us(blue, seconds, script=None):
    """Of a transaction, on average over the clients."""
    blue.sql(f"ALTER ROLE app_owner SET synchronous_commit = {'off' if script else 'on'}")
    out = rig.pgbench(blue.server, blue.name, "-c", CLIENTS, "-j", 2, "-T", seconds, "-n", "-M", "prepared",
                      *(["-f", script] if script else []))
    return float(re.search(r"latency average = ([\d.]+) ms", out).group(1)) * 1000


def race(runs, scale):
    seconds = max(2, round(5 * scale))
    loads = {"transaction of four rows": ([], []), "update of one row, without waiting for the disk": ([], [])}
    with rig.servers(wal_level="replica") as (blue_server, green_server):
        blue = roles.Database(blue_server)
        bare = blue_server.base / "bare.sql"
        bare.write_text(BARE)
        rig.pgbench(blue_server, blue.name, "-i", "-I", "dtGvp", "-q", "-s", max(1, round(10 * scale)))

        def measure(into):
            for name, script in zip(loads, (None, bare)):
                loads[name][into].append(latency_us(blue, seconds, script))
        for _ in range(runs):
            measure(1)
            green = roles.Database(green_server)
            with rig.migration(blue, green, capture="trigger") as one:
                one.run("copy", timeout=600)
                process = one.popen("follow")
                rig.wait_until(lambda: blue.value(READERS) == 1, 60, "the stream to be read")
                measure(0)
                process.stop(expect=None)
                one.run("abort", "--yes", timeout=300)
            green.drop()
            print("   " + "; ".join(f"{name}: {ours[-1]:.0f} us captured, {plain[-1]:.0f} not"
                                    for name, (ours, plain) in loads.items()), flush=True)
    return [Result("capture", f"{name}, captured by triggers", ours, plain, "the same, not captured", unit="us",
                   note="server, clients and godwit share the machine")
            for name, (ours, plain) in loads.items()]
