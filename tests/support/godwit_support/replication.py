"""pgoutput in a few lines of Python (protocol version 1), for proofs that do not lean on godwit's own decoder."""
import collections
import select
import struct
import time

import psycopg2.extras

Transaction = collections.namedtuple("Transaction", "xid commit_lsn end_lsn changes")
# kind: I, U, D or T; old: the key (or whole old row) where it was sent; values are text, None, or UNCHANGED
Change = collections.namedtuple("Change", "kind relation old new")
Relation = collections.namedtuple("Relation", "oid name columns")

UNCHANGED = object()


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from("!" + form, self.data, self.at)
        self.at += struct.calcsize("!" + form)
        return values[0] if len(values) == 1 else values

    def text(self):
        end = self.data.index(b"\0", self.at)
        value = self.data[self.at:end].decode()
        self.at = end + 1
        return value

    def row(self):
        row = []
        for _ in range(self.take("H")):
            kind = self.take("c")
            if kind == b"n":
                row.append(None)
            elif kind == b"u":
                row.append(UNCHANGED)
            else:
                size = self.take("I")
                row.append(self.data[self.at:self.at + size].decode())
                self.at += size
        return row


class Decoder:
    """feed() a message; it returns the Transaction when that was its commit."""

    def __init__(self):
        self.relations = {}
        self.open = None

    def feed(self, data):
        reader = _Reader(data)
        kind = reader.take("c")
        if kind == b"B":
            reader.take("QQ")
            self.open = Transaction(reader.take("I"), 0, 0, [])
        elif kind == b"C":
            reader.take("B")
            commit, end = reader.take("QQ")
            done, self.open = self.open._replace(commit_lsn=commit, end_lsn=end), None
            return done
        elif kind == b"R":
            self.relation(reader)
        elif kind in b"IUD":
            self.open.changes.append(self.change(kind.decode(), reader))
        elif kind == b"T":
            count, _ = reader.take("IB")
            for _ in range(count):
                self.open.changes.append(Change("T", self.relations[reader.take("I")], None, None))
        return None

    def relation(self, reader):
        oid = reader.take("I")
        name = f"{reader.text()}.{reader.text()}"
        reader.take("c")
        columns = []
        for _ in range(reader.take("H")):
            reader.take("B")
            columns.append(reader.text())
            reader.take("II")
        self.relations[oid] = Relation(oid, name, columns)

    def change(self, kind, reader):
        relation = self.relations[reader.take("I")]
        old = new = None
        part = reader.take("c")
        if part in b"KO":
            old = reader.row()
            part = reader.take("c") if kind == "U" else None
        if part == b"N":
            new = reader.row()
        return Change(kind, relation, old, new)


class Stream:
    """A logical slot with pgoutput. `snapshot` is the snapshot exported at its creation, valid until start()."""

    def __init__(self, dsn, slot, publication):
        self.slot, self.publication = slot, publication
        self.connection = psycopg2.connect(dsn, connection_factory=psycopg2.extras.LogicalReplicationConnection)
        self.cursor = self.connection.cursor()
        self.cursor.execute(f'CREATE_REPLICATION_SLOT "{slot}" LOGICAL pgoutput EXPORT_SNAPSHOT')
        _, self.start_lsn, self.snapshot, _ = self.cursor.fetchone()
        self.decoder = Decoder()

    def start(self):
        options = {"proto_version": "1", "publication_names": self.publication}
        self.cursor.start_replication(slot_name=self.slot, options=options, decode=False)
        return self

    def read(self, until, timeout):
        """Transactions in commit order, until until(transaction) is true of one (it comes too) or `timeout` passed."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.cursor.read_message()
            if message is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"slot {self.slot}: the awaited transaction did not come within {timeout} s")
                select.select([self.cursor], [], [], min(left, 0.2))
                continue
            done = self.decoder.feed(message.payload)
            if done is not None:
                self.cursor.send_feedback(flush_lsn=done.end_lsn)
                yield done
                if until(done):
                    return

    def close(self):
        self.connection.close()


class Mark:
    """What a snapshot saw, from pg_current_snapshot()::text: 'xmin:xmax:xip,xip'."""

    def __init__(self, text):
        xmin, xmax, xip = text.split(":")
        self.xmin, self.xmax = int(xmin), int(xmax)
        self.xip = {int(xid) for xid in xip.split(",") if xid}

    def widen(self, xid32):
        """The 64-bit id of a stream's 32-bit one: the one nearest to this snapshot."""
        xid = (self.xmax & ~0xFFFFFFFF) | xid32
        if xid - self.xmax > 1 << 31:
            xid -= 1 << 32
        elif self.xmax - xid > 1 << 31:
            xid += 1 << 32
        return xid

    def saw(self, xid32):
        xid = self.widen(xid32)
        return xid < self.xmin or (xid < self.xmax and xid not in self.xip)
