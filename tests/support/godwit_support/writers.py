"""A live workload that writes down what the server acknowledged.

Each writer owns the keys of one residue class, so that the last acknowledged state of every key is known without asking
either side; a counter row that all of them increment shows lost and doubled updates under contention. A transaction whose
COMMIT got no answer is in doubt: both outcomes are accepted for its keys.

The workload is the same on every engine (drivers.py); with a Doorway the clients use the side it names, transaction by
transaction, whatever engine that is.
"""
import contextlib
import random
import threading
import time

from .drivers import PostgresDriver, driver_of

SCHEMA = """
CREATE TABLE {table} (id bigint PRIMARY KEY, n bigint NOT NULL, code text UNIQUE, payload text, doc jsonb,
    at timestamptz NOT NULL DEFAULT now());
ALTER TABLE {table} ALTER COLUMN payload SET STORAGE EXTERNAL;
INSERT INTO {table} (id, n, code, payload, doc)
    SELECT i, 0, 'c' || i, repeat('x', (i % 200)::int), jsonb_build_object('i', i) FROM generate_series(1, {rows}) i;
"""
COUNTERS = "CREATE TABLE {table} (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO {table} VALUES (1, 0), (2, 0)"

# The same of the other engines.
SCHEMAS = {
    "mysql": """
CREATE TABLE {table} (id bigint PRIMARY KEY, n bigint NOT NULL, code varchar(40) COLLATE utf8mb4_bin UNIQUE,
    payload mediumtext, doc json, at timestamp(6) NOT NULL DEFAULT current_timestamp(6));
INSERT INTO {table} (id, n, code, payload, doc)
    SELECT seq, 0, concat('c', seq), repeat('x', seq % 200), json_object('i', seq) FROM seq_1_to_{rows};
""",
    # MySQL 5.6 has neither sequences nor JSON.
    "mysql 5.6": """
CREATE TABLE {table} (id bigint PRIMARY KEY, n bigint NOT NULL, code varchar(40) COLLATE utf8mb4_bin UNIQUE,
    payload mediumtext, doc mediumtext, at timestamp(6) NOT NULL DEFAULT current_timestamp(6));
SET @i = 0;
INSERT INTO {table} (id, n, code, payload, doc)
    SELECT i, 0, concat('c', i), repeat('x', i % 200), concat('{{"i": ', i, '}}') FROM (SELECT @i := @i + 1 AS i FROM
    information_schema.COLLATIONS a, information_schema.COLLATIONS b LIMIT {rows}) s;
""",
    "sqlite": """
CREATE TABLE {table} (id INTEGER PRIMARY KEY, n BIGINT NOT NULL, code VARCHAR(40) UNIQUE, payload TEXT, doc JSON,
    at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
WITH RECURSIVE seq(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM seq WHERE i < {rows})
    INSERT INTO {table} (id, n, code, payload, doc)
    SELECT i, 0, 'c' || i, substr(hex(zeroblob(i % 200)), 1, i % 200), json_object('i', i) FROM seq;
""",
}
# For unlike.py.
KINDS = {"items": (["id"], {"id": "int", "n": "int", "code": "text", "payload": "text", "doc": "json", "at": "datetime"}),
         "counters": (["id"], {"id": "int", "n": "int"})}

DELETED = "deleted"
TOAST_BYTES = 5000


def create_tables(database, tables=("public.items",), counters="public.counters", rows=2000):
    """The tables that Writers write, made by their owner."""
    dialect = getattr(database, "dialect", None) or getattr(database, "engine", "postgres")
    for table in tables:
        database.owner_sql(SCHEMAS.get(dialect, SCHEMA).format(table=table, rows=rows))
    database.owner_sql(COUNTERS.format(table=counters).replace(";", ";\n"))


def driver_for(side, connect):
    if isinstance(side, str) or connect:
        return PostgresDriver(side, connect)
    return side if hasattr(side, "touch") else driver_of(side)


class Writers:
    """`count` threads on `dsn`, until stop(). Rates: 0 means as fast as it goes.

    In place of PostgreSQL's dsn: a database of any engine, or a driver; or two databases and the Doorway between them,
    {"blue": one, "green": other}.
    """

    def __init__(self, dsn, tables=("public.items",), counters="public.counters", count=4, rows=2000, seed=1,
                 two_phase=False, rate=0, connect=None, retry=True, doorway=None, touch=None):
        self.doorway = doorway
        sides = dsn if doorway else {"": dsn}
        self.drivers = {side: driver_for(one, connect) for side, one in sides.items()}
        for driver in self.drivers.values():
            driver.touch = touch or driver.touch  # where a document is a text
        self.tables = tuple(tables)
        self.counters = counters
        self.count = count
        self.rows = rows
        self.two_phase = two_phase
        self.pause_s = count / rate if rate else 0
        self.retry = retry
        self._stop = threading.Event()
        self._workers = [_Worker(self, index, random.Random(seed * 1000 + index)) for index in range(count)]

    def start(self):
        for worker in self._workers:
            worker.start()
        return self

    def stop(self, timeout=60):
        """Ends them; a transaction in flight is finished first."""
        self._stop.set()
        for worker in self._workers:
            worker.join(timeout)
            assert not worker.is_alive(), "a writer hangs in a statement"
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self._stop.set()
        for worker in self._workers:
            worker.join(30)

    # --- what happened ---

    @property
    def committed(self):
        return sum(worker.committed for worker in self._workers)

    @property
    def in_doubt(self):
        return sum(worker.in_doubt for worker in self._workers)

    @property
    def conflicts(self):
        """Transactions that the server undid because two clients met: begun again, as every application has to."""
        return sum(worker.conflicts for worker in self._workers)

    def passage(self):
        """The side to use for one transaction."""
        return self.doorway.inside(self._stop) if self.doorway else contextlib.nullcontext("")

    @property
    def errors(self):
        """Messages of every failed transaction, in no order."""
        return [message for worker in self._workers for message in worker.errors]

    @property
    def worst_latency_s(self):
        return max((worker.worst_latency_s for worker in self._workers), default=0.0)

    def lost_or_wrong(self, database, limit=20):
        """Rows of that side that contradict what was acknowledged: (table, id, found, allowed)."""
        connection = database.connect() if hasattr(database, "connect") else database
        wrong = []
        with contextlib.closing(connection.cursor()) as cursor:
            for table in self.tables:
                cursor.execute(f"SELECT id, n FROM {table}")
                found = dict(cursor.fetchall())
                expected = {i: {0} for i in range(1, self.rows + 1)}
                for worker in self._workers:
                    for (where, key), allowed in worker.expected.items():
                        if where == table:
                            expected[key] = allowed
                for key in set(found) | set(expected):
                    allowed = expected.get(key, {DELETED})
                    if found.get(key, DELETED) not in allowed:
                        wrong.append((table, key, found.get(key, DELETED), sorted(map(str, allowed))))
            cursor.execute(f"SELECT id, n FROM {self.counters}")
            for key, n in cursor.fetchall():
                sure = sum(worker.increments.get(key, 0) for worker in self._workers)
                maybe = sum(worker.doubtful_increments.get(key, 0) for worker in self._workers)
                if not sure <= n <= sure + maybe:
                    wrong.append((self.counters, key, n, [f"{sure} to {sure + maybe}"]))
        if connection is not database:
            connection.close()
        return wrong[:limit]

    def assert_nothing_lost(self, database):
        wrong = self.lost_or_wrong(database)
        assert not wrong, f"{len(wrong)} rows contradict acknowledged commits: {wrong}"


class _Worker(threading.Thread):
    def __init__(self, owner, index, rng):
        super().__init__(daemon=True, name=f"writer-{index}")
        self.owner, self.index, self.rng = owner, index, rng
        self.expected = {}
        self.increments, self.doubtful_increments = {}, {}
        self.committed = self.in_doubt = self.conflicts = 0
        self.errors = []
        self.worst_latency_s = 0.0
        self.live = {table: [i for i in range(1, owner.rows + 1) if i % owner.count == index] for table in owner.tables}
        self.next_id = {table: (owner.rows // owner.count + 1) * owner.count + index for table in owner.tables}
        self.serial = 0
        self.connection = self.driver = None
        self.connections = {}

    def run(self):
        while not self.owner._stop.is_set():
            began = time.monotonic()
            with self.owner.passage() as side:
                if side is not None and not self.on(side):
                    return
            self.worst_latency_s = max(self.worst_latency_s, time.monotonic() - began)
            if self.owner.pause_s:
                self.owner._stop.wait(self.rng.uniform(0, 2 * self.owner.pause_s))
        for side, connection in self.connections.items():
            if connection is not None and not self.owner.drivers[side].closed(connection):
                connection.close()

    def on(self, side):
        """One transaction on that side; false when this client gives up."""
        self.driver = self.owner.drivers[side]
        self.connection = self.connections.get(side)
        try:
            if self.connection is None or self.driver.closed(self.connection):
                self.connection = self.connections[side] = self.driver.connect()
            self.transaction()
        except self.driver.errors as error:
            self.recover(side)
            if self.driver.conflict(error):
                self.conflicts += 1
                return True
            self.errors.append(str(error).strip())
            if not self.owner.retry:
                return False
            self.owner._stop.wait(0.05)
        except AssertionError as contradiction:
            self.recover(side)
            self.errors.append(str(contradiction))
            return False
        return True

    def recover(self, side):
        try:
            self.connection.rollback()
        except (*self.driver.errors, AttributeError):
            self.connection = self.connections[side] = None

    def execute(self, cursor, text, values=()):
        cursor.execute(self.driver.sql(text), values)

    # --- one transaction ---

    def transaction(self):
        effects, counts, moved = {}, {}, {}
        with contextlib.closing(self.connection.cursor()) as cursor:
            self.driver.begin(self.connection)
            for _ in range(self.rng.choice((1, 1, 2, 4, 8))):
                self.step(cursor, effects, moved)
            if self.rng.random() < 0.3:
                key = self.rng.choice((1, 2))
                self.execute(cursor, f"UPDATE {self.owner.counters} SET n = n + 1 WHERE id = %s", (key,))
                counts[key] = 1
            dice = self.rng.random()
            if dice < 0.05:
                self.connection.rollback()
                return
            if self.owner.two_phase and dice < 0.15:
                self.commit_in_two_phases(cursor, effects, counts, moved)
            else:
                self.commit(self.connection.commit, effects, counts, moved)

    def commit_in_two_phases(self, cursor, effects, counts, moved):
        self.serial += 1
        gid = f"w{self.index}_{self.serial}_{self.rng.getrandbits(32):x}"
        self.execute(cursor, "PREPARE TRANSACTION %s", (gid,))
        self.connection.rollback()  # psycopg2's own state: the server has no transaction any more
        self.owner._stop.wait(self.rng.uniform(0, 0.05))
        self.connection.autocommit = True
        try:
            if self.rng.random() < 0.2:
                self.execute(cursor, "ROLLBACK PREPARED %s", (gid,))
            else:
                self.commit(lambda: self.execute(cursor, "COMMIT PREPARED %s", (gid,)), effects, counts, moved)
        finally:
            if not self.driver.closed(self.connection):
                self.connection.autocommit = False

    def commit(self, action, effects, counts, moved):
        try:
            action()
        except self.driver.errors as error:
            if self.driver.lost(self.connection, error):
                self.doubt(effects, counts, moved)
            raise
        self.committed += 1
        for where, n in effects.items():
            self.expected[where] = {n}
        for key, by in counts.items():
            self.increments[key] = self.increments.get(key, 0) + by
        for table, keys in moved.items():
            self.live[table] = keys

    def doubt(self, effects, counts, moved):
        """No answer to COMMIT: old and new are both right, and these keys are left alone from now on."""
        self.in_doubt += 1
        for (table, key), n in effects.items():
            before = self.expected.get((table, key), {0} if 0 < key <= self.owner.rows else {DELETED})
            self.expected[(table, key)] = before | {n}
            if key in self.live[table]:
                self.live[table].remove(key)
        for key, by in counts.items():
            self.doubtful_increments[key] = self.doubtful_increments.get(key, 0) + by

    def step(self, cursor, effects, moved):
        table = self.rng.choice(self.owner.tables)
        keys = moved.setdefault(table, list(self.live[table]))
        savepoint = self.rng.random() < 0.15
        if savepoint:
            self.execute(cursor, "SAVEPOINT s")
        undo = (dict(effects), list(keys))
        self.change(cursor, table, keys, effects)
        if savepoint:
            if self.rng.random() < 0.5:
                self.execute(cursor, "ROLLBACK TO SAVEPOINT s")
                effects.clear()
                effects.update(undo[0])
                moved[table] = undo[1]
            else:
                self.execute(cursor, "RELEASE SAVEPOINT s")

    def change(self, cursor, table, keys, effects):
        dice = self.rng.random()
        n = self.rng.getrandbits(40)
        if dice < 0.25 or not keys:
            key = self.fresh(table)
            self.execute(cursor, f"INSERT INTO {table} (id, n, code, payload, doc) VALUES (%s, %s, %s, %s, %s)",
                           (key, n, f"c{key}", self.payload(), f'{{"w": {self.index}, "n": {n}}}'))
            keys.append(key)
            effects[(table, key)] = n
            return
        at = self.rng.randrange(len(keys))
        key = keys[at]
        if dice < 0.70:
            if self.rng.random() < 0.3:
                self.execute(cursor, f"UPDATE {table} SET n = %s, payload = %s WHERE id = %s", (n, self.payload(), key))
            else:
                self.execute(cursor, f"UPDATE {table} SET n = %s, doc = {{touch}} WHERE id = %s", (n, key))
            effects[(table, key)] = n
        elif dice < 0.85:
            self.execute(cursor, f"DELETE FROM {table} WHERE id = %s", (key,))
            keys.pop(at)
            effects[(table, key)] = DELETED
        else:
            new = self.fresh(table)
            self.execute(cursor, f"UPDATE {table} SET id = %s, n = %s WHERE id = %s", (new, n, key))
            keys[at] = new
            effects[(table, key)] = DELETED
            effects[(table, new)] = n
        if cursor.rowcount != 1:
            raise AssertionError(f"{table} {key}: {cursor.rowcount} rows where the journal has 1")

    def fresh(self, table):
        """A key of this writer's class never used before, now and then far from the others."""
        self.next_id[table] += self.owner.count
        key = self.next_id[table]
        if self.rng.random() < 0.3:
            # Into the gaps below: keys that land in chunks read long ago.
            key = -key
        return key

    def payload(self):
        size = TOAST_BYTES if self.rng.random() < 0.1 else self.rng.randrange(200)
        return "%x" % self.rng.getrandbits(4 * size) if size else ""
