/* SQL that makes the target's rows what they are to be: see repair.h. */
#include "verify/repair.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"
#include "verify/cause.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BATCH 100
#define NOTED_MAX 100000
#define LEFT_SHOWN 20
#define WAIT_MS 10000

enum { SOURCE, TARGET };

struct noted { /* a row that differs: key in key order, in green's form where there is a map */
    uint32_t collection;
    size_t count;
    struct gw_datum *key;
};

struct statement {
    uint32_t collection;
    char *key;        /* for people */
    char *sql, *undo; /* without their ends */
    bool tried, applied;
    char *why; /* not applied */
};

struct left {
    uint32_t collection;
    char *key, *why;
};

struct gw_repair {
    struct gw_repair_options options;
    pthread_mutex_t lock; /* noted, arena */
    struct gw_arena arena;
    size_t noted_count, statement_count, left_count;
    struct noted *noted;
    struct statement *statements;
    struct left *left;
    bool more; /* than were noted */
};

/* What one collection is read with. */
struct table {
    const struct gw_collection *of[2];
    struct gw_reader *readers[2];
    struct gw_codec *codecs[2];
    struct gw_map_run *forward, *back; /* rows to the target; keys the other way */
    struct gw_arena arena;             /* of the row at hand */
};

bool gw_repair_open(const struct gw_repair_options *options, struct gw_repair **out, struct gw_error *err)
{
    const struct gw_query_facet *query = options->target->type->query;
    if (!query || !query->write_ours || !options->target->type->codec || !options->target->type->codec->write_sql) {
        gw_fail(err, GW_ERR_UNSUPPORTED, "rows on %s cannot be repaired by SQL yet", options->target->identity.product);
        return gw_error_hint(err,
                             "mend them on the owner (an UPDATE that sets a column to itself is followed), or godwit "
                             "abort and begin again");
    }
    *out = gw_zalloc(sizeof **out);
    (*out)->options = *options;
    pthread_mutex_init(&(*out)->lock, NULL);
    return true;
}

void gw_repair_close(struct gw_repair *repair)
{
    if (!repair)
        return;
    for (size_t i = 0; i < repair->statement_count; i++) {
        free(repair->statements[i].key);
        free(repair->statements[i].sql);
        free(repair->statements[i].undo);
        free(repair->statements[i].why);
    }
    for (size_t i = 0; i < repair->left_count; i++) {
        free(repair->left[i].key);
        free(repair->left[i].why);
    }
    free(repair->statements);
    free(repair->left);
    free(repair->noted);
    gw_arena_release(&repair->arena);
    pthread_mutex_destroy(&repair->lock);
    free(repair);
}

void gw_repair_note(void *arg, uint32_t collection, const struct gw_datum *key, size_t count)
{
    struct gw_repair *repair = arg;
    pthread_mutex_lock(&repair->lock);
    repair->more = repair->more || repair->noted_count == NOTED_MAX;
    if (!repair->more) {
        repair->noted = gw_realloc(repair->noted, (repair->noted_count + 1) * sizeof *repair->noted);
        struct noted *noted = &repair->noted[repair->noted_count++];
        *noted = (struct noted){collection, count, gw_arena_zalloc(&repair->arena, (count + 1) * sizeof *noted->key)};
        for (size_t i = 0; i < count; i++)
            noted->key[i] = gw_datum_copy(&repair->arena, &key[i]);
    }
    pthread_mutex_unlock(&repair->lock);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void close_table(struct gw_repair *repair, struct table *table)
{
    struct gw_store *const stores[] = {repair->options.source, repair->options.target};
    for (int side = SOURCE; side <= TARGET; side++) {
        stores[side]->type->reader->close(table->readers[side]);
        stores[side]->type->codec->close(table->codecs[side]);
    }
    gw_map_run_close(table->forward);
    gw_map_run_close(table->back);
    gw_arena_release(&table->arena);
}

static bool open_table(struct gw_repair *repair, uint32_t collection, struct table *table, struct gw_error *err)
{
    struct gw_store *const stores[] = {repair->options.source, repair->options.target};
    const struct gw_map *map = repair->options.map;
    bool to_blue = repair->options.target->side == GW_BLUE;
    for (int side = SOURCE; side <= TARGET; side++) {
        table->of[side] = &repair->options.schemas[side]->collections[collection];
        if (!stores[side]->type->reader->open(stores[side], &table->readers[side], err) ||
            !stores[side]->type->codec->open(stores[side], table->of[side], &table->codecs[side], err))
            return false;
    }
    return !map ||
           (gw_map_run_open(map, to_blue, &table->forward, err) && gw_map_run_open(map, true, &table->back, err));
}

/* The key as a side's reader takes it. */
static bool native_key(struct gw_repair *repair, struct table *table, int side, const struct noted *noted,
                       struct gw_row *out, struct gw_error *err)
{
    struct gw_store *store = side == SOURCE ? repair->options.source : repair->options.target;
    const struct gw_collection *own = table->of[side];
    const struct gw_collection *shape = table->of[repair->options.map && store->side == GW_BLUE ? 1 - side : side];
    struct gw_datum *row = gw_arena_zalloc(&table->arena, shape->column_count * sizeof *row), *data = row;
    struct gw_row encoded;
    for (size_t i = 0; i < shape->column_count; i++)
        row[i].kind = GW_KIND_ABSENT;
    for (size_t i = 0; i < shape->key_count && i < noted->count; i++)
        row[shape->key[i]] = noted->key[i];
    if (repair->options.map && store->side == GW_BLUE) {
        data = gw_arena_zalloc(&table->arena, own->column_count * sizeof *data);
        if (!gw_map_key(table->back, own->id, row, data, err))
            return false;
    }
    if (!store->type->codec->encode(table->codecs[side], data, &table->arena, &encoded, err))
        return false;
    *out = (struct gw_row){.count = (uint32_t)own->key_count,
                           .values = gw_arena_zalloc(&table->arena, (own->key_count + 1) * sizeof *out->values)};
    for (size_t i = 0; i < own->key_count; i++)
        out->values[i] = encoded.values[own->key[i]];
    return true;
}

/* NULL in *row: it is not there. The copy lives in the arena. */
static bool fetch(struct gw_repair *repair, struct table *table, int side, const struct noted *noted,
                  struct gw_row *row, bool *found, struct gw_error *err)
{
    struct gw_store *store = side == SOURCE ? repair->options.source : repair->options.target;
    struct gw_mark mark = {0};
    struct gw_row key, got = {0};
    if (!native_key(repair, table, side, noted, &key, err) ||
        !store->type->reader->refetch(table->readers[side], table->of[side], &key, &mark, found, &got, err))
        return false;
    gw_mark_release(&mark);
    *row = *found ? gw_row_copy(&table->arena, &got) : (struct gw_row){0};
    return true;
}

static bool same_row(const struct gw_row *a, const struct gw_row *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++)
        same = gw_value_equal(&a->values[i], &b->values[i]);
    return same;
}

static bool catch_up(struct gw_repair *repair, bool *reached, struct gw_error *err)
{
    const struct gw_verify_options *verify = repair->options.verify;
    struct gw_position at;
    *reached = true;
    return !verify->wait_applied || (repair->options.source->type->changes->horizon(repair->options.source, &at, err) &&
                                     verify->wait_applied(verify->wait_arg, &at, WAIT_MS, reached, err));
}

/* ---- statements -------------------------------------------------------------------------------------------------- */

struct writing {
    struct gw_repair *repair;
    struct table *table;
    const struct gw_collection *c; /* the target's */
};

static bool is_written(const struct gw_collection *c, size_t column, const struct gw_datum *data)
{
    return !c->columns[column].generated && data[column].kind != GW_KIND_ABSENT &&
           data[column].kind != GW_KIND_UNCHANGED;
}

static void add_table(const struct writing *w, struct gw_buf *out)
{
    w->repair->options.target->type->query->add_name(out, w->c->space, w->c->name);
}

static bool add_where(const struct writing *w, const struct gw_datum *image, struct gw_buf *out, struct gw_error *err)
{
    const struct gw_store_type *type = w->repair->options.target->type;
    bool first = true;
    gw_buf_adds(out, " WHERE ");
    for (size_t i = 0; i < w->c->column_count; i++) {
        if (!is_written(w->c, i, image))
            continue;
        gw_buf_adds(out, first ? "" : " AND ");
        first = false;
        if (!type->codec->write_same(w->table->codecs[TARGET], i, &image[i], out, err))
            return false;
    }
    return true;
}

static bool add_update(const struct writing *w, const struct gw_datum *from, const struct gw_datum *to,
                       struct gw_buf *out, bool *any, struct gw_error *err)
{
    const struct gw_store_type *type = w->repair->options.target->type;
    *any = false;
    gw_buf_adds(out, "UPDATE ");
    add_table(w, out);
    gw_buf_adds(out, " SET ");
    for (size_t i = 0; i < w->c->column_count; i++) {
        if (!is_written(w->c, i, to) || !is_written(w->c, i, from) || gw_datum_equal(&from[i], &to[i]))
            continue;
        gw_buf_adds(out, *any ? ", " : "");
        *any = true;
        type->query->add_name(out, NULL, w->c->columns[i].name);
        gw_buf_adds(out, " = ");
        if (!type->codec->write_sql(w->table->codecs[TARGET], i, &to[i], out, err))
            return false;
    }
    return add_where(w, from, out, err);
}

static bool add_insert(const struct writing *w, const struct gw_datum *row, struct gw_buf *out, struct gw_error *err)
{
    const struct gw_store_type *type = w->repair->options.target->type;
    gw_autobuf struct gw_buf values = {0};
    bool first = true;
    gw_buf_adds(out, "INSERT INTO ");
    add_table(w, out);
    gw_buf_adds(out, " (");
    for (size_t i = 0; i < w->c->column_count; i++) {
        if (!is_written(w->c, i, row))
            continue;
        gw_buf_adds(out, first ? "" : ", ");
        gw_buf_adds(&values, first ? "" : ", ");
        first = false;
        type->query->add_name(out, NULL, w->c->columns[i].name);
        if (!type->codec->write_sql(w->table->codecs[TARGET], i, &row[i], &values, err))
            return false;
    }
    gw_buf_addf(out, ")%s VALUES (%s)", type->query->insert_words ? type->query->insert_words : "",
                gw_buf_text(&values));
    return true;
}

static bool add_delete(const struct writing *w, const struct gw_datum *row, struct gw_buf *out, struct gw_error *err)
{
    gw_buf_adds(out, "DELETE FROM ");
    add_table(w, out);
    return add_where(w, row, out, err);
}

static char *key_text(const struct gw_collection *c, const struct gw_datum *row)
{
    struct gw_buf out = {0};
    for (size_t i = 0; i < c->key_count; i++) {
        gw_buf_addf(&out, "%s%s=", i ? ", " : "", c->columns[c->key[i]].name);
        gw_datum_print(&row[c->key[i]], &out);
    }
    return gw_buf_detach(&out);
}

/* from, to: NULL where there is no row. */
static bool add_statement(const struct writing *w, const struct gw_datum *from, const struct gw_datum *to,
                          struct gw_error *err)
{
    struct gw_repair *repair = w->repair;
    gw_autobuf struct gw_buf sql = {0}, undo = {0};
    bool any = true;
    bool ok = from && to ? add_update(w, from, to, &sql, &any, err) && add_update(w, to, from, &undo, &any, err)
              : to       ? add_insert(w, to, &sql, err) && add_delete(w, to, &undo, err)
                         : add_delete(w, from, &sql, err) && add_insert(w, from, &undo, err);
    if (!ok || !any)
        return ok;
    repair->statements = gw_realloc(repair->statements, (repair->statement_count + 1) * sizeof *repair->statements);
    repair->statements[repair->statement_count++] = (struct statement){.collection = w->c->id,
                                                                       .key = key_text(w->c, to ? to : from),
                                                                       .sql = gw_buf_detach(&sql),
                                                                       .undo = gw_buf_detach(&undo)};
    return true;
}

/* ---- row by row -------------------------------------------------------------------------------------------------- */

static void leave(struct gw_repair *repair, const struct table *table, const struct noted *noted, const char *why)
{
    const struct gw_collection *c = table->of[TARGET];
    gw_autobuf struct gw_buf key = {0};
    for (size_t i = 0; i < noted->count; i++) {
        gw_buf_adds(&key, i ? ", " : "");
        gw_datum_print(&noted->key[i], &key);
    }
    repair->left = gw_realloc(repair->left, (repair->left_count + 1) * sizeof *repair->left);
    repair->left[repair->left_count++] = (struct left){c->id, gw_strdup(gw_buf_text(&key)), gw_strdup(why)};
}

/* The source's row in the target's terms; *data NULL: it is not to be there. */
static bool wanted_row(struct gw_repair *repair, struct table *table, const struct gw_row *row, bool update,
                       struct gw_datum **data, const char **why, struct gw_error *err)
{
    struct gw_datum *in = gw_arena_zalloc(&table->arena, (table->of[SOURCE]->column_count + 1) * sizeof *in), *out;
    enum gw_map_verdict verdict = GW_MAP_KEEP;
    if (!repair->options.source->type->codec->decode(table->codecs[SOURCE], row, &table->arena, in, err))
        return false;
    *data = in;
    if (!table->forward)
        return true;
    out = gw_arena_zalloc(&table->arena, (table->of[TARGET]->column_count + 1) * sizeof *out);
    uint32_t id = table->of[SOURCE]->id;
    if (!(update ? gw_map_row_update(table->forward, id, in, NULL, out, &verdict, NULL, err)
                 : gw_map_row(table->forward, id, in, out, &verdict, NULL, err)))
        return false;
    *data = verdict == GW_MAP_KEEP ? out : NULL;
    if (verdict == GW_MAP_SET_ASIDE)
        *why = "it does not fit on the target";
    return true;
}

static bool repair_row(struct gw_repair *repair, struct table *table, const struct noted *noted, struct gw_error *err)
{
    struct gw_row before, there, after;
    bool found[2], again, reached;
    const char *why = NULL;
    struct gw_datum *to = NULL, *from = NULL;
    struct writing w = {repair, table, table->of[TARGET]};
    if (!fetch(repair, table, SOURCE, noted, &before, &found[SOURCE], err) || !catch_up(repair, &reached, err) ||
        !fetch(repair, table, TARGET, noted, &there, &found[TARGET], err) ||
        !fetch(repair, table, SOURCE, noted, &after, &again, err))
        return false;
    if (!reached || again != found[SOURCE] || (again && !same_row(&before, &after))) {
        leave(repair, table, noted, reached ? "it is being written" : "the target has not applied what is on its way");
        return true;
    }
    if (found[SOURCE] && !wanted_row(repair, table, &after, found[TARGET], &to, &why, err))
        return false;
    if (why) {
        leave(repair, table, noted, why);
        return true;
    }
    if (found[TARGET]) {
        from = gw_arena_zalloc(&table->arena, (w.c->column_count + 1) * sizeof *from);
        if (!repair->options.target->type->codec->decode(table->codecs[TARGET], &there, &table->arena, from, err))
            return false;
    }
    return (!from && !to) || add_statement(&w, from, to, err);
}

static int by_collection(const void *a, const void *b)
{
    const struct noted *x = a, *y = b;
    return (x->collection > y->collection) - (x->collection < y->collection);
}

bool gw_repair_make(struct gw_repair *repair, struct gw_error *err)
{
    bool ok = true;
    if (repair->noted_count)
        qsort(repair->noted, repair->noted_count, sizeof *repair->noted, by_collection);
    for (size_t i = 0; ok && i < repair->noted_count;) {
        struct table table = {0};
        uint32_t collection = repair->noted[i].collection;
        ok = open_table(repair, collection, &table, err);
        for (; ok && i < repair->noted_count && repair->noted[i].collection == collection; i++) {
            struct gw_error why;
            if (!repair_row(repair, &table, &repair->noted[i], &why)) {
                *err = why;
                ok = why.kind == GW_ERR_CONFLICT; /* a value that the target's column cannot hold */
                if (ok)
                    leave(repair, &table, &repair->noted[i], why.message);
            }
            gw_arena_reset(&table.arena);
        }
        close_table(repair, &table);
    }
    return ok;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void add_head(const struct gw_repair *repair, const char *what, struct gw_buf *out)
{
    const struct gw_store *target = repair->options.target;
    char now[32];
    gw_wall_format(gw_wall_us(), now);
    gw_buf_addf(out, "-- godwit verify --repair, %s: %s for %s (%s).\n", now, what, gw_side_name(target->side),
                target->identity.address);
    gw_buf_adds(out,
                "-- Only as long as this side is not the owner. Each statement holds while its row is as it was "
                "found: where it\n-- changes no row, somebody was there before, and verify tells what is so now.\n");
    gw_buf_addf(out, "%s\n", target->type->query->ours_begin ? target->type->query->ours_begin : "BEGIN;");
}

bool gw_repair_write(const struct gw_repair *repair, const char *path, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, undo = {0};
    gw_autofree char *undo_path = gw_asprintf("%s.undo", path);
    add_head(repair, "what makes its rows what they are to be", &sql);
    add_head(repair, "what undoes the repair", &undo);
    for (size_t i = 0; i < repair->statement_count; i++)
        gw_buf_addf(&sql, "%s;\n", repair->statements[i].sql);
    for (size_t i = repair->statement_count; i-- > 0;)
        gw_buf_addf(&undo, "%s;\n", repair->statements[i].undo);
    gw_buf_adds(&sql, "COMMIT;\n");
    gw_buf_adds(&undo, "COMMIT;\n");
    mode_t mask = umask(077); /* they hold customers' rows */
    bool ok = gw_file_replace(undo_path, undo.data, undo.len, err) && gw_file_replace(path, sql.data, sql.len, err);
    umask(mask);
    return ok || gw_error_prefix(err, "the repair %s", path);
}

/* ---- applying ---------------------------------------------------------------------------------------------------- */

static bool must_not_own(const struct gw_repair *repair, struct gw_error *err)
{
    struct gw_store *target = repair->options.target;
    struct gw_owner owner = {0};
    bool installed = false;
    if (!target->type->ownership->get(target, &owner, &installed, err))
        return false;
    if (installed && owner.owner != target->side)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "%s owns the data: nothing is repaired on the owner", gw_side_name(target->side));
    return gw_error_hint(err, "godwit status says who owns; run verify again");
}

bool gw_repair_apply(struct gw_repair *repair, struct gw_error *err)
{
    struct gw_store *target = repair->options.target;
    for (size_t at = 0; at < repair->statement_count; at += BATCH) {
        size_t count = repair->statement_count - at < BATCH ? repair->statement_count - at : BATCH;
        const char *sql[BATCH];
        struct gw_query_done done[BATCH] = {{0}};
        for (size_t i = 0; i < count; i++)
            sql[i] = repair->statements[at + i].sql;
        if (!must_not_own(repair, err) || !target->type->query->write_ours(target, sql, count, done, err))
            return gw_error_prefix(err, "the repair, behind %zu rows that are repaired", at);
        for (size_t i = 0; i < count; i++) {
            struct statement *statement = &repair->statements[at + i];
            statement->tried = true;
            statement->applied = !done[i].failed && done[i].touched == 1;
            if (!statement->applied)
                statement->why = gw_strdup(done[i].failed         ? done[i].why
                                           : done[i].touched == 0 ? "the row is no longer as it was found"
                                                                  : "several rows are like it");
        }
    }
    return true;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static json_t *left_json(const struct gw_repair *repair, uint32_t collection, const char *key, const char *why)
{
    return json_pack("{s:o, s:o, s:o}", "collection",
                     gw_json_text(gw_collection_label(&repair->options.schemas[TARGET]->collections[collection])),
                     "key", gw_json_text(key), "why", gw_json_text(why));
}

json_t *gw_repair_json(const struct gw_repair *repair)
{
    json_t *left = json_array();
    json_int_t applied = 0;
    for (size_t i = 0; i < repair->left_count; i++)
        json_array_append_new(left,
                              left_json(repair, repair->left[i].collection, repair->left[i].key, repair->left[i].why));
    for (size_t i = 0; i < repair->statement_count; i++) {
        const struct statement *statement = &repair->statements[i];
        applied += statement->applied;
        if (statement->tried && !statement->applied)
            json_array_append_new(left, left_json(repair, statement->collection, statement->key, statement->why));
    }
    return json_pack("{s:I, s:I, s:b, s:o}", "statements", (json_int_t)repair->statement_count, "applied", applied,
                     "more", repair->more, "left_alone", left);
}

void gw_repair_text(const struct gw_repair *repair, const char *path, struct gw_buf *out)
{
    gw_autojson json_t *json = gw_repair_json(repair);
    const json_t *left = json_object_get(json, "left_alone");
    gw_buf_adds(out, "repair: ");
    gw_cause_add_count(out, repair->statement_count);
    gw_buf_addf(out, " statement%s for %s in %s, undone by %s.undo", repair->statement_count == 1 ? "" : "s",
                gw_side_name(repair->options.target->side), path, path);
    if (repair->statement_count && repair->statements[0].tried) {
        gw_buf_adds(out, "; applied: ");
        gw_cause_add_count(out, (uint64_t)json_integer_value(json_object_get(json, "applied")));
    }
    for (size_t i = 0; i < json_array_size(left) && i < LEFT_SHOWN; i++) {
        const json_t *item = json_array_get(left, i);
        gw_buf_addf(out, "\n  left alone: %s %s: %s", json_string_value(json_object_get(item, "collection")),
                    json_string_value(json_object_get(item, "key")), json_string_value(json_object_get(item, "why")));
    }
    if (repair->more)
        gw_buf_adds(out, "\n  there are more rows than one repair takes: repair, then verify again");
    gw_buf_addc(out, '\n');
}
