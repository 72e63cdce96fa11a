"""Peak resident memory of the runner: values up to 8 MiB, one transaction of 10 million rows, one value of 900 MB."""
import rig
from report import Result
from godwit_support import roles


def large_values(blue_server, green_server, mib, count):
    blue, green = roles.Database(blue_server), roles.Database(green_server)
    blue.owner_sql("CREATE TABLE blobs (id int PRIMARY KEY, body bytea)")
    blue.owner_sql("ALTER TABLE blobs ALTER body SET STORAGE EXTERNAL")
    for number in range(count):
        blue.owner_sql(f"INSERT INTO blobs SELECT {number}, convert_to(repeat('Z', {mib} * 1024 * 1024), 'UTF8')")
    with rig.migration(blue, green) as one:
        _, copied, _ = rig.watched(one, "copy")
        blue.owner_sql("UPDATE blobs SET body = body || '\\x00' WHERE id < 5")
        _, followed, _ = rig.watched(one, "follow", "--until", "caught-up")
        one.run("verify", timeout=600)
        one.run("abort", "--yes")
    green.drop()
    blue.drop()
    return copied, followed


def huge_transaction(blue_server, green_server, rows):
    blue, green = roles.Database(blue_server), roles.Database(green_server)
    blue.owner_sql("CREATE TABLE wide (id bigint PRIMARY KEY, note text)")
    with rig.migration(blue, green) as one:
        one.run("copy")
        blue.owner_sql(f"INSERT INTO wide SELECT i, 'row ' || i FROM generate_series(1, {rows}) i")
        _, peak, _ = rig.watched(one, "follow", "--until", "caught-up")
        assert green.value("SELECT count(*) FROM wide") == rows
        one.run("abort", "--yes")
    green.drop()
    blue.drop()
    return peak


def race(runs, scale):
    rows, large = max(100_000, int(10_000_000 * scale)), max(64, int(900 * scale))
    with rig.servers() as (blue_server, green_server):
        copied8, followed8 = large_values(blue_server, green_server, 8, 40)
        transaction = huge_transaction(blue_server, green_server, rows)
        copied900, followed900 = large_values(blue_server, green_server, large, 1)
    return [Result("memory", "copy of 8 MiB values", [copied8], unit="MiB", goal=64),
            Result("memory", "following 8 MiB values", [followed8], unit="MiB", goal=64),
            Result("memory", f"one transaction of {rows:,} rows", [transaction], unit="MiB", goal=64),
            Result("memory", f"copy of one value of {large} MB", [copied900], unit="MiB", goal=64),
            Result("memory", f"following one value of {large} MB", [followed900], unit="MiB",
                   goal=round(64 + 2.2 * large * 1.048576))]
