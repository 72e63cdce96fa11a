#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "io/json.h"
#include "model/migration.h"
#include "store/lens_plan.h"
#include "store/store.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct probed {
    bool reached;
    struct gw_identity identity;
    struct gw_error why; /* when not reached */
};

static bool probe(struct gw_cli *cli, const char *url, enum gw_side side, struct probed *out, struct gw_error *err)
{
    struct gw_store_options options = {.url = url, .migration = "init", .side = side, .cancel = cli->cancel};
    struct gw_store *store;
    const struct gw_store_type *type;
    *out = (struct probed){0};
    if (!gw_store_type_for(url, &type, err))
        return false;
    if (!gw_store_open(&options, &store, &out->why)) {
        if (out->why.kind == GW_ERR_CANCELLED) {
            *err = out->why;
            return false;
        }
        (void)!gw_error_prefix(&out->why, "%s", gw_side_name(side));
        return true;
    }
    out->reached = true;
    out->identity = store->identity;
    gw_store_close(store);
    return true;
}

/* The database's name makes a good name, where it can be one. */
static void name_after(const struct probed *blue, char out[GW_MIGRATION_NAME_MAX + 1])
{
    size_t len = 0;
    for (const char *p = blue->identity.database; *p && len < GW_MIGRATION_NAME_MAX; p++)
        if (isalnum((unsigned char)*p) || (len > 0 && (*p == '_' || *p == '-')))
            out[len++] = (char)tolower((unsigned char)*p);
    out[len] = 0;
    if (!gw_migration_name_valid(out))
        snprintf(out, GW_MIGRATION_NAME_MAX + 1, "move");
}

static void add_probed(struct gw_buf *out, const char *side, const struct probed *probed)
{
    gw_buf_addf(out, "# %-6s", side);
    if (probed->reached)
        gw_buf_addf(
            out, "%s, database %s, as %s%s%s\n", probed->identity.product, probed->identity.database,
            probed->identity.user, probed->identity.in_recovery ? "; a STANDBY: give the primary" : "",
            probed->identity.loopback || probed->identity.encrypted ? "" : "; NOT ENCRYPTED: add sslmode=verify-full");
    else
        gw_buf_adds(out, "could not be reached when this was written\n");
}

/* Without force the file must not be there: O_EXCL, so that nothing is lost to a race either. */
static bool write_file(const char *path, const struct gw_buf *text, bool force, struct gw_error *err)
{
    if (force)
        return gw_file_replace(path, gw_buf_text(text), text->len, err);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) {
        (void)!gw_fail(err, GW_ERR_USER, "%s is there already", path);
        return gw_error_hint(err, "name another with -f, or overwrite it with --force");
    }
    if (fd < 0)
        return gw_fail_errno(err, errno, "writing %s", path);
    bool fine = gw_write_all(fd, gw_buf_text(text), text->len, err);
    if (fine && fsync(fd) != 0)
        fine = gw_fail_errno(err, errno, "writing %s", path);
    close(fd);
    if (!fine)
        unlink(path);
    return fine;
}

static void report(struct gw_cli *cli, const char *name, const struct probed sides[2])
{
    gw_autobuf struct gw_buf command = {0};
    gw_buf_adds(&command, "godwit ");
    if (strcmp(cli->file, "godwit.yaml") != 0)
        gw_buf_addf(&command, "-f %s ", cli->file);
    gw_buf_adds(&command, sides[GW_BLUE].reached && sides[GW_GREEN].reached ? "check" : "check --grants");
    if (cli->json) {
        gw_cli_print_json(json_pack("{s:o, s:s, s:b, s:b, s:s}", "file", gw_json_text(cli->file), "migration", name,
                                    "blue_reached", sides[GW_BLUE].reached, "green_reached", sides[GW_GREEN].reached,
                                    "next", gw_buf_text(&command)));
        return;
    }
    for (int side = 0; side < 2; side++)
        if (sides[side].reached)
            printf("%-6s%s at %s as %s\n", gw_side_name((enum gw_side)side), sides[side].identity.product,
                   sides[side].identity.address, sides[side].identity.user);
    printf("%s written: migration %s, every other setting in it as a comment\nnext: %s\n", cli->file, name,
           gw_buf_text(&command));
}

static void tell_password_left_out(const char *address, enum gw_side side)
{
    gw_autobuf struct gw_buf bare = {0};
    gw_migration_strip_url(address, &bare);
    if (strcmp(address, gw_buf_text(&bare)) != 0)
        gw_warn("the password of %s is not in the file: give it by ~/.pgpass, ~/.my.cnf, password_command or ${NAME}",
                gw_side_name(side));
}

static int refuse(struct gw_cli *cli, struct probed sides[2])
{
    struct gw_error *why = &sides[sides[GW_BLUE].reached ? GW_GREEN : GW_BLUE].why;
    if (!sides[GW_BLUE].reached && !sides[GW_GREEN].reached)
        gw_log_error(&sides[GW_GREEN].why);
    (void)!gw_error_hint(why,
                         "mend that, or write the file all the same with --force (and then: godwit check --grants)");
    gw_cli_fail(cli, why);
    return GW_EXIT_UNREACHABLE;
}

/* ---- to another engine: the map that would be used --------------------------------------------------------------- */

static bool compile_map(struct gw_store *blue, struct gw_store *green, struct gw_buf *text, struct gw_error *err)
{
    const struct gw_filter everything = {0};
    struct gw_definition definition = {0};
    struct gw_map_losses losses = {0};
    struct gw_map *map = NULL;
    bool ok = gw_lens_describe(blue, &everything, &definition, err) &&
              gw_lens_compile(&definition, blue, green, NULL, &map, &losses, err);
    if (ok)
        gw_map_write_commented(map, &losses, text);
    gw_map_free(map);
    gw_map_losses_release(&losses);
    gw_definition_release(&definition);
    return ok;
}

static bool open_both(struct gw_cli *cli, struct gw_store *stores[2], struct gw_error *err)
{
    for (int side = 0; side < 2; side++) {
        struct gw_store_options options = {
            .url = cli->argv[side], .migration = "init", .side = (enum gw_side)side, .cancel = cli->cancel};
        if (!gw_store_open(&options, &stores[side], err))
            return false;
    }
    return true;
}

static bool engines_differ(const struct gw_cli *cli)
{
    const struct gw_store_type *types[2] = {NULL, NULL};
    struct gw_error ignored;
    for (int side = 0; side < 2; side++)
        if (!gw_store_type_for(cli->argv[side], &types[side], &ignored))
            return false;
    return types[0] != types[1];
}

/* What cannot be mapped is no reason not to have a file: check says it, too. */
static bool add_map(struct gw_cli *cli, const struct probed sides[2], struct gw_buf *text, struct gw_error *err)
{
    struct gw_store *stores[2] = {NULL, NULL};
    bool ok = true;
    if (!sides[GW_BLUE].reached || !sides[GW_GREEN].reached) {
        if (engines_differ(cli))
            gw_warn(
                "the map of the columns is not in the file: once both sides can be reached, init again with --force");
        return true;
    }
    ok = open_both(cli, stores, err) && (!gw_lens_needed(stores[GW_BLUE], stores[GW_GREEN], NULL) ||
                                         compile_map(stores[GW_BLUE], stores[GW_GREEN], text, err));
    for (int side = 0; side < 2; side++)
        gw_store_close(stores[side]);
    if (ok || err->kind == GW_ERR_CANCELLED)
        return ok;
    gw_warn("the map to %s is not in the file: %s", sides[GW_GREEN].identity.product, err->message);
    return true;
}

/* A file is written with its whole path: the runner may be started elsewhere. Owned. */
static char *lasting_address(const char *address)
{
    char *path = realpath(address, NULL);
    return path ? path : gw_strdup(address);
}

static int init(struct gw_cli *cli, const char *given_name, bool force)
{
    struct gw_error err;
    struct probed sides[2];
    char name[GW_MIGRATION_NAME_MAX + 1];
    gw_autobuf struct gw_buf text = {0};
    if (!force && gw_file_exists(cli->file)) {
        (void)!gw_fail(&err, GW_ERR_USER, "%s is there already", cli->file);
        (void)!gw_error_hint(&err, "name another with -f, or overwrite it with --force");
        return gw_cli_fail(cli, &err);
    }
    for (int side = 0; side < 2; side++)
        if (!probe(cli, cli->argv[side], (enum gw_side)side, &sides[side], &err))
            return gw_cli_fail(cli, &err);
    if (!force && (!sides[GW_BLUE].reached || !sides[GW_GREEN].reached))
        return refuse(cli, sides);
    for (int side = 0; side < 2; side++)
        if (!sides[side].reached)
            gw_warn("%s", sides[side].why.message);
    if (sides[GW_BLUE].reached && sides[GW_GREEN].reached &&
        strcmp(sides[GW_BLUE].identity.server, sides[GW_GREEN].identity.server) == 0 &&
        strcmp(sides[GW_BLUE].identity.database, sides[GW_GREEN].identity.database) == 0) {
        (void)!gw_fail(&err, GW_ERR_USER, "blue and green are the same database: %s", sides[GW_GREEN].identity.address);
        return gw_cli_fail(cli, &err);
    }
    if (given_name)
        snprintf(name, sizeof name, "%s", given_name);
    else
        name_after(&sides[GW_BLUE], name);
    add_probed(&text, "blue", &sides[GW_BLUE]);
    add_probed(&text, "green", &sides[GW_GREEN]);
    gw_autofree char *blue = lasting_address(cli->argv[GW_BLUE]), *green = lasting_address(cli->argv[GW_GREEN]);
    gw_autobuf struct gw_buf map = {0};
    if (!add_map(cli, sides, &map, &err))
        return gw_cli_fail(cli, &err);
    gw_migration_write_commented_map(name, blue, green, map.len ? gw_buf_text(&map) : NULL, &text);
    gw_buf_addc(&text, '\n');
    if (!write_file(cli->file, &text, force, &err))
        return gw_cli_fail(cli, &err);
    for (int side = 0; side < 2; side++)
        tell_password_left_out(cli->argv[side], (enum gw_side)side);
    report(cli, name, sides);
    return GW_EXIT_YES;
}

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    const char *name = NULL;
    bool force = false;
    const struct gw_option options[] = {
        {"name=NAME", 'n', GW_OPTION_TEXT, &name, "the migration's name; default: that of blue's database"},
        {"force", 0, GW_OPTION_FLAG, &force,
         "overwrite a file that is there; write it also when a side cannot be reached"},
    };
    struct gw_error err;
    int code = gw_cli_parse(cli, command, options, sizeof options / sizeof options[0], 2, 2);
    if (code >= 0)
        return code;
    if (name && !gw_migration_name_valid(name)) {
        (void)!gw_fail(&err, GW_ERR_USER, "\"%s\" cannot be a migration's name", name);
        (void)!gw_error_hint(&err, "small letters, digits, '_' and '-', at most %d, not beginning with '-' or '_'",
                             GW_MIGRATION_NAME_MAX);
        return gw_cli_fail(cli, &err);
    }
    return init(cli, name, force);
}

const struct gw_command gw_command_init = {
    .name = "init",
    .summary = "probe both sides and write a commented migration file",
    .arguments = "BLUE GREEN",
    .description =
        "BLUE and GREEN are addresses such as postgresql://godwit@old.internal/app. Passwords in them are used for\n"
        "the probe and not written down: put them into ~/.pgpass, password_command or ${NAME}. Never overwrites a\n"
        "file without --force.\n",
    .run = run,
};
