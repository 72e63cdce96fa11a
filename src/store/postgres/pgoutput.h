/*
 * Decoder of PostgreSQL's logical replication messages as the plugin pgoutput sends them (protocol version 1; text or
 * binary values): "Logical Replication Message Formats" in the server's manual. Pure: no connection, no I/O.
 *
 * Bytes come from a server and are trusted in nothing: every length is checked, a malformed message is GW_ERR_BUG
 * ("protocol"). Owned by one thread. What a message points to lives until the next decode, in the caller's bytes and in
 * the decoder's row arrays; relations live as long as the decoder.
 *
 *     struct gw_pgoutput *decoder = gw_pgoutput_new(schema);
 *     while (bytes come)
 *         if (!gw_pgoutput_decode(decoder, bytes, len, &message, err)) return false;
 */
#ifndef GW_STORE_POSTGRES_PGOUTPUT_H
#define GW_STORE_POSTGRES_PGOUTPUT_H

#include "model/change.h"
#include "model/schema.h"

#define GW_PGOUTPUT_MAX_COLUMNS 1664 /* the server's own limit of a target list; a table has at most 1,600 */

enum gw_pgoutput_kind {
    GW_PGOUTPUT_BEGIN,
    GW_PGOUTPUT_COMMIT,
    GW_PGOUTPUT_INSERT,
    GW_PGOUTPUT_UPDATE,
    GW_PGOUTPUT_DELETE,
    GW_PGOUTPUT_TRUNCATE,
    GW_PGOUTPUT_RELATION,
    GW_PGOUTPUT_NOTHING, /* origin, type, message: carry nothing for us */
};

/* Tables of our own home that are in every publication of ours. */
enum gw_pgoutput_home {
    GW_PGOUTPUT_HOME_NONE,
    GW_PGOUTPUT_HOME_OURS, /* position and chunk: the transaction is one of ours */
    GW_PGOUTPUT_HOME_SIGNAL,
};

struct gw_pgoutput_column {
    char *name;
    uint32_t type_id;
    int32_t modifier;
    bool in_identity; /* part of the replica identity */
};

struct gw_pgoutput_relation {
    uint32_t id;
    char *space, *name;
    char identity; /* 'd', 'n', 'f', 'i' */
    uint16_t column_count;
    struct gw_pgoutput_column *columns;
    const struct gw_collection *collection; /* as planned; NULL when none of the schema */
    const struct gw_collection *was;        /* when it has no collection: what it was under an earlier name, or NULL */
    enum gw_pgoutput_home home;
    int token;       /* column of the signal's token, or -1 */
    int32_t *places; /* for each column its place in collection->columns, or -1 */
};

struct gw_pgoutput_message {
    enum gw_pgoutput_kind kind;
    uint64_t lsn;                                /* BEGIN: of the commit record; COMMIT: of the commit record */
    uint64_t end_lsn;                            /* COMMIT: behind it */
    int64_t commit_wall_us;                      /* BEGIN, COMMIT: Unix epoch */
    uint32_t xid;                                /* BEGIN */
    const struct gw_pgoutput_relation *relation; /* rows, RELATION */
    struct gw_row old, row; /* as gw_change has them; of a collection's columns, or of the home table's */
    bool old_is_whole;      /* replica identity full: all columns are there, not the key alone */
    uint32_t truncate_count;
    const uint32_t *truncate_ids; /* relation ids */
};

struct gw_pgoutput;
struct gw_pgoutput *gw_pgoutput_new(const struct gw_schema *schema); /* the schema is borrowed for its life */
void gw_pgoutput_free(struct gw_pgoutput *decoder);
GW_MUST_CHECK bool gw_pgoutput_decode(struct gw_pgoutput *decoder, const void *bytes, size_t len,
                                      struct gw_pgoutput_message *out, struct gw_error *err);
const struct gw_pgoutput_relation *gw_pgoutput_find(const struct gw_pgoutput *decoder, uint32_t relation_id);

/* Is the relation as planned? type_names[i]: the server's name for the type of column i. False = differs, in words.
 * A relation outside the schema is always the same. */
bool gw_pgoutput_same(const struct gw_pgoutput_relation *relation, const char *const *type_names,
                      struct gw_buf *difference);
/* Does it differ in nothing but columns that the plan does not know? Their values are left out of the rows. */
bool gw_pgoutput_only_more(const struct gw_pgoutput_relation *relation, const char *const *type_names);

#endif
