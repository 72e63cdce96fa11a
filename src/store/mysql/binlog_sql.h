/*
 * What a statement in the log is about, without a grammar: its first words, and which names occur in it. Comments, quotes
 * and version comments (what stands in them is part of the statement) are understood.
 */
#ifndef GW_STORE_MYSQL_BINLOG_SQL_H
#define GW_STORE_MYSQL_BINLOG_SQL_H

#include "store/mysql/binlog.h"

enum gw_binlog_verb {
    GW_BINLOG_VERB_OTHER, /* nothing to do with rows or tables: GRANT, ANALYZE, FLUSH, ... */
    GW_BINLOG_VERB_BEGIN,
    GW_BINLOG_VERB_COMMIT,
    GW_BINLOG_VERB_ROLLBACK,
    GW_BINLOG_VERB_SAVEPOINT,
    GW_BINLOG_VERB_ROLLBACK_TO,
    GW_BINLOG_VERB_XA_START, /* and XA END */
    GW_BINLOG_VERB_XA_COMMIT,
    GW_BINLOG_VERB_XA_ROLLBACK,
    GW_BINLOG_VERB_TRUNCATE,
    GW_BINLOG_VERB_REPLACED, /* DROP, RENAME, CREATE OR REPLACE of tables; partitions emptied or exchanged: rows come and
                                go without a trace in the log */
    GW_BINLOG_VERB_DEFINE,   /* other definitions: CREATE, ALTER, DROP */
    GW_BINLOG_VERB_WRITE,    /* rows written by a statement */
    GW_BINLOG_VERB_CLEAR,    /* DELETE FROM table, and nothing more: how a restarted server empties MEMORY tables */
};

struct gw_binlog_statement {
    enum gw_binlog_verb verb;
    char database[256], table[256]; /* TRUNCATE, CLEAR: the table; database "" where it says none */
    char savepoint[256];
    bool whole_database; /* DROP DATABASE */
    bool opens;          /* CREATE TABLE ... START TRANSACTION: rows and a COMMIT follow */
    struct gw_binlog_xid xid;
};

void gw_binlog_statement_parse(const struct gw_binlog_query *query, struct gw_binlog_statement *out);
/* Does this name occur in it, as a word or quoted, in whatever case? */
bool gw_binlog_mentions(const struct gw_binlog_query *query, const char *name);

#endif
