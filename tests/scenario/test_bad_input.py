"""A wrong file or command line: exit 2, with the place and what to do, and nothing is touched."""
import resource
import subprocess

import pytest
from godwit_support.runner import USAGE

GOOD = "migration: acme\nstores:\n  main:\n    blue: postgresql://godwit@127.0.0.1:1/a\n    green: postgresql://godwit@127.0.0.1:1/b\n"

# name: (file, line:col that must be named, words that must be said)
WRONG = {
    "unknown key": (GOOD + "    jobs: 3\n", "6:5", ["jobs"]),
    "unknown key at the top": (GOOD + "retention: 3d\n", "6:1", ["retention"]),
    "a near miss": (GOOD.replace("stores:", "store:"), "2:1", ["store", "stores"]),
    "wrong type": (GOOD + "    copy: { jobs: many }\n", "6:19", ["many"]),
    "out of range": (GOOD + "    copy: { jobs: 0 }\n", "6:19", ["0"]),
    "a list for a value": (GOOD.replace("acme", "[a, b]"), "1:12", ["migration"]),
    "a value for a map": ("migration: acme\nstores: yes\n", "2:9", ["stores"]),
    "missing value": (GOOD.replace("acme", ""), "1:", ["migration"]),
    "missing key": ("stores:" + GOOD.split("stores:")[1], "1:", ["migration"]),
    "missing side": ("\n".join(GOOD.splitlines()[:-1]) + "\n", "4:", ["green"]),
    "duplicate key": (GOOD + "migration: other\n", "6:1", ["migration"]),
    "bad name": (GOOD.replace("acme", "Acme Inc."), "1:12", ["Acme Inc."]),
    "bad enum": (GOOD + "    gate: nginx\n", "6:11", ["nginx", "pgbouncer", "haproxy"]),
    "bad duration": (GOOD + "    retain: 30 moons\n", "6:13", ["moons"]),
    "unknown scheme": (GOOD.replace("postgresql://godwit@127.0.0.1:1/a", "oracle://x/y"), "", ["oracle", "postgresql"]),
    "tab": (GOOD.replace("  main", "\tmain"), "3:", []),
    "unclosed quote": (GOOD.replace("acme", '"acme'), "1:12", []),
    "environment not set": (GOOD.replace("1/a", "1/${NO_SUCH_NAME}"), "4:", ["NO_SUCH_NAME"]),
    "empty file": ("", "", ["empty", "init"]),
    "a list": ("- a\n- b\n", "1:1", []),
    "two documents": (GOOD + "---\n" + GOOD, "6:1", []),
    "the same place twice": (GOOD.replace("1/b", "1/a"), "5:", ["same"]),
}
COMMANDS = ("status", "copy", "run", "switch --yes", "verify", "abort --yes")


def said(result):
    return result.stdout + result.stderr


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_with_its_place(name, migration):
    text, place, words = WRONG[name]
    m = migration()
    m.write(text)
    refused = m.run("status", expect=USAGE)
    assert f"godwit.yaml:{place}" in said(refused) or not place, str(refused)
    for word in words:
        assert word in said(refused), refused
    assert not (m.directory / ".godwit").exists(), "something was made for a file that is wrong"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_the_same_of_a_wrong_file(command, migration):
    m = migration()
    m.write(GOOD + "    jobs: 3\n")
    assert "godwit.yaml:6:5" in said(m.run(*command.split(), expect=USAGE))
    as_json = m.run(*command.split(), "--json", expect=USAGE).json
    assert as_json["exit"] == USAGE and "jobs" in as_json["error"] and ":6:5" in as_json["place"]


def test_bytes_that_are_not_utf8(migration):
    m = migration()
    m.file.write_bytes(GOOD.encode().replace(b"acme", b"ac\xffme"))
    refused = m.run("status", expect=USAGE)
    assert "UTF-8" in said(refused) and "godwit.yaml:1:" in said(refused), refused
    m.file.write_bytes(GOOD.encode().replace(b"acme", b"ac\x00me"))
    m.run("status", expect=USAGE)


def test_a_file_of_100_mb_is_refused_at_once_and_in_little_memory(migration):
    m = migration()
    with open(m.file, "wb") as out:
        out.write(GOOD.encode())
        out.seek(100 << 20)
        out.write(b"\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    refused = m.run("status", expect=USAGE)
    assert refused.seconds < 5, refused
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 64 << 10)
    assert "104857601 bytes" in said(refused), str(refused)


def test_files_that_cannot_be_read(migration):
    m = migration()
    assert "godwit.yaml" in said(m.run("status", expect=USAGE))
    assert "elsewhere.yaml" in said(m.run("status", "-f", "elsewhere.yaml", expect=USAGE))
    (m.directory / "folder.yaml").mkdir()
    m.run("-f", "folder.yaml", "status", expect=USAGE)


@pytest.mark.parametrize("arguments, word", [
    (["fly"], "fly"), ([], "usage"), (["status", "--no-such-option"], "--no-such-option"), (["--nope", "status"], "--nope"),
    (["status", "extra"], "extra"), (["follow", "--until"], "--until"), (["follow", "--until", "tomorrow"], "tomorrow"),
    (["switch", "--yes=maybe"], "--yes"), (["status", "-f"], "-f"),
])
def test_a_wrong_command_line_is_refused(arguments, word, migration):
    m = migration()
    m.write(GOOD)
    refused = m.run(*arguments, expect=USAGE)
    assert word in said(refused), refused
    assert not (m.directory / ".godwit").exists()


def test_a_password_in_a_wrong_file_is_not_repeated(migration):
    m = migration()
    m.write(GOOD.replace("postgresql://godwit@127.0.0.1:1/a", "postgresql://godwit:sesame@127.0.0.1:1/a?nonsense=1&&%zz"))
    for command in COMMANDS:
        assert "sesame" not in said(m.run(*command.split(), expect=None))
    m.write(GOOD.replace("postgresql://godwit@127.0.0.1:1/a", "oracle://godwit:sesame@127.0.0.1:1/a"))
    assert "sesame" not in said(m.run("status", expect=USAGE))


def test_a_closed_standard_output_is_an_error_not_a_crash(migration):
    m = migration()
    m.write(GOOD)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([m.program, "status", "--json"], cwd=m.directory, stdout=full, stderr=subprocess.PIPE, timeout=20,
                              check=False)
    assert done.returncode == 5 and b"standard output" in done.stderr, done
