"""The independent comparison: psycopg2 reads both sides as text, in Python they are held against each other."""
import collections

SESSION = "SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'iso_8601'; SET bytea_output = 'hex';" \
          " SET extra_float_digits = 3; SET search_path = pg_catalog"

Difference = collections.namedtuple("Difference", "table key blue green")

TABLES_SQL = """
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence = 'p'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'godwit') AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY 1
"""
KEY_SQL = """
    SELECT format('%%I', a.attname)
    FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, at)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = %s::regclass AND i.indisprimary ORDER BY k.at
"""
# Names and order matter, so that a column list written once reads the same from both sides.
COLUMNS_SQL = """
    SELECT format('%%I', attname) FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


def tables_of(connection):
    """Every ordinary table of the application, schema-qualified and quoted."""
    with connection.cursor() as cursor:
        cursor.execute(TABLES_SQL)
        return [name for (name,) in cursor.fetchall()]


def rows_of(connection, table):
    """(is it keyed, {key or row: row or count})"""
    with connection.cursor() as cursor:
        cursor.execute(SESSION)
        cursor.execute(KEY_SQL, (table,))
        key = [name for (name,) in cursor.fetchall()]
        cursor.execute(COLUMNS_SQL, (table,))
        columns = [name for (name,) in cursor.fetchall()]
        cursor.execute("SELECT ROW({})::text, ROW({})::text FROM ONLY {}".format(
            ", ".join(key) or "NULL", ", ".join(f"{name}::text" for name in columns), table))
        pairs = cursor.fetchall()
    if key:
        return True, dict(pairs)
    return False, collections.Counter(row for _, row in pairs)


def compare(blue, green, tables=None, limit=20):
    """Up to `limit` differences between two Database (or connections), empty when all rows of all tables are equal."""
    opened = []

    def connection(side):
        if hasattr(side, "cursor"):
            return side
        opened.append(side.connect())
        return opened[-1]
    try:
        left, right = connection(blue), connection(green)
        if tables is None:
            tables = tables_of(left)
            missing = set(tables) ^ set(tables_of(right))
            if missing:
                return [Difference(name, None, "a table of one side only", None) for name in sorted(missing)][:limit]
        found = []
        for table in tables:
            (keyed, a), (_, b) = rows_of(left, table), rows_of(right, table)
            for key in [*a, *(k for k in b if k not in a)]:
                if a.get(key) != b.get(key):
                    found.append(Difference(table, key, a.get(key), b.get(key)))
                    if len(found) >= limit:
                        return found
        return found
    finally:
        for one in opened:
            one.close()


def assert_equal(blue, green, tables=None):
    differences = compare(blue, green, tables)
    assert not differences, "\n".join(map(str, differences))


def row_count(database, tables=None):
    connection = database.connect()
    try:
        with connection.cursor() as cursor:
            total = 0
            for table in tables or tables_of(connection):
                cursor.execute(f"SELECT count(*) FROM ONLY {table}")
                total += cursor.fetchone()[0]
            return total
    finally:
        connection.close()
