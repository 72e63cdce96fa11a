"""The clients' own libraries, alike enough for one workload: psycopg2, pymysql, sqlite3.

A driver makes connections and knows what its errors mean. The statements of a workload are written with %s, and
{touch} stands for what changes a JSON document by a little.
"""
import sqlite3

import psycopg2

from . import mariadb

pymysql = mariadb.pymysql

# What the server undid by itself because two clients met; every client of that engine has to begin again.
MYSQL_CONFLICTS = {1205, 1213, 1020}
MYSQL_LOST = {2006, 2013, 2014, 2055, 1053, 1927}


class PostgresDriver:
    touch = "doc::jsonb || '{\"u\": 1}'"  # on json, too: that is what other engines' JSON becomes
    errors = (psycopg2.Error,)

    def __init__(self, dsn, connect=None):
        self.dsn = dsn
        self._connect = connect

    def connect(self):
        return self._connect() if self._connect else psycopg2.connect(self.dsn, connect_timeout=10)

    def sql(self, text):
        return text.replace("{touch}", self.touch)

    def begin(self, connection):
        """psycopg2 begins by itself."""

    def closed(self, connection):
        return bool(connection.closed)

    def lost(self, connection, error):
        """Whether nothing is known of what was asked for last."""
        return isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)) and bool(connection.closed)

    def conflict(self, error):
        return getattr(error, "pgcode", None) in ("40001", "40P01")


class MysqlDriver:
    touch = "json_set(doc, '$.u', 1)"

    def __init__(self, connect):
        self.connect = connect
        self.errors = (pymysql.err.Error,)

    def sql(self, text):
        return text.replace("{touch}", self.touch).replace('"', "`")

    def begin(self, connection):
        connection.begin()

    def closed(self, connection):
        return not connection.open

    def lost(self, connection, error):
        number = error.args[0] if error.args else 0
        if number in MYSQL_LOST or isinstance(error, pymysql.err.InterfaceError):
            if connection.open:
                connection._force_close()
            return True
        return not connection.open

    def conflict(self, error):
        return bool(error.args) and error.args[0] in MYSQL_CONFLICTS


class SqliteDriver:
    touch = "json_set(doc, '$.u', 1)"
    errors = (sqlite3.Error,)

    def __init__(self, connect):
        self.connect = connect

    def sql(self, text):
        return text.replace("{touch}", self.touch).replace("%s", "?")

    def begin(self, connection):
        connection.execute("BEGIN IMMEDIATE")

    def closed(self, connection):
        return False

    def lost(self, connection, error):
        """The engine is in the client: what COMMIT did not do, it did not do."""
        return False

    def conflict(self, error):
        return False


def driver_of(database, user="app"):
    """The driver for clients that log in as the application."""
    engine = getattr(database, "engine", "postgres")
    if engine == "mysql":
        return MysqlDriver(lambda: database.connect(user, autocommit=False))
    if engine == "sqlite":
        return SqliteDriver(lambda: database.connect(user))  # transactions begun and ended by hand
    return PostgresDriver(database.dsn(user, with_password=True))
