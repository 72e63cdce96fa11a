"""What acts on godwit's own changes is off the side that follows and on the side that owns: foreign keys and triggers
act once, on either side, on either kind of server, and at the end everything is as it was."""
import shutil
import subprocess

import psycopg2
import pytest
from godwit_support import compare, postgres, roles, traps
from godwit_support.postgres import Postgres
from godwit_support.waiting import wait_until

SCHEMA = """
CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE goes (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE stays (id int PRIMARY KEY, parent int CONSTRAINT "odd ""key" REFERENCES parent ON DELETE SET NULL
    ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED);
COMMENT ON CONSTRAINT "odd ""key" ON stays IS 'it''s odd';
CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE);
CREATE TABLE loose_end (id int PRIMARY KEY, parent int);
INSERT INTO loose_end VALUES (1, 12345);
ALTER TABLE loose_end ADD CONSTRAINT never_checked FOREIGN KEY (parent) REFERENCES parent NOT VALID;
CREATE TABLE slots (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE slots_1 PARTITION OF slots FOR VALUES FROM (0) TO (50);
CREATE TABLE slots_2 PARTITION OF slots FOR VALUES FROM (50) TO (1000);
CREATE TABLE parts (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE,
    slot int REFERENCES slots)
    PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (500) PARTITION BY RANGE (id);
CREATE TABLE parts_11 PARTITION OF parts_1 FOR VALUES FROM (0) TO (30);
CREATE TABLE parts_12 PARTITION OF parts_1 FOR VALUES FROM (30) TO (500);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (500) TO (1000);
CREATE TABLE audit (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
CREATE TABLE shadow (id int, v text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.audit (what) VALUES (TG_NAME || TG_OP); RETURN coalesce(NEW, OLD); END $$;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := NEW.v || '!'; RETURN NEW; END $$;
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON parent FOR EACH ROW EXECUTE FUNCTION note();
COMMENT ON TRIGGER a ON parent IS 'notes';
CREATE TRIGGER b BEFORE INSERT OR UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER off BEFORE INSERT OR UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE parent DISABLE TRIGGER off;
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON stays DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER p AFTER DELETE ON parts FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER always AFTER DELETE ON goes FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE goes ENABLE ALWAYS TRIGGER always;
CREATE TRIGGER replica AFTER DELETE ON goes FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE goes ENABLE REPLICA TRIGGER replica;
CREATE RULE shade AS ON DELETE TO tree DO ALSO INSERT INTO shadow VALUES (OLD.id, 'gone');
INSERT INTO parent SELECT i, 'v' FROM generate_series(1, 60) i;
INSERT INTO goes SELECT i, i FROM generate_series(1, 60) i;
INSERT INTO stays SELECT i, i FROM generate_series(1, 60) i;
INSERT INTO tree SELECT i, nullif(i / 2, 0) FROM generate_series(1, 60) i;
INSERT INTO slots SELECT i FROM generate_series(1, 60) i;
INSERT INTO parts SELECT i * 10, i, i FROM generate_series(1, 60) i;
"""

# Exactly what the servers say; left out are only the rows that a foreign key has for each partition it points at.
CATALOG = """
SELECT 'fk', k.conrelid::regclass::text, k.conname, pg_get_constraintdef(k.oid), k.convalidated::text,
       obj_description(k.oid, 'pg_constraint')
FROM pg_constraint k WHERE k.contype = 'f' AND NOT EXISTS
    (SELECT FROM pg_constraint p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid)
UNION ALL
SELECT 'trigger', g.tgrelid::regclass::text, g.tgname, pg_get_triggerdef(g.oid), g.tgenabled::text,
       obj_description(g.oid, 'pg_trigger')
FROM pg_trigger g LEFT JOIN pg_constraint k ON k.oid = g.tgconstraint
WHERE (NOT g.tgisinternal OR (g.tgparentid <> 0 AND coalesce(k.contype, 't') = 't')) AND g.tgname !~ '^godwit'
UNION ALL
SELECT 'rule', r.ev_class::regclass::text, r.rulename, pg_get_ruledef(r.oid), r.ev_enabled::text, NULL
FROM pg_rewrite r WHERE r.rulename <> '_RETURN' AND r.ev_class >= 16384
ORDER BY 1, 2, 3
"""


def catalog(side):
    return side.sql("SET search_path = ''; " + CATALOG)


def firing(side, replica):
    """What there is that would act on what the applier does, which is aimed at tables that hold rows."""
    states = ("A", "R") if replica else ("A", "O")
    above = {name for (name,) in side.sql("SET search_path = ''; SELECT oid::regclass::text FROM pg_class"
                                          " WHERE relkind = 'p'")}
    return [row[:3] for row in catalog(side) if (row[0] == "fk" and not replica)
            or (row[0] in ("trigger", "rule") and row[4] in states and row[1] not in above)]


def is_replica(side):
    """May godwit's role be a replica there?"""
    return side.server.major >= 15 and side.value("SELECT has_parameter_privilege('godwit', 'session_replication_role',"
                                                  " 'SET')")


def changes(side):
    """Cascades, nulls, audited rows: what they leave is counted where they happen."""
    ids = [row[0] for row in side.sql("SELECT id FROM parent ORDER BY id LIMIT 6")]
    before = side.value("SELECT count(*) FROM audit")
    shaded = side.value("SELECT count(*) FROM shadow")
    side.sql("DELETE FROM parent WHERE id = ANY (%s)", (ids[:4],), user="app")
    side.sql("UPDATE parent SET v = 'w' WHERE id = %s", (ids[4],), user="app")
    side.sql("UPDATE parent SET id = id + 1000 WHERE id = %s", (ids[5],), user="app")
    leaf = side.value("SELECT max(id) FROM tree")
    side.sql("DELETE FROM tree WHERE id = %s", (leaf,), user="app")
    # parent: 4 deletes, 2 updates; goes: 4 deletes by the trigger that is always on; stays: 4 set to null, 1 follows its
    # parent; parts: 4 deletes.
    assert side.value("SELECT count(*) FROM audit") == before + 6 + 4 + 5 + 4
    assert side.value("SELECT count(*) FROM shadow") == shaded + 1
    for wrong in ("INSERT INTO goes VALUES (9000, 99999)", "INSERT INTO parts VALUES (990, 99999, 1)",
                  "INSERT INTO parts VALUES (15, 60, 99999)", "DELETE FROM slots WHERE id = 59"):
        with pytest.raises(psycopg2.Error) as refused:
            side.sql(wrong, user="app")
        assert "foreign key" in str(refused.value)


def servers_without_the_grant():
    made = []
    for name in ("blue", "green"):
        made.append(Postgres(name=name).start())
        roles.create_roles(made[-1])
        made[-1].psql("REVOKE SET ON PARAMETER session_replication_role FROM godwit")
    return made


@pytest.fixture(scope="module")
def plain_servers(_templates):
    """Debian's server on both sides, and godwit's role may not be a replica on either."""
    made = servers_without_the_grant()
    yield made
    for server in made:
        server.remove()


@pytest.fixture
def plain(plain_servers, new_database):
    blue, green = (new_database(server) for server in plain_servers)
    blue.owner_sql(SCHEMA)
    return blue, green


@pytest.fixture
def sides(request, new_server, new_database, servers):
    """(blue, green) by a word: "granted", or two versions."""
    if request.param == "granted":
        blue, green = (new_database(server) for server in servers)
    else:
        blue, green = (roles.Database(new_server(major, name)) for major, name in zip(request.param, ("blue", "green")))
    blue.owner_sql(SCHEMA)
    return blue, green


def caught_up(blue, green):
    wait_until(lambda: not compare.compare(blue, green), 30, "both sides to be equal")


def follows(m):
    wait_until(lambda: m.status()["stage"] == "follow" and m.status()["verdict"]["verdict"] == "equal", 60,
               "the runner to follow and verify")


def there_and_back(m, blue, green):
    was = catalog(blue)
    runner = m.popen("run")
    follows(m)
    changes(blue)
    caught_up(blue, green)
    assert firing(green, is_replica(green)) == []
    assert catalog(blue) == was
    m.run("switch", "--rehearse", "--unverified")
    assert firing(green, is_replica(green)) == []
    changes(blue)
    caught_up(blue, green)
    m.run("switch", *traps.FLIP)
    wait_until(lambda: catalog(green) == was, 30, "green to enforce all that blue did")
    changes(green)
    caught_up(blue, green)
    assert firing(blue, is_replica(blue)) == []
    m.run("rollback", *traps.FLIP)
    wait_until(lambda: catalog(blue) == was, 30, "blue to enforce all that it did")
    changes(blue)
    caught_up(blue, green)
    assert firing(green, is_replica(green)) == []
    m.run("verify")
    return runner, was


def test_what_acts_is_on_the_owner_only_and_as_before_after_an_abort(plain, migration):
    blue, green = plain
    m = migration(blue, green)
    runner, was = there_and_back(m, blue, green)
    m.run("abort", "--yes")
    assert runner.wait(30).rc == 0
    assert catalog(blue) == was and catalog(green) == was
    for side in plain:
        assert not side.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'godwit'")
    changes(blue)


@pytest.mark.parametrize("sides", ["granted", (13, 15), (14, 18)], indirect=True, ids=str)
def test_what_acts_is_on_the_owner_only_between_versions(sides, migration):
    blue, green = sides
    m = migration(blue, green)
    runner, was = there_and_back(m, blue, green)
    m.run("switch", *traps.FLIP)
    m.run("finish", "--yes", "--now", "--no-archive")
    assert runner.wait(30).rc == 0
    assert catalog(green) == was and catalog(blue) == was
    changes(green)


def go_on(m, *args):
    """The next command after a kill: beside the watchdog, which may be at it, too."""
    wait_until(lambda: m.run(*args, expect=None).rc == 0, 60, f"{args} to go through", interval=0.2)


@pytest.mark.parametrize("point", ["schema.tighten.before_commit:2", "switch.before_flip", "switch.between_flips",
                                   "schema.tighten.after_commit", "schema.loosen.after_one:1",
                                   "schema.loosen.after_one:6"])
def test_killed_in_a_switch_both_sides_are_what_they_should_be(plain, migration, point):
    blue, green = plain
    was = catalog(blue)
    m = migration(blue, green)
    m.run("copy")
    m.run("switch", *traps.FLIP, env={"GODWIT_CRASH_AT": point}, expect=-9)
    go_on(m, "follow", "--until", "caught-up")
    owner, other = (blue, green) if m.status()["owner"] == "blue" else (green, blue)
    assert firing(other, False) == []
    changes(owner)
    m.run("follow", "--until", "caught-up")
    compare.assert_equal(blue, green)
    if owner is green:
        m.run("rollback", *traps.FLIP)
        changes(blue)
        m.run("follow", "--until", "caught-up")
    compare.assert_equal(blue, green)
    m.run("abort", "--yes")
    assert catalog(blue) == was


def writes(side):
    """Does the application write there?"""
    try:
        side.sql("UPDATE public.slots SET id = id WHERE id = 1", user="app")
        return True
    except psycopg2.Error:
        return False


def test_overtaken_in_the_pause_nothing_acts_on_the_side_that_follows(plain, migration):
    """The switcher falls silent with everything put on green and not committed; the watchdog lets blue go on."""
    blue, green = plain
    was = catalog(blue)
    m = migration(blue, green)
    m.run("copy")
    held = traps.Held(m, "switch.before_flip", "switch", *traps.FLIP).wait()
    wait_until(lambda: writes(blue), 20, "the watchdog to let blue go on")
    changes(blue)
    assert held.end(expect=None).rc != 0
    assert m.status()["owner"] == "blue" and catalog(blue) == was
    m.run("follow", "--until", "caught-up")
    compare.assert_equal(blue, green)
    assert firing(green, False) == []
    m.run("abort", "--yes")


@pytest.mark.parametrize("point", ["schema.validate.after_one:9", "schema.restore.after_one:7",
                                   "postgres.uninstall.before_schema"])
def test_killed_at_the_end_nothing_of_it_is_lost(plain, migration, point):
    blue, green = plain
    was = catalog(blue)
    m = migration(blue, green)
    m.run("copy")
    m.run("switch", *traps.FLIP)
    end = ("finish", "--yes", "--now", "--no-archive")
    m.run(*end, env={"GODWIT_CRASH_AT": point}, expect=-9)
    m.run(*end)
    assert catalog(blue) == was and catalog(green) == was


def test_killed_while_validating_the_runner_goes_on(plain, migration):
    blue, green = plain
    was = catalog(blue)
    m = migration(blue, green)
    m.run("copy")
    m.run("switch", *traps.FLIP)
    assert [row for row in catalog(green) if row[0] == "fk" and row[4] == "true"] == []
    dies = m.popen("run", env={"GODWIT_CRASH_AT": "schema.validate.after_one:4"})
    assert dies.wait(60).rc == -9
    runner = m.popen("run")
    wait_until(lambda: catalog(green) == was, 60, "green's foreign keys to be validated")
    m.run("rollback", *traps.FLIP)
    changes(blue)
    caught_up(blue, green)
    m.run("abort", "--yes")
    assert runner.wait(30).rc == 0 and catalog(blue) == was


def test_a_rollback_does_not_wait_for_validation(plain, migration):
    blue, green = plain
    was = catalog(blue)
    m = migration(blue, green)
    m.run("copy")
    m.run("switch", *traps.FLIP)
    held = traps.Held(m, "schema.validate.after_one", "run").wait()
    # Half of them are validated; the runner's own thread is stopped for the rollback.
    held.go()
    m.run("rollback", *traps.FLIP)
    changes(blue)
    caught_up(blue, green)
    m.run("abort", "--yes")
    assert catalog(blue) == was and catalog(green) == was


def test_a_reader_on_the_old_owner_delays_following_and_not_the_switch(plain, migration):
    blue, green = plain
    was = catalog(blue)
    m = migration(blue, green)
    runner = m.popen("run")
    follows(m)
    report = blue.connect("app_owner", autocommit=False)
    report.cursor().execute("SELECT count(*) FROM public.parent")
    switch = m.popen("switch", *traps.FLIP)
    switch.wait_output("switched: green owns", 30)
    changes(green)  # is in service, and blue waits
    assert compare.compare(blue, green)
    assert "nothing is applied until foreign keys and triggers are off blue" in traps.blocks(m)
    wait_until(lambda: "waiting for a lock" in switch.stderr, 30, "the switch to say on whom it waits")
    report.rollback()
    report.close()
    assert switch.wait(60).rc == 0
    caught_up(blue, green)
    m.run("rollback", *traps.FLIP)
    wait_until(lambda: catalog(blue) == was, 30, "blue to enforce all that it did")
    m.run("abort", "--yes")
    assert runner.wait(30).rc == 0


def test_what_cannot_be_put_on_blocks_the_switch_and_changes_nothing(plain, migration):
    blue, green = plain
    m = migration(blue, green)
    m.run("copy")
    lock = green.connect("app_owner", autocommit=False)
    lock.cursor().execute("LOCK TABLE public.goes IN ROW EXCLUSIVE MODE")
    refused = m.run("switch", *traps.FLIP, expect=1)
    assert "cannot be put on green" in refused.stderr, refused
    lock.rollback()
    lock.close()
    green.sql("DROP FUNCTION public.note() CASCADE")
    refused = m.run("switch", *traps.FLIP, expect=1)
    assert "cannot be put on green" in refused.stderr and "note() does not exist" in refused.stderr, refused
    assert m.status()["owner"] == "blue"
    changes(blue)
    m.run("follow", "--until", "caught-up")
    compare.assert_equal(blue, green)
    m.run("abort", "--yes")


def test_a_lost_journal_loses_nothing_of_it(plain, migration):
    blue, green = plain
    was = catalog(blue)
    m = migration(blue, green)
    m.run("copy")
    shutil.rmtree(m.directory / ".godwit")
    m.run("adopt")
    m.run("switch", *traps.FLIP)
    changes(green)
    m.run("follow", "--until", "caught-up")
    shutil.rmtree(m.directory / ".godwit")
    m.run("adopt")
    m.run("rollback", *traps.FLIP)
    changes(blue)
    m.run("follow", "--until", "caught-up")
    compare.assert_equal(blue, green)
    m.run("abort", "--yes")
    assert catalog(blue) == was and catalog(green) == was


def test_rows_that_contradict_a_foreign_key_are_named_and_stop_finish(plain, migration):
    blue, green = plain
    m = migration(blue, green)
    m.run("copy")
    m.run("switch", *traps.FLIP)
    green.sql("SET session_replication_role = replica; INSERT INTO public.goes VALUES (7777, 7777)")
    refused = m.run("finish", "--yes", "--now", "--no-archive", expect=1)
    assert "goes_parent_fkey" in refused.stderr and "repair the rows" in refused.stderr, refused
    green.sql("DELETE FROM public.goes WHERE id = 7777", user="app")
    m.run("finish", "--yes", "--now", "--no-archive")
    assert not [row for row in catalog(green) if row[0] == "fk" and row[4] == "false" and row[2] != "never_checked"]


def test_the_plan_names_it_and_the_glass_can_be_broken(plain, migration):
    blue, green = plain
    was = catalog(blue)
    m = migration(blue, green)
    plan = m.run("plan", "--json", expect=None).json
    named = [o for o in plan["makes"] if o["side"] == "blue" and " off blue " in o["what"]]
    assert {(o["what"].split(" off blue ")[0]) for o in named} >= {"FK CONSTRAINT public goes goes_parent_fkey",
                                                                   "TRIGGER public parent a", "RULE public tree shade"}
    assert all(o["sql"] and o["undo"] for o in named)
    m.run("copy")
    m.run("switch", *traps.FLIP)
    scripts = {side: m.run("plan", "--break-glass", side).stdout for side in ("blue", "green")}
    for side, database in (("blue", blue), ("green", green)):
        for _ in range(2):
            done = subprocess.run([postgres.program("psql"), "-X", "-q", "-A", "-t",
                                   database.server.dsn("godwit", database.name), "-f", "-"],
                                  input=scripts[side].encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                                  env={"PGPASSFILE": roles.passfile(database.server.base)})
            assert done.returncode == 0 and b"ERROR" not in done.stderr, done.stderr.decode()
            assert done.stdout.strip() == b""
        assert catalog(database) == was
    changes(green)
