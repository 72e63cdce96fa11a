"""MariaDB and SQLite for the races: servers set up for work, the same rows on each, the peers' programs."""
import contextlib
import pathlib
import shutil
import tempfile

import rig
from godwit_support import mariadb, roles, sqlite

# As durable as MariaDB is by default, with room, and with a binlog.
SETTINGS = {"innodb_buffer_pool_size": "1G", "innodb_log_file_size": "1G", "innodb_flush_log_at_trx_commit": 1, "sync_binlog": 0,
            "innodb_io_capacity": 2000, "max_binlog_size": "1G", "event_scheduler": "OFF"}

# 1 M rows, about 210 MB, as text and in the table. {seq}: numbers from 1 on, {md5}: 32 letters made of one.
TABLE_SQL = """
CREATE TABLE mixed (id bigint NOT NULL PRIMARY KEY, customer int NOT NULL, at datetime NOT NULL, price decimal(12,2) NOT NULL,
    name varchar(40) NOT NULL, flag tinyint(1) NOT NULL, doc {text} NOT NULL, note varchar(80) NOT NULL);
"""
MARIADB_SQL = TABLE_SQL.format(text="text") + """
INSERT INTO mixed SELECT seq, seq * 7919 % 100000, '2024-01-01' + INTERVAL seq MINUTE, (seq % 10000) / 4, md5(seq), seq % 3 = 0,
    concat('{{"n": ', seq, ', "tags": ["a", ', seq % 10, '], "who": "', md5(seq % 50), '"}}'), repeat(char(97 + seq % 26), seq % 60)
    FROM seq_1_to_{rows};
ALTER TABLE mixed ADD INDEX mixed_customer (customer), ADD INDEX mixed_at (at);
ANALYZE TABLE mixed
"""
SQLITE_SQL = TABLE_SQL.format(text="text").replace("id bigint NOT NULL", "id integer NOT NULL") + """
WITH RECURSIVE numbers(seq) AS (VALUES (1) UNION ALL SELECT seq + 1 FROM numbers WHERE seq < {rows})
INSERT INTO mixed SELECT seq, seq * 7919 % 100000, datetime('2024-01-01', seq || ' minutes'), (seq % 10000) / 4.0,
    lower(hex(randomblob(16))), seq % 3 = 0,
    '{{"n": ' || seq || ', "tags": ["a", ' || seq % 10 || '], "who": "' || lower(hex(randomblob(16))) || '"}}',
    substr('abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz', 1, seq % 60) FROM numbers;
CREATE INDEX mixed_customer ON mixed (customer);
CREATE INDEX mixed_at ON mixed (at);
ANALYZE;
"""
SIZE_SQL = "SELECT count(*), sum(length(name) + length(doc) + length(note)) FROM mixed"


@contextlib.contextmanager
def servers(*names, **settings):
    """One MariaDB for each name, started."""
    reason = mariadb.missing()
    if reason:
        raise SystemExit(reason)
    made = []
    try:
        for name in names:
            made.append(mariadb.MariaDB(name=name, settings={**SETTINGS, **settings}))
            made[-1].start()
        yield tuple(made)
    finally:
        for server in made:
            server.remove()
        mariadb.remove_templates()


def fill(database, rows):
    if isinstance(database, sqlite.Database):
        database.sql(SQLITE_SQL.format(rows=rows))
    else:
        database.owner_sql(MARIADB_SQL.format(rows=rows))


def assert_same(blue, green):
    """Enough to see that a race moved all of it; the tests prove the rest."""
    left, right = (tuple(map(int, side.sql(SIZE_SQL)[0])) for side in (blue, green))
    assert left == right, f"{left} became {right}"


def by_pgloader(blue, green):
    """(seconds) for everything pgloader makes of it: table, rows, indexes, key."""
    where = pathlib.Path(tempfile.mkdtemp(prefix="gw-pgloader-"))
    source = (f"sqlite://{blue.path}" if isinstance(blue, sqlite.Database)
              else f"mysql://app_owner:{roles.PASSWORDS['app_owner']}@127.0.0.1:{blue.server.port}/{blue.name}")
    target = f"postgresql://app_owner:{roles.PASSWORDS['app_owner']}@127.0.0.1:{green.server.port}/{green.name}"
    alter = "" if isinstance(blue, sqlite.Database) else f" ALTER SCHEMA '{blue.name}' RENAME TO 'public'"
    command = where / "load"
    command.write_text(f"LOAD DATABASE FROM {source} INTO {target} WITH workers = 4, concurrency = 2{alter};\n")
    try:
        return rig.timed([rig.tool("pgloader"), "--root-dir", where / "root", "--dynamic-space-size", "2048", command],
                         env={"HOME": str(where)})
    finally:
        shutil.rmtree(where, ignore_errors=True)


def by_mydumper(blue, green, threads):
    where = tempfile.mkdtemp(prefix="gw-mydumper-")
    try:
        def login(side):
            return ["-h", "127.0.0.1", "-P", side.server.port, "-u", "root", "-t", threads]
        seconds = rig.timed([rig.tool("mydumper"), *login(blue), "-B", blue.name, "-o", where + "/d", "--rows", "250000"])
        return seconds + rig.timed([rig.tool("myloader"), *login(green), "-B", green.name, "-d", where + "/d"])
    finally:
        shutil.rmtree(where, ignore_errors=True)


def by_godwit(blue, green, jobs=4):
    """(seconds, MiB) of godwit copy: table, rows, indexes, key, and everything it needs to follow."""
    with rig.migration(blue, green, copy={"jobs": jobs}) as one:
        seconds, mib, _ = rig.watched(one, "copy")
        one.run("abort", "--yes", timeout=120)
    return seconds, mib
