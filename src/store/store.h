/*
 * The store contract: all that godwit knows of a side.
 *
 * An engine is a folder under store/ with one `struct gw_store_type` and a line in registry.c. Stages ask for facets
 * and capabilities, never for a name. A facet that is NULL is a thing the engine cannot do; a capability bit promises
 * a behaviour, and the contract tests prove that bit and behaviour agree.
 *
 * Threads: a `gw_store` may be used from any thread; each call that needs a connection opens or borrows one of its own
 *   for its duration. Session objects (gw_reader, gw_writer, gw_stream, gw_scan) hold one connection and belong to one
 *   thread at a time.
 * Errors: GW_ERR_RETRY for what may pass if tried again on a new session (connection lost, deadlock, serialization,
 *   starting up); after it a session must be closed. GW_ERR_REFUSED for unreachable, password, rights. GW_ERR_CONFLICT,
 *   GW_ERR_LOST_POSITION, GW_ERR_UNSUPPORTED, GW_ERR_RESOURCE as error.h says. Every blocking call watches the cancel
 *   token given to gw_store_open and returns GW_ERR_CANCELLED soon after it is asked.
 * Ownership: what comes back through a `**out` or a filled struct is the caller's; what comes back as a `const *` or
 *   inside a change, block or row is borrowed until the next call on the same session.
 *
 * What godwit keeps on a side (its "home": schema `godwit` in PostgreSQL), made by ownership->install:
 *   owner     one row: migration name, owner (blue|green), epoch
 *   position  per stream ("blue>green", "green>blue"): how far changes of the other side are applied here
 *   chunk     per loaded chunk: its id, range, mark, rows: the checkpoint, written in the chunk's own transaction
 *   signal    rows written only to be seen in the log (markers, canaries), and `seen`: signals that arrived by apply
 *   the fence's flag and triggers
 */
#ifndef GW_STORE_STORE_H
#define GW_STORE_STORE_H

#include "base/cancel.h"
#include "base/error.h"
#include "model/change.h"
#include "model/definition.h"
#include "model/mark.h"
#include "model/range.h"
#include "model/schema.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW_STORE_CONTRACT 1

enum gw_side { GW_BLUE = 0, GW_GREEN = 1 };
static inline enum gw_side gw_side_other(enum gw_side side)
{
    return side == GW_BLUE ? GW_GREEN : GW_BLUE;
}
const char *gw_side_name(enum gw_side side); /* "blue", "green" */

enum gw_store_capability {
    GW_CAN_TRANSACT = 1u << 0,        /* rows and their position commit together */
    GW_CAN_PASS_THROUGH = 1u << 1,    /* reader's blocks are accepted by a writer of the same type, undecoded */
    GW_CAN_TRUNCATE_STREAM = 1u << 2, /* TRUNCATE appears in the change log */
    GW_CAN_FENCE = 1u << 3,
    GW_CAN_REPLICA_ROLE = 1u << 4, /* per side: decided at open: applier may switch triggers and FKs off for itself */
    GW_CAN_BINARY_STREAM = 1u << 5,
    GW_CAN_LOG_CASCADES = 1u << 6,  /* the change log carries what foreign keys did to other rows */
    GW_CAN_LOCK_ACCOUNTS = 1u << 7, /* GW_FENCE_ACCOUNTS */
};

enum gw_capture {
    GW_CAPTURE_AUTO,    /* the log where the side lets us read it, else triggers */
    GW_CAPTURE_LOG,     /* the engine's own change log */
    GW_CAPTURE_TRIGGER, /* triggers of ours that write down what is changed */
};

enum gw_fence_kind {
    GW_FENCE_TRIGGERS, /* reading goes on, and nobody's connection is cut */
    GW_FENCE_ACCOUNTS, /* and who may write here, and nowhere else, is locked out: GW_CAN_LOCK_ACCOUNTS */
};

/* How a side is reached. Borrowed strings, copied by open. */
struct gw_store_options {
    const char *url;              /* postgresql://..., service=..., memory://name */
    const char *password_command; /* or NULL: run by /bin/sh, its first output line is the password */
    const char *bindir;           /* engine tools (pg_dump) or NULL: search */
    const char *migration;        /* name: objects we make carry it */
    enum gw_side side;
    enum gw_capture capture;  /* how changes of this side are to be had */
    enum gw_fence_kind fence; /* GW_ERR_UNSUPPORTED where the engine cannot */
    struct gw_cancel *cancel; /* may be NULL */
};

struct gw_store; /* each engine embeds `struct gw_store` (below) first */

/* ---- identity -------------------------------------------------------------------------------------------------- */
struct gw_identity {
    char server[64];    /* unique per server ("system identifier"); equal on both sides = the same server */
    char database[128]; /* with `server`, unique per database */
    char product[96];   /* "PostgreSQL 15.18" */
    int version;        /* engine's number: 150018 */
    char address[192];  /* where it answers, without secrets: "host:port/db" */
    char user[128];
    uint64_t capabilities; /* of this side as opened */
    bool in_recovery;      /* a standby: cannot be read or followed safely */
    bool encrypted;
    bool loopback;
    enum gw_capture capture; /* as it will be (never AUTO where the engine has changes) */
};

/* ---- catalog --------------------------------------------------------------------------------------------------- */
struct gw_catalog_facet {
    /* Collections that hold rows (leaf partitions, not their parents), sorted by space and name, without our home. */
    GW_MUST_CHECK bool (*list)(struct gw_store *, const struct gw_filter *, struct gw_schema *out, struct gw_error *);
    /* A short text that changes when any DDL changed the listed collections or anything else that no stream carries
     * (defaults, indexes, constraints, views, functions, triggers that are not ours); equal text = nothing changed. */
    GW_MUST_CHECK bool (*fingerprint)(struct gw_store *, const struct gw_filter *, struct gw_buf *out,
                                      struct gw_error *);
    /* Whether it is worth taking the fingerprint anew, at a fraction of its cost. `seen` is empty at the first look;
     * *moved at a later one: something was written where definitions are kept (which may be none that counts). `making`
     * gets one line for each session that makes or changes definitions in a transaction that has not ended: what it
     * does is not seen yet. May be NULL. */
    GW_MUST_CHECK bool (*glance)(struct gw_store *, struct gw_buf *seen, bool *moved, struct gw_buf *making,
                                 struct gw_error *);
    /* The same collections in words that no engine owns, columns in the order of `list`, with what only a person can
     * port among the objects. For moves to another engine, or with rules. May be NULL. */
    GW_MUST_CHECK bool (*describe)(struct gw_store *, const struct gw_filter *, struct gw_definition *out,
                                   struct gw_error *);
};

/* ---- inspect: check and audit ---------------------------------------------------------------------------------- */
enum gw_severity { GW_FINDING_INFO, GW_FINDING_WARNING, GW_FINDING_BLOCKS };
struct gw_finding {
    enum gw_severity severity;
    enum gw_side side;
    char *id;             /* stable, "wal-level", for --json and docs */
    char *what;           /* what is, and what will go wrong */
    char *fix;            /* the statement or step that fixes it; "" when nothing needs fixing */
    bool breaks_way_back; /* as long as it is so, a switch would have no way back */
    bool stays_behind;    /* says what does not come along to green */
};
struct gw_findings {
    size_t count, capacity;
    struct gw_finding *items;
};
/* All texts are formatted; fix may be NULL. */
void gw_findings_add(struct gw_findings *, enum gw_severity, enum gw_side, const char *id, const char *fix,
                     const char *what_format, ...) GW_PRINTF(6, 7);
void gw_findings_release(struct gw_findings *);

/* What a script of rights is made from: whoever could be reached is asked, what is not known the script finds out. */
struct gw_grants_ask {
    const struct gw_store_options *options; /* of the side the script is for */
    struct gw_store *store;                 /* this side, or NULL: could not be connected to */
    struct gw_store *other;                 /* the other side, or NULL */
};

struct gw_inspect_facet {
    /* Everything that can be known of this side alone as blue or as green. */
    GW_MUST_CHECK bool (*check)(struct gw_store *, const struct gw_filter *, struct gw_findings *, struct gw_error *);
    /* What only both sides together tell: extensions missing, collations, encodings, versions, same database. */
    GW_MUST_CHECK bool (*check_pair)(struct gw_store *blue, struct gw_store *green, const struct gw_filter *,
                                     struct gw_findings *, struct gw_error *);
    /* What stands in rows of blue and cannot be written on another side of this engine as it is; for moves without a map,
     * which looks at rows by itself. May be NULL: nothing ever. */
    GW_MUST_CHECK bool (*check_values)(struct gw_store *blue, const struct gw_filter *, struct gw_findings *,
                                       struct gw_error *);
    /* The script that gives godwit's role what it needs on this side and version, with what is not to be had said in
     * comments. Works without rights of its own. */
    GW_MUST_CHECK bool (*grants)(struct gw_store *, struct gw_buf *sql, struct gw_error *);
    /* The same from what is at hand. Called by the type: there may be no store. May be NULL. */
    GW_MUST_CHECK bool (*grants_for)(const struct gw_grants_ask *, struct gw_buf *sql, struct gw_error *);
    /* audit: one JSON object of sections; each section is an array of flat objects (see audit/audit.h). Owned. */
    GW_MUST_CHECK bool (*inventory)(struct gw_store *, const struct gw_filter *, json_t **out, struct gw_error *);
    /* plan: {"objects":[{"side","what","sql","undo"}...], "break_glass":"..."}: every object and setting we will make on
     * this side, and the script that removes them by hand, to be run by the engine's own client. */
    GW_MUST_CHECK bool (*footprint)(struct gw_store *, const struct gw_schema *, json_t **out, struct gw_error *);
    /* That script alone, for a side that may be out of reach: then there is no store (called by the type), and the
     * script finds out itself what is there. May be NULL. */
    GW_MUST_CHECK bool (*break_glass)(const struct gw_store_options *, struct gw_store *, struct gw_buf *out,
                                      struct gw_error *);
    /* Median of n empty round trips in us, and bytes per second of a bulk read of about `sample_bytes`. */
    GW_MUST_CHECK bool (*probe)(struct gw_store *, int round_trips, int64_t sample_bytes, int64_t *round_trip_us,
                                int64_t *bytes_per_second, struct gw_error *);
    /* Bytes per second of a bulk write and of an index build here, measured on about `sample_bytes` that are gone after
     * it. May be NULL. */
    GW_MUST_CHECK bool (*probe_write)(struct gw_store *, int64_t sample_bytes, int64_t *bytes_per_second,
                                      int64_t *index_bytes_per_second, struct gw_error *);
    /* What a row written by the application takes the server in ns, without capture by triggers and with it, measured
     * and undone; both 0 where the log is read. May be NULL. */
    GW_MUST_CHECK bool (*probe_capture)(struct gw_store *, int64_t *plain_ns, int64_t *captured_ns, struct gw_error *);
    /* What these two did here, for people: behind "wrote 16 MB", behind "measured". With the probe they belong to. */
    const char *probe_write_how, *probe_capture_how;
};

/* ---- reader: chunks -------------------------------------------------------------------------------------------- */
struct gw_reader;
struct gw_block { /* raw frames as the engine gives them; borrowed until the next call */
    const void *bytes;
    size_t len;
    uint64_t rows; /* rows that end in this block */
};
struct gw_reader_facet {
    GW_MUST_CHECK bool (*open)(struct gw_store *, struct gw_reader **out, struct gw_error *);
    void (*close)(struct gw_reader *); /* NULL is fine; gives back the transaction if one is open */
    /* The low bound of the chunk after the one that begins at `low` (an open bound: the first), about `rows` rows on.
     * *last: there is none, the chunk is [low, open). A collection without key has one chunk. */
    GW_MUST_CHECK bool (*split)(struct gw_reader *, const struct gw_collection *, const struct gw_bound *low,
                                int64_t rows, struct gw_bound *next, bool *last, struct gw_error *);
    /* A short transaction: begin, lock, then the mark, then read: *mark is what the following blocks saw. */
    GW_MUST_CHECK bool (*begin)(struct gw_reader *, const struct gw_collection *, const struct gw_range *,
                                struct gw_mark *mark, struct gw_error *);
    /* *block.len == 0 at the end. An error is never an end. */
    GW_MUST_CHECK bool (*next)(struct gw_reader *, struct gw_block *, struct gw_error *);
    GW_MUST_CHECK bool (*end)(struct gw_reader *, struct gw_error *); /* ends the transaction */
    /* A row that must be read again: a one-row chunk with its own mark. *found false: it is not there. key: the key
     * columns' values in key order. The row lives until the next call. */
    GW_MUST_CHECK bool (*refetch)(struct gw_reader *, const struct gw_collection *, const struct gw_row *key,
                                  struct gw_mark *mark, bool *found, struct gw_row *row, struct gw_error *);
};

/* ---- writer: load and apply ------------------------------------------------------------------------------------ */
struct gw_writer;
struct gw_checkpoint { /* a chunk as the target remembers it */
    uint64_t chunk;
    uint32_t collection;
    struct gw_range range;
    struct gw_mark mark;
    uint64_t rows, bytes;
};
void gw_checkpoint_release(struct gw_checkpoint *);

/* Changes of one collection and one kind, net of a batch: keys are distinct within a part. */
struct gw_part {
    enum gw_change_kind kind; /* INSERT, UPDATE, DELETE */
    const struct gw_collection *collection;
    size_t count;
    const struct gw_row *keys; /* UPDATE, DELETE: `count` rows in column layout with the old key, other columns
                                        ABSENT (the whole old row where the collection has no key) */
    const struct gw_row *rows; /* INSERT, UPDATE: `count` new rows; UPDATE: all have the same UNCHANGED columns */
    bool may_miss;             /* DELETE: rows that are not there are no error of `send` */
};

/* A row that `current` found for the wanted row of this number: in column layout, as reader->refetch gives it, generated
 * columns ABSENT or NULL. It lives until the call returns, which must not use the session. *enough: no more are asked for. */
typedef bool gw_current_visit(void *arg, size_t wanted, const struct gw_row *row, bool *enough, struct gw_error *err);

#define GW_COMMITS_AHEAD 2
struct gw_writer_facet {
    /* The applier passes the fence, and runs as replica where the side can (GW_CAN_REPLICA_ROLE). `stream` names the
     * direction ("blue>green") whose position row this writer's transactions write first. */
    GW_MUST_CHECK bool (*open)(struct gw_store *, const char *stream, struct gw_writer **out, struct gw_error *);
    void (*close)(struct gw_writer *); /* NULL is fine; rolls back what is open */

    /* Load. begin_chunk writes the checkpoint row first, in the same transaction; *already: it was loaded before
     * (a resumed copy), and nothing is begun. put takes blocks as the reader gave them. commit is durable on return
     * and returns the rows the server counted; the caller compares. */
    GW_MUST_CHECK bool (*begin_chunk)(struct gw_writer *, const struct gw_collection *, const struct gw_checkpoint *,
                                      bool *already, struct gw_error *);
    GW_MUST_CHECK bool (*put)(struct gw_writer *, const struct gw_block *, struct gw_error *);
    GW_MUST_CHECK bool (*commit_chunk)(struct gw_writer *, uint64_t *rows, struct gw_error *);

    /* Apply. One target transaction: begin (writes the position row first), parts in order, commit with the position
     * reached; `durable` waits for the disk, else the server may lose the newest transactions as a whole in a crash
     * (position and rows together). */
    GW_MUST_CHECK bool (*begin)(struct gw_writer *, const struct gw_position *reached, struct gw_error *);
    /* *touched: rows changed, summed. Fewer than part->count is for the caller to judge (rule 8). */
    GW_MUST_CHECK bool (*apply)(struct gw_writer *, const struct gw_part *, uint64_t *touched, struct gw_error *);
    /* As apply, but the answer may come later. Every row of the part must be touched: what is amiss is an error of this
     * call, of one behind it, or of the transaction's commit or `await`. */
    GW_MUST_CHECK bool (*send)(struct gw_writer *, const struct gw_part *, struct gw_error *);
    /* An update of this collection has to carry every column (a rule makes one column of several): what leaves values
     * out has to be read again. NULL: never. */
    bool (*whole_rows)(struct gw_writer *, const struct gw_collection *);
    /* An update may set every column that an insert sets: a row that went and came again within a batch is updated. NULL:
     * it may not, such a row is deleted and inserted. */
    bool (*updates_all)(struct gw_writer *, const struct gw_collection *);
    /* An update leaves a value in the form it has here where nobody wrote another one: a row whose key changes has to be
     * updated, for one that is deleted and inserted has no form to keep. NULL: no update does. */
    bool (*keeps_form)(struct gw_writer *, const struct gw_collection *);
    GW_MUST_CHECK bool (*truncate)(struct gw_writer *, const struct gw_collection *const *, size_t count,
                                   struct gw_error *);
    /* Deletes the rows of a range (a TRUNCATE met while only some chunks had not seen it), in this side's own order of
     * keys: only where that is provably the source's (scan->key_order). */
    GW_MUST_CHECK bool (*delete_range)(struct gw_writer *, const struct gw_collection *, const struct gw_range *,
                                       struct gw_error *);
    /* The keys of all rows of a collection with a key, as the open transaction began to see them; at most `most` a call,
     * from the beginning when `first`. *keys: the key columns in key order, borrowed until the next call. *count 0: no
     * more. Rows may be applied in between. */
    GW_MUST_CHECK bool (*list_keys)(struct gw_writer *, const struct gw_collection *, bool first, size_t most,
                                    const struct gw_row **keys, size_t *count, struct gw_error *);
    /* The keys of the rows that have the values of `like` (a row in column layout, ABSENT where any value is meant), as
     * the open transaction sees them. *keys: the key columns in key order, borrowed until the next call. */
    GW_MUST_CHECK bool (*find)(struct gw_writer *, const struct gw_collection *, const struct gw_row *like,
                               const struct gw_row **keys, size_t *count, struct gw_error *);
    /* The rows that have the values of `wanted` (rows in column layout, ABSENT where any value is meant), as the open
     * transaction sees them behind all that was sent in it, in any order. What is not there is not visited; no row is wanted
     * twice. Waits for what was sent, and fails where that did; commits may be owed. By whole
     * keys it costs a round trip for many, by anything else a look at the table for each. May be NULL. */
    GW_MUST_CHECK bool (*current)(struct gw_writer *, const struct gw_collection *, const struct gw_row *wanted,
                                  size_t count, gw_current_visit *visit, void *arg, struct gw_error *);
    /* Notes in `seen` that a signal arrived through apply. */
    GW_MUST_CHECK bool (*note_signal)(struct gw_writer *, const char *token, struct gw_error *);
    GW_MUST_CHECK bool (*savepoint)(struct gw_writer *, struct gw_error *);   /* one level */
    GW_MUST_CHECK bool (*rollback_to)(struct gw_writer *, struct gw_error *); /* and keeps the transaction usable */
    GW_MUST_CHECK bool (*commit)(struct gw_writer *, bool durable, struct gw_error *);
    /* As commit, but the answer may come later, from `await`: one call for each commit_ahead, in order, before anything
     * but begin, send, current, note_signal and commit_ahead is called; at most GW_COMMITS_AHEAD are owed. The next transaction
     * may be begun and sent meanwhile; it fails when this one did. Where await fails, this transaction and all behind
     * it are not there (with GW_ERR_RETRY: perhaps they are, ask for the position); then rollback. */
    GW_MUST_CHECK bool (*commit_ahead)(struct gw_writer *, bool durable, struct gw_error *);
    GW_MUST_CHECK bool (*await)(struct gw_writer *, struct gw_error *);
    /* Whether the side is still at work on what was sent, without waiting: as long as it is, there is time to send more
     * at once. NULL: not known. */
    bool (*busy)(struct gw_writer *);
    void (*rollback)(struct gw_writer *); /* the open transaction; and nothing is owed any more */

    /* Position applied here for a stream; order 0 when there is none. All checkpoints, sorted by chunk; owned. */
    GW_MUST_CHECK bool (*position)(struct gw_store *, const char *stream, struct gw_position *, struct gw_error *);
    GW_MUST_CHECK bool (*checkpoints)(struct gw_store *, struct gw_checkpoint **out, size_t *count, struct gw_error *);
};

/* ---- changes: the log of a side -------------------------------------------------------------------------------- */
struct gw_stream;
struct gw_retained {     /* what the side keeps on disk for us */
    int64_t bytes;       /* -1 unknown */
    int64_t limit_bytes; /* the server would drop our place past this; -1 none */
    bool lost;           /* it is gone */
    bool reader_attached;
};
struct gw_changes_facet {
    /* Opens the log for these collections (publication, slot, replica identity where missing; idempotent). *start is
     * where the stream begins; *barrier is what `settled` waits for. Waits for transactions that are in progress. */
    GW_MUST_CHECK bool (*prepare)(struct gw_store *, const struct gw_schema *, struct gw_position *start,
                                  char barrier[240], struct gw_error *);
    /* True once every transaction that was in progress when the log was opened has ended: no chunk is read before.
     * While false, *who says on which session it waits. */
    GW_MUST_CHECK bool (*settled)(struct gw_store *, const char *barrier, bool *settled, struct gw_buf *who,
                                  struct gw_error *);
    /* From after `from` (order 0: from the start). GW_ERR_LOST_POSITION when the log no longer has it. GW_ERR_CONFLICT
     * when another process reads it, GW_ERR_RETRY when that shows no life and will be ended by the source. The schema is
     * borrowed for the stream's life. */
    GW_MUST_CHECK bool (*open)(struct gw_store *, const struct gw_schema *, const struct gw_position *from,
                               struct gw_stream **out, struct gw_error *);
    void (*close)(struct gw_stream *);
    /* Waits up to timeout_ms; *got false on timeout. Answers the server's keepalives by itself. */
    GW_MUST_CHECK bool (*next)(struct gw_stream *, int timeout_ms, struct gw_change *, bool *got, struct gw_error *);
    /* All before `position` need never be sent again. Cheap; sent with the next status. */
    GW_MUST_CHECK bool (*acknowledge)(struct gw_stream *, const struct gw_position *, struct gw_error *);
    /* The end of the log now: every transaction visible now has its commit before it. */
    GW_MUST_CHECK bool (*horizon)(struct gw_store *, struct gw_position *, struct gw_error *);
    /* Writes a signal row with this token, as the operator would write (not ours): it appears as SIGNAL. */
    GW_MUST_CHECK bool (*signal)(struct gw_store *, const char *token, struct gw_error *);
    /* Was this signal noted here by the applier of the other direction? */
    GW_MUST_CHECK bool (*seen)(struct gw_store *, const char *token, bool *seen, struct gw_error *);
    GW_MUST_CHECK bool (*retained)(struct gw_store *, struct gw_retained *, struct gw_error *);
    GW_MUST_CHECK bool (*drop)(struct gw_store *, struct gw_error *); /* idempotent; puts replica identities back */
    /* For each key (key columns in key order): index of the chunk whose range holds it, as the source orders keys.
     * bounds[i] is the low bound of chunk i+1 (chunk 0 begins open), ascending, so the index is 0..count. */
    GW_MUST_CHECK bool (*locate)(struct gw_store *, const struct gw_collection *, const struct gw_bound *bounds,
                                 size_t bound_count, const struct gw_row *keys, size_t key_count, uint32_t *chunk,
                                 struct gw_error *);
};

/* ---- scan: verify's own way to read, sharing no decoder with reader or stream ------------------------------------ */
struct gw_scan;
struct gw_row_version { /* equal ids in two reads: no committed change in between */
    uint64_t id[2];     /* both 0: not known */
    uint32_t copies;    /* rows with this key: 0, 1, or more where nothing keeps the key unique */
};
struct gw_scan_facet {
    GW_MUST_CHECK bool (*open)(struct gw_store *, struct gw_scan **out, struct gw_error *);
    void (*close)(struct gw_scan *);
    /* Rows of the range in one short snapshot, in key order when `ordered`. Rows hold canonical bytes: the same value
     * gives the same bytes on any server of this engine, whatever the session settings. *at: the log's end when the
     * snapshot was taken (all that it saw is before it). */
    GW_MUST_CHECK bool (*begin)(struct gw_scan *, const struct gw_collection *, const struct gw_range *, bool ordered,
                                struct gw_position *at, struct gw_error *);
    GW_MUST_CHECK bool (*next)(struct gw_scan *, struct gw_row *row, bool *end, struct gw_error *);
    GW_MUST_CHECK bool (*end)(struct gw_scan *, struct gw_error *);
    /* Rows with these keys (key columns, key order, canonical bytes as `next` gave them) now. Missing: count 0. The
     * rows live until the next call. */
    GW_MUST_CHECK bool (*fetch)(struct gw_scan *, const struct gw_collection *, const struct gw_row *keys,
                                size_t key_count, struct gw_row *rows, struct gw_position *at, struct gw_error *);
    /* What a value of `next` or `fetch` means, by code that the codec does not share; and the key value that `fetch`
     * takes for it. For moves to another engine, or with rules. Borrow from the value or the arena. May be NULL. */
    GW_MUST_CHECK bool (*to_datum)(struct gw_scan *, const struct gw_column *, const struct gw_value *,
                                   struct gw_arena *, struct gw_datum *, struct gw_error *);
    GW_MUST_CHECK bool (*from_datum)(struct gw_scan *, const struct gw_column *, const struct gw_datum *,
                                     struct gw_arena *, struct gw_value *, struct gw_error *);
    /* Before the first begin: values come whole, however large, and never as a hash of them: for to_datum. May be NULL
     * where they always do. */
    void (*whole_values)(struct gw_scan *);
    /* A value in words for a person, from canonical bytes. */
    void (*print)(const struct gw_column *, const struct gw_value *, struct gw_buf *out);

    /* Of the rows of the last begin, how many were not handed out because they do not belong on the other side: set aside
     * by a policy, kept back by a filter. May be NULL: none ever. */
    void (*left_out)(const struct gw_scan *, uint64_t *by_policy, uint64_t *by_filter);

    /* The rest may be NULL; without it verify needs more rounds on a live pair and never splits across collations. */
    /* How this side orders the keys of a collection: "" when every server of this engine orders them so, else a name
     * that two sides share only if they order alike ("libc en_US.UTF-8 2.36"). */
    GW_MUST_CHECK bool (*key_order)(struct gw_scan *, const struct gw_collection *, struct gw_buf *name,
                                    struct gw_error *);
    /* The version of row `index` of the last fetch, and how many rows have this key. */
    void (*version)(const struct gw_scan *, size_t index, struct gw_row_version *out);
    /* A commit can be in the log, and applied on the other side, before it is visible here. `running` names the
     * transactions of which this may be so now; once `outlasted`, a later read sees all that was in the log then. */
    GW_MUST_CHECK bool (*running)(struct gw_scan *, struct gw_buf *token, struct gw_error *);
    GW_MUST_CHECK bool (*outlasted)(struct gw_scan *, const char *token, bool *outlasted, struct gw_error *);
};

/* ---- codec: rows as canonical values, and back -------------------------------------------------------------------- */
struct gw_codec; /* of one collection of one side; belongs to one thread at a time, and needs no connection */
struct gw_codec_facet {
    /* How this engine would write a type: the SQL type with which `got` is nearest to `wanted`, and what that is. An
     * own type (same engine, described by itself) comes out as it is. *got is the caller's to release. */
    GW_MUST_CHECK bool (*type_for)(const struct gw_type *wanted, struct gw_buf *sql_type, struct gw_type *got,
                                   struct gw_error *);
    /* The collection is borrowed for life. */
    GW_MUST_CHECK bool (*open)(struct gw_store *, const struct gw_collection *, struct gw_codec **out,
                               struct gw_error *);
    void (*close)(struct gw_codec *); /* NULL is fine */
    /* A reader's blocks, one chunk from first to last, come apart into rows: feed one, then take rows until *got is
     * false; until then it is borrowed. A row may reach over blocks. `out` has column_count places; generated columns are NULL. It lives until the
     * next call. `restart` forgets what is left of a chunk that was given up. */
    GW_MUST_CHECK bool (*feed)(struct gw_codec *, const struct gw_block *, struct gw_error *);
    GW_MUST_CHECK bool (*row)(struct gw_codec *, struct gw_datum *out, bool *got, struct gw_error *);
    void (*restart)(struct gw_codec *);
    /* A row as changes->next, reader->refetch and writer->list_keys (with the key columns in their places) give it;
     * UNCHANGED and ABSENT stay so. Borrows from the row or the arena. */
    GW_MUST_CHECK bool (*decode)(struct gw_codec *, const struct gw_row *, struct gw_arena *, struct gw_datum *out,
                                 struct gw_error *);
    /* The other way: a row as gw_part takes it, and as changes->locate takes keys. GW_ERR_CONFLICT, naming the column,
     * for what this engine's column cannot hold. Borrows from the data or the arena. */
    GW_MUST_CHECK bool (*encode)(struct gw_codec *, const struct gw_datum *, struct gw_arena *, struct gw_row *out,
                                 struct gw_error *);
    /* Blocks for writer->put: `first` before the first row of a chunk, `last` behind the last one. They append. */
    void (*pack_first)(struct gw_codec *, struct gw_buf *);
    GW_MUST_CHECK bool (*pack)(struct gw_codec *, const struct gw_datum *, struct gw_buf *, struct gw_error *);
    void (*pack_last)(struct gw_codec *, struct gw_buf *);
    /* A value as SQL text, and a condition that holds for this column while it has exactly this value (bit by bit, NULL
     * alike). Both append. NULL where rows cannot be repaired by SQL. */
    GW_MUST_CHECK bool (*write_sql)(struct gw_codec *, size_t column, const struct gw_datum *, struct gw_buf *,
                                    struct gw_error *);
    GW_MUST_CHECK bool (*write_same)(struct gw_codec *, size_t column, const struct gw_datum *, struct gw_buf *,
                                     struct gw_error *);
};

/* ---- ownership and fence --------------------------------------------------------------------------------------- */
struct gw_owner {
    enum gw_side owner;
    uint64_t epoch; /* grows by one at every flip */
    char migration[64];
    char migration_id[40]; /* random, made at the first install: another migration of the same name is not ours */
    int64_t owned_for_us;  /* since the owner changed last, by the side's own clock (get only) */
};
struct gw_ownership_facet {
    /* Makes the home (idempotent) with owner blue, epoch 1, if it is not there. */
    GW_MUST_CHECK bool (*install)(struct gw_store *, const char *migration_id, struct gw_error *);
    GW_MUST_CHECK bool (*get)(struct gw_store *, struct gw_owner *, bool *installed, struct gw_error *);
    /* Sets owner and epoch+1 if owner and epoch are still as expected, durably; *done false otherwise. */
    GW_MUST_CHECK bool (*compare_and_set)(struct gw_store *, const struct gw_owner *expected, enum gw_side owner,
                                          bool *done, struct gw_error *);
    /* Small facts that adopt needs, kept with the data: the migration's plan and settings as JSON. */
    GW_MUST_CHECK bool (*note)(struct gw_store *, const char *name, const char *json, struct gw_error *);
    GW_MUST_CHECK bool (*noted)(struct gw_store *, const char *name, struct gw_buf *json, struct gw_error *);
    /* Removes the home and all else of ours on this side but what changes->drop removes, and puts back what schema->loosen
     * took off; idempotent. */
    GW_MUST_CHECK bool (*uninstall)(struct gw_store *, struct gw_error *);
    /* What of ours is still there, one line each; empty = nothing left. */
    GW_MUST_CHECK bool (*leftovers)(struct gw_store *, struct gw_buf *lines, struct gw_error *);
    /* For people who mend a row of a side that follows by hand: what they do first, so that the fence lets it pass and the
     * other direction takes it for ours. Whole lines; NULL where that cannot be done. */
    const char *by_hand;
};
struct gw_fence_facet {
    /* Triggers and flag, everything slow, lowered. Idempotent. */
    GW_MUST_CHECK bool (*install)(struct gw_store *, const struct gw_schema *, struct gw_error *);
    /* Waits out the writers for at most lock_timeout_ms (GW_ERR_RETRY past it, nothing changed), then no session but
     * ours writes. *at: a position behind everything committed before. Idempotent. */
    GW_MUST_CHECK bool (*raise)(struct gw_store *, const struct gw_schema *, int lock_timeout_ms,
                                struct gw_position *at, struct gw_error *);
    /* Idempotent. GW_ERR_CONFLICT, and it stays up, where the side's own owner row names the other side; a change of
     * that row which is under way is waited for (GW_ERR_RETRY when it does not end). */
    GW_MUST_CHECK bool (*lower)(struct gw_store *, struct gw_error *);
    GW_MUST_CHECK bool (*is_raised)(struct gw_store *, bool *raised, struct gw_error *);
    /* A write probe as a session that is not ours would write, always undone: *held says whether it was stopped. */
    GW_MUST_CHECK bool (*prove)(struct gw_store *, const struct gw_schema *, bool *held, struct gw_buf *how,
                                struct gw_error *);
    /* Where the fence would not hold: triggers of ours that are missing or disabled, and whoever writes past triggers;
     * one line each. */
    GW_MUST_CHECK bool (*holes)(struct gw_store *, const struct gw_schema *, struct gw_buf *lines, struct gw_error *);
};

/* ---- sessions -------------------------------------------------------------------------------------------------- */
struct gw_session_info {
    int64_t id; /* backend pid */
    char user[64], application[64], address[64], state[32];
    int64_t transaction_age_us; /* 0: none open */
};
struct gw_sessions_facet {
    /* Client sessions in the database that are not ours. Owned array. */
    GW_MUST_CHECK bool (*census)(struct gw_store *, struct gw_session_info **out, size_t *count, struct gw_error *);
    GW_MUST_CHECK bool (*end)(struct gw_store *, int64_t id, struct gw_error *);
};

/* A counter behind a column (sequence, auto-increment, rowid): the number it hands out next. */
struct gw_counter {
    uint32_t collection, column;
    int64_t next;
    bool follows_rows; /* a row that brings its own number moves it, too: it is never behind the keys */
};
enum gw_build_phase {
    GW_BUILD_TABLES,      /* tables with columns, defaults, checks, comments; no index */
    GW_BUILD_KEY,         /* the primary key, or the unique index that stands in for it; of one table */
    GW_BUILD_INDEXES,     /* all other indexes */
    GW_BUILD_CONSTRAINTS, /* foreign keys, and what acts on rows */
};

/* ---- schema ---------------------------------------------------------------------------------------------------- */
struct gw_tighten;
struct gw_schema_facet {
    /* Same-engine move: everything of the source's definition that must be there before rows (types, functions,
     * tables without indexes), then after. All idempotent: what exists as wanted is left alone, so that a killed
     * step is simply run again. `work_dir` is private scratch space that survives until finish. */
    GW_MUST_CHECK bool (*create)(struct gw_store *source, struct gw_store *target, const struct gw_filter *,
                                 const char *work_dir, struct gw_error *);
    /* The index behind the key of one collection (primary key or unique), on the target. */
    GW_MUST_CHECK bool (*create_key)(struct gw_store *target, const struct gw_collection *, const char *work_dir,
                                     struct gw_error *);
    /* The nth index of one collection whose rows are there, of those that rows of any kind may have: no unique one. Beside
     * create_key of it, on a session of its own. *more false: there are not so many. Idempotent; what cannot be made is
     * left to create_indexes, which makes all that are missing. May be NULL. */
    GW_MUST_CHECK bool (*create_index)(struct gw_store *target, const struct gw_collection *, size_t nth, bool *more,
                                       struct gw_error *);
    /* All other indexes, `jobs` at a time. */
    GW_MUST_CHECK bool (*create_indexes)(struct gw_store *target, const char *work_dir, int jobs, struct gw_error *);
    /* Foreign keys, triggers, rules, row security, materialised views refreshed; statistics. What would act on the
     * applier's own changes waits until this side is the owner (see loosen). */
    GW_MUST_CHECK bool (*finish)(struct gw_store *target, const char *work_dir, struct gw_error *);
    GW_MUST_CHECK bool (*analyze)(struct gw_store *target, const struct gw_schema *, int jobs, struct gw_error *);
    /* Sets every sequence on `to` to where it stands on `from`: never behind what was handed out. */
    GW_MUST_CHECK bool (*sync_sequences)(struct gw_store *from, struct gw_store *to, size_t *count, struct gw_error *);
    /* What sync_sequences would not find on `to`, one line each. May be NULL. */
    GW_MUST_CHECK bool (*missing_sequences)(struct gw_store *from, struct gw_store *to, struct gw_buf *lines,
                                            struct gw_error *);

    /* A side that follows must not answer our changes: triggers and rules that fire for a replica, too, and without
     * GW_CAN_REPLICA_ROLE every foreign key, trigger and rule, are off it. What is off stands in the side's home, so any
     * process can put it on. All five or none (NULL). Nobody applies while loosen runs. */
    /* Takes off what acts here and writes it down; *taken_off counts it. Waits for locks, out of any pause. Idempotent,
     * and where nothing acts it is one look. */
    GW_MUST_CHECK bool (*loosen)(struct gw_store *, const struct gw_schema *, size_t *taken_off, struct gw_error *);
    /* Puts on all that is off, in one transaction: open (before the pause; *out NULL: nothing is off), tighten (inside
     * it; GW_ERR_RETRY when the locks are not had in time), commit (durable). Foreign keys count for new rows only.
     * close gives up what is not committed; NULL is fine. Any error: only close is useful. */
    GW_MUST_CHECK bool (*tighten_open)(struct gw_store *, struct gw_tighten **out, struct gw_error *);
    GW_MUST_CHECK bool (*tighten)(struct gw_tighten *, int timeout_ms, struct gw_error *);
    GW_MUST_CHECK bool (*tighten_commit)(struct gw_tighten *, struct gw_error *);
    void (*tighten_close)(struct gw_tighten *);
    /* What tightening left for later: foreign keys validated. Long, out of any pause, resumable; *done counts steps.
     * `failed` has one line for each that rows contradict, now or before: it stays as it is. */
    GW_MUST_CHECK bool (*validate)(struct gw_store *, struct gw_buf *failed, size_t *done, struct gw_error *);

    /* Another engine's definition, or one that rules have changed: made here, as codec->type_for says of each column
     * (sql_type holds it already). `only`: this table alone (GW_BUILD_KEY), else NULL. Idempotent. What cannot be made
     * is a line in `left`, for a person. May be NULL. */
    GW_MUST_CHECK bool (*build)(struct gw_store *target, const struct gw_definition *, enum gw_build_phase,
                                const struct gw_table_definition *only, int jobs, struct gw_buf *left,
                                struct gw_error *);
    /* As create_index, of the indexes that build makes. May be NULL. */
    GW_MUST_CHECK bool (*build_index)(struct gw_store *target, const struct gw_definition *,
                                      const struct gw_table_definition *, size_t nth, bool *more, struct gw_error *);
    /* Whether build makes such a column one that the engine gives the next number: by its type, its place in the keys.
     * May be NULL: whole numbers are. */
    bool (*can_count)(const struct gw_table_definition *, const struct gw_column_definition *);
    /* Counters of the collections' columns; owned array. set_counters never sets one back. May be NULL. */
    GW_MUST_CHECK bool (*counters)(struct gw_store *, const struct gw_schema *, struct gw_counter **out, size_t *count,
                                   struct gw_error *);
    GW_MUST_CHECK bool (*set_counters)(struct gw_store *, const struct gw_schema *, const struct gw_counter *,
                                       size_t count, struct gw_error *);
};

/* ---- query: statements that only read ---------------------------------------------------------------------------- */
struct gw_query_limits {
    int64_t timeout_ms; /* 0: none; past it GW_ERR_RETRY */
    uint64_t rows;      /* no more are handed out; 0: all */
    bool plain_names;   /* a name without a schema means what it does to an application, not to us */
};
struct gw_query_row { /* borrowed for the call of visit */
    size_t count;
    const char *const *names;
    const char *const *values; /* as the engine writes them; NULL is NULL */
    const size_t *lens;
};
typedef bool gw_query_visit(void *arg, const struct gw_query_row *, struct gw_error *);
struct gw_query_done { /* of one statement that writes */
    bool failed;       /* `why`; the others stand */
    uint64_t touched;
    char why[200];
};
/* Of engines that speak SQL, each its own. */
struct gw_query_facet {
    /* The name of a collection, or of a column (space NULL), as a statement writes it. Appends. */
    void (*add_name)(struct gw_buf *, const char *space, const char *name);
    /* One statement, with a snapshot of its own, in a session that can write nothing: GW_ERR_USER for one that would.
     * *took_us (may be NULL): until its last row was here. */
    GW_MUST_CHECK bool (*run)(struct gw_store *, const char *sql, const struct gw_query_limits *, gw_query_visit *,
                              void *arg, int64_t *took_us, struct gw_error *);
    /* How the server would run it, as the engine prints it for people. */
    GW_MUST_CHECK bool (*explain)(struct gw_store *, const char *sql, const struct gw_query_limits *,
                                  struct gw_buf *out, struct gw_error *);
    /* Statements that write, as our applier would: one transaction, past the fence, known as ours to the other direction,
     * under the position of the stream "operator". A statement that fails is undone alone. For a side that does not own
     * the data. NULL: cannot. */
    GW_MUST_CHECK bool (*write_ours)(struct gw_store *, const char *const *statements, size_t count,
                                     struct gw_query_done *done, struct gw_error *);
    const char *ours_begin;   /* the same for a person's client: lines that begin such a transaction; or NULL */
    const char *insert_words; /* what stands before VALUES where every column is given; or NULL */
    /* Who owns each collection and what others may do with it, as far as we may see: rows of space, collection, "owner"
     * or "grant", role, privileges ("INSERT, SELECT"); and for each role there is a row "", "", "role", role, "". May be
     * NULL. */
    GW_MUST_CHECK bool (*rights)(struct gw_store *, gw_query_visit *visit, void *arg, struct gw_error *);
    /* The statements of others that read and took most of this database's time, as far as the server kept them: rows of
     * statement (values may be left out: $1, ?), calls, milliseconds in all; most first. GW_ERR_UNSUPPORTED, with what to
     * switch on, where it keeps none. May be NULL. */
    GW_MUST_CHECK bool (*busiest)(struct gw_store *, uint64_t most, gw_query_visit *visit, void *arg,
                                  struct gw_error *);
};

/* ---- the type -------------------------------------------------------------------------------------------------- */
struct gw_store_type {
    uint32_t contract; /* GW_STORE_CONTRACT */
    const char *name;
    const char *const *schemes; /* NULL-ended: "postgresql", "postgres" */
    const char *default_space;  /* where collections are that name no space: "public"; "" where there are no spaces */
    unsigned name_bytes, name_characters; /* names are so long at most: 63 bytes, 64 characters; 0: no such limit */
    bool names_ignore_case;               /* of collections: "Users" and "users" are one */
    unsigned key_bytes;                   /* of the columns of a key or index, all together; 0: no limit that counts */
    uint64_t capabilities;                /* the most a side of this type can have */
    /* Whether an address without a scheme is one of this engine (a path of its files); looks at most at what lies on this
     * machine. May be NULL. */
    bool (*recognises)(const char *url);
    /* Connects once to learn the identity. */
    GW_MUST_CHECK bool (*open)(const struct gw_store_options *, struct gw_store **out, struct gw_error *);
    void (*close)(struct gw_store *);
    const struct gw_catalog_facet *catalog;
    const struct gw_inspect_facet *inspect;
    const struct gw_reader_facet *reader;
    const struct gw_writer_facet *writer;
    const struct gw_changes_facet *changes;
    const struct gw_scan_facet *scan;
    const struct gw_codec_facet *codec;
    const struct gw_ownership_facet *ownership;
    const struct gw_fence_facet *fence;
    const struct gw_sessions_facet *sessions;
    const struct gw_schema_facet *schema;
    const struct gw_query_facet *query;
};

/* The public head of every open store; filled by the type's open, constant after it. */
struct gw_store {
    const struct gw_store_type *type;
    enum gw_side side;
    struct gw_identity identity;
};

/* ---- registry -------------------------------------------------------------------------------------------------- */
/* The type for a URL's scheme; GW_ERR_USER with the known schemes when there is none. */
GW_MUST_CHECK bool gw_store_type_for(const char *url, const struct gw_store_type **out, struct gw_error *err);
GW_MUST_CHECK bool gw_store_open(const struct gw_store_options *options, struct gw_store **out, struct gw_error *err);
void gw_store_close(struct gw_store *store); /* NULL is fine */

#endif
