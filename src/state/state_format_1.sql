-- The journal of a migration, format 1. Never edited: what changes later is a step of its own (state_format_2.sql),
-- and a new journal is made by all steps in turn, so that a new one and an upgraded one are the same.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE fact (
    name TEXT PRIMARY KEY,
    json TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE stage (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    name          TEXT NOT NULL,
    since_wall_us INTEGER NOT NULL
);

CREATE TABLE run (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    what          TEXT NOT NULL,
    began_wall_us INTEGER NOT NULL,
    ended_wall_us INTEGER,
    outcome       TEXT
);

CREATE TABLE step (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    run           INTEGER NOT NULL REFERENCES run (id),
    name          TEXT NOT NULL,
    status        INTEGER NOT NULL,
    began_wall_us INTEGER NOT NULL,
    ended_wall_us INTEGER,
    detail        TEXT,
    UNIQUE (run, name)
);

CREATE TABLE collection (
    id              INTEGER PRIMARY KEY,
    json            TEXT NOT NULL,
    load_status     INTEGER NOT NULL DEFAULT 0,
    estimated_rows  INTEGER NOT NULL,
    estimated_bytes INTEGER NOT NULL
);
CREATE INDEX collection_longest ON collection (estimated_bytes DESC, id);

CREATE TABLE chunk (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    collection    INTEGER NOT NULL REFERENCES collection (id),
    low           TEXT NOT NULL,
    high          TEXT NOT NULL,
    loaded        INTEGER NOT NULL DEFAULT 0,
    mark          TEXT,
    rows          INTEGER NOT NULL DEFAULT 0,
    bytes         INTEGER NOT NULL DEFAULT 0,
    lease_worker  TEXT,
    lease_mono_us INTEGER
);
CREATE INDEX chunk_of ON chunk (collection, id);
CREATE INDEX chunk_to_load ON chunk (collection, id) WHERE loaded = 0;

CREATE TABLE quarantine (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    stream         TEXT NOT NULL,
    collection     TEXT,
    operation      TEXT,
    row_key        TEXT,
    reason         TEXT,
    position_order INTEGER NOT NULL,
    position_text  TEXT NOT NULL,
    wall_us        INTEGER NOT NULL,
    change         BLOB
);

CREATE TABLE verdict (
    collection INTEGER PRIMARY KEY,
    json       TEXT NOT NULL,
    wall_us    INTEGER NOT NULL
);

CREATE TABLE event (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    wall_us INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    text    TEXT NOT NULL
);
