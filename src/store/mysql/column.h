/*
 * The form of a column: what its values look like as the server keeps them, and as they flow. Made from gw_column.type,
 * so that it can be had again from the journal. Reader, codec and binlog decoder agree on it.
 *
 * gw_column.type is information_schema's COLUMN_TYPE, then " character set C collate D" where there is one, then " json"
 * where MariaDB's check says json_valid(): "bigint(20) unsigned", "enum('a','b') character set latin1 collate
 * latin1_bin", "longtext character set utf8mb4 collate utf8mb4_bin json".
 *
 * Native values (gw_value):
 *   integers, YEAR      TEXT  decimal digits, no leading zeros also where the column is ZEROFILL; year 0 is "0000"
 *   DECIMAL             TEXT  "-12.50" with all `scale` digits, at least one digit before the point, no leading zeros
 *   FLOAT               TEXT  the fewest digits that give the same float ("%.Ng" for N = 6..9; more where the server would
 *                             find the number too large): gw_mysql_float_text
 *   DOUBLE              TEXT  the fewest digits that give the same double (N = 15..17): gw_mysql_double_text. The reader
 *                             has the server's own notation of them ("1e20" for "1e+20")
 *   DATE                TEXT  "2024-02-29", "0000-00-00"
 *   TIME(n)             TEXT  "-838:59:59.000000": sign, two or three digits of hours, n digits of the fraction
 *   DATETIME(n)         TEXT  "2024-02-29 12:30:00.123"
 *   TIMESTAMP(n)        TEXT  the same, in UTC; "0000-00-00 00:00:00" where it is 0
 *   CHAR, VARCHAR, TEXT TEXT  UTF-8; CHAR without its padding
 *   ENUM                TEXT  the label; "" for the error value 0
 *   SET                 TEXT  labels with commas
 *   JSON                TEXT  as the server prints it (MySQL), as it was written (MariaDB)
 *   UUID, INET4, INET6  TEXT  as the server prints it
 *   BINARY, VARBINARY   BINARY  bytes; BINARY(n) has all n
 *   BLOB                BINARY  bytes
 *   BIT(n)              BINARY  (n+7)/8 bytes, big-endian
 *   geometry            BINARY  SRID as 4 bytes little-endian, then WKB
 */
#ifndef GW_STORE_MYSQL_COLUMN_H
#define GW_STORE_MYSQL_COLUMN_H

#include "base/buf.h"
#include "model/schema.h"
#include "model/value.h"

#define GW_MYSQL_KEY_BYTES 3072 /* of an index of InnoDB, all its parts together */

enum gw_mysql_kind {
    GW_MYSQL_OTHER, /* not known: text as the server prints it */
    GW_MYSQL_TINYINT,
    GW_MYSQL_SMALLINT,
    GW_MYSQL_MEDIUMINT,
    GW_MYSQL_INT,
    GW_MYSQL_BIGINT,
    GW_MYSQL_DECIMAL,
    GW_MYSQL_FLOAT,
    GW_MYSQL_DOUBLE,
    GW_MYSQL_BIT,
    GW_MYSQL_YEAR,
    GW_MYSQL_DATE,
    GW_MYSQL_TIME,
    GW_MYSQL_DATETIME,
    GW_MYSQL_TIMESTAMP,
    GW_MYSQL_CHAR,
    GW_MYSQL_VARCHAR,
    GW_MYSQL_TEXT, /* TINYTEXT to LONGTEXT */
    GW_MYSQL_BINARY,
    GW_MYSQL_VARBINARY,
    GW_MYSQL_BLOB, /* TINYBLOB to LONGBLOB */
    GW_MYSQL_ENUM,
    GW_MYSQL_SET,
    GW_MYSQL_JSON, /* MySQL's own type */
    GW_MYSQL_GEOMETRY,
    GW_MYSQL_UUID,
    GW_MYSQL_INET4,
    GW_MYSQL_INET6,
};

struct gw_mysql_form {
    enum gw_mysql_kind kind;
    enum gw_value_kind value_kind; /* TEXT or BINARY */
    bool is_unsigned, zerofill;
    bool is_json;       /* MariaDB's JSON: a LONGTEXT with its check */
    unsigned precision; /* DECIMAL; FLOAT(m,d), DOUBLE(m,d); display width of integers */
    unsigned scale;     /* DECIMAL; fraction digits of TIME, DATETIME, TIMESTAMP */
    bool fixed_point;   /* FLOAT(m,d), DOUBLE(m,d) */
    uint64_t length;    /* CHAR, VARCHAR: characters; BINARY, VARBINARY: bytes; BIT: bits; TEXT, BLOB: most bytes */
    char charset[40];   /* "" where there is none; "utf8" is given as "utf8mb3" */
    char collation[64];
    char base[32]; /* "bigint", "point" */
    size_t label_count;
    char **labels; /* owned; ENUM (the first is number 1), SET (the first is bit 0) */
};

void gw_mysql_form_parse(const char *type, struct gw_mysql_form *out);
void gw_mysql_form_release(struct gw_mysql_form *form);
/* Owned array, one for each column of the collection; gw_mysql_forms_free. */
struct gw_mysql_form *gw_mysql_forms_of(const struct gw_collection *collection);
void gw_mysql_forms_free(struct gw_mysql_form *forms, size_t count);
bool gw_mysql_is_integer(const struct gw_mysql_form *form); /* TINYINT to BIGINT */
bool gw_mysql_is_number(const struct gw_mysql_form *form);  /* and DECIMAL, FLOAT, DOUBLE, YEAR */

/* The fewest digits that give this number again; "1e20" is written so, and 0.1 as "0.1". Returns the length. */
size_t gw_mysql_float_text(float value, char out[32]);
size_t gw_mysql_double_text(double value, char out[32]);

#endif
