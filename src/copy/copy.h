/*
 * The copy stage: the rows of every collection, chunk by chunk, from the source to the target.
 *
 * The target is the truth: a chunk whose checkpoint row is there is loaded, whatever the journal says. gw_copy_rows
 * begins by putting the journal right, so it may be called again after any kill and goes on where it was.
 *
 * Before it: changes->prepare on the source and `settled` true, the follower receiving (rule 1), schema->create done,
 * and gw_state_put_schema. It ends when every chunk is loaded and every collection has its key index
 * (GW_LOAD_KEYED); then gw_follow_allow_apply.
 *
 * Threads: gw_copy_rows runs one splitter, `jobs` workers (each one reader and one writer session) and `index_jobs`
 *   key builders of its own and returns when all have ended. `progress` is called from the calling thread alone.
 * Memory: blocks are relayed as they come; nothing of a chunk is kept.
 */
#ifndef GW_COPY_COPY_H
#define GW_COPY_COPY_H

#include "base/cancel.h"
#include "base/error.h"
#include "model/schema.h"
#include "state/state.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct gw_copy_progress {
    uint64_t chunks_known;                   /* in the journal now; grows while the splitter works */
    uint64_t chunks_loaded;                  /* of them, in all runs */
    uint64_t rows, bytes;                    /* loaded in all runs */
    int64_t estimated_rows, estimated_bytes; /* of all collections, from statistics; -1 unknown */
    uint32_t collections, collections_loaded, collections_keyed;
    uint64_t rows_per_second, bytes_per_second; /* of this run, lately */
    uint64_t retries;
    int64_t elapsed_us;
    bool splitting; /* chunks_known still grows */
};

struct gw_copy_report {
    uint64_t chunks_done;    /* loaded by this call */
    uint64_t chunks_skipped; /* found loaded when it began */
    uint64_t rows, bytes;    /* of chunks_done */
    uint64_t rows_skipped, bytes_skipped;
    uint64_t keys_created; /* key indexes made by this call */
    uint64_t retries;      /* sessions opened again after a passing error */
    uint64_t restored;     /* chunks the journal had forgotten and the target remembered */
    uint64_t lost;         /* chunks the journal thought loaded and the target does not have: loaded again */
    int64_t elapsed_us;
};

struct gw_copy_options {
    struct gw_store *source, *target;
    struct gw_state *state;
    const struct gw_schema *schema; /* as the state keeps it: an id is a place in it */
    const char *work_dir;           /* handed to schema->create_key */
    int jobs;                       /* workers; 0: 2 */
    int index_jobs;                 /* key indexes at once; 0: 1 */
    int64_t chunk_rows;             /* the most rows of a chunk; 0: 50,000 */
    int64_t chunk_bytes;            /* wanted bytes of a chunk; 0: 32 MiB */
    int64_t chunk_us;               /* wanted time of a chunk; 0: 5 s */
    int retry_ms;                   /* how long one chunk may keep failing with passing errors; 0: 120,000 */
    struct gw_cancel *cancel;       /* may be NULL */
    void (*progress)(const struct gw_copy_progress *, void *arg); /* several times a second; may be NULL */
    void *progress_arg;
};

/* Puts the journal right, splits, loads and builds key indexes, all at once. *report is filled on failure, too. */
GW_MUST_CHECK bool gw_copy_rows(const struct gw_copy_options *, struct gw_copy_report *, struct gw_error *);

#endif
