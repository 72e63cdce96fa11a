"""check: what it finds, that its fixes fix it, and that the rights it prints are those that are needed."""
import re
import subprocess

import psycopg2
import pytest

from godwit_support import postgres, roles, runner
from godwit_support.waiting import wait_until

SCHEMA = """
    CREATE TABLE public.accounts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, kind regclass);
    CREATE TABLE public.orders (id bigserial PRIMARY KEY, account bigint REFERENCES public.accounts, body jsonb);
    INSERT INTO public.accounts (name) SELECT 'n' || i FROM generate_series(1, 50) i;
    INSERT INTO public.orders (account, body) SELECT i, '{}' FROM generate_series(1, 50) i;
"""


def psql(database, script, user="postgres", name=None, **kwargs):
    """Runs a script as an administrator does; an error ends it and fails the test."""
    dsn = database.server.dsn(user, name or database.name)
    done = subprocess.run([postgres.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", dsn, "-f", "-"],
                          input=script.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **kwargs)
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


def findings(migration, expect=None):
    report = migration.run("check", "--json", expect=expect).json
    return {(f["side"], f["id"]): f for f in report["findings"]}, report


def blocking(report):
    return [(f["side"], f["id"], f["what"]) for f in report["findings"] if f["severity"] == "blocks"]


# --- rights: the script is enough, and nothing of it is too much ---


class Bare:
    """A database on a server that knows nothing of godwit."""

    def __init__(self, server, owner=None):
        self.server, self.name = server, "shop"
        server.psql(f'CREATE DATABASE shop TEMPLATE template0 {"OWNER " + owner if owner else ""}')

    def dsn(self, user):
        return self.server.dsn(user, self.name)

    def sql(self, text):
        return self.server.psql(text, dbname=self.name)

    def set_password(self):
        self.server.psql(f"ALTER ROLE godwit PASSWORD '{roles.PASSWORDS['godwit']}'")


def make_app(server):
    server.psql("CREATE ROLE app_owner LOGIN; CREATE ROLE app LOGIN; CREATE ROLE reporting NOLOGIN")
    blue = Bare(server, "app_owner")
    blue.sql("GRANT ALL ON SCHEMA public TO app_owner; SET ROLE app_owner;" + SCHEMA + """
        CREATE SCHEMA billing;
        CREATE TABLE billing.invoices (id uuid PRIMARY KEY, total numeric);
        GRANT USAGE ON SCHEMA billing TO reporting;
        GRANT SELECT ON ALL TABLES IN SCHEMA public, billing TO app, reporting;
    """)
    return blue


def take_script(migration, side):
    return migration.run("check", "--grants", "--side", side).stdout


@pytest.mark.parametrize("majors", [(15, 15), (13, 18), (14, 17), (15, 16)])
def test_a_superuser_runs_the_printed_scripts_and_nothing_blocks(new_server, migration, majors):
    blue = make_app(new_server(majors[0], "blue", with_roles=False))
    green = Bare(new_server(majors[1], "green", with_roles=False))
    move = migration(blue, green)
    report = move.run("check", "--json", expect=runner.UNREACHABLE).json
    assert [f["id"] for f in report["findings"] if f["severity"] == "blocks"] == ["unreachable", "unreachable"]

    for database, side in ((blue, "blue"), (green, "green")):
        script = take_script(move, side)
        for _ in range(2):  # running it again does no harm
            psql(database, script)
        database.set_password()
    psql(blue, take_script(move, "blue"))
    psql(green, take_script(move, "green"))

    found, report = findings(move)
    assert blocking(report) == [], report
    assert (("blue", "replica-role") in found) == (majors[0] < 15)
    # Every look works on every version.
    assert not [f for f in report["findings"] if f["id"] == "not-looked"], report
    for side in ("blue", "green"):
        assert move.run("audit", "--side", side, "--json").json["sections"]["not_read"] == []
    superuser = "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles WHERE rolname = 'godwit'"
    for side in (blue, green):
        assert side.server.psql(superuser) == [(False,)]
    assert green.server.psql("SELECT rolcanlogin FROM pg_roles WHERE rolname IN ('app', 'app_owner', 'reporting')"
                             " ORDER BY rolname") == [(True,), (True,), (False,)]


def test_what_the_scripts_give_is_enough_for_the_load(new_server, migration):
    blue = make_app(new_server(None, "blue", with_roles=False))
    green = Bare(new_server(None, "green", with_roles=False))
    move = migration(blue, green)
    for database, side in ((blue, "blue"), (green, "green")):
        psql(database, take_script(move, side))
        database.set_password()
    move.run("check")
    move.run("copy", timeout=120)
    assert green.sql("SELECT count(*), min(tableowner), max(tableowner) FROM pg_tables WHERE schemaname IN"
                     " ('public', 'billing')") == [(3, "app_owner", "app_owner")]
    assert green.sql("SELECT count(*) FROM public.orders") == [(50,)]
    assert green.sql("SELECT has_table_privilege('reporting', 'billing.invoices', 'SELECT')") == [(True,)]
    move.run("abort", "--yes", timeout=120)


def test_each_right_of_the_script_is_missed_when_it_is_taken_away(own_pair, migration):
    blue, green = own_pair
    blue.owner_sql(SCHEMA)
    move = migration(blue, green, capture="log")
    findings(move, expect=runner.OK)
    name = f'"{blue.name}"'
    blue.sql(f"ALTER DATABASE {name} OWNER TO postgres")  # who owns it may create in it anyway
    taken = [("ALTER ROLE godwit NOREPLICATION", "role-replication"),
             (f"REVOKE CREATE ON DATABASE {name} FROM godwit", "role-create"),
             ("REVOKE pg_monitor FROM godwit", "role-monitor"),
             ("REVOKE app_owner FROM godwit", "role-member"),
             ("REVOKE pg_signal_backend FROM godwit", "role-signal"),
             ("REVOKE SET ON PARAMETER session_replication_role FROM godwit", "replica-role")]
    for statement, name in taken:
        blue.sql(statement)
        found, _ = findings(move)
        assert ("blue", name) in found, (statement, sorted(found))
        psql(blue, found["blue", name]["fix"])
        found, _ = findings(move)
        assert ("blue", name) not in found, (statement, found["blue", name])


def test_before_version_15_the_script_and_the_check_say_what_is_not_to_be_had(new_server, migration):
    blue, green = (roles.Database(new_server(13, name)) for name in ("blue", "green"))
    blue.owner_sql("CREATE TABLE public.plain (id int PRIMARY KEY)")
    move = migration(blue, green)
    script = take_script(move, "blue")
    assert "NOT TO BE HAD on PostgreSQL 13" in script
    assert "\nGRANT SET ON PARAMETER" not in script
    found, _ = findings(move, expect=runner.OK)
    assert ("blue", "replica-role") not in found, "without foreign keys and triggers it does not matter"
    assert found["green", "replica-role"]["severity"] == "warning"
    assert "before version 15" in found["green", "replica-role"]["fix"]
    blue.owner_sql(SCHEMA)
    found, _ = findings(move, expect=runner.OK)
    assert found["blue", "replica-role"]["severity"] == "warning" and not found["blue", "replica-role"]["breaks_way_back"]
    assert "public.orders" in found["blue", "replica-role"]["what"]


RDS = """
    CREATE ROLE rds_superuser; CREATE ROLE rds_replication;
    CREATE ROLE master LOGIN CREATEROLE CREATEDB PASSWORD 'm';
    GRANT rds_superuser TO master;
    GRANT pg_monitor, pg_signal_backend, rds_replication TO rds_superuser WITH ADMIN OPTION;
    GRANT SET ON PARAMETER session_replication_role TO rds_superuser WITH GRANT OPTION;
"""


def test_rds_like_servers_get_a_script_that_needs_no_superuser(new_server, migration):
    sides = []
    for name in ("blue", "green"):
        server = new_server(None, name, with_roles=False)
        server.psql(RDS)
        sides.append(Bare(server, "master"))
        sides[-1].sql("ALTER SCHEMA public OWNER TO master")
    blue, green = sides
    blue.sql("SET ROLE master; CREATE ROLE app_owner; GRANT app_owner TO master; GRANT CREATE, USAGE ON SCHEMA public TO"
             " app_owner; SET ROLE app_owner;" + SCHEMA)
    move = migration(blue, green)
    for database, side in ((blue, "blue"), (green, "green")):
        script = take_script(move, side)
        assert "rds_replication" in script
        psql(database, "SET ROLE master;" + script)
        database.set_password()
    found, _ = findings(move)
    # What the provider's own server does for members of rds_replication, this one does by the attribute.
    assert ("blue", "replication-connection") in found
    assert ("blue", "role-replication") not in found
    for side in sides:
        side.server.psql("ALTER ROLE godwit REPLICATION")
    _, report = findings(move, expect=runner.OK)
    script = take_script(move, "blue")
    assert "the master user (a member of rds_superuser)" in script
    assert "GRANT rds_replication TO \"godwit\";" in script and "ALTER ROLE" not in script
    assert blocking(report) == []


def test_rds_like_fixes_name_the_parameter_group(new_server, migration):
    blue, green = (new_server(None, name, with_roles=False) for name in ("blue", "green"))
    blue.set(wal_level="replica")
    blue.restart()
    for server in (blue, green):
        server.psql(RDS)
        roles.create_roles(server)
    move = migration(roles.Database(blue), roles.Database(green), capture="log")
    found, _ = findings(move, expect=runner.NO)
    assert "rds.logical_replication" in found["blue", "wal-level"]["fix"]


def test_a_heroku_like_side_is_captured_by_triggers(new_server, migration):
    blue, green = (new_server(None, name, with_roles=False) for name in ("blue", "green"))
    blue.psql(f"CREATE ROLE u1234 LOGIN PASSWORD '{roles.PASSWORDS['godwit']}'")
    roles.create_roles(green)
    side = Bare(blue, "u1234")
    side.sql("ALTER SCHEMA public OWNER TO u1234; SET ROLE u1234;" + SCHEMA)
    move = migration(side.dsn("u1234"), roles.Database(green))
    with open(move.env["PGPASSFILE"], "a", encoding="ascii") as passfile:
        passfile.write(f"*:*:*:u1234:{roles.PASSWORDS['godwit']}\n")
    found, _ = findings(move, expect=None)
    assert "u1234 has no REPLICATION" in found["blue", "capture"]["what"]
    assert found["blue", "role-monitor"]["severity"] == "warning"
    assert not [f for (where, _), f in found.items() if where == "blue" and f["severity"] == "blocks"]
    script = take_script(move, "blue")
    assert "captures changes by triggers" in script and "REPLICATION" not in script
    move.store["capture"] = "log"
    move.write()
    found, _ = findings(move, expect=runner.NO)
    assert found["blue", "role-replication"]["severity"] == "blocks"
    assert "capture: trigger" in found["blue", "role-replication"]["fix"]


# --- findings ---

# Side, id, severity, what makes it (SQL of a superuser on that side), whether its fix, run as it stands, makes it go away.
TOGETHER = [
    ("blue", "large-objects", "blocks", "SELECT lo_create(0)", False),
    ("blue", "unlogged", "warning", "CREATE UNLOGGED TABLE public.scratch (id int)", True),
    ("blue", "keyless", "warning", "CREATE TABLE public.ledger (note text)", False),
    ("blue", "identity-nothing", "info", "ALTER TABLE public.accounts REPLICA IDENTITY NOTHING", False),
    ("blue", "text-path", "info", "SELECT 1", False),
    ("blue", "triggers-always", "info",
     "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
     "CREATE TRIGGER t BEFORE INSERT ON public.accounts FOR EACH ROW EXECUTE FUNCTION public.f();"
     "ALTER TABLE public.accounts ENABLE ALWAYS TRIGGER t", False),
    ("blue", "rules", "info", "CREATE RULE r AS ON DELETE TO public.orders DO ALSO NOTHING", False),
    ("blue", "rules-always", "info", "CREATE RULE r AS ON DELETE TO public.accounts DO ALSO NOTHING;"
     "ALTER TABLE public.accounts ENABLE ALWAYS RULE r", False),
    ("blue", "inheritance", "info", "CREATE TABLE public.special () INHERITS (public.orders)", False),
    ("blue", "foreign-tables", "warning",
     "CREATE EXTENSION postgres_fdw; CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;"
     "CREATE FOREIGN TABLE public.far (id int) SERVER elsewhere", False),
    ("blue", "event-triggers", "warning",
     "CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
     "CREATE EVENT TRIGGER watch ON sql_drop EXECUTE FUNCTION public.e()", False),
    ("blue", "publications", "warning", "CREATE PUBLICATION theirs FOR TABLE ONLY public.orders", False),
    ("blue", "subscriptions", "info",
     "CREATE SUBSCRIPTION theirs CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false)", False),
    ("blue", "extension-tables", "warning",
     "CREATE EXTENSION pageinspect; CREATE TABLE public.pages AS SELECT 1 AS n;"
     "ALTER EXTENSION pageinspect ADD TABLE public.pages", False),
    ("blue", "oid-columns", "warning", "ALTER TABLE public.accounts ADD picture oid", False),
    ("blue", "materialized-views", "info", "CREATE MATERIALIZED VIEW public.totals AS SELECT 1 AS n", False),
    ("blue", "row-security", "blocks", "ALTER TABLE public.accounts ENABLE ROW LEVEL SECURITY;"
     "ALTER TABLE public.accounts FORCE ROW LEVEL SECURITY", False),
    ("blue", "superuser-owned", "blocks", "CREATE TABLE public.rooted (id int PRIMARY KEY)", True),
    ("blue", "schema-usage", "blocks", "CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int PRIMARY KEY)", True),
    ("blue", "table-select", "blocks", "CREATE TABLE public.sealed (id int PRIMARY KEY);"
     "ALTER TABLE public.sealed OWNER TO app_owner; REVOKE SELECT ON public.sealed FROM app_owner", True),
    ("blue", "prepared-transactions", "warning", None, True),
    ("blue", "invalid-indexes", "warning", None, True),
    ("green", "target-not-empty", "blocks", "CREATE TABLE public.accounts (id int)", True),
    ("green", "schema-create", "blocks", "ALTER DATABASE @db@ OWNER TO postgres;"
     " REVOKE CREATE ON SCHEMA public FROM PUBLIC, app_owner", True),
    ("green", "defaults", "warning", None, True),
    ("green", "settings-differ", "warning", None, True),
    ("green", "extension-missing", "blocks", None, True),
]


def make_everything_wrong(sides):
    blue = sides["blue"]
    for side, _, _, setup, _ in TOGETHER:
        if setup:
            sides[side].sql(setup.replace("@db@", f'"{sides[side].name}"'))
    blue.sql(f'ALTER ROLE app IN DATABASE "{blue.name}" SET work_mem = \'7MB\'')
    blue.sql(f'ALTER DATABASE "{blue.name}" SET timezone = \'Asia/Tokyo\'')
    blue.sql("UPDATE ONLY public.orders SET account = 1")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        blue.sql("CREATE UNIQUE INDEX CONCURRENTLY half ON public.orders (account)")
    blue.sql(f"BEGIN; UPDATE public.orders SET account = 2 WHERE id = 1; PREPARE TRANSACTION '{blue.name} left behind'")


def test_check_finds_what_is_wrong_and_its_fixes_mend_it(pair, migration):
    blue, green = pair
    sides = {"blue": blue, "green": green}
    blue.owner_sql(SCHEMA)
    move = migration(blue, green)
    try:
        make_everything_wrong(sides)
        found, report = findings(move, expect=runner.NO)
        assert not [f for f in report["findings"] if f["id"] == "not-looked"], report
        assert all(f["fix"].strip() for f in report["findings"]), report
        for side, name, severity, _, _ in TOGETHER:
            assert (side, name) in found, f"{side} {name} not found"
            finding = found[side, name]
            assert finding["severity"] == severity, finding
            assert len(finding["what"]) > 20 and "{" not in finding["what"], finding
        assert "left behind" in found["blue", "prepared-transactions"]["what"]
        # The transaction first: it holds a lock on a table that others change.
        fixing = sorted((c for c in TOGETHER if c[4]), key=lambda case: case[1] != "prepared-transactions")
        for side, name, _, _, _ in fixing:
            psql(sides[side], found[side, name]["fix"])
        left, _ = findings(move)
        for side, name, _, _, fixed in TOGETHER:
            assert ((side, name) in left) != fixed, f"{side} {name}"
    finally:  # or the database could not be dropped
        blue.sql("ALTER SUBSCRIPTION theirs SET (slot_name = NONE)")
        blue.sql("DROP SUBSCRIPTION theirs")


def test_check_finds_that_there_is_nothing_to_move_and_that_its_own_schema_is_somebody_elses(pair, migration):
    blue, green = pair
    for side in pair:
        side.sql("CREATE SCHEMA godwit")
    move = migration(blue, green)
    found, _ = findings(move, expect=runner.NO)
    assert found["blue", "nothing-to-move"]["severity"] == "blocks"
    for name, side in (("blue", blue), ("green", green)):
        assert found[name, "home-taken"]["severity"] == "blocks"
        psql(side, found[name, "home-taken"]["fix"])
    found, _ = findings(move)
    assert ("blue", "home-taken") not in found and ("green", "home-taken") not in found


def test_check_names_transactions_that_the_change_log_would_wait_for(pair, migration):
    blue, green = pair
    blue.owner_sql(SCHEMA)
    move = migration(blue, green)
    lingering = blue.connect("app_owner", autocommit=False, application_name="nightly-report")
    lingering.cursor().execute("UPDATE public.accounts SET name = 'x' WHERE id = 1")
    wait_until(lambda: ("blue", "open-transactions") in findings(move)[0], 30, "the transaction to be old enough")
    finding = findings(move)[0]["blue", "open-transactions"]
    assert "nightly-report" in finding["what"]
    psql(blue, finding["fix"])
    assert ("blue", "open-transactions") not in findings(move)[0]
    lingering.close()


def test_check_names_sessions_that_share_godwits_role(pair, migration):
    blue, green = pair
    blue.owner_sql(SCHEMA)
    move = migration(blue, green)
    assert ("blue", "role-shared") not in findings(move)[0]
    intruder = blue.connect("godwit", application_name="billing-worker")
    found, _ = findings(move, expect=runner.NO)
    assert "billing-worker" in found["blue", "role-shared"]["what"]
    psql(blue, found["blue", "role-shared"]["fix"])
    assert ("blue", "role-shared") not in findings(move)[0]
    intruder.close()


@pytest.mark.parametrize("options, name, severity", [
    ("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", "encoding", "blocks"),
    ("ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'", "database-collation", "warning"),
])
def test_check_finds_a_green_that_is_encoded_or_sorts_otherwise(servers, new_database, migration, options, name, severity):
    blue, green = new_database(servers[0]), new_database(servers[1], options=options)
    blue.owner_sql(SCHEMA)
    move = migration(blue, green)
    found, _ = findings(move)
    assert found["green", name]["severity"] == severity
    fix = found["green", name]["fix"]
    assert "TEMPLATE template0" in fix and "UTF8" in fix
    psql(green, fix, name="postgres")
    green.sql(f'GRANT CREATE ON DATABASE "{green.name}" TO godwit; GRANT ALL ON SCHEMA public TO app_owner')
    assert ("green", name) not in findings(move)[0]


def test_check_finds_roles_that_green_does_not_have(own_pair, migration):
    blue, green = own_pair
    blue.owner_sql(SCHEMA)
    blue.sql('CREATE ROLE "Über Reader"; GRANT SELECT ON public.accounts TO "Über Reader"')
    move = migration(blue, green)
    found, _ = findings(move, expect=runner.NO)
    assert "Über Reader" in found["green", "role-missing"]["what"]
    psql(green, found["green", "role-missing"]["fix"])
    findings(move, expect=runner.OK)


def test_the_patterns_of_the_file_decide_what_is_looked_at(pair, migration):
    blue, green = pair
    blue.owner_sql(SCHEMA + "CREATE TABLE public.ledger (note text)")
    assert ("blue", "keyless") in findings(migration(blue, green))[0]
    assert ("blue", "keyless") not in findings(migration(blue, green, exclude=["public.ledger"]))[0]


# --- servers ---


def test_check_finds_settings_that_stop_a_move_and_a_restart_mends_them(own_pair, migration):
    blue, green = own_pair
    blue.owner_sql(SCHEMA)
    green.server.set(wal_level="replica", max_replication_slots=1, max_wal_senders=1)
    green.server.restart()
    green.server.psql("SELECT pg_create_physical_replication_slot('theirs', true)")
    move = migration(blue, green, capture="log")
    found, report = findings(move, expect=runner.NO)
    for name in ("wal-level", "replication-slots", "wal-senders"):
        assert found["green", name]["severity"] == "blocks", report
        assert found["green", name]["breaks_way_back"]
        psql(green, found["green", name]["fix"])
    # The fixture writes postgresql.conf anew; ALTER SYSTEM goes to postgresql.auto.conf, which comes after it.
    green.server.restart()
    found, _ = findings(move, expect=runner.OK)
    assert ("green", "idle-slots") in found


RARE_ON_BLUE = """
    ALTER ROLE godwit CONNECTION LIMIT 15;
    CREATE TABLE public.ours (id int PRIMARY KEY); ALTER TABLE public.ours OWNER TO godwit;
    CREATE EXTENSION pageinspect VERSION '1.9'; CREATE EXTENSION pg_buffercache VERSION '1.2';
    CREATE ROLE seller; GRANT seller TO godwit;
    CREATE TABLE public.sales (id int PRIMARY KEY, town text COLLATE pg_catalog.odd); ALTER TABLE public.sales OWNER TO seller;
    CREATE COLLATION public.dated (provider = icu, locale = 'de');
    CREATE TABLE public.towns (id int PRIMARY KEY, name text COLLATE public.dated);
    ALTER TABLE public.towns OWNER TO app_owner;
    UPDATE pg_collation SET collversion = '0' WHERE collname = 'dated';
    UPDATE pg_database SET datfrozenxid = (4294967296 + txid_current() - 1300000000)::text::xid
        WHERE datname = current_database();
"""

# Side, id, severity, whether its fix, run as it stands, makes it go away at once.
RARE = [
    ("blue", "wal-retention", "warning", True),
    ("blue", "wal-disk", "info", False),
    ("blue", "role-owns", "warning", False),
    ("blue", "role-limits", "warning", True),
    ("blue", "wraparound", "warning", False),
    ("blue", "temporary-tables", "info", False),
    ("blue", "collation-versions", "warning", True),
    ("green", "load-settings", "info", True),
    ("green", "extension-version", "warning", True),
    ("green", "role-owner", "blocks", True),
    ("green", "collation-missing", "blocks", False),
    ("green", "tablespaces", "warning", False),
    ("green", "capacity", "warning", False),
    ("green", "libraries", "warning", False),
    ("green", "green-disk", "info", False),
]


def test_check_finds_what_is_rarer_and_its_fixes_mend_it(own_pair, migration):
    blue, green = own_pair
    sides = {"blue": blue, "green": green}
    blue.owner_sql(SCHEMA)
    green.server.set(max_connections=40)
    green.server.restart()
    blue.server.set(shared_preload_libraries="pg_stat_statements")
    blue.server.restart()
    blue.sql("CREATE COLLATION pg_catalog.odd (provider = icu, locale = 'sv')")
    blue.sql(RARE_ON_BLUE)
    connection = blue.connect()
    connection.cursor().execute("SET allow_in_place_tablespaces = true")
    connection.cursor().execute("CREATE TABLESPACE attic LOCATION ''")
    connection.cursor().execute("ALTER TABLE public.orders SET TABLESPACE attic")
    connection.cursor().execute("CREATE TEMPORARY TABLE scratch (id int)")
    green.sql("CREATE ROLE seller; CREATE EXTENSION pageinspect VERSION '1.8';"
              "CREATE EXTENSION pg_buffercache VERSION '1.3'")
    move = migration(blue, green)
    found, report = findings(move, expect=runner.NO)
    for side, name, severity, _ in RARE:
        assert (side, name) in found and found[side, name]["severity"] == severity, (side, name, report)
        assert found[side, name]["fix"], (side, name)
    connection.close()
    fixing = [case for case in RARE if case[3]]
    for side, name, _, _ in fixing:
        psql(sides[side], found[side, name]["fix"])
    left, _ = findings(move)
    for side, name, _, _ in fixing:
        assert (side, name) not in left, left[side, name]
    assert ("blue", "temporary-tables") not in left


def test_check_finds_a_superuser_and_a_database_whose_collation_has_another_version(new_server, migration):
    server = new_server(None, "icu")
    blue = roles.Database(server, options="LOCALE_PROVIDER icu ICU_LOCALE 'de' LOCALE 'C.UTF-8'")
    green = roles.Database(server)
    blue.owner_sql(SCHEMA)
    blue.sql("UPDATE pg_database SET datcollversion = '0' WHERE datname = current_database()")
    found, _ = findings(migration(blue.server.dsn("postgres", blue.name), green))
    assert found["blue", "role-superuser"]["severity"] == "warning" and "--grants" in found["blue", "role-superuser"]["fix"]
    assert found["blue", "database-collation-version"]["severity"] == "warning"
    psql(blue, found["blue", "database-collation-version"]["fix"])
    assert ("blue", "database-collation-version") not in findings(migration(blue, green))[0]


def test_check_finds_a_role_that_may_not_be_set(new_server, migration):
    blue, green = roles.Database(new_server(15, "blue")), roles.Database(new_server(16, "green"))
    blue.owner_sql(SCHEMA)
    green.sql("REVOKE app_owner FROM godwit; GRANT app_owner TO godwit WITH SET FALSE")
    move = migration(blue, green)
    found, _ = findings(move, expect=runner.NO)
    assert found["green", "role-set"]["severity"] == "blocks"
    psql(green, found["green", "role-set"]["fix"])
    assert ("green", "role-set") not in findings(move)[0]


def test_check_refuses_a_standby(own_pair, migration):
    blue, green = own_pair
    blue.owner_sql(SCHEMA)
    blue.server.stop()
    (blue.server.data / "standby.signal").touch()
    blue.server.start()
    found, _ = findings(migration(blue, green), expect=runner.NO)
    assert "standby" in found["blue", "standby"]["what"]


def test_check_refuses_one_database_on_both_sides(pair, migration):
    blue, _ = pair
    blue.owner_sql(SCHEMA)
    move = migration(blue, blue.server.dsn("godwit", blue.name, tcp=True))
    found, _ = findings(move, expect=runner.NO)
    assert ("green", "same-database") in found


def test_check_says_what_one_side_says_when_the_other_is_away(own_pair, migration):
    blue, green = own_pair
    blue.owner_sql(SCHEMA + "CREATE TABLE public.ledger (note text)")
    green.server.stop()
    result = migration(blue, green).run("check", expect=runner.UNREACHABLE)
    assert "green: unreachable" in result.stdout and "blue: keyless" in result.stdout


def test_check_says_wrong_password_and_unknown_database(pair, migration):
    blue, green = pair
    move = migration(blue.server.dsn("godwit", blue.name, "xyzzy"), green.server.dsn("godwit", "nowhere"))
    found, _ = findings(move, expect=runner.UNREACHABLE)
    assert "password" in found["blue", "unreachable"]["what"]
    assert "xyzzy" not in str(found)
    assert "nowhere" in found["green", "unreachable"]["what"]


def test_check_finds_a_pooler_that_cannot_park(pair, migration, new_pgbouncer):
    blue, green = pair
    blue.owner_sql(SCHEMA)
    for mode, expect in (("session", runner.NO), ("transaction", runner.OK)):
        bouncer = new_pgbouncer(blue, pool_mode=mode)
        gate = {"type": "pgbouncer", "admin": bouncer.admin_dsn(), "ini": str(bouncer.ini()), "database": bouncer.alias}
        move = migration(blue, green, gate=gate)
        found, _ = findings(move, expect=expect)
        assert (("blue", "gate") in found) == (mode == "session")
        assert mode != "session" or found["blue", "gate"]["fix"].startswith("set pool_mode = transaction")
        bouncer.remove()


def test_check_warns_of_sessions_around_the_gate(pair, migration, new_pgbouncer):
    blue, green = pair
    blue.owner_sql(SCHEMA)
    bouncer = new_pgbouncer(blue)
    gate = {"type": "pgbouncer", "admin": bouncer.admin_dsn(), "ini": str(bouncer.ini()), "database": bouncer.alias}
    move = migration(blue, green, gate=gate)
    through = psycopg2.connect(bouncer.dsn())
    through.cursor().execute("SELECT 1")
    assert ("blue", "gate-bypassed") not in findings(move)[0]
    around = blue.connect("app", application_name="cron")
    assert "cron" in findings(move)[0]["blue", "gate-bypassed"]["what"]
    around.close()
    through.close()


def test_check_finds_a_pg_dump_that_is_too_old(new_server, pair, migration):
    newer = new_server(16, "newer")
    blue = roles.Database(newer)
    blue.owner_sql(SCHEMA)
    tools = postgres.versions.system_versions()[postgres.versions.default_version()]
    found, _ = findings(migration(blue, pair[1], pg_bindir=str(tools)), expect=runner.NO)
    assert "postgresql-client-16" in found["blue", "pg-dump"]["fix"]
    result = migration(blue, pair[1]).run("check", "--pg-bindir", str(tools), expect=runner.NO)
    assert "blue: pg-dump" in result.stdout


# --- the report ---


def test_check_changes_nothing_and_measures_both_sides(pair, migration):
    blue, green = pair
    blue.owner_sql(SCHEMA)
    look = ("SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_namespace),"
            " (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_publication)")
    before = [side.sql(look) for side in pair]
    _, report = findings(migration(blue, green), expect=runner.OK)
    assert [side.sql(look) for side in pair] == before
    for side in ("blue", "green"):
        assert 0 < report["sides"][side]["round_trip_us"] < 1_000_000
        assert report["sides"][side]["bytes_per_second"] > 1_000_000


def test_every_finding_says_what_and_its_id_is_a_stable_word(pair, migration):
    blue, green = pair
    blue.owner_sql(SCHEMA + "CREATE TABLE public.ledger (note text)")
    move = migration(blue, green)
    _, report = findings(move)
    for finding in report["findings"]:
        assert re.fullmatch(r"[a-z][a-z0-9-]+", finding["id"])
        assert finding["severity"] in ("blocks", "warning", "info") and finding["side"] in ("blue", "green")
        assert finding["what"].strip() and not finding["what"].endswith(".")
        assert finding["fix"].strip(), finding
    assert not [f for f in report["findings"] if f["id"] == "not-looked"], report
    text = move.run("check").stdout
    assert all(f["id"] in text for f in report["findings"])
