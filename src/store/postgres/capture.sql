-- Capture by triggers: what triggers write down, and how it is cut into batches. Idempotent. See capture.h and
-- store/capture/capture.h. The trigger functions of tables are made by capture_prepare.c.
--
-- Written without locks among writers: a sequence without cache (numbers grow as triggers fire) and an insert. Two
-- halves, of which one is written: what is read and acknowledged goes by TRUNCATE of the other one, which costs nothing
-- and leaves nothing for vacuum. The turn is a sequence because no snapshot hides its value; who reads it late only
-- writes into the other half, and both are read.
CREATE SEQUENCE IF NOT EXISTS godwit.capture_seq;
CREATE SEQUENCE IF NOT EXISTS godwit.capture_turn MINVALUE 1 MAXVALUE 2 START 1 NO CYCLE;
CREATE TABLE IF NOT EXISTS godwit.capture (
    seq bigint      NOT NULL DEFAULT nextval('godwit.capture_seq'),
    xid xid8        NOT NULL DEFAULT pg_current_xact_id(),
    rel oid         NOT NULL,
    op  "char"      NOT NULL,
    at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    old bytea,
    new bytea
);
ALTER TABLE godwit.capture ALTER old SET STORAGE EXTERNAL, ALTER new SET STORAGE EXTERNAL;
DO $make$ BEGIN
    IF to_regclass('godwit.capture_1') IS NULL THEN
        CREATE TABLE godwit.capture_1 (LIKE godwit.capture INCLUDING DEFAULTS INCLUDING STORAGE)
            WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);
        CREATE TABLE godwit.capture_2 (LIKE godwit.capture_1 INCLUDING DEFAULTS INCLUDING STORAGE)
            WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);
        ALTER TABLE godwit.capture_1 INHERIT godwit.capture;
        ALTER TABLE godwit.capture_2 INHERIT godwit.capture;
        CREATE INDEX capture_1_xid ON godwit.capture_1 (xid, seq);
        CREATE INDEX capture_2_xid ON godwit.capture_2 (xid, seq);
    END IF;
END $make$;
-- Durable before anything of a batch is handed out. "figure": of the definitions as the snapshot saw them.
CREATE TABLE IF NOT EXISTS godwit.capture_batch (
    number       bigint PRIMARY KEY,
    before       bigint NOT NULL,
    transactions bigint NOT NULL,
    snapshot     pg_snapshot NOT NULL,
    stamp        bigint NOT NULL,
    figure       text   NOT NULL
);
-- Nothing of what this snapshot sees is behind that batch: spares looking at rows of a transaction that is open for long.
CREATE TABLE IF NOT EXISTS godwit.capture_looked (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    number   bigint NOT NULL,
    snapshot pg_snapshot NOT NULL
);
-- The tables with our triggers, as they were called when these were made. "figure": of the triggers, as we made them.
CREATE TABLE IF NOT EXISTS godwit.capture_table (
    rel    oid  PRIMARY KEY,
    space  text NOT NULL,
    name   text NOT NULL,
    figure text NOT NULL
);
-- The columns of each as the cut of a batch saw them, where they had changed.
CREATE TABLE IF NOT EXISTS godwit.capture_shape (
    rel   oid    NOT NULL,
    batch bigint NOT NULL,
    shape jsonb  NOT NULL,
    PRIMARY KEY (rel, batch)
);

CREATE OR REPLACE VIEW godwit.capture_shape_now AS
    SELECT t.rel, jsonb_build_object('space', n.nspname, 'name', c.relname, 'columns',
        (SELECT jsonb_agg(jsonb_build_array(a.attnum, a.attname, a.atttypid::bigint, format_type(a.atttypid, a.atttypmod),
                                            a.attgenerated <> '') ORDER BY a.attnum)
         FROM pg_attribute a WHERE a.attrelid = t.rel AND a.attnum > 0 AND NOT a.attisdropped)) AS shape
    FROM godwit.capture_table t JOIN pg_class c ON c.oid = t.rel JOIN pg_namespace n ON n.oid = c.relnamespace;

-- Rows with columns whose binary form holds numbers of this server are written as text, and text depends on settings.
CREATE OR REPLACE FUNCTION godwit.capture_text(row_of record) RETURNS bytea LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET DateStyle = 'ISO' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC'
    SET extra_float_digits = 3 SET bytea_output = 'hex' SET lc_monetary = 'C' AS $$
BEGIN
    RETURN convert_to(row_of::text, 'UTF8');
END
$$;
-- No search_path is pinned in the trigger functions, which would double their cost: nothing in them is looked up by it.
CREATE OR REPLACE FUNCTION godwit.capture_truncate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF pg_catalog.pg_sequence_last_value('godwit.capture_turn'::pg_catalog.regclass) OPERATOR(pg_catalog.=) 2 THEN
        INSERT INTO godwit.capture_2 (rel, op) VALUES (tg_relid, 'T');
    ELSE
        INSERT INTO godwit.capture_1 (rel, op) VALUES (tg_relid, 'T');
    END IF;
    RETURN NULL;
END
$$;
-- On the position and the checkpoints, which every transaction of ours writes first: it is ours.
CREATE OR REPLACE FUNCTION godwit.capture_ours() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF pg_catalog.pg_sequence_last_value('godwit.capture_turn'::pg_catalog.regclass) OPERATOR(pg_catalog.=) 2 THEN
        INSERT INTO godwit.capture_2 (rel, op) VALUES (tg_relid, 'O');
    ELSE
        INSERT INTO godwit.capture_1 (rel, op) VALUES (tg_relid, 'O');
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION godwit.capture_signal() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    token bytea := pg_catalog.convert_to(NEW.token, 'UTF8');
BEGIN
    IF pg_catalog.pg_sequence_last_value('godwit.capture_turn'::pg_catalog.regclass) OPERATOR(pg_catalog.=) 2 THEN
        INSERT INTO godwit.capture_2 (rel, op, new) VALUES (tg_relid, 'S', token);
    ELSE
        INSERT INTO godwit.capture_1 (rel, op, new) VALUES (tg_relid, 'S', token);
    END IF;
    RETURN NULL;
END
$$;
DO $make$ DECLARE home record; BEGIN
    FOR home IN SELECT * FROM (VALUES ('position', 'ours'), ('chunk', 'ours'), ('signal', 'signal')) h(name, what)
        WHERE NOT EXISTS (SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
            WHERE c.relnamespace = 'godwit'::regnamespace AND c.relname = h.name AND t.tgname = 'godwit_capture_home')
    LOOP
        EXECUTE format('CREATE TRIGGER godwit_capture_home AFTER INSERT OR UPDATE ON godwit.%I FOR EACH ROW'
            ' EXECUTE FUNCTION godwit.capture_%s()', home.name, home.what);
        EXECUTE format('ALTER TABLE godwit.%I ENABLE ALWAYS TRIGGER godwit_capture_home', home.name);
    END LOOP;
END $make$;

-- What the triggers on a table are, and whether anybody touched them since they were made.
CREATE OR REPLACE FUNCTION godwit.capture_figure(of_table oid) RETURNS text LANGUAGE sql
    SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(string_agg(concat_ws(' ', tgname, tgenabled, xmin), ', ' ORDER BY tgname), '')
    FROM pg_trigger WHERE tgrelid = of_table AND tgname IN ('!godwit_capture', '!godwit_truncate')
$$;
-- Is there anything that was not visible in this batch's snapshot? Transactions that are still open are looked at again
-- when they have ended, those that were rolled back never.
CREATE OR REPLACE FUNCTION godwit.capture_any(last godwit.capture_batch) RETURNS boolean LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    base  pg_snapshot := last.snapshot;
    now   pg_snapshot;
    found boolean;
    began timestamptz := clock_timestamp();
BEGIN
    SELECT snapshot INTO now FROM godwit.capture_looked WHERE number = last.number;
    base := coalesce(now, base);
    SELECT pg_current_snapshot(),
           EXISTS (SELECT FROM godwit.capture WHERE xid >= pg_snapshot_xmax(base))
           OR EXISTS (SELECT FROM godwit.capture WHERE xid = ANY (ARRAY(
                  SELECT x FROM pg_snapshot_xip(base) x
                  WHERE pg_visible_in_snapshot(x, pg_current_snapshot()) AND pg_xact_status(x) IS DISTINCT FROM 'aborted')))
        INTO now, found;
    IF NOT found AND clock_timestamp() - began > interval '2 milliseconds' THEN
        INSERT INTO godwit.capture_looked (number, snapshot) VALUES (last.number, now)
            ON CONFLICT (one) DO UPDATE SET number = excluded.number, snapshot = excluded.snapshot;
    END IF;
    RETURN found;
END
$$;
-- Cuts what is visible now, if it is anything, and returns the newest batch. One at a time; the snapshot of the cut is
-- taken when the one before is visible. The definitions are seen by the same snapshot: a table is altered only when all
-- who wrote it have ended, so what was captured between two cuts that saw the same columns has these columns. The sum of
-- xmin grows with every change of a definition, and no statistics are counted in it.
CREATE OR REPLACE FUNCTION godwit.capture_make() RETURNS godwit.capture_batch LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    last godwit.capture_batch;
    made godwit.capture_batch;
BEGIN
    PERFORM pg_advisory_xact_lock(7453610203212);
    PERFORM set_config('synchronous_commit', 'on', true);
    SELECT * INTO last FROM godwit.capture_batch ORDER BY number DESC LIMIT 1;
    WITH captured AS (
        SELECT xid FROM godwit.capture WHERE xid >= pg_snapshot_xmax(last.snapshot)
        UNION
        SELECT xid FROM godwit.capture WHERE xid = ANY (ARRAY(
            SELECT x FROM pg_snapshot_xip(last.snapshot) x
            WHERE pg_visible_in_snapshot(x, pg_current_snapshot()) AND pg_xact_status(x) IS DISTINCT FROM 'aborted'))
    ), figure AS (
        SELECT concat((SELECT concat(count(*), ' ', sum(a.xmin::text::bigint)) FROM godwit.capture_table t
                       JOIN pg_attribute a ON a.attrelid = t.rel AND a.attnum > 0),
                      (SELECT concat(' ', count(*), ' ', sum(c.xmin::text::bigint)) FROM godwit.capture_table t
                       JOIN pg_class c ON c.oid = t.rel)) AS text
    ), batch AS (
        INSERT INTO godwit.capture_batch (number, before, transactions, snapshot, stamp, figure)
        SELECT last.number + 1, last.before + 2 * last.transactions, count(*), pg_current_snapshot(),
               (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, (SELECT text FROM figure)
        FROM captured HAVING count(*) > 0
        RETURNING *
    ), shapes AS (
        INSERT INTO godwit.capture_shape (rel, batch, shape)
        SELECT s.rel, batch.number, s.shape FROM batch, godwit.capture_shape_now s
        WHERE batch.figure <> last.figure AND s.shape IS DISTINCT FROM
            (SELECT h.shape FROM godwit.capture_shape h WHERE h.rel = s.rel ORDER BY h.batch DESC LIMIT 1)
    )
    SELECT * INTO made FROM batch;
    RETURN CASE WHEN made.number IS NULL THEN last ELSE made END;
END
$$;
-- The batch behind one: cut already, or now. No row: there is nothing new.
CREATE OR REPLACE FUNCTION godwit.capture_cut(behind bigint) RETURNS SETOF godwit.capture_batch LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last godwit.capture_batch;
BEGIN
    SELECT * INTO last FROM godwit.capture_batch ORDER BY number DESC LIMIT 1;
    IF last.number = behind AND godwit.capture_any(last) THEN
        last := godwit.capture_make();
    END IF;
    IF last.number > behind THEN
        RETURN QUERY SELECT * FROM godwit.capture_batch WHERE number = behind + 1;
    END IF;
END
$$;
-- The newest batch, behind everything that is visible when this is called.
CREATE OR REPLACE FUNCTION godwit.capture_end() RETURNS SETOF godwit.capture_batch LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last godwit.capture_batch;
BEGIN
    SELECT * INTO last FROM godwit.capture_batch ORDER BY number DESC LIMIT 1;
    IF last.number IS NOT NULL THEN
        IF godwit.capture_any(last) THEN
            last := godwit.capture_make();
        END IF;
        RETURN NEXT last;
    END IF;
END
$$;
-- All up to the end of that batch is acknowledged. The half that is not written is emptied when nobody holds it and
-- nothing in it is needed; the other one gets its turn when this one has grown.
CREATE OR REPLACE FUNCTION godwit.capture_trim(acknowledged bigint) RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    turn   bigint := coalesce(pg_sequence_last_value('godwit.capture_turn'), 1);
    idle   text := format('godwit.capture_%s', 3 - turn);
    passed pg_snapshot;
    needed boolean;
BEGIN
    SELECT snapshot INTO passed FROM godwit.capture_batch WHERE number = acknowledged;
    IF passed IS NULL THEN
        RETURN;
    END IF;
    DELETE FROM godwit.capture_batch WHERE number < acknowledged;
    DELETE FROM godwit.capture_shape s WHERE batch < acknowledged AND EXISTS (SELECT FROM godwit.capture_shape n
        WHERE n.rel = s.rel AND n.batch > s.batch AND n.batch <= acknowledged);
    IF pg_relation_size(idle) = 0 THEN
        IF pg_total_relation_size(format('godwit.capture_%s', turn)) > 8388608 THEN
            PERFORM setval('godwit.capture_turn', 3 - turn);
        END IF;
        RETURN;
    END IF;
    BEGIN
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE NOWAIT', idle);
    EXCEPTION WHEN lock_not_available THEN
        RETURN;
    END;
    EXECUTE format('SELECT EXISTS (SELECT FROM ONLY %1$s WHERE xid >= pg_snapshot_xmax($1))'
        ' OR EXISTS (SELECT FROM ONLY %1$s WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($1))))', idle)
        INTO needed USING passed;
    IF NOT needed THEN
        EXECUTE format('TRUNCATE ONLY %s', idle);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION godwit.capture_text(record), godwit.capture_figure(oid),
    godwit.capture_any(godwit.capture_batch), godwit.capture_make(), godwit.capture_cut(bigint), godwit.capture_end(),
    godwit.capture_trim(bigint), godwit.capture_truncate(), godwit.capture_ours(), godwit.capture_signal() FROM PUBLIC;
