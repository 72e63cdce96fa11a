"""The independent comparison of two sides that may be of different engines: the drivers read, Python holds the values
against each other by what COLUMNS says they are. Nothing of godwit's own decoding is in here.
"""
import collections
import datetime
import decimal
import json
import re
import struct

from . import library

Difference = collections.namedtuple("Difference", "table key blue green")


# What PostgreSQL's tables need before the application may use what godwit made there.
RIGHTS_SQL = """
ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app;
ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA public GRANT ALL ON SEQUENCES TO app;
"""
# What the plan asks for: nobody but a person knows whether another engine computes the same; a time may be a span of more
# than a day; an unsigned bigint that counts by itself becomes a bigint, since a numeric cannot.
COMPUTED = {"insured": {"drop": True}, "label": {"drop": True}}
RULES = {
    "mysql": {"instrument": {"columns": COMPUTED}, "member": {"columns": {"id": {"type": "bigint"}}},
              "loan": {"columns": {"played": {"type": "interval"}, "member_id": {"type": "bigint"}}}},
    "sqlite": {"instrument": {"columns": COMPUTED}},
    "postgres": {"public.instrument": {"columns": {"insured": {"drop": True}}}},
}


def rules(blue, green):
    """The store's `collections:`; nothing within one engine."""
    engine = library.engine_of(blue)
    return {} if engine == library.engine_of(green) else {"collections": RULES[engine]}


def let_in(side):
    """The application may use what godwit, or the tables' owner, makes on that side from now on."""
    if library.engine_of(side) == "postgres":
        for role in ("godwit", "app_owner"):
            side.sql(RIGHTS_SQL.format(role=role))


def numbers(value):
    """JSON says 1.0 and 1 of one number."""
    if isinstance(value, dict):
        return {name: numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [numbers(one) for one in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return decimal.Decimal(repr(value)).normalize().to_eng_string()
    return value


def moment(value):
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    if value.tzinfo is not None:
        value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return value.isoformat(" ", "microseconds")


ISO_SPAN = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?")


def span(value):
    if isinstance(value, str) and value.startswith("P"):
        days, hours, minutes, seconds = (float(part or 0) for part in ISO_SPAN.fullmatch(value).groups())
        value = datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if isinstance(value, str):
        hours, minutes, seconds = value.split(":")
        value = datetime.timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))
    if isinstance(value, datetime.time):
        value = datetime.timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
    return round(value.total_seconds() * 1000)


def bits(value):
    if isinstance(value, str):
        return int(value, 2)
    return int.from_bytes(value, "big") if isinstance(value, bytes) else int(value)


def floating(value):
    """Bit by bit: 0.0 and -0.0 differ."""
    return struct.pack(">d", float(value)).hex()


def point(value):
    raw = bytes(value)
    return raw[4:] if len(raw) == 25 else raw  # without MySQL's reference system


def of_set(value):
    names = value if isinstance(value, (list, tuple, set)) else value.strip("{}").split(",")
    return sorted(one for one in names if one)


CANONICAL = {
    "int": int, "bool": bool, "text": str, "bytes": bytes, "float": floating,
    "float4": lambda value: struct.pack(">f", float(value)).hex(),
    "decimal": lambda value: format(decimal.Decimal(str(value)).normalize(), "f"),
    "date": lambda value: value if isinstance(value, str) else value.isoformat(),
    "datetime": moment, "time": span, "bits": bits, "point": point, "set": of_set,
    "json": lambda value: numbers(value if isinstance(value, (dict, list)) else json.loads(value)),
}


def readable(value):
    return bytes(value) if isinstance(value, (memoryview, bytearray)) else value


def selected(database, name, kind):
    """MariaDB prints a FLOAT with six digits; as a DOUBLE it comes whole."""
    name = library.quoted(database, name)
    return name + " + 0e0" if kind == "float4" and library.engine_of(database) == "mysql" else name


def rows_of(database, table, key, columns):
    """(rows by key) or, of a table without one, how often each row is there."""
    names = ", ".join(selected(database, name, kind) for name, kind in columns.items())
    connection = database.connect()
    try:
        cursor = connection.cursor()
        if library.engine_of(database) == "postgres":
            cursor.execute("SET timezone = 'UTC'; SET extra_float_digits = 3")
        cursor.execute(f"SELECT {names} FROM {library.quoted(database, table)}")
        rows = []
        for row in cursor.fetchall():
            values = {}
            for (name, kind), value in zip(columns.items(), row):
                values[name] = None if value is None else CANONICAL[kind](readable(value))
            rows.append(values)
    finally:
        connection.close()
    if key:
        return {tuple(row[name] for name in key): row for row in rows}
    return collections.Counter(repr(row) for row in rows)


def compare(blue, green, tables=None, limit=20, names=None):
    """Up to `limit` differences between two databases of any engine. `names`: {table: its name on green}."""
    found = []
    for table, (key, columns) in (tables or library.COLUMNS).items():
        left = rows_of(blue, table, key, columns)
        right = rows_of(green, (names or {}).get(table, table), key, columns)
        for one in [*left, *(k for k in right if k not in left)]:
            if left.get(one) != right.get(one):
                found.append(Difference(table, one, *only_what_differs(left.get(one), right.get(one))))
                if len(found) >= limit:
                    return found
    return found


def only_what_differs(left, right):
    if isinstance(left, dict) and isinstance(right, dict):
        names = [name for name in left if left[name] != right[name]]
        return {name: left[name] for name in names}, {name: right[name] for name in names}
    return left, right


def assert_equal(blue, green, tables=None, names=None):
    differences = compare(blue, green, tables, names=names)
    assert not differences, "\n".join(str(one)[:600] for one in differences)
