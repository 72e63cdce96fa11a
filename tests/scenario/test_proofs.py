"""The ideas that everything stands on, proved on real servers without a line of godwit: psycopg2 and SQL only.

1. Chunks read at different times and one change stream join to exactly the source's rows when each change is decided by
   the mark of the chunk that holds its key.
2. A fence made of triggers and a sequence stops every session but ours, without superuser.
3. A position row written first lets the other direction's stream tell our transactions from the application's.
"""
import threading
import time

import psycopg2
import psycopg2.errors
import pytest

from godwit_support.replication import UNCHANGED, Mark, Stream
from godwit_support.waiting import wait_until
from godwit_support.writers import Writers, create_tables

TABLE = "public.items"
COLUMNS = "id::text, n::text, code, payload, doc::text, at::text"


# --- 1. the join ---

class Chunk:
    """A key range read in a transaction of its own: begin, lock, take the mark, read."""

    def __init__(self, database, low, high):
        self.low, self.high = low, high
        connection = database.connect("godwit", autocommit=False)
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {TABLE} IN ACCESS SHARE MODE")
            cursor.execute("SELECT pg_current_snapshot()::text")
            self.mark = Mark(cursor.fetchone()[0])
            cursor.execute(f"SELECT {COLUMNS} FROM {TABLE} WHERE id >= %s AND id < %s", (low, high))
            self.rows = {row[0]: list(row) for row in cursor.fetchall()}
        connection.rollback()
        connection.close()

    def holds(self, key):
        return self.low <= int(key) < self.high


def wait_for_transactions_in_progress(database):
    """Until every transaction that was open when the slot was made has ended."""
    newest = database.value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    wait_until(lambda: database.value("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint") >= newest, 30,
               "the transactions in progress to end")


class Target:
    """The other side in a dict. Every change must touch exactly one row, or it is written down as a violation."""

    def __init__(self, chunks, database=None):
        self.chunks = chunks
        self.database = database
        self.refetched = {}
        self.rows = {key: row for chunk in chunks for key, row in chunk.rows.items()}
        self.violations = []

    def due(self, transaction, key, decide):
        chunk = self.refetched.get(key) or next(c for c in self.chunks if c.holds(key))
        return decide(chunk.mark, transaction)

    def refetch(self, key):
        """A one-row chunk with a mark of its own, which decides the later changes to this key."""
        chunk = self.refetched[key] = Chunk(self.database, int(key), int(key) + 1)
        self.rows.pop(key, None)
        self.rows.update(chunk.rows)

    def apply(self, transaction, decide):
        for change in transaction.changes:
            if change.relation.name != TABLE:
                continue
            if change.kind == "D":
                self.delete(transaction, change.old[0], decide)
                continue
            key = change.new[0]
            old_key = change.old[0] if change.old else key
            if change.kind == "U" and old_key == key:
                self.update(transaction, key, change.new, decide)
            elif change.kind == "U":
                # Decided one by one: the two keys may be in chunks with different marks. The unchanged TOAST value of
                # a moved row comes from the old row, or else from a read of its own.
                before = self.rows.get(old_key)
                self.delete(transaction, old_key, decide)
                self.insert(transaction, key, self.filled(change.new, before), decide)
            else:
                self.insert(transaction, key, change.new, decide)

    def filled(self, new, before):
        return [before[i] if value is UNCHANGED and before else value for i, value in enumerate(new)]

    def insert(self, transaction, key, row, decide):
        if self.due(transaction, key, decide):
            if key in self.rows:
                self.violations.append(("insert of a row that is there", key))
            self.rows[key] = row
            if UNCHANGED in row and self.database:
                self.refetch(key)

    def update(self, transaction, key, row, decide):
        if self.due(transaction, key, decide):
            if key not in self.rows:
                self.violations.append(("update of a row that is not there", key))
            self.rows[key] = self.filled(row, self.rows.get(key))

    def delete(self, transaction, key, decide):
        if self.due(transaction, key, decide):
            if self.rows.pop(key, None) is None:
                self.violations.append(("delete of a row that is not there", key))


def by_mark(mark, transaction):
    return not mark.saw(transaction.xid)


def chunk_bounds(rows, chunk_rows):
    low = -(1 << 62)
    edges = [low, *range(-4 * rows, 8 * rows, chunk_rows), 1 << 62]
    return list(zip(edges, edges[1:]))


def joined(database, publication, seconds, rows, chunk_rows, writers):
    """Runs the copy under load; returns (chunks, all transactions of the stream, the source's rows at the end)."""
    stream = Stream(database.dsn("godwit", with_password=True), f"join_{publication}", publication)
    try:
        wait_for_transactions_in_progress(database)
        with writers:
            bounds = chunk_bounds(rows, chunk_rows)
            chunks, began = [], time.monotonic()
            for number, (low, high) in enumerate(bounds):
                due = began + seconds * number / len(bounds)
                writers._stop.wait(max(due - time.monotonic(), 0))
                chunks.append(Chunk(database, low, high))
            writers.stop()
        end = database.value("INSERT INTO public.counters VALUES (99, 0) RETURNING pg_current_xact_id()::text::bigint")
        stream.start()
        transactions = list(stream.read(lambda t: t.xid == end & 0xFFFFFFFF, timeout=60))
        final = {row[0]: list(row) for row in database.sql(f"SELECT {COLUMNS} FROM {TABLE}")}
        return chunks, transactions, final
    finally:
        stream.close()


@pytest.fixture
def source(servers, new_database):
    database = new_database(servers[0])
    create_tables(database, rows=1200)
    database.sql("CREATE PUBLICATION p FOR TABLE public.items, public.counters", user="godwit")
    return database


def test_chunks_and_stream_join_to_the_source_under_random_writers(source):
    writers = Writers(source.dsn("app", with_password=True), rows=1200, count=5, two_phase=True, seed=7)
    chunks, transactions, final = joined(source, "p", 8, 1200, 150, writers)
    assert not writers.errors
    assert writers.committed > 200, "too little load to prove anything"

    target = Target(chunks, source)
    for transaction in transactions:
        target.apply(transaction, by_mark)
    assert not target.violations
    assert target.rows == final
    assert target.refetched, "no key change with an unchanged TOAST value came up"
    writers.assert_nothing_lost(source)

    # The proof has teeth: some changes had to be skipped and some applied, and taking all of them goes wrong.
    every = Target(chunks)
    for transaction in transactions:
        every.apply(transaction, lambda mark, transaction: True)
    assert every.violations


def test_a_commit_that_is_decoded_before_it_is_visible_is_decided_by_the_mark(servers, new_server):
    """Log order is not visibility order: behind a slow synchronous standby the stream shows a commit that a chunk read
    after it does not see. Deciding by LSN loses the row, deciding by the mark does not."""
    server = new_server(name="sync")
    from godwit_support.roles import Database
    database = Database(server)
    create_tables(database, rows=10)
    database.sql("CREATE PUBLICATION p FOR TABLE public.items", user="godwit")
    stream = Stream(database.dsn("godwit", with_password=True), "early", "p").start()
    server.set(synchronous_standby_names="nobody")
    server.reload()
    wait_until(lambda: server.psql("SHOW synchronous_standby_names")[0][0] == "nobody", 10, "the setting")

    waiting = database.connect("app", autocommit=True)
    commit = threading.Thread(target=lambda: waiting.cursor().execute(f"UPDATE {TABLE} SET n = 5 WHERE id = 3"))
    commit.start()
    try:
        transaction = next(stream.read(lambda t: True, timeout=30))
        chunk = Chunk(database, 0, 100)
        read_after_lsn = database.value("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        assert chunk.rows["3"][1] == "0", "the commit is not visible yet"
        assert transaction.end_lsn <= read_after_lsn, "by LSN the chunk would count as having seen it"
        assert not chunk.mark.saw(transaction.xid), "by the mark it has not"
        target = Target([chunk])
        target.apply(transaction, by_mark)
        assert target.rows["3"][1] == "5"
    finally:
        server.set(synchronous_standby_names="")
        server.reload()
        commit.join(30)
        waiting.close()
        stream.close()


def test_a_mark_taken_before_the_lock_reads_nothing_behind_a_rewrite(source):
    """The order is lock, then mark. The other way round a rewriting ALTER in between empties the chunk in silence."""
    def read(mark_first, ready, result):
        connection = source.connect("godwit", autocommit=False)
        connection.set_session(isolation_level="REPEATABLE READ")
        with connection.cursor() as cursor:
            if mark_first:
                cursor.execute("SELECT pg_current_snapshot()")
            ready.set()
            cursor.execute(f"LOCK TABLE {TABLE} IN ACCESS SHARE MODE")
            cursor.execute(f"SELECT count(*) FROM {TABLE}")
            result.append(cursor.fetchone()[0])
        connection.close()

    for mark_first, expected in ((True, 0), (False, 1200)):
        altering = source.connect("app_owner", autocommit=False)
        altering.cursor().execute(f"ALTER TABLE {TABLE} ALTER COLUMN n TYPE numeric")
        ready, result = threading.Event(), []
        reader = threading.Thread(target=read, args=(mark_first, ready, result))
        reader.start()
        wait_until(lambda: source.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessShareLock'"), 10,
                   "the reader to wait for the lock")
        altering.commit()
        altering.close()
        reader.join(20)
        source.owner_sql(f"ALTER TABLE {TABLE} ALTER COLUMN n TYPE bigint")
        assert result == [expected]


# --- 2. the fence ---

FENCE_SQL = """
CREATE SCHEMA godwit;
CREATE SEQUENCE godwit.fence MINVALUE 1;
SELECT setval('godwit.fence', 1);
CREATE FUNCTION godwit.fence_check() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
BEGIN
    IF session_user <> 'godwit' AND (SELECT last_value FROM godwit.fence) > 1 THEN
        RAISE EXCEPTION 'fenced: this side is not the owner' USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER godwit_fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.items
    FOR EACH STATEMENT EXECUTE FUNCTION godwit.fence_check();
ALTER TABLE public.items ENABLE ALWAYS TRIGGER godwit_fence;
CREATE TABLE godwit.flag (raised bool); INSERT INTO godwit.flag VALUES (false);
GRANT USAGE ON SCHEMA godwit TO PUBLIC; GRANT SELECT ON godwit.flag TO PUBLIC;
"""


def raise_fence(database, lock_timeout_ms=2000):
    """What godwit does in the pause; returns the position at which nobody wrote any more."""
    connection = database.connect("godwit", autocommit=False)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {lock_timeout_ms}")
            cursor.execute("LOCK TABLE public.items IN EXCLUSIVE MODE")
            cursor.execute("SELECT setval('godwit.fence', 2)")
            cursor.execute("SELECT pg_current_wal_insert_lsn()::text")
            position = cursor.fetchone()[0]
        connection.commit()
        return position
    finally:
        connection.close()


def lower_fence(database):
    database.sql("SELECT setval('godwit.fence', 1)", user="godwit")


@pytest.fixture
def fenced(servers, new_database):
    database = new_database(servers[0])
    create_tables(database, rows=10)
    database.sql(FENCE_SQL, user="godwit")
    return database


WRITES = (
    "INSERT INTO public.items (id, n) VALUES (100, 1)",
    "UPDATE public.items SET n = n + 1",
    "UPDATE public.items SET n = 1 WHERE false",
    "DELETE FROM public.items",
    "TRUNCATE public.items",
    "COPY public.items (id, n) FROM PROGRAM 'echo'",
    "WITH w AS (DELETE FROM public.items RETURNING 1) SELECT * FROM w",
    "MERGE INTO public.items i USING (SELECT 1 AS id) s ON i.id = s.id WHEN MATCHED THEN UPDATE SET n = 0",
)


@pytest.mark.parametrize("user", ["app", "app_owner", "postgres"])
def test_the_fence_stops_every_write_of_every_user_but_ours(fenced, user):
    raise_fence(fenced)
    before = fenced.sql("SELECT * FROM public.items ORDER BY id")
    for statement in WRITES:
        if "PROGRAM" in statement and user != "postgres":
            continue
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            fenced.sql(statement, user=user)
    assert fenced.sql("SELECT * FROM public.items ORDER BY id") == before
    fenced.sql("INSERT INTO public.items (id, n) VALUES (100, 1)", user="godwit")
    fenced.sql("SET ROLE app_owner; INSERT INTO public.items (id, n) VALUES (101, 1)", user="godwit")
    lower_fence(fenced)
    fenced.sql("INSERT INTO public.items (id, n) VALUES (102, 1)", user=user)


def test_an_older_snapshot_sees_the_fence_but_not_a_flag_row(fenced):
    old = fenced.connect("app", autocommit=False)
    old.set_session(isolation_level="REPEATABLE READ")
    cursor = old.cursor()
    cursor.execute("SELECT count(*) FROM public.items")  # its snapshot is from before the fence
    raise_fence(fenced)
    fenced.sql("UPDATE godwit.flag SET raised = true", user="godwit")
    cursor.execute("SELECT raised FROM godwit.flag")
    assert cursor.fetchone() == (False,), "a flag row would have let this transaction write"
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        cursor.execute("INSERT INTO public.items (id, n) VALUES (100, 1)")
    old.close()


def test_replica_role_does_not_pass_the_fence(fenced):
    raise_fence(fenced)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        fenced.sql("SET session_replication_role = replica; DELETE FROM public.items", user="postgres")


def test_raising_the_fence_waits_for_writers_and_gives_up_in_time(fenced):
    writer = fenced.connect("app", autocommit=False)
    writer.cursor().execute("UPDATE public.items SET n = 7 WHERE id = 1")
    with pytest.raises(psycopg2.errors.LockNotAvailable):
        raise_fence(fenced, lock_timeout_ms=100)
    assert fenced.value("SELECT last_value FROM godwit.fence", user="godwit") == 1, "not raised, nothing to undo"
    fenced.sql("UPDATE public.items SET n = 8 WHERE id = 2", user="app")

    raised = []
    raiser = threading.Thread(target=lambda: raised.append(raise_fence(fenced, lock_timeout_ms=20000)))
    raiser.start()
    wait_until(lambda: fenced.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'ExclusiveLock'"), 10,
               "the fence to wait for the writer")
    writer.commit()
    raiser.join(20)
    writer.close()
    assert raised, "raised once the writer had committed"
    assert fenced.value("SELECT n FROM public.items WHERE id = 1") == 7


def test_no_write_lands_after_the_fence_position_under_load(fenced):
    """Everything acknowledged is before the position, nothing is after it."""
    fenced.sql("DROP TRIGGER godwit_fence ON public.items", user="godwit")
    fenced.sql("CREATE PUBLICATION p FOR TABLE public.items", user="godwit")
    fenced.sql("CREATE TRIGGER godwit_fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.items"
               " FOR EACH STATEMENT EXECUTE FUNCTION godwit.fence_check();"
               "ALTER TABLE public.items ENABLE ALWAYS TRIGGER godwit_fence", user="godwit")
    stream = Stream(fenced.dsn("godwit", with_password=True), "fence_load", "p")
    writers = Writers(fenced.dsn("app", with_password=True), rows=10, count=4, seed=3).start()
    wait_until(lambda: writers.committed > 100, 30, "writers at work")
    position = fenced.value("SELECT (%s::pg_lsn - '0/0')::bigint", (raise_fence(fenced),))
    wait_until(lambda: len(writers.errors) > 20, 30, "writers to meet the fence")
    writers.stop()
    assert all("fenced" in message for message in writers.errors)
    fenced.sql("UPDATE public.items SET n = -1 WHERE id = (SELECT min(id) FROM public.items)", user="godwit")
    stream.start()
    after = 0
    for transaction in stream.read(lambda t: t.changes and t.changes[-1].new and t.changes[-1].new[1] == "-1", timeout=30):
        after += transaction.commit_lsn >= position
    stream.close()
    assert after == 1, "only our own write is past the fence position"


# --- 3. the way back ---

POSITION_SQL = """
CREATE SCHEMA godwit;
CREATE TABLE godwit.position (stream text PRIMARY KEY, position pg_lsn NOT NULL, epoch bigint NOT NULL);
INSERT INTO godwit.position VALUES ('blue', '0/0', 1);
"""


def is_ours(transaction):
    return bool(transaction.changes) and transaction.changes[0].relation.name == "godwit.position"


def test_the_position_row_tells_our_transactions_from_the_applications(servers, new_database):
    green = new_database(servers[1])
    create_tables(green, rows=10)
    green.sql(POSITION_SQL, user="godwit")
    green.sql("CREATE PUBLICATION back FOR TABLE public.items, godwit.position", user="godwit")
    stream = Stream(green.dsn("godwit", with_password=True), "way_back", "back")

    applier = green.connect("godwit", autocommit=False)
    applier.cursor().execute("SET session_replication_role = replica")
    applier.commit()
    ours, foreign = set(), set()

    def transaction(connection, statements, record):
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            cursor.execute("SELECT pg_current_xact_id()::text::bigint")
            record.add(cursor.fetchone()[0] & 0xFFFFFFFF)
        connection.commit()

    app = green.connect("app", autocommit=False)
    position = "UPDATE godwit.position SET position = '0/{0:X}' WHERE stream = 'blue'"
    for number in range(1, 51):
        transaction(applier, [position.format(number), f"INSERT INTO public.items (id, n) VALUES ({1000 + number}, 1)",
                              "SAVEPOINT s", f"UPDATE public.items SET n = 2 WHERE id = {1000 + number}", "RELEASE s"], ours)
        if number % 5 == 0:
            transaction(app, [f"INSERT INTO public.items (id, n) VALUES ({2000 + number}, 1)"], foreign)
    # The same value again still leaves a change in the log: a batch whose position does not move is recognised too.
    transaction(applier, [position.format(50), "DELETE FROM public.items WHERE id = 1050"], ours)
    # A chunk that we load while the application is kept out says whose it is before its first row.
    transaction(applier, [position.format(51), "TRUNCATE public.items"], ours)
    last = green.value("INSERT INTO public.items (id, n) VALUES (1, 1) RETURNING pg_current_xact_id()::text::bigint")
    foreign.add(last & 0xFFFFFFFF)

    stream.start()
    seen = list(stream.read(lambda t: t.xid == last & 0xFFFFFFFF, timeout=30))
    stream.close()
    applier.close()
    app.close()
    assert {t.xid for t in seen if is_ours(t)} == ours
    assert {t.xid for t in seen if not is_ours(t)} == foreign
    for one in seen:
        if is_ours(one):
            assert [c.relation.name for c in one.changes].count("godwit.position") == 1


def test_the_position_and_the_rows_are_durable_together(new_server):
    """A server killed in the middle of applying holds exactly the rows of the batches whose position it holds."""
    from godwit_support.roles import Database
    server = new_server(name="green", fsync="on", full_page_writes="on", synchronous_commit="off")
    green = Database(server)
    create_tables(green, rows=1)
    green.sql(POSITION_SQL, user="godwit")
    applied = threading.Event()

    def apply():
        connection = green.connect("godwit", autocommit=False)
        try:
            for number in range(1, 100000):
                with connection.cursor() as cursor:
                    cursor.execute("UPDATE godwit.position SET position = '0/0'::pg_lsn + %s", (number,))
                    cursor.execute("INSERT INTO public.items (id, n) VALUES (%s, 1)", (1000 + number,))
                connection.commit()
                if number == 300:
                    applied.set()
        except psycopg2.Error:
            pass

    applier = threading.Thread(target=apply)
    applier.start()
    assert applied.wait(30)
    server.kill()
    applier.join(20)
    server.start()
    position, = green.sql("SELECT (position - '0/0')::bigint FROM godwit.position")[0]
    rows, highest = green.sql("SELECT count(*), max(id) FROM public.items WHERE id > 1000")[0]
    assert position > 0
    assert (rows, highest) == (position, 1000 + position)
