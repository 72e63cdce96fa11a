/*
 * The journal of a migration on this machine: plan, chunks and their leases, stage and steps, verdicts, quarantine.
 * SQLite (WAL) at <folder>/state.db; SQL in .sql files; `format` in meta: a newer binary upgrades an older journal
 * in place, an older binary refuses a newer one.
 *
 * It never decides who owns the data (the sides do) nor how far changes are applied (the target does): it can be lost
 * and rebuilt by `godwit adopt`.
 *
 * Threads: any. One writer thread inside executes all writes in order; a writing call returns when its change is
 * committed (synchronous=FULL for steps and stage, NORMAL for chunk progress). Reads use a connection of their own.
 */
#ifndef GW_STATE_STATE_H
#define GW_STATE_STATE_H

#include "base/error.h"
#include "model/mark.h"
#include "model/position.h"
#include "model/range.h"
#include "model/schema.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct gw_state;

struct gw_state_options {
    const char *folder;    /* made private (0700) if missing and create is set */
    const char *migration; /* name; a journal of another migration is GW_ERR_CONFLICT, with both names */
    bool create;
    bool exclusive; /* take the runner's lock (flock on <folder>/lock); GW_ERR_CONFLICT names the holder's pid */
};
GW_MUST_CHECK bool gw_state_open(const struct gw_state_options *, struct gw_state **out, struct gw_error *);
void gw_state_close(struct gw_state *); /* NULL is fine; releases the lock */
bool gw_state_exists(const char *folder);
/* pid of the live runner that holds the lock, 0 when none. */
int gw_state_runner_pid(const char *folder);
const char *gw_state_migration_id(const struct gw_state *); /* random, made at creation; borrowed */
GW_MUST_CHECK bool gw_state_set_migration_id(struct gw_state *, const char *id, struct gw_error *); /* adopt */

/* ---- facts: small named JSON values (plan, slots, estimates, last verdict) ---------------------------------------- */
GW_MUST_CHECK bool gw_state_put(struct gw_state *, const char *name, const json_t *value, struct gw_error *);
/* *out NULL when there is none; owned. */
GW_MUST_CHECK bool gw_state_get(struct gw_state *, const char *name, json_t **out, struct gw_error *);

/* ---- stage and steps --------------------------------------------------------------------------------------------- */
/* The stage's name is journey's business; the journal keeps it and since when. "" before the first. */
GW_MUST_CHECK bool gw_state_stage(struct gw_state *, char stage[32], int64_t *since_wall_us, struct gw_error *);
GW_MUST_CHECK bool gw_state_set_stage(struct gw_state *, const char *stage, struct gw_error *);

enum gw_step_status { GW_STEP_BEGUN, GW_STEP_DONE, GW_STEP_UNDONE, GW_STEP_FAILED };
struct gw_step {
    int64_t run;   /* which switch, which copy: groups steps */
    char name[64]; /* "switch.fence" */
    enum gw_step_status status;
    int64_t began_wall_us, ended_wall_us; /* 0: not ended */
    char *detail;                         /* owned; may be NULL */
};
/* A step is journaled before and after; both are durable on return. */
GW_MUST_CHECK bool gw_state_begin_run(struct gw_state *, const char *what, int64_t *run, struct gw_error *);
GW_MUST_CHECK bool gw_state_begin_step(struct gw_state *, int64_t run, const char *name, const char *detail,
                                       struct gw_error *);
GW_MUST_CHECK bool gw_state_end_step(struct gw_state *, int64_t run, const char *name, enum gw_step_status,
                                     const char *detail, struct gw_error *);
/* Begins (GW_STEP_BEGUN) or ends a step in the same order, without waiting for the disk: inside the pause of a switch,
 * whose truth is on the sides (docs/adr/0003). The next call that waits has these on disk, too. */
GW_MUST_CHECK bool gw_state_note_step(struct gw_state *, int64_t run, const char *name, enum gw_step_status,
                                      const char *detail, struct gw_error *);
GW_MUST_CHECK bool gw_state_end_run(struct gw_state *, int64_t run, const char *outcome, struct gw_error *);
/* The last run of this kind without an outcome: what a killed process left behind; run 0 when there is none. */
GW_MUST_CHECK bool gw_state_open_run(struct gw_state *, const char *what, int64_t *run, struct gw_step **steps,
                                     size_t *count, struct gw_error *);
void gw_steps_free(struct gw_step *steps, size_t count);

/* ---- collections and chunks: work items -------------------------------------------------------------------------- */
enum gw_load_status { GW_LOAD_WAITING, GW_LOAD_SPLITTING, GW_LOAD_SPLIT, GW_LOAD_LOADED, GW_LOAD_KEYED };
/* Keeps the planned schema; ids are the positions. Idempotent; another shape than the one kept is GW_ERR_CONFLICT. */
GW_MUST_CHECK bool gw_state_put_schema(struct gw_state *, const struct gw_schema *, struct gw_error *);
GW_MUST_CHECK bool gw_state_schema(struct gw_state *, struct gw_schema *out, struct gw_error *); /* count 0: none yet */
GW_MUST_CHECK bool gw_state_set_load_status(struct gw_state *, uint32_t collection, enum gw_load_status,
                                            struct gw_error *);
GW_MUST_CHECK bool gw_state_load_status(struct gw_state *, uint32_t collection, enum gw_load_status *,
                                        struct gw_error *);

struct gw_chunk {
    uint64_t id; /* unique in the migration, > 0, in key order within a collection */
    uint32_t collection;
    struct gw_range range;
    bool loaded;
    struct gw_mark mark; /* when loaded */
    uint64_t rows, bytes;
};
void gw_chunk_release(struct gw_chunk *);
void gw_chunks_free(struct gw_chunk *chunks, size_t count);
/* Adds the next chunk of a collection, [low, high); *id is given by the journal. Durable with the split's progress. */
GW_MUST_CHECK bool gw_state_add_chunk(struct gw_state *, uint32_t collection, const struct gw_range *, uint64_t *id,
                                      struct gw_error *);
/* Leases the next chunk that is neither loaded nor leased (or whose lease ran out) to `worker`; *got false when there
 * is none now. Longest collections first. The interface a fleet will implement over a work queue. */
GW_MUST_CHECK bool gw_state_lease_chunk(struct gw_state *, const char *worker, int lease_ms, struct gw_chunk *out,
                                        bool *got, struct gw_error *);
GW_MUST_CHECK bool gw_state_extend_lease(struct gw_state *, uint64_t chunk, const char *worker, int lease_ms,
                                         struct gw_error *);
GW_MUST_CHECK bool gw_state_chunk_loaded(struct gw_state *, uint64_t chunk, const struct gw_mark *, uint64_t rows,
                                         uint64_t bytes, struct gw_error *);
GW_MUST_CHECK bool gw_state_release_chunk(struct gw_state *, uint64_t chunk, struct gw_error *);
GW_MUST_CHECK bool gw_state_release_all_leases(struct gw_state *, struct gw_error *); /* at start, under the lock */
/* All chunks of a collection in key order; owned array. */
GW_MUST_CHECK bool gw_state_chunks(struct gw_state *, uint32_t collection, struct gw_chunk **out, size_t *count,
                                   struct gw_error *);
/* Restores a chunk from the target's checkpoint (adopt, or a journal that lagged behind a kill). */
GW_MUST_CHECK bool gw_state_restore_chunk(struct gw_state *, const struct gw_chunk *, struct gw_error *);

struct gw_load_totals {
    uint64_t chunks, chunks_loaded, rows_loaded, bytes_loaded, collections, collections_loaded;
    int64_t estimated_rows, estimated_bytes;
};
GW_MUST_CHECK bool gw_state_load_totals(struct gw_state *, struct gw_load_totals *, struct gw_error *);

/* ---- quarantine: changes that could not be applied --------------------------------------------------------------- */
/* What goes in, and what is taken out by hand, makes every verdict "equal" unresolved: verify has to look again, from the
 * beginning. */
struct gw_quarantined {
    int64_t id;
    char stream[32];
    char *collection, *operation, *key, *reason; /* owned, for people */
    struct gw_position position;
    int64_t wall_us;
    uint64_t chunk; /* whose row was left out while copying; 0: of a change. Goes in, does not come out */
    bool
        left_out; /* a row that the target lacks, or has as it was: it goes over when it changes on the source. Its `key`
                     * is complete and always written the same way */
};
GW_MUST_CHECK bool gw_state_quarantine(struct gw_state *, const struct gw_quarantined *, const void *change,
                                       size_t change_len, struct gw_error *);
/* Whether this change (stream, position, collection, operation, key) is there already. */
GW_MUST_CHECK bool gw_state_is_quarantined(struct gw_state *, const struct gw_quarantined *, bool *there,
                                           struct gw_error *);
/* A chunk that is not loaded yet is read anew: what was left out of it before says nothing any more. */
GW_MUST_CHECK bool gw_state_forget_left_out(struct gw_state *, uint64_t chunk, struct gw_error *);
/* The transaction at `order` brings a row that was left out to the target, or all of a collection (key NULL): to be called
 * before it commits, and gw_state_healed once everything up to `reached` is durable there: then the notes go, and those of
 * what was rolled back stay. */
GW_MUST_CHECK bool gw_state_heal(struct gw_state *, const char *stream, const char *collection, const char *key,
                                 uint64_t order, struct gw_error *);
GW_MUST_CHECK bool gw_state_healed(struct gw_state *, const char *stream, uint64_t reached, struct gw_error *);
GW_MUST_CHECK bool gw_state_quarantined(struct gw_state *, struct gw_quarantined **out, size_t *count,
                                        struct gw_error *);
void gw_quarantined_free(struct gw_quarantined *, size_t count);
GW_MUST_CHECK bool gw_state_clear_quarantine(struct gw_state *, int64_t id, struct gw_error *); /* 0: all */

/* ---- verdicts ---------------------------------------------------------------------------------------------------- */
/* One JSON object per collection and run, as verify writes them; the newest per collection. Owned array. */
GW_MUST_CHECK bool gw_state_put_verdict(struct gw_state *, uint32_t collection, const json_t *verdict,
                                        struct gw_error *);
GW_MUST_CHECK bool gw_state_verdicts(struct gw_state *, json_t **out, struct gw_error *);

/* ---- events: what happened when, for status, the runbook and the post-mortem --------------------------------------- */
GW_MUST_CHECK bool gw_state_event(struct gw_state *, const char *kind, const char *text, struct gw_error *);
GW_MUST_CHECK bool gw_state_events(struct gw_state *, int64_t since_id, json_t **out, struct gw_error *);

#endif
