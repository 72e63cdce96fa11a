"""What a report shows of rows: nothing under --private, in no output, journal or log; and since when a difference is there."""
import json
import re
import sqlite3

import pytest
from godwit_support import runner, traps
from test_verify import only, plant, verify

TABLES = """
CREATE TABLE person (id bigint PRIMARY KEY, name text, born date, pay numeric);
INSERT INTO person SELECT i, 'Secretname' || i, date '1987-03-05' + i, 70000 + i FROM generate_series(1, 200) i;
CREATE TABLE login (email text PRIMARY KEY, person_id bigint REFERENCES person(id), hint text);
INSERT INTO login SELECT 'secret' || i || '@mail.test', i, 'hushhush' || i FROM generate_series(1, 200) i;
CREATE TABLE remark (said text);
INSERT INTO remark SELECT 'whisper' || i FROM generate_series(1, 50) i
"""
PLANTED = """
UPDATE person SET name = 'Betrayed7', born = '1987-03-12', pay = 91919 WHERE id = 7;
UPDATE login SET hint = 'tattled' WHERE email = 'secret5@mail.test';
DELETE FROM login WHERE email = 'secret6@mail.test';
INSERT INTO login VALUES ('secretnew@mail.test', 424242424242, 'toomuch');
UPDATE remark SET said = 'shouted' WHERE said = 'whisper3'
"""
SECRETS = ("Secretname", "Betrayed", "1987-", "70007", "91919", "secret5", "secret6", "secretnew", "hushhush", "tattled", "toomuch",
           "whisper", "shouted")
QUERIES = {"names": "SELECT name, pay FROM person ORDER BY id LIMIT 10", "broken": "SELECT 'hushhush9'::bigint, name FROM person"}


def said_and_kept(m, said, paths):
    with sqlite3.connect(m.directory / ".godwit" / "acme" / "state.db") as journal:
        kept = "\n".join(str(row) for table in ("verdict", "fact", "event") for row in journal.execute(f"SELECT * FROM {table}"))
    journal.close()
    return {"stdout": said.stdout, "stderr": said.stderr, "journal": kept, **{k: p.read_text() for k, p in paths.items()}}


@pytest.fixture
def people(pair, migration):
    blue, green = pair
    blue.owner_sql(TABLES)

    def make(**settings):
        m = migration(blue, green, queries=QUERIES, verify={"resettle": "2s", **settings})
        traps.load(m)
        plant(green, PLANTED)
        return m
    return blue, green, make


@pytest.mark.parametrize("settings,options", [({}, ["--private"]), ({"private": "on", "show_keys": "none"}, [])])
def test_nothing_of_the_rows_is_in_any_output_nor_in_the_journal(people, tmp_path, settings, options):
    _, _, make = people
    m = make(**settings)
    paths = {kind: tmp_path / f"p.{kind}" for kind in ("markdown", "html", "junit")}
    files = [part for k, p in paths.items() for part in (f"--{k}", p)]
    for how in (["--json", "-v"], []):
        said = m.run("verify", *how, *options, *files, expect=runner.NO, timeout=120)
        for place, text in said_and_kept(m, said, paths).items():
            assert [s for s in SECRETS if s in text] == [], place
    report = m.run("verify", "--json", *options, expect=runner.NO, timeout=120).json
    assert report["private"] and {c["verdict"] for c in report["collections"]} == {"different"}
    (changed,) = only(report, "public.person")["differences"]
    assert changed["key"] == "id=7" if options else re.fullmatch("id=#[0-9a-f]{12}", changed["key"])
    assert all(re.fullmatch("#[0-9a-f]{12}", c["source"]) for c in changed["columns"])
    assert all(re.match("email=#", d["key"]) for d in only(report, "public.login")["differences"])


def test_without_private_they_are_there(people):
    _, _, make = people
    text = str(verify(make(), runner.NO))
    assert [s for s in SECRETS if s not in text and s not in ("1987-", "toomuch")] == []


def test_a_key_that_is_given_makes_hashes_that_can_be_compared(people, monkeypatch):
    _, _, make = people
    m = make(private="on", private_key="not so secret")
    (first,), (second,) = (only(verify(m, runner.NO), "public.person")["differences"] for _ in range(2))
    assert first["columns"] == second["columns"]
    m.store["verify"].pop("private_key")
    m.write()
    (third,), (fourth,) = (only(verify(m, runner.NO), "public.person")["differences"] for _ in range(2))
    assert third["columns"] != fourth["columns"] and third["columns"] != first["columns"]


# --- since when ---

HOUR_US = 3600 * 10**6


def an_hour_passes(m):
    """What verify found is as if found an hour earlier."""
    with sqlite3.connect(m.directory / ".godwit" / "acme" / "state.db") as journal:
        for collection, text in journal.execute("SELECT collection, json FROM verdict").fetchall():
            verdict = json.loads(text)
            verdict["seen"] = {row: at - HOUR_US for row, at in verdict["seen"].items()}
            for key in ("different_since_us", "equal_until_us"):
                verdict[key] -= HOUR_US if verdict[key] else 0
            journal.execute("UPDATE verdict SET json = ?, wall_us = wall_us - ? WHERE collection = ?",
                            (json.dumps(verdict), HOUR_US, collection))
    journal.close()


@pytest.mark.parametrize("private", ["off", "on"])
def test_a_difference_says_when_it_was_first_seen_and_what_came_in_between(pair, migration, private):
    blue, green = pair
    blue.owner_sql(TABLES)
    m = migration(blue, green, verify={"resettle": "2s", "private": private})
    traps.load(m)
    verify(m)
    an_hour_passes(m)
    m.run("copy")
    plant(green, "DELETE FROM login WHERE email = 'secret6@mail.test'; UPDATE person SET pay = 0 WHERE id = 9")
    first = verify(m, runner.NO)
    login = only(first, "public.login")
    assert login["equal_until"] < login["different_since"] == login["differences"][0]["first_seen"]
    plant(green, "DELETE FROM login WHERE email = 'secret8@mail.test'")
    an_hour_passes(m)
    text = m.run("verify", expect=runner.NO).stderr
    assert re.search(r"missing .*   first seen \S+, still there at ", text)
    assert re.search(r"found different first at \S+, still equal at \S+", text)
    again = only(verify(m, runner.NO), "public.login")
    assert again["different_since"] < login["different_since"] and len(again["differences"]) == 2
    seen = sorted(d["first_seen"] for d in again["differences"])
    assert seen[0] == again["different_since"] < seen[1]


def test_a_float_that_went_through_four_bytes_is_named_so(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE reading (id int PRIMARY KEY, value float8);"
                   "INSERT INTO reading SELECT i, i / 10.0 FROM generate_series(1, 9) i")
    m = migration(blue, green, verify={"resettle": "2s"})
    traps.load(m)
    plant(green, "UPDATE reading SET value = value::float4 WHERE id <> 5")
    assert "all" not in only(verify(m, runner.NO), "public.reading")["reason"]
    assert "float4" in only(verify(m, runner.NO), "public.reading")["reason"]
