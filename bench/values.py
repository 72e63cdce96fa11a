"""Peak resident memory between engines with values of 8 MiB: copied, and followed."""
import maria
import rig
from report import Result
from godwit_support import mariadb, roles, sqlite

COUNT, MIB = 40, 8
TYPES = {"mysql": "longblob", "sqlite": "BLOB", "postgres": "bytea"}
FILLERS = {"mysql": "repeat('Z', {bytes})", "sqlite": "zeroblob({bytes})",
           "postgres": "convert_to(repeat('Z', {bytes}), 'UTF8')"}


def measure(blue, green, bytes_each):
    engine = getattr(blue, "engine", "postgres")
    blue.owner_sql(f"CREATE TABLE blobs (id int NOT NULL PRIMARY KEY, body {TYPES[engine]})")
    for number in range(COUNT):
        blue.owner_sql(f"INSERT INTO blobs SELECT {number}, {FILLERS[engine].format(bytes=bytes_each)}")
    with rig.migration(blue, green) as one:
        _, copied, _ = rig.watched(one, "copy")
        blue.owner_sql(f"UPDATE blobs SET body = {FILLERS[engine].format(bytes=bytes_each - 1)} WHERE id < 5")
        _, followed, _ = rig.watched(one, "follow", "--until", "caught-up")
        wanted = [(number, bytes_each - (number < 5)) for number in range(COUNT)]
        assert [tuple(map(int, row)) for row in green.sql("SELECT id, length(body) FROM blobs ORDER BY id")] == wanted
        _, verified, _ = rig.watched(one, "verify")
        one.run("abort", "--yes", timeout=120)
    blue.drop()
    green.drop()
    return copied, followed, verified


def race(runs, scale):
    size, results = int(MIB * 1024 * 1024 * min(scale, 1)), []
    with rig.servers() as (_, postgres), maria.servers("mblue", "mgreen", max_allowed_packet="64M") as (one, two):
        for name, blue, green in (
                ("MariaDB to PostgreSQL", lambda: mariadb.Database(one), lambda: roles.Database(postgres)),
                ("PostgreSQL to MariaDB", lambda: roles.Database(postgres), lambda: mariadb.Database(two)),
                ("MariaDB to MariaDB", lambda: mariadb.Database(one), lambda: mariadb.Database(two)),
                ("SQLite to PostgreSQL", sqlite.Database, lambda: roles.Database(postgres))):
            for what, mib in zip(("copy", "following", "verify"), measure(blue(), green(), size)):
                results.append(Result("values", f"{name}, {what} of {MIB} MiB values", [mib], unit="MiB", goal=64))
                print("   " + results[-1].line(), flush=True)
    return results
