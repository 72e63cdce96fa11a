/*
 * The change log of a PostgreSQL side, shared by the files that make its facet:
 *   changes.c           publication, slot, barrier, signals, horizon     changes_stream.c    reading it
 *   changes_identity.c  replica identities                              changes_locate.c    which chunk holds a key
 */
#ifndef GW_STORE_POSTGRES_CHANGES_H
#define GW_STORE_POSTGRES_CHANGES_H

#include "store/postgres/conn.h"

/* An LSN as the server prints it ("16/B374D848"), and back; false when the text is none. */
void gw_pg_lsn_format(uint64_t lsn, struct gw_position *out);
GW_MUST_CHECK bool gw_pg_lsn_parse(const char *text, uint64_t *lsn);

/* What pg_replication_slots says of our slot. */
struct gw_pg_slot {
    bool exists;
    bool lost;              /* invalidated: what we had not read is gone */
    char why_lost[64];      /* the server's word for it */
    int active_pid;         /* 0: nobody reads it */
    uint64_t confirmed_lsn; /* acknowledged: the server sends nothing before it */
    uint64_t end_lsn;       /* of the log now, with what is not on disk yet: the horizon may be such a place */
    int64_t retained_bytes; /* -1 unknown */
    int64_t safe_bytes;     /* until the server would drop it; -1 no limit */
};
GW_MUST_CHECK bool gw_pg_slot_look(struct gw_pg_store *, PGconn *, struct gw_pg_slot *, struct gw_error *);
/* GW_ERR_LOST_POSITION with the way on; `why` is a clause: "its slot was dropped". */
bool gw_pg_lost(struct gw_pg_store *, struct gw_error *, const char *why, ...) GW_PRINTF(3, 4);
/* Ends the slot's reader if it is a session of ours and waits for the slot to be free, up to patience_ms; *pid 0 when
 * it is. end_any: of our role, whoever started it; else only those of this process. */
GW_MUST_CHECK bool gw_pg_slot_free_up(struct gw_pg_store *, PGconn *, bool end_any, int patience_ms, int *pid,
                                      struct gw_error *);
/* How this process's streams call themselves in pg_stat_activity ("godwit " goes before it); static. */
const char *gw_pg_stream_name(void);

/* {"a","b"}: an array literal of texts, one element at a time. */
void gw_pg_array_open(struct gw_buf *);
void gw_pg_array_add(struct gw_buf *, const char *text, size_t len);
void gw_pg_array_close(struct gw_buf *);
/* The collections' spaces and names as two array literals. */
void gw_pg_array_tables(const struct gw_schema *, struct gw_buf *spaces, struct gw_buf *names);

/* changes_identity.c: makes the log tell old rows apart for every collection; what it changes is remembered in
 * godwit.note and put back by restore. Both idempotent. */
GW_MUST_CHECK bool gw_pg_identity_set(struct gw_pg_store *, PGconn *, const struct gw_schema *, struct gw_error *);
/* Definitions taken from `source` hold the identities we set there: the target is to be put back to what was before. */
GW_MUST_CHECK bool gw_pg_identity_inherit(struct gw_pg_store *source, struct gw_pg_store *target, struct gw_error *err);
GW_MUST_CHECK bool gw_pg_identity_restore(struct gw_pg_store *, PGconn *, struct gw_error *);
/* Appends a line for each that is not put back yet. */
GW_MUST_CHECK bool gw_pg_identity_left(struct gw_pg_store *, PGconn *, struct gw_buf *lines, struct gw_error *);

/* Every stream begins with it: which of the two kinds it is. */
struct gw_pg_stream_head {
    bool captured; /* by triggers: capture.h */
};
/* changes_stream.c, changes_locate.c: members of the facet. */
/* The end of what the log or the triggers have now: changes->horizon. */
GW_MUST_CHECK bool gw_pg_horizon(struct gw_store *, struct gw_position *, struct gw_error *);
GW_MUST_CHECK bool gw_pg_stream_open(struct gw_store *, const struct gw_schema *, const struct gw_position *from,
                                     struct gw_stream **out, struct gw_error *);
void gw_pg_stream_close(struct gw_stream *);
GW_MUST_CHECK bool gw_pg_stream_next(struct gw_stream *, int timeout_ms, struct gw_change *, bool *got,
                                     struct gw_error *);
GW_MUST_CHECK bool gw_pg_stream_acknowledge(struct gw_stream *, const struct gw_position *, struct gw_error *);
GW_MUST_CHECK bool gw_pg_locate(struct gw_store *, const struct gw_collection *, const struct gw_bound *bounds,
                                size_t bound_count, const struct gw_row *keys, size_t key_count, uint32_t *chunk,
                                struct gw_error *);

#endif
