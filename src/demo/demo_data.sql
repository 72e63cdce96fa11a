-- The sample SaaS: accounts that money moves between, orders with documents, a ledger that only grows, and some of what
-- real schemas have.
SET ROLE app_owner;
CREATE TYPE order_state AS ENUM ('new', 'paid', 'shipped', 'cancelled');
CREATE TABLE accounts (
    id      int PRIMARY KEY,
    owner   text NOT NULL UNIQUE,
    balance numeric(14, 2) NOT NULL,
    changed timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE orders (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account int NOT NULL REFERENCES accounts,
    state   order_state NOT NULL DEFAULT 'new',
    doc     jsonb NOT NULL,
    total   numeric(10, 2) NOT NULL,
    vat     numeric GENERATED ALWAYS AS (round(total * 0.2, 2)) STORED,
    at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_by_account ON orders (account, at);
CREATE TABLE ledger (
    id     bigint PRIMARY KEY,
    source int NOT NULL,
    target int NOT NULL,
    amount numeric(10, 2) NOT NULL,
    at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE events (at date NOT NULL, id int NOT NULL, what text[], PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE audit (at timestamptz NOT NULL DEFAULT now(), line text); -- no key, as there always is one
CREATE MATERIALIZED VIEW turnover AS SELECT state, count(*), sum(total) FROM orders GROUP BY state;

INSERT INTO accounts SELECT i, 'owner-' || i, 1000 FROM generate_series(1, 20000) i;
INSERT INTO orders (account, state, doc, total)
    SELECT 1 + i % 20000, (ARRAY['new', 'paid', 'shipped'])[1 + i % 3]::order_state,
           jsonb_build_object('lines', i % 7, 'note', repeat('n', i % 40), 'tags', jsonb_build_array('web', i % 5)), i % 900
    FROM generate_series(1, 150000) i;
INSERT INTO ledger SELECT -i, 1 + i % 20000, 1 + (i + 7) % 20000, 1 FROM generate_series(1, 150000) i;
INSERT INTO events SELECT date '2025-01-01' + i % 700, i, ARRAY['a', 'b' || i] FROM generate_series(1, 30000) i;
INSERT INTO audit (line) SELECT 'line ' || i % 100 FROM generate_series(1, 5000) i;
REFRESH MATERIALIZED VIEW turnover;
GRANT USAGE ON SCHEMA public TO app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO app;
RESET ROLE;
ANALYZE;
