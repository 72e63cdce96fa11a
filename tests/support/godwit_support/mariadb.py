"""A throwaway MariaDB server on a unix socket and a loopback port, and databases made for one test."""
import itertools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import urllib.parse

import pytest

from . import processes
from .roles import PASSWORDS
from .waiting import wait_until

try:
    import pymysql
except ImportError:  # tests that need it are skipped, see missing()
    pymysql = None

SUPERUSER = "root"
START_TIMEOUT_S = 60

# What the data directory is made with, too: a server that finds files of another size spends its start on resizing them.
FILES = {
    "innodb_log_file_size": "16M",
    "innodb_data_file_path": "ibdata1:12M:autoextend",
    "innodb_undo_tablespaces": 0,
}
SETTINGS = {
    **FILES,
    "log_bin": "bin",
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "innodb_buffer_pool_size": "64M",
    "innodb_flush_log_at_trx_commit": 2,
    "innodb_lock_wait_timeout": 20,
    "sync_binlog": 0,
    "max_connections": 200,
    "max_allowed_packet": "64M",
    "character_set_server": "utf8mb4",
    "collation_server": "utf8mb4_general_ci",
    "default_time_zone": "'+00:00'",
    "event_scheduler": "ON",
    "local_infile": 1,
    # Without it nobody but SUPER makes a trigger where there is a binlog.
    "log_bin_trust_function_creators": 1,
    "performance_schema": "OFF",
}

# app_owner owns what is in the database, app is what the application logs in as; godwit has what `godwit check --grants`
# prints. Accounts are the server's, not a database's: made once, given their rights database by database.
ACCOUNTS_SQL = "\n".join(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{word}';" for name, word in PASSWORDS.items())
OWN_SQL = """
GRANT ALL ON `{db}`.* TO 'app_owner'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE, LOCK TABLES ON `{db}`.* TO 'app'@'%';
GRANT ALL ON `{db}`.* TO 'godwit'@'%';
"""
GODWIT_HOME_SQL = "GRANT ALL ON `godwit`.* TO 'godwit'@'%';"
# Variants of godwit's rights on the whole server.
GODWIT_SQL = {
    # A server of one's own, without SUPER.
    "own": "GRANT REPLICATION SLAVE, BINLOG MONITOR, BINLOG ADMIN, REPLICATION SLAVE ADMIN, CONNECTION ADMIN, PROCESS, RELOAD,"
           " CREATE USER, SHOW DATABASES ON *.* TO 'godwit'@'%';"
           "GRANT SELECT ON mysql.* TO 'godwit'@'%';",
    # Managed, as RDS gives it: no SUPER, and none of the ADMIN rights that stand for parts of it.
    "rds": "GRANT REPLICATION SLAVE, BINLOG MONITOR, PROCESS, RELOAD, CREATE USER, SHOW DATABASES ON *.* TO 'godwit'@'%';"
           "GRANT SELECT ON mysql.* TO 'godwit'@'%';",
    # All of the database, and nothing of the server.
    "database": "",
    # May not read the log: capture has to be by triggers.
    "no_log": "GRANT CONNECTION ADMIN, PROCESS, RELOAD, CREATE USER, SHOW DATABASES ON *.* TO 'godwit'@'%';"
              "GRANT SELECT ON mysql.* TO 'godwit'@'%';",
}

_numbers = itertools.count(1)
_template = None
_template_lock = threading.Lock()


def missing():
    """What the tests of MariaDB lack on this machine, or None."""
    if server_program() is None:
        return "no MariaDB server (apt-get install mariadb-server)"
    if shutil.which("mariadb-install-db") is None:
        return "no mariadb-install-db (apt-get install mariadb-server)"
    return "no pymysql (apt-get install python3-pymysql)" if pymysql is None else None


def require():
    reason = missing()
    if reason:
        pytest.skip(reason)


def server_program():
    return shutil.which("mariadbd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def template():
    """A data directory fresh from mariadb-install-db with the accounts in it, made once a run of the tests."""
    global _template
    with _template_lock:
        if _template is None:
            base = processes.make_base_dir("godwit-mariadb-")
            processes.give_to_server_user(base)
            data = os.path.join(base, "data")
            # Temporary tables have names that two servers give alike: each has a folder of its own for them.
            processes.run_as_server_user(["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--tmpdir={base}", "--skip-test-db",
                                          "--auth-root-authentication-method=normal", "--skip-name-resolve",
                                          *(f"--{name}={value}" for name, value in FILES.items())])
            _template = data
        return _template


def remove_templates():
    global _template
    with _template_lock:
        if _template is not None:
            processes.remove_tree(os.path.dirname(_template))
        _template = None


def statements(script):
    """The statements of a script: by ';', or by a line of its own that says '//' where a body has semicolons of its own."""
    found = []
    for number, part in enumerate(re.split(r"(?m)^//\s*$", script)):
        found += [part] if number % 2 else part.split(";\n")
    return [one.strip().rstrip(";") for one in found if one.strip().rstrip(";")]


class MariaDB:
    """One server. Start it from a thread that lives as long as it should. `rights`: see GODWIT_SQL."""

    engine = "mysql"
    product = "MariaDB"
    dialect = "mysql"
    default_settings = SETTINGS
    accounts_sql = ACCOUNTS_SQL
    rights_sql = GODWIT_SQL

    def __init__(self, name="maria", settings=None, rights="own"):
        self.require()
        self.name = name
        self.rights = rights
        self.port = processes.free_port()
        self.base = pathlib.Path(processes.make_base_dir(f"gw-{name}-"))
        self.data = self.base / "data"
        self.socket = self.base / "s"
        self.log = self.base / "log"
        self.config = self.base / "my.cnf"
        self.process = None
        self.settings = {"server_id": next(_numbers), **self.default_settings, **(settings or {})}
        subprocess.run(["cp", "-a", "--reflink=auto", self.template(), self.data], check=True)
        processes.give_to_server_user(self.base)

    # --- what another product does otherwise ---

    @staticmethod
    def require():
        require()

    @staticmethod
    def template():
        return template()

    @staticmethod
    def program():
        return server_program()

    # --- life ---

    def write_settings(self):
        own = {"datadir": self.data, "socket": self.socket, "port": self.port, "bind_address": "127.0.0.1",
               "pid_file": self.base / "pid", "tmpdir": self.base, "skip_name_resolve": 1, **self.settings}
        # None takes a setting away: log_bin=None is a server without a binlog.
        lines = [f"{name} = {value}" for name, value in own.items() if value is not None]
        self.config.write_text("[mysqld]\n" + "\n".join(lines) + "\n")
        processes.give_to_server_user(self.config)

    def set(self, **settings):
        """Changes settings for the next start."""
        self.settings.update(settings)

    def start(self, timeout=START_TIMEOUT_S):
        assert self.process is None or self.process.poll() is not None, f"{self.name} runs already"
        self.write_settings()
        first = not self.log.exists()
        with open(self.log, "ab") as log:
            # mariadbd takes no notice of SIGINT.
            argv = processes.as_server_user([self.program(), f"--defaults-file={self.config}"], death_signal="TERM")
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/tmp",
                                            env=processes.server_env(), start_new_session=True)
        wait_until(self._accepts, timeout, f"{self.product} ({self.name}) to accept connections")
        if first:
            # What makes the accounts is no part of any test's log.
            self.sql("SET sql_log_bin = 0;\n" + self.accounts_sql + "\n" + GODWIT_HOME_SQL + "\n"
                     + self.rights_sql[self.rights].replace(";", ";\n"))
        return self

    def _accepts(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.product} ({self.name}) ended with {self.process.returncode}:\n" + self.log_tail())
        try:
            self.connect().close()
            return True
        except pymysql.err.OperationalError:
            return False

    def stop(self):
        """A clean shutdown."""
        if self.process is not None:
            processes.end_process(self.process, signal.SIGTERM, patience_s=60)
            self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def kill(self):
        """kill -9: as after a crash. One process is the whole server."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None

    def freeze(self):
        """Alive but mute. thaw() lets it go on."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def remove(self):
        self.kill()
        processes.remove_tree(self.base)

    def log_tail(self, lines=40):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    # --- access ---

    def url(self, user=SUPERUSER, dbname="", password=None, tcp=False, port=None, **params):
        """mysql://...: by unix socket, or by TCP (through `port` when there is a proxy in between)."""
        who = urllib.parse.quote(user, safe="")
        if password is not None:
            who += ":" + urllib.parse.quote(password, safe="")
        query = dict(params)
        where = "localhost"
        if tcp or port is not None:
            where = f"127.0.0.1:{port or self.port}"
        else:
            query["unix_socket"] = str(self.socket)
        tail = "?" + urllib.parse.urlencode(query) if query else ""
        return f"mysql://{who}@{where}/{urllib.parse.quote(dbname, safe='')}{tail}"

    def connect(self, dbname=None, user=SUPERUSER, password=None, autocommit=True, port=None, **kwargs):
        """By the socket; by TCP when a port is given (a proxy's, or a gate's)."""
        where = {"host": "127.0.0.1", "port": port} if port else {"unix_socket": str(self.socket)}
        return pymysql.connect(user=user, password=password if password is not None else PASSWORDS.get(user, ""),
                               database=dbname, autocommit=autocommit, charset="utf8mb4", connect_timeout=10, **where, **kwargs)

    def sql(self, text, params=None, dbname=None, user=SUPERUSER):
        """Runs a script (see statements()) by a connection of its own; the rows of the last statement, or None."""
        connection = self.connect(dbname, user)
        try:
            with connection.cursor() as cursor:
                for one in [text] if params is not None else statements(text):
                    cursor.execute(one, params)
                return list(cursor.fetchall()) if cursor.description else None
        finally:
            connection.close()

    def version(self):
        return self.sql("SELECT version()")[0][0]


class Database:
    """A database of one test on a server; the same verbs as roles.Database."""

    engine = "mysql"

    def __init__(self, server, name=None):
        self.server = server
        self.dialect = server.dialect
        self.name = name or f"t{os.getpid()}_{next(_numbers)}"
        server.sql(f"CREATE DATABASE `{self.name}`")
        server.sql("SET sql_log_bin = 0;\n" + OWN_SQL.format(db=self.name.replace("_", r"\_")))

    def dsn(self, user="godwit", with_password=True, **kwargs):
        return self.server.url(user, self.name, PASSWORDS.get(user) if with_password else None, **kwargs)

    def connect(self, user=SUPERUSER, autocommit=True, **kwargs):
        return self.server.connect(self.name, user, autocommit=autocommit, **kwargs)

    def sql(self, text, params=None, user=SUPERUSER):
        return self.server.sql(text, params, self.name, user)

    def owner_sql(self, text, params=None):
        return self.sql(text, params, user="app_owner")

    def value(self, text, params=None, user=SUPERUSER):
        rows = self.sql(text, params, user)
        return rows[0][0] if rows else None

    def drop(self):
        if self.server.running():
            self.server.sql(f"DROP DATABASE IF EXISTS `{self.name}`")
