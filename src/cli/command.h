/*
 * The command table and what commands share: options, output, asking for confirmation. One file per command.
 */
#ifndef GW_CLI_COMMAND_H
#define GW_CLI_COMMAND_H

#include "base/cancel.h"
#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum gw_option_kind { GW_OPTION_FLAG, GW_OPTION_TEXT };
struct gw_option {
    const char *name; /* long, without dashes; of a text option with what --help calls its value: "file=FILE" */
    char letter;      /* 0: none */
    enum gw_option_kind kind;
    void *target; /* bool * or const char ** */
    const char *help;
};

struct gw_cli {
    const char *program;
    const char *file; /* -f */
    bool json, verbose;
    struct gw_cancel *cancel; /* asked by SIGINT and SIGTERM */
    int argc;                 /* what is left behind the command's name */
    char **argv;
};

struct gw_command {
    const char *name;
    const char *summary;
    const char *arguments;   /* "BLUE GREEN", or "" */
    const char *description; /* paragraphs for --help */
    int (*run)(struct gw_cli *, const struct gw_command *);
    bool hidden;
};

extern const struct gw_command *const gw_commands[]; /* NULL-ended */

/* Parses options of the command and the common ones; positional arguments stay in cli->argv[0..argc). Returns -1 to go
 * on, else the exit code (after --help, or a usage error it has printed). */
int gw_cli_parse(struct gw_cli *, const struct gw_command *, const struct gw_option *options, size_t count,
                 int least_arguments, int most_arguments);
/* Prints the error (as JSON too when asked) and gives its exit code. */
int gw_cli_fail(const struct gw_cli *, const struct gw_error *err);
/* Prints one JSON object on stdout and frees it. */
void gw_cli_print_json(json_t *object);
/* `switch` and the like: asks for the migration's name on a terminal, needs --yes without one. */
GW_MUST_CHECK bool gw_cli_confirm(const char *migration, const char *what, bool yes, struct gw_error *err);

int gw_cli_main(int argc, char **argv);

#endif
