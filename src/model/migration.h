/*
 * The migration file (godwit.yaml) as typed values.
 *
 * Every key is described once, in setting_table.c: the parser, the defaults, `godwit config`, the JSON Schema and the
 * file that `godwit init` writes are made from it. Errors name file:line:col (in gw_error.place) and what to do.
 *
 * ${NAME} in a value is filled from the environment into the component it stands in and never parsed again: in a URL it
 * is percent-encoded, in a key=value string quoted; a value that is nothing but ${NAME} is taken as it is. "$${" is a
 * literal "${". Commands are left alone: the shell that runs them fills in its own.
 *
 * All strings are owned by struct gw_migration; optional ones are NULL when not given. Read-only after loading, so any
 * thread may read it.
 */
#ifndef GW_MODEL_MIGRATION_H
#define GW_MODEL_MIGRATION_H

#include "base/buf.h"
#include "base/error.h"
#include "io/yaml.h"
#include "model/query.h"
#include "model/schema.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW_MIGRATION_NAME_MAX 63

enum gw_migration_fence { GW_MIGRATION_FENCE_TRIGGERS, GW_MIGRATION_FENCE_ACCOUNTS };

struct gw_migration_side {
    char *url;    /* as the engine's library takes it; may hold a password: gw_redact_url() before showing */
    char *scheme; /* "postgresql" of "postgresql://...", lower case; "conninfo" for key=value strings, "path" */
    char *shown;  /* the URL without its secret, for people */
    char *password_command; /* run by /bin/sh, its first output line is the password; NULL */
    char *pg_bindir;        /* the side's own, or the store's; NULL: search */
    enum gw_migration_fence fence;
};

enum gw_migration_gate_type {
    GW_MIGRATION_GATE_NONE,
    GW_MIGRATION_GATE_PGBOUNCER,
    GW_MIGRATION_GATE_HOOK,
    GW_MIGRATION_GATE_HAPROXY,
};

struct gw_migration_gate {
    enum gw_migration_gate_type type;
    /* pgbouncer */
    char **admin; /* admin console URLs, one for each process; may hold passwords */
    size_t admin_count;
    char *ini;               /* path of pgbouncer.ini; NULL with write_ini_command */
    char *write_ini_command; /* run by /bin/sh; gets the new content on stdin; NULL: we write `ini` ourselves */
    int64_t reload_timeout_ms;
    char *database; /* name in [databases]; NULL: the database of blue's URL */
    /* hook: commands run by /bin/sh */
    char *park, *point, *unpark, *probe;
    /* haproxy */
    char **socket; /* stats sockets, one for each process: a path or host:port */
    size_t socket_count;
    char *backend;             /* NULL: the one that has both servers */
    char *server[2];           /* names in the backend; NULL: by the side's address */
    char *config;              /* its configuration file, only read; NULL */
    char *state_file;          /* where HAProxy reads its servers' state from at a reload; NULL */
    char *write_state_command; /* run by /bin/sh, gets that state on stdin; NULL */
    int64_t drain_ms;          /* what transactions get to end before their connections are closed */
    /* pgbouncer, hook and haproxy */
    char *address[2]; /* host:port/database by which the gate reaches blue, green; NULL: as in the side's URL */
    int64_t lease_ms;
};

struct gw_migration_copy {
    int jobs; /* readers, and as many writers */
    int64_t chunk_rows, chunk_bytes;
    int index_jobs;
};

enum gw_migration_ddl { GW_MIGRATION_DDL_STOP };
enum gw_migration_truncate { GW_MIGRATION_TRUNCATE_APPLY };

struct gw_migration_follow {
    int64_t spool_limit_bytes;
    int64_t wal_limit_bytes; /* change log the owner may retain for us */
    int64_t batch_rows;
    int64_t batch_delay_us; /* how long a change may wait for others to share its batch */
    enum gw_migration_ddl ddl;
    enum gw_migration_truncate truncate;
};

enum gw_migration_private { GW_MIGRATION_PRIVATE_OFF, GW_MIGRATION_PRIVATE_ON };
enum gw_migration_show_keys { GW_MIGRATION_SHOW_NUMBERS, GW_MIGRATION_SHOW_NONE };

struct gw_migration_verify {
    int jobs;
    int64_t resettle_ms; /* how long a differing row may take to settle on a live pair */
    char **references;   /* foreign keys that no side declares: "orders(user_id) -> users(id)", blue's names */
    size_t reference_count;
    enum gw_migration_private private_;
    enum gw_migration_show_keys show_keys;
    char *private_key;            /* a secret; NULL: random for each run */
    int64_t max_age_ms;           /* no switch on an older verdict */
    int64_t resume_ms;            /* a run that was stopped is gone on with, if it began no longer ago */
    int64_t checkpoint_ms;        /* how often a run notes how far it is */
    int64_t statement_timeout_ms; /* of one statement that asks what has to hold among rows */
};

struct gw_migration_switch {
    int64_t pause_budget_ms; /* parked at most so long; past it everything is undone */
    int64_t lock_timeout_ms, drain_timeout_ms;
    int64_t max_lag_ms; /* no switch begins behind more lag */
};

enum gw_migration_capture { GW_MIGRATION_CAPTURE_AUTO, GW_MIGRATION_CAPTURE_LOG, GW_MIGRATION_CAPTURE_TRIGGER };

struct gw_migration_store {
    char *name;
    int line;                         /* in the file */
    struct gw_migration_side side[2]; /* 0 blue, 1 green: enum gw_side */
    struct gw_filter filter;          /* include, exclude */
    struct gw_yaml collections;       /* rules, their shape checked and ${NAME} filled in; root NULL: none */
    struct gw_named_queries queries;
    struct gw_migration_gate gate;
    struct gw_migration_copy copy;
    struct gw_migration_follow follow;
    struct gw_migration_verify verify;
    struct gw_migration_switch switch_;
    int64_t retain_ms;
    enum gw_migration_capture capture;
    char *pg_bindir;
};

struct gw_migration {
    char *file;                        /* as given */
    char *name;                        /* [a-z0-9][a-z0-9_-]{0,62} */
    char *state;                       /* folder, resolved against the file's own folder */
    char *state_folder;                /* <state>/<name>: everything of this migration */
    struct gw_migration_store *stores; /* at least one */
    size_t store_count;
};

/* *migration is untouched on false. */
GW_MUST_CHECK bool gw_migration_load(const char *path, struct gw_migration *migration, struct gw_error *err);
/* The same for a text in memory; `file` names it and gives the folder for relative paths. */
GW_MUST_CHECK bool gw_migration_parse(const char *text, size_t len, const char *file, struct gw_migration *migration,
                                      struct gw_error *err);
void gw_migration_release(struct gw_migration *migration);

bool gw_migration_name_valid(const char *name);

/* A connection string without its password at all (not "***"): what may be written to a file. Appends. */
void gw_migration_strip_url(const char *url, struct gw_buf *out);
/* The text of a migration file with every setting as a comment; passwords in the URLs are left out and a comment says
 * where to put them. One store, "main". */
void gw_migration_write_commented(const char *name, const char *blue_url, const char *green_url, struct gw_buf *out);
/* The same with lines of the caller's (gw_map_write_commented) in the place of "collections"; NULL: none. */
void gw_migration_write_commented_map(const char *name, const char *blue_url, const char *green_url,
                                      const char *collections, struct gw_buf *out);

#endif
