"""Slots are of the whole server: a migration touches those of its own database, and of its own name, alone."""
from godwit_support import compare, traps, writers

NAMES = "SELECT slot_name FROM pg_replication_slots WHERE database = current_database() ORDER BY 1"


def said(result):
    return result.stdout + result.stderr


def test_migrations_of_one_name_in_two_databases_of_a_server(servers, new_database, migration):
    pairs = [(new_database(servers[0]), new_database(servers[1])) for _ in range(2)]
    moves = []
    for blue, green in pairs:
        writers.create_tables(blue, rows=50)
        moves.append(migration(blue, green, name="acme"))
    for m, (blue, green) in zip(moves, pairs):
        traps.load(m)
    before = pairs[0][0].sql(NAMES)
    assert len(before) == 1 and before != pairs[1][0].sql(NAMES), before
    moves[1].run("abort", "--yes")
    assert pairs[1][0].sql(NAMES) == [] and pairs[0][0].sql(NAMES) == before
    pairs[0][0].sql("UPDATE items SET n = n + 1", user="app")
    traps.catch_up(moves[0])
    compare.assert_equal(*pairs[0])


def test_a_slot_of_our_name_in_another_database_is_a_conflict(servers, new_database, migration):
    """However it came to be: found by check, refused by copy, left alone by abort."""
    blue, green, elsewhere = new_database(servers[0]), new_database(servers[1]), new_database(servers[0])
    writers.create_tables(blue, rows=50)
    oid = blue.value("SELECT oid FROM pg_database WHERE datname = current_database()")
    name = f"godwit_acme_{oid}_blue"
    elsewhere.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (name,))
    m = migration(blue, green)
    checked = m.run("check", "--json", expect=None)
    found = [f for f in checked.json["findings"] if f["id"] == "slot-taken"]
    assert checked.rc == 1 and [f["severity"] for f in found] == ["blocks"], found
    assert name in found[0]["what"] and elsewhere.name in found[0]["what"], found
    refused = m.run("copy", expect=None)
    assert refused.rc == 1 and elsewhere.name in said(refused), refused
    m.run("abort", "--yes")
    assert elsewhere.sql(NAMES) == [(name,)]
