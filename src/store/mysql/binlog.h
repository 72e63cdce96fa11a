/*
 * The binlog of MariaDB and MySQL as bytes: places in it, events, and rows decoded to a plan. Nothing here has a
 * connection, and no length field is trusted: whatever bytes are given, the answer is a value or an error.
 *
 *   binlog.c          places, events, groups        binlog_table.c    TABLE_MAP against the plan
 *   binlog_rows.c     row images                    binlog_value.c    one value to its text
 *   binlog_json.c     MySQL's binary JSON           binlog_charset.c  text in other character sets
 *   binlog_sql.c      what a statement is about
 *
 * Formats: "Replication Protocol" and "Binary Log" in MySQL's source documentation; "Replication Protocol" in
 * MariaDB's knowledge base (event types from 160 on are MariaDB's own).
 *
 * Values are as the reader gives them: GW_VALUE_TEXT in utf8mb4 for numbers, texts, times, enum and set labels, JSON;
 * GW_VALUE_BINARY for binary strings, bits (most significant first) and geometry (SRID, then WKB).
 *
 * Thread: a decoder belongs to one thread at a time.
 */
#ifndef GW_STORE_MYSQL_BINLOG_H
#define GW_STORE_MYSQL_BINLOG_H

#include "base/arena.h"
#include "base/error.h"
#include "model/change.h"
#include "model/schema.h"

/* ---- places ---- */

/* "mysql-bin.000042:1234": the event that begins (or the log that ends) there. Order: the file's number in the high 24
 * bits, the offset in the low 40 (a file grows past 4 GiB when one transaction is larger). */
#define GW_BINLOG_FILE_MAX 100
struct gw_binlog_place {
    char file[GW_BINLOG_FILE_MAX]; /* "mysql-bin.000042"; "" is no place */
    uint64_t pos;
    uint32_t made;                     /* when the file was begun, by the server's clock; 0 unknown */
    char prepared[GW_BINLOG_FILE_MAX]; /* the oldest XA transaction that was prepared and not ended before this place */
    uint64_t prepared_pos;             /* begins there; "" and 0: none */
};
/* The file's number; 0 where its name ends in none. */
uint32_t gw_binlog_file_number(const char *file);
uint64_t gw_binlog_order(const char *file, uint64_t pos);
void gw_binlog_place_format(const struct gw_binlog_place *place, struct gw_position *out);
GW_MUST_CHECK bool gw_binlog_place_parse(const char *text, struct gw_binlog_place *out);

/* ---- events ---- */

enum gw_binlog_type { /* as on the wire */
                      GW_BINLOG_QUERY = 2,
                      GW_BINLOG_STOP = 3,
                      GW_BINLOG_ROTATE = 4,
                      GW_BINLOG_FORMAT_DESCRIPTION = 15,
                      GW_BINLOG_XID = 16,
                      GW_BINLOG_BEGIN_LOAD_QUERY = 17,
                      GW_BINLOG_EXECUTE_LOAD_QUERY = 18,
                      GW_BINLOG_TABLE_MAP = 19,
                      GW_BINLOG_WRITE_ROWS_V1 = 23,
                      GW_BINLOG_UPDATE_ROWS_V1 = 24,
                      GW_BINLOG_DELETE_ROWS_V1 = 25,
                      GW_BINLOG_INCIDENT = 26,
                      GW_BINLOG_HEARTBEAT = 27,
                      GW_BINLOG_WRITE_ROWS = 30,
                      GW_BINLOG_UPDATE_ROWS = 31,
                      GW_BINLOG_DELETE_ROWS = 32,
                      GW_BINLOG_GTID = 33,
                      GW_BINLOG_ANONYMOUS_GTID = 34,
                      GW_BINLOG_XA_PREPARE = 38,
                      GW_BINLOG_PARTIAL_UPDATE_ROWS = 39,
                      GW_BINLOG_TRANSACTION_PAYLOAD = 40,
                      GW_BINLOG_HEARTBEAT_V2 = 41,
                      GW_BINLOG_GTID_TAGGED = 42,
                      GW_BINLOG_MARIA_GTID = 162,
                      GW_BINLOG_MARIA_GTID_LIST = 163,
                      GW_BINLOG_MARIA_START_ENCRYPTION = 164,
                      GW_BINLOG_MARIA_QUERY_COMPRESSED = 165,
                      GW_BINLOG_MARIA_WRITE_ROWS_COMPRESSED_V1 = 166,
                      GW_BINLOG_MARIA_UPDATE_ROWS_COMPRESSED_V1 = 167,
                      GW_BINLOG_MARIA_DELETE_ROWS_COMPRESSED_V1 = 168,
                      GW_BINLOG_MARIA_WRITE_ROWS_COMPRESSED = 169,
                      GW_BINLOG_MARIA_UPDATE_ROWS_COMPRESSED = 170,
                      GW_BINLOG_MARIA_DELETE_ROWS_COMPRESSED = 171,
};

#define GW_BINLOG_ARTIFICIAL 0x20   /* flags: made up for this stream, not in the file */
#define GW_BINLOG_IGNORABLE 0x80    /* flags: whoever does not know it may pass over it */
#define GW_BINLOG_STANDALONE 0x01   /* MariaDB's GTID: one statement, no COMMIT follows */
#define GW_BINLOG_PREPARED_XA 0x40  /* ... : ends in XA PREPARE */
#define GW_BINLOG_COMPLETED_XA 0x80 /* ... : is an XA COMMIT or XA ROLLBACK */

struct gw_binlog_event {
    uint32_t timestamp; /* seconds */
    uint8_t type;
    uint16_t flags;
    uint32_t server_id;
    uint32_t length;  /* in the file, all of it */
    uint32_t log_pos; /* where it ends, modulo 2^32; 0: not in a file */
    const unsigned char *body;
    size_t body_len; /* without header and checksum */
};

struct gw_binlog_query {
    const char *database; /* the session's; not NUL-terminated */
    size_t database_len;
    const char *sql;
    size_t sql_len;
    bool ansi_quotes;          /* "x" is a name in it */
    bool no_backslash_escapes; /* '\' is itself in it */
    uint16_t error;            /* the statement failed on the source with this, and was logged all the same */
};

struct gw_binlog_xid { /* of an XA transaction */
    uint32_t format;
    uint8_t gtrid_len, bqual_len;
    unsigned char data[128]; /* gtrid, then bqual */
};

enum gw_binlog_home {
    GW_BINLOG_HOME_NONE,
    GW_BINLOG_HOME_OURS, /* godwit_position, godwit_chunk: a transaction whose first row is there is ours */
    GW_BINLOG_HOME_SIGNAL,
};

struct gw_binlog_table; /* binlog_table.c */

struct gw_binlog; /* a decoder: format description, tables, room for a row */
/* The schema is borrowed for life; `database` is copied. */
struct gw_binlog *gw_binlog_new(const struct gw_schema *schema, const char *database);
void gw_binlog_free(struct gw_binlog *decoder); /* NULL is fine */

/* Header and checksum; a FORMAT_DESCRIPTION is taken in at once. The event borrows the bytes. */
GW_MUST_CHECK bool gw_binlog_event(struct gw_binlog *, const void *bytes, size_t len, struct gw_binlog_event *,
                                   struct gw_error *);
bool gw_binlog_is_mariadb(const struct gw_binlog *); /* as the format description says */
/* The event's own contents; each is GW_ERR_CONFLICT for bytes that are none. */
GW_MUST_CHECK bool gw_binlog_rotate(const struct gw_binlog_event *, struct gw_binlog_place *out, struct gw_error *);
/* MariaDB's GTID event: its flags, and the XA transaction's name where they say there is one. */
GW_MUST_CHECK bool gw_binlog_maria_gtid(const struct gw_binlog_event *, uint8_t *flags, struct gw_binlog_xid *,
                                        struct gw_error *);
GW_MUST_CHECK bool gw_binlog_xa_prepare(const struct gw_binlog_event *, bool *one_phase, struct gw_binlog_xid *,
                                        struct gw_error *);
/* Compressed ones too; borrowed until the next call for this decoder. */
GW_MUST_CHECK bool gw_binlog_query(struct gw_binlog *, const struct gw_binlog_event *, struct gw_binlog_query *,
                                   struct gw_error *);

/* ---- tables and rows ---- */

/* The character sets of the planned columns that must be learned before rows are decoded, one after the other:
 * *question is an SQL text whose one value is the answer (borrowed until it is answered). False: no more. */
bool gw_binlog_ask_charset(struct gw_binlog *, const char **question);
GW_MUST_CHECK bool gw_binlog_answer_charset(struct gw_binlog *, const char *answer, size_t len, struct gw_error *);

/* Takes in a TABLE_MAP; *table is NULL where it is of no interest (another database, a table that is not planned). It
 * lives until the decoder is freed. */
GW_MUST_CHECK bool gw_binlog_table_map(struct gw_binlog *, const struct gw_binlog_event *, struct gw_binlog_table **,
                                       struct gw_error *);
const struct gw_collection *gw_binlog_table_collection(const struct gw_binlog_table *); /* NULL: a home table */
enum gw_binlog_home gw_binlog_table_home(const struct gw_binlog_table *);

enum gw_binlog_fit {
    GW_BINLOG_FITS,    /* column for column as planned */
    GW_BINLOG_UNKNOWN, /* more columns than planned, or others: only the catalog can tell which is which */
    GW_BINLOG_MAPPED,  /* all planned columns are there, by name, among others */
    GW_BINLOG_FOREIGN, /* its rows cannot be taken as planned */
};
enum gw_binlog_fit gw_binlog_table_fit(const struct gw_binlog_table *);
/* For UNKNOWN: what the source's catalog says the table is now (NULL: it is gone). Fills `difference` with words where
 * it is not as planned; then fit is MAPPED or FOREIGN, else FITS. */
void gw_binlog_table_settle(struct gw_binlog *, struct gw_binlog_table *, const struct gw_collection *now,
                            struct gw_buf *difference);

enum gw_binlog_rows {
    GW_BINLOG_NO_ROWS,
    GW_BINLOG_WRITE,
    GW_BINLOG_UPDATE,
    GW_BINLOG_DELETE,
};
enum gw_binlog_rows gw_binlog_rows_kind(uint8_t type); /* what a type of event is */
/* Begins a row event: *table NULL where it is of no interest. Rows then come by gw_binlog_row, out of the event's own
 * bytes, which must stay; none of a table whose fit is UNKNOWN or FOREIGN. */
GW_MUST_CHECK bool gw_binlog_rows(struct gw_binlog *, const struct gw_binlog_event *, struct gw_binlog_table **,
                                  struct gw_error *);
/* The next row of the event, in the plan's columns; *got false at its end. `old` and `row` as model/change.h says them
 * (an UPDATE's old has count 0 where the key is as it was). A home table's columns come as they are there. Values
 * borrow from the event and the decoder until the next call. */
GW_MUST_CHECK bool gw_binlog_row(struct gw_binlog *, struct gw_row *old, struct gw_row *row, bool *got,
                                 struct gw_error *);

#endif
