"""What a newcomer is told to type, and the systemd unit, read as they stand."""
import configparser
import pathlib
import re
import shutil
import subprocess

import pytest
from godwit_support import binary, writers
from godwit_support.waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNIT = ROOT / "systemd" / "godwit@.service"
README = (ROOT / "README.md").read_text()


def unit():
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(UNIT.read_text())
    return parser


def test_the_unit_runs_a_file_with_nothing_but_the_sides_in_it(pair, migration):
    """All that the runner writes is where the unit lets it write."""
    service = unit()["Service"]
    command = service["ExecStart"].replace("%i", "acme").split()
    file = pathlib.Path(command[command.index("-f") + 1])
    writable = [pathlib.Path(p.lstrip("-")) for p in service["ReadWritePaths"].split()]
    assert service["ProtectSystem"] == "strict" and file.parent == pathlib.Path(service["WorkingDirectory"])
    assert file.parent == pathlib.Path("/var/lib") / service["StateDirectory"] and file.parent in writable

    blue, green = pair
    writers.create_tables(blue, rows=10)
    m = migration(blue, green)
    assert len(m.file.read_text().splitlines()) == 5
    m.file.rename(m.directory / file.name)
    assert command[0] == "godwit" and command[1] == "-f"
    before = {p for p in m.directory.iterdir()}
    runner = m.popen("-f", m.directory / file.name, *command[3:])
    wait_until(lambda: "the runner stays" in runner.stderr, 60, "the runner to be there")
    made = {p.name for p in m.directory.iterdir()} - {p.name for p in before}
    assert made == {".godwit"}, "the state is beside the file, which the unit may write to"
    assert runner.stop().rc == 0


def test_the_unit_begins_again_after_what_passes_and_not_after_an_answer():
    service = unit()["Service"]
    assert service["Restart"] == "on-failure" and service["KillMode"] == "process"
    answers = set(service["RestartPreventExitStatus"].split())
    assert answers == {"1", "2", "3"}
    assert unit()["Unit"]["StartLimitIntervalSec"] == "0", "a server that is away for long must not end it"


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("ExecStart=godwit", f"ExecStart={binary()}").replace(
        "Documentation=man:godwit(1)", ""))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                           str(copy).replace("@.", "@acme.")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    said = done.stdout.decode()
    assert "godwit@" not in said and "Unknown" not in said, said


def test_the_commands_of_the_readme_are_commands(migration):
    m = migration()
    blocks = "\n".join(re.findall(r"```\n(.*?)```", README, re.S))
    commands = set()
    for line in blocks.splitlines():
        for part in line.split("#")[0].split("&&"):
            words = part.split()
            if words and words[0] == "godwit":
                commands.add(tuple(w for w in words[1:] if not w.startswith("postgresql:")))
    assert ("check", "--grants") in commands and ("run",) in commands
    for command in commands:
        told = m.run(command[0], "--help").stdout
        for option in command[1:]:
            assert option in told, command
    assert 'export PATH="$PWD/build' in blocks, "godwit is not in PATH after ./dev build alone"


def test_the_migration_file_of_the_readme_is_one(migration):
    m = migration()
    text = re.search(r"```yaml\n(.*?)```", README, re.S).group(1)
    m.file.write_text(text)
    assert len([line for line in text.splitlines() if "gate:" not in line]) == 5
    m.run("status")


def test_the_manual_page_is_made_and_names_every_command(migration):
    if not shutil.which("scdoc"):
        pytest.skip("no scdoc here")
    page = subprocess.run(["scdoc"], input=(ROOT / "man" / "godwit.1.scd").read_bytes(), stdout=subprocess.PIPE,
                          check=True).stdout.decode()
    helped = migration().run("--help").stdout
    commands = re.findall(r"^  ([a-z]+) +\S", helped.split("common options")[0], re.M)
    assert len(commands) > 12
    for command in commands:
        assert re.search(rf"\\fB{command}\\fR", page), command
