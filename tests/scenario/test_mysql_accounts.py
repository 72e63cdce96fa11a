"""`fence: accounts` on MariaDB: who may write into the database, and nowhere else, is locked out and its sessions are ended;
nobody else is touched, and exactly those are let in again.
"""
import json

import pymysql
import pytest

from godwit_support import traps, unlike

LOCKED, FENCED = 4151, 1644
WORD = "word"
OTHERS_SQL = f"""
CREATE DATABASE other;
CREATE USER 'reader'@'%' IDENTIFIED BY '{WORD}';
GRANT SELECT ON app.* TO 'reader'@'%';
CREATE USER 'both'@'%' IDENTIFIED BY '{WORD}';
GRANT SELECT, INSERT, DROP ON app.* TO 'both'@'%';
GRANT INSERT ON other.* TO 'both'@'%';
CREATE USER 'frozen'@'%' IDENTIFIED BY '{WORD}' ACCOUNT LOCK;
GRANT INSERT ON app.* TO 'frozen'@'%';
CREATE ROLE writing;
GRANT INSERT ON app.* TO writing;
"""


def error_of(call):
    with pytest.raises(pymysql.err.MySQLError) as caught:
        call()
    return caught.value.args[0]


def locked(side):
    return {user for user, in side.sql("SELECT user FROM mysql.global_priv WHERE json_value(priv, '$.account_locked') = 1"
                                       " AND user NOT IN ('mariadb.sys')")}


@pytest.fixture
def pair_of(migration, new_mariadb_database):
    """(m, blue, green), loaded; blue is fenced by accounts."""
    def make(**green_keys):
        blue, green = new_mariadb_database(name="blue"), new_mariadb_database(name="green")
        blue.server.sql(OTHERS_SQL)
        blue.owner_sql("CREATE TABLE note (id int PRIMARY KEY, v varchar(20));\nINSERT INTO note VALUES (1, 'one'), (2, 'two')")
        m = migration(blue, green)
        m.store["blue"] = {"url": blue.dsn(), "fence": "accounts"}
        m.store["green"] = {"url": green.dsn(), **green_keys}
        m.write()
        traps.load(m)
        return m, blue, green
    return make


def other(side, user):
    return side.server.connect("app", user, WORD)


def insert(side, number, user="app"):
    side.sql(f"INSERT INTO note VALUES ({number}, 'more')", user=user)


def assert_equal(blue, green):
    unlike.assert_equal(blue, green, {"note": (["id"], {"id": "int", "v": "text"})})


def test_whoever_writes_here_alone_is_locked_out_and_let_in_again(pair_of):
    m, blue, green = pair_of()
    in_transaction, idle = blue.connect("app", autocommit=False), blue.connect("app_owner")
    with in_transaction.cursor() as cursor:
        cursor.execute("INSERT INTO note VALUES (3, 'not committed')")
    m.run("switch", *traps.FLIP, timeout=120)

    assert locked(blue) == {"app", "app_owner", "frozen"}
    error_of(in_transaction.commit)
    error_of(lambda: idle.cursor().execute("TRUNCATE note"))
    assert error_of(lambda: blue.connect("app")) == LOCKED
    assert error_of(lambda: blue.connect("app_owner")) == LOCKED
    with other(blue, "reader") as reader, reader.cursor() as cursor:  # nobody else is touched
        cursor.execute("SELECT count(*) FROM note")
        assert cursor.fetchone() == (2,)
    with other(blue, "both") as both, both.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert error_of(lambda: cursor.execute("INSERT INTO app.note VALUES (9, 'no')")) == FENCED
    assert green.value("SELECT count(*) FROM note") == 2

    insert(green, 4)
    m.run("rollback", *traps.FLIP, timeout=120)
    assert locked(blue) == {"frozen"}  # which was locked before
    insert(blue, 5)
    m.run("follow", "--until", "caught-up", timeout=120)
    assert_equal(blue, green)
    m.run("abort", "--yes", timeout=120)
    assert locked(blue) == {"frozen"}


def test_check_names_who_is_not_locked(pair_of):
    m, blue, _ = pair_of()
    said = json.dumps(m.run("check", "--json", expect=None, timeout=120).json)
    for name in ("'root'@'localhost', which has rights on the whole server", "'both'@'%', which has rights in other databases",
                 "the role writing"):
        assert name in said, said
    assert "does not lock 'app'" not in said
    assert "the fence is triggers" in said  # green's
    blue.server.sql("REVOKE CREATE USER ON *.* FROM 'godwit'@'%'")
    assert "cannot lock an account" in m.run("check", expect=1, timeout=120).stdout


@pytest.mark.parametrize("point", ("mysql.fence.account_noted", "mysql.fence.accounts_locked", "mysql.fence.before_unlock"))
def test_a_switch_killed_among_the_locks_gives_them_back(point, pair_of):
    m, blue, green = pair_of()
    m.run("switch", *traps.FLIP, env={"GODWIT_CRASH_AT": point}, expect=-9, timeout=120)
    m.run("follow", "--until", "caught-up", timeout=120)
    assert m.status()["owner"] == "blue"
    assert locked(blue) == {"frozen"}
    insert(blue, 3)
    m.run("switch", *traps.FLIP, timeout=120)
    assert locked(blue) == {"app", "app_owner", "frozen"}
    insert(green, 4)
    m.run("rollback", *traps.FLIP, env={"GODWIT_CRASH_AT": "mysql.fence.account_unlocked"}, expect=-9, timeout=120)
    m.run("follow", "--until", "caught-up", timeout=120)
    assert m.status()["owner"] == "blue" and locked(blue) == {"frozen"}
    insert(blue, 5)
    m.run("follow", "--until", "caught-up", timeout=120)
    assert_equal(blue, green)


def test_a_fence_that_cannot_be_raised_leaves_nobody_locked(pair_of):
    """Whoever is not locked holds the table beyond the lock's timeout."""
    m, blue, green = pair_of()
    m.store["switch"] = {"lock_timeout": "300ms"}
    m.write()
    with blue.connect(autocommit=False) as root:
        with root.cursor() as cursor:
            cursor.execute("INSERT INTO note VALUES (3, 'held')")
            m.run("switch", *traps.FLIP, expect=None, timeout=120)
            assert m.status()["owner"] == "blue"
            assert locked(blue) == {"frozen"}
        root.commit()
    m.run("follow", "--until", "caught-up", timeout=120)
    assert_equal(blue, green)


def test_an_engine_without_accounts_says_so(migration, new_mariadb_database, new_database):
    m = migration(new_mariadb_database(), new_database())
    m.store["green"] = {"url": m.store["green"], "fence": "accounts"}
    m.write()
    result = m.run("check", expect=(1, 2, 4))
    assert "cannot fence by accounts" in result.stdout + result.stderr
