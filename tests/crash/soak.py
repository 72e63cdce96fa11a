#!/usr/bin/python3
"""./dev soak [KILLS [SEED]]: the crash loop until so many kills (10,000), with servers killed and networks cut now and
then; writes docs/soak.md."""
import collections
import datetime
import os
import pathlib
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/support"), str(ROOT / "tests/crash")]

import loop  # noqa: E402
from godwit_support import postgres, roles  # noqa: E402
from godwit_support.pgbouncer import find  # noqa: E402
from godwit_support.runner import require_binary  # noqa: E402

HEAD = """# Soak: killed and resumed

`./dev soak [KILLS [SEED]]` moves database after database, as many at a time as there are processors, under a live
workload (load, follow, switch, rollback, switch again, finish or abort) and kills godwit with SIGKILL on the way: at each
named crash point, with its watchdog and without it, and at random moments; now and then it kills a server, resets
connections or lets the network fall silent. Each killed command is started again. A migration counts when it ended with

- every commit that the application was told of on both sides, by a journal the clients keep,
- `godwit verify` equal, and an independent comparison of all rows by psycopg2 without a difference,
- never two sides that took writes at the same moment, by two sessions that try all the time,
- nothing of godwit left on either side after `finish` or `abort`.

The loop stops at the first that does not.
"""


def table(rows):
    width = max(len(str(row[0])) for row in rows)
    return "\n".join(f"| {row[0]:<{width}} | {row[1]} |" for row in rows)


def write(report, faults, seconds, seed, versions, failures):
    lines = [HEAD, "## Last run", "", "| what | number |", "| --- | --- |"]
    facts = [("date", datetime.date.today().isoformat()), ("versions", versions), ("seed", seed),
             ("duration", f"{seconds / 3600:.2f} h"), ("kills", f"{report.killed:,}"), ("starts", f"{report.starts:,}"),
             ("migrations", f"{report.rounds:,}"),
             ("servers killed, sessions reset, networks silent", ", ".join(f"{n:,}" for n in (
                 faults["server killed"], faults["sessions reset"], faults["network cut"]))),
             ("transactions acknowledged", f"{report.committed:,}"), ("rows compared", f"{report.rows_compared:,}"),
             ("probes for two writable sides", f"{report.probes:,}"), ("differences", report.differences),
             ("lost", report.lost), ("two writable sides", report.both_writable),
             ("failed migrations", len(failures))]
    lines += [f"| {what} | {number} |" for what, number in facts]
    lines += ["", "## Kills by place", "", "`alone`: the switching process was killed, its watchdog lived.", "",
              "| place | kills |", "| --- | --- |"]
    lines += [f"| {place} | {count} |" for place, count in sorted(report.kills.items())]
    elsewhere = ", ".join(f"`{point}*` by {test}" for point, test in sorted(loop.ELSEWHERE.items()))
    lines += ["", f"What these migrations do not come to is visited elsewhere: {elsewhere}."]
    for failure in failures:
        lines += ["", "## It failed", "", "```", failure, "```"]
    (ROOT / "docs/soak.md").write_text("\n".join(lines) + "\n")


class Soak:
    """One migration after the other, on two servers of its own."""

    def __init__(self, program, seed, enough, say):
        self.servers, self.faults, self.failure = [], None, None
        self.report = loop.Report()
        self.enough = enough
        try:
            for name in ("blue", "green"):
                self.servers.append(postgres.Postgres(name=name))
                roles.create_roles(self.servers[-1].start())
            self.faults = loop.Faults(self.servers, seed=seed, rarely=True)
            self.crash = loop.Loop(self.servers, loop.crash_points(program), seed, faults=self.faults, random_moments=0.4,
                                   say=lambda line: say(line) if line.startswith("  round") else None)
        except BaseException:
            self.close()
            raise
        self.report = self.crash.report
        chooser = self.crash.chooser
        chooser.per_load, chooser.per_follow, chooser.per_switch, chooser.moments_s = 40, 40, 6, (0.05, 0.1, 0.2, 0.4)
        self.thread = threading.Thread(target=self._run, name=f"soak {seed}")

    def _run(self):
        try:
            self.crash.run(lambda done, chooser: self.enough())
        except BaseException as error:  # pylint: disable=broad-except
            self.failure = f"{type(error).__name__}: {error}"

    def close(self):
        if self.faults:
            self.faults.close()
        for server in self.servers:
            server.remove()


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    program = require_binary()
    began, soaks, over = time.monotonic(), [], threading.Event()
    bouncer = subprocess.run([find(), "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")[0]
    version = subprocess.run([program, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()

    def say(line):
        print(f"{time.monotonic() - began:8.1f} {line}", flush=True)

    def enough():
        return over.is_set() or any(soak.failure for soak in soaks) or sum(soak.report.killed for soak in soaks) >= kills

    try:
        for index in range(max(1, os.cpu_count() or 1)):
            soaks.append(Soak(program, seed + index, enough, say))
        for soak in soaks:
            soak.thread.start()
        for soak in soaks:
            while soak.thread.is_alive():
                try:
                    soak.thread.join(1)
                except KeyboardInterrupt:
                    print("stopped by the operator: the migrations under way are brought to their end", flush=True)
                    over.set()
    finally:
        versions = f"{version}, PostgreSQL {soaks[0].servers[0].version()}, {bouncer}" if soaks else version
        for soak in soaks:
            soak.close()
        postgres.remove_templates()
    report, faults = loop.Report(), collections.Counter()
    for soak in soaks:
        report.add(soak.report)
        faults.update(soak.faults.counts)
    failures = [soak.failure for soak in soaks if soak.failure]
    for failure in failures:
        print(failure)
    write(report, faults, time.monotonic() - began, seed, versions, failures)
    print(report.summary())
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
