-- What godwit keeps on a side: the schema `godwit`. Idempotent. See store/store.h, "home".
CREATE SCHEMA IF NOT EXISTS godwit;
CREATE TABLE IF NOT EXISTS godwit.owner (
    one          boolean PRIMARY KEY DEFAULT true CHECK (one),
    owner        text   NOT NULL CHECK (owner IN ('blue', 'green')),
    epoch        bigint NOT NULL,
    migration    text   NOT NULL,
    migration_id text   NOT NULL,
    changed_at   timestamptz NOT NULL DEFAULT now()
);
-- Written first in every transaction that applies changes here: the other direction recognises our own transactions
-- by it. "order" is the place in the other side's log, "text" its own form of it.
CREATE TABLE IF NOT EXISTS godwit.position (
    stream     text PRIMARY KEY,
    "order"    numeric(20) NOT NULL,
    text       text   NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000);
-- Moves it, if it is still where this applier believes it to be. A process that was killed can leave a session behind
-- that still commits what it had been sent: who read the position before that must not apply the same changes again.
CREATE OR REPLACE FUNCTION godwit.reach(of_stream text, expected numeric, reached numeric, reached_text text)
    RETURNS void LANGUAGE plpgsql AS $reach$
BEGIN
    -- What follows in this transaction is ours: see capture.h.
    PERFORM set_config('godwit.ours', 'on', true);
    INSERT INTO godwit.position AS p (stream, "order", text, applied_at)
        VALUES (of_stream, reached, reached_text, clock_timestamp())
        ON CONFLICT (stream) DO UPDATE
        SET "order" = excluded."order", text = excluded.text, applied_at = excluded.applied_at
        WHERE p."order" = expected;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the position of % is no longer where this session found it', of_stream
            USING ERRCODE = 'serialization_failure';
    END IF;
END $reach$;
-- A loaded chunk, written first in the transaction that loads it.
CREATE TABLE IF NOT EXISTS godwit.chunk (
    id         bigint PRIMARY KEY,
    collection bigint NOT NULL,
    low        text   NOT NULL,
    high       text   NOT NULL,
    mark       text   NOT NULL,
    rows       bigint NOT NULL,
    bytes      bigint NOT NULL,
    loaded_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Rows written only to be seen in the log, and signals that arrived here by apply.
CREATE TABLE IF NOT EXISTS godwit.signal (
    kind  text PRIMARY KEY,
    token text NOT NULL,
    at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE IF NOT EXISTS godwit.seen (
    token text PRIMARY KEY,
    at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE IF NOT EXISTS godwit.note (
    name text PRIMARY KEY,
    json text NOT NULL
);
-- The fence's flag: a sequence, because its last_value is seen by every snapshot, however old. 1 lowered, 2 raised.
CREATE SEQUENCE IF NOT EXISTS godwit.fence MINVALUE 1 MAXVALUE 2 START 1 NO CYCLE;
