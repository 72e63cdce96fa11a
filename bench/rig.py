"""Servers, data and godwit for the races. The peers get what we get: the same servers, settings and machine."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import time

from godwit_support import processes, release_binary, roles, runner
from godwit_support.postgres import Postgres
from godwit_support.waiting import wait_until

# A server as it is set up for work, not for tests: durable, with room.
SETTINGS = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "512MB", "max_wal_size": "8GB",
            "checkpoint_timeout": "30min", "maintenance_work_mem": "256MB", "autovacuum": "off",
            "max_parallel_maintenance_workers": "2", "wal_level": "logical"}

MIXED_SQL = """
CREATE TABLE mixed (id bigint PRIMARY KEY, customer int NOT NULL, at timestamptz NOT NULL, price numeric(12,2), name text,
    flag boolean, doc jsonb, note text);
INSERT INTO mixed SELECT i, (i::bigint * 7919) %% 100000, timestamptz '2024-01-01' + i * interval '1 minute', i %% 10000 / 7.0,
    md5(i::text), i %% 3 = 0, jsonb_build_object('n', i, 'tags', jsonb_build_array('a', i %% 10), 'who', md5((i %% 50)::text)),
    repeat(chr(97 + i %% 26), i %% 60) FROM generate_series(1, %(rows)s) i;
CREATE INDEX ON mixed (customer); CREATE INDEX ON mixed (at);
"""


@contextlib.contextmanager
def servers(**settings):
    """(blue, green), empty, with the roles."""
    made = []
    try:
        for name in ("blue", "green"):
            made.append(Postgres(name=name, settings={**SETTINGS, **settings}))
            roles.create_roles(made[-1].start())
        yield tuple(made)
    finally:
        for server in made:
            server.remove()


def pgbench(server, dbname, *args, **kwargs):
    return run([tool("pgbench", server), "-h", str(server.base), "-p", str(server.port), "-U", "app_owner", *map(str, args),
                dbname], env={"PGPASSWORD": roles.PASSWORDS["app_owner"]}, **kwargs)


def tool(name, server=None):
    for place in ([str(server.bin)] if server else []) + os.environ["PATH"].split(":") + ["/usr/lib/postgresql/15/bin"]:
        if os.access(os.path.join(place, name), os.X_OK):
            return os.path.join(place, name)
    raise SystemExit(f"{name} is not installed")


def run(argv, env=None, check=True, **kwargs):
    done = subprocess.run(list(map(str, argv)), env={**os.environ, **(env or {})}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **kwargs)
    if check and done.returncode:
        raise SystemExit(f"{argv[0]} exited {done.returncode}:\n{done.stdout.decode(errors='replace')[-3000:]}")
    return done.stdout.decode(errors="replace")


def timed(argv, env=None):
    began = time.monotonic()
    run(argv, env)
    return time.monotonic() - began


def fill(database, scale):
    """5 M pgbench accounts and 1.5 M mixed rows at scale 1: about 1.2 GB."""
    pgbench(database.server, database.name, "-i", "-I", "dtGvp", "-q", "-s", max(1, round(50 * scale)))
    database.owner_sql(MIXED_SQL % {"rows": round(1_500_000 * scale)})
    database.sql("VACUUM ANALYZE")
    database.sql("CHECKPOINT")


def version_of(argv):
    found = re.search(r"\d+(\.\d+)+", run(argv, check=False))
    return found.group(0) if found else "?"


@contextlib.contextmanager
def migration(blue, green, **store_keys):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="gw-bench-"))
    one = runner.Migration(directory, blue, green, "bench", program=release_binary(), **store_keys)
    try:
        yield one
    finally:
        one.close()
        shutil.rmtree(directory, ignore_errors=True)


class PeakMemory:
    """VmHWM of a process and its godwit children, read until it ends. pg_dump and the like are not ours."""

    def __init__(self, pid):
        self.pid, self.peak_kb, self._end = pid, 0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        while not self._end.wait(0.02):
            try:
                status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
            except OSError:
                return
            found = re.search(r"VmHWM:\s+(\d+)", status)
            if found:
                self.peak_kb = max(self.peak_kb, int(found.group(1)))

    def mib(self):
        self._end.set()
        self.thread.join(5)
        return self.peak_kb / 1024


def watched(one, *args, env=None, timeout=1800, expect=0):
    """Runs a godwit command; (seconds, peak MiB, result)."""
    began = time.monotonic()
    process = one.popen(*args, env=env)
    peak = PeakMemory(process.pid)
    result = process.wait(timeout)
    seconds = time.monotonic() - began
    assert result.rc == expect, str(result)
    return seconds, peak.mib(), result


__all__ = ["servers", "pgbench", "tool", "run", "timed", "fill", "version_of", "migration", "PeakMemory", "watched",
           "wait_until", "processes", "roles"]
