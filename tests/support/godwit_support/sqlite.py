"""A database file of one test; the same verbs as roles.Database."""
import pathlib
import sqlite3
import tempfile
import shutil


class Database:
    """A file in WAL mode in a directory of its own, as an application has it: foreign keys on, a busy timeout."""

    engine = "sqlite"

    def __init__(self, path=None, name="app.db"):
        self.directory = None
        if path is None:
            self.directory = pathlib.Path(tempfile.mkdtemp(prefix="gw-sqlite-"))
            path = self.directory / name
        self.path = pathlib.Path(path)
        self.name = self.path.stem
        self.sql("PRAGMA journal_mode = WAL")

    def dsn(self, user="godwit", with_password=False, **_):
        """Who opens a file is decided by its mode, not by a name."""
        return f"sqlite:{self.path}"

    def connect(self, user=None, autocommit=True, timeout=20, **_):
        connection = sqlite3.connect(self.path, timeout=timeout, isolation_level=None if autocommit else "IMMEDIATE",
                                     check_same_thread=False)
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def sql(self, text, params=None, user=None):
        """Runs a script, or one statement with parameters; the rows of a single statement."""
        connection = self.connect()
        try:
            if params is None and ";" in text.strip().rstrip(";"):
                connection.executescript(text)
                return None
            return connection.execute(text, params or ()).fetchall()
        finally:
            connection.close()

    owner_sql = sql

    def value(self, text, params=None, user=None):
        rows = self.sql(text, params)
        return rows[0][0] if rows else None

    def drop(self):
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)
