/* Every engine has one line here. */
#include "store/store.h"

#ifdef GW_WITH_POSTGRES
#include "store/postgres/postgres.h"
#endif
#ifdef GW_WITH_MYSQL
#include "store/mysql/mysql.h"
#endif
#ifdef GW_WITH_SQLITE
#include "store/sqlite/sqlite.h"
#endif
#ifdef GW_CRASH_POINTS
#include "store/fault/fault.h"
#include "store/memory/memory.h"
#endif

static const struct gw_store_type *const store_types[] = {
#ifdef GW_WITH_POSTGRES
    &gw_store_postgres,
#endif
#ifdef GW_WITH_MYSQL
    &gw_store_mysql,
#endif
#ifdef GW_WITH_SQLITE
    &gw_store_sqlite,
#endif
#ifdef GW_CRASH_POINTS /* the reference engine forgets everything when the process ends: for tests only */
    &gw_store_memory,
    &gw_store_fault,
#endif
    NULL,
};

static bool registry_scheme_is(const char *url, const char *scheme)
{
    size_t len = strlen(scheme);
    return strncmp(url, scheme, len) == 0 && url[len] == ':';
}

/* libpq takes "service=x host=y" as well as URLs: what has no scheme but a key=value goes to the first engine. */
static bool registry_is_keywords(const char *url)
{
    size_t word = strspn(url, "abcdefghijklmnopqrstuvwxyz_");
    return word > 0 && url[word + strspn(url + word, " ")] == '=';
}

static void registry_add_schemes(struct gw_buf *out)
{
    for (size_t i = 0; store_types[i]; i++)
        for (const char *const *scheme = store_types[i]->schemes; *scheme; scheme++)
            gw_buf_addf(out, "%s%s:", out->len > 0 ? ", " : "", *scheme);
}

bool gw_store_type_for(const char *url, const struct gw_store_type **out, struct gw_error *err)
{
    for (size_t i = 0; store_types[i]; i++) {
        for (const char *const *scheme = store_types[i]->schemes; *scheme; scheme++) {
            if (registry_scheme_is(url, *scheme)) {
                *out = store_types[i];
                return true;
            }
        }
    }
    for (size_t i = 0; store_types[i]; i++) {
        if (store_types[i]->recognises && store_types[i]->recognises(url)) {
            *out = store_types[i];
            return true;
        }
    }
    if (store_types[0] && registry_is_keywords(url)) {
        *out = store_types[0];
        return true;
    }
    gw_autobuf struct gw_buf schemes = {0};
    registry_add_schemes(&schemes);
    size_t scheme_len = strcspn(url, ":");
    if (url[scheme_len] == ':' && scheme_len <= 20)
        gw_fail(err, GW_ERR_USER, "no engine for the scheme \"%.*s:\"", (int)scheme_len, url);
    else
        gw_fail(err, GW_ERR_USER, "a store's address must begin with the scheme of an engine");
    return gw_error_hint(err, "known schemes: %s", gw_buf_text(&schemes));
}

bool gw_store_open(const struct gw_store_options *options, struct gw_store **out, struct gw_error *err)
{
    const struct gw_store_type *type = NULL;
    if (!gw_store_type_for(options->url, &type, err) || !type)
        return false;
    if (options->fence == GW_FENCE_ACCOUNTS && !(type->capabilities & GW_CAN_LOCK_ACCOUNTS)) {
        gw_fail(err, GW_ERR_UNSUPPORTED, "%s cannot fence by accounts", type->name);
        return gw_error_hint(err, "take \"fence: accounts\" away from %s", gw_side_name(options->side));
    }
    if (type->contract != GW_STORE_CONTRACT)
        return gw_fail(err, GW_ERR_BUG, "engine %s was made for contract %u, this is %u", type->name, type->contract,
                       (unsigned)GW_STORE_CONTRACT);
    return type->open(options, out, err);
}

void gw_store_close(struct gw_store *store)
{
    if (store)
        store->type->close(store);
}
