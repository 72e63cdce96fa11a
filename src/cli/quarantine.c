#include "journey/quarantine.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/verb.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *item, const char *key)
{
    const char *text = json_string_value(json_object_get(item, key));
    return text ? text : "";
}

static void print_way_on(const json_t *by_hand)
{
    const char *const sides[] = {"blue", "green"};
    puts(
        "\nA row that did not fit: mend it on the side it comes from, and godwit follow or run takes it over and clears its\n"
        "items. Else mend each by its reason, so that both sides hold the same. What you write on the side that follows must\n"
        "count as godwit's own:");
    for (int side = 0; side < 2; side++)
        if (*text_of(by_hand, sides[side]))
            printf("on %s %s", sides[side], text_of(by_hand, sides[side]));
    puts("Then godwit quarantine --clear ID, or --clear all, and godwit verify.");
}

static void print_items(const json_t *items, const json_t *by_hand)
{
    size_t i;
    json_t *item;
    if (!json_array_size(items)) {
        puts("nothing is in quarantine");
        return;
    }
    json_array_foreach(items, i, item)
    {
        char age[16];
        gw_format_duration(gw_wall_us() - json_integer_value(json_object_get(item, "wall_us")), age);
        const char *key = text_of(item, "key");
        const char *position = text_of(item, "position");
        printf("%4lld  %s  %s of %s%s%s\n      %s\n      %s%s%s%s ago\n",
               (long long)json_integer_value(json_object_get(item, "id")), text_of(item, "stream"),
               text_of(item, "operation"), text_of(item, "table"), key[0] ? ", " : "", key, text_of(item, "reason"),
               position[0] ? "at " : "", position, position[0] ? ", " : "", age);
    }
    print_way_on(by_hand);
}

static int list(struct gw_cli *cli)
{
    struct gw_journey *journey;
    struct gw_error err;
    gw_autojson json_t *found = NULL;
    gw_error_clear(&err);
    if (!gw_journey_open(cli->file, cli->cancel, &journey, &err))
        return gw_cli_fail(cli, &err);
    bool ok = gw_quarantine_list(journey, &found, &err);
    gw_journey_close(journey);
    if (!ok)
        return gw_cli_fail(cli, &err);
    const json_t *items = json_object_get(found, "items");
    int code = json_array_size(items) ? GW_EXIT_NO : GW_EXIT_YES;
    if (cli->json) {
        json_object_set_new(found, "exit", json_integer(code));
        gw_cli_print_json(json_incref(found));
    } else {
        print_items(items, json_object_get(found, "by_hand"));
    }
    return code;
}

/* "all" is 0, which no item has. */
static bool parse_clear(const char *text, long long *id, struct gw_error *err)
{
    char *end = NULL;
    *id = 0;
    if (!strcmp(text, "all"))
        return true;
    *id = strtoll(text, &end, 10);
    if (*id > 0 && !*end)
        return true;
    return gw_fail(err, GW_ERR_USER, "--clear wants the id of an item, or all, not \"%s\"", text);
}

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    const char *clear = NULL;
    bool yes = false;
    const struct gw_option options[] = {
        {"clear", 0, GW_OPTION_TEXT, &clear, "an item's id, or all: its row was mended"},
        {"yes", 'y', GW_OPTION_FLAG, &yes, "do not ask for the migration's name"},
    };
    struct gw_error err;
    long long id;
    int code = gw_cli_parse(cli, command, options, sizeof options / sizeof options[0], 0, 0);
    if (code >= 0)
        return code;
    if (!clear)
        return list(cli);
    if (!parse_clear(clear, &id, &err))
        return gw_cli_fail(cli, &err);
    return gw_cli_verb_run(
        cli, (struct gw_cli_verb){.name = "quarantine",
                                  .work = gw_verb_quarantine,
                                  .arguments = json_pack("{s:I}", "clear", (json_int_t)id),
                                  .confirm = "This forgets changes that were not applied: their rows must be mended.",
                                  .yes = yes});
}

const struct gw_command gw_command_quarantine = {
    .name = "quarantine",
    .summary = "changes that could not be applied: list them, take out what was mended",
    .arguments = "",
    .description =
        "Lists each with its stream, table, operation, key, reason and position, and how to mend it; exit 1 when\n"
        "there are any. They block the switch and the way back until they are taken out with --clear.\n",
    .run = run,
};
