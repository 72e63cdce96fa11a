"""Critical queries: the same answers at comparable positions, times and plans of both sides; never equal by mistake."""
import pytest
import yaml
from godwit_support import runner, traps, unlike
from test_verify import plant, verify

TABLE = """
CREATE TABLE orders (id bigint PRIMARY KEY, state text, price numeric(10,2), weight float8, made timestamptz);
INSERT INTO orders SELECT i, CASE WHEN i % 3 = 0 THEN 'open' ELSE 'paid' END, i, i / 7.0, timestamptz '2024-01-01' + i * interval '1 h'
    FROM generate_series(1, 500) i
"""


@pytest.fixture
def shop(pair, migration):
    blue, green = pair
    blue.owner_sql(TABLE)

    def make(queries, **settings):
        m = migration(blue, green, queries=queries, verify={"resettle": "2s", **settings})
        traps.load(m)
        return m
    return blue, green, make


def found(report):
    return {q["name"]: q for q in report["queries"]}


def test_answers_that_are_the_same_keep_times_and_plans_of_both_sides(shop):
    _, _, make = shop
    m = make({"by_state": {"sql": "SELECT state, count(*), sum(price) FROM orders GROUP BY state", "runs": 7, "calls": 100},
              "newest": {"sql": "SELECT id, made FROM orders ORDER BY made DESC LIMIT 3", "ordered": True}})
    report = verify(m)
    queries = found(report)
    assert report["verdict"] == "equal" and {q["verdict"] for q in queries.values()} == {"equal"}
    state = queries["by_state"]
    assert state["source"]["rows"] == state["target"]["rows"] == 2 and state["runs"] == 7 and state["calls"] == 100
    for side in ("source", "target"):
        assert "Aggregate" in state[side]["plan"] and 0 < state[side]["p50_ms"] <= state[side]["p95_ms"]


def test_an_answer_that_differs_is_named_with_its_row_and_blocks_the_switch(shop):
    _, green, make = shop
    m = make({"total": "SELECT state, sum(price) AS total FROM orders GROUP BY state"})
    plant(green, "UPDATE orders SET price = price + 0.01 WHERE id = 7")
    report = verify(m, runner.NO)
    what = found(report)["total"]["what"]
    assert found(report)["total"]["verdict"] == "different"
    assert "1 of 2 rows differs, row 2 (state=paid): total is 83667.00 on the source, 83667.01 on the target" in what, what
    plant(green, "UPDATE orders SET price = price - 0.01 WHERE id = 7")
    assert verify(m)["verdict"] == "equal" and "total" not in traps.blocks(m)


def test_what_only_a_query_sees_makes_the_verdict_different_and_stands_in_status(shop):
    _, green, make = shop
    m = make({"planned": "SELECT current_database() || current_setting('work_mem') AS x"})
    report = verify(m, runner.NO)
    assert all(c["verdict"] == "equal" for c in report["collections"]) and report["verdict"] == "different"
    assert m.status()["verdict"]["verdict"] == "different" and "planned" in traps.blocks(m)


def test_a_tolerance_holds_for_its_column_alone(shop):
    _, green, make = shop
    m = make({"near": {"sql": "SELECT id, weight FROM orders", "tolerance": {"weight": 0.001}},
              "exact": "SELECT id, weight FROM orders"})
    plant(green, "UPDATE orders SET weight = weight + 0.0005 WHERE id = 9")
    queries = found(verify(m, runner.NO))
    assert queries["near"]["verdict"] == "equal" and queries["exact"]["verdict"] == "different"


def test_the_order_of_rows_counts_where_it_is_said_to(shop):
    blue, _, make = shop
    shuffled = {"blue": "SELECT id FROM orders ORDER BY id", "green": "SELECT id FROM orders ORDER BY id DESC"}
    m = make({"any": shuffled, "given": {**shuffled, "ordered": True}})
    queries = found(verify(m, runner.NO))
    assert queries["any"]["verdict"] == "equal" and queries["given"]["verdict"] == "different"


ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000)"


@pytest.mark.parametrize("sql,words", [
    ("INSERT INTO orders VALUES (9999)", "on the source: "), ("SELECT nothing FROM orders", "on the source: "),
    ("SELECT 1; DELETE FROM orders", "on the source: "),
    (ENDLESS, "on the source: "), ("SELECT repeat('x', 9000000)", "answers more than 8 MiB")])
def test_a_query_that_writes_fails_or_takes_too_long_is_named_and_never_equal(shop, sql, words):
    blue, green, make = shop
    m = make({"bad": sql}, statement_timeout="300ms" if sql == ENDLESS else "10m")
    report = verify(m, runner.UNRESOLVED)
    assert found(report)["bad"]["verdict"] == "unresolved" and words in found(report)["bad"]["what"]
    assert blue.sql("SELECT count(*) FROM orders") == green.sql("SELECT count(*) FROM orders") == [(500,)]


def test_a_tolerance_for_a_column_that_is_not_there_is_an_error(shop):
    _, _, make = shop
    m = make({"typo": {"sql": "SELECT id, weight FROM orders", "tolerance": {"wieght": 1}}})
    assert "tolerance names the column wieght" in found(verify(m, runner.UNRESOLVED))["typo"]["what"]


def test_an_answer_that_never_stands_still_is_unresolved(shop):
    _, _, make = shop
    m = make({"clock": "SELECT clock_timestamp()"}, resettle="300ms")
    query = found(verify(m, runner.UNRESOLVED))["clock"]
    assert query["verdict"] == "unresolved" and "did not stand still" in query["what"]


@pytest.mark.parametrize("queries,words", [
    ({"x": {"blue": "SELECT 1"}}, "lacks its statement"), ({"x": {"sqll": "SELECT 1"}}, "unknown in a query"),
    ({"x": {"sql": "SELECT 1", "runs": 0}}, "out of range"),
    ({"x": {"sql": "SELECT 1", "tolerance": {"a": "much"}}}, "must be a number")])
def test_a_query_that_is_written_wrong_is_shown_with_its_place(pair, migration, queries, words):
    said = migration(*pair, queries=queries).run("verify", expect=runner.USAGE)
    assert words in said.stderr and "godwit.yaml:" in said.stderr


def test_the_reports_have_the_queries_with_what_became_slower_first(shop, tmp_path):
    _, green, make = shop
    slow = {"blue": "SELECT count(*) FROM orders", "green": "SELECT count(*) FROM orders WHERE md5(repeat('x', 20000 + id::int)) <> ''"}
    m = make({"quick": "SELECT count(*) FROM orders", "slow": {**slow, "calls": 1000, "runs": 3},
              "wrong": {"blue": "SELECT '<b>'", "green": "SELECT '</b>'"}})
    paths = {kind: tmp_path / f"q.{kind}" for kind in ("markdown", "html", "junit")}
    report = m.run("verify", "--json", *(part for k, p in paths.items() for part in (f"--{k}", p)), expect=runner.NO).json
    assert report["queries"][0]["name"] == "slow" and report["queries"][0]["slower"] and report["queries"][0]["lost_ms"] > 1000
    page, text, junit = (paths[k].read_text() for k in ("html", "markdown", "junit"))
    assert "Critical queries" in page and "&lt;b&gt; on the source" in page and "<b>" not in page and "Aggregate" in page
    assert "## Critical queries" in text and "slower on the target" in text
    assert 'classname="query" name="wrong"' in junit and 'failures="1"' in junit


# --- seeds ---

def test_seeds_come_from_pg_stat_statements_and_what_has_all_its_values_can_be_run(new_server, new_database, pair, migration):
    server = new_server(shared_preload_libraries="pg_stat_statements")
    blue = new_database(server)
    blue.owner_sql(TABLE)
    blue.sql("CREATE EXTENSION pg_stat_statements; GRANT pg_read_all_stats TO godwit", user="postgres")
    m = migration(blue, pair[1])
    for _ in range(3):
        blue.sql("SELECT count(*) FROM orders", user="app")
        blue.sql("SELECT * FROM orders WHERE id = 7 AND state <> 'x'", user="app")
    seeds = m.run("verify", "--seed-queries").stdout
    assert "# 3 calls" in seeds and "id = $1" in seeds and "#query_" in seeds, seeds
    queries = yaml.safe_load(seeds)["queries"]
    assert [q for q in queries.values() if q["sql"] == "SELECT count(*) FROM orders" and q["calls"] == 3], seeds
    blue.sql("DROP EXTENSION pg_stat_statements", user="postgres")
    m.store["queries"] = queries
    m.write()
    assert verify(m)["verdict"] == "equal"


def test_a_server_that_keeps_no_statements_says_what_to_switch_on(pair, migration):
    said = migration(*pair).run("verify", "--seed-queries", expect=None)
    assert said.rc not in (0, 70) and "shared_preload_libraries" in said.stderr


def test_seeds_come_from_the_slow_log_with_their_values(new_mariadb_database, pair, migration):
    blue = new_mariadb_database()
    blue.owner_sql("CREATE TABLE orders (id bigint PRIMARY KEY, paid boolean, price decimal(10,3), made datetime);\n"
                   "INSERT INTO orders VALUES (1, true, 1.500, '2024-01-02 03:04:05'), (2, false, 2, NULL)")
    blue.sql("SET GLOBAL log_output = 'TABLE', slow_query_log = 1")
    blue.sql("GRANT SELECT ON mysql.slow_log TO godwit@'%'")
    connection = blue.connect("app")
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION long_query_time = 0")
        cursor.execute("SELECT count(*) FROM orders WHERE id < 7 AND made <> 'x\"${y}'")
    connection.close()
    seeds = migration(blue, pair[1]).run("verify", "--seed-queries").stdout
    queries = yaml.safe_load(seeds)["queries"]
    assert [q for q in queries.values() if "id < 7 AND made <> 'x\"$${y}'" in q["sql"]], seeds


def test_between_engines_a_value_is_what_its_text_means(new_sqlite, pair, migration):
    blue, (_, green) = new_sqlite(), pair
    unlike.let_in(green)
    blue.owner_sql("CREATE TABLE orders (id integer PRIMARY KEY, paid boolean, price real, made datetime, note text);\n"
                   "INSERT INTO orders VALUES (1, 1, 1.5, '2024-01-02 03:04:05', 'a'), (2, 0, 2, NULL, NULL)")
    m = migration(blue, green, queries={
        "all": "SELECT id, paid, price, made, note FROM orders", "sums": "SELECT count(*), sum(price) FROM orders",
        "wrong": {"blue": "SELECT 1.50", "green": "SELECT 1.51"}})
    queries = found(verify(m, runner.NO))
    assert queries["all"]["verdict"] == queries["sums"]["verdict"] == "equal", queries
    assert queries["wrong"]["verdict"] == "different"
