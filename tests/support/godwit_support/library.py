"""A library that lends musical instruments: one schema in three dialects, some thousand rows, and what they mean.

Every name, type and value is invented here. COLUMNS says of each column what its values are, so that two sides can be held
against each other whatever engines they are: see unlike.py. Left out of COLUMNS is what a side computes by itself.
"""
import datetime
import decimal
import json
import pathlib
import random

SCHEMAS = pathlib.Path(__file__).resolve().parents[1] / "schemas"

# table: (key, {column: kind}); in an order in which foreign keys hold.
COLUMNS = {
    "branch": (["id"], {"id": "int", "name": "text", "old_name": "text", "opened": "int", "services": "bits",
                        "place": "point", "hours": "json"}),
    "maker": (["id"], {"id": "int", "name": "text", "country": "text", "founded": "int", "closed": "date"}),
    "category": (["id"], {"id": "int", "parent": "int", "name": "text"}),
    "member": (["id"], {"id": "int", "badge": "int", "email": "text", "name": "text", "born": "date", "secret": "bytes",
                        "joined": "datetime", "active": "bool", "plays": "set"}),
    "instrument": (["id"], {"id": "int", "serial": "text", "family": "text", "maker_id": "int", "category_id": "int",
                            "value": "decimal", "weight": "float", "length": "float4", "frets": "int", "spec": "json",
                            "photo": "bytes", "notes": "text", "acquired": "datetime", "changed": "datetime",
                            "audit_note": "text"}),
    "loan": (["instrument_id", "no"], {"instrument_id": "int", "no": "int", "member_id": "int", "branch_id": "int",
                                       "out_at": "datetime", "due": "date", "back_at": "datetime", "played": "time",
                                       "fee": "decimal"}),
    "order": (["id"], {"id": "int", "select": "text", "group": "int", "placed": "datetime", "total": "decimal"}),
    "order_line": (["order_id", "line"], {"order_id": "int", "line": "int", "what": "text", "quantity": "int"}),
    "ReadingRoom": (["Id"], {"Id": "int", "Seats": "int", "Größe": "float"}),
    "maße": (["maß"], {"maß": "text", "länge": "decimal"}),
    "setting": (["name"], {"name": "text", "value": "text"}),
    "event_log": ([], {"at": "datetime", "kind": "text", "data": "bytes"}),
}
QUOTES = {"mysql": "`", "sqlite": '"', "postgres": '"'}

NAMES = ("Ada Pfau", "Ole Brüning", "Žofie Malá", "渡辺 楓", "Noor 🎻 Haddad", "Björk\tTab", "O'Hara \\ \"Quote\"", "NULL", " ")
FAMILIES = ("strings", "winds", "keys", "drums", "other")
ODD_TEXTS = ("", " ", "NULL", "null", "\\N", "line\nbreak", "tab\there", "quote'\"`", "back\\slash", "ünï¢ödé", "🪕🎷🥁", "a|b,c;d",
             "percent % and _", "\r\n", "'); --")
ODD_FLOATS = (0.0, -0.0, 0.1, 1e16, 2.2250738585072014e-308, 1.7976931348623157e308, 0.36640625, -1.5, 1 / 3)
ODD_FLOATS_4 = (0.0, 0.5, 1.25, 16777216.0, -0.75, 1024.125)
POINT_WKB = bytes.fromhex("0101000000")


def create(database):
    """The schema, made by the tables' owner."""
    text = (SCHEMAS / f"library.{engine_of(database)}.sql").read_text()
    database.owner_sql(text)


def engine_of(database):
    return getattr(database, "engine", "postgres")


def quoted(database, name):
    mark = QUOTES[engine_of(database)]
    return mark + name + mark


# --- rows ---

class Rows:
    """`size` instruments, and of everything else what goes with them; the same for the same seed."""

    def __init__(self, size=1000, seed=1):
        self.size, self.rng = size, random.Random(seed)
        self.start = datetime.datetime(2021, 3, 28, 0, 30)

    def of(self, table):
        """Dicts by column, in COLUMNS' kinds."""
        return getattr(self, "rows_of_" + {"order": "orders", "ReadingRoom": "rooms", "maße": "sizes"}.get(table, table))()

    def text(self, length):
        word = "".join(self.rng.choice("abcdefghijklmnopqrstuvwxyz äöü🎶") for _ in range(self.rng.randrange(length)))
        return self.rng.choice(ODD_TEXTS) if self.rng.random() < 0.1 else word

    def moment(self, digits=6):
        at = self.start + datetime.timedelta(seconds=self.rng.randrange(10**8), microseconds=self.rng.randrange(10**6))
        step = 10 ** (6 - digits)
        return at.replace(microsecond=at.microsecond // step * step)

    def maybe(self, value, part=0.2):
        return None if self.rng.random() < part else value

    def rows_of_branch(self):
        for number in range(1, 21):
            point = POINT_WKB + self.rng.randbytes(6) + b"\x40\x40" + self.rng.randbytes(6) + b"\x40\x40"
            yield {"id": number, "name": f"Branch {number} – {chr(0x391 + number)}", "old_name": self.maybe(f"Filiale {number} ü"),
                   "opened": self.maybe(1901 + number), "services": number * 7 % 256, "place": self.maybe(point),
                   "hours": self.maybe({"mon": [9, 17.5], "note": "\"zu\" \u2603", "n": number, "x": None})}

    def rows_of_maker(self):
        for number in range(1, 51):
            yield {"id": number, "name": f"{self.rng.choice(NAMES)} {number}", "country": self.rng.choice(("DE", "PL", "??", "jp")),
                   "founded": self.maybe(self.rng.randrange(-300, 2020)),
                   "closed": self.maybe(datetime.date(1799, 12, 31) + datetime.timedelta(days=self.rng.randrange(80000)))}

    def rows_of_category(self):
        for number in range(1, 31):
            yield {"id": number, "parent": self.rng.randrange(1, number) if number > 3 else None, "name": f"category {number}"}

    def rows_of_member(self):
        for number in range(1, self.size // 2 + 1):
            secret = self.rng.randbytes(7) + b"\0" if number % 3 == 0 else self.rng.randbytes(8)
            plays = [one for one in ("strings", "winds", "keys", "drums") if self.rng.random() < 0.4]
            yield {"id": number, "badge": 2**64 - 1 - number if number % 7 == 0 else number * 1000003,
                   "email": f"m{number}@example.test", "name": f"{self.rng.choice(NAMES)} {number}",
                   "born": self.maybe(datetime.date(1930, 1, 1) + datetime.timedelta(days=self.rng.randrange(30000))),
                   "secret": self.maybe(secret), "joined": self.moment(), "active": self.rng.random() < 0.8,
                   "plays": ",".join(plays)}

    def rows_of_instrument(self):
        for number in range(1, self.size + 1):
            yield self.instrument(number)

    def instrument(self, number):
        photo = self.rng.randbytes(self.rng.choice((0, 1, 100, 3000)))
        spec = {"keys": number % 88, "wood": self.text(9), "parts": [{"n": 1.5}, [], {}, True, None]}
        return {"id": number, "serial": f"{self.rng.choice('aAbB_-')}{number:05}", "family": self.rng.choice(FAMILIES),
                "maker_id": self.maybe(self.rng.randrange(1, 51)), "category_id": self.maybe(self.rng.randrange(1, 31)),
                "value": decimal.Decimal(self.rng.randrange(10**9)).scaleb(-2), "weight": self.maybe(self.rng.choice(ODD_FLOATS)),
                "length": self.maybe(self.rng.choice(ODD_FLOATS_4)), "frets": self.maybe(self.rng.randrange(256)),
                "spec": self.maybe(spec), "photo": self.maybe(photo), "notes": self.maybe(self.text(200)),
                "acquired": self.maybe(self.moment()), "changed": self.moment(3), "audit_note": self.maybe("seen")}

    def rows_of_loan(self):
        for number in range(1, self.size + 1):
            for no in range(1, 1 + number % 4):
                out = self.moment()
                yield {"instrument_id": number, "no": no, "member_id": self.rng.randrange(1, self.size // 2 + 1),
                       "branch_id": self.rng.randrange(1, 21), "out_at": out, "due": (out + datetime.timedelta(days=14)).date(),
                       "back_at": self.maybe(self.moment(0), 0.5),
                       "played": self.maybe(datetime.timedelta(milliseconds=self.rng.randrange(800 * 3600 * 1000))),
                       "fee": decimal.Decimal(self.rng.randrange(10**27)).scaleb(-10)}

    def rows_of_orders(self):
        for number in range(1, 101):
            yield {"id": number, "select": self.maybe(self.text(20)), "group": self.maybe(-number), "placed": self.moment(0),
                   "total": decimal.Decimal(number * 1001).scaleb(-3)}

    def rows_of_order_line(self):
        for order in range(1, 101):
            for line in range(1, 2 + order % 3):
                yield {"order_id": order, "line": line, "what": self.text(100), "quantity": self.rng.randrange(1 << 24)}

    def rows_of_rooms(self):
        for number in (-(2**31), -1, 0, 1, 2**31 - 1):
            yield {"Id": number, "Seats": number % 100, "Größe": self.rng.choice(ODD_FLOATS)}

    def rows_of_sizes(self):
        for name, size in (("größer", "1.5"), ("GRÖSSER", "-0.000000000000000000000000000001"), ("Größer", None),
                           ("a-b", "12345678901234567890123456789012345.123456789012345678901234567891"), ("aB", "0"),
                           ("ab", "100"), ("A1", "7"), ("_z", "-7.25"), ("", "3")):
            yield {"maß": name, "länge": size and decimal.Decimal(size)}

    def rows_of_setting(self):
        yield {"name": "heartbeat", "value": "0"}
        for number, odd in enumerate(ODD_TEXTS):
            yield {"name": f"odd{number}", "value": odd}
        yield {"name": "A", "value": "x" * 70000}
        yield {"name": "a", "value": None}

    def rows_of_event_log(self):
        for number in range(100):
            yield {"at": self.start, "kind": "same" if number % 4 == 0 else f"k{number}", "data": b"\0\xff" if number % 3 else None}


def encoded(engine, kind, value):
    """A value as the engine's driver takes it."""
    if value is None:
        return None
    if kind == "json":
        return json.dumps(value, ensure_ascii=False)
    if kind == "time" and engine == "postgres":
        return value
    if kind == "time":
        return clock(value)
    if kind == "bits" and engine == "postgres":
        return f"{value:08b}"
    if kind == "point" and engine == "mysql":
        return bytes(4) + value  # the reference system stands before the WKB
    if engine == "sqlite":
        if kind == "datetime":
            return value.isoformat(" ", "milliseconds" if value.microsecond % 1000 == 0 else "microseconds")
        if kind == "date":
            return value.isoformat()
        if kind == "int" and abs(value) >= 2**63:
            return str(value)
        if kind == "decimal":
            return format(value, "f")
    return value


def clock(span):
    seconds, micros = divmod(round(span.total_seconds() * 1_000_000), 1_000_000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micros // 1000:03}"


def insert_sql(database, table, columns):
    mark = "?" if engine_of(database) == "sqlite" else "%s"
    overriding = " OVERRIDING SYSTEM VALUE" if engine_of(database) == "postgres" else ""
    names = ", ".join(quoted(database, name) for name in columns)
    return f"INSERT INTO {quoted(database, table)} ({names}){overriding} VALUES ({', '.join([mark] * len(columns))})"


def fill(database, size=1000, seed=1):
    """The rows, written by the application's owner in one transaction."""
    rows, engine = Rows(size, seed), engine_of(database)
    connection = database.connect("app_owner", autocommit=False)
    try:
        cursor = connection.cursor()
        for table, (_, columns) in COLUMNS.items():
            batch = [tuple(encoded(engine, kind, row[name]) for name, kind in columns.items()) for row in rows.of(table)]
            cursor.executemany(insert_sql(database, table, columns), batch)
        if engine == "postgres":
            for table in ("branch", "maker", "category", "member", "instrument", "order"):
                name = quoted(database, table)
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))")
        if engine == "sqlite":
            cursor.execute("INSERT INTO instrument_words (rowid, serial, notes) SELECT id, serial, notes FROM instrument")
        connection.commit()
    finally:
        connection.close()


# --- the application's own work ---

def day(database, number):
    """One transaction of the application after another, on the side that owns: generated keys, a key that changes, cascades,
    SET NULL, a trigger, a table without a key. The same statements on every engine; `number` makes each day another."""
    engine = engine_of(database)
    order, line = quoted(database, "order"), quoted(database, "order_line")
    new = Rows(seed=number).instrument(number)
    del new["id"], new["maker_id"], new["category_id"], new["changed"]
    new["serial"] = f"day{number}"
    kinds = COLUMNS["instrument"][1]
    mark = "?" if engine == "sqlite" else "%s"
    at = encoded(engine, "datetime", datetime.datetime(2024, 2, 29, 12, 0, number % 60, 250000))
    member = {"badge": str(2**64 - 100_000 - number), "email": f"day{number}@example.test", "name": "Tag 🎺", "joined": at}
    work = [
        [(insert_sql(database, "instrument", list(new)).replace(" OVERRIDING SYSTEM VALUE", ""),
          [encoded(engine, kinds[name], value) for name, value in new.items()]),
         (f"INSERT INTO member ({', '.join(member)}) VALUES ({', '.join([mark] * len(member))})", list(member.values()))],
        [("UPDATE instrument SET value = value + 1 WHERE id BETWEEN {0} AND {0} + 5", ())],
        [("UPDATE instrument SET notes = 'back to ''him''', photo = NULL WHERE id = {0} + 10", ())],
        [("DELETE FROM " + order + " WHERE id = {0} * 3", ())],
        [("UPDATE " + order + " SET id = -id WHERE id = {0} * 3 + 1", ())],
        [("INSERT INTO " + order + " (total) VALUES ({0})", ()),
         ("INSERT INTO " + line + " SELECT max(id), 1, 'reed', {0} FROM " + order, ())],
        [("DELETE FROM category WHERE id = {0} + 3", ())],
        [(f"INSERT INTO event_log (at, kind) VALUES ({mark}, 'day'), ({mark}, 'day')", (at, at))],
        [("UPDATE setting SET value = 'Ω{0}' WHERE name = 'odd3'", ())],
        [("UPDATE loan SET no = no + 100, fee = '7.25' WHERE instrument_id = {0} * 4 + 1", ())],
        [("DELETE FROM loan WHERE instrument_id = {0} * 4 + 2", ())],
    ]
    connection = database.connect("app", autocommit=False)
    try:
        cursor = connection.cursor()
        for transaction in work:
            for text, values in transaction:
                text = text if values else text.format(number)
                cursor.execute(text, *([values] if values else []))
            connection.commit()
    finally:
        connection.close()
