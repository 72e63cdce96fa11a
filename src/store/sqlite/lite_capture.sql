-- What triggers write down. The log's columns v0, v1, ... are added behind these: they have no type, so that every value
-- keeps its storage class. seq needs no AUTOINCREMENT: the newest row is never removed, so no number comes twice.
CREATE TABLE IF NOT EXISTS main.godwit_log (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    kind INTEGER NOT NULL,
    tab INTEGER,
    same TEXT
);
-- Rows that an INSERT or UPDATE OR REPLACE may be about to remove: SQLite fires no trigger for them.
CREATE TABLE IF NOT EXISTS main.godwit_replaced (
    id INTEGER PRIMARY KEY,
    tab INTEGER NOT NULL,
    rid
);
CREATE TABLE IF NOT EXISTS main.godwit_captured (
    tab INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    columns TEXT NOT NULL,
    old TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS main.godwit_capture (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    life TEXT NOT NULL,
    start INTEGER NOT NULL,
    trimmed INTEGER NOT NULL
);
