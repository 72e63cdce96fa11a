#!/usr/bin/python3
"""./dev soak [--pair KIND] [KILLS [SEED]]: the crash loop until so many kills (10,000). From PostgreSQL to PostgreSQL
servers are killed and networks cut now and then. Writes docs/soak.md; for another kind of pair (pairs.py) docs/soak-KIND.md."""
import argparse
import collections
import contextlib
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
import pairs  # noqa: E402
from godwit_support import mariadb, postgres  # noqa: E402
from godwit_support.pgbouncer import find  # noqa: E402
from godwit_support.runner import require_binary  # noqa: E402

HEAD = """# Soak: killed and resumed{title}

`{command}` moves database after database, as many at a time as there are processors, under a live
workload (load, follow, switch, rollback, switch again, finish or abort) and kills godwit with SIGKILL on the way: at each
named crash point, with its watchdog and without it, and at random moments{faults}. Each killed command is started again. A
migration counts when it ended with

- every commit that the application was told of on both sides, by a journal the clients keep,
- `godwit verify` equal, and an independent comparison of all rows by the engines' own drivers without a difference,
- never two sides that took writes at the same moment, by two sessions that try all the time,
- nothing of godwit left on either side after `finish` or `abort`.

The loop stops at the first that does not.
"""


def table(rows):
    width = max(len(str(row[0])) for row in rows)
    return "\n".join(f"| {row[0]:<{width}} | {row[1]} |" for row in rows)


FAULTS = "; now and then it kills a server, resets\nconnections or lets the network fall silent"


def write(pair, report, faults, seconds, seed, versions, failures):
    first = pair is pairs.FIRST
    head = HEAD.format(title="" if first else f", {pair.title}", faults=FAULTS if pair.may_fault else "",
                       command="./dev soak" + ("" if first else f" --pair {pair.name}") + " [KILLS [SEED]]")
    lines = [head, "## Last run", "", "| what | number |", "| --- | --- |"]
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
    (ROOT / ("docs/soak.md" if first else f"docs/soak-{pair.name}.md")).write_text("\n".join(lines) + "\n")


class Soak:
    """One migration after the other, on two servers of its own."""

    def __init__(self, program, pair, seed, enough, say):
        self.faults, self.failure = None, None
        self.report = loop.Report()
        self.enough = enough
        self.over = contextlib.ExitStack()
        try:
            self.servers = self.over.enter_context(pair.servers())
            if pair.may_fault:
                self.faults = loop.Faults(self.servers, seed=seed, rarely=True)
            self.crash = loop.Loop(self.servers, loop.crash_points(program), seed, faults=self.faults, random_moments=0.4,
                                   say=lambda line: say(line) if line.startswith("  round") else None,
                                   round_of=pair.round_of, never=pair.never)
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
        self.over.close()


def main():
    parser = argparse.ArgumentParser(prog="./dev soak")
    parser.add_argument("--pair", choices=sorted(pairs.PAIRS), default=pairs.FIRST.name, metavar="KIND",
                        help="what is moved to what: " + ", ".join(sorted(pairs.PAIRS)))
    parser.add_argument("kills", nargs="?", type=int, default=10000)
    parser.add_argument("seed", nargs="?", type=int, default=int(time.time()))
    asked = parser.parse_args()
    kills, seed, pair = asked.kills, asked.seed, pairs.PAIRS[asked.pair]
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
            soaks.append(Soak(program, pair, seed + index, enough, say))
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
        servers = pairs.versions(soaks[0].servers) if soaks else []
        versions = ", ".join((version, *servers, *([bouncer] if pair.by_pgbouncer else [])))
        for soak in soaks:
            soak.close()
        postgres.remove_templates()
        mariadb.remove_templates()
    report, faults = loop.Report(), collections.Counter()
    for soak in soaks:
        report.add(soak.report)
        faults.update(soak.faults.counts if soak.faults else {})
    failures = [soak.failure for soak in soaks if soak.failure]
    for failure in failures:
        print(failure)
    write(pair, report, faults, time.monotonic() - began, seed, versions, failures)
    print(report.summary())
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
