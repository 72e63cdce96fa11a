#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct gw_cancel stop;

/* The second signal ends the process at once: every step is resumable. */
static void on_signal(int number)
{
    if (gw_cancel_wished(&stop))
        _exit(GW_EXIT_INTERRUPTED);
    gw_cancel_ask(&stop, number);
}

static bool catch_signals(struct gw_error *err)
{
    if (!gw_cancel_init(&stop, err))
        return false;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    return true;
}

static void print_help(FILE *out)
{
    fprintf(out, "godwit moves a live database from old infrastructure (blue) to new (green), and back.\n\n"
                 "usage: godwit [-f FILE] COMMAND [options]\n\n");
    for (size_t i = 0; gw_commands[i]; i++) {
        if (!gw_commands[i]->hidden)
            fprintf(out, "  %-10s %s\n", gw_commands[i]->name, gw_commands[i]->summary);
    }
    fprintf(out, "\ncommon options:\n"
                 "  -f, --file FILE   migration file (default godwit.yaml)\n"
                 "      --json        one JSON object on stdout; progress and logs stay on stderr\n"
                 "  -v, --verbose     debug lines with their time\n"
                 "      --help        help, also for one command: godwit COMMAND --help\n"
                 "      --version     version\n\n"
                 "exit codes: 0 yes, 1 the answer is no, 2 usage or bad file, 3 unresolved,\n"
                 "            4 a server cannot be reached or refused, 5 interrupted and resumable, 70 a bug\n\n"
                 "Try it without any database of your own: godwit demo\n");
}

#ifdef GW_CRASH_POINTS
static void print_crash_point(const char *name, void *out)
{
    fprintf(out, "%s\n", name);
}
#endif

static const struct gw_command *find_command(const char *name)
{
    for (size_t i = 0; gw_commands[i]; i++) {
        if (!strcmp(gw_commands[i]->name, name))
            return gw_commands[i];
    }
    return NULL;
}

static int usage_error(const char *format, const char *what)
{
    struct gw_error err;
    (void)!gw_fail(&err, GW_ERR_USER, "%s \"%s\"", format, what);
    (void)!gw_error_hint(&err, "godwit --help lists the commands");
    gw_log_error(&err);
    return GW_EXIT_USAGE;
}

/* Options before the command's name; returns the index of the name, or -1 with *code set. */
static int leading_options(struct gw_cli *cli, int argc, char **argv, int *code)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-')
            return i;
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            print_help(stdout);
            *code = GW_EXIT_YES;
            return -1;
        }
        if (!strcmp(argv[i], "--version")) {
            printf("godwit %s\n", GW_VERSION);
            *code = GW_EXIT_YES;
            return -1;
        }
#ifdef GW_CRASH_POINTS
        if (!strcmp(argv[i], "--crash-points")) {
            gw_crash_each(print_crash_point, stdout);
            *code = GW_EXIT_YES;
            return -1;
        }
#endif
        if ((!strcmp(argv[i], "-f") || !strcmp(argv[i], "--file")) && i + 1 < argc) {
            cli->file = argv[++i];
        } else if (!strncmp(argv[i], "--file=", 7)) {
            cli->file = argv[i] + 7;
        } else if (!strcmp(argv[i], "--json")) {
            cli->json = true;
        } else if (!strcmp(argv[i], "-v") || !strcmp(argv[i], "--verbose")) {
            cli->verbose = true;
        } else {
            *code = usage_error("unknown option", argv[i]);
            return -1;
        }
    }
    print_help(stderr);
    *code = GW_EXIT_USAGE;
    return -1;
}

int gw_cli_main(int argc, char **argv)
{
    struct gw_cli cli = {.program = argv[0], .file = "godwit.yaml", .cancel = &stop};
    struct gw_error err;
    int code = 0;
    int at = leading_options(&cli, argc, argv, &code);
    if (at < 0)
        return code;
    const struct gw_command *command = find_command(argv[at]);
    if (!command)
        return usage_error("unknown command", argv[at]);
    gw_log_init(cli.verbose ? GW_LOG_DEBUG : GW_LOG_INFO);
    if (!catch_signals(&err))
        return gw_cli_fail(&cli, &err);
    cli.argc = argc - at - 1;
    cli.argv = argv + at + 1;
    code = command->run(&cli, command);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "godwit: error: writing to standard output failed: %s\n", strerror(errno));
        code = code == GW_EXIT_YES ? GW_EXIT_INTERRUPTED : code; /* as a full disk */
    }
    return code;
}
