/* A writer session of the lens: shared by lens_writer.c (sessions, load, keys), lens_apply.c (parts) and lens_keep.c (the
 * form of what an update leaves alone). */
#ifndef GW_STORE_LENS_WRITER_H
#define GW_STORE_LENS_WRITER_H

#include "store/lens/internal.h"

/* Of the columns of the target: which may hold a value in another form than the map gives it. */
struct lens_forms {
    bool known;
    bool keeps;            /* an update looks at the row it changes */
    bool searches;         /* a row without key is not found by what the map makes of the other side's */
    bool key_free;         /* nor is a key for certain */
    bool *free, *touches;  /* by column of the target; touches: the engine itself writes it where an update does not */
    bool *exact, *usual;   /* ... and by which of them a row is looked for: always; where it holds the usual kind */
    bool *compared, *same; /* by column of the source: what the free ones are made of; scratch */
    bool *scratch;
};

struct lens_pair { /* of one collection; opened when first met */
    struct gw_codec *from, *to;
    struct lens_forms forms;
};

struct lens_writer {
    struct lens *lens;
    struct gw_writer *inner;
    struct gw_map_run *run;
    struct gw_map_run *run_back; /* from the target to the source; NULL until it is needed */
    struct lens_pair *pairs;     /* by collection */
    struct gw_arena arena;
    struct gw_datum *in, *out; /* one row */
    size_t in_capacity, out_capacity;
    struct gw_buf why;

    /* the row that is looked at */
    struct gw_arena work;
    struct gw_datum *was; /* as `in` */
    struct gw_buf rooms[2];

    /* the chunk at hand */
    const struct gw_collection *source;
    uint64_t chunk;
    struct gw_buf block;
    uint64_t block_rows, not_written;
};

struct lens_mapped { /* a part in the target's terms; in the writer's arena */
    struct gw_part part;
    struct gw_row *keys, *rows;
    bool **stays;            /* by row: NULL, or the columns that hold what the change says already */
    struct gw_value **holds; /* by row: NULL, or what to write in them where they cannot be left out (else ABSENT) */
    bool *leaves, *arrives;  /* filtered: the old row may be there, the new one belongs there */
};

static inline struct lens_writer *lens_writer_of(struct gw_writer *writer)
{
    return (struct lens_writer *)(void *)writer;
}

static inline const struct gw_writer_facet *lens_inner_writer(const struct lens_writer *w)
{
    return w->lens->inner->type->writer;
}

static inline struct gw_store *lens_source_store(const struct lens *lens)
{
    return lens->options.sides[gw_side_other(lens->side)];
}

static inline const struct gw_codec_facet *lens_codec_from(const struct lens_writer *w)
{
    return lens_source_store(w->lens)->type->codec;
}

static inline const struct gw_codec_facet *lens_codec_to(const struct lens_writer *w)
{
    return w->lens->inner->type->codec;
}

/* lens_writer.c */
/* The codecs of a collection, and room for one row of it. */
GW_MUST_CHECK bool lens_pair_of(struct lens_writer *, const struct gw_collection *source, struct lens_pair **out,
                                struct gw_error *);
GW_MUST_CHECK bool lens_open_back(struct lens_writer *, struct gw_error *); /* run_back, reset */

/* lens_apply.c, as store.h says */
GW_MUST_CHECK bool lens_apply(struct gw_writer *, const struct gw_part *, uint64_t *touched, struct gw_error *);
GW_MUST_CHECK bool lens_send(struct gw_writer *, const struct gw_part *, struct gw_error *);
bool lens_whole_rows(struct gw_writer *, const struct gw_collection *);
bool lens_keeps_form(struct gw_writer *, const struct gw_collection *);
GW_MUST_CHECK bool lens_truncate(struct gw_writer *, const struct gw_collection *const *, size_t count,
                                 struct gw_error *);

/* lens_keep.c */
const struct lens_forms *lens_forms_of(struct lens_writer *, const struct gw_collection *source);
void lens_forms_release(struct lens_forms *);
/* Looks at the rows that an UPDATE changes, by their mapped keys: what they hold already, in a form of their own. */
GW_MUST_CHECK bool lens_keep_forms(struct lens_writer *, struct lens_pair *, const struct gw_part *,
                                   struct lens_mapped *, struct gw_error *);
/* Once they are mapped: rows that leave out the same columns behind one another. */
void lens_put_in_order(struct lens_writer *, struct lens_mapped *, size_t count);
/* Row `at` of a part by what it is on the other side: *found: its key is now that of the row on the target. */
GW_MUST_CHECK bool lens_search(struct lens_writer *, struct lens_pair *, const struct gw_part *, struct lens_mapped *,
                               size_t at, bool *found, struct gw_error *);

#endif
