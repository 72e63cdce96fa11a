/*
 * Inside the pgbouncer gate: what its files share. One struct per open gate, used by one thread.
 *
 * pgbouncer.c: park, unpark, state; pgbouncer_logins.c: what PAUSE must not meet; pgbouncer_point.c: the ini file and
 * RELOAD; pgbouncer_check.c: preflight; pgbouncer_auth.c: logins on the other side.
 */
#ifndef GW_GATE_PGBOUNCER_H
#define GW_GATE_PGBOUNCER_H

#include "gate/address.h"
#include "gate/console.h"
#include "gate/gate.h"
#include "gate/pgbouncer_ini.h"

/* A console command answers within microseconds; this is for a process that hangs or a network that drops. */
#define GW_PGB_ANSWER_MS 1000

enum { GW_PGB_LIMITS = 2 };

struct gw_pgb_process {
    const char *url; /* of its console; borrowed */
    char what[160];  /* the same for people, without its secret */
    PGconn *control; /* answers at once; NULL when not connected */
    PGconn *pauser;  /* for PAUSE alone, which may never answer; NULL when not connected */
    bool pausing;    /* PAUSE is on its way */
    bool holding;    /* new logins are held back; the limits as they were: */
    char limits[GW_PGB_LIMITS][32];
    char *ini; /* the file this process reads; owned, NULL before it was asked */
};

/* A new text beside an ini file, ready to be renamed over it in the pause. */
struct gw_pgb_staged {
    char *path, *sibling; /* owned; NULL when there is none */
    enum gw_gate_target target;
    uint64_t of_hash; /* of the text it was made from: stale when the file has changed since */
    bool unsynced;    /* the rename is not on disk yet */
};

struct gw_pgb_gate {
    struct gw_gate head;
    const struct gw_migration_gate *settings; /* borrowed */
    struct gw_cancel *cancel;
    char database[128]; /* PgBouncer's name for what clients connect to */
    struct gw_gate_address sides[2];
    struct gw_pgb_process *processes;
    size_t process_count;
    struct gw_pgb_staged *staged; /* one for each process at most */
};

struct gw_pgb_line { /* of SHOW DATABASES */
    struct gw_gate_address address;
    bool found, paused, disabled;
    char pool_mode[32];
};

/* Runs a console command on the control connection, connecting again once if it was lost. *result owned, may be
 * NULL. cancel may be NULL: what lets traffic go on must not be cancelled. */
GW_MUST_CHECK bool gw_pgb_run(struct gw_pgb_process *process, const char *command, int timeout_ms,
                              struct gw_cancel *cancel, PGresult **result, struct gw_error *err);
/* The line of our database; found is false when there is none. */
GW_MUST_CHECK bool gw_pgb_line(struct gw_pgb_gate *gate, struct gw_pgb_process *process, struct gw_pgb_line *out,
                               struct gw_error *err);
/* A value of SHOW CONFIG in out, "" when this version does not have it. */
GW_MUST_CHECK bool gw_pgb_config(struct gw_pgb_process *process, const char *key, char *out, size_t size,
                                 struct gw_error *err);
/* Which side the address is; GW_GATE_UNKNOWN when neither. */
enum gw_gate_target gw_pgb_side_of(const struct gw_pgb_gate *gate, const struct gw_gate_address *address);

/* Before PAUSE: hold new logins back, and wait until none is under way. Undone by gw_pgb_free_logins, which may be called
 * at any time. See pgbouncer_logins.c for why. */
GW_MUST_CHECK bool gw_pgb_hold_logins(struct gw_pgb_gate *gate, struct gw_pgb_process *process, struct gw_error *err);
GW_MUST_CHECK bool gw_pgb_wait_logins(struct gw_pgb_gate *gate, struct gw_pgb_process *process, struct gw_error *err);
void gw_pgb_free_logins(struct gw_pgb_process *process);

/* The file in which the database's line stands, for this process. */
GW_MUST_CHECK bool gw_pgb_locate(struct gw_pgb_gate *gate, struct gw_pgb_process *process, struct gw_pgb_entry *out,
                                 struct gw_error *err);
GW_MUST_CHECK bool gw_pgb_point(struct gw_pgb_gate *gate, enum gw_gate_target target, struct gw_error *err);
/* Prepares what point will need, outside the pause. What fails here is left for point to fail on. */
void gw_pgb_stage(struct gw_pgb_gate *gate, enum gw_gate_target target);
void gw_pgb_unstage(struct gw_pgb_gate *gate); /* removes what was not used */
/* What was renamed becomes durable, beside traffic that flows already. */
void gw_pgb_sync(struct gw_pgb_gate *gate);

GW_MUST_CHECK bool gw_pgb_preflight(struct gw_gate *gate, int budget_ms, struct gw_buf *findings,
                                    int *predicted_park_ms, struct gw_error *err);

#endif
