/* Which type is which kind, both ways. */
#include "store/postgres/codec.h"

#include "base/mem.h"
#include "io/json.h"
#include "sql_embedded.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_VARCHAR 10485760
#define MOST_PRECISION 1000
#define LEAST_DAY INT64_C(-2451545)
#define MOST_DAY INT64_C(2145031948)
#define LEAST_US INT64_C(-211813488000000000)
#define MOST_US INT64_C(9223371331199999999)

/* ---- built in ------------------------------------------------------------------------------------------------------- */

struct known {
    uint32_t oid, array;
    const char *name; /* as format_type has it, without modifiers */
    enum gw_pg_code code;
    enum gw_kind kind;
    uint8_t width;
    uint32_t bounds; /* ranges: their bounds' type */
};

static const struct known known_types[] = {
    {16, 1000, "boolean", GW_PG_CODE_BOOL, GW_KIND_BOOL, 0, 0},
    {17, 1001, "bytea", GW_PG_CODE_BYTEA, GW_KIND_BYTES, 0, 0},
    {18, 1002, "\"char\"", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {19, 1003, "name", GW_PG_CODE_TEXT, GW_KIND_TEXT, 0, 0},
    {20, 1016, "bigint", GW_PG_CODE_INT, GW_KIND_INT64, 8, 0},
    {21, 1005, "smallint", GW_PG_CODE_INT, GW_KIND_INT64, 2, 0},
    {23, 1007, "integer", GW_PG_CODE_INT, GW_KIND_INT64, 4, 0},
    {25, 1009, "text", GW_PG_CODE_TEXT, GW_KIND_TEXT, 0, 0},
    {26, 1028, "oid", GW_PG_CODE_OID, GW_KIND_UINT64, 4, 0},
    {27, 1010, "tid", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {28, 1011, "xid", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {29, 1012, "cid", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {114, 199, "json", GW_PG_CODE_JSON, GW_KIND_JSON, 0, 0},
    {142, 143, "xml", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {600, 1017, "point", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {601, 1018, "lseg", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {602, 1019, "path", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {603, 1020, "box", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {604, 1027, "polygon", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {628, 629, "line", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {650, 651, "cidr", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {700, 1021, "real", GW_PG_CODE_FLOAT4, GW_KIND_FLOAT32, 0, 0},
    {701, 1022, "double precision", GW_PG_CODE_FLOAT8, GW_KIND_FLOAT64, 0, 0},
    {718, 719, "circle", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {774, 775, "macaddr8", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {790, 791, "money", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {829, 1040, "macaddr", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {869, 1041, "inet", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {1042, 1014, "character", GW_PG_CODE_TEXT, GW_KIND_TEXT, 0, 0},
    {1043, 1015, "character varying", GW_PG_CODE_TEXT, GW_KIND_TEXT, 0, 0},
    {1082, 1182, "date", GW_PG_CODE_DATE, GW_KIND_DATE, 0, 0},
    {1083, 1183, "time without time zone", GW_PG_CODE_TIME, GW_KIND_TIME, 0, 0},
    {1114, 1115, "timestamp without time zone", GW_PG_CODE_TIMESTAMP, GW_KIND_TIMESTAMP, 0, 0},
    {1184, 1185, "timestamp with time zone", GW_PG_CODE_TIMESTAMP, GW_KIND_TIMESTAMPTZ, 0, 0},
    {1186, 1187, "interval", GW_PG_CODE_INTERVAL, GW_KIND_INTERVAL, 0, 0},
    {1266, 1270, "time with time zone", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {1560, 1561, "bit", GW_PG_CODE_BITS, GW_KIND_BITS, 0, 0},
    {1562, 1563, "bit varying", GW_PG_CODE_BITS, GW_KIND_BITS, 0, 0},
    {1700, 1231, "numeric", GW_PG_CODE_NUMERIC, GW_KIND_DECIMAL, 0, 0},
    {2950, 2951, "uuid", GW_PG_CODE_UUID, GW_KIND_UUID, 0, 0},
    {2970, 2949, "txid_snapshot", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {3220, 3221, "pg_lsn", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {3614, 3643, "tsvector", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {3615, 3645, "tsquery", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {3802, 3807, "jsonb", GW_PG_CODE_JSONB, GW_KIND_JSON, 0, 0},
    {3904, 3905, "int4range", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 23},
    {3906, 3907, "numrange", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 1700},
    {3908, 3909, "tsrange", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 1114},
    {3910, 3911, "tstzrange", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 1184},
    {3912, 3913, "daterange", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 1082},
    {3926, 3927, "int8range", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 20},
    {4072, 4073, "jsonpath", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {4451, 6150, "int4multirange", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 23},
    {4532, 6151, "nummultirange", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 1700},
    {4533, 6152, "tsmultirange", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 1114},
    {4534, 6153, "tstzmultirange", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 1184},
    {4535, 6155, "datemultirange", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 1082},
    {4536, 6157, "int8multirange", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 20},
    {5038, 5039, "pg_snapshot", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
    {5069, 271, "xid8", GW_PG_CODE_FOREIGN, GW_KIND_TEXT, 0, 0},
};
#define KNOWN_COUNT (sizeof known_types / sizeof *known_types)

static const struct known *find_known(uint32_t oid, bool *array)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (known_types[i].oid == oid || known_types[i].array == oid) {
            *array = known_types[i].oid != oid;
            return &known_types[i];
        }
    return NULL;
}

bool gw_pg_type_is_known(uint32_t oid)
{
    bool array;
    return find_known(oid, &array) != NULL;
}

/* ---- not built in --------------------------------------------------------------------------------------------------- */

struct described {
    uint32_t oid, inner;
    char category, delimiter; /* pg_type.typtype */
    bool built_in;
    char *name, *full_name, *inner_sql, *labels;
};
struct gw_pg_types {
    size_t count;
    struct described *items; /* by oid */
};

static char *text_at(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : gw_strdup(PQgetvalue(r, row, column));
}

bool gw_pg_types_load(struct gw_pg_store *store, PGconn *conn, const char *oids, struct gw_pg_types **out,
                      struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(store, conn, gw_sql_codec_types, 1, &oids, &r, err))
        return false;
    struct gw_pg_types *types = gw_zalloc(sizeof *types);
    types->count = (size_t)PQntuples(r);
    types->items = gw_calloc(types->count + 1, sizeof *types->items);
    for (size_t i = 0; i < types->count; i++) {
        int row = (int)i;
        types->items[i] = (struct described){.oid = (uint32_t)strtoul(PQgetvalue(r, row, 0), NULL, 10),
                                             .category = *PQgetvalue(r, row, 1),
                                             .name = text_at(r, row, 2),
                                             .full_name = text_at(r, row, 3),
                                             .inner = (uint32_t)strtoul(PQgetvalue(r, row, 4), NULL, 10),
                                             .inner_sql = text_at(r, row, 5),
                                             .delimiter = *PQgetvalue(r, row, 6),
                                             .labels = text_at(r, row, 7),
                                             .built_in = *PQgetvalue(r, row, 8) == 't'};
    }
    PQclear(r);
    *out = types;
    return true;
}

void gw_pg_types_free(struct gw_pg_types *types)
{
    if (!types)
        return;
    for (size_t i = 0; i < types->count; i++) {
        free(types->items[i].name);
        free(types->items[i].full_name);
        free(types->items[i].inner_sql);
        free(types->items[i].labels);
    }
    free(types->items);
    free(types);
}

static const struct described *find_described(const struct gw_pg_types *types, uint32_t oid)
{
    for (size_t i = 0; types && i < types->count; i++)
        if (types->items[i].oid == oid)
            return &types->items[i];
    return NULL;
}

/* ---- from a type of ours to a kind ---------------------------------------------------------------------------------- */

void gw_pg_coding_release(struct gw_pg_coding *coding)
{
    gw_type_release(&coding->type);
    if (coding->element)
        gw_pg_coding_release(coding->element);
    free(coding->element);
    *coding = (struct gw_pg_coding){0};
}

/* The numbers in "numeric(10,-2)[]"; how many there are. */
static int modifiers_of(const char *sql_type, int out[2])
{
    const char *open = sql_type ? strchr(sql_type, '(') : NULL;
    int count = 0;
    for (char *at; open && count < 2 && (*open == '(' || *open == ','); open = at) {
        long value = strtol(open + 1, &at, 10);
        if (at == open + 1)
            break;
        out[count++] = (int)value;
    }
    return count;
}

static void shape_numeric(struct gw_pg_coding *coding, int count, const int modifiers[2])
{
    struct gw_type *type = &coding->type;
    type->scale = -1;
    type->infinities = count == 0;
    if (count == 0)
        return;
    type->precision = (unsigned)modifiers[0];
    type->scale = count > 1 ? modifiers[1] : 0;
    if (type->scale < 0) { /* rounded before the point */
        coding->zeros = (unsigned)-type->scale;
        type->precision += coding->zeros;
        type->scale = 0;
    }
    if (type->scale > (int)type->precision) /* zeros behind the point come first */
        type->precision = (unsigned)type->scale;
}

static void shape_text(struct gw_pg_coding *coding, int count, const int modifiers[2])
{
    struct gw_type *type = &coding->type;
    type->no_nul = true;
    if (coding->type_id == 19)
        type->bytes = 63;
    type->pads = coding->type_id == 1042;
    type->fixed = type->pads && count > 0;
    type->length = count > 0 ? (uint64_t)modifiers[0] : 0;
}

static void shape_moment(struct gw_pg_coding *coding, int count, const int modifiers[2])
{
    struct gw_type *type = &coding->type;
    type->scale = type->kind == GW_KIND_DATE ? 0 : count > 0 ? modifiers[0] : 6;
    if (type->kind == GW_KIND_TIME) {
        type->most = GW_DAY_US;
        return;
    }
    if (type->kind == GW_KIND_INTERVAL)
        return;
    type->infinities = true;
    type->least = type->kind == GW_KIND_DATE ? LEAST_DAY : LEAST_US;
    type->most = type->kind == GW_KIND_DATE ? MOST_DAY : MOST_US;
}

static void shape(struct gw_pg_coding *coding, const char *sql_type)
{
    struct gw_type *type = &coding->type;
    int modifiers[2], count = modifiers_of(sql_type, modifiers);
    switch (coding->code) {
    case GW_PG_CODE_INT:
    case GW_PG_CODE_OID:
        type->bits = coding->width * 8u;
        break;
    case GW_PG_CODE_NUMERIC:
        shape_numeric(coding, count, modifiers);
        break;
    case GW_PG_CODE_FLOAT4:
    case GW_PG_CODE_FLOAT8:
        type->infinities = true;
        break;
    case GW_PG_CODE_TEXT:
        shape_text(coding, count, modifiers);
        break;
    case GW_PG_CODE_FOREIGN:
    case GW_PG_CODE_JSONB:
    case GW_PG_CODE_ENUM:
        type->no_nul = true;
        break;
    case GW_PG_CODE_BITS:
        type->fixed = coding->type_id == 1560;
        type->length = count > 0 ? (uint64_t)modifiers[0] : type->fixed;
        break;
    case GW_PG_CODE_DATE:
    case GW_PG_CODE_TIME:
    case GW_PG_CODE_TIMESTAMP:
    case GW_PG_CODE_INTERVAL:
        shape_moment(coding, count, modifiers);
        break;
    default:
        break;
    }
}

static void make_known(struct gw_pg_coding *out, const struct known *known, const char *sql_type)
{
    out->code = known->code;
    out->width = known->width;
    out->type_id = known->oid;
    out->type.kind = known->kind;
    out->reads_binary = out->writes_binary = known->code != GW_PG_CODE_FOREIGN;
    if (known->code == GW_PG_CODE_FOREIGN) {
        out->type.foreign = gw_strdup(known->name);
        out->reads_binary = known->bounds || gw_pg_foreign_is_readable(known->oid);
    }
    if (known->bounds) {
        out->multirange = strstr(known->name, "multirange") != NULL;
        out->range = !out->multirange;
        out->element = gw_zalloc(sizeof *out->element);
        gw_pg_coding_make(out->element, NULL, known->bounds, NULL);
    }
    shape(out, sql_type);
}

static void make_array(struct gw_pg_coding *out, const struct gw_pg_types *types, uint32_t array, uint32_t element,
                       char delimiter, const char *sql_type)
{
    out->code = GW_PG_CODE_ARRAY;
    out->type_id = array;
    out->delimiter = delimiter;
    out->type.kind = GW_KIND_ARRAY;
    out->element = gw_zalloc(sizeof *out->element);
    gw_pg_coding_make(out->element, types, element, sql_type);
    out->reads_binary = out->element->reads_binary;
    out->writes_binary = out->element->writes_binary;
    out->type.element = gw_zalloc(sizeof *out->type.element);
    gw_type_copy(out->type.element, &out->element->type);
}

static void take_labels(const char *json, struct gw_type *type)
{
    struct gw_error ignored;
    gw_autojson json_t *labels = NULL;
    if (!json || !gw_json_parse(json, strlen(json), "labels", &labels, &ignored))
        return;
    type->label_count = json_array_size(labels);
    type->labels = gw_calloc(type->label_count + 1, sizeof *type->labels);
    for (size_t i = 0; i < type->label_count; i++)
        type->labels[i] = gw_strdup(json_string_value(json_array_get(labels, i)));
}

static void make_foreign(struct gw_pg_coding *out, const struct described *described)
{
    out->code = GW_PG_CODE_FOREIGN;
    out->type.kind = GW_KIND_TEXT;
    if (!described->built_in && strcmp(described->name, "citext") == 0) {
        out->code = GW_PG_CODE_TEXT;
        out->type.ignores_case = true;
    } else if (!described->built_in && strcmp(described->name, "geometry") == 0) {
        out->code = GW_PG_CODE_GEOMETRY;
        out->type.kind = GW_KIND_GEOMETRY;
    } else {
        out->type.foreign = gw_strdup(described->full_name);
    }
    out->type.no_nul = out->type.kind == GW_KIND_TEXT;
}

static void make_described(struct gw_pg_coding *out, const struct gw_pg_types *types, const struct described *described)
{
    out->type_id = described->oid;
    switch (described->category) {
    case 'd':
        gw_pg_coding_make(out, types, described->inner, described->inner_sql);
        return;
    case 'e':
        out->code = GW_PG_CODE_ENUM;
        out->type.kind = GW_KIND_ENUM;
        out->reads_binary = out->writes_binary = true;
        take_labels(described->labels, &out->type);
        return;
    case 'r':
    case 'm':
        make_foreign(out, described);
        out->range = described->category == 'r';
        out->multirange = !out->range;
        out->element = gw_zalloc(sizeof *out->element);
        gw_pg_coding_make(out->element, types, described->inner, NULL);
        out->reads_binary = out->element->reads_binary && out->element->code != GW_PG_CODE_INTERVAL;
        return;
    default:
        break;
    }
    if (described->inner)
        make_array(out, types, described->oid, described->inner, described->delimiter, NULL);
    else
        make_foreign(out, described);
}

void gw_pg_coding_make(struct gw_pg_coding *out, const struct gw_pg_types *types, uint32_t oid, const char *sql_type)
{
    bool array;
    *out = (struct gw_pg_coding){.type_id = oid, .delimiter = ','};
    const struct known *known = find_known(oid, &array);
    if (known && array)
        make_array(out, types, oid, known->oid, known->oid == 603 ? ';' : ',', sql_type);
    else if (known)
        make_known(out, known, sql_type);
    const struct described *described = known ? NULL : find_described(types, oid);
    if (described) {
        make_described(out, types, described);
    } else if (!known) {
        out->code = GW_PG_CODE_FOREIGN;
        out->type.kind = GW_KIND_TEXT;
        out->type.foreign = sql_type ? gw_strdup(sql_type) : gw_asprintf("type %" PRIu32, oid);
    }
}

/* ---- from a kind to a type of ours ---------------------------------------------------------------------------------- */

/* A type whose text only this engine reads: built in, or named with its schema. */
static bool is_own_foreign(const char *name)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (known_types[i].code == GW_PG_CODE_FOREIGN && strcmp(known_types[i].name, name) == 0)
            return true;
    return strchr(name, '.') != NULL || strncmp(name, "reg", 3) == 0;
}

static void text_for(const struct gw_type *wanted, struct gw_buf *sql)
{
    if (wanted->foreign && is_own_foreign(wanted->foreign))
        gw_buf_adds(sql, wanted->foreign);
    else if (wanted->length == 0 || wanted->length > LONGEST_VARCHAR)
        gw_buf_adds(sql, wanted->pads && !wanted->fixed && wanted->bytes == 0 ? "bpchar" : "text");
    else
        gw_buf_addf(sql, "%s(%" PRIu64 ")", wanted->fixed ? "character" : "character varying", wanted->length);
}

static void unsigned_for(const struct gw_type *wanted, struct gw_buf *sql)
{
    unsigned bits = wanted->bits ? wanted->bits : 64;
    if (bits > 32)
        gw_buf_adds(sql, "numeric(20,0)");
    else
        gw_buf_adds(sql, bits <= 8 ? "smallint" : bits <= 24 ? "integer" : "bigint");
}

static void decimal_for(const struct gw_type *wanted, struct gw_buf *sql)
{
    gw_buf_adds(sql, "numeric");
    if (wanted->precision && wanted->precision <= MOST_PRECISION && wanted->scale >= 0 &&
        wanted->scale <= (int)wanted->precision)
        gw_buf_addf(sql, "(%u,%d)", wanted->precision, wanted->scale);
}

static void moment_for(const struct gw_type *wanted, const char *name, const char *zone, struct gw_buf *sql)
{
    gw_buf_adds(sql, name);
    if (wanted->scale >= 0 && wanted->scale < 6)
        gw_buf_addf(sql, "(%d)", wanted->scale);
    gw_buf_adds(sql, zone);
}

static void bits_for(const struct gw_type *wanted, struct gw_buf *sql)
{
    if (wanted->fixed && wanted->length)
        gw_buf_addf(sql, "bit(%" PRIu64 ")", wanted->length);
    else if (wanted->length)
        gw_buf_addf(sql, "bit varying(%" PRIu64 ")", wanted->length);
    else
        gw_buf_adds(sql, "bit varying");
}

static void name_for(const struct gw_type *wanted, struct gw_buf *sql)
{
    switch (wanted->kind) {
    case GW_KIND_BOOL:
        gw_buf_adds(sql, "boolean");
        break;
    case GW_KIND_INT64:
        gw_buf_adds(sql, wanted->bits == 0 || wanted->bits > 32 ? "bigint"
                         : wanted->bits > 16                    ? "integer"
                                                                : "smallint");
        break;
    case GW_KIND_UINT64:
        unsigned_for(wanted, sql);
        break;
    case GW_KIND_DECIMAL:
        decimal_for(wanted, sql);
        break;
    case GW_KIND_FLOAT32:
        gw_buf_adds(sql, "real");
        break;
    case GW_KIND_FLOAT64:
        gw_buf_adds(sql, "double precision");
        break;
    case GW_KIND_BYTES:
    case GW_KIND_GEOMETRY:
        gw_buf_adds(sql, "bytea");
        break;
    case GW_KIND_DATE:
        gw_buf_adds(sql, "date");
        break;
    case GW_KIND_TIME:
        moment_for(wanted, "time", " without time zone", sql);
        break;
    case GW_KIND_TIMESTAMP:
        moment_for(wanted, "timestamp", " without time zone", sql);
        break;
    case GW_KIND_TIMESTAMPTZ:
        moment_for(wanted, "timestamp", " with time zone", sql);
        break;
    case GW_KIND_INTERVAL:
        moment_for(wanted, "interval", "", sql);
        break;
    case GW_KIND_UUID:
        gw_buf_adds(sql, "uuid");
        break;
    case GW_KIND_JSON: /* json keeps every text as it is; jsonb is for what may not hold NUL: its own, and documents */
        gw_buf_adds(sql, wanted->no_nul ? "jsonb" : "json");
        break;
    case GW_KIND_BITS:
        bits_for(wanted, sql);
        break;
    case GW_KIND_TEXT:
        text_for(wanted, sql);
        break;
    default:
        gw_buf_adds(sql, "text");
    }
}

static const struct known *named(const char *sql_type)
{
    const char *open = strpbrk(sql_type, "([");
    const struct known *best = NULL;
    size_t best_len = 0, len = open ? (size_t)(open - sql_type) : strlen(sql_type);
    const char *zone = strstr(sql_type, " with");
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        const char *name = known_types[i].name, *name_zone = strstr(name, " with");
        bool before_zone = open && *open == '(' && zone && name_zone; /* "timestamp(3) with time zone" */
        if (before_zone && strncmp(zone, name_zone, strlen(name_zone)) != 0)
            continue;
        if (strncmp(name, sql_type, len) == 0 && (name[len] == 0 || (before_zone && name + len == name_zone)) &&
            len >= best_len) {
            best = &known_types[i];
            best_len = len;
        }
    }
    return best;
}

void gw_pg_coding_of_sql(struct gw_pg_coding *coding, const char *sql_type)
{
    const struct known *known = named(sql_type);
    bool array = strchr(sql_type, '[') != NULL;
    if (strncmp(sql_type, "bpchar", 6) == 0)
        gw_pg_coding_make(coding, NULL, array ? 1014 : 1042, "bpchar");
    else
        gw_pg_coding_make(coding, NULL, !known ? 0 : array ? known->array : known->oid, sql_type);
}

static void got_for(const char *sql_type, struct gw_type *got)
{
    struct gw_pg_coding coding;
    gw_pg_coding_of_sql(&coding, sql_type);
    *got = coding.type;
    coding.type = (struct gw_type){0};
    gw_pg_coding_release(&coding);
}

/* Labels stay with the text that an enum or set becomes: build makes a check of them. */
static void keep_labels(const struct gw_type *wanted, struct gw_type *got)
{
    if (wanted->label_count == 0 || wanted->kind != GW_KIND_ENUM || got->kind != GW_KIND_TEXT)
        return;
    got->labels = gw_calloc(wanted->label_count, sizeof *got->labels);
    got->label_count = wanted->label_count;
    for (size_t i = 0; i < wanted->label_count; i++)
        got->labels[i] = gw_strdup(wanted->labels[i]);
    got->is_set = wanted->is_set;
}

bool gw_pg_type_for(const struct gw_type *wanted, struct gw_buf *sql_type, struct gw_type *got, struct gw_error *err)
{
    gw_autobuf struct gw_buf name = {0};
    if (wanted->kind == GW_KIND_UNCHANGED || wanted->kind == GW_KIND_ABSENT)
        return gw_fail(err, GW_ERR_BUG, "a type of kind %s", gw_kind_name(wanted->kind));
    if (wanted->kind == GW_KIND_ARRAY && wanted->element && wanted->element->kind != GW_KIND_ARRAY) {
        struct gw_type element;
        if (!gw_pg_type_for(wanted->element, &name, &element, err))
            return false;
        *got = (struct gw_type){.kind = GW_KIND_ARRAY, .element = gw_memdup(&element, sizeof element)};
        gw_buf_addf(sql_type, "%s[]", gw_buf_text(&name));
        return true;
    }
    name_for(wanted, &name);
    got_for(gw_buf_text(&name), got);
    keep_labels(wanted, got);
    gw_buf_add(sql_type, name.data, name.len);
    return true;
}
