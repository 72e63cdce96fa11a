"""A throwaway PostgreSQL server on a unix socket and a loopback port."""
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import urllib.parse

import psycopg2
import psycopg2.extensions

from . import processes, versions
from .waiting import wait_until

SUPERUSER = "postgres"
START_TIMEOUT_S = 60

SETTINGS = {
    "wal_level": "logical",
    "max_connections": 100,
    "max_wal_senders": 20,
    "max_replication_slots": 20,
    "max_prepared_transactions": 20,
    "shared_buffers": "64MB",
    "fsync": "off",
    # In the data directory: a server that is killed leaves nothing outside of its own folder.
    "dynamic_shared_memory_type": "mmap",
    "synchronous_commit": "on",
    "full_page_writes": "off",
    "autovacuum_naptime": "60s",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d/%a ",
    "lc_messages": "C",
    "timezone": "UTC",
    "password_encryption": "scram-sha-256",
}

# The superuser is the tests' own way in; everybody else has a password.
HBA = """
local all         postgres                 trust
local replication postgres                 trust
host  all         postgres  127.0.0.1/32   trust
host  replication postgres  127.0.0.1/32   trust
local all         all                      scram-sha-256
local replication all                      scram-sha-256
host  all         all       127.0.0.1/32   scram-sha-256
host  replication all       127.0.0.1/32   scram-sha-256
"""

_templates = {}
_templates_lock = threading.Lock()


def quote_setting(value):
    return "'" + str(value).replace("'", "''") + "'"


def template(major, initdb_args):
    """A data directory fresh from initdb, made once per version and run of the tests."""
    key = (major, tuple(initdb_args))
    with _templates_lock:
        if key not in _templates:
            base = processes.make_base_dir("godwit-initdb-")
            processes.give_to_server_user(base)
            data = os.path.join(base, "data")
            processes.run_as_server_user([versions.bin_dir(major) / "initdb", "-D", data, "-U", SUPERUSER, "-A", "trust",
                                          "-E", "UTF8", "--no-sync", *initdb_args])
            _templates[key] = data
        return _templates[key]


def remove_templates():
    with _templates_lock:
        for data in _templates.values():
            processes.remove_tree(os.path.dirname(data))
        _templates.clear()


class Postgres:
    """One server. Start it from a thread that lives as long as it should."""

    def __init__(self, major=None, name="pg", settings=None, initdb_args=("--locale=C.UTF-8",)):
        self.major = major or versions.default_version()
        self.bin = versions.bin_dir(self.major)
        self.name = name
        self.port = processes.free_port()
        self.base = pathlib.Path(processes.make_base_dir(f"gw-{name}-"))
        self.data = self.base / "data"
        self.log = self.base / "log"
        self.process = None
        subprocess.run(["cp", "-a", "--reflink=auto", template(self.major, initdb_args), self.data], check=True)
        processes.give_to_server_user(self.base)
        (self.data / "pg_hba.conf").write_text(HBA)
        self.settings = {**SETTINGS, **(settings or {})}
        self.write_settings()

    # --- life ---

    def write_settings(self):
        lines = [f"{k} = {quote_setting(v)}" for k, v in self.settings.items()]
        lines += [f"port = {self.port}", "listen_addresses = '127.0.0.1'",
                  f"unix_socket_directories = {quote_setting(self.base)}"]
        conf = self.data / "postgresql.conf"
        conf.write_text("\n".join(lines) + "\n")
        processes.give_to_server_user(conf)

    def set(self, **settings):
        """Changes settings for the next start (or reload())."""
        self.settings.update(settings)
        self.write_settings()

    def start(self, timeout=START_TIMEOUT_S):
        assert self.process is None or self.process.poll() is not None, f"{self.name} runs already"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(processes.as_server_user([self.bin / "postgres", "-D", self.data]),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/tmp",
                                            env=processes.server_env(), start_new_session=True)
        wait_until(self._accepts, timeout, f"PostgreSQL {self.major} ({self.name}) to accept connections")
        return self

    def _accepts(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"PostgreSQL {self.major} ({self.name}) ended with {self.process.returncode}:\n"
                               + self.log_tail())
        try:
            psycopg2.connect(self.dsn(), connect_timeout=2).close()
            return True
        except psycopg2.OperationalError:
            return False

    def stop(self, mode="fast"):
        """fast: sessions are ended, clean shutdown. immediate: as after a crash. smart: waits for the sessions."""
        first = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "smart": signal.SIGTERM}[mode]
        if self.process is not None:
            processes.end_process(self.process, first, patience_s=60)
            self.process = None

    def restart(self, mode="fast"):
        self.stop(mode)
        return self.start()

    def kill(self):
        """kill -9 of the whole server; returns when none of its processes is left."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.process.kill()
        self.process.wait(10)
        self.process = None
        for child in children:
            try:
                os.kill(int(child), signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: not any(os.path.exists(f"/proc/{c}") for c in children), 20, "the killed server's processes")

    def freeze(self):
        """Stops every process of the server (SIGSTOP): alive but mute. thaw() lets it go on."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self):
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number):
        pids = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in [self.process.pid, *map(int, pids)]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def remove(self):
        self.stop("immediate")
        processes.remove_tree(self.base)

    def log_tail(self, lines=40):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    # --- access ---

    def dsn(self, user=SUPERUSER, dbname="postgres", password=None, tcp=False, port=None, **params):
        """A libpq URI: by unix socket, or by TCP (through `port` when there is a proxy or a pooler in between)."""
        who = urllib.parse.quote(user, safe="")
        if password is not None:
            who += ":" + urllib.parse.quote(password, safe="")
        query = dict(params)
        if tcp or port is not None:
            where = f"127.0.0.1:{port or self.port}"
        else:
            where = ""
            query = {"host": str(self.base), "port": self.port, **query}
        uri = f"postgresql://{who}@{where}/{urllib.parse.quote(dbname, safe='')}"
        return uri + ("?" + urllib.parse.urlencode(query) if query else "")

    def connect(self, dbname="postgres", user=SUPERUSER, password=None, autocommit=True, tcp=False, **params):
        connection = psycopg2.connect(self.dsn(user, dbname, password, tcp, **params))
        connection.autocommit = autocommit
        return connection

    def psql(self, sql, params=None, dbname="postgres", user=SUPERUSER, password=None):
        """Runs SQL by a connection of its own; the rows of the last statement, or None."""
        connection = self.connect(dbname, user, password)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, params)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def version(self):
        return self.psql("SHOW server_version")[0][0]


def program(name, major=None):
    """A client program such as pg_dump: the one of that version, else the first in PATH."""
    for bin_dir in ([versions.system_versions().get(major)] if major else []):
        if bin_dir and (bin_dir / name).exists():
            return str(bin_dir / name)
    return shutil.which(name)
