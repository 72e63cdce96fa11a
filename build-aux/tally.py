#!/usr/bin/python3
"""Sums test results: tally.py DIRECTORY

Reads in DIRECTORY: *.json (meson's testlog.json: cmocka cases are counted, not programs), *.xml (JUnit, from pytest),
*.lint (lines "ok NAME", "FAIL NAME", "skip NAME") and *.broken (a suite that could not be built or run: one failure).
Every case counts once, also one that fails and then fails again while it is cleaned up.
Writes DIRECTORY/tally ("passed failed skipped") and DIRECTORY/failed (a name a line), prints both (unless
GODWIT_TALLY=quiet) and exits 1 when anything failed or nothing ran.
"""
import json
import os
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

OUTCOMES = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}
CASE = re.compile(r"^\[\s*(OK|FAILED|SKIPPED)\s*\] (\w+)\s*$", re.M)
SKIPPED_PROGRAM = 77
WORST = ("failed", "skipped", "passed")


def add(cases, name, outcome):
    """The worst outcome of a case is its outcome."""
    cases[name] = min(cases.get(name, outcome), outcome, key=WORST.index)


def from_meson(path):
    cases = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        test = json.loads(line)
        found = {}
        for outcome, name in CASE.findall(test.get("stdout", "") + "\n" + test.get("stderr", "")):
            add(found, name, OUTCOMES[outcome])
        program = f"{path.stem}: {test['name'].split(' / ')[-1]}"
        if test["result"] == "SKIP" or test.get("returncode") == SKIPPED_PROGRAM:
            found = found or {"": "skipped"}
        elif test["result"] in ("OK", "EXPECTEDFAIL"):
            found = found or {"": "passed"}
        elif "failed" not in found.values():
            found[f"({test['result'].lower()})"] = "failed"
        for name, outcome in found.items():
            add(cases, f"{program} {name}".rstrip(), outcome)
    return cases


def from_junit(path):
    cases = {}
    for case in xml.parse(path).getroot().iter("testcase"):
        bad = case.find("failure") is not None or case.find("error") is not None
        outcome = "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"
        add(cases, f"{case.get('classname')}::{case.get('name')}", outcome)
    return cases


def from_lint(path):
    outcomes = {"ok": "passed", "FAIL": "failed", "skip": "skipped"}
    lines = [line.split(" ", 1) for line in path.read_text().splitlines()]
    return {f"lint: {name}": outcomes[word] for word, name in lines if word in outcomes}


def from_broken(path):
    return {f"{path.stem} could not be built or run": "failed"}


READERS = {".json": from_meson, ".xml": from_junit, ".lint": from_lint, ".broken": from_broken}


def main():
    folder = pathlib.Path(sys.argv[1])
    cases = {}
    for path in sorted(folder.iterdir()):
        reader = READERS.get(path.suffix)
        if reader is None:
            continue
        try:
            found = reader(path)
        except (OSError, ValueError, KeyError, xml.ParseError) as error:
            found = {f"{path} is not readable: {error}": "failed"}
        for name, outcome in found.items():
            add(cases, name, outcome)
    total = [list(cases.values()).count(outcome) for outcome in ("passed", "failed", "skipped")]
    failed = sorted(name for name, outcome in cases.items() if outcome == "failed")
    (folder / "tally").write_text("{} {} {}\n".format(*total))
    (folder / "failed").write_text("".join(f"{name}\n" for name in failed))
    if os.environ.get("GODWIT_TALLY") != "quiet":
        for name in failed:
            print(f"failed: {name}")
        print("{} passed, {} failed, {} skipped".format(*total))
    if total[1] or not total[0]:
        sys.exit(1)


main()
