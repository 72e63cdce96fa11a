#include "audit/audit.h"

#include "audit/redact.h"
#include "base/clock.h"
#include "base/file.h"
#include "io/json.h"

#include <ctype.h>
#include <string.h>

static const char *const severities[] = {"info", "warning", "blocks"};

/* ---- settings that differ -------------------------------------------------------------------------------------------- */

static const json_t *row_named(const json_t *rows, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        const char *its = json_string_value(json_object_get(row, "name"));
        if (its && strcmp(its, name) == 0)
            return row;
    }
    return NULL;
}

/* A setting that only one side has set stands at its default on the other. */
static void add_difference(json_t *out, const json_t *row, const json_t *other, bool row_is_blue)
{
    const char *value = json_string_value(json_object_get(row, "value"));
    const json_t *theirs = other ? json_object_get(other, "value") : json_object_get(row, "default");
    const char *other_value = json_string_value(theirs);
    if (!value || (other_value && strcmp(value, other_value) == 0))
        return;
    const char *blue = row_is_blue ? value : other_value, *green = row_is_blue ? other_value : value;
    json_array_append_new(out, json_pack("{s:O, s:o, s:o, s:O}", "name", json_object_get(row, "name"), "blue",
                                         gw_json_text(blue), "green", gw_json_text(green), "unit",
                                         json_object_get(row, "unit")));
}

static json_t *differing_settings(const json_t *blue, const json_t *green)
{
    json_t *out = json_array();
    size_t i;
    json_t *row;
    json_array_foreach((json_t *)(uintptr_t)blue, i, row)
    {
        add_difference(out, row, row_named(green, json_string_value(json_object_get(row, "name"))), true);
    }
    json_array_foreach((json_t *)(uintptr_t)green, i, row)
    {
        if (!row_named(blue, json_string_value(json_object_get(row, "name"))))
            add_difference(out, row, NULL, false);
    }
    return out;
}

static bool add_differing_settings(const struct gw_audit_options *options, json_t *sections, struct gw_error *err)
{
    gw_autojson json_t *other = NULL;
    if (!options->other || options->other->type != options->store->type)
        return true;
    if (!options->other->type->inspect->inventory(options->other, options->filter, &other, err))
        return false;
    const json_t *mine = json_object_get(sections, "settings"), *theirs = json_object_get(other, "settings");
    bool mine_is_blue = options->store->side == GW_BLUE;
    json_object_set_new(sections, "settings_that_differ",
                        mine_is_blue ? differing_settings(mine, theirs) : differing_settings(theirs, mine));
    return true;
}

/* ---- risks --------------------------------------------------------------------------------------------------------------- */

static bool add_risks(const struct gw_audit_options *options, json_t *sections, struct gw_error *err)
{
    struct gw_findings findings = {0};
    json_t *risks = json_array();
    bool fine = options->store->type->inspect->check(options->store, options->filter, &findings, err);
    for (int severity = GW_FINDING_BLOCKS; severity >= GW_FINDING_INFO; severity--)
        for (size_t i = 0; i < findings.count; i++)
            if ((int)findings.items[i].severity == severity)
                json_array_append_new(risks,
                                      json_pack("{s:s, s:s, s:o, s:o}", "severity", severities[severity], "id",
                                                findings.items[i].id, "what", gw_json_text(findings.items[i].what),
                                                "fix", gw_json_text(findings.items[i].fix)));
    gw_findings_release(&findings);
    json_object_set_new(sections, "risks", risks);
    return fine;
}

bool gw_audit_take(const struct gw_audit_options *options, json_t **out, struct gw_error *err)
{
    const struct gw_identity *id = &options->store->identity;
    json_t *sections = NULL;
    char now[32];
    if (!options->store->type->inspect)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "the engine %s cannot be audited", options->store->type->name);
    if (!options->store->type->inspect->inventory(options->store, options->filter, &sections, err))
        return gw_error_prefix(err, "auditing %s", gw_side_name(options->store->side));
    if (!add_differing_settings(options, sections, err) || !add_risks(options, sections, err)) {
        json_decref(sections);
        return false;
    }
    gw_audit_redact(sections);
    /* Last in the report, whatever was added. */
    json_t *not_read = json_incref(json_object_get(sections, "not_read"));
    json_object_del(sections, "not_read");
    json_object_set_new(sections, "not_read", not_read ? not_read : json_array());
    gw_wall_format(gw_wall_us(), now);
    *out = json_pack("{s:s, s:s, s:{s:o, s:o, s:o}, s:s, s:o}", "migration", options->migration, "side",
                     gw_side_name(options->store->side), "server", "product", gw_json_text(id->product), "address",
                     gw_json_text(id->address), "user", gw_json_text(id->user), "taken_at", now, "sections", sections);
    return true;
}

/* ---- for both formats ------------------------------------------------------------------------------------------------------ */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

void gw_audit_cell(const char *key, const json_t *value, struct gw_buf *out)
{
    char text[16];
    if (json_is_string(value)) {
        gw_buf_adds(out, json_string_value(value));
    } else if (json_is_integer(value) && ends_with(key, "bytes")) {
        gw_format_bytes(json_integer_value(value), text);
        gw_buf_adds(out, text);
    } else if (json_is_integer(value)) {
        gw_buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_real(value)) {
        gw_buf_addf(out, "%.10g", json_real_value(value));
    } else if (json_is_boolean(value)) {
        gw_buf_adds(out, json_is_true(value) ? "yes" : "no");
    }
}

void gw_audit_title(const char *section, struct gw_buf *out)
{
    for (const char *p = section; *p; p++)
        gw_buf_addc(out, *p == '_' ? ' ' : p == section ? (char)toupper((unsigned char)*p) : *p);
}
