#include "base/log.h"
#include "base/mem.h"
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_option(const struct gw_option *option)
{
    char left[64];
    const char *value = strchr(option->name, '=');
    snprintf(left, sizeof left, "%s%c%s --%.*s%s%s", option->letter ? "-" : " ", option->letter ? option->letter : ' ',
             option->letter ? "," : " ", (int)strcspn(option->name, "="), option->name, value ? " " : "",
             value ? value + 1 : "");
    printf("  %-26s %s\n", left, option->help);
}

static void print_command_help(const struct gw_command *command, const struct gw_option *options, size_t count)
{
    printf("usage: godwit %s%s%s [options]\n\n%s\n\n%s\n", command->name, command->arguments[0] ? " " : "",
           command->arguments, command->summary, command->description);
    printf("options:\n");
    for (size_t i = 0; i < count; i++)
        print_option(&options[i]);
    printf("  -f, --file FILE            migration file (default godwit.yaml)\n"
           "      --json                 one JSON object on stdout\n"
           "  -v, --verbose              debug lines with their time\n");
}

static int complain(const struct gw_command *command, const char *what, const char *argument)
{
    struct gw_error err;
    (void)!gw_fail(&err, GW_ERR_USER, "%s: %s%s%s", command->name, what, argument ? " " : "", argument ? argument : "");
    (void)!gw_error_hint(&err, "godwit %s --help", command->name);
    gw_log_error(&err);
    return GW_EXIT_USAGE;
}

/* Does argv[*i] name this option? Takes its value, from behind '=' or the next argument. */
static bool take(const struct gw_option *option, int argc, char **argv, int *i, bool *missing)
{
    const char *arg = argv[*i], *value = NULL;
    size_t len = strcspn(option->name, "=");
    if (option->letter && arg[0] == '-' && arg[1] == option->letter && !arg[2]) {
        value = NULL;
    } else if (!strncmp(arg, "--", 2) && !strncmp(arg + 2, option->name, len) &&
               (!arg[2 + len] || arg[2 + len] == '=')) {
        value = arg[2 + len] ? arg + 3 + len : NULL;
    } else {
        return false;
    }
    if (option->kind == GW_OPTION_FLAG) {
        *(bool *)option->target = true;
        *missing = value != NULL;
        return true;
    }
    if (!value && *i + 1 < argc)
        value = argv[++*i];
    *missing = !value;
    *(const char **)option->target = value;
    return true;
}

int gw_cli_parse(struct gw_cli *cli, const struct gw_command *command, const struct gw_option *options, size_t count,
                 int least_arguments, int most_arguments)
{
    const struct gw_option common[] = {
        {"file=FILE", 'f', GW_OPTION_TEXT, &cli->file, ""},
        {"json", 0, GW_OPTION_FLAG, &cli->json, ""},
        {"verbose", 'v', GW_OPTION_FLAG, &cli->verbose, ""},
    };
    int kept = 0;
    for (int i = 0; i < cli->argc; i++) {
        bool missing = false, known = false;
        char *arg = cli->argv[i];
        if (arg[0] != '-' || !arg[1]) {
            cli->argv[kept++] = arg;
            continue;
        }
        if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) {
            print_command_help(command, options, count);
            return GW_EXIT_YES;
        }
        for (size_t o = 0; !known && o < count; o++)
            known = take(&options[o], cli->argc, cli->argv, &i, &missing);
        for (size_t o = 0; !known && o < sizeof common / sizeof common[0]; o++)
            known = take(&common[o], cli->argc, cli->argv, &i, &missing);
        if (!known)
            return complain(command, "unknown option", arg);
        if (missing)
            return complain(command, "wrong or missing value for", arg);
    }
    cli->argc = kept;
    if (kept < least_arguments)
        return complain(command, "missing argument:", command->arguments);
    if (kept > most_arguments)
        return complain(command, "unexpected argument", cli->argv[most_arguments]);
    if (cli->verbose)
        gw_log_init(GW_LOG_DEBUG);
    return -1;
}

int gw_cli_fail(const struct gw_cli *cli, const struct gw_error *err)
{
    enum gw_exit code = gw_error_exit(err);
    gw_log_error(err);
    if (cli->json) {
        gw_cli_print_json(json_pack("{s:s, s:i, s:s, s:s, s:s, s:s}", "error", err->message, "exit", (int)code, "kind",
                                    gw_error_kind_name(err->kind), "detail", err->detail, "hint", err->hint, "place",
                                    err->place));
    }
    return (int)code;
}

void gw_cli_print_json(json_t *object)
{
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    puts(text ? text : "{}");
    free(text);
    json_decref(object);
}

bool gw_cli_confirm(const char *migration, const char *what, bool yes, struct gw_error *err)
{
    if (yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        (void)!gw_fail(err, GW_ERR_USER, "%s needs a confirmation and standard input is no terminal", what);
        return gw_error_hint(err, "give --yes");
    }
    char line[128] = "";
    fprintf(stderr, "%s\nType the migration's name (%s) to go on: ", what, migration);
    if (!fgets(line, sizeof line, stdin))
        line[0] = 0;
    line[strcspn(line, "\r\n")] = 0;
    if (!strcmp(line, migration))
        return true;
    return gw_fail(err, GW_ERR_USER, "not confirmed, nothing was done");
}
