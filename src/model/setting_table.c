#include "model/migration.h"
#include "model/setting.h"

/* A table: kept as it is. */
/* clang-format off */
#define TOP(field)   .in_store = false, .offset = offsetof(struct gw_migration, field)
#define STORE(field) .in_store = true, .offset = offsetof(struct gw_migration_store, field)
#define LIST(field, count) STORE(field), .count_offset = offsetof(struct gw_migration_store, count)

#define SIDE(name, number, what, url_example)                                                                          \
    {.path = "stores.*." name ".url", .type = GW_SETTING_URL, .required = true, .shorthand = true,                     \
     STORE(side[number].url), .example = url_example,                                                                  \
     .help = what "; a URL or key=value pairs, as the engine's own client takes it"},                                  \
    {.path = "stores.*." name ".password_command", .type = GW_SETTING_COMMAND, STORE(side[number].password_command),   \
     .example = "vault read -field=password database/creds/godwit",                                                    \
     .help = "Shell command whose first line of output is the password, run for each new connection"},                 \
    {.path = "stores.*." name ".fence", .type = GW_SETTING_ENUM, .fallback = "triggers",                               \
     .choices = {"triggers", "accounts"}, STORE(side[number].fence),                                                   \
     .help = "How this side is fenced: by triggers, or (MariaDB, MySQL) by locking the accounts that may write as well"}, \
    {.path = "stores.*." name ".pg_bindir", .type = GW_SETTING_PATH, STORE(side[number].pg_bindir),                    \
     .fallback_words = "the store's pg_bindir", .example = "/usr/lib/postgresql/16/bin",                               \
     .help = "Folder of pg_dump and pg_restore for this side"}

const struct gw_setting gw_settings[] = {
    {.path = "migration", .type = GW_SETTING_NAME, .required = true, TOP(name), .example = "acme",
     .help = "Name of the migration: small letters, digits, '_' and '-'; what godwit makes on both sides carries it"},
    {.path = "state", .type = GW_SETTING_PATH, .fallback = ".godwit", TOP(state),
     .help = "Folder for the journal and the spool, which hold customers' rows; each migration gets a folder in it"},

    SIDE("blue", 0, "The old side, which owns the data now", "postgresql://godwit@old.internal/app"),
    SIDE("green", 1, "The new side", "postgresql://godwit@new.internal/app"),

    {.path = "stores.*.include", .type = GW_SETTING_PATTERNS, LIST(filter.include, filter.include_count),
     .fallback_words = "everything", .example = "[\"public.*\"]",
     .help = "Collections to move: patterns of schema.table with * and ?; a pattern without a dot means any schema"},
    {.path = "stores.*.exclude", .type = GW_SETTING_PATTERNS, LIST(filter.exclude, filter.exclude_count),
     .fallback_words = "nothing", .example = "[\"audit.*\", \"*.tmp_?\"]",
     .help = "Collections to leave behind, out of those included"},
    {.path = "stores.*.collections", .type = GW_SETTING_RULES, STORE(collections), .fallback_words = "none",
     .example = "{ users: { rename: people, columns: { email: { trim: true } } } }",
     .help = "Rules: what is renamed, left out or changed on the way, for each collection by its name on blue"},
    {.path = "stores.*.queries", .type = GW_SETTING_QUERIES, STORE(queries), .fallback_words = "none",
     .example = "{ open_orders: \"SELECT count(*) FROM orders WHERE state = 'open'\" }",
     .help = "Critical queries, by name: verify runs each on both sides and compares answers, times and plans"},

    {.path = "stores.*.gate.type", .type = GW_SETTING_ENUM, .fallback = "none", .shorthand = true,
     .choices = {"none", "pgbouncer", "hook", "haproxy"}, STORE(gate.type),
     .help = "Where the application's traffic goes through, so that a switch can park it; none means an outage"},
    {.path = "stores.*.gate.admin", .type = GW_SETTING_URLS, .gates = GW_SETTING_FOR_PGBOUNCER,
     LIST(gate.admin, gate.admin_count), .example = "postgresql://godwit@127.0.0.1:6432/pgbouncer",
     .help = "Admin console of PgBouncer; with so_reuseport a list with one URL for each process"},
    {.path = "stores.*.gate.ini", .type = GW_SETTING_PATH, .gates = GW_SETTING_FOR_PGBOUNCER, STORE(gate.ini),
     .example = "/etc/pgbouncer/pgbouncer.ini", .help = "PgBouncer's settings file, in which godwit changes one line"},
    {.path = "stores.*.gate.write_ini_command", .type = GW_SETTING_COMMAND, .gates = GW_SETTING_FOR_PGBOUNCER,
     STORE(gate.write_ini_command), .example = "ssh gate.internal sudo tee /etc/pgbouncer/pgbouncer.ini",
     .help = "Shell command that gets the new settings file on its standard input, where godwit cannot write it itself"},
    {.path = "stores.*.gate.reload_timeout", .type = GW_SETTING_MS, .fallback = "5s", .min = 100, .max = 60000,
     .gates = GW_SETTING_FOR_PGBOUNCER, STORE(gate.reload_timeout_ms),
     .help = "How long PgBouncer may take to show the new settings after RELOAD"},
    {.path = "stores.*.gate.database", .type = GW_SETTING_TEXT, .gates = GW_SETTING_FOR_PGBOUNCER,
     STORE(gate.database), .fallback_words = "the database of blue's URL", .example = "app",
     .help = "Name of the entry in [databases] that the application uses"},
    {.path = "stores.*.gate.blue", .type = GW_SETTING_TEXT,
     .gates = GW_SETTING_FOR_PGBOUNCER | GW_SETTING_FOR_HOOK | GW_SETTING_FOR_HAPROXY, STORE(gate.address[0]),
     .fallback_words = "as in blue's URL", .example = "10.0.0.5:5432/app",
     .help = "Where the gate reaches blue, as host:port/database, when that is not how godwit does"},
    {.path = "stores.*.gate.green", .type = GW_SETTING_TEXT,
     .gates = GW_SETTING_FOR_PGBOUNCER | GW_SETTING_FOR_HOOK | GW_SETTING_FOR_HAPROXY, STORE(gate.address[1]),
     .fallback_words = "as in green's URL", .example = "10.0.0.6:5432/app",
     .help = "Where the gate reaches green, as host:port/database, when that is not how godwit does"},
    {.path = "stores.*.gate.park", .type = GW_SETTING_COMMAND, .gates = GW_SETTING_FOR_HOOK, STORE(gate.park),
     .example = "/etc/godwit/park",
     .help = "Shell command that holds traffic back and returns once no transaction runs; doing it twice must be fine"},
    {.path = "stores.*.gate.point", .type = GW_SETTING_COMMAND, .gates = GW_SETTING_FOR_HOOK, STORE(gate.point),
     .example = "/etc/godwit/point \"$GODWIT_TARGET\"",
     .help = "Shell command that points traffic at the side named in GODWIT_TARGET, blue or green"},
    {.path = "stores.*.gate.unpark", .type = GW_SETTING_COMMAND, .gates = GW_SETTING_FOR_HOOK, STORE(gate.unpark),
     .example = "/etc/godwit/unpark", .help = "Shell command that lets traffic go on; doing it twice must be fine"},
    {.path = "stores.*.gate.probe", .type = GW_SETTING_COMMAND, .gates = GW_SETTING_FOR_HOOK, STORE(gate.probe),
     .example = "/etc/godwit/probe",
     .help = "Shell command that prints where traffic goes, blue or green, and \"parked\" when it is held back"},
    {.path = "stores.*.gate.socket", .type = GW_SETTING_TEXTS, .gates = GW_SETTING_FOR_HAPROXY,
     LIST(gate.socket, gate.socket_count), .example = "/run/haproxy/admin.sock",
     .help = "Stats socket of HAProxy with level admin, a path or host:port; a list with one for each HAProxy"},
    {.path = "stores.*.gate.backend", .type = GW_SETTING_TEXT, .gates = GW_SETTING_FOR_HAPROXY, STORE(gate.backend),
     .fallback_words = "the one that has both servers", .example = "app",
     .help = "Name of the backend, in mode tcp, that leads to the two sides"},
    {.path = "stores.*.gate.blue_server", .type = GW_SETTING_TEXT, .gates = GW_SETTING_FOR_HAPROXY,
     STORE(gate.server[0]), .fallback_words = "the server with blue's address", .example = "pg_old",
     .help = "Name of the server in that backend that is blue"},
    {.path = "stores.*.gate.green_server", .type = GW_SETTING_TEXT, .gates = GW_SETTING_FOR_HAPROXY,
     STORE(gate.server[1]), .fallback_words = "the server with green's address", .example = "pg_new",
     .help = "Name of the server in that backend that is green"},
    {.path = "stores.*.gate.drain", .type = GW_SETTING_MS, .fallback = "1s", .min = 0, .max = 300000,
     .gates = GW_SETTING_FOR_HAPROXY, STORE(gate.drain_ms),
     .help = "What open transactions get to end, at most half the pause budget, before their connections are closed"},
    {.path = "stores.*.gate.config", .type = GW_SETTING_PATH, .gates = GW_SETTING_FOR_HAPROXY, STORE(gate.config),
     .example = "/etc/haproxy/haproxy.cfg",
     .help = "HAProxy's configuration, only read: for timeout queue, and whether a reload takes up the servers' state"},
    {.path = "stores.*.gate.state_file", .type = GW_SETTING_PATH, .gates = GW_SETTING_FOR_HAPROXY,
     STORE(gate.state_file), .example = "/var/lib/haproxy/server-state",
     .help = "HAProxy's server-state-file, written once traffic is pointed, so that a reload of HAProxy keeps it so"},
    {.path = "stores.*.gate.write_state_command", .type = GW_SETTING_COMMAND, .gates = GW_SETTING_FOR_HAPROXY,
     STORE(gate.write_state_command), .example = "ssh gate.internal sudo tee /var/lib/haproxy/server-state",
     .help = "Shell command that gets the state on its standard input, where godwit cannot write the file itself"},
    {.path = "stores.*.gate.lease", .type = GW_SETTING_MS, .fallback = "5s", .min = 500, .max = 300000,
     .gates = GW_SETTING_FOR_PGBOUNCER | GW_SETTING_FOR_HOOK | GW_SETTING_FOR_HAPROXY, STORE(gate.lease_ms),
     .help = "When whoever parked traffic is silent for so long, the watchdog lets it go on to the owner"},

    {.path = "stores.*.copy.jobs", .type = GW_SETTING_INT, .fallback = "4", .min = 1, .max = 64, STORE(copy.jobs),
     .help = "Chunks copied at the same time, each with one connection to either side"},
    {.path = "stores.*.copy.chunk_rows", .type = GW_SETTING_COUNT, .fallback = "25000", .min = 1, .max = 10000000,
     STORE(copy.chunk_rows), .help = "Rows in a chunk at first; adapted by time and size while copying"},
    {.path = "stores.*.copy.chunk_bytes", .type = GW_SETTING_BYTES, .fallback = "64MB", .min = 4096,
     .max = 4000000000, STORE(copy.chunk_bytes), .help = "Size of a chunk at most, except for a single larger row"},
    {.path = "stores.*.copy.index_jobs", .type = GW_SETTING_INT, .fallback = "2", .min = 1, .max = 64,
     STORE(copy.index_jobs), .help = "Indexes built at the same time"},

    {.path = "stores.*.follow.spool_limit", .type = GW_SETTING_BYTES, .fallback = "50GB", .min = 1000000,
     .max = 1000000000000000, STORE(follow.spool_limit_bytes),
     .help = "Disk that changes waiting to be applied may take here; beyond it the source keeps them"},
    {.path = "stores.*.follow.wal_limit", .type = GW_SETTING_BYTES, .fallback = "20GB", .min = 1000000,
     .max = 1000000000000000, STORE(follow.wal_limit_bytes),
     .help = "Change log that the owner may keep for godwit; beyond it godwit gives up rather than fill its disk"},
    {.path = "stores.*.follow.batch_rows", .type = GW_SETTING_COUNT, .fallback = "60000", .min = 1, .max = 1000000,
     STORE(follow.batch_rows), .help = "Changes applied in one transaction at most"},
    {.path = "stores.*.follow.batch_delay", .type = GW_SETTING_US, .fallback = "0ms", .min = 0, .max = 60000000,
     STORE(follow.batch_delay_us), .help = "How long a change may wait for others to share its batch"},
    {.path = "stores.*.follow.ddl", .type = GW_SETTING_ENUM, .fallback = "stop", .choices = {"stop"},
     STORE(follow.ddl), .help = "What to do when somebody changes the schema while godwit follows: stop and say so"},
    {.path = "stores.*.follow.truncate", .type = GW_SETTING_ENUM, .fallback = "apply", .choices = {"apply"},
     STORE(follow.truncate), .help = "What to do with TRUNCATE: apply it"},

    {.path = "stores.*.verify.jobs", .type = GW_SETTING_INT, .fallback = "2", .min = 1, .max = 64,
     STORE(verify.jobs), .help = "Chunks compared at the same time, each with one connection to either side"},
    {.path = "stores.*.verify.resettle", .type = GW_SETTING_MS, .fallback = "5s", .min = 0, .max = 3600000,
     STORE(verify.resettle_ms),
     .help = "How long a row that differs on a live pair may take to settle before it is called unresolved"},
    {.path = "stores.*.verify.private", .type = GW_SETTING_ENUM, .fallback = "off", .choices = {"off", "on"},
     STORE(verify.private_), .help = "Whether reports, the journal and logs of verify hold back the values of rows"},
    {.path = "stores.*.verify.show_keys", .type = GW_SETTING_ENUM, .fallback = "numbers",
     .choices = {"numbers", "none"}, STORE(verify.show_keys),
     .help = "Which keys are shown while values are held back: whole numbers and UUIDs, or none"},
    {.path = "stores.*.verify.private_key", .type = GW_SETTING_TEXT, STORE(verify.private_key),
     .fallback_words = "a random one for each run", .example = "${GODWIT_PRIVATE_KEY}",
     .help = "Secret under which held-back values are hashed, so that reports of several runs can be compared"},
    {.path = "stores.*.verify.max_age", .type = GW_SETTING_MS, .fallback = "24h", .min = 1000, .max = 3650LL * 86400000,
     STORE(verify.max_age_ms), .help = "No switch begins on a verdict that is older, of any table"},
    {.path = "stores.*.verify.resume", .type = GW_SETTING_MS, .fallback = "1h", .min = 0, .max = 86400000,
     STORE(verify.resume_ms),
     .help = "A verify that was stopped or killed is gone on with by the next one if it began no longer ago; 0: never"},
    {.path = "stores.*.verify.checkpoint", .type = GW_SETTING_MS, .fallback = "5s", .min = 1, .max = 3600000,
     STORE(verify.checkpoint_ms), .help = "How often a verify notes how far it is"},
    {.path = "stores.*.verify.references", .type = GW_SETTING_TEXTS, LIST(verify.references, verify.reference_count),
     .fallback_words = "those that blue declares", .example = "[\"orders(user_id) -> users(id)\"]",
     .help = "Foreign keys that blue does not declare, by blue's names: rows on green that refer to nothing are found"},
    {.path = "stores.*.verify.statement_timeout", .type = GW_SETTING_MS, .fallback = "10m", .min = 100,
     .max = 86400000, STORE(verify.statement_timeout_ms),
     .help = "How long one statement that looks for rows that refer to nothing, or are there twice, may take"},

    {.path = "stores.*.switch.pause_budget", .type = GW_SETTING_MS, .fallback = "5s", .min = 100, .max = 600000,
     STORE(switch_.pause_budget_ms),
     .help = "Traffic is parked for so long at most; past it everything is undone and goes on where it was"},
    {.path = "stores.*.switch.lock_timeout", .type = GW_SETTING_MS, .fallback = "2s", .min = 1, .max = 600000,
     STORE(switch_.lock_timeout_ms), .help = "How long the fence may wait for writers; within the pause budget"},
    {.path = "stores.*.switch.drain_timeout", .type = GW_SETTING_MS, .fallback = "2s", .min = 1, .max = 600000,
     STORE(switch_.drain_timeout_ms),
     .help = "How long running transactions may take to end once traffic is parked; within the pause budget"},
    {.path = "stores.*.switch.max_lag", .type = GW_SETTING_MS, .fallback = "2s", .min = 1, .max = 3600000,
     STORE(switch_.max_lag_ms), .help = "No switch begins while the follower is further behind"},

    {.path = "stores.*.retain", .type = GW_SETTING_MS, .fallback = "30d", .min = 0, .max = 3650LL * 86400000,
     STORE(retain_ms), .help = "How long blue stays ready to take over again before godwit finish agrees"},
    {.path = "stores.*.capture", .type = GW_SETTING_ENUM, .fallback = "auto",
     .choices = {"auto", "log", "trigger"}, STORE(capture),
     .help = "How changes are captured: from the engine's own change log, or by triggers that godwit makes; auto takes "
             "the log of each side where it may be read"},
    {.path = "stores.*.pg_bindir", .type = GW_SETTING_PATH, STORE(pg_bindir),
     .fallback_words = "found in PATH and under /usr/lib/postgresql", .example = "/usr/lib/postgresql/16/bin",
     .help = "Folder of pg_dump and pg_restore; pg_dump must be at least as new as the server it reads"},
};
/* clang-format on */

const size_t gw_settings_count = sizeof gw_settings / sizeof gw_settings[0];
