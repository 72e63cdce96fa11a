/*
 * What a column may hold, in words that no engine owns. An engine describes its columns so (catalog->describe), and
 * says what it would make of a type it is asked for (codec->type_for); what is lost on the way is found by comparing the
 * two, so that nothing knows two engines at once.
 */
#ifndef GW_MODEL_TYPE_H
#define GW_MODEL_TYPE_H

#include "model/datum.h"

struct gw_type {
    enum gw_kind kind;  /* GW_KIND_NULL: not known */
    unsigned bits;      /* INT64, UINT64: 8, 16, 24, 32, 64 */
    unsigned precision; /* DECIMAL: digits in all; 0: no limit */
    int scale;          /* DECIMAL: digits behind the point, -1: each value its own. TIME, TIMESTAMP*: 0..6 */
    uint64_t length;    /* TEXT, ENUM: characters at most; BYTES: bytes; BITS: bits; 0: no limit */
    uint64_t bytes;     /* TEXT: bytes at most, where the engine counts them; 0: no limit */
    bool fixed;         /* CHAR(n), BINARY(n), BIT(n): always that long */
    bool pads;          /* trailing spaces do not count in comparisons */
    bool ignores_case;  /* 'a' = 'A' in comparisons and unique keys */
    bool ignores_accents;
    bool basic_plane;   /* TEXT: holds no character above U+FFFF (utf8mb3) */
    bool no_nul;        /* TEXT: holds no NUL byte (PostgreSQL) */
    bool zero_dates;    /* DATE, TIMESTAMP: may hold what is in no calendar */
    bool infinities;    /* DATE, TIMESTAMP*, FLOAT, DECIMAL: may hold infinity (and NaN) */
    bool no_nan;        /* FLOAT: holds infinities, and not NaN */
    bool no_minus_zero; /* FLOAT: -0.0 may become 0.0 */
    int64_t least,
        most;         /* DATE: days, TIMESTAMP*, TIME: us, TIME and such outside of which it holds nothing; both 0: not
                            limited */
    bool loose;       /* any kind of value may stand in it, whatever the type says (SQLite without STRICT) */
    bool is_set;      /* ENUM: several of the labels, "a,b", as TEXT */
    bool error_value; /* ENUM: may hold '', which is none of the labels (MySQL's index 0) */
    size_t label_count;
    char **labels;           /* owned; ENUM */
    struct gw_type *element; /* owned; ARRAY */
    char *collation;         /* owned; the engine's name, or NULL */
    char *foreign;           /* owned; TEXT in the form of this engine type ("inet"), or NULL */
};

void gw_type_release(struct gw_type *type);
void gw_type_copy(struct gw_type *to, const struct gw_type *from); /* `to` is not released first */
/* "decimal(10,2)", "text up to 255 characters, ignores case". Appends. */
void gw_type_print(const struct gw_type *type, struct gw_buf *out);

#endif
