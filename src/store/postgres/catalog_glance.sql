-- Where definitions stand (see catalog_fingerprint.sql): how many rows there are, and the sum of who wrote those of
-- transaction $1 and later (NULL: the oldest that runs now). A change leaves a row of a transaction that was not visible
-- before, or a row less; VACUUM and ANALYZE write in place and leave none. Returns that transaction and the figure.
WITH base AS MATERIALIZED (
    SELECT coalesce($1::text, (txid_snapshot_xmin(txid_current_snapshot()) % 4294967296)::text)::xid AS since
)
SELECT (SELECT since FROM base)::text, concat_ws(' ',
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_class),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_attribute),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_attrdef),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_inherits),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_index),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_constraint),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_trigger),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_rewrite),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_policy),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_sequence),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_proc),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_type),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_enum),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_namespace),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_extension),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_statistic_ext),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_event_trigger),
    (SELECT concat(count(*), ':', sum(hashtext(xmin::text)) FILTER (WHERE age(xmin) <= (SELECT age(since) FROM base)))
     FROM pg_catalog.pg_largeobject_metadata))
