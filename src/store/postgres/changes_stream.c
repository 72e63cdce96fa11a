/*
 * Reading the change log: START_REPLICATION over a connection of its own, messages decoded by pgoutput.c and handed out
 * as changes. The server's frames: "Streaming Replication Protocol" in its manual ('w' data, 'k' keepalive, 'r' status).
 *
 * One message is held at a time, in the buffer libpq gave it in; values point into it. BEGIN is handed out only when the
 * next message of its transaction is there, because only that tells whose transaction it is.
 *
 * The server ends a session it hears nothing from (wal_sender_timeout): who does not call next for a while calls
 * acknowledge, which also sends what is due.
 */
#include "store/postgres/changes.h"
#include "store/postgres/pgoutput.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_EVERY_US 1000000
#define PROGRESS_EVERY_US 100000 /* while there is more to read */
#define SLOT_PATIENCE_MS 5000
#define LARGE_BYTES (4u << 20)          /* after such a one, too, when nothing comes: */
#define REST_EVERY_US INT64_C(10000000) /* so often at most */
#define SHED_BYTES (32u << 20) /* libpq keeps its buffer as large as the largest message: begin anew after such a one */
#define PINGS_OF_A_SHUTDOWN 50 /* in a second; otherwise two a minute */
#define POSTGRES_EPOCH_US INT64_C(946684800000000)
#define PILED_UP_US 1000000
#define NAP_US 200

struct event { /* waits in line before the message at hand; SCHEMA (text owned) or TRUNCATE */
    enum gw_change_kind kind;
    uint32_t collection;
    char *text;
    bool carries_plan;
};

struct gw_stream {
    struct gw_pg_stream_head head; /* first */
    struct gw_pg_store *store;
    const struct gw_schema *schema;
    PGconn *conn;
    struct gw_pgoutput *decoder;

    char *buffer; /* libpq's; the message's bytes */
    struct gw_pgoutput_message message;
    bool held;    /* decoded and not handed out yet */
    bool swollen; /* a message was larger than what is worth keeping a buffer for */
    bool large;   /* ... than what is worth keeping while nothing comes */
    int64_t rested_us;

    struct event *events;
    size_t event_count, event_capacity, event_at;

    bool begin_read;     /* BEGIN came, whose it is is open */
    bool begin_due;      /* ... is known, hand it out */
    bool in_transaction; /* handed out */
    bool ours;
    uint64_t commit_lsn;
    int64_t commit_wall_us;
    uint64_t transaction; /* widened */
    uint64_t newest;      /* largest 64-bit transaction number known: what others are widened against */

    uint64_t received_lsn;  /* the server has sent all before it */
    uint64_t progress_lsn;  /* nothing for us before it */
    uint64_t delivered_lsn; /* as COMMIT or PROGRESS */
    uint64_t acknowledged_lsn;
    int64_t status_us, progress_us;
    int64_t sent_wall_us; /* of the message at hand, by the source's clock */
    bool piled_up;        /* it sends what was committed long ago */
    int64_t pinged_us;    /* when a second of counting pings began */
    unsigned pings;

    uint64_t *seen; /* hashes of relation messages found to be as planned */
    size_t seen_count, seen_capacity;
    struct gw_buf token;
};

/* ---- status ---------------------------------------------------------------------------------------------------- */

static bool send_status(struct gw_stream *s, struct gw_error *err)
{
    gw_autobuf struct gw_buf frame = {0};
    gw_buf_addc(&frame, 'r');
    gw_buf_put64(&frame, s->received_lsn);
    gw_buf_put64(&frame, s->acknowledged_lsn);
    gw_buf_put64(&frame, s->acknowledged_lsn);
    gw_buf_put64(&frame, (uint64_t)(gw_wall_us() - POSTGRES_EPOCH_US));
    gw_buf_addc(&frame, 0);
    if (PQputCopyData(s->conn, frame.data, (int)frame.len) < 0 || PQflush(s->conn) < 0)
        return gw_pg_fail(s->store, s->conn, NULL, "answering the source", err);
    s->status_us = gw_mono_us();
    return true;
}

static bool send_status_if_due(struct gw_stream *s, struct gw_error *err)
{
    return gw_mono_us() - s->status_us < STATUS_EVERY_US || send_status(s, err);
}

/* A server that shuts down waits until its log's end is acknowledged, and asks again at every answer. When we cannot
 * acknowledge it (what was received is not applied yet), leave, so that it can. */
static bool handle_keepalive(struct gw_stream *s, struct gw_cursor *c, struct gw_error *err)
{
    uint64_t end_lsn = gw_cursor_u64(c);
    (void)gw_cursor_u64(c);
    bool asked = gw_cursor_u8(c) != 0;
    if (c->bad)
        return gw_fail(err, GW_ERR_BUG, "malformed keepalive from the source");
    if (end_lsn > s->received_lsn)
        s->received_lsn = end_lsn;
    if (!s->begin_read && !s->begin_due && !s->in_transaction && end_lsn > s->progress_lsn)
        s->progress_lsn = end_lsn;
    if (!asked)
        return true;
    if (gw_mono_us() - s->pinged_us > 1000000) {
        s->pinged_us = gw_mono_us();
        s->pings = 0;
    }
    if (++s->pings > PINGS_OF_A_SHUTDOWN && s->acknowledged_lsn < end_lsn) {
        gw_fail(err, GW_ERR_RETRY, "the source is shutting down");
        return gw_error_place(err, "%s %s", gw_side_name(s->store->base.side), s->store->base.identity.address);
    }
    return send_status(s, err);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static bool stream_ended(struct gw_stream *s, struct gw_error *err)
{
    PGresult *r = PQgetResult(s->conn);
    ExecStatusType status = PQresultStatus(r);
    const char *state = gw_pg_sqlstate(r);
    const char *text = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    bool gone = strcmp(state, "58P01") == 0 || strcmp(state, "42704") == 0 || strcmp(state, "55000") == 0;
    if (gone)
        gw_pg_lost(s->store, err, "%s", text ? text : "");
    else if (status == PGRES_FATAL_ERROR)
        gw_pg_fail(s->store, s->conn, r, "reading the change log", err);
    else
        gw_fail(err, GW_ERR_RETRY, "the source ended the stream of changes");
    if (!gone && err->kind == GW_ERR_CONFLICT && PQstatus(s->conn) == CONNECTION_BAD)
        err->kind = GW_ERR_RETRY;
    PQclear(r);
    return false;
}

static void release_message(struct gw_stream *s)
{
    PQfreemem(s->buffer);
    s->buffer = NULL;
}

/* The next frame into s->buffer. *len 0: none within the deadline. */
static bool read_frame(struct gw_stream *s, int64_t deadline_us, size_t *len, struct gw_error *err)
{
    *len = 0;
    for (;;) {
        bool ready;
        int got = PQgetCopyData(s->conn, &s->buffer, 1);
        if (got > 0) {
            *len = (size_t)got;
            s->swollen = s->swollen || *len > SHED_BYTES;
            s->large = s->large || *len > LARGE_BYTES;
            return true;
        }
        if (got < 0)
            return stream_ended(s, err);
        if (!send_status_if_due(s, err))
            return false;
        int left_ms = gw_left_ms(deadline_us);
        int status_ms = gw_left_ms(s->status_us + STATUS_EVERY_US);
        if (s->piled_up) /* being woken for each message costs both sides more than the message: take many at once */
            gw_sleep_us(NAP_US);
        if (!gw_pg_wait(s->store, s->conn, false, left_ms < status_ms ? left_ms : status_ms, &ready, err))
            return false;
        if (ready && !PQconsumeInput(s->conn))
            return gw_pg_fail(s->store, s->conn, NULL, "reading the change log", err);
        if (!ready && left_ms == 0)
            return true;
    }
}

/* A number of 32 bits is the one nearest to the newest known: the server keeps all of its log within 2^31 of it. */
static uint64_t widen(struct gw_stream *s, uint32_t xid)
{
    int32_t distance = (int32_t)(xid - (uint32_t)s->newest);
    uint64_t wide = s->newest + (uint64_t)(int64_t)distance;
    if (distance > 0)
        s->newest = wide;
    return wide;
}

/* ---- relations as planned? ------------------------------------------------------------------------------------- */

static bool type_names(struct gw_stream *s, const struct gw_pgoutput_relation *relation, PGresult **out,
                       struct gw_error *err)
{
    gw_autobuf struct gw_buf types = {0}, modifiers = {0};
    PGconn *conn;
    for (uint16_t i = 0; i < relation->column_count; i++) {
        gw_buf_addf(&types, "%s%" PRIu32, i ? "," : "{", relation->columns[i].type_id);
        gw_buf_addf(&modifiers, "%s%" PRId32, i ? "," : "{", relation->columns[i].modifier);
    }
    gw_buf_adds(&types, relation->column_count ? "}" : "{}");
    gw_buf_adds(&modifiers, relation->column_count ? "}" : "{}");
    const char *params[2] = {gw_buf_text(&types), gw_buf_text(&modifiers)};
    if (!gw_pg_borrow(s->store, &conn, err))
        return false;
    bool fine = gw_pg_query(s->store, conn,
                            "SELECT format_type(t, m) FROM unnest($1::oid[], $2::int[]) WITH ORDINALITY u(t, m, ord)"
                            " ORDER BY ord",
                            2, params, out, err);
    gw_pg_return(s->store, conn, !fine);
    return fine;
}

static void queue_event(struct gw_stream *s, enum gw_change_kind kind, uint32_t collection, char *text)
{
    s->events = gw_grow(s->events, &s->event_capacity, s->event_count, sizeof *s->events);
    s->events[s->event_count++] = (struct event){.kind = kind, .collection = collection, .text = text};
}

static bool known_as_planned(struct gw_stream *s, uint64_t hash)
{
    for (size_t i = 0; i < s->seen_count; i++)
        if (s->seen[i] == hash)
            return true;
    return false;
}

static bool handle_relation(struct gw_stream *s, const struct gw_pgoutput_relation *relation, uint64_t hash,
                            struct gw_error *err)
{
    const char *names[GW_PGOUTPUT_MAX_COLUMNS];
    gw_autobuf struct gw_buf difference = {0};
    PGresult *r;
    if (relation->was) {
        queue_event(s, GW_CHANGE_SCHEMA, relation->was->id,
                    gw_asprintf("%s: the table is now called %s.%s", gw_collection_label(relation->was),
                                relation->space, relation->name));
        return true;
    }
    if (!relation->collection) {
        if (relation->home == GW_PGOUTPUT_HOME_NONE)
            gw_warn("%s: table %s.%s is in the publication %s but not in this migration: its changes are left out",
                    gw_side_name(s->store->base.side), relation->space, relation->name, s->store->publication);
        return true;
    }
    if (known_as_planned(s, hash))
        return true;
    if (!type_names(s, relation, &r, err))
        return false;
    for (int i = 0; i < relation->column_count; i++)
        names[i] = i < PQntuples(r) ? PQgetvalue(r, i, 0) : "";
    if (gw_pgoutput_same(relation, names, &difference)) {
        s->seen = gw_grow(s->seen, &s->seen_capacity, s->seen_count, sizeof *s->seen);
        s->seen[s->seen_count++] = hash;
    } else {
        queue_event(s, GW_CHANGE_SCHEMA, relation->collection->id,
                    gw_asprintf("%s: %s", gw_collection_label(relation->collection), gw_buf_text(&difference)));
        s->events[s->event_count - 1].carries_plan = gw_pgoutput_only_more(relation, names);
    }
    PQclear(r);
    return true;
}

/* ---- messages to changes --------------------------------------------------------------------------------------- */

static void hand_out_begin(struct gw_stream *s, struct gw_change *change)
{
    *change = (struct gw_change){
        .kind = GW_CHANGE_BEGIN, .transaction = s->transaction, .commit_wall_us = s->commit_wall_us, .ours = s->ours};
    gw_pg_lsn_format(s->commit_lsn, &change->position);
    s->begin_due = false;
    s->in_transaction = true;
}

static void hand_out_commit(struct gw_stream *s, struct gw_change *change)
{
    const struct gw_pgoutput_message *m = &s->message;
    *change = (struct gw_change){.kind = GW_CHANGE_COMMIT,
                                 .transaction = s->transaction,
                                 .commit_wall_us = m->commit_wall_us,
                                 .age_us = s->sent_wall_us - m->commit_wall_us};
    gw_pg_lsn_format(m->end_lsn, &change->position);
    s->in_transaction = false;
    s->delivered_lsn = m->end_lsn;
}

static void hand_out_event(struct gw_stream *s, struct gw_change *change)
{
    const struct event *event = &s->events[s->event_at++];
    *change = (struct gw_change){.kind = event->kind,
                                 .collection = event->collection,
                                 .transaction = s->transaction,
                                 .text = event->text,
                                 .carries_plan = event->carries_plan};
}

static void clear_events(struct gw_stream *s)
{
    for (size_t i = 0; i < s->event_count; i++)
        free(s->events[i].text);
    s->event_count = s->event_at = 0;
}

static void queue_truncates(struct gw_stream *s)
{
    for (uint32_t i = 0; i < s->message.truncate_count; i++) {
        const struct gw_pgoutput_relation *r = gw_pgoutput_find(s->decoder, s->message.truncate_ids[i]);
        if (r && r->collection)
            queue_event(s, GW_CHANGE_TRUNCATE, r->collection->id, NULL);
    }
}

static bool hand_out_signal(struct gw_stream *s, struct gw_change *change)
{
    const struct gw_pgoutput_message *m = &s->message;
    int at = m->relation->token;
    if (m->kind == GW_PGOUTPUT_DELETE || at < 0 || (uint32_t)at >= m->row.count || !m->row.values[at].bytes)
        return false;
    gw_buf_clear(&s->token);
    gw_buf_add(&s->token, m->row.values[at].bytes, m->row.values[at].len);
    *change =
        (struct gw_change){.kind = GW_CHANGE_SIGNAL, .transaction = s->transaction, .text = gw_buf_text(&s->token)};
    return true;
}

static bool hand_out_row(struct gw_stream *s, struct gw_change *change)
{
    const struct gw_pgoutput_message *m = &s->message;
    if (m->relation->home == GW_PGOUTPUT_HOME_SIGNAL)
        return hand_out_signal(s, change);
    if (!m->relation->collection)
        return false;
    *change = (struct gw_change){.kind = m->kind == GW_PGOUTPUT_INSERT   ? GW_CHANGE_INSERT
                                         : m->kind == GW_PGOUTPUT_UPDATE ? GW_CHANGE_UPDATE
                                                                         : GW_CHANGE_DELETE,
                                 .collection = m->relation->collection->id,
                                 .transaction = s->transaction,
                                 .old = m->old,
                                 .row = m->row};
    return true;
}

/* Hands out the held message; false when it stands for nothing (a row of our home, a truncate that waits in line). */
static bool hand_out_held(struct gw_stream *s, struct gw_change *change)
{
    s->held = false;
    switch (s->message.kind) {
    case GW_PGOUTPUT_COMMIT:
        hand_out_commit(s, change);
        return true;
    case GW_PGOUTPUT_TRUNCATE:
        queue_truncates(s);
        return false;
    case GW_PGOUTPUT_INSERT:
    case GW_PGOUTPUT_UPDATE:
    case GW_PGOUTPUT_DELETE:
        return hand_out_row(s, change);
    default:
        return false;
    }
}

/* The first event of a transaction says whose it is. One without events (13 and 14 send them) is only progress. */
static void decide_begin(struct gw_stream *s)
{
    s->begin_read = false;
    if (s->message.kind == GW_PGOUTPUT_COMMIT) {
        s->held = false;
        if (s->message.end_lsn > s->progress_lsn)
            s->progress_lsn = s->message.end_lsn;
        return;
    }
    s->ours = s->message.relation && s->message.relation->home == GW_PGOUTPUT_HOME_OURS;
    s->begin_due = true;
}

static bool handle_message(struct gw_stream *s, const char *bytes, size_t len, struct gw_error *err)
{
    struct gw_pgoutput_message *m = &s->message;
    if (!gw_pgoutput_decode(s->decoder, bytes, len, m, err))
        return gw_error_place(err, "%s %s", gw_side_name(s->store->base.side), s->store->base.identity.address);
    switch (m->kind) {
    case GW_PGOUTPUT_BEGIN:
        s->begin_read = true;
        s->transaction = widen(s, m->xid);
        s->commit_lsn = m->lsn;
        s->commit_wall_us = m->commit_wall_us;
        s->piled_up = s->sent_wall_us - m->commit_wall_us > PILED_UP_US;
        return true;
    case GW_PGOUTPUT_RELATION:
        return handle_relation(s, m->relation, gw_hash64(bytes, len, 0), err);
    case GW_PGOUTPUT_NOTHING:
        return true;
    default:
        s->held = true;
        if (s->begin_read)
            decide_begin(s);
        else if (!s->in_transaction)
            return gw_fail(err, GW_ERR_BUG, "the change log has a row outside of a transaction");
        return true;
    }
}

static bool handle_frame(struct gw_stream *s, size_t len, struct gw_error *err)
{
    struct gw_cursor c = gw_cursor_of(s->buffer, len);
    uint8_t kind = gw_cursor_u8(&c);
    if (kind == 'k')
        return handle_keepalive(s, &c, err);
    if (kind != 'w')
        return true; /* the manual: ignore what is not known */
    uint64_t start_lsn = gw_cursor_u64(&c);
    uint64_t end_lsn = gw_cursor_u64(&c);
    s->sent_wall_us = (int64_t)gw_cursor_u64(&c) + POSTGRES_EPOCH_US;
    if (c.bad)
        return gw_fail(err, GW_ERR_BUG, "malformed frame from the source");
    s->pings = 0;
    if (end_lsn > s->received_lsn)
        s->received_lsn = end_lsn;
    if (start_lsn > s->received_lsn)
        s->received_lsn = start_lsn;
    return handle_message(s, (const char *)c.at, gw_cursor_left(&c), err);
}

static bool progress_is_due(const struct gw_stream *s)
{
    return !s->begin_read && !s->begin_due && !s->in_transaction && s->progress_lsn > s->delivered_lsn;
}

static void hand_out_progress(struct gw_stream *s, struct gw_change *change)
{
    *change = (struct gw_change){.kind = GW_CHANGE_PROGRESS};
    gw_pg_lsn_format(s->progress_lsn, &change->position);
    s->delivered_lsn = s->progress_lsn;
    s->progress_us = gw_mono_us();
}

/* Hands out what needs no further message, in order; false: read on. */
static bool hand_out(struct gw_stream *s, struct gw_change *change)
{
    for (;;) {
        if (s->event_at < s->event_count) {
            hand_out_event(s, change);
            return true;
        }
        if (s->begin_due) {
            hand_out_begin(s, change);
            return true;
        }
        if (!s->held)
            return false;
        if (hand_out_held(s, change))
            return true;
    }
}

/* Progress is told when there is nothing else to tell, or now and then. */
static bool read_next(struct gw_stream *s, int64_t deadline_us, struct gw_change *change, bool *got,
                      struct gw_error *err)
{
    size_t len;
    bool due = progress_is_due(s);
    if (due && gw_mono_us() - s->progress_us >= PROGRESS_EVERY_US) {
        hand_out_progress(s, change);
        *got = true;
        return true;
    }
    if (!send_status_if_due(s, err) || !read_frame(s, due ? 0 : deadline_us, &len, err))
        return false;
    if (len > 0)
        return handle_frame(s, len, err);
    if (due) {
        hand_out_progress(s, change);
        *got = true;
    }
    return true;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

/* Binary is chosen per stream, not per table: one column whose binary form means something else on another server
 * (it holds OIDs) makes the whole stream text. 13 knows text only. */
static bool may_be_binary(const struct gw_pg_store *store, const struct gw_schema *schema)
{
    if (store->base.identity.version < 140000)
        return false;
    for (size_t i = 0; i < schema->count; i++)
        for (size_t c = 0; c < schema->collections[i].column_count; c++)
            if (!schema->collections[i].columns[c].binary_safe && !schema->collections[i].columns[c].generated)
                return false;
    return true;
}

/* When the reader of the slot answered last, by its own clock; "" when it never did. */
static bool last_answer(struct gw_pg_store *store, PGconn *conn, int pid, struct gw_buf *out, struct gw_error *err)
{
    gw_autofree char *text = gw_asprintf("%d", pid);
    const char *params[1] = {text};
    return gw_pg_query_text(store, conn, "SELECT reply_time::text FROM pg_stat_replication WHERE pid = $1", 1, params,
                            out, NULL, err);
}

/* A session that answers belongs to a godwit that lives. One that does not was left behind by a machine or a network
 * that is gone: the server ends it by itself before long (wal_sender_timeout). */
static bool wait_alone(struct gw_pg_store *store, PGconn *conn, int reader, struct gw_error *err)
{
    gw_autobuf struct gw_buf before = {0}, after = {0};
    int pid;
    if (!last_answer(store, conn, reader, &before, err) ||
        !gw_pg_slot_free_up(store, conn, false, SLOT_PATIENCE_MS, &pid, err))
        return false;
    if (!pid)
        return true;
    if (!last_answer(store, conn, pid, &after, err))
        return false;
    bool alive = pid == reader && strcmp(gw_buf_text(&before), gw_buf_text(&after)) != 0;
    gw_fail(err, alive ? GW_ERR_CONFLICT : GW_ERR_RETRY,
            "the change log of %s is being read by another session (pid %d on the server)",
            gw_side_name(store->base.side), pid);
    gw_error_hint(err, "another godwit runs this migration: stop it, or let it do the work");
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

/* The server would begin at what was acknowledged last without a word, whatever it is asked for. */
static bool check_slot(struct gw_stream *s, PGconn *conn, const struct gw_position *from, struct gw_error *err)
{
    struct gw_pg_store *store = s->store;
    struct gw_pg_slot slot;
    struct gw_position at;
    if (!gw_pg_slot_look(store, conn, &slot, err))
        return false;
    if (!slot.exists)
        return gw_pg_lost(store, err, "the slot %s is not there: dropped, or the server failed over without it",
                          store->slot);
    if (slot.lost)
        return gw_pg_lost(store, err, "the server invalidated the slot %s (%s)", store->slot, slot.why_lost);
    gw_pg_lsn_format(slot.confirmed_lsn, &at);
    if (from->order && slot.confirmed_lsn > from->order)
        return gw_pg_lost(store, err, "the slot %s stands at %s, behind our %s: somebody else has read from it",
                          store->slot, at.text, from->text);
    gw_pg_lsn_format(slot.end_lsn, &at);
    if (from->order > slot.end_lsn)
        return gw_pg_lost(store, err, "the log ends at %s, before our %s: the server was restored or failed over",
                          at.text, from->text);
    return wait_alone(store, conn, slot.active_pid, err);
}

/* A table taken out of the publication would be missing in the stream without a word. One that was renamed or dropped is
 * no reason to stay away: what was written before is in the log, and the log says what it is called now. */
static bool check_publication(struct gw_stream *s, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf spaces = {0}, names = {0}, missing = {0};
    gw_pg_array_tables(s->schema, &spaces, &names);
    const char *params[3] = {s->store->publication, gw_buf_text(&spaces), gw_buf_text(&names)};
    bool found;
    if (!gw_pg_query_text(s->store, conn,
                          "SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ')"
                          " FROM unnest($2::text[], $3::text[]) w(space, name)"
                          " JOIN pg_namespace n ON n.nspname = w.space"
                          " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name"
                          " WHERE NOT EXISTS (SELECT 1 FROM pg_publication_rel r"
                          " JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $1 AND r.prrelid = c.oid)",
                          3, params, &missing, &found, err))
        return false;
    return !found || gw_pg_lost(s->store, err, "not in the publication %s any more, or made anew: %s",
                                s->store->publication, gw_buf_text(&missing));
}

static bool learn_newest(struct gw_stream *s, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    if (!gw_pg_query_text(s->store, conn, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text", 0, NULL, &text, NULL,
                          err))
        return false;
    s->newest = strtoull(gw_buf_text(&text), NULL, 10);
    return true;
}

static bool look_before(struct gw_stream *s, const struct gw_position *from, struct gw_error *err)
{
    PGconn *conn;
    if (!gw_pg_borrow(s->store, &conn, err))
        return false;
    bool fine = check_slot(s, conn, from, err) && check_publication(s, conn, err) && learn_newest(s, conn, err);
    gw_pg_return(s->store, conn, !fine);
    return fine;
}

static bool start(struct gw_stream *s, const struct gw_position *from, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    PGresult *r;
    gw_buf_addf(&sql, "START_REPLICATION SLOT \"%s\" LOGICAL %s (proto_version '1', publication_names '\"%s\"'%s)",
                s->store->slot, from->order ? from->text : "0/0", s->store->publication,
                may_be_binary(s->store, s->schema) ? ", binary 'true'" : "");
    if (!gw_pg_query(s->store, s->conn, gw_buf_text(&sql), 0, NULL, &r, err)) {
        /* Invalidated since we looked, dropped, or its log removed. */
        if (strstr(err->message, "SQLSTATE 55000") || strstr(err->message, "SQLSTATE 42704") ||
            strstr(err->message, "SQLSTATE 58P01")) {
            gw_autofree char *said = gw_strdup(err->message);
            return gw_pg_lost(s->store, err, "%s", said);
        }
        return false;
    }
    bool streaming = PQresultStatus(r) == PGRES_COPY_BOTH;
    PQclear(r);
    if (!streaming)
        return gw_fail(err, GW_ERR_BUG, "the source did not begin to stream");
    PQsetnonblocking(s->conn, 1);
    s->status_us = gw_mono_us();
    return true;
}

/* Else what came since the last COMMIT handed out would come again. */
static bool between_transactions(const struct gw_stream *s)
{
    return !s->begin_read && !s->begin_due && !s->in_transaction && !s->held;
}

static bool shed(struct gw_stream *s, struct gw_error *err)
{
    struct gw_position from;
    gw_pg_lsn_format(s->delivered_lsn, &from);
    PQfinish(s->conn);
    s->conn = NULL;
    s->swollen = s->large = false;
    return look_before(s, &from, err) &&
           gw_pg_connect(s->store, GW_PG_REPLICATION, gw_pg_stream_name(), &s->conn, err) && start(s, &from, err);
}

/* Nothing comes: the time to make buffers small again. */
static bool rest(struct gw_stream *s, struct gw_error *err)
{
    int64_t now_us = gw_mono_us();
    if (!s->large || !between_transactions(s) || (s->rested_us && now_us - s->rested_us < REST_EVERY_US))
        return true;
    s->rested_us = now_us;
    return shed(s, err);
}

bool gw_pg_stream_open(struct gw_store *base, const struct gw_schema *schema, const struct gw_position *from,
                       struct gw_stream **out, struct gw_error *err)
{
    struct gw_stream *s = gw_zalloc(sizeof *s);
    s->store = gw_pg_store_of(base);
    s->schema = schema;
    s->decoder = gw_pgoutput_new(schema);
    s->delivered_lsn = s->progress_lsn = from->order;
    if (!look_before(s, from, err) || !gw_pg_connect(s->store, GW_PG_REPLICATION, gw_pg_stream_name(), &s->conn, err) ||
        !start(s, from, err)) {
        gw_pg_stream_close(s);
        return false;
    }
    *out = s;
    return true;
}

void gw_pg_stream_close(struct gw_stream *s)
{
    if (!s)
        return;
    clear_events(s);
    free(s->events);
    release_message(s);
    PQfinish(s->conn);
    gw_pgoutput_free(s->decoder);
    free(s->seen);
    gw_buf_release(&s->token);
    free(s);
}

/* ---- the facet's calls -------------------------------------------------------------------------------------------- */

bool gw_pg_stream_next(struct gw_stream *s, int timeout_ms, struct gw_change *change, bool *got, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000;
    *got = false;
    for (;;) {
        if (hand_out(s, change)) {
            *got = true;
            return true;
        }
        clear_events(s);
        release_message(s);
        if (s->swollen && between_transactions(s) && !shed(s, err))
            return false;
        if (!read_next(s, deadline_us, change, got, err))
            return false;
        if (*got)
            return true;
        if (!s->held && s->event_at == s->event_count && !progress_is_due(s) && !s->buffer &&
            gw_left_ms(deadline_us) == 0)
            return rest(s, err);
    }
}

bool gw_pg_stream_acknowledge(struct gw_stream *s, const struct gw_position *position, struct gw_error *err)
{
    if (position->order > s->acknowledged_lsn)
        s->acknowledged_lsn = position->order;
    return send_status_if_due(s, err);
}
