/* What the parts of the journal share. Private to state/. */
#ifndef GW_STATE_INTERNAL_H
#define GW_STATE_INTERNAL_H

#include "io/sqlite.h"
#include "state/state.h"

#include <pthread.h>

#define GW_STATE_FORMAT 4

/* A unit of reading or writing, inside a transaction. Results go into *arg and are handed on by the caller only when
 * the transaction stood. */
typedef bool gw_state_job(struct gw_sqlite *db, void *arg, struct gw_error *err);

struct gw_state_request { /* on the stack of the thread that waits for it */
    gw_state_job *job;
    void *arg;
    struct gw_error *err;
    bool durable, ok, done;
    void (*release)(struct gw_state_request *); /* nobody waits for it: the writer lets it go; NULL otherwise */
    struct gw_state_request *next;
};

struct gw_state {
    char *folder, *path;
    char migration[64];
    char migration_id[40]; /* guarded by read_lock */
    int lock_fd;           /* the runner's lock; -1 when not held */

    pthread_mutex_t read_lock;
    struct gw_sqlite *reader;

    pthread_mutex_t write_lock;
    pthread_cond_t asked, answered;
    struct gw_sqlite *writer; /* the writer thread's, once it runs */
    pthread_t thread;
    bool thread_runs, closing;
    int synchronous_full; /* what the connection is set to; -1 unknown */
    struct gw_state_request *first, **last;
};

/* Durable: on disk on return, else in the kernel's hands (a killed process loses nothing, a power cut may). */
GW_MUST_CHECK bool gw_state_write(struct gw_state *state, bool durable, gw_state_job *job, void *arg,
                                  struct gw_error *err);
/* In order with the others and not waited for; a failure is logged. The request is on the heap and given away. */
GW_MUST_CHECK bool gw_state_post(struct gw_state *state, struct gw_state_request *request, struct gw_error *err);
GW_MUST_CHECK bool gw_state_read(struct gw_state *state, gw_state_job *job, void *arg, struct gw_error *err);
/* Ends the writer thread. */
void gw_state_writer_stop(struct gw_state *state);
/* Damage in the file gets the hint that says the way on. Returns false. */
bool gw_state_explain(struct gw_error *err);

/* The journal file: makes or opens it, brings it to the current format, checks whose it is. */
GW_MUST_CHECK bool gw_state_journal_open(struct gw_state *state, const struct gw_state_options *options,
                                         struct gw_error *err);
GW_MUST_CHECK bool gw_state_lock(const char *folder, int *fd, struct gw_error *err);

#endif
