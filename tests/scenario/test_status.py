"""status: what blocks the next change of owner, the way back as it is, and what to do next."""
import json
import os
import pty
import re
import socket
import sqlite3
import subprocess
import time

import pytest
from godwit_support import traps, writers
from godwit_support.pgbouncer import ADMIN, ADMIN_PASSWORD
from godwit_support.runner import clean_env
from godwit_support.waiting import wait_until


def loaded(pair, migration, **kwargs):
    blue, green = pair
    writers.create_tables(blue, rows=50)
    m = migration(blue, green, **kwargs)
    traps.load(m)
    return blue, green, m


def test_a_new_migration_has_nothing_to_go_back_from(pair, migration):
    m = migration(*pair)
    status = m.status()
    assert status["stage"] == "new" and "go_back" not in status
    assert "go back" not in m.run("status", "--check").stdout


def test_what_blocks_the_switch_is_named_and_next_is_what_helps(pair, migration):
    blue, _, m = loaded(pair, migration)
    status = m.status()
    assert "never compared" in traps.blocks(m) and status["next"] == "godwit run"
    assert m.run("status", "--check", expect=1).stdout.count("blocks switch:") == 1
    runner = m.popen("run")
    wait_until(lambda: m.status()["verdict"]["verdict"] == "equal" and not m.status()["blocks"], 60, "nothing to block")
    m.run("status", "--check")
    assert m.status()["next"] == "godwit switch --rehearse"
    back = m.status()["go_back"]
    assert back["possible"] and back["loses_rows"] == 0 and 0 < back["takes_us"] < 60e6
    runner.stop()


def test_after_a_rehearsal_the_switch_is_next(pair, migration):
    _, _, m = loaded(pair, migration)
    runner = m.popen("run")
    wait_until(lambda: m.status()["next"] == "godwit switch --rehearse", 60, "the runner to be ready")
    m.run("switch", "--rehearse", "--ignore-sessions")
    wait_until(lambda: m.status()["next"] == "godwit switch", 20, "the switch to be next")
    runner.stop()


def test_figures_stand_beside_their_limits(pair, migration):
    _, _, m = loaded(pair, migration, follow={"spool_limit": "7GB", "wal_limit": "3GB"})
    runner = m.popen("run")
    wait_until(lambda: len(m.status()["streams"]) == 2, 60, "both directions")
    text = m.run("status").stdout
    assert re.search(r"blue>green +lag .*spool .* of 7\.0 GB", text), text
    assert re.search(r"blue +keeps .* of its change log for us, guard at 3\.0 GB", text), text
    assert m.status()["spool_limit_bytes"] == 7 * 10**9
    assert {r["guard_bytes"] for r in m.status()["retained"]} == {3 * 10**9}
    runner.stop()


def test_a_verdict_older_than_its_limit_blocks_the_switch_until_verify_ran_again(pair, migration):
    _, _, m = loaded(pair, migration, verify={"max_age": "1h"})
    m.run("verify")
    assert m.status()["blocks"] == [] and m.status()["verdict"]["max_age_us"] == 3600 * 10**6
    assert re.search(r"verdict +equal \(2/2 tables equal, .*old", m.run("status").stdout)
    with sqlite3.connect(m.directory / ".godwit" / "acme" / "state.db") as journal:
        journal.execute("UPDATE verdict SET wall_us = wall_us - 2 * 3600 * 1000000 WHERE collection = 0")
    journal.close()
    status = m.status()
    assert "verdict is 2h00m old, and verify.max_age is 1h00m: godwit verify" in traps.blocks(m)
    assert status["verdict"]["age_us"] >= 7200 * 10**6 and status["verdict"]["verdict"] == "equal"
    said = m.run("switch", "--yes", "--ignore-sessions", expect=1)
    assert "verify.max_age is 1h00m: godwit verify, or godwit switch --unverified" in said.stdout + said.stderr
    assert m.status()["owner"] == "blue"
    m.run("verify")
    assert m.status()["blocks"] == []
    m.run("switch", "--yes", "--ignore-sessions")


def test_sessions_around_the_gate_block(pair, migration, new_pgbouncer):
    blue, green = pair
    bouncer = new_pgbouncer(blue)
    gate = {"type": "pgbouncer", "database": "app", "ini": str(bouncer.ini()),
            "admin": f"postgresql://{ADMIN}:{ADMIN_PASSWORD}@127.0.0.1:{bouncer.port}/pgbouncer"}
    _, _, m = loaded(pair, migration, gate=gate)
    m.run("verify")
    assert m.status()["blocks"] == []
    around = blue.connect("app", application_name="cron")
    wait_until(lambda: "1 session bypasses the gate" in traps.blocks(m), 10, "the session to be named")
    assert "app@" in traps.blocks(m) and "cron" in traps.blocks(m)
    around.close()
    wait_until(lambda: m.status()["blocks"] == [], 10, "nobody to be around")
    bouncer.remove()
    assert "gate" in traps.blocks(m)


def test_after_the_switch_the_way_back_and_the_end_of_the_period_are_named(pair, migration):
    _, green, m = loaded(pair, migration, retain="30d")
    m.run("verify")
    traps.to_green(m)
    status = m.status()
    assert status["go_back"]["command"] == "godwit rollback" and status["go_back"]["possible"]
    assert "a pause like the last one" in status["go_back"]["takes"], status["go_back"]
    assert status["next"] == "godwit run" and "ageing" in traps.blocks(m)
    runner = m.popen("run")
    wait_until(lambda: m.status()["next"].startswith("godwit rollback, or godwit finish in 29d")
               or m.status()["next"].startswith("godwit rollback, or godwit finish in 30d"), 30, m.status()["next"])
    green.sql("UPDATE godwit.owner SET changed_at = now() - interval '31 days'", user="godwit")
    assert m.status()["next"] == "godwit finish"
    runner.stop()


def test_a_way_back_that_is_lost_is_said_to_be_none(pair, migration):
    _, green, m = loaded(pair, migration)
    m.run("verify")
    traps.to_green(m)
    green.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()")
    status = m.status()
    assert status["go_back"]["possible"] is False and status["go_back"]["loses_rows"] is None
    assert "rollback is impossible" in traps.blocks(m) and status["next"] == "godwit finish --now"
    text = m.run("status", "--check", expect=1).stdout
    assert "go back    NONE" in text and "loses 0 rows" not in text


@pytest.mark.parametrize("point", ["end.after_drop", "end.before_exchange", "end.after_exchange"])
@pytest.mark.parametrize("end", ["abort", "finish"])
def test_a_runner_that_ends_a_migration_answers_status_all_along(pair, migration, end, point):
    _, _, m = loaded(pair, migration)
    if end == "finish":
        traps.to_green(m)
    held = traps.Held(m, point, "run")
    wait_until(lambda: m.status()["stage"] in ("follow", "retain") and m.status()["runner_pid"], 60, "the runner")
    wait_until(lambda: m.status()["verdict"]["verdict"] == "equal", 60, "the runner to be done with its own work")
    asker = m.popen(end, "--yes", *(("--now", "--no-archive") if end == "finish" else ()))
    held.wait()
    for _ in range(3):
        status = m.status()
        assert status["stage"] in (end, f"{end}ed") and status["owner"] == ("green" if end == "finish" else "blue")
    held.end()
    assert asker.wait().rc == 0
    assert m.status()["stage"] == {"abort": "aborted", "finish": "finished"}[end]


def test_clients_that_ask_nothing_hold_up_nobody(pair, migration):
    _, _, m = loaded(pair, migration)
    runner = m.popen("run")
    wait_until(lambda: m.status()["verdict"]["verdict"] == "equal", 60, "the runner")
    silent = []
    socket_path = next(m.directory.glob(".godwit/*/runner.sock"))
    folder = os.open(socket_path.parent, os.O_PATH)  # the path itself may be longer than an address can be
    for _ in range(8):
        silent.append(socket.socket(socket.AF_UNIX))
        silent[-1].connect(f"/proc/self/fd/{folder}/runner.sock")
    os.close(folder)
    asked = m.run("status", "--json")
    assert asked.seconds < 1.5 and asked.json["stage"] == "follow", asked.seconds
    assert m.run("follow", "--until", "caught-up").rc == 0
    for one in silent:
        one.close()
    assert runner.stop().rc == 0


def test_a_side_that_says_nothing_holds_up_no_other_request(own_pair, migration):
    blue, green = own_pair
    writers.create_tables(blue, rows=50)
    m = migration(blue, green)
    traps.load(m)
    runner = m.popen("run")
    wait_until(lambda: m.status()["verdict"]["verdict"] == "equal", 60, "the runner")
    green.server.freeze()
    try:
        waiting = [m.popen("status") for _ in range(2)]
        listed = m.run("quarantine", "--json", timeout=15)
        assert listed.seconds < 5, listed
        assert all(one.alive() for one in waiting), "they wait for green, nobody waits for them"
    finally:
        green.server.thaw()
    for one in waiting:
        assert one.wait(60).rc == 0
    assert runner.stop().rc == 0


def test_the_history_tells_what_happened_when(pair, migration):
    _, _, m = loaded(pair, migration)
    m.run("switch", *traps.FLIP)
    text = m.run("status", "--history").stdout
    assert re.search(r"^\d{4}-\d\d-\d\dT?.*  stage  copy$", text, re.M), text
    assert text.index("  copy\n") < text.index("  retain\n") and "green owns the data now" in text
    events = m.run("status", "--history", "--json").json["events"]
    assert [e["text"] for e in events if e["kind"] == "stage"] == ["copy", "follow", "switch", "retain"]


def test_watch_shows_again_until_it_is_stopped(pair, migration):
    _, _, m = loaded(pair, migration)
    watch = m.popen("status", "--watch", "--json")
    wait_until(lambda: watch.stdout.count('"stage": "follow"') >= 2, 20, "two looks")
    result = watch.stop(expect=None)
    decoder, text, seen = json.JSONDecoder(), result.stdout, 0
    while text.strip():
        _, end = decoder.raw_decode(text.lstrip())
        text, seen = text.lstrip()[end:], seen + 1
    assert seen >= 2


def on_a_terminal(m, *args, **env):
    """What a command writes when its output is a terminal."""
    master, slave = pty.openpty()
    settings = clean_env(m.directory, {**m.env, "TERM": "xterm", **env})
    if "NO_COLOR" not in env:
        del settings["NO_COLOR"]
    process = subprocess.Popen([m.program, *args], cwd=m.directory, env=settings, stdin=slave, stdout=slave,
                               stderr=slave, start_new_session=True)
    os.close(slave)
    text, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            part = os.read(master, 65536)
        except OSError:  # nobody has the other end any more
            break
        if not part:
            break
        text += part
    os.close(master)
    return process.wait(10), text.decode(errors="replace")


def test_a_terminal_gets_a_bar_and_colours_and_no_color_is_respected(pair, migration):
    blue, green = pair
    writers.create_tables(blue, rows=50)
    blue.owner_sql("CREATE TABLE many AS SELECT i AS id, repeat('x', 200) AS t FROM generate_series(1, 200000) i;"
                   "ALTER TABLE many ADD PRIMARY KEY (id); ANALYZE")
    m = migration(blue, green)
    code, text = on_a_terminal(m, "copy")
    assert code == 0 and re.search(r"\[#*\.*\] ", text), text[-2000:]
    assert "rows" in text and "/s" in text
    red = "\033[31m"
    code, text = on_a_terminal(m, "finish", "--yes")
    assert code == 1 and red in text
    code, text = on_a_terminal(m, "finish", "--yes", NO_COLOR="1")
    assert code == 1 and "error:" in text and not re.search("\033\\[[0-9;]*m", text), text


def test_a_place_in_the_log_that_could_not_be_dropped_is_dropped_later_and_the_loss_is_said(own_pair, migration):
    blue, green = own_pair
    writers.create_tables(blue, rows=300)
    m = migration(blue, green, follow={"wal_limit": "1MB"})
    traps.load(m)
    runner = m.popen("run")
    wait_until(lambda: m.status()["verdict"]["verdict"] == "equal", 60, "the runner")
    traps.to_green(m)
    slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"
    lock = blue.connect("postgres", autocommit=False)
    lock.cursor().execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")  # the way back cannot go on
    green.sql("ALTER ROLE godwit NOREPLICATION")
    green.owner_sql("UPDATE items SET payload = (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 400) g)")
    runner.wait_output("disk guard could not look", 60)
    assert green.value(slots) == 1
    green.sql("ALTER ROLE godwit REPLICATION")
    wait_until(lambda: green.value(slots) == 0, 30, "the place to be dropped after all")
    wait_until(lambda: not m.status()["go_back"]["possible"], 20, "status to know")
    assert "rollback is impossible" in traps.blocks(m) and m.status()["next"] == "godwit finish --now"
    assert "only godwit finish" in runner.stderr and "godwit abort" not in runner.stderr
    lock.rollback()
    lock.close()
    runner.stop(expect=None)
    assert m.status()["go_back"]["possible"] is False, "also when nobody runs"
    m.run("finish", "--yes", "--now", "--no-archive")
