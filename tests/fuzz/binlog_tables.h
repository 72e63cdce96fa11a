/* The tables whose events corpus/binlog holds. */
#ifndef GW_TEST_BINLOG_TABLES_H
#define GW_TEST_BINLOG_TABLES_H

#include "model/schema.h"

static uint32_t recorded_key[1];
static struct gw_column recorded_columns_1[] = {
    {.name = "id", .type = "int(11)", .key_position = 1},
    {.name = "a", .type = "tinyint(4)"},
    {.name = "b", .type = "tinyint(3) unsigned"},
    {.name = "c", .type = "smallint(6)"},
    {.name = "d", .type = "mediumint(8) unsigned"},
    {.name = "e", .type = "bigint(20)"},
    {.name = "f", .type = "float"},
    {.name = "g", .type = "double"},
    {.name = "h", .type = "decimal(65,30)"},
    {.name = "i", .type = "decimal(10,2)"},
    {.name = "j", .type = "year(4)"},
    {.name = "k", .type = "bit(10)"},
    {.name = "l", .type = "date"},
    {.name = "m", .type = "time(3)"},
    {.name = "n", .type = "datetime(6)"},
    {.name = "o", .type = "timestamp(5)"},
    {.name = "p", .type = "int(11)", .generated = true},
};
static struct gw_column recorded_columns_2[] = {
    {.name = "id", .type = "int(11)", .key_position = 1},
    {.name = "a", .type = "char(10) character set utf8mb4 collate utf8mb4_general_ci"},
    {.name = "b", .type = "varchar(300) character set utf8mb4 collate utf8mb4_general_ci"},
    {.name = "c", .type = "text character set latin1 collate latin1_swedish_ci"},
    {.name = "d", .type = "binary(8)"},
    {.name = "e", .type = "varbinary(20)"},
    {.name = "f", .type = "blob"},
    {.name = "g", .type = "enum('x','y','z')"},
    {.name = "h", .type = "set('a','b','c')"},
    {.name = "i", .type = "uuid"},
    {.name = "j", .type = "inet6"},
    {.name = "k", .type = "geometry"},
    {.name = "l", .type = "varchar(100) character set utf8mb4 collate utf8mb4_general_ci"},
    {.name = "m", .type = "varchar(10) character set ucs2 collate ucs2_general_ci"},
};
static struct gw_column recorded_columns_3[] = {{.name = "id", .type = "int"}, {.name = "j", .type = "json"}};
static struct gw_collection recorded_collections[] = {
    {.id = 0,
     .space = "",
     .name = "t1",
     .column_count = 17,
     .columns = recorded_columns_1,
     .key_count = 1,
     .key = recorded_key},
    {.id = 1,
     .space = "",
     .name = "t2",
     .column_count = 14,
     .columns = recorded_columns_2,
     .key_count = 1,
     .key = recorded_key},
    {.id = 2, .space = "", .name = "t3", .column_count = 2, .columns = recorded_columns_3, .key_kind = GW_KEY_NONE},
};
static const struct gw_schema recorded_schema = {.count = 3, .collections = recorded_collections};

#endif
