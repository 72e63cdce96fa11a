/*
 * What the receiver, the applier and the callers of one follower share; private to follow/. `lock` guards all below
 * it; `changed` is signalled whenever something a waiter may wait for has changed.
 */
#ifndef GW_FOLLOW_INTERNAL_H
#define GW_FOLLOW_INTERNAL_H

#include "follow/batch.h"
#include "follow/follow.h"
#include "spool/spool.h"

#include <pthread.h>

#define FOLLOW_TOKENS 64
#define FOLLOW_SAMPLES 12

struct follow_sample {
    int64_t at_us;
    uint64_t received_rows, applied_rows;
};

struct gw_follow {
    struct gw_follow_options options; /* strings are ours; constant */
    char stream[32];
    struct gw_spool *spool;
    pthread_t receiver, applier;
    bool receiver_started, applier_started;
    struct gw_cancel halt;   /* the own token of both threads: asked when they do not end by themselves */
    struct gw_state *chunks; /* of allow_apply; NULL: nothing was loaded in this direction */
    uint64_t horizon_order;
    bool has_horizon;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop, allowed, pause_wanted, source_owns;
    bool given_up;      /* the source no longer keeps its log for us: nothing more is received */
    unsigned running;   /* threads */
    bool following;     /* allowed once, by whichever process: from then on only what is applied is acknowledged */
    unsigned waiters;   /* who wait for something durable: the applier does not wait with its next durable commit */
    bool wants_horizon; /* a status was asked for: the receiver looks where the source's log ends */
    struct gw_follow_status status;            /* blocked, error and the counters are kept here as they go */
    struct gw_position row_durable;            /* the position row on the target's disk: what may be acknowledged */
    uint64_t spool_acknowledged;               /* what the source may have dropped because the spool has it */
    bool source_idle;                          /* the stream had nothing when last asked */
    bool piled_up;                             /* ... or sends what was committed more than a second before */
    int64_t received_wall_us, applied_wall_us; /* newest commit times, the source's clock */
    uint64_t received_rows, applied_rows;
    int64_t backlog_rows; /* estimate of what an earlier process spooled */
    struct follow_sample samples[FOLLOW_SAMPLES];
    unsigned sample_count;
    char tokens[FOLLOW_TOKENS][128]; /* newest signals, a ring */
    unsigned token_count;
    int64_t quarantine_seen_us; /* when the state was last asked */
    bool quarantine_foreign, quarantine_left_out, quarantine_other;
};

static inline const struct gw_collection *follow_collection_of(const struct gw_follow *f, uint32_t id)
{
    return &f->options.schema->collections[id];
}

bool follow_stopped(struct gw_follow *f);
bool follow_receiving_over(struct gw_follow *f); /* stopped, or given up */
void follow_thread_ends(struct gw_follow *f);    /* the last thing a thread does */
/* Sleeps until `changed` or ms; with the lock held. */
void follow_wait(struct gw_follow *f, int ms);
/* Sleeps ms, less when stopping; true when stopping. */
bool follow_pause_ms(struct gw_follow *f, int ms);
/* May this kind pass if tried again? */
bool follow_passing(enum gw_error_kind kind);
/* Does it speak of the data, so that another order or quarantine may help? */
bool follow_is_about_data(enum gw_error_kind kind);
int follow_backoff_ms(const struct gw_follow *f, unsigned tries);
void follow_note_error(struct gw_follow *f, const struct gw_error *err); /* kind NONE: all is well again */
void follow_block(struct gw_follow *f, enum gw_follow_block block, const char *why);
void follow_sample_rates(struct gw_follow *f); /* with the lock held */

void *follow_receive(void *arg); /* receive.c */
void *follow_apply(void *arg);   /* apply.c */

#endif
