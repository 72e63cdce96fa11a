#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/verb.h"
#include "verify/render.h"
#include "verify/sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct reports {
    const char *markdown, *html, *junit; /* paths; NULL: not wanted */
};

static bool write_report(const char *path, void (*render)(const json_t *, struct gw_buf *), const json_t *result,
                         struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    if (!path)
        return true;
    render(result, &text);
    if (!gw_file_replace(path, gw_buf_text(&text), text.len, err))
        return gw_error_prefix(err, "the report %s", path);
    gw_info("report: %s", path);
    return true;
}

static bool write_reports(const json_t *result, void *arg, struct gw_error *err)
{
    const struct reports *reports = arg;
    if (!json_object_get(result, "verdict"))
        return true; /* no verdict could be had, and that is said */
    return write_report(reports->markdown, gw_verify_markdown, result, err) &&
           write_report(reports->html, gw_verify_html, result, err) &&
           write_report(reports->junit, gw_verify_junit, result, err);
}

static bool take_sample(const char *percent, const char *seed, struct gw_verify_sample *sample, struct gw_error *err)
{
    char *end = NULL;
    sample->seed = seed ? strtoull(seed, &end, 10) : gw_random64() >> 32; /* short enough to be typed again */
    if (seed && (*end || !*seed || sample->seed > INT64_MAX))
        return gw_fail(err, GW_ERR_USER, "--seed is a whole number, not \"%s\"", seed);
    if (seed && !percent)
        return gw_fail(err, GW_ERR_USER, "--seed is of a sample") || gw_error_hint(err, "add --sample 1%%");
    return !percent || gw_sample_parse(percent, sample, err);
}

static void print_seeds(const json_t *result, int code)
{
    (void)code;
    fputs(json_string_value(json_object_get(result, "yaml")), stdout);
}

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    struct reports reports = {0};
    bool seed = false, masked = false;
    const char *percent = NULL, *sample_seed = NULL;
    struct gw_verify_sample sample = {0};
    bool apply = false;
    const char *repair = NULL;
    char folder[4096] = "";
    const struct gw_option options[] = {
        {"markdown=FILE", 0, GW_OPTION_TEXT, &reports.markdown, "the report as Markdown"},
        {"html=FILE", 0, GW_OPTION_TEXT, &reports.html, "the report as one page that needs nothing else"},
        {"private", 0, GW_OPTION_FLAG, &masked,
         "hold back what rows hold: values, and keys that are texts, as hashes under a key of this run"},
        {"sample=PERCENT", 0, GW_OPTION_TEXT, &percent,
         "look at so many of the rows, by chance, and say what that is worth; lets no switch begin"},
        {"seed=NUMBER", 0, GW_OPTION_TEXT, &sample_seed, "of the sample: the same rows again"},
        {"seed-queries", 0, GW_OPTION_FLAG, &seed,
         "print what takes most of the owner's time as queries: for godwit.yaml, and compare nothing"},
        {"repair=FILE", 0, GW_OPTION_TEXT, &repair,
         "write SQL that repairs the side that is not the owner, and FILE.undo"},
        {"apply", 0, GW_OPTION_FLAG, &apply, "with --repair: run it, too, and verify again"},
        {"junit=FILE", 0, GW_OPTION_TEXT, &reports.junit, "the report as JUnit XML, a case for each table and rule"},
    };
    int code = gw_cli_parse(cli, command, options, sizeof options / sizeof options[0], 0, 0);
    if (code >= 0)
        return code;
    struct gw_error err;
    if (!take_sample(percent, sample_seed, &sample, &err))
        return gw_cli_fail(cli, &err);
    if ((apply && !repair) || (masked && repair)) {
        (void)!gw_fail(&err, GW_ERR_USER,
                       apply && !repair ? "--apply goes with --repair FILE"
                                        : "--repair writes what rows hold, --private holds it back");
        return gw_cli_fail(cli, &err);
    }
    /* The runner, which may write it, works in another folder. */
    if (repair && *repair != '/' && !getcwd(folder, sizeof folder - 1)) {
        (void)!gw_fail_errno(&err, errno, "cannot tell which folder this is");
        return gw_cli_fail(cli, &err);
    }
    gw_autofree char *file = repair ? gw_asprintf("%s%s%s", folder, *folder ? "/" : "", repair) : NULL;
    return gw_cli_verb_run(
        cli,
        (struct gw_cli_verb){.name = "verify",
                             .work = gw_verb_verify,
                             .arguments = json_pack("{s:b, s:b, s:I, s:I, s:b, s:s?}", "seed_queries", seed, "private",
                                                    masked, "sample_one_of", (json_int_t)sample.one_of, "sample_seed",
                                                    (json_int_t)sample.seed, "apply", apply, "repair", file),
                             .print = seed ? print_seeds : NULL,
                             .keep = write_reports,
                             .keep_arg = &reports});
}

const struct gw_command gw_command_verify = {
    .name = "verify",
    .summary = "compare both sides: equal, different or unresolved",
    .arguments = "",
    .description =
        "Reads every row on both sides by a path of its own and compares digests; where they differ, rows and\n"
        "columns, read again until they stand still. Works on a live pair. Then asks the rows of the side that follows\n"
        "whether each finds what it refers to, and for indexes, conditions and counters. Exit 0 equal, 1 different,\n"
        "3 unresolved. --json gives the whole report.\n",
    .run = run,
};
