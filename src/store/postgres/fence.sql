-- The fence's functions. Idempotent. See fence.c.
--
-- Runs as godwit's role whoever writes (SECURITY DEFINER), so the writer needs no right on anything of ours; so
-- current_user is godwit's role here, and session_user is who logged in: equal, and the session is one of ours. A
-- sequence's value is read past every snapshot, so a transaction that is older than the fence sees it too.
-- It runs in every statement that writes: 2 us of the server's time. A pinned search_path would double that; instead
-- nothing in it is looked up by search_path.
-- godwit.probe only ever makes a session of ours count as foreign: see fence_probe.
CREATE OR REPLACE FUNCTION godwit.fence_check() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF pg_catalog.pg_sequence_last_value('godwit.fence'::pg_catalog.regclass) OPERATOR(pg_catalog.=) 2
       AND (session_user OPERATOR(pg_catalog.<>) current_user
            OR pg_catalog.current_setting('godwit.probe', true) OPERATOR(pg_catalog.=) 'on') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'read_only_sql_transaction',
            CONSTRAINT = 'godwit_fence',
            MESSAGE = pg_catalog.format(
                'this database does not own its data at the moment: %s on %I.%I was stopped by godwit',
                tg_op, tg_table_schema, tg_table_name),
            HINT = 'Write on the side that owns the data; "godwit status" says which.';
    END IF;
    RETURN NULL;
END
$$;
-- Tries a write that touches no row on each table, as a session that is not ours would be treated. Returns those on
-- which it was not stopped.
CREATE OR REPLACE FUNCTION godwit.fence_probe(tables text[]) RETURNS text[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target    text;
    stopper   text;
    unstopped text[] := '{}';
BEGIN
    PERFORM set_config('godwit.probe', 'on', true);
    FOREACH target IN ARRAY tables LOOP
        BEGIN
            EXECUTE 'DELETE FROM ONLY ' || target || ' WHERE false';
            unstopped := unstopped || target;
        EXCEPTION WHEN read_only_sql_transaction THEN
            GET STACKED DIAGNOSTICS stopper = CONSTRAINT_NAME;
            IF stopper IS DISTINCT FROM 'godwit_fence' THEN
                RAISE;
            END IF;
        END;
    END LOOP;
    PERFORM set_config('godwit.probe', '', true);
    RETURN unstopped;
END
$$;
REVOKE ALL ON FUNCTION godwit.fence_probe(text[]) FROM PUBLIC;
