/*
 * Commands that work a verb: by the live runner where there is one, in the foreground otherwise.
 */
#ifndef GW_CLI_VERB_H
#define GW_CLI_VERB_H

#include "cli/command.h"
#include "journey/verbs.h"

struct gw_cli_verb {
    const char *name;
    gw_verb_function *work;
    json_t *arguments;   /* owned: released by gw_cli_verb_run */
    const char *confirm; /* what to ask before it, NULL: nothing */
    bool yes;
    /* Prints the result for a person on stdout; NULL: the lines said on the way are enough. */
    void (*print)(const json_t *result, int code);
    /* Files made of the result, before it is printed; NULL: none. */
    bool (*keep)(const json_t *result, void *arg, struct gw_error *);
    void *keep_arg;
};

int gw_cli_verb_run(struct gw_cli *, struct gw_cli_verb);

#endif
