"""audit: what is there is in it, as text, JSON and Markdown."""
import pytest

from godwit_support import roles, runner

SCHEMA = """
    CREATE SCHEMA billing;
    CREATE TYPE billing.state AS ENUM ('open', 'paid');
    CREATE DOMAIN billing.amount AS numeric(12, 2) CHECK (VALUE >= 0);
    CREATE TABLE public.accounts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL CHECK (name <> ''));
    CREATE TABLE public.orders (id bigserial PRIMARY KEY, account bigint REFERENCES public.accounts ON DELETE CASCADE);
    CREATE TABLE billing."Invoice | line" (id int PRIMARY KEY, "order" bigint REFERENCES public.orders, state billing.state,
        total billing.amount);
    CREATE TABLE public.parts (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE public.parts_1 PARTITION OF public.parts DEFAULT;
    CREATE UNLOGGED TABLE public.scratch (id int);
    CREATE INDEX by_name ON public.accounts (lower(name));
    CREATE VIEW public.names AS SELECT name FROM public.accounts;
    CREATE MATERIALIZED VIEW public.totals AS SELECT count(*) FROM public.orders;
    CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER touched BEFORE UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION public.touch();
    ALTER TABLE public.accounts ENABLE ROW LEVEL SECURITY;
    CREATE POLICY mine ON public.accounts FOR SELECT TO app USING (true);
    GRANT SELECT (name), UPDATE (name) ON public.accounts TO app;
    GRANT SELECT ON public.orders TO app;
    INSERT INTO public.accounts (name) SELECT 'n' || i FROM generate_series(1, 1000) i;
    ANALYZE public.accounts;
"""
AS_SUPERUSER = """
    CREATE EXTENSION postgres_fdw;
    CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;
    CREATE FOREIGN TABLE public.far (id int) SERVER elsewhere;
    CREATE PUBLICATION theirs FOR TABLE public.orders;
    SELECT lo_create(0);
    CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER watch ON sql_drop EXECUTE FUNCTION public.e();
"""


@pytest.fixture
def audited(pair, migration):
    blue, green = pair
    blue.owner_sql(SCHEMA)
    blue.sql(AS_SUPERUSER)
    blue.sql(f'ALTER DATABASE "{blue.name}" SET timezone = \'Asia/Tokyo\'')
    return migration(blue, green)


def names(report, section, key="name"):
    return [row[key] for row in report["sections"][section]]


def test_the_audit_lists_what_is_there(audited, pair):
    blue, _ = pair
    session = blue.connect("app", application_name="web")
    report = audited.run("audit", "--format", "json").json
    session.close()
    sections = report["sections"]
    assert blue.name in names(report, "databases")
    assert names(report, "schemas") == ["billing", "public"]
    tables = {(t["schema"], t["name"]): t for t in sections["tables"]}
    assert tables["public", "accounts"]["rows"] == 1000 and tables["public", "accounts"]["bytes"] > 0
    assert tables["public", "accounts"]["moves"] is True and tables["public", "accounts"]["row_security"] is True
    assert tables["public", "scratch"]["moves"] is False and tables["public", "far"]["moves"] is False
    assert tables["public", "parts_1"]["parent"] == "public.parts"
    assert "by_name" in names(report, "indexes")
    keys = {(k["table"], k["referenced_table"]): k for k in sections["foreign_keys"]}
    assert keys["orders", "accounts"]["on_delete"] == "cascade"
    assert ("Invoice | line", "orders") in keys
    assert "accounts_id_seq" in names(report, "sequences")
    assert names(report, "views") == ["names", "totals"]
    assert {"touch", "e"} <= set(names(report, "functions"))
    assert names(report, "triggers") == ["touched"]
    assert set(names(report, "types")) == {"state", "amount"}
    assert names(report, "policies") == ["mine"]
    assert "postgres_fdw" in names(report, "extensions")
    assert {"app", "app_owner", "godwit"} <= set(names(report, "roles"))
    assert any(g["name"] == "orders" and g["grantee"] == "app" for g in sections["grants"])
    assert names(report, "foreign_servers") == ["elsewhere"]
    assert names(report, "publications") == ["theirs"] and names(report, "event_triggers") == ["watch"]
    assert sections["large_objects"] == [{"owner": "postgres", "objects": 1}]
    assert any(s["setting"] == "TimeZone=Asia/Tokyo" for s in sections["database_settings"])
    assert {"application": "web", "user": "app", "sessions": 1}.items() <= sections["connections"][0].items()
    assert "port" in names(report, "settings_that_differ")
    assert {"large-objects", "unlogged"} <= set(names(report, "risks", "id"))
    assert sections["subscriptions"] == [] and sections["cron_jobs"] == [] and sections["not_read"] == []


def test_every_section_is_a_table_of_flat_rows(audited):
    report = audited.run("audit", "--json").json
    for section, rows in report["sections"].items():
        for row in rows:
            assert list(row) == list(rows[0]), section
            assert all(not isinstance(value, (dict, list)) for value in row.values()), section


def test_the_markdown_has_contents_tables_and_the_graph_of_foreign_keys(audited):
    text = audited.run("audit", "--format", "md").stdout
    assert text.startswith("# Audit of acme, blue\n")
    links = [line.split("](#")[1].split(")")[0] for line in text.splitlines() if line.startswith("- [")]
    assert "foreign_keys" in links and "tables" in links
    for link in links:
        assert f'<a id="{link}"></a>' in text
    graph = text.split("```mermaid\n")[1].split("```")[0].splitlines()
    assert graph[0] == "graph LR"
    nodes = dict(line.strip().rstrip("]").split("[", 1) for line in graph if "[" in line)
    edges = [line.split("-->") for line in graph if "-->" in line]
    arrows = {(nodes[a.strip()].strip('"'), nodes[b.strip()].strip('"')) for a, b in edges}
    assert arrows == {("public.orders", "public.accounts"), ("billing.Invoice | line", "public.orders")}
    # A cell cannot break its row: within a table all rows have as many columns as its head.
    rows = []
    for line in text.splitlines():
        if line.startswith("|"):
            rows.append(line.replace("\\\\", "").replace("\\|", "").count("|"))
        else:
            assert len(set(rows)) <= 1, line
            rows = []


def test_the_text_has_every_section_that_is_not_empty(audited):
    report = audited.run("audit", "--format", "json").json
    text = audited.run("audit").stdout
    for section, rows in report["sections"].items():
        title = section.replace("_", " ").capitalize() if rows else section
        assert title in text, section


def test_green_can_be_audited_too(audited):
    report = audited.run("audit", "--side", "green", "--json").json
    assert report["side"] == "green" and report["sections"]["tables"] == []


def test_what_the_role_may_not_see_is_listed(pair, migration):
    blue, green = pair
    blue.owner_sql(SCHEMA)
    blue.sql("CREATE SCHEMA cron; CREATE TABLE cron.job (jobid int, schedule text, command text, database text,"
             " username text, active bool); INSERT INTO cron.job VALUES (1, '* * * * *', 'VACUUM', 'x', 'app', true)")
    move = migration(blue, green)
    report = move.run("audit", "--json").json
    assert report["sections"]["cron_jobs"] == []
    assert any("cron" in r["what"] for r in report["sections"]["risks"] if r["severity"] == "blocks")
    blue.sql("GRANT USAGE ON SCHEMA cron TO godwit; GRANT SELECT ON cron.job TO godwit")
    report = move.run("audit", "--json").json
    assert report["sections"]["cron_jobs"][0]["command"] == "VACUUM"


def test_statements_are_listed_where_they_are_counted(new_server, migration):
    server = new_server(None, "counted", shared_preload_libraries="pg_stat_statements")
    blue, green = roles.Database(server), roles.Database(server)
    blue.owner_sql(SCHEMA)
    blue.sql("CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()")
    for _ in range(3):
        blue.owner_sql("SELECT count(*) AS very_special FROM public.accounts")
    report = migration(blue, green).run("audit", "--json").json
    special = [s for s in report["sections"]["statements"] if "very_special" in s["query"]]
    assert special[0]["calls"] == 3 and special[0]["user"] == "app_owner"


def test_no_report_shows_a_secret(new_server, migration):
    server = new_server(None, "secrets", shared_preload_libraries="pg_stat_statements")
    blue, green = roles.Database(server), roles.Database(server)
    blue.owner_sql(SCHEMA)
    blue.sql("CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()")
    hidden = "hunter2"
    blue.sql(f"ALTER ROLE app PASSWORD '{hidden}'")
    blue.sql(f"ALTER DATABASE \"{blue.name}\" SET app.jwt_secret = '{hidden}'")
    blue.sql(f"ALTER SYSTEM SET primary_conninfo = 'host=elsewhere password={hidden}'")
    blue.sql("SELECT pg_reload_conf()")
    blue.sql("CREATE TRIGGER tell BEFORE UPDATE ON public.orders FOR EACH ROW"
             f" EXECUTE FUNCTION public.touch('https://it:{hidden}@hook.internal/x')")
    blue.sql("CREATE SCHEMA cron; CREATE TABLE cron.job AS SELECT 1 AS jobid, '* * * * *'::text AS schedule,"
             f" $$SELECT http_post('x', 'Authorization: Bearer {hidden}')$$::text AS command, 'x'::text AS database,"
             " 'app'::text AS username, true AS active;"
             "GRANT USAGE ON SCHEMA cron TO godwit; GRANT SELECT ON cron.job TO godwit")
    blue.owner_sql("SELECT count(*) AS by_token FROM public.accounts, generate_series(1, 2000) WHERE name <> 'x'")
    move = migration(blue, green)
    report = move.run("audit", "--json").json
    for command in (("audit", "--json"), ("audit", "--format", "md"), ("audit",), ("check",), ("plan", "--json")):
        said = move.run(*command, expect=None)
        assert hidden not in said.stdout + said.stderr, command
    sections = report["sections"]
    assert any(s["query"].startswith("ALTER ROLE app PASSWORD (not shown") for s in sections["statements"])
    assert any("by_token" in s["query"] and "not shown" not in s["query"] for s in sections["statements"])
    assert any(s["setting"].startswith("app.jwt_secret (not shown") for s in sections["database_settings"])
    assert "tell" in names(report, "triggers") and len(sections["cron_jobs"]) == 1


def test_an_audit_needs_only_its_side(own_pair, migration):
    blue, green = own_pair
    blue.owner_sql(SCHEMA)
    green.server.stop()
    move = migration(blue, green)
    result = move.run("audit", "--json")
    assert "settings_that_differ" not in result.json["sections"] and "not compared" in result.stderr
    move.run("audit", "--side", "green", expect=runner.UNREACHABLE)
    move.run("audit", "--format", "html", expect=runner.USAGE)
