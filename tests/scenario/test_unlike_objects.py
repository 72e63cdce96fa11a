"""What cannot be carried to another engine, or by rules, is named by plan, each by its name: views, routines, triggers, events,
types, virtual tables. Made for real on every engine.
"""
import pytest

SIDES = {"mysql": "new_mariadb_database", "postgres": "new_database", "sqlite": "new_sqlite"}
TABLE = "CREATE TABLE person (id bigint PRIMARY KEY, name varchar(40))"
OBJECTS = {
    "postgres": {
        "view": ("name_view", "CREATE VIEW name_view AS SELECT name FROM person"),
        "materialised view": ("name_kept", "CREATE MATERIALIZED VIEW name_kept AS SELECT name FROM person"),
        "function": ("greet", "CREATE FUNCTION greet(t text) RETURNS text LANGUAGE sql AS $$ SELECT 'hi ' || t $$"),
        "procedure": ("clean_up", "CREATE PROCEDURE clean_up() LANGUAGE sql AS $$ DELETE FROM person WHERE id < 0 $$"),
        "aggregate": ("join_all", "CREATE AGGREGATE join_all(text) (SFUNC = textcat, STYPE = text, INITCOND = '')"),
        "trigger": ("stamp on", "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
                                " CREATE TRIGGER stamp BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION noted()"),
        "rule": ("no_zero on", "CREATE RULE no_zero AS ON INSERT TO person WHERE NEW.id = 0 DO INSTEAD NOTHING"),
        "policy": ("own_rows on", "CREATE POLICY own_rows ON person USING (true)"),
        "domain": ("positive", "CREATE DOMAIN positive AS int CHECK (VALUE > 0)"),
        "type": ("mood", "CREATE TYPE mood AS ENUM ('good', 'bad')"),
        "sequence": ("loose_numbers", "CREATE SEQUENCE loose_numbers"),
        "partitioned table": ("parted", "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id)"),
    },
    "mysql": {
        "view": ("name_view", "CREATE VIEW name_view AS SELECT name FROM person"),
        "function": ("greet", "CREATE FUNCTION greet(t varchar(40)) RETURNS varchar(50) DETERMINISTIC RETURN concat('hi ', t)"),
        "procedure": ("clean_up", "CREATE PROCEDURE clean_up() DELETE FROM person WHERE id < 0"),
        "trigger": ("stamp", "CREATE TRIGGER stamp BEFORE UPDATE ON person FOR EACH ROW SET NEW.name = trim(NEW.name)"),
        "event": ("nightly", "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM person WHERE id < 0"),
        "sequence": ("loose_numbers", "CREATE SEQUENCE loose_numbers"),
    },
    "sqlite": {
        "view": ("name_view", "CREATE VIEW name_view AS SELECT name FROM person"),
        "trigger": ("stamp", "CREATE TRIGGER stamp AFTER UPDATE ON person BEGIN SELECT 1; END"),
        "virtual table": ("searched", "CREATE VIRTUAL TABLE searched USING fts5(body)"),
        "virtual table ": ("boxes", "CREATE VIRTUAL TABLE boxes USING rtree(id, x1, x2)"),
    },
}
PAIRS = [(a, b) for a in SIDES for b in SIDES if a != b] + [("postgres", "postgres"), ("mysql", "mysql"), ("sqlite", "sqlite")]


@pytest.mark.parametrize("blue_engine, green_engine", PAIRS)
def test_plan_names_everything_that_is_left_for_a_person(request, migration, blue_engine, green_engine):
    blue = request.getfixturevalue(SIDES[blue_engine])()
    green = request.getfixturevalue(SIDES[green_engine])()
    blue.owner_sql(TABLE)
    blue.owner_sql("INSERT INTO person VALUES (1, 'one')")
    for _, statement in OBJECTS[blue_engine].values():
        blue.owner_sql(statement)
    rules = {"person": {"columns": {"name": {"rename": "full_name"}}}}
    m = migration(blue, green, collections=rules)
    planned = m.run("plan", "--json", expect=None, timeout=120).json
    findings = [f["what"] for f in planned["stays_behind"]]
    for kind, (name, _) in OBJECTS[blue_engine].items():
        said = [f for f in findings if f.startswith(f"{kind.strip()} ") and name in f and "left for a person" in f]
        assert said, f"{kind} {name} is not named: {findings}"
    shown = m.run("plan", expect=None, timeout=120).stdout
    assert all(name in shown for name, _ in OBJECTS[blue_engine].values()), shown
    # Nothing of it is taken for rows that move, nor made on green in silence.
    m.run("copy", timeout=120)
    m.run("verify", timeout=120)
    if green_engine == "postgres":
        assert green.sql("SELECT count(*) FROM pg_views WHERE schemaname = 'public'") == [(0,)]
    m.run("abort", "--yes", timeout=120)
