#!/usr/bin/python3
"""./dev soak [KILLS [SEED]]: the crash loop until so many kills (10,000), with servers killed and networks cut now and
then; writes docs/soak.md."""
import datetime
import pathlib
import sys
import time

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/support"), str(ROOT / "tests/crash")]

import loop  # noqa: E402
from godwit_support import postgres, roles  # noqa: E402
from godwit_support.pgbouncer import find  # noqa: E402
from godwit_support.runner import require_binary  # noqa: E402

HEAD = """# Soak: killed and resumed

`./dev soak [KILLS [SEED]]` moves one database after the other under a live workload (load, follow, switch, rollback, switch
again, finish or abort) and kills godwit with SIGKILL on the way: at each named crash point, with its watchdog and without
it, and at random moments; now and then it kills a server, resets connections or lets the network fall silent. Each killed
command is started again. A migration counts when it ended with

- every commit that the application was told of on both sides, by a journal the clients keep,
- `godwit verify` equal, and an independent comparison of all rows by psycopg2 without a difference,
- never two sides that took writes at the same moment, by two sessions that try all the time,
- nothing of godwit left on either side after `finish` or `abort`.

The loop stops at the first that does not.
"""


def table(rows):
    width = max(len(str(row[0])) for row in rows)
    return "\n".join(f"| {row[0]:<{width}} | {row[1]} |" for row in rows)


def write(report, faults, seconds, seed, versions, failure):
    lines = [HEAD, "## Last run", "", "| what | number |", "| --- | --- |"]
    facts = [("date", datetime.date.today().isoformat()), ("versions", versions), ("seed", seed),
             ("duration", f"{seconds / 3600:.2f} h"), ("kills", f"{report.killed:,}"), ("starts", f"{report.starts:,}"),
             ("migrations", f"{report.rounds:,}"),
             ("servers killed, sessions reset, networks silent", ", ".join(f"{n:,}" for n in (
                 faults.counts["server killed"], faults.counts["sessions reset"], faults.counts["network cut"]))),
             ("transactions acknowledged", f"{report.committed:,}"), ("rows compared", f"{report.rows_compared:,}"),
             ("probes for two writable sides", f"{report.probes:,}"), ("differences", report.differences),
             ("lost", report.lost), ("two writable sides", report.both_writable),
             ("failed migrations", 1 if failure else 0)]
    lines += [f"| {what} | {number} |" for what, number in facts]
    lines += ["", "## Kills by place", "", "`alone`: the switching process was killed, its watchdog lived.", "",
              "| place | kills |", "| --- | --- |"]
    lines += [f"| {place} | {count} |" for place, count in sorted(report.kills.items())]
    elsewhere = ", ".join(f"`{point}*` by {test}" for point, test in sorted(loop.ELSEWHERE.items()))
    lines += ["", f"What these migrations do not come to is visited elsewhere: {elsewhere}."]
    if failure:
        lines += ["", "## It failed", "", "```", failure, "```"]
    (ROOT / "docs/soak.md").write_text("\n".join(lines) + "\n")


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    program = require_binary()
    servers, faults, failure, began = [], None, None, time.monotonic()
    report = loop.Report()
    try:
        for name in ("blue", "green"):
            servers.append(postgres.Postgres(name=name))
            roles.create_roles(servers[-1].start())
        import subprocess
        bouncer = subprocess.run([find(), "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")[0]
        version = subprocess.run([program, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        versions = f"{version}, PostgreSQL {servers[0].version()}, {bouncer}"
        faults = loop.Faults(servers, seed=seed, rarely=True)
        crash = loop.Loop(servers, loop.crash_points(program), seed, faults=faults, random_moments=0.4,
                          say=lambda line: print(f"{time.monotonic() - began:8.1f} {line}", flush=True)
                          if line.startswith("  round") else None)
        crash.chooser.per_load, crash.chooser.per_follow, crash.chooser.per_switch = 30, 8, 4
        report = crash.report
        crash.run(lambda done, chooser: done.killed >= kills)
    except KeyboardInterrupt:
        print("stopped by the operator")
    except AssertionError as error:
        failure = str(error)
        print(failure)
    finally:
        if faults:
            faults.close()
        for server in servers:
            server.remove()
        postgres.remove_templates()
    write(report, faults, time.monotonic() - began, seed, versions, failure)
    print(report.summary())
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
