#include "model/migration.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/yaml.h"
#include "model/rule_table.h"
#include "model/setting.h"
#include "model/setting_env.h"

#include <ctype.h>
#include <limits.h>

struct loader {
    const struct gw_yaml *yaml;
    struct gw_migration *migration;
    struct gw_migration_store *store;  /* the one being read; NULL above the stores */
    const struct gw_yaml_node **given; /* for each setting: where it was given, NULL when not */
    char *folder;                      /* of the file, absolute where it exists */
};

bool gw_migration_name_valid(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > GW_MIGRATION_NAME_MAX || name[0] == '_' || name[0] == '-')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

static const char *last_key(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* ---- values ---- */

static void *target_of(struct loader *loader, const struct gw_setting *setting, size_t offset)
{
    return (char *)(setting->in_store ? (void *)loader->store : (void *)loader->migration) + offset;
}

static bool check_text(const struct gw_setting *setting, const char *text, struct gw_error *err)
{
    if (!*text) {
        gw_fail(err, GW_ERR_USER, "the value of \"%s\" is missing", last_key(setting->path));
        return gw_error_hint(err, "write it behind the colon, or remove the key");
    }
    if (setting->type == GW_SETTING_COMMAND)
        return true;
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return gw_fail(err, GW_ERR_USER, "\"%s\" holds a control character", last_key(setting->path));
    return true;
}

static bool check_name(const char *what, const char *text, struct gw_error *err)
{
    if (gw_migration_name_valid(text))
        return true;
    gw_fail(err, GW_ERR_USER, "\"%.80s\" is not a name for a %s", text, what);
    return gw_error_hint(err, "up to %d small letters, digits, '_' and '-', beginning with a letter or digit",
                         GW_MIGRATION_NAME_MAX);
}

/* "postgresql" of "postgresql://...", "sqlite" of "sqlite:app.db", "conninfo" of "host=...", "path" of what looks like the
 * name of a file, NULL when it is none of these. Owned. */
static char *scheme_of(const char *url)
{
    size_t len = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    bool network = strncmp(url + len, "://", 3) == 0;
    bool login = strchr(url, '@') != NULL; /* "user:password@host/app": a URL whose scheme was forgotten, not a path */
    if (len > 0 && isalpha((unsigned char)url[0]) &&
        (network || (url[len] == ':' && strpbrk(url + len, "./") && !login))) {
        char *scheme = gw_strndup(url, len);
        for (char *p = scheme; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        return scheme;
    }
    const char *key = url + strspn(url, " ");
    size_t key_len = strspn(key, "abcdefghijklmnopqrstuvwxyz_");
    const char *equals = key + key_len + strspn(key + key_len, " ");
    if (key_len > 0 && *equals == '=')
        return gw_strdup("conninfo");
    return strchr(url, '/') && !login ? gw_strdup("path") : NULL;
}

static bool check_url(const struct gw_setting *setting, const char *text, struct gw_error *err)
{
    gw_autofree char *scheme = scheme_of(text);
    if (scheme)
        return true;
    gw_fail(err, GW_ERR_USER, "the value of \"%s\" is neither a URL nor key=value pairs nor a path",
            last_key(setting->path));
    return gw_error_hint(err, "write for instance %s", setting->example);
}

static bool set_enum(const struct gw_setting *setting, const char *text, int *value, struct gw_error *err)
{
    gw_autobuf struct gw_buf known = {0};
    for (int i = 0; setting->choices[i]; i++) {
        if (strcmp(setting->choices[i], text) == 0) {
            *value = i;
            return true;
        }
        gw_buf_addf(&known, "%s%s", i ? ", " : "", setting->choices[i]);
    }
    gw_fail(err, GW_ERR_USER, "\"%.80s\" is not a value of \"%s\"", text, last_key(setting->path));
    return gw_error_hint(err, "known: %s", gw_buf_text(&known));
}

static bool set_number(const struct gw_setting *setting, const char *text, int64_t *value, struct gw_error *err)
{
    bool ok;
    if (setting->type == GW_SETTING_BYTES) {
        ok = gw_setting_parse_bytes(text, value, err);
    } else if (setting->type == GW_SETTING_MS || setting->type == GW_SETTING_US) {
        int64_t unit = setting->type == GW_SETTING_MS ? 1000 : 1;
        ok = gw_setting_parse_duration_us(text, value, err);
        if (ok && *value % unit != 0) {
            gw_fail(err, GW_ERR_USER, "\"%s\" is finer than a millisecond", text);
            return gw_error_hint(err, "write whole milliseconds for \"%s\"", last_key(setting->path));
        }
        if (ok)
            *value /= unit;
    } else {
        ok = gw_setting_parse_int(text, value, err);
    }
    if (!ok)
        return gw_error_prefix(err, "\"%s\"", last_key(setting->path));
    if (setting->max > 0 && (*value < setting->min || *value > setting->max)) {
        gw_autobuf struct gw_buf words = {0};
        gw_setting_describe_type(setting, &words);
        gw_fail(err, GW_ERR_USER, "%s is out of range for \"%s\"", text, last_key(setting->path));
        return gw_error_hint(err, "%s", gw_buf_text(&words));
    }
    return true;
}

static char *resolve_path(const struct loader *loader, const char *path)
{
    if (path[0] == '/')
        return gw_strdup(path);
    return gw_asprintf("%s/%s", loader->folder, path);
}

static void replace_text(void *target, char *owned)
{
    char *old;
    memcpy(&old, target, sizeof old);
    free(old);
    memcpy(target, &owned, sizeof owned);
}

/* One filled text into its field. */
static bool set_scalar(struct loader *loader, const struct gw_setting *setting, const char *text, struct gw_error *err)
{
    void *target = target_of(loader, setting, setting->offset);
    int64_t number = 0;
    if (!check_text(setting, text, err))
        return false;
    switch (setting->type) {
    case GW_SETTING_NAME:
        if (!check_name("migration", text, err))
            return false;
        replace_text(target, gw_strdup(text));
        return true;
    case GW_SETTING_URL:
        if (!check_url(setting, text, err))
            return false;
        replace_text(target, gw_strdup(text));
        return true;
    case GW_SETTING_TEXT:
    case GW_SETTING_COMMAND:
        replace_text(target, gw_strdup(text));
        return true;
    case GW_SETTING_PATH:
        replace_text(target, resolve_path(loader, text));
        return true;
    case GW_SETTING_ENUM:
        return set_enum(setting, text, target, err);
    case GW_SETTING_INT:
        if (!set_number(setting, text, &number, err))
            return false;
        *(int *)target = (int)number;
        return true;
    case GW_SETTING_COUNT:
    case GW_SETTING_BYTES:
    case GW_SETTING_MS:
    case GW_SETTING_US:
        return set_number(setting, text, target, err);
    case GW_SETTING_URLS:
    case GW_SETTING_PATTERNS:
    case GW_SETTING_TEXTS:
    case GW_SETTING_RULES:
    case GW_SETTING_QUERIES:
        break;
    }
    return gw_fail(err, GW_ERR_BUG, "setting %s has no parser", setting->path);
}

static bool fail_here(const struct loader *loader, const struct gw_yaml_node *node, struct gw_error *err)
{
    return gw_yaml_place(loader->yaml, node, err);
}

static bool fail_missing(const struct loader *loader, const struct gw_yaml_node *node, const char *path,
                         struct gw_error *err)
{
    gw_fail(err, GW_ERR_USER, "the value of \"%s\" is missing", last_key(path));
    gw_error_hint(err, "write it behind the colon, or remove the key");
    return fail_here(loader, node, err);
}

/* The text of a scalar node with ${NAME} filled in. */
static bool fill_node(const struct loader *loader, const struct gw_setting *setting, const struct gw_yaml_node *node,
                      struct gw_buf *text, struct gw_error *err)
{
    if (gw_yaml_is_null(node))
        return fail_missing(loader, node, setting->path, err);
    if (node->kind != GW_YAML_SCALAR) {
        gw_autobuf struct gw_buf words = {0};
        gw_setting_describe_type(setting, &words);
        gw_fail(err, GW_ERR_USER, "\"%s\" must be a single value, this is %s", last_key(setting->path),
                gw_yaml_kind_name(node));
        gw_error_hint(err, "%s", gw_buf_text(&words));
        return fail_here(loader, node, err);
    }
    return gw_setting_fill(node->text, setting->type, text, err) || fail_here(loader, node, err);
}

static bool set_list(struct loader *loader, const struct gw_setting *setting, const struct gw_yaml_node *node,
                     struct gw_error *err)
{
    struct gw_yaml_node *single = (struct gw_yaml_node *)(uintptr_t)node;
    struct gw_yaml_node **nodes = node->kind == GW_YAML_SEQUENCE ? node->items : &single;
    size_t wanted = node->kind == GW_YAML_SEQUENCE ? node->count : 1;
    if (node->kind == GW_YAML_MAPPING || wanted == 0) {
        gw_fail(err, GW_ERR_USER, "\"%s\" must be a list with at least one value", last_key(setting->path));
        return fail_here(loader, node, err);
    }
    char **list = gw_calloc(wanted, sizeof *list);
    size_t *count = target_of(loader, setting, setting->count_offset);
    memcpy(target_of(loader, setting, setting->offset), &list, sizeof list);
    for (size_t i = 0; i < wanted; i++) {
        gw_autobuf struct gw_buf text = {0};
        if (!fill_node(loader, setting, nodes[i], &text, err))
            return false;
        if (!check_text(setting, gw_buf_text(&text), err) ||
            (setting->type == GW_SETTING_URLS && !check_url(setting, gw_buf_text(&text), err)))
            return fail_here(loader, nodes[i], err);
        list[(*count)++] = gw_buf_detach(&text);
    }
    return true;
}

static bool set_value(struct loader *loader, const struct gw_setting *setting, const struct gw_yaml_node *node,
                      struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    loader->given[setting - gw_settings] = node;
    if (setting->type == GW_SETTING_URLS || setting->type == GW_SETTING_PATTERNS || setting->type == GW_SETTING_TEXTS)
        return set_list(loader, setting, node, err);
    if (setting->type == GW_SETTING_RULES)
        return gw_rule_read(loader->yaml, node, target_of(loader, setting, setting->offset), err);
    if (setting->type == GW_SETTING_QUERIES)
        return gw_named_queries_read(loader->yaml, node, target_of(loader, setting, setting->offset), err);
    if (!fill_node(loader, setting, node, &text, err))
        return false;
    return set_scalar(loader, setting, gw_buf_text(&text), err) || fail_here(loader, node, err);
}

/* ---- keys ---- */

static bool fail_unknown(const struct loader *loader, const char *group, const struct gw_yaml_node *key,
                         struct gw_error *err)
{
    char like[64];
    gw_fail(err, GW_ERR_USER, "the key \"%.80s\" is unknown%s%s", key->text, *group ? " in " : "",
            *group ? last_key(group) : "");
    const char *elsewhere = gw_setting_elsewhere(key->text);
    if (gw_setting_suggest(group, key->text, like))
        gw_error_hint(err, "did you mean \"%s\"?", like);
    else if (elsewhere)
        gw_error_hint(err, "it belongs at %s", elsewhere);
    else
        gw_error_hint(err, "`godwit config` lists all keys");
    return fail_here(loader, key, err);
}

/* What stands for a mapping when only one of its values is given: blue: URL, gate: none. */
static const struct gw_setting *shorthand_of(const char *group)
{
    size_t len = strlen(group);
    for (size_t i = 0; i < gw_settings_count; i++)
        if (gw_settings[i].shorthand && strncmp(gw_settings[i].path, group, len) == 0 &&
            gw_settings[i].path[len] == '.' && !strchr(gw_settings[i].path + len + 1, '.'))
            return &gw_settings[i];
    return NULL;
}

static bool read_stores(struct loader *loader, const struct gw_yaml_node *node, struct gw_error *err);

static bool read_group(struct loader *loader, const char *group, const struct gw_yaml_node *node, struct gw_error *err)
{
    for (size_t i = 0; i < node->count; i++) {
        const struct gw_yaml_node *key = node->keys[i];
        const struct gw_yaml_node *value = node->items[i];
        gw_autofree char *path = *group ? gw_asprintf("%s.%.64s", group, key->text) : gw_asprintf("%.64s", key->text);
        const struct gw_setting *setting = gw_setting_find(path);
        bool ok;
        if (strchr(key->text, '.') || strchr(key->text, '*'))
            ok = fail_unknown(loader, group, key, err);
        else if (setting)
            ok = set_value(loader, setting, value, err);
        else if (!gw_setting_is_group(path))
            ok = fail_unknown(loader, group, key, err);
        else if (gw_yaml_is_null(value))
            ok = fail_missing(loader, value, path, err);
        else if (value->kind == GW_YAML_SCALAR && shorthand_of(path))
            ok = set_value(loader, shorthand_of(path), value, err);
        else if (value->kind != GW_YAML_MAPPING) {
            gw_fail(err, GW_ERR_USER, "\"%s\" must be a mapping, this is %s", key->text, gw_yaml_kind_name(value));
            ok = fail_here(loader, value, err);
        } else if (strcmp(path, "stores") == 0)
            ok = read_stores(loader, value, err);
        else
            ok = read_group(loader, path, value, err);
        if (!ok)
            return false;
    }
    return true;
}

/* Sets what was not given, and refuses when something is missing that must be. */
static bool apply_defaults(struct loader *loader, bool in_store, const struct gw_yaml_node *node, struct gw_error *err)
{
    for (size_t i = 0; i < gw_settings_count; i++) {
        const struct gw_setting *setting = &gw_settings[i];
        if (setting->in_store != in_store || loader->given[i])
            continue;
        if (setting->required) {
            const char *shown = setting->path + (in_store ? strlen("stores.*.") : 0);
            size_t len = strlen(shown);
            if (setting->shorthand)
                len = strcspn(shown, ".");
            gw_fail(err, GW_ERR_USER, "\"%.*s\" is missing", (int)len, shown);
            gw_error_hint(err, "add for instance %.*s: %s", (int)len, shown, setting->example);
            return fail_here(loader, node, err);
        }
        if (setting->fallback && !set_scalar(loader, setting, setting->fallback, err))
            return gw_error_prefix(err, "default of %s", setting->path);
    }
    return true;
}

/* ---- what one key says about another ---- */

static const struct gw_yaml_node *given(const struct loader *loader, const char *path)
{
    const struct gw_setting *setting = gw_setting_find(path);
    return setting ? loader->given[setting - gw_settings] : NULL;
}

static bool fail_gate(const struct loader *loader, const struct gw_yaml_node *node, const char *type,
                      const char *missing, struct gw_error *err)
{
    gw_fail(err, GW_ERR_USER, "gate type %s needs \"%s\"", type, missing);
    gw_error_hint(err, "`godwit config` tells what it is");
    return fail_here(loader, node, err);
}

static bool check_gate(const struct loader *loader, const struct gw_yaml_node *node, struct gw_error *err)
{
    const struct gw_migration_gate *gate = &loader->store->gate;
    const char *type = gw_setting_find("stores.*.gate.type")->choices[gate->type];
    const struct gw_yaml_node *place = given(loader, "stores.*.gate.type");
    place = place ? place : node;
    for (size_t i = 0; i < gw_settings_count; i++) {
        const struct gw_setting *setting = &gw_settings[i];
        if (!loader->given[i] || !setting->gates || (setting->gates & (1u << gate->type)))
            continue;
        gw_fail(err, GW_ERR_USER, "\"%s\" means nothing for gate type %s", last_key(setting->path), type);
        gw_error_hint(err, "remove it, or set type to %s",
                      setting->gates & GW_SETTING_FOR_PGBOUNCER ? "pgbouncer"
                      : setting->gates & GW_SETTING_FOR_HOOK    ? "hook"
                                                                : "haproxy");
        return fail_here(loader, loader->given[i], err);
    }
    if (gate->type == GW_MIGRATION_GATE_PGBOUNCER && !gate->admin_count)
        return fail_gate(loader, place, type, "admin", err);
    if (gate->type == GW_MIGRATION_GATE_PGBOUNCER && !gate->ini && !gate->write_ini_command)
        return fail_gate(loader, place, type, "ini", err);
    if (gate->type == GW_MIGRATION_GATE_HAPROXY && !gate->socket_count)
        return fail_gate(loader, place, type, "socket", err);
    if (gate->type == GW_MIGRATION_GATE_HOOK && !gate->park)
        return fail_gate(loader, place, type, "park", err);
    if (gate->type == GW_MIGRATION_GATE_HOOK && !gate->point)
        return fail_gate(loader, place, type, "point", err);
    if (gate->type == GW_MIGRATION_GATE_HOOK && !gate->unpark)
        return fail_gate(loader, place, type, "unpark", err);
    return true;
}

/* A part of the pause longer than the pause: an error when both were written, otherwise the default gives way. */
static bool fit_into_budget(const struct loader *loader, const char *path, int64_t *part_ms, struct gw_error *err)
{
    int64_t budget_ms = loader->store->switch_.pause_budget_ms;
    if (*part_ms <= budget_ms)
        return true;
    const struct gw_yaml_node *node = given(loader, path);
    if (!node) {
        *part_ms = budget_ms;
        return true;
    }
    gw_fail(err, GW_ERR_USER, "\"%s\" is longer than the pause budget of %lld ms", last_key(path),
            (long long)budget_ms);
    gw_error_hint(err, "make it shorter, or \"pause_budget\" longer");
    return fail_here(loader, node, err);
}

static void finish_side(struct loader *loader, int number)
{
    struct gw_migration_side *side = &loader->store->side[number];
    size_t size = strlen(side->url) * 4 + 16;
    side->scheme = scheme_of(side->url);
    side->shown = gw_alloc(size);
    gw_redact_url(side->url, side->shown, (unsigned)size);
    if (!side->pg_bindir && loader->store->pg_bindir)
        side->pg_bindir = gw_strdup(loader->store->pg_bindir);
}

static bool finish_store(struct loader *loader, const struct gw_yaml_node *node, struct gw_error *err)
{
    struct gw_migration_store *store = loader->store;
    if (!apply_defaults(loader, true, node, err))
        return gw_error_prefix(err, "store %s", store->name);
    finish_side(loader, 0);
    finish_side(loader, 1);
    if (strcmp(store->side[0].url, store->side[1].url) == 0) {
        gw_fail(err, GW_ERR_USER, "blue and green of store %s are the same", store->name);
        gw_error_hint(err, "blue is the old side, green the new one");
        return fail_here(loader, given(loader, "stores.*.green.url"), err);
    }
    return check_gate(loader, node, err) &&
           fit_into_budget(loader, "stores.*.switch.lock_timeout", &store->switch_.lock_timeout_ms, err) &&
           fit_into_budget(loader, "stores.*.switch.drain_timeout", &store->switch_.drain_timeout_ms, err);
}

static bool read_stores(struct loader *loader, const struct gw_yaml_node *node, struct gw_error *err)
{
    struct gw_migration *migration = loader->migration;
    migration->stores = gw_calloc(node->count + 1, sizeof *migration->stores);
    for (size_t i = 0; i < node->count; i++) {
        const struct gw_yaml_node *key = node->keys[i];
        const struct gw_yaml_node *value = node->items[i];
        if (!check_name("store", key->text, err))
            return fail_here(loader, key, err);
        if (gw_yaml_is_null(value) || value->kind != GW_YAML_MAPPING) {
            gw_fail(err, GW_ERR_USER, "store %s must be a mapping with blue and green", key->text);
            return fail_here(loader, value, err);
        }
        for (size_t j = 0; j < gw_settings_count; j++)
            if (gw_settings[j].in_store)
                loader->given[j] = NULL;
        loader->store = &migration->stores[migration->store_count++];
        loader->store->name = gw_strdup(key->text);
        loader->store->line = key->line;
        if (!read_group(loader, "stores.*", value, err) || !finish_store(loader, value, err))
            return false;
    }
    loader->store = NULL;
    return true;
}

static bool read_root(struct loader *loader, struct gw_error *err)
{
    const struct gw_yaml_node *root = loader->yaml->root;
    struct gw_migration *migration = loader->migration;
    if (!root || gw_yaml_is_null(root)) {
        gw_fail(err, GW_ERR_USER, "the file is empty");
        gw_error_hint(err, "`godwit init BLUE GREEN` writes one");
        return fail_here(loader, root, err);
    }
    if (root->kind != GW_YAML_MAPPING) {
        gw_fail(err, GW_ERR_USER, "the file must hold keys and values, this is %s", gw_yaml_kind_name(root));
        return fail_here(loader, root, err);
    }
    if (!read_group(loader, "", root, err) || !apply_defaults(loader, false, root, err))
        return false;
    if (migration->store_count == 0) {
        gw_fail(err, GW_ERR_USER, "\"stores\" is missing");
        gw_error_hint(err, "add stores: { main: { blue: URL, green: URL } }");
        const struct gw_yaml_node *stores = gw_yaml_get(root, "stores");
        return fail_here(loader, stores ? stores : root, err);
    }
    migration->state_folder = gw_asprintf("%s/%s", migration->state, migration->name);
    return true;
}

static char *folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    gw_autofree char *folder = slash == file ? gw_strdup("/")
                               : slash       ? gw_strndup(file, (size_t)(slash - file))
                                             : gw_strdup(".");
    char *absolute = realpath(folder, NULL);
    if (absolute && strcmp(absolute, "/") == 0)
        absolute[0] = 0; /* "/x", not "//x" */
    return absolute ? absolute : gw_strdup(folder);
}

static bool read_yaml(const struct gw_yaml *yaml, struct gw_migration *migration, struct gw_error *err)
{
    struct gw_migration fresh = {.file = gw_strdup(yaml->file)};
    struct loader loader = {
        .yaml = yaml,
        .migration = &fresh,
        .given = gw_calloc(gw_settings_count, sizeof *loader.given),
        .folder = folder_of(yaml->file),
    };
    bool ok = read_root(&loader, err);
    free(loader.given);
    free(loader.folder);
    if (ok)
        *migration = fresh;
    else
        gw_migration_release(&fresh);
    return ok;
}

bool gw_migration_parse(const char *text, size_t len, const char *file, struct gw_migration *migration,
                        struct gw_error *err)
{
    struct gw_yaml yaml;
    if (!gw_yaml_parse(text, len, file, &yaml, err))
        return false;
    bool ok = read_yaml(&yaml, migration, err);
    gw_yaml_release(&yaml);
    return ok;
}

bool gw_migration_load(const char *path, struct gw_migration *migration, struct gw_error *err)
{
    struct gw_yaml yaml;
    if (!gw_yaml_load(path, &yaml, err)) {
        if (!gw_file_exists(path))
            gw_error_hint(err, "`godwit init BLUE GREEN` writes a migration file, -f FILE names another");
        return false;
    }
    bool ok = read_yaml(&yaml, migration, err);
    gw_yaml_release(&yaml);
    return ok;
}

/* ---- the end ---- */

static void release_side(struct gw_migration_side *side)
{
    free(side->url);
    free(side->scheme);
    free(side->shown);
    free(side->password_command);
    free(side->pg_bindir);
}

static void release_store(struct gw_migration_store *store)
{
    free(store->name);
    release_side(&store->side[0]);
    release_side(&store->side[1]);
    gw_filter_release(&store->filter);
    gw_yaml_release(&store->collections);
    gw_named_queries_release(&store->queries);
    for (size_t i = 0; i < store->gate.admin_count; i++)
        free(store->gate.admin[i]);
    free(store->gate.admin);
    free(store->gate.ini);
    free(store->gate.write_ini_command);
    free(store->gate.database);
    for (size_t i = 0; i < store->gate.socket_count; i++)
        free(store->gate.socket[i]);
    free(store->gate.socket);
    for (size_t i = 0; i < store->verify.reference_count; i++)
        free(store->verify.references[i]);
    free(store->verify.references);
    free(store->verify.private_key);
    free(store->gate.backend);
    free(store->gate.server[0]);
    free(store->gate.server[1]);
    free(store->gate.config);
    free(store->gate.state_file);
    free(store->gate.write_state_command);
    free(store->gate.address[0]);
    free(store->gate.address[1]);
    free(store->gate.park);
    free(store->gate.point);
    free(store->gate.unpark);
    free(store->gate.probe);
    free(store->pg_bindir);
}

void gw_migration_release(struct gw_migration *migration)
{
    for (size_t i = 0; i < migration->store_count; i++)
        release_store(&migration->stores[i]);
    free(migration->stores);
    free(migration->file);
    free(migration->name);
    free(migration->state);
    free(migration->state_folder);
    *migration = (struct gw_migration){0};
}
