"""plan: everything godwit makes is named in it, what it says of the way back is so, and the glass can be broken."""
import subprocess

import pytest

from godwit_support import postgres, roles, runner
from godwit_support.waiting import wait_until

SCHEMA = '''
    CREATE TABLE public.accounts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, kind regclass);
    CREATE TABLE public.orders (id bigserial PRIMARY KEY, account bigint REFERENCES public.accounts, body jsonb);
    CREATE TABLE public.ledger (note text);
    CREATE TABLE public.quiet (id int PRIMARY KEY, other int NOT NULL);
    CREATE UNIQUE INDEX quiet_other ON public.quiet (other);
    ALTER TABLE public.quiet REPLICA IDENTITY USING INDEX quiet_other;
    CREATE TABLE public.unique_only (code text NOT NULL UNIQUE);
    CREATE TABLE public.parts (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE public.parts_old PARTITION OF public.parts FOR VALUES FROM (MINVALUE) TO ('2021-01-01')
        PARTITION BY RANGE (id);
    CREATE TABLE public.parts_old_1 PARTITION OF public.parts_old FOR VALUES FROM (0) TO (1000);
    CREATE UNLOGGED TABLE public.scratch (id int);
    CREATE TABLE public."Order of ""things""" (id int PRIMARY KEY);
    INSERT INTO public.accounts (name) SELECT 'n' || i FROM generate_series(1, 30000) i;
    INSERT INTO public.orders (account, body) SELECT i, '{"a": [1, 2]}' FROM generate_series(1, 30000) i;
    INSERT INTO public.parts SELECT i, '2020-01-01' FROM generate_series(1, 100) i;
    ANALYZE public.accounts; ANALYZE public.orders;
'''

# Whatever a server keeps that has a name, and what of a table we change.
CATALOG = """
    SELECT 'relation ' || oid::regclass FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'S', 'm') AND relpersistence <> 't'
        AND relnamespace NOT IN ('pg_toast'::regnamespace)
    UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'
    UNION ALL SELECT 'function ' || oid::regprocedure FROM pg_proc
    UNION ALL SELECT 'trigger ' || tgname || ' on ' || tgrelid::regclass FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'publication ' || pubname FROM pg_publication
    UNION ALL SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
    UNION ALL SELECT 'replica identity of ' || oid::regclass || ' ' || relreplident::text FROM pg_class
        WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'setting ' || setdatabase || ' ' || setrole || ' ' || setconfig::text FROM pg_db_role_setting
    UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger
    UNION ALL SELECT 'role ' || rolname FROM pg_roles
"""


def catalog(database):
    return {row[0] for row in database.sql("SET search_path = ''; " + CATALOG)}


def fill(blue):
    blue.owner_sql(SCHEMA)


def psql(database, script, user="postgres"):
    """As somebody with nothing but psql; its output is what is left behind."""
    done = subprocess.run([postgres.program("psql"), "-X", "-q", "-A", "-t", database.server.dsn(user, database.name),
                           "-f", "-"], input=script.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          env={"PGPASSFILE": roles.passfile(database.server.base)})
    assert done.returncode == 0, done.stderr.decode()
    assert b"ERROR" not in done.stderr, done.stderr.decode()
    return done.stdout.decode()


def made(plan, side):
    return [o["what"] for o in plan["makes"] if o["side"] == side]


def is_named(thing, names):
    """Is what is new in the catalog named in the plan?"""
    kind, _, rest = thing.partition(" ")
    if "godwit." in rest or thing == "schema godwit":
        return any(n.startswith("schema godwit") for n in names) and any("godwit.fence_check" in n for n in names)
    if kind == "slot":
        return any(n.startswith(f"replication slot {rest}:") for n in names)
    if thing.startswith("replica identity of"):
        table = rest[len("identity of "):].rsplit(" ", 1)[0]
        return any(n.startswith(f"replica identity of {table}:") for n in names)
    return thing in names


def test_all_that_a_copy_makes_is_in_the_plan(pair, migration):
    blue, green = pair
    fill(blue)
    move = migration(blue, green)
    before = {"blue": catalog(blue), "green": catalog(green)}
    plan = move.run("plan", "--json").json
    assert {"blue": catalog(blue), "green": catalog(green)} == before, "plan left something behind"
    move.run("copy", timeout=180)
    new = sorted(catalog(blue) - before["blue"])
    assert [thing for thing in new if not is_named(thing, made(plan, "blue"))] == []
    assert len([t for t in new if t.startswith("trigger godwit_fence on ")]) == 9
    assert "replica identity of public.ledger f" in new
    # On green what blue has is there as well, by the plan's own words.
    own = [t for t in sorted(catalog(green) - before["green"])
           if "godwit" in t or (t.startswith("replica identity") and t not in catalog(blue))]
    assert [thing for thing in own if not is_named(thing, made(plan, "green"))] == []
    # And nothing is named that is not made.
    for side, database in (("blue", blue), ("green", green)):
        triggers = {name for name in made(plan, side) if name.startswith("trigger ")}
        assert triggers == {t for t in catalog(database) if t.startswith("trigger godwit_fence")}
    move.run("abort", "--yes", timeout=120)
    assert catalog(blue) == before["blue"]


def test_each_undo_of_the_plan_undoes(pair, migration):
    blue, green = pair
    fill(blue)
    move = migration(blue, green)
    before = catalog(blue)
    plan = move.run("plan", "--json").json
    move.run("copy", timeout=180)
    undo = [o["undo"] for o in plan["makes"] if o["side"] == "blue" and not o["undo"].startswith("--")]
    assert len(undo) > 12
    for statement in reversed(sorted(undo, key=lambda s: "SCHEMA" in s)):
        if "SCHEMA" not in statement:
            psql(blue, statement)
    psql(blue, "DROP SCHEMA godwit CASCADE;")
    assert catalog(blue) == before


@pytest.mark.parametrize("as_user", ["postgres", "godwit"])
def test_break_glass_removes_godwit_from_both_sides(pair, migration, as_user):
    blue, green = pair
    fill(blue)
    before = catalog(blue)
    move = migration(blue, green)
    running = move.popen("run")
    wait_until(lambda: move.status()["stage"] == "follow", 120, "the move to follow")
    move.run("check")  # what godwit itself made blocks nothing
    green_before = {t for t in catalog(green) if "godwit" not in t}
    scripts = {side: move.run("plan", "--break-glass", side).stdout for side in ("blue", "green")}
    assert scripts == move.run("plan", "--json", expect=None).json["break_glass"]
    running.kill()
    for side, database in (("blue", blue), ("green", green)):
        assert psql(database, scripts[side], as_user).strip() == ""
        assert psql(database, scripts[side], as_user).strip() == "", "running it again does no harm"
    assert catalog(blue) == before
    left = {t for t in catalog(green) if "godwit" in t and t != "role godwit"}
    assert left == set()
    assert {t for t in catalog(green) if "replica" not in t} == {t for t in green_before if "replica" not in t} | {"role godwit"}
    # Both are writable again, by whoever may.
    for database in (blue, green):
        database.owner_sql("INSERT INTO public.ledger VALUES ('after')")
        database.owner_sql("UPDATE public.ledger SET note = 'later'")


def test_break_glass_goes_on_when_a_lock_was_not_to_be_had(pair, migration):
    blue, green = pair
    fill(blue)
    before = catalog(blue)
    move = migration(blue, green)
    move.run("copy", timeout=180)
    script = move.run("plan", "--break-glass", "blue").stdout
    holder = blue.connect("app_owner", autocommit=False)
    holder.cursor().execute("LOCK TABLE public.orders IN ROW EXCLUSIVE MODE")
    done = subprocess.run([postgres.program("psql"), "-X", "-q", blue.server.dsn("postgres", blue.name), "-f", "-"],
                          input=script.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert b"run this script again" in done.stderr and b"trigger on" in done.stdout
    assert "schema godwit" in catalog(blue), "what the replica identities were must not be forgotten"
    holder.rollback()
    holder.close()
    assert psql(blue, script).strip() == ""
    assert catalog(blue) == before


def test_a_plan_is_not_safe_when_a_stage_has_no_way_back(own_pair, migration):
    blue, green = own_pair
    fill(blue)
    green.server.set(wal_level="replica")
    green.server.restart()
    plan = migration(blue, green, capture="log").run("plan", "--json", expect=runner.NO).json
    assert plan["safe"] is False
    back = {row["stage"]: row for row in plan["way_back"]}
    assert not back["retain"]["possible"] and "wal_level" in back["retain"]["why"]
    assert back["retain"]["loses_rows"] is None
    assert any("stage retain would have no way back" in reason for reason in plan["reasons"])
    text = migration(blue, green, capture="log").run("plan", expect=runner.NO).stdout
    assert "NOT safe" in text and "retain  NONE" in text


def test_a_plan_says_what_moves_how_and_what_stays(pair, migration):
    blue, green = pair
    fill(blue)
    blue.sql("CREATE PUBLICATION theirs FOR TABLE public.orders")
    result = migration(blue, green, copy={"chunk_rows": 10000}).run("plan", "--json")
    plan = result.json
    assert plan["safe"] is True and plan["reasons"] == []
    tables = {(t["schema"], t["name"]): t for t in plan["tables"]}
    assert set(tables) == {("public", n) for n in ("accounts", "orders", "ledger", "quiet", "unique_only", "parts_old_1",
                                                   'Order of "things"')}
    accounts = tables["public", "accounts"]
    assert accounts["path"] == "decode(text)" and "kind is regclass" in accounts["why"]
    assert accounts["rows"] == 30000 and accounts["chunks"] == 3 and accounts["key"] == "primary"
    assert tables["public", "orders"]["path"] == "passthrough"
    assert tables["public", "ledger"]["key"] == "none" and tables["public", "unique_only"]["key"] == "unique"
    assert plan["totals"]["rows"] >= 60000 and plan["totals"]["index_bytes"] > 0
    estimate = plan["estimate"]
    for name in ("read_bytes_per_second", "write_bytes_per_second", "index_bytes_per_second", "copy_least_us",
                 "copy_most_us", "index_us", "green_disk_bytes"):
        assert estimate[name] > 0, estimate
    assert estimate["copy_least_us"] * 4 <= estimate["copy_most_us"] + 4
    assert {row["id"] for row in plan["stays_behind"]} >= {"unlogged", "publications"}
    back = {row["stage"]: row for row in plan["way_back"]}
    assert [s for s, row in back.items() if not row["possible"]] == ["finish"]
    assert back["retain"]["command"] == "godwit rollback" and back["follow"]["command"] == "godwit abort"


def test_the_plan_for_a_person_ends_in_a_verdict_and_the_next_command(pair, migration):
    blue, green = pair
    fill(blue)
    move = migration(blue, green)
    text = move.run("plan").stdout
    for part in ("What moves: 7 tables", "What stays behind:", "What godwit makes", "The way back:", "Break glass",
                 "The plan is safe", "next: godwit run"):
        assert part in text, part
    assert "secret" not in text


def test_plan_needs_both_sides(own_pair, migration):
    blue, green = own_pair
    fill(blue)
    green.server.stop()
    migration(blue, green).run("plan", expect=runner.UNREACHABLE)
