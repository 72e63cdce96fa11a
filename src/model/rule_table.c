#include "model/rule_table.h"

/* A table: kept as it is. */
/* clang-format off */
#define VALUE_KEYS(group)                                                                                              \
    {.path = group "constant", .type = GW_RULE_CONSTANT, .example = "legacy",                                          \
     .help = "Every row gets this value"},                                                                             \
    {.path = group "trim", .type = GW_RULE_SWITCH, .example = "true",                                                  \
     .help = "Takes spaces, tabs and line breaks off both ends"},                                                      \
    {.path = group "lower", .type = GW_RULE_SWITCH, .example = "true",                                                 \
     .help = "Small letters, character by character as Unicode's simple mapping has them"},                            \
    {.path = group "upper", .type = GW_RULE_SWITCH, .example = "true",                                                 \
     .help = "Capital letters, character by character as Unicode's simple mapping has them"},                          \
    {.path = group "lookup", .type = GW_RULE_LOOKUP, .example = "{ DE: Germany, FR: France }",                         \
     .help = "Replaces each value by another; NULL stays unless null is among the keys"},                              \
    {.path = group "otherwise", .type = GW_RULE_CHOICE, .choices = {"fail", "null", "keep"}, .example = "keep",        \
     .help = "What becomes of a value that the lookup does not know; default: fail"},                                  \
    {.path = group "otherwise_value", .type = GW_RULE_CONSTANT, .example = "Other",                                    \
     .help = "What a value becomes that the lookup does not know"},                                                    \
    {.path = group "mask", .type = GW_RULE_CHOICE, .choices = {"all", "last4", "first1", "email"}, .example = "last4", \
     .help = "Replaces characters by *: all, all but the last 4, all but the first, or a mailbox's name but its first"},\
    {.path = group "hash", .type = GW_RULE_SECRET, .example = "\"${HASH_KEY}\"",                                       \
     .help = "Replaces the value by its HMAC-SHA-256 with this key, as 64 hexadecimal digits or 32 bytes"},            \
    {.path = group "lua", .type = GW_RULE_LUA, .example = "return value:sub(1, 3)",                                    \
     .help = "Lua 5.4 that returns the value, from `value` and `row`"},                                                \
    {.path = group "type", .type = GW_RULE_DATA_TYPE, .example = "decimal(10,2)",                                      \
     .help = "What the column holds on green, in words of no engine; values are converted"},                           \
    {.path = group "zone", .type = GW_RULE_TEXT, .example = "Europe/Berlin",                                           \
     .help = "Time zone by which timestamps without a zone become such with one, and back"},                           \
    {.path = group "on_loss", .type = GW_RULE_CHOICE, .choices = {"fail", "round", "truncate", "null", "quarantine"},  \
     .example = "round", .help = "What becomes of a value that does not fit; default: fail"}

const struct gw_rule_key gw_rule_keys[] = {
    {.path = "rename", .type = GW_RULE_NAME, .example = "people",
     .help = "Name of the collection on green; schema.table moves it to another schema, too"},
    {.path = "where.column", .type = GW_RULE_NAME, .example = "state",
     .help = "Column of blue that decides which rows move; with in or not_in"},
    {.path = "where.in", .type = GW_RULE_CONSTANTS, .example = "[active, new]", .help = "Rows with these values move"},
    {.path = "where.not_in", .type = GW_RULE_CONSTANTS, .example = "[deleted]",
     .help = "All rows but those with these values move; NULL moves unless null is among them"},
    {.path = "where.lua", .type = GW_RULE_LUA, .example = "return row.state ~= 'deleted'",
     .help = "Lua 5.4 that returns true for rows that move"},
    {.path = "columns.*.rename", .type = GW_RULE_NAME, .example = "title", .help = "Name of the column on green"},
    {.path = "columns.*.drop", .type = GW_RULE_SWITCH, .example = "true",
     .help = "The column does not move; on the way back an update leaves it as it is on blue"},
    VALUE_KEYS("columns.*."),
    {.path = "columns.*.generated", .type = GW_RULE_TEXT, .example = "\"lower(name)\"",
     .help = "What green computes the column by, in its own SQL; for a column that blue computes"},
    {.path = "columns.*.split.separator", .type = GW_RULE_TEXT, .example = "\" \"",
     .help = "Text at which the value is cut; the last part keeps what is left"},
    {.path = "columns.*.split.into", .type = GW_RULE_NAMES, .example = "[first_name, last_name]",
     .help = "Columns of green that the parts go into, in place of this one; on the way back they are joined"},
    {.path = "columns.*.back.constant", .type = GW_RULE_CONSTANT, .shorthand = true, .example = "\"000\"",
     .help = "On the way back a new row gets this value; an update leaves the column as it is on blue"},
    {.path = "columns.*.back.column", .type = GW_RULE_NAME, .example = "email",
     .help = "On the way back the column is filled from this column of green"},
    {.path = "columns.*.back.lua", .type = GW_RULE_LUA, .example = "return row.first_name .. ' ' .. row.last_name",
     .help = "On the way back the column is filled by this Lua 5.4, from `value` and `row` of green"},
    {.path = "columns.*.back.as_is", .type = GW_RULE_SWITCH, .example = "true",
     .help = "On the way back the value is taken as it is on green"},
    {.path = "columns.*.back.keep", .type = GW_RULE_SWITCH, .example = "true",
     .help = "On the way back an update leaves the column as it is on blue, and a new row gets blue's default"},
    {.path = "add.*.column", .type = GW_RULE_NAME, .example = "first_name",
     .help = "Column of blue whose value the new column of green begins with"},
    {.path = "add.*.concat", .type = GW_RULE_TEXT, .example = "\"{first_name} {last_name}\"",
     .help = "Text with columns of blue in braces ({{ is a brace); NULL counts as nothing"},
    VALUE_KEYS("add.*."),
};
/* clang-format on */

const size_t gw_rule_key_count = sizeof gw_rule_keys / sizeof gw_rule_keys[0];
