"""A machine is lost with its journal: what only the journal knew must be known on the sides as well."""
import shutil

import pytest
from godwit_support import compare, traps

DOC = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 2000) i)"


def test_rows_read_again_keep_their_marks_when_the_journal_is_lost(pair, migration):
    """A row that was read again has in it what came later in the log: that must not be applied to it a second time."""
    blue, green = pair
    blue.owner_sql("CREATE TABLE docs (id int PRIMARY KEY, n int, doc text);"
                   " ALTER TABLE docs ALTER COLUMN doc SET STORAGE EXTERNAL;"
                   f" INSERT INTO docs SELECT i, i, {DOC} FROM generate_series(1, 5) i")
    m = migration(blue, green)
    traps.load(m)
    green.sql("BEGIN; INSERT INTO godwit.position (stream, \"order\", text) VALUES ('operator', 0, '');"
              " DELETE FROM docs WHERE id IN (3, 4); COMMIT", user="godwit")
    for statement in ("UPDATE docs SET n = 30 WHERE id = 3", "DELETE FROM docs WHERE id = 3",
                      "UPDATE docs SET n = 40 WHERE id = 4", "UPDATE docs SET n = 41 WHERE id = 4"):
        blue.sql(statement, user="app")
    m.run("follow", "--until", "caught-up", env={"GODWIT_CRASH_AT": "follow.refetch.after_commit"}, expect=-9)
    shutil.rmtree(m.directory / ".godwit")
    m.run("adopt")
    traps.catch_up(m)
    assert m.status()["quarantine"] == 0, traps.blocks(m)
    compare.assert_equal(blue, green)


@pytest.mark.parametrize("owner", ["blue", "green"])
def test_a_definition_that_changes_behind_the_adoption_is_noticed(pair, migration, owner):
    """Nothing was kept by the lost journal: what is there when it is made anew is what holds from then on."""
    blue, green = pair
    blue.owner_sql("CREATE TABLE docs (id int PRIMARY KEY, n int)")
    m = migration(blue, green)
    traps.load(m)
    if owner == "green":
        m.run("switch", *traps.FLIP)
    shutil.rmtree(m.directory / ".godwit")
    m.run("adopt")
    side = {"blue": blue, "green": green}[owner]
    side.owner_sql("ALTER TABLE docs ADD COLUMN more int")
    m.run("follow", "--until", "caught-up", expect=None)
    assert f"definitions on {owner}" in traps.blocks(m), traps.blocks(m)
    side.owner_sql("ALTER TABLE docs DROP COLUMN more")
    traps.catch_up(m)
    m.run("switch" if owner == "blue" else "rollback", *traps.FLIP)
    compare.assert_equal(blue, green)
