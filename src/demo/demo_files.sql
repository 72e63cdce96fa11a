-- The sample SaaS in one SQLite file: the same tables as on a server, money in whole cents.
CREATE TABLE accounts (
    id      INTEGER PRIMARY KEY,
    owner   TEXT NOT NULL UNIQUE COLLATE NOCASE,
    balance INTEGER NOT NULL,
    changed TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))
);
CREATE TABLE orders (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    state   TEXT NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'paid', 'shipped', 'cancelled')),
    doc     TEXT NOT NULL CHECK (json_valid(doc)),
    total   INTEGER NOT NULL,
    vat     INTEGER GENERATED ALWAYS AS (total / 5) STORED,
    at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))
);
CREATE INDEX orders_by_account ON orders (account, at);
CREATE INDEX orders_open ON orders (state) WHERE state <> 'shipped';
CREATE TABLE ledger (
    id     INTEGER PRIMARY KEY,
    source INTEGER NOT NULL,
    target INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))
);
CREATE TABLE settings (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO accounts (id, owner, balance) SELECT i, 'owner-' || i, 100000 FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
INSERT INTO orders (account, state, doc, total)
    SELECT 1 + i % 20000, CASE i % 3 WHEN 0 THEN 'new' WHEN 1 THEN 'paid' ELSE 'shipped' END,
           json_object('lines', i % 7, 'tags', json_array('web', i % 5)), i % 900 FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
INSERT INTO ledger (id, source, target, amount) SELECT -i, 1 + i % 20000, 1 + (i + 7) % 20000, 100 FROM n;
INSERT INTO settings VALUES ('plan', 'pro'), ('seats', 12), ('logo', x'89504e470d0a'), ('rate', 0.25);
