/*
 * A migration that is being worked on: its file, its journal, its two open sides, the followers in both directions and
 * its gate. The verbs (load.h, verbs.h) work on one of these, in the runner or in the foreground.
 *
 * Threads: one thread works a verb at a time; status.c may read from another (see there). Sides and state are
 * thread-safe by their own contracts.
 */
#ifndef GW_JOURNEY_JOURNEY_H
#define GW_JOURNEY_JOURNEY_H

#include "base/cancel.h"
#include "copy/copy.h"
#include "follow/follow.h"
#include "gate/gate.h"
#include "journey/stage.h"
#include "map/map.h"
#include "model/migration.h"
#include "state/state.h"
#include "store/store.h"

#include <pthread.h>

struct gw_journey {
    char *file;
    uint64_t file_hash; /* of its text, as it was read */
    struct gw_migration migration;
    const struct gw_migration_store *store; /* the one store of the migration; in `migration` */
    const char *folder;                     /* <state>/<migration>, private; in `migration` */
    struct gw_cancel *cancel;
    struct gw_state *state;    /* NULL until gw_journey_open_state */
    struct gw_store *sides[2]; /* NULL until gw_journey_connect */
    struct gw_schema schema;   /* as planned, in blue's terms; count 0 before the plan is kept */
    struct gw_schema
        green_schema;       /* the same collections in green's terms; count 0 where they are blue's, or not made */
    struct gw_rules *rules; /* by which rows change on their way; NULL: none */
    struct gw_map *map;     /* NULL: both sides hold the same rows in the same form. See mapping.h */
    struct gw_cascade *cascades[2]; /* by side, see mapping.h */
    size_t cascade_count[2];
    struct gw_store *targets[2]; /* lenses over the sides, NULL without a map */
    struct gw_store *faces[2];
    struct gw_gate *gate;         /* NULL until gw_journey_open_gate */
    pthread_mutex_t lock;         /* guards follows[] and the first read of schema against a status */
    struct gw_guard *guard;       /* beside the followers; NULL before the first */
    struct gw_follow *follows[2]; /* by the side they read: [GW_BLUE] is blue>green */
    atomic_bool owner_behind;     /* shared by both: see follow.h */
    void (*progress)(const char *line, double done, void *arg); /* may be NULL; done 0..1, below 0 unknown */
    void *progress_arg;
};

/* Reads the migration file; opens nothing else. */
GW_MUST_CHECK bool gw_journey_open(const char *file, struct gw_cancel *cancel, struct gw_journey **out,
                                   struct gw_error *err);
void gw_journey_close(struct gw_journey *); /* stops the followers; NULL is fine */

enum gw_journal_access { GW_JOURNAL_READ, GW_JOURNAL_WORK };
/* WORK creates it if missing and takes the runner's lock. READ of a missing one leaves journey->state NULL. */
GW_MUST_CHECK bool gw_journey_open_state(struct gw_journey *, enum gw_journal_access, struct gw_error *err);
/* Opens both sides and refuses two sides that are one database, and a side that belongs to another migration. */
GW_MUST_CHECK bool gw_journey_connect(struct gw_journey *, struct gw_error *err);
GW_MUST_CHECK bool gw_journey_connect_side(struct gw_journey *, enum gw_side, struct gw_error *err);
GW_MUST_CHECK bool gw_journey_open_gate(struct gw_journey *, struct gw_error *err);

/* The journal's stage, GW_STAGE_NEW without a journal. */
GW_MUST_CHECK bool gw_journey_stage(struct gw_journey *, enum gw_stage *, struct gw_error *err);
/* Along the table only. */
GW_MUST_CHECK bool gw_journey_enter(struct gw_journey *, enum gw_stage, struct gw_error *err);
/* stage allows the verb, or a clear error. */
GW_MUST_CHECK bool gw_journey_allows(struct gw_journey *, enum gw_verb, struct gw_error *err);
/* Reads the planned schema from the journal into journey->schema (once). */
GW_MUST_CHECK bool gw_journey_read_schema(struct gw_journey *, struct gw_error *err);

/* The planned collections in this side's terms. */
const struct gw_schema *gw_journey_schema(const struct gw_journey *, enum gw_side);

/* Steps of the load that are done once: kept as facts of the journal. */
GW_MUST_CHECK bool gw_journey_is_done(struct gw_journey *, const char *step, bool *done, struct gw_error *err);
GW_MUST_CHECK bool gw_journey_set_done(struct gw_journey *, const char *step, struct gw_error *err);

/* The owner as the sides say it, and whether a flip was torn. */
GW_MUST_CHECK bool gw_journey_owner(struct gw_journey *, enum gw_side *owner, bool *torn, struct gw_error *err);

void gw_journey_say(struct gw_journey *, const char *format, ...) GW_PRINTF(2, 3); /* to the log and the events */
void gw_journey_progress(struct gw_journey *, double done, const char *format, ...) GW_PRINTF(3, 4);

const char *gw_stream_name(enum gw_side source); /* "blue>green" */

#endif
