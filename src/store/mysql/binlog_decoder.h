/* What the files of the binlog decoder share among themselves. */
#ifndef GW_STORE_MYSQL_BINLOG_DECODER_H
#define GW_STORE_MYSQL_BINLOG_DECODER_H

#include "store/mysql/binlog.h"
#include "store/mysql/binlog_bytes.h"
#include "store/mysql/binlog_charset.h"
#include "store/mysql/column.h"

#define GW_BINLOG_CHECKSUM_LEN 4
#define GW_BINLOG_HEADER_LEN 19
#define GW_BINLOG_VALUE_ROOM 96 /* longest text of a value that is not a string: DECIMAL(65,30), TIME(6), a double */

enum gw_binlog_column_type { /* enum_field_types, as on the wire */
                             GW_BINLOG_TINY = 1,
                             GW_BINLOG_SHORT = 2,
                             GW_BINLOG_LONG = 3,
                             GW_BINLOG_FLOAT = 4,
                             GW_BINLOG_DOUBLE = 5,
                             GW_BINLOG_NULL = 6,
                             GW_BINLOG_TIMESTAMP = 7,
                             GW_BINLOG_LONGLONG = 8,
                             GW_BINLOG_INT24 = 9,
                             GW_BINLOG_DATE = 10,
                             GW_BINLOG_TIME = 11,
                             GW_BINLOG_DATETIME = 12,
                             GW_BINLOG_YEAR = 13,
                             GW_BINLOG_NEWDATE = 14,
                             GW_BINLOG_VARCHAR = 15,
                             GW_BINLOG_BIT = 16,
                             GW_BINLOG_TIMESTAMP2 = 17,
                             GW_BINLOG_DATETIME2 = 18,
                             GW_BINLOG_TIME2 = 19,
                             GW_BINLOG_BLOB_COMPRESSED = 140,
                             GW_BINLOG_VARCHAR_COMPRESSED = 141,
                             GW_BINLOG_VECTOR = 242,
                             GW_BINLOG_JSON = 245,
                             GW_BINLOG_NEWDECIMAL = 246,
                             GW_BINLOG_ENUM = 247,
                             GW_BINLOG_SET = 248,
                             GW_BINLOG_TINY_BLOB = 249,
                             GW_BINLOG_MEDIUM_BLOB = 250,
                             GW_BINLOG_LONG_BLOB = 251,
                             GW_BINLOG_BLOB = 252,
                             GW_BINLOG_VAR_STRING = 253,
                             GW_BINLOG_STRING = 254,
                             GW_BINLOG_GEOMETRY = 255,
};

struct gw_binlog_column {
    uint8_t type;   /* what a STRING really is resolved */
    uint8_t digits; /* of the fraction of a time; of a decimal */
    uint16_t size;  /* bytes of a length prefix, of an ENUM, SET or BIT; a decimal's precision */
    bool is_unsigned;
    bool utf8;                               /* its text is as it is handed out */
    bool wanted_old;                         /* of an old row: a key's column, or any where there is no key */
    uint32_t target;                         /* column of the plan, UINT32_MAX: none */
    const struct gw_mysql_form *form;        /* of the plan; NULL: none */
    const struct gw_binlog_charset *charset; /* NULL: bytes, not text */
    const char *name;                        /* as the event says, or NULL (binlog_row_metadata) */
};

struct gw_binlog_table {
    struct gw_binlog_table *next;
    uint64_t hash; /* of the event without the table's number */
    const struct gw_collection *collection;
    enum gw_binlog_home home;
    enum gw_binlog_fit fit;
    size_t column_count;
    struct gw_binlog_column *columns;
    uint32_t width;     /* columns of a row handed out */
    bool covers;        /* a whole image fills all of them */
    bool has_generated; /* planned ones, which are not told */
    char *names;
};

struct gw_binlog_number { /* a table's number, as long as the log does not reuse it */
    uint64_t id;
    struct gw_binlog_table *table; /* NULL: of no interest */
};

struct gw_binlog_image { /* an image of a row: what is in it, and where its values go */
    const unsigned char *present;
    size_t present_count;
    struct gw_value *values;
    char *room; /* GW_BINLOG_VALUE_ROOM for each column */
};

struct gw_binlog {
    const struct gw_schema *schema;
    char *database;
    struct gw_binlog_charsets *charsets;
    struct gw_mysql_form **forms; /* of each collection, a form a column */

    bool described, checksummed, mariadb;
    uint8_t table_id_len;

    struct gw_binlog_table *tables;
    struct gw_binlog_number *numbers; /* sorted by nothing: few, the newest last */
    size_t number_count, number_capacity;
    bool numbers_over; /* the statement has no more rows */

    /* the row event at hand */
    struct gw_cursor in;
    struct gw_binlog_table *table;
    enum gw_binlog_rows kind;
    size_t column_count;
    struct gw_binlog_image before, after;
    struct gw_buf unpacked; /* of a compressed event */
    struct gw_arena arena;  /* of the row at hand */
    size_t room_columns;
};

/* One value of this column into *out; `room` takes GW_BINLOG_VALUE_ROOM bytes. */
GW_MUST_CHECK bool gw_binlog_value(const struct gw_binlog_column *, struct gw_cursor *in, char *room,
                                   struct gw_arena *arena, struct gw_value *out, struct gw_error *err);
/* Passes over one. */
void gw_binlog_value_skip(const struct gw_binlog_column *, struct gw_cursor *in);
/* MySQL's binary JSON as the text the server gives. False where it is none. */
bool gw_binlog_json(const unsigned char *bytes, size_t len, struct gw_buf *out);
/* The whole of MariaDB's packed bytes (compressed events): one byte of flags, the length, a zlib stream. */
GW_MUST_CHECK bool gw_binlog_unpack(struct gw_cursor *in, struct gw_buf *out, struct gw_error *err);
bool gw_binlog_bad(struct gw_error *err, const char *what);

/* Decimal digits; each returns the end. */
char *gw_binlog_put_u64(char *at, uint64_t v);
char *gw_binlog_put_i64(char *at, int64_t v);
char *gw_binlog_put_padded(char *at, uint64_t v, unsigned digits);
/* The shortest text that is read as the same number. */
char *gw_binlog_put_double(char *at, double v);
char *gw_binlog_put_float(char *at, float v);

#endif
