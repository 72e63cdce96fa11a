#include "check/check.h"

#include "base/file.h"
#include "base/mem.h"
#include "gate/around.h"
#include "store/lens_plan.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUND_TRIPS = 15, ROWS_LOOKED_AT = 100000, LOCAL_LEAST_BYTES = 1000000000, SESSIONS_SHOWN = 5 };
static const int64_t sample_bytes = 8 << 20;

/* ---- sides --------------------------------------------------------------------------------------------------------- */

static void add_refused(struct gw_check_report *report, enum gw_side side, const struct gw_error *why)
{
    gw_findings_add(&report->findings, GW_FINDING_BLOCKS, side, "unreachable",
                    *why->hint ? why->hint : "see the address, the network, the user and the password", "%s%s%s",
                    why->message, *why->detail ? ": " : "", why->detail);
}

static void describe_side(struct gw_check_side *out, const struct gw_store *store)
{
    out->reached = true;
    snprintf(out->product, sizeof out->product, "%s", store->identity.product);
    snprintf(out->address, sizeof out->address, "%s", store->identity.address);
    snprintf(out->user, sizeof out->user, "%s", store->identity.user);
}

static bool measure_side(struct gw_store *store, struct gw_check_side *out, struct gw_findings *findings,
                         struct gw_error *err)
{
    if (!store->type->inspect->probe)
        return true;
    if (!store->type->inspect->probe(store, ROUND_TRIPS, sample_bytes, &out->round_trip_us, &out->bytes_per_second,
                                     err))
        return false;
    out->measured = true;
    if (out->round_trip_us > 50000)
        gw_findings_add(findings, GW_FINDING_WARNING, store->side, "round-trip",
                        "run godwit on a machine near the servers",
                        "a round trip takes %lld ms: a switch needs about ten of them within its pause",
                        (long long)(out->round_trip_us / 1000));
    return true;
}

static bool check_side(const struct gw_check_options *options, enum gw_side side, struct gw_check_report *report,
                       struct gw_error *err)
{
    struct gw_store *store = options->sides[side];
    if (!store) {
        add_refused(report, side, options->refused[side]);
        return true;
    }
    describe_side(&report->sides[side], store);
    if (!store->type->inspect) {
        gw_findings_add(&report->findings, GW_FINDING_WARNING, side, "not-looked", "",
                        "this engine cannot be looked into: nothing is known of this side");
        return true;
    }
    return store->type->inspect->check(store, options->filter, &report->findings, err) &&
           measure_side(store, &report->sides[side], &report->findings, err);
}

static bool add_unsupported(struct gw_check_report *report, const struct gw_error *why)
{
    gw_findings_add(&report->findings, GW_FINDING_BLOCKS, GW_GREEN, "engines-differ",
                    "give green an address of the same engine, and no rules", "%s", why->message);
    return true;
}

static bool check_pair(const struct gw_check_options *options, struct gw_check_report *report, struct gw_error *err)
{
    struct gw_store *blue = options->sides[GW_BLUE], *green = options->sides[GW_GREEN];
    if (!blue || !green)
        return true;
    bool mapped = gw_lens_needed(blue, green, options->rules);
    if (mapped) {
        const struct gw_lens_look look = {.findings = &report->findings};
        if (!gw_lens_look(blue, green, options->filter, options->rules, ROWS_LOOKED_AT, &look, err))
            return err->kind == GW_ERR_UNSUPPORTED && add_unsupported(report, err);
    }
    if (blue->type != green->type)
        return true;
    const struct gw_inspect_facet *inspect = blue->type->inspect;
    if (!inspect || blue->identity.in_recovery || green->identity.in_recovery)
        return true;
    if (!mapped && inspect->check_values && !inspect->check_values(blue, options->filter, &report->findings, err))
        return false;
    return inspect->check_pair(blue, green, options->filter, &report->findings, err);
}

/* ---- the gate ------------------------------------------------------------------------------------------------------ */

/* A gate says in one line what is wrong and, behind a colon or a semicolon, what to do: where that begins, NULL: not. */
static const char *remedy_in(const char *line)
{
    static const char *const verbs[] = {"set ", "list ", "add ", "run ", "name ", "let ", "say ", "lower ", "end "};
    const char *first = NULL;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        for (const char *at = strstr(line, verbs[i]); at; at = strstr(at + 1, verbs[i])) {
            bool begins = at - line >= 2 && at[-1] == ' ' && strchr(":;", at[-2]);
            if (begins && (!first || at < first))
                first = at;
        }
    }
    return first;
}

static void add_gate_lines(const struct gw_buf *lines, struct gw_findings *findings)
{
    const char *at = gw_buf_text(lines);
    while (*at) {
        size_t len = strcspn(at, "\n");
        gw_autofree char *line = gw_strndup(at, len);
        const char *remedy = remedy_in(line);
        if (len > 0)
            gw_findings_add(findings, GW_FINDING_BLOCKS, GW_BLUE, "gate",
                            remedy ? remedy
                                   : "see gate: in the migration file (godwit config), and the gate's own settings",
                            "%.*s", (int)(remedy ? remedy - line - 2 : (ptrdiff_t)len), line);
        at += len + (at[len] == '\n');
    }
}

/* Nothing to repair: what a switch will cost the clients, before anybody counts on less. */
static void add_gate_costs(struct gw_gate *gate, struct gw_findings *findings)
{
    gw_autobuf struct gw_buf lines = {0};
    struct gw_error ignored; /* preflight has asked the same gate, and says what is wrong */
    if (!gate->type->costs || !gate->type->costs(gate, &lines, &ignored))
        return;
    for (const char *at = gw_buf_text(&lines); *at; at += *at == '\n') {
        size_t len = strcspn(at, "\n");
        if (len)
            gw_findings_add(findings, GW_FINDING_INFO, GW_BLUE, "gate-cost", "nothing to do, if the application can",
                            "the gate %s: %.*s", gate->type->name, (int)len, at);
        at += len;
    }
}

/* Who does not come through the gate meets the fence with an error. Now it is a warning; at the switch it blocks. */
static bool check_bypass(const struct gw_check_options *options, struct gw_findings *findings, struct gw_error *err)
{
    struct gw_store *blue = options->sides[GW_BLUE];
    struct gw_session_info *found = NULL;
    gw_autobuf struct gw_buf names = {0};
    size_t around = 0;
    if (!blue)
        return true;
    if (!gw_gate_sessions_around(options->gate, blue, options->cancel, &found, &around, err))
        return false;
    for (size_t i = 0; i < around && i < SESSIONS_SHOWN; i++)
        gw_buf_addf(&names, "%s%s@%s (%s, pid %lld)", names.len ? ", " : "", found[i].user, found[i].address,
                    found[i].application[0] ? found[i].application : "no application_name", (long long)found[i].id);
    if (around > SESSIONS_SHOWN)
        gw_buf_addf(&names, " and %zu more", around - SESSIONS_SHOWN);
    if (around)
        gw_findings_add(
            findings, GW_FINDING_WARNING, GW_BLUE, "gate-bypassed",
            "send them through the gate, or end them before the switch",
            "%zu sessions on blue do not come through the gate: %s. A switch is refused while they are there", around,
            gw_buf_text(&names));
    free(found);
    return true;
}

static bool check_gate(const struct gw_check_options *options, struct gw_check_report *report, struct gw_error *err)
{
    gw_autobuf struct gw_buf lines = {0};
    struct gw_error why;
    report->predicted_park_ms = -1;
    if (options->gate_refused) {
        gw_findings_add(&report->findings, GW_FINDING_BLOCKS, GW_BLUE, "gate", options->gate_refused->hint,
                        "the gate could not be opened: %s", options->gate_refused->message);
        return true;
    }
    if (!options->gate)
        return true;
    if (!options->gate->type->parks) {
        gw_findings_add(&report->findings, GW_FINDING_WARNING, GW_BLUE, "no-gate",
                        "gate: { type: pgbouncer, ... } in the migration file; see godwit config",
                        "no gate is configured: at the switch the application's writes fail until it is led to green");
        return true;
    }
    if (!options->gate->type->preflight(options->gate, options->pause_budget_ms, &lines, &report->predicted_park_ms,
                                        &why)) {
        if (why.kind == GW_ERR_CANCELLED) {
            *err = why;
            return false;
        }
        gw_findings_add(&report->findings, GW_FINDING_BLOCKS, GW_BLUE, "gate", why.hint,
                        "the gate could not be asked: %s", why.message);
        report->predicted_park_ms = -1;
        return true;
    }
    add_gate_lines(&lines, &report->findings);
    add_gate_costs(options->gate, &report->findings);
    return check_bypass(options, &report->findings, err);
}

/* ---- this machine ---------------------------------------------------------------------------------------------------- */

/* The nearest folder that is there: the state's own is made by the first stage that needs it. */
static char *existing_folder(const char *path)
{
    char *folder = gw_strdup(path);
    while (access(folder, F_OK) != 0) {
        char *slash = strrchr(folder, '/');
        if (!slash || slash == folder) {
            free(folder);
            return gw_strdup(slash ? "/" : ".");
        }
        *slash = 0;
    }
    return folder;
}

static void check_local(const struct gw_check_options *options, struct gw_findings *findings)
{
    gw_autofree char *folder = existing_folder(options->state_folder);
    char free_text[16], limit_text[16];
    int64_t free_bytes = gw_disk_free_bytes(folder);
    if (access(folder, W_OK) != 0)
        gw_findings_add(findings, GW_FINDING_BLOCKS, GW_BLUE, "state-folder",
                        "name another folder with state: in the migration file",
                        "%s cannot be written to: the journal and"
                        " the spool go to %s",
                        folder, options->state_folder);
    if (free_bytes < 0)
        return;
    gw_format_bytes(free_bytes, free_text);
    gw_format_bytes(options->spool_limit_bytes, limit_text);
    if (free_bytes < LOCAL_LEAST_BYTES)
        gw_findings_add(findings, GW_FINDING_BLOCKS, GW_BLUE, "local-disk",
                        "make room, or name another folder with state:",
                        "%s are free on this machine at %s: too little for the spool", free_text, folder);
    else if (free_bytes < options->spool_limit_bytes)
        gw_findings_add(findings, GW_FINDING_WARNING, GW_BLUE, "local-disk",
                        "make room, name another folder with state:, or lower follow.spool_limit",
                        "%s are free on this machine at %s, and the spool may take %s (follow.spool_limit)", free_text,
                        folder, limit_text);
    else
        gw_findings_add(findings, GW_FINDING_INFO, GW_BLUE, "local-disk", "nothing to do",
                        "%s are free on this machine at %s; the spool takes %s at most", free_text, folder, limit_text);
}

/* ---- all of it ------------------------------------------------------------------------------------------------------- */

static int by_severity(const void *a, const void *b)
{
    const struct gw_finding *x = a, *y = b;
    if (x->severity != y->severity)
        return (x->severity < y->severity) - (x->severity > y->severity);
    if (x->side != y->side)
        return (x->side > y->side) - (x->side < y->side);
    return strcmp(x->id, y->id);
}

static void conclude(struct gw_check_report *report)
{
    struct gw_findings *findings = &report->findings;
    if (findings->count > 0)
        qsort(findings->items, findings->count, sizeof *findings->items, by_severity);
    for (size_t i = 0; i < findings->count; i++) {
        report->blocks += findings->items[i].severity == GW_FINDING_BLOCKS;
        report->warnings += findings->items[i].severity == GW_FINDING_WARNING;
    }
}

bool gw_check_run(const struct gw_check_options *options, struct gw_check_report *out, struct gw_error *err)
{
    struct gw_check_report report = {.predicted_park_ms = -1};
    snprintf(report.migration, sizeof report.migration, "%s", options->migration);
    check_local(options, &report.findings);
    bool fine = check_side(options, GW_BLUE, &report, err) && check_side(options, GW_GREEN, &report, err) &&
                check_pair(options, &report, err) && check_gate(options, &report, err);
    if (!fine) {
        gw_findings_release(&report.findings);
        return false;
    }
    conclude(&report);
    *out = report;
    return true;
}

void gw_check_report_release(struct gw_check_report *report)
{
    gw_findings_release(&report->findings);
    *report = (struct gw_check_report){0};
}

enum gw_exit gw_check_exit(const struct gw_check_report *report)
{
    if (!report->sides[GW_BLUE].reached || !report->sides[GW_GREEN].reached)
        return GW_EXIT_UNREACHABLE;
    return report->blocks ? GW_EXIT_NO : GW_EXIT_YES;
}
