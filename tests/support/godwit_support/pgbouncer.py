"""PgBouncer in front of a server: transaction pooling, SCRAM, one process or several that share a port."""
import os
import pathlib
import shutil
import signal
import subprocess

import psycopg2

from . import processes
from .roles import PASSWORDS
from .waiting import wait_until

ADMIN = "pgb_admin"
ADMIN_PASSWORD = "admin-secret"


def find():
    for place in (shutil.which("pgbouncer"), "/usr/sbin/pgbouncer"):
        if place and os.access(place, os.X_OK):
            return place
    import pytest
    pytest.skip("pgbouncer is not installed")
    return None


class PgBouncer:
    """Points its database `app` at a Database. Several processes share the port (so_reuseport), each with a unix
    socket directory of its own, as peers are run in production."""

    def __init__(self, database, count=1, pool_mode="transaction", settings=None, alias="app"):
        self.program = find()
        self.base = pathlib.Path(processes.make_base_dir("gw-pgb-"))
        self.port = processes.free_port()
        self.count = count
        self.alias = alias
        self.settings = {
            "pool_mode": pool_mode,
            "max_client_conn": 200,
            "default_pool_size": 20,
            "auth_type": "scram-sha-256",
            "auth_file": self.base / "users.txt",
            "admin_users": f"{ADMIN}, godwit",
            "ignore_startup_parameters": "extra_float_digits,options",
            "query_wait_timeout": 120,
            "server_tls_sslmode": "disable",
            **(settings or {}),
        }
        if count > 1:
            self.settings["so_reuseport"] = 1
        self.processes = []
        users = {**PASSWORDS, ADMIN: ADMIN_PASSWORD}
        (self.base / "users.txt").write_text("".join(f'"{u}" "{p}"\n' for u, p in users.items()))
        for index in range(count):
            self.socket_dir(index).mkdir()
            processes.give_to_server_user(self.socket_dir(index))
        self.point(database)
        for path in (self.base, self.base / "users.txt"):
            processes.give_to_server_user(path)

    def socket_dir(self, index=0):
        return self.base / f"s{index}"

    def ini(self, index=0):
        return self.base / f"pgbouncer{index}.ini"

    def point(self, database):
        """Writes the ini files so that the alias leads to that database (takes effect at start or RELOAD)."""
        target = f"host=127.0.0.1 port={database.server.port} dbname={database.name}"
        for index in range(self.count):
            lines = ["[databases]", f"{self.alias} = {target}", "", "[pgbouncer]", "listen_addr = 127.0.0.1",
                     f"listen_port = {self.port}", f"unix_socket_dir = {self.socket_dir(index)}",
                     f"logfile = {self.base / f'log{index}'}", f"pidfile = {self.base / f'pid{index}'}"]
            lines += [f"{k} = {v}" for k, v in self.settings.items()]
            self.ini(index).write_text("\n".join(lines) + "\n")
            processes.give_to_server_user(self.ini(index))

    def start(self):
        for index in range(self.count):
            self.processes.append(self._spawn(index))
        return self

    def _spawn(self, index):
        process = subprocess.Popen(processes.as_server_user([self.program, "-q", self.ini(index)]), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/tmp",
                                   env=processes.server_env(), start_new_session=True)

        def answers():
            if process.poll() is not None:
                raise RuntimeError(f"pgbouncer ended with {process.returncode}:\n{self.log_tail(index)}")
            try:
                return self.admin("SHOW VERSION", index)
            except psycopg2.OperationalError:
                return False
        wait_until(answers, 20, "pgbouncer to answer")
        return process

    def kill(self, index=0):
        self.processes[index].kill()
        self.processes[index].wait(10)

    def restart(self, index=0):
        processes.end_process(self.processes[index], signal.SIGTERM, 10)
        self.processes[index] = self._spawn(index)

    def stop(self):
        for process in self.processes:
            processes.end_process(process, signal.SIGTERM, 5)
        self.processes = []

    def remove(self):
        self.stop()
        processes.remove_tree(self.base)

    def log_tail(self, index=0, lines=30):
        try:
            return "\n".join((self.base / f"log{index}").read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def dsn(self, user="app", with_password=True, dbname=None):
        who = f"{user}:{PASSWORDS[user]}" if with_password else user
        return f"postgresql://{who}@127.0.0.1:{self.port}/{dbname or self.alias}"

    def admin_dsn(self, index=None, user="godwit"):
        """The admin console: by TCP (of several processes, any may answer), or of one process by its socket."""
        if index is None:
            return f"postgresql://{user}@127.0.0.1:{self.port}/pgbouncer"
        return f"postgresql://{user}@/pgbouncer?host={self.socket_dir(index)}&port={self.port}"

    def admin(self, command, index=0):
        """One command on one process's console: a list of dicts."""
        connection = psycopg2.connect(host=str(self.socket_dir(index)), port=self.port, dbname="pgbouncer", user=ADMIN,
                                      password=ADMIN_PASSWORD)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(command)
                if cursor.description is None:
                    return []
                names = [column.name for column in cursor.description]
                return [dict(zip(names, row)) for row in cursor.fetchall()]
        finally:
            connection.close()
