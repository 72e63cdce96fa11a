/*
 * Pointing PgBouncer at a side: one line of its ini file, then RELOAD, then a look whether it did what it said.
 *
 * In the pause only a rename and two console commands are left: the new text was put beside the file, on disk, before.
 */
#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/pgbouncer.h"
#include "io/process.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INI_MAX_BYTES (16u << 20)
enum { LOOK_AGAIN_MS = 20 };

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* One process: the migration file's ini. Several have a file each, and each says which. */
static bool find_ini(struct gw_pgb_gate *gate, struct gw_pgb_process *process, struct gw_error *err)
{
    char told[1024];
    if (process->ini)
        return true;
    if (gate->settings->ini && gate->process_count == 1) {
        process->ini = gw_strdup(gate->settings->ini);
        return true;
    }
    if (!gw_pgb_config(process, "conffile", told, sizeof told, err))
        return false;
    if (told[0] == '/') {
        process->ini = gw_strdup(told);
        return true;
    }
    (void)gw_fail(err, GW_ERR_USER, "which ini file PgBouncer reads is not known: it was started with \"%s\"", told);
    (void)gw_error_place(err, "%s", process->what);
    return gw_error_hint(err, "start it with the file's full path%s",
                         gate->process_count == 1 ? ", or set gate: ini" : "");
}

bool gw_pgb_locate(struct gw_pgb_gate *gate, struct gw_pgb_process *process, struct gw_pgb_entry *out,
                   struct gw_error *err)
{
    return find_ini(gate, process, err) && gw_pgb_ini_locate(process->ini, gate->database, out, err);
}

static bool read_text(const char *path, struct gw_buf *text, uint64_t *hash, struct gw_error *err)
{
    if (!gw_file_read(path, INI_MAX_BYTES, text, err))
        return false;
    *hash = gw_hash64(gw_buf_text(text), text->len, 0);
    return true;
}

static struct gw_pgb_staged *staged_for(struct gw_pgb_gate *gate, const char *path)
{
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_pgb_staged *staged = &gate->staged[i];
        if (!staged->path)
            staged->path = gw_strdup(path);
        if (strcmp(staged->path, path) == 0)
            return staged;
    }
    return &gate->staged[0]; /* not reached: a process has one file */
}

static void drop_sibling(struct gw_pgb_staged *staged)
{
    if (staged->sibling)
        unlink(staged->sibling);
    free(staged->sibling);
    staged->sibling = NULL;
}

void gw_pgb_unstage(struct gw_pgb_gate *gate)
{
    for (size_t i = 0; i < gate->process_count; i++)
        drop_sibling(&gate->staged[i]);
}

/* The text itself has been on disk since it was staged; only the name may still be the old one after a loss of power. */
static void *sync_folder(void *arg)
{
    gw_autofree char *path = arg;
    struct gw_error err;
    if (!gw_pgb_ini_sync(path, &err))
        gw_log_error(&err);
    return NULL;
}

void gw_pgb_sync(struct gw_pgb_gate *gate)
{
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_pgb_staged *staged = &gate->staged[i];
        pthread_t thread;
        if (!staged->unsynced)
            continue;
        staged->unsynced = false;
        char *path = gw_strdup(staged->path);
        if (pthread_create(&thread, NULL, sync_folder, path) == 0)
            pthread_detach(thread);
        else
            sync_folder(path);
    }
}

static bool stage_entry(struct gw_pgb_gate *gate, const struct gw_pgb_entry *entry, enum gw_gate_target target,
                        const struct gw_buf *text, uint64_t hash, struct gw_error *err)
{
    gw_autobuf struct gw_buf changed = {0};
    struct gw_pgb_staged *staged = staged_for(gate, entry->path);
    drop_sibling(staged);
    staged->target = target;
    staged->of_hash = hash;
    return gw_pgb_ini_rewrite(gw_buf_text(text), text->len, entry, &gate->sides[target], &changed, err) &&
           gw_pgb_ini_stage(entry->path, gw_buf_text(&changed), changed.len, &staged->sibling, err);
}

void gw_pgb_stage(struct gw_pgb_gate *gate, enum gw_gate_target target)
{
    if (gate->settings->write_ini_command)
        return;
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_error err;
        struct gw_pgb_entry entry = {0};
        gw_autobuf struct gw_buf text = {0};
        uint64_t hash;
        if (!gw_pgb_locate(gate, &gate->processes[i], &entry, &err) || !read_text(entry.path, &text, &hash, &err) ||
            !stage_entry(gate, &entry, target, &text, hash, &err))
            gw_debug("pointing PgBouncer was not prepared: %s", err.message);
        gw_pgb_entry_release(&entry);
    }
}

/* ---- writing it -------------------------------------------------------------------------------------------------- */

static bool run_write_command(struct gw_pgb_gate *gate, const struct gw_pgb_entry *entry, enum gw_gate_target target,
                              const struct gw_buf *changed, struct gw_error *err)
{
    const struct gw_gate_address *to = &gate->sides[target];
    gw_autofree char *side = gw_asprintf("GODWIT_TARGET=%s", target == GW_GATE_BLUE ? "blue" : "green");
    gw_autofree char *file = gw_asprintf("GODWIT_INI=%s", entry->path);
    gw_autofree char *name = gw_asprintf("GODWIT_DATABASE=%s", gate->database);
    gw_autofree char *host = gw_asprintf("GODWIT_HOST=%s", to->host);
    gw_autofree char *port = gw_asprintf("GODWIT_PORT=%s", to->port);
    gw_autofree char *dbname = gw_asprintf("GODWIT_DBNAME=%s", to->dbname);
    const char *const environment[] = {side, file, name, host, port, dbname, NULL};
    const char *argv[4];
    gw_process_shell(argv, gate->settings->write_ini_command);
    struct gw_process_run run = {.spec = {.argv = argv, .environment = environment},
                                 .input = gw_buf_text(changed),
                                 .input_len = changed->len,
                                 .timeout_ms = (int)gate->settings->reload_timeout_ms};
    struct gw_process_result result;
    bool ok = gw_process_run(&run, NULL, &result, err) && gw_process_check(&result, "gate: write_ini_command", err);
    gw_process_result_release(&result);
    return ok;
}

static bool write_entry(struct gw_pgb_gate *gate, const struct gw_pgb_entry *entry, enum gw_gate_target target,
                        struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    uint64_t hash;
    if (!read_text(entry->path, &text, &hash, err))
        return false;
    if (gate->settings->write_ini_command) {
        gw_autobuf struct gw_buf changed = {0};
        return gw_pgb_ini_rewrite(gw_buf_text(&text), text.len, entry, &gate->sides[target], &changed, err) &&
               run_write_command(gate, entry, target, &changed, err);
    }
    struct gw_pgb_staged *staged = staged_for(gate, entry->path);
    bool ready = staged->sibling && staged->target == target && staged->of_hash == hash;
    if (!ready && !stage_entry(gate, entry, target, &text, hash, err))
        return false;
    if (!gw_pgb_ini_commit(entry->path, staged->sibling, err))
        return false;
    free(staged->sibling);
    staged->sibling = NULL;
    staged->unsynced = true;
    return true;
}

static bool write_files(struct gw_pgb_gate *gate, enum gw_gate_target target, struct gw_error *err)
{
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_pgb_entry entry = {0};
        if (!gw_pgb_locate(gate, &gate->processes[i], &entry, err))
            return false;
        /* A file that says it already is left alone; a command's local copy proves nothing about what it writes. */
        bool said = !gate->settings->write_ini_command && gw_gate_address_equal(&entry.address, &gate->sides[target]);
        bool ok = said || write_entry(gate, &entry, target, err);
        gw_pgb_entry_release(&entry);
        if (!ok)
            return gw_error_prefix(err, "PgBouncer's settings");
    }
    return true;
}

/* ---- RELOAD ------------------------------------------------------------------------------------------------------ */

/* RELOAD of a file PgBouncer cannot read says RELOAD all the same: only SHOW DATABASES tells. */
static bool reload_until_there(struct gw_pgb_gate *gate, struct gw_pgb_process *process, enum gw_gate_target target,
                               struct gw_error *err)
{
    /* What we wrote is read by the first RELOAD or never; a command may write elsewhere, with a delay. */
    int patience_ms = gate->settings->write_ini_command ? (int)gate->settings->reload_timeout_ms : 0;
    int64_t deadline_us = gw_mono_us() + (int64_t)patience_ms * 1000;
    int answer_ms = (int)gate->settings->reload_timeout_ms;
    struct gw_pgb_line line;
    for (;;) {
        if (!gw_pgb_run(process, "RELOAD", answer_ms, NULL, NULL, err) || !gw_pgb_line(gate, process, &line, err))
            return false;
        if (line.found && gw_gate_address_equal(&line.address, &gate->sides[target]))
            break;
        if (gw_left_ms(deadline_us) == 0) {
            char is[512];
            char want[512];
            gw_gate_address_format(&line.address, is, sizeof is);
            gw_gate_address_format(&gate->sides[target], want, sizeof want);
            (void)gw_fail(err, GW_ERR_CONFLICT, "after RELOAD PgBouncer's database \"%s\" leads to %s, not to %s",
                          gate->database, line.found ? is : "nowhere", want);
            (void)gw_error_place(err, "%s", process->what);
            return gw_error_hint(err, "see PgBouncer's log; does it read the file that was written (SHOW CONFIG, "
                                      "conffile)?");
        }
        gw_sleep_us(LOOK_AGAIN_MS * 1000);
    }
    process->holding = false; /* RELOAD has put the limits back */
    return true;
}

/* Not parked (a repair): RELOAD ends connections to the old side as soon as their transaction does, but it would cut
 * off a login as PAUSE does. */
static bool prepare_reload(struct gw_pgb_gate *gate, struct gw_pgb_process *process, enum gw_gate_target target,
                           struct gw_error *err)
{
    struct gw_pgb_line line;
    if (!gw_pgb_line(gate, process, &line, err))
        return false;
    if (line.paused || gw_gate_address_equal(&line.address, &gate->sides[target]))
        return true;
    return gw_pgb_hold_logins(gate, process, err) && gw_pgb_wait_logins(gate, process, err);
}

bool gw_pgb_point(struct gw_pgb_gate *gate, enum gw_gate_target target, struct gw_error *err)
{
    if (target == GW_GATE_UNKNOWN)
        return gw_fail(err, GW_ERR_BUG, "the gate was told to point nowhere");
    GW_CRASH_POINT("gate.point.before_ini");
    if (!write_files(gate, target, err))
        return false;
    GW_CRASH_POINT("gate.point.before_reload");
    for (size_t i = 0; i < gate->process_count; i++)
        if (!prepare_reload(gate, &gate->processes[i], target, err) ||
            !reload_until_there(gate, &gate->processes[i], target, err)) {
            gw_pgb_free_logins(&gate->processes[i]);
            return false;
        }
    GW_CRASH_POINT("gate.point.done");
    return true;
}
