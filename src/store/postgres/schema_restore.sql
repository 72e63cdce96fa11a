-- Which of the source's definitions were made here: each recorded in the transaction that makes it.
CREATE SCHEMA IF NOT EXISTS godwit;
CREATE TABLE IF NOT EXISTS godwit.restored (
    entry text PRIMARY KEY,
    at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
