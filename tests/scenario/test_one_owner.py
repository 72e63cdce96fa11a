"""What a switch does when its own step is in doubt: one writable side, traffic that goes on, nothing left behind."""
import psycopg2
from godwit_support import compare, traps, writers
from godwit_support.waiting import wait_until


def said(result):
    return result.stdout + result.stderr


def writable(side):
    try:
        side.sql("UPDATE items SET n = n WHERE false", user="app")
    except psycopg2.Error as refused:
        assert "godwit" in str(refused), refused
        return False
    return True


def rows_of(*sides):
    return [side.sql("SELECT owner, epoch FROM godwit.owner")[0] for side in sides]


def waits_for_the_owner_row(side):
    return side.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                      " AND query LIKE 'UPDATE godwit.owner%'") > 0


def hook_gate(folder, **more):
    """A balancer in files: "parked" while traffic waits, "side" where it goes; unpark fails while "refuses" is there."""
    (folder / "side").write_text("blue\n")
    return {"type": "hook", "park": f"touch {folder}/parked",
            "unpark": f"test ! -e {folder}/refuses || {{ echo unpark >> {folder}/refused; exit 7; }};"
                      f" rm -f {folder}/parked",
            "point": f"echo $GODWIT_TARGET > {folder}/side",
            "probe": f"cat {folder}/side; test ! -e {folder}/parked || echo parked", **more}


# --- a flip that commits late ---

def test_a_flip_that_commits_while_it_is_being_undone_is_carried_on(pair, migration):
    """The switcher is killed while its COMMIT waits (a synchronous standby). The watchdog finds blue's row as it was,
    wants to undo, and waits at the row: when the flip commits after all, green is the owner and blue stays fenced."""
    blue, green = pair
    writers.create_tables(blue, rows=50)
    m = migration(blue, green, switch={"pause_budget": "3s", "lock_timeout": "1s"})
    traps.load(m)
    held = traps.Held(m, "switch.before_flip", "switch", *traps.FLIP).wait()
    flip = blue.connect("postgres", autocommit=False)
    with flip.cursor() as cursor:
        cursor.execute("UPDATE godwit.owner SET owner = 'green', epoch = epoch + 1")
    held.process.kill()
    wait_until(lambda: waits_for_the_owner_row(blue), 15, "the watchdog at the owner row")
    flip.commit()
    flip.close()
    wait_until(lambda: rows_of(blue, green) == [("green", 2)] * 2 and writable(green), 15, "green to own and be open")
    assert not writable(blue)
    traps.catch_up(m)
    assert m.status()["owner"] == "green" and not writable(blue)
    green.sql("UPDATE items SET n = 12 WHERE id = 1", user="app")
    traps.catch_up(m)
    compare.assert_equal(blue, green)


def switch_whose_answer_is_lost(own_pair, migration, new_proxy, tmp_path):
    """Blue's COMMIT of the flip waits for a synchronous standby when the connection is lost: the row is as before."""
    blue, green = own_pair
    writers.create_tables(blue, rows=50)
    proxy = new_proxy(blue.server)
    m = migration(blue.dsn("godwit", port=proxy.port), green, gate=hook_gate(tmp_path),
                  switch={"pause_budget": "3s", "lock_timeout": "1s"})
    traps.load(m)
    held = traps.Held(m, "switch.before_flip", "switch", *traps.FLIP).wait()
    blue.server.set(synchronous_standby_names="nobody")
    blue.server.reload()
    wait_until(lambda: blue.value("SHOW synchronous_standby_names") == "nobody", 10, "the setting")
    held.go()
    wait_until(lambda: blue.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == 1, 10,
               "the flip's commit to wait")
    proxy.reset()
    proxy.restore()
    return m, held


def free_the_commits(blue):
    blue.server.set(synchronous_standby_names="")
    blue.server.reload()


def test_a_flip_whose_answer_was_lost_and_that_commits_is_carried_on(own_pair, migration, new_proxy, tmp_path):
    blue, green = own_pair
    m, held = switch_whose_answer_is_lost(own_pair, migration, new_proxy, tmp_path)
    wait_until(lambda: waits_for_the_owner_row(blue) or not held.process.alive(), 15, "the row to be asked for again")
    assert not writable(blue), "the flip may still be committed"
    free_the_commits(blue)
    result = held.end()
    assert rows_of(blue, green) == [("green", 2)] * 2, result
    assert not writable(blue) and writable(green)
    assert not (tmp_path / "parked").exists() and (tmp_path / "side").read_text() == "green\n"
    assert m.status()["owner"] == "green" and m.status()["stage"] == "retain"


def test_a_flip_whose_answer_stays_lost_leaves_blue_fenced_until_it_is_known(own_pair, migration, new_proxy, tmp_path):
    blue, green = own_pair
    m, held = switch_whose_answer_is_lost(own_pair, migration, new_proxy, tmp_path)
    result = held.end(expect=(1, 4), timeout=60)
    assert "not known" in said(result), result
    assert not writable(blue), "the flip may still be committed"
    free_the_commits(blue)
    wait_until(lambda: [row[0] for row in rows_of(blue, green)] in (["blue"] * 2, ["green"] * 2) and
               (writable(blue) or writable(green)), 30, "one owner")
    traps.catch_up(m)
    owner = m.status()["owner"]
    assert [writable(blue), writable(green)] == [owner == "blue", owner == "green"]
    wait_until(lambda: not (tmp_path / "parked").exists(), 15, "traffic to go on")
    assert (tmp_path / "side").read_text() == owner + "\n"
    m.run(*(("switch",) if owner == "blue" else ("rollback",)), *traps.FLIP)
    assert m.status()["quarantine"] == 0


def test_torn_owner_rows_are_brought_to_one_by_the_next_command(pair, migration):
    """Whatever stage the journal is in."""
    blue, green = pair
    writers.create_tables(blue, rows=50)
    m = migration(blue, green)
    traps.load(m)
    blue.sql("UPDATE godwit.owner SET owner = 'green', epoch = epoch + 1")
    assert m.status()["stage"] == "follow"
    traps.catch_up(m)
    assert rows_of(blue, green) == [("green", 2)] * 2
    assert m.status()["owner"] == "green" and m.status()["stage"] == "retain"
    assert writable(green) and not writable(blue)


# --- an undo that fails ---

def test_traffic_goes_on_although_letting_it_go_on_failed_when_the_switch_was_undone(pair, migration, tmp_path):
    blue, green = pair
    writers.create_tables(blue, rows=50)
    m = migration(blue, green, gate=hook_gate(tmp_path, lease="1s"),
                  switch={"pause_budget": "2s", "lock_timeout": "1s"})
    traps.load(m)
    (tmp_path / "refuses").touch()
    around = blue.connect("app", autocommit=False, application_name="long-report")
    with around.cursor() as cursor:
        cursor.execute("UPDATE items SET n = 5 WHERE id = 1")
    refused = m.run("switch", *traps.FLIP, expect=1)
    assert "long-report" in said(refused) and "unpark" in said(refused), refused
    around.rollback()
    around.close()
    assert (tmp_path / "parked").exists()
    (tmp_path / "refuses").unlink()
    wait_until(lambda: not (tmp_path / "parked").exists(), 5, "the watchdog to let traffic go on")
    assert (tmp_path / "side").read_text() == "blue\n"
    wait_until(lambda: writable(blue), 5, "blue to be open")
    traps.catch_up(m)
    assert m.status()["owner"] == "blue" and m.status()["stage"] == "follow" and not writable(green)
    m.run("switch", *traps.FLIP)
    assert m.status()["owner"] == "green"


# --- definitions that change under the switch ---

def switch_with_ddl(pair, migration, ddl, point="switch.after_step"):
    """Held once the preflight is over; with DDL in a session that has not ended."""
    blue, green = pair
    writers.create_tables(blue, rows=50)
    m = migration(blue, green, switch={"pause_budget": "20s", "lock_timeout": "1s"})
    traps.load(m)
    held = traps.Held(m, point, "switch", *traps.FLIP).wait()
    session = blue.connect("app_owner", autocommit=False, application_name="late-ddl")
    with session.cursor() as cursor:
        cursor.execute(ddl)
    return m, held, session


def assert_called_off(m, blue, green):
    status = m.status()
    assert status["owner"] == "blue" and status["stage"] == "follow", status
    assert writable(blue) and not writable(green)


def test_a_table_made_after_the_preflight_calls_the_switch_off(pair, migration):
    """It has no fence and is not on green: its rows would be lost."""
    blue, green = pair
    m, held, session = switch_with_ddl(pair, migration, "CREATE TABLE late (id int PRIMARY KEY);"
                                                        "INSERT INTO late SELECT generate_series(1, 10)")
    session.commit()
    refused = held.end(expect=1)
    assert "definitions on blue changed" in said(refused), refused
    assert_called_off(m, blue, green)
    session.close()


def test_a_table_that_is_being_made_while_the_fence_stands_calls_the_switch_off(pair, migration):
    blue, green = pair
    m, held, session = switch_with_ddl(pair, migration, "CREATE TABLE late (id int PRIMARY KEY);"
                                                        "INSERT INTO late SELECT generate_series(1, 10)")
    refused = held.end(expect=1)
    assert "late-ddl" in said(refused), refused
    assert_called_off(m, blue, green)
    session.rollback()
    session.close()
    m.run("switch", *traps.FLIP)


def test_a_catalog_that_moved_without_any_definition_does_not_call_the_switch_off(pair, migration):
    """Temporary tables come and go, ANALYZE writes statistics, REINDEX changes file numbers."""
    blue, green = pair
    m, held, session = switch_with_ddl(pair, migration, "CREATE TEMP TABLE mine (id int PRIMARY KEY); DROP TABLE mine;"
                                                        "CREATE TEMP TABLE more (id int)")
    session.commit()
    blue.owner_sql("ANALYZE items; REINDEX TABLE items")
    held.end()
    assert m.status()["owner"] == "green"
    session.close()


def test_a_switch_that_is_undone_after_a_kill_does_not_forget_what_changed(pair, migration):
    blue, green = pair
    m, held, session = switch_with_ddl(pair, migration, "CREATE TABLE late (id int PRIMARY KEY)")
    session.commit()
    session.close()
    held.process.kill()
    traps.catch_up(m)
    assert_called_off(m, blue, green)
    assert "definitions on blue changed" in said(m.run("switch", *traps.FLIP, expect=1))


def test_the_glance_at_definitions_is_a_small_part_of_the_pause(pair, migration):
    blue, green = pair
    blue.owner_sql(";".join(f"CREATE TABLE t{i} (id bigserial PRIMARY KEY, a text DEFAULT 'x', b int CHECK (b > 0),"
                            f" c timestamptz, d numeric, e jsonb, f text, g text, h text); CREATE INDEX ON t{i} (c)"
                            for i in range(100)))
    writers.create_tables(blue, rows=50)
    m = migration(blue, green)
    traps.load(m)
    looks = [m.run("switch", "--rehearse", *traps.FLIP, "--json").json["steps_ms"]["definitions"] for _ in range(5)]
    print("definitions in the pause, ms:", looks)
    assert min(looks) < 60, looks


# --- known before the pause ---

def test_a_sequence_that_is_missing_on_green_is_found_before_traffic_is_parked(pair, migration):
    blue, green = pair
    writers.create_tables(blue, rows=50)
    blue.owner_sql("CREATE SEQUENCE invoices")
    m = migration(blue, green)
    traps.load(m)
    green.sql("DROP SEQUENCE invoices")
    refused = m.run("switch", "--dry-run", *traps.FLIP, expect=1)
    assert "public.invoices is missing on green" in said(refused), refused
    green.owner_sql("CREATE SEQUENCE invoices")
    m.run("switch", *traps.FLIP)


def test_the_expected_pause_is_learned_from_a_rehearsal(pair, migration, tmp_path):
    """A gate that takes its time to turn round: round trips do not tell, a rehearsal does."""
    blue, green = pair
    writers.create_tables(blue, rows=50)
    gate = hook_gate(tmp_path)
    gate["point"] = f"sleep 0.4; {gate['point']}"
    m = migration(blue, green, gate=gate)
    traps.load(m)
    before = m.run("switch", "--dry-run", *traps.FLIP, "--json")
    assert "a rehearsal says more" in said(before) and before.json["predicted_ms"] < 400, before
    rehearsed = m.run("switch", "--rehearse", *traps.FLIP, "--json").json
    expected = m.run("switch", "--dry-run", *traps.FLIP, "--json")
    assert "the last rehearsal took that" in said(expected), expected
    assert expected.json["predicted_ms"] >= max(400, int(rehearsed["pause_ms"]))


# --- who writes past the fence ---

def test_an_enabled_subscription_blocks_the_switch(own_pair, migration, new_database, servers):
    """Its workers fire no statement trigger: what it brings would be written behind the fence."""
    blue, green = own_pair
    writers.create_tables(blue, rows=50)
    blue.owner_sql("CREATE TABLE feed (id int PRIMARY KEY)")
    theirs = new_database(servers[1])
    theirs.sql("CREATE TABLE feed (id int PRIMARY KEY); CREATE PUBLICATION feed FOR TABLE feed")
    m = migration(blue, green)
    traps.load(m)
    for side in (blue, green):
        side.sql(f"CREATE SUBSCRIPTION feed CONNECTION '{theirs.server.dsn('postgres', theirs.name)}'"
                 f" PUBLICATION feed WITH (copy_data = false, slot_name = 'feed_{side.name[-6:]}')")
        try:
            refused = m.run("switch", *traps.FLIP, expect=1)
            assert "ALTER SUBSCRIPTION feed DISABLE" in said(refused), refused
            assert m.status()["owner"] == "blue"
            side.sql("ALTER SUBSCRIPTION feed DISABLE")
            m.run("switch", "--dry-run", *traps.FLIP)
        finally:
            side.sql("ALTER SUBSCRIPTION feed DISABLE")
            side.sql("DROP SUBSCRIPTION feed")
