/*
 * Drives a gate, a lease and the watchdog for tests/scenario/test_gate.py: one command a line on stdin, the answer on
 * stdout, ended by a line "ok ..." or "error KIND: ...". Lines that begin with "| " come before it.
 *
 *     gate_driver MIGRATION-FILE LEASE-FOLDER
 *
 * As a watchdog (gw_lease_take starts /proc/self/exe) it takes the owner from LEASE-FOLDER/owner ("blue 3"); while
 * LEASE-FOLDER/unreachable exists, settling waits until it is stopped, as with a server behind a dead network, and only
 * sides with a file LEASE-FOLDER/owner.blue or owner.green answer.
 */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/gate.h"
#include "journey/lease.h"
#include "journey/watchdog.h"
#include "model/migration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct driver {
    struct gw_migration migration;
    struct gw_gate *gate;
    struct gw_cancel cancel;
    const char *file, *folder;
    struct gw_lease *lease;
};

static const char *const targets[] = {"blue", "green", "unknown"};

static bool open_gate(struct gw_migration *migration, struct gw_cancel *cancel, const char *file, struct gw_gate **out,
                      struct gw_error *err)
{
    if (!gw_migration_load(file, migration, err))
        return false;
    const struct gw_migration_store *store = &migration->stores[0];
    return gw_gate_open(&store->gate, store->side[0].url, store->side[1].url, cancel, out, err);
}

/* ---- as watchdog ---- */

struct dog {
    struct gw_migration migration;
    const char *file, *folder;
};

static bool dog_open_gate(void *arg, struct gw_gate **out, struct gw_error *err)
{
    struct dog *dog = arg;
    return open_gate(&dog->migration, NULL, dog->file, out, err);
}

static bool read_owner(const char *folder, const char *suffix, enum gw_gate_target *owner, uint64_t *epoch,
                       struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    gw_autofree char *path = gw_asprintf("%s/owner%s", folder, suffix);
    char name[16];
    unsigned long long number = 0;
    if (!gw_file_read(path, 1000, &text, err))
        return false;
    if (sscanf(gw_buf_text(&text), "%15s %llu", name, &number) < 1)
        return gw_fail(err, GW_ERR_CONFLICT, "owner file");
    *owner = strcmp(name, "green") == 0 ? GW_GATE_GREEN : GW_GATE_BLUE;
    *epoch = number;
    return true;
}

static bool dog_settle(void *arg, struct gw_cancel *cancel, enum gw_gate_target *owner, struct gw_buf *done,
                       struct gw_error *err)
{
    struct dog *dog = arg;
    uint64_t epoch;
    gw_autofree char *unreachable = gw_asprintf("%s/unreachable", dog->folder);
    while (gw_file_exists(unreachable))
        if (gw_cancel_wait(cancel, 20))
            return gw_cancel_fail(cancel, err);
    gw_buf_adds(done, "settled");
    return read_owner(dog->folder, "", owner, &epoch, err);
}

static bool dog_ask(void *arg, int side, struct gw_cancel *cancel, enum gw_gate_target *owner, uint64_t *epoch,
                    struct gw_error *err)
{
    struct dog *dog = arg;
    (void)cancel;
    return read_owner(dog->folder, side == 0 ? ".blue" : ".green", owner, epoch, err);
}

static int be_watchdog(const char *folder, const char *file)
{
    struct dog dog = {.file = file, .folder = folder};
    const struct gw_watchdog_actions actions = {
        .arg = &dog, .open_gate = dog_open_gate, .settle = dog_settle, .ask = dog_ask};
    const struct gw_watchdog_options options = {.folder = folder, .file = file, .actions = &actions};
    return gw_watchdog_main(&options);
}

/* ---- commands ---- */

static void print_lines(const struct gw_buf *lines)
{
    const char *at = gw_buf_text(lines);
    while (*at) {
        size_t len = strcspn(at, "\n");
        printf("| %.*s\n", (int)len, at);
        at += len + (at[len] == '\n');
    }
}

static bool say_state(struct driver *driver, char *answer, size_t size, struct gw_error *err)
{
    bool parked;
    enum gw_gate_target target;
    if (!driver->gate->type->state(driver->gate, &parked, &target, err))
        return false;
    snprintf(answer, size, "%s %s", parked ? "parked" : "open", targets[target]);
    return true;
}

static bool preflight(struct driver *driver, int budget_ms, char *answer, size_t size, struct gw_error *err)
{
    gw_autobuf struct gw_buf findings = {0};
    int predicted_ms;
    if (!driver->gate->type->preflight(driver->gate, budget_ms, &findings, &predicted_ms, err))
        return false;
    print_lines(&findings);
    snprintf(answer, size, "%d", predicted_ms);
    return true;
}

static bool costs(struct driver *driver, struct gw_error *err)
{
    gw_autobuf struct gw_buf lines = {0};
    if (!driver->gate->type->costs(driver->gate, &lines, err))
        return false;
    print_lines(&lines);
    return true;
}

static bool sessions(struct driver *driver, struct gw_error *err)
{
    int64_t *ids;
    size_t count;
    if (!driver->gate->type->sessions(driver->gate, &ids, &count, err))
        return false;
    for (size_t i = 0; i < count; i++)
        printf("| %lld\n", (long long)ids[i]);
    free(ids);
    return true;
}

static bool lease_command(struct driver *driver, const char *word, int number, struct gw_error *err)
{
    if (strcmp(word, "take") == 0)
        return gw_lease_take(driver->folder, driver->file, number, &driver->lease, err);
    if (!driver->lease)
        return gw_fail(err, GW_ERR_USER, "no lease");
    if (strcmp(word, "renew") == 0)
        return gw_lease_renew(driver->lease, err);
    gw_lease_release(driver->lease);
    driver->lease = NULL;
    return true;
}

static bool obey(struct driver *driver, const char *line, char *answer, size_t size, struct gw_error *err)
{
    char word[32] = "";
    char argument[32] = "";
    const struct gw_gate_type *type = driver->gate->type;
    sscanf(line, "%31s %31s", word, argument);
    int number = (int)strtol(argument, NULL, 10);
    if (strcmp(word, "prepare") == 0)
        return !type->prepare || type->prepare(driver->gate, err);
    if (strcmp(word, "park") == 0)
        return type->park(driver->gate, number, err);
    if (strcmp(word, "point") == 0)
        return type->point(driver->gate, strcmp(argument, "green") == 0 ? GW_GATE_GREEN : GW_GATE_BLUE, err);
    if (strcmp(word, "unpark") == 0)
        return type->unpark(driver->gate, err);
    if (strcmp(word, "state") == 0)
        return say_state(driver, answer, size, err);
    if (strcmp(word, "preflight") == 0)
        return preflight(driver, number, answer, size, err);
    if (strcmp(word, "costs") == 0)
        return costs(driver, err);
    if (strcmp(word, "sessions") == 0)
        return sessions(driver, err);
    if (strcmp(word, "take") == 0 || strcmp(word, "renew") == 0 || strcmp(word, "release") == 0)
        return lease_command(driver, word, number, err);
    return gw_fail(err, GW_ERR_USER, "unknown command %s", word);
}

int main(int argc, char **argv)
{
    struct gw_error err;
    char line[256];
    gw_log_init(GW_LOG_DEBUG);
    if (argc == 6 && strcmp(argv[1], "watchdog") == 0)
        return be_watchdog(argv[3], argv[5]);
    if (argc != 3)
        return 2;
    struct driver driver = {.file = argv[1], .folder = argv[2]};
    if (!gw_cancel_init(&driver.cancel, &err) ||
        !open_gate(&driver.migration, &driver.cancel, driver.file, &driver.gate, &err)) {
        printf("error %s: %s\n", gw_error_kind_name(err.kind), err.message);
        return (int)gw_error_exit(&err);
    }
    puts("ok");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        char answer[128] = "";
        gw_error_clear(&err);
        if (obey(&driver, line, answer, sizeof answer, &err))
            printf("ok %s\n", answer);
        else
            printf("error %s: %s; %s; %s; %s\n", gw_error_kind_name(err.kind), err.message, err.detail, err.place,
                   err.hint);
        fflush(stdout);
    }
    if (driver.lease)
        gw_lease_release(driver.lease);
    gw_gate_close(driver.gate);
    gw_migration_release(&driver.migration);
    gw_cancel_release(&driver.cancel);
    return 0;
}
