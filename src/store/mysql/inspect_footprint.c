/* What godwit makes on a side, and the script that removes it without godwit. */
#include "base/mem.h"
#include "io/json.h"
#include "sql_embedded.h"
#include "store/mysql/capture.h"
#include "store/mysql/home.h"
#include "store/mysql/inspect.h"
#include "store/mysql/url.h"

#include <stdlib.h>
#include <string.h>

static const char *const home_tables =
    "godwit_capture, godwit_capture_batch, godwit_capture_cut, godwit_capture_table, godwit_probe_plain,"
    " godwit_probe_captured, godwit_loose, godwit_locked, godwit_fence, godwit_note, godwit_seen, godwit_signal, godwit_chunk, godwit_position, godwit_owner";

static void add(json_t *objects, enum gw_side side, bool on_both, const char *what, const char *sql, const char *undo)
{
    json_array_append_new(objects,
                          json_pack("{s:s, s:o, s:o, s:o, s:b}", "side", gw_side_name(side), "what", gw_json_text(what),
                                    "sql", gw_json_text(sql), "undo", gw_json_text(undo), "on_both", on_both));
}

static void begin_script(const char *database, struct gw_buf *out)
{
    gw_buf_adds(out, "-- Removes what godwit made here, without godwit. For the mysql or mariadb client.\n"
                     "-- What a follower was relieved of is put back by hand, from what this shows:\nUSE ");
    gw_mysql_add_ident(out, database);
    gw_buf_adds(
        out, ";\nSELECT kind, name, definition FROM godwit_loose;\n"
             "-- Accounts that the fence has locked: run what this prints before you go on.\n"
             "SELECT CONCAT('ALTER USER ', QUOTE(user), '@', QUOTE(host), ' ACCOUNT UNLOCK;') FROM godwit_locked;\n");
}

static void end_script(struct gw_buf *out)
{
    gw_buf_addf(out, "DROP TABLE IF EXISTS %s;\n", home_tables);
}

static void add_drops(const struct gw_schema *schema, struct gw_buf *out)
{
    for (size_t i = 0; i < schema->count; i++)
        for (size_t event = 0; event < 3; event++) {
            char name[64];
            gw_mysql_fence_trigger(schema->collections[i].name, event, name);
            gw_buf_addf(out, "DROP TRIGGER IF EXISTS %s;\n", name);
            gw_mysql_capture_trigger(schema->collections[i].name, event, name);
            gw_buf_addf(out, "DROP TRIGGER IF EXISTS %s;\n", name);
        }
}

/* Without a side that answers the names are not known: the script prints the statements. */
static void add_printer(struct gw_buf *out)
{
    gw_buf_adds(out, "-- Run what this prints before you go on:\n"
                     "SELECT CONCAT('DROP TRIGGER IF EXISTS `', TRIGGER_NAME, '`;') FROM information_schema.TRIGGERS\n"
                     "  WHERE TRIGGER_SCHEMA = DATABASE() AND TRIGGER_NAME LIKE 'godwit|_%' ESCAPE '|';\n");
}

static void add_fence(json_t *objects, enum gw_side side, const struct gw_schema *schema)
{
    gw_autofree char *what =
        gw_asprintf("triggers godwit_fence_* before INSERT, UPDATE and DELETE, %zu tables", schema->count);
    add(objects, side, true, what,
        "CREATE TRIGGER godwit_fence_... BEFORE INSERT ON ... FOR EACH ROW BEGIN IF (SUBSTRING_INDEX(USER(), '@', 1) <> "
        "'godwit' OR @godwit_probe IS NOT NULL) THEN IF (SELECT next_not_cached_value % 2 FROM godwit_fence) = 1 THEN SIGNAL "
        "SQLSTATE '45000' ...; END IF; END;",
        "DROP TRIGGER godwit_fence_...;");
}

static void add_capture(json_t *objects, const struct gw_mysql_store *store, const struct gw_schema *schema)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_autofree char *what = gw_asprintf("triggers godwit_capture_* after INSERT, UPDATE and DELETE, %zu tables and"
                                         " three of ours",
                                         schema->count);
    add(objects, store->base.side, false, "tables godwit_capture*: what triggers captured, its batches",
        gw_sql_mysql_capture,
        "DROP TABLE godwit_capture, godwit_capture_batch, godwit_capture_cut, godwit_capture_table;");
    if (schema->count > 0) {
        char name[64];
        gw_mysql_capture_trigger(schema->collections[0].name, 1, name);
        gw_mysql_capture_trigger_sql(store, &schema->collections[0], 1, name, "1", NULL, NULL, &sql);
    }
    add(objects, store->base.side, false, what, gw_buf_text(&sql), "DROP TRIGGER godwit_capture_...;");
}

bool gw_mysql_footprint(struct gw_store *base, const struct gw_schema *schema, json_t **out, struct gw_error *err)
{
    json_t *objects = json_array();
    gw_autobuf struct gw_buf script = {0};
    gw_autofree char *undo = gw_asprintf("DROP TABLE IF EXISTS %s;", home_tables);
    (void)err;
    add(objects, base->side, false,
        "tables godwit_*: who owns the data, positions, checkpoints, signals, notes, the fence's flag, what is off",
        gw_sql_mysql_home, undo);
    add_fence(objects, base->side, schema);
    if (gw_mysql_captures(gw_mysql_store_of(base)))
        add_capture(objects, gw_mysql_store_of(base), schema);
    if (base->side == GW_GREEN)
        add(objects, base->side, false, "triggers and events of blue are made when green becomes the owner", "", "");
    begin_script(gw_mysql_store_of(base)->database, &script);
    add_drops(schema, &script);
    end_script(&script);
    *out = json_pack("{s:o, s:o}", "objects", objects, "break_glass", gw_json_text(gw_buf_text(&script)));
    return true;
}

bool gw_mysql_break_glass(const struct gw_store_options *options, struct gw_store *store, struct gw_buf *out,
                          struct gw_error *err)
{
    struct gw_mysql_url *url;
    if (store) {
        struct gw_schema schema = {0};
        if (!store->type->catalog->list(store, NULL, &schema, err))
            return false;
        begin_script(gw_mysql_store_of(store)->database, out);
        add_drops(&schema, out);
        end_script(out);
        gw_schema_release(&schema);
        return true;
    }
    if (!gw_mysql_url_parse(options->url, &url, err))
        return false;
    begin_script(url->database, out);
    add_printer(out);
    end_script(out);
    gw_mysql_url_free(url);
    return true;
}
