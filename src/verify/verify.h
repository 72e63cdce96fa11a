/*
 * Verify: are both sides the same? Three verdicts: equal, different, unresolved (still moving, or not looked at).
 *
 * Each collection is read on both sides at once through the stores' scan facets (which share no decoder with the
 * copy), chunk by chunk, each chunk in a short snapshot of its own, and compared by digests. Where a digest differs
 * the chunk is read again row by row; rows that differ are suspects, and are settled by keys: the source is read, the
 * target is waited for until it has applied past that, the target is read, then the source again. Only a row that
 * provably stood still on the source meanwhile and differs is called different; nothing is, while a change for it may
 * be in flight. A collection that could not be read, and a run that compared nothing, is unresolved, never equal.
 *
 * What "the same value" means is the scan facet's matter (for PostgreSQL see store/postgres/scan_form.h): floats by
 * their bits, numerics with their scale, text with its trailing spaces and case.
 *
 * A collection without key is compared as a whole by the count of each distinct row. One whose keys the two sides order
 * differently (two engines, another collation) is cut on each side as it orders itself: see verify/tally.h. Memory
 * stays bounded by dealing with buckets of keys, one group after the other.
 *
 * Threads: gw_verify_run blocks; it makes `jobs` pairs of threads and one that splits. Callbacks come from these, one
 *   at a time each.
 */
#ifndef GW_VERIFY_VERIFY_H
#define GW_VERIFY_VERIFY_H

#include "base/cancel.h"
#include "base/error.h"
#include "model/position.h"
#include "model/schema.h"
#include "state/state.h"
#include "store/store.h"
#include "verify/mask.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum gw_verdict { GW_VERDICT_EQUAL, GW_VERDICT_DIFFERENT, GW_VERDICT_UNRESOLVED };
const char *gw_verdict_name(enum gw_verdict); /* "equal", "different", "unresolved" */

struct gw_verify_progress {
    size_t collections, collections_done;
    uint64_t chunks_done, rows, bytes; /* of the source */
    int64_t estimated_rows;            /* -1 unknown */
    uint64_t suspects;                 /* being settled or settled */
    const char *collection;            /* the one a chunk of which was read last; borrowed */
};

/* A run that was stopped or killed is gone on with: see verify/kept.h. Borrowed. */
struct gw_verify_keeping {
    struct gw_state *state; /* NULL: nothing is kept */
    const char *folder;     /* the journal's */
    const char *generation; /* text: what an earlier run found counts only where this is the same */
    int64_t max_age_ms;     /* since the earlier run began; 0: nothing is kept */
    int64_t every_ms;       /* 0: 5,000 */
};

struct gw_verify_sample {
    uint32_t one_of; /* one row of so many is looked at; 0 and 1: all */
    uint64_t seed;   /* the same seed and rows, the same sample */
};

struct gw_verify_options {
    struct gw_store *source; /* the side that owns the data */
    struct gw_store *target;
    const struct gw_schema *schema; /* the collections to compare, as planned; read anew from the source */
    int jobs;                       /* pairs of readers; 0: 1 */
    int64_t chunk_rows;             /* 0: by the rows' size, at most 25,000 */
    int64_t resettle_ms;            /* how long suspects may take to settle, each batch of them; 0: 30,000 */
    /* Waits until the target has applied everything of the source up to `position`; *reached false when that took
     * longer than timeout_ms. On an idle source something must come after the position to carry the applier past it:
     * the caller sees to it (a signal). NULL when nothing follows: the target is then taken as it is. */
    bool (*wait_applied)(void *arg, const struct gw_position *position, int timeout_ms, bool *reached,
                         struct gw_error *err);
    void *wait_arg;
    void (*progress)(void *arg, const struct gw_verify_progress *); /* may be NULL; a few times a second */
    void *progress_arg;
    struct gw_cancel *cancel; /* may be NULL */
    /* A row that was proved different, by its key in key order (green's form at a mapped pair); from any worker, one at a
     * time for a collection. May be NULL. */
    void (*found_row)(void *arg, uint32_t collection, const struct gw_datum *key, size_t count);
    void *found_arg;
    const struct gw_mask *mask; /* what is shown of values, and how rows are known again; NULL: all, and not */
    struct gw_verify_keeping keeping;
    struct gw_verify_sample sample;
};

enum gw_verify_kind { GW_VERIFY_MISSING, GW_VERIFY_EXTRA, GW_VERIFY_CHANGED, GW_VERIFY_DUPLICATE };
struct gw_verify_column_pair {
    char *column, *source, *target; /* owned; values in words */
};
struct gw_verify_difference { /* one of the rows that differ, for people */
    enum gw_verify_kind kind;
    char *key;             /* "id=42"; the whole row where there is no key */
    uint64_t identity;     /* by which the journal knows it again; 0: not */
    int64_t first_wall_us; /* when a verify first found it; 0: not known */
    size_t column_count;
    struct gw_verify_column_pair *columns; /* CHANGED */
};

struct gw_verify_seen { /* a row that differs */
    uint64_t identity;
    int64_t first_wall_us;
};
#define GW_VERIFY_SEEN_MAX 1000

struct gw_verify_collection {
    uint32_t id;
    char *name;
    enum gw_verdict verdict;
    char *reason; /* why not equal, one line; "" when equal */
    size_t columns;
    uint64_t rows[2], bytes[2]; /* read on the source, on the target */
    uint64_t rows_resumed;      /* of the source: read by an earlier run that this one went on with */
    uint64_t chunks, chunks_differing;
    uint64_t suspects, settled; /* rows that differed at first; of these, rows that were only moving */
    uint64_t missing, extra, changed, duplicate, unresolved; /* rows */
    uint64_t by_policy, by_filter; /* rows left out: not to be on the other side by policy quarantine, by the filter */
    bool at_least;                 /* so many were different that the rest was not looked at one by one */
    struct gw_position from[2], to[2]; /* the snapshots' positions on the source, on the target */
    size_t cause_count;
    char **causes; /* "all 4,112 rows differ in created_at by +9 h: time zone" */
    size_t difference_count;
    struct gw_verify_difference *differences; /* the first 20 */
    /* Filled in by gw_verify_remember. */
    int64_t checked_wall_us;
    size_t seen_count;
    struct gw_verify_seen *seen; /* the first 1,000 rows that differ */
    int64_t different_since_us;  /* wall; 0: it is not different */
    int64_t equal_until_us;      /* it was equal then, at the verify before the difference; 0: not known */
    char *between;               /* what happened meanwhile, one line; NULL: nothing known */
};

/* What has to hold among the rows, see verify/rules.h. */
enum gw_rule_kind {
    GW_RULE_REFERENCE, /* a foreign key: the row that is referred to is there */
    GW_RULE_UNIQUE,
    GW_RULE_CONDITION,  /* a check */
    GW_RULE_INDEX,      /* an index of the source is on the target, and valid */
    GW_RULE_COUNTER,    /* a sequence is past the highest key */
    GW_RULE_DEFINITION, /* the table is what it was to be: verify/definitions.h */
};
#define GW_RULE_NOT_COUNTED UINT64_MAX
struct gw_verify_rule {
    enum gw_rule_kind kind;
    size_t place;     /* of its collection in the report */
    char *collection; /* on the target */
    char *name;       /* of the constraint or index, or what stands for it */
    enum gw_verdict verdict;
    uint64_t broken[2]; /* rows that break it on the source, on the target */
    char *what;         /* one line; "" where it holds */
    char *on[2];        /* DEFINITION: in the words of the source, of the target; else NULL */
};

/* A critical query, see verify/queries.h. */
struct gw_verify_query {
    char *name;
    enum gw_verdict verdict;
    char *what;       /* one line; "" where the answers are the same */
    uint64_t rows[2]; /* of the answers on the source, on the target */
    int64_t calls, runs;
    int64_t p50_us[2], p95_us[2];
    bool slower;    /* on the target */
    char *plans[2]; /* as the servers print them; "" where none could be had */
};

struct gw_verify_report {
    enum gw_verdict verdict;
    char reason[160]; /* why unresolved although no collection is: nothing was compared; else "" */
    bool live;        /* something was following */
    bool masked;      /* values are held back */
    int64_t began_wall_us, elapsed_us;
    struct gw_verify_sample sample;
    int64_t resumed_wall_us; /* when the run began that this one went on with; 0: none */
    size_t count;
    struct gw_verify_collection *collections; /* as in the schema */
    size_t rule_count;
    struct gw_verify_rule *rules;
    size_t query_count;
    struct gw_verify_query *queries;
};

/* False only when no verdict could be had at all: a side cannot be reached, or it was cancelled. */
GW_MUST_CHECK bool gw_verify_run(const struct gw_verify_options *, struct gw_verify_report *out, struct gw_error *err);
void gw_verify_report_release(struct gw_verify_report *);
/* So many rows of a collection wait in quarantine: they are not on the target, and whether that is to stay so nobody has
 * said. What was equal is unresolved. */
void gw_verify_take_quarantined(struct gw_verify_report *, uint32_t collection, uint64_t rows);
/* Since when what differs does, by the verdicts that the journal has: before gw_verify_keep. */
GW_MUST_CHECK bool gw_verify_remember(struct gw_verify_report *, struct gw_state *, struct gw_error *err);
/* "different since 2026-03-01T05:12:00Z; still equal at ...; meanwhile: ...", with its line end; nothing where it is not. */
void gw_verify_add_since(const struct gw_verify_collection *, const char *indent, struct gw_buf *out);
/* What the journal keeps of the rows that differ, so that they are known again; owned. */
json_t *gw_verify_seen_json(const struct gw_verify_collection *);
/* Notes a row that differs under its identity; the caller locks. */
void gw_verify_note_seen(struct gw_verify_collection *, uint64_t identity);
/* The key by which the journal knows rows again, made at its first use. */
GW_MUST_CHECK bool gw_verify_identity_key(struct gw_state *, unsigned char key[GW_SHA256_BYTES], struct gw_error *err);
/* What is kept of a run that is over is not gone on with. */
GW_MUST_CHECK bool gw_verify_forget(const struct gw_verify_keeping *, const struct gw_schema *, struct gw_error *err);
/* The collections' verdicts, and beside them what else was asked, into the journal, when nothing is left to be asked: a
 * switch takes them as they are. */
GW_MUST_CHECK bool gw_verify_keep(const struct gw_verify_report *, struct gw_state *, struct gw_error *err);

/* The name under which the journal keeps {"different","unresolved","what"}: of what is of no collection. */
#define GW_VERIFY_BESIDE "verify.beside"

const char *gw_rule_kind_name(enum gw_rule_kind);
enum gw_exit gw_verify_exit(const struct gw_verify_report *);
/* {"verdict","live","began","seconds","equal","different","unresolved","rows","bytes","collections":[...]}; owned. */
json_t *gw_verify_report_json(const struct gw_verify_report *);
json_t *gw_verify_beside_json(const struct gw_verify_report *);
json_t *gw_verify_collection_json(const struct gw_verify_collection *);
/* "40 rows left out by policy quarantine, 1,200 by the filter"; nothing where none is. Appends. */
void gw_verify_left_out(uint64_t by_policy, uint64_t by_filter, struct gw_buf *out);
/* A table for a terminal; `all`: also the collections that are equal. */
void gw_verify_report_text(const struct gw_verify_report *, bool all, struct gw_buf *out);

#endif
