#!/usr/bin/python3
"""Sums test results: tally.py DIRECTORY

Reads in DIRECTORY: *.json (meson's testlog.json: cmocka cases are counted, not programs), *.xml (JUnit, from pytest),
*.lint (lines "ok NAME", "FAIL NAME", "skip NAME") and *.broken (a suite that could not be built or run: one failure).
Writes DIRECTORY/tally, prints "N passed, N failed, N skipped" (unless GODWIT_TALLY=quiet) and exits 1 when anything
failed or nothing ran.
"""
import json
import os
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

CASES = re.compile(r"\[\s*(PASSED|FAILED|SKIPPED)\s*\]\s+(\d+) test\(s\)")
OUTCOME = {"PASSED": 0, "FAILED": 1, "SKIPPED": 2}
SKIPPED_PROGRAM = 77


def from_meson(path):
    total = [0, 0, 0]
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        test = json.loads(line)
        counts = [0, 0, 0]
        output = test.get("stdout", "") + "\n" + test.get("stderr", "")
        for outcome, number in CASES.findall(output):
            counts[OUTCOME[outcome]] += int(number)
        if test["result"] in ("OK", "EXPECTEDFAIL"):
            counts[0] += 0 if any(counts) else 1
        elif test["result"] == "SKIP" or test.get("returncode") == SKIPPED_PROGRAM:
            counts[2] += 0 if any(counts) else 1
        else:
            counts[1] = max(counts[1], 1)
            print(f"failed: {path.stem}: {test['name']} ({test['result']})")
        total = [a + b for a, b in zip(total, counts)]
    return total


def from_junit(path):
    total = [0, 0, 0]
    for suite in xml.parse(path).getroot().iter("testsuite"):
        number = {k: int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
        bad = number["failures"] + number["errors"]
        total[0] += max(number["tests"] - bad - number["skipped"], 0)
        total[1] += bad
        total[2] += number["skipped"]
        for case in suite.iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                print(f"failed: {case.get('classname')}::{case.get('name')}")
    return total


def from_lint(path):
    words = [line.split(" ", 1)[0] for line in path.read_text().splitlines()]
    return [words.count("ok"), words.count("FAIL"), words.count("skip")]


def from_broken(path):
    print(f"failed: {path.stem} could not be built or run")
    return [0, 1, 0]


READERS = {".json": from_meson, ".xml": from_junit, ".lint": from_lint, ".broken": from_broken}


def main():
    folder = pathlib.Path(sys.argv[1])
    total = [0, 0, 0]
    for path in sorted(folder.iterdir()):
        reader = READERS.get(path.suffix)
        if reader is None:
            continue
        try:
            counts = reader(path)
        except (OSError, ValueError, KeyError, xml.ParseError) as error:
            print(f"failed: {path} is not readable: {error}")
            counts = [0, 1, 0]
        total = [a + b for a, b in zip(total, counts)]
    line = "{} passed, {} failed, {} skipped".format(*total)
    (folder / "tally").write_text("{} {} {}\n".format(*total))
    if os.environ.get("GODWIT_TALLY") != "quiet":
        print(line)
    if total[1] or not total[0]:
        sys.exit(1)


main()
