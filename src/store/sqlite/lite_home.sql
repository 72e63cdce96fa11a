-- godwit's home on this side: ordinary tables, so that the application's own backups and tools keep them.
CREATE TABLE IF NOT EXISTS main.godwit_owner (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    migration TEXT NOT NULL,
    migration_id TEXT NOT NULL,
    owner TEXT NOT NULL CHECK (owner IN ('blue', 'green')),
    epoch INTEGER NOT NULL,
    changed_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS main.godwit_position (
    stream TEXT PRIMARY KEY,
    reached INTEGER NOT NULL,
    place TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS main.godwit_chunk (
    chunk INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL,
    low TEXT NOT NULL,
    high TEXT NOT NULL,
    mark TEXT NOT NULL,
    row_count INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS main.godwit_seen (token TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS main.godwit_note (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS main.godwit_fence (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    raised INTEGER NOT NULL
);
INSERT OR IGNORE INTO main.godwit_fence (one, raised) VALUES (1, 0);
