/*
 * The map between the two sides of a store: which collection and column of blue is which of green, of which type there,
 * and how a row of the one becomes a row of the other. Made of three things: blue's definition, what green's engine makes
 * of each type (codec->type_for), and the rules of the migration file.
 *
 * One map serves copied rows, followed changes, verification, and, inverted, the way back: a rule means the same in all
 * four because it is this code in all four. It knows canonical values (model/datum.h) and no engine.
 *
 * Threads: a compiled map is constant. A gw_map_run (scratch memory, Lua) belongs to one thread.
 */
#ifndef GW_MAP_MAP_H
#define GW_MAP_MAP_H

#include "map/rules.h"
#include "model/definition.h"

struct gw_map;
struct gw_map_run;

/* codec->type_for of an engine. */
typedef bool gw_map_type_for(const struct gw_type *wanted, struct gw_buf *sql_type, struct gw_type *got,
                             struct gw_error *err);

/* schema->can_count of an engine. */
typedef bool gw_map_can_count(const struct gw_table_definition *table, const struct gw_column_definition *column);

struct gw_map_options {
    struct gw_rules *rules;           /* NULL: none; the map keeps a reference of its own */
    const struct gw_definition *blue; /* what moves, as blue describes it; borrowed for compile alone */
    const char *green_engine;         /* name of green's type: whose dialect green's definition is in */
    const char *default_space[2];     /* of each side's engine: "public", or "" where there are no spaces */
    gw_map_type_for *green_type_for;
    gw_map_can_count *green_can_count; /* NULL: whole numbers */
    /* What green's names may be; 0 and false: not known, nothing is said. */
    unsigned name_bytes, name_characters; /* at most: 63 bytes, 64 characters, ... */
    bool names_ignore_case;               /* of tables: "Users" and "users" are one */
    unsigned key_bytes;                   /* texts and bytes in a key are no longer than that, a character is four */
};

/* What is lost, or may be, on the way to green; in words for plan, with the policy that holds. */
enum gw_map_policy { GW_MAP_FAIL, GW_MAP_ROUND, GW_MAP_TRUNCATE, GW_MAP_NULL, GW_MAP_QUARANTINE };
const char *gw_map_policy_name(enum gw_map_policy);
#define GW_MAP_NO_COLLECTION UINT32_MAX
struct gw_map_loss {
    uint32_t collection;  /* place in the definitions; GW_MAP_NO_COLLECTION: of a view, trigger, ... */
    int column;           /* of blue; -1: of the whole table, see `what` */
    char *id;             /* stable: "length", "scale", "zone", "collation", "case", "prefix", "enum", "unsigned",
                             "zero-date", "nul", "name", "default", "check", "view", "no-inverse", ... */
    char *what;           /* "text up to 4096 characters becomes varchar(255): longer values do not fit" */
    size_t sentence;      /* where in `what` the words behind the two types begin; 0: it is no loss of a type */
    bool counts_rows;     /* real rows may be hit: gw_map_run_hits says how many of those that went through a run */
    bool blocks;          /* cannot be moved so */
    bool breaks_way_back; /* no inverse: says how the column is filled on blue, or asks */
    enum gw_map_policy policy;
};
struct gw_map_losses {
    size_t count, capacity;
    struct gw_map_loss *items;
};
void gw_map_losses_release(struct gw_map_losses *losses);
/* Does it hit no rows, stop nothing, and say the same of every column of its kind? Then it is told once for all of them. */
bool gw_map_loss_is_shared(const struct gw_map_loss *loss);
/* The first shared loss that says what loss `i`, a shared one, says: `i` itself or one before it. */
size_t gw_map_loss_first(const struct gw_map_losses *losses, size_t i);
/* Each shared loss once, "case: on green ...", behind `lead`. Appends. */
void gw_map_write_legend(const struct gw_map_losses *losses, const char *lead, struct gw_buf *out);

/* False for rules that cannot be (a column that is not there, two of one name, a key hashed away): file:line:col in the
 * error's place. */
GW_MUST_CHECK bool gw_map_compile(const struct gw_map_options *options, struct gw_map **out,
                                  struct gw_map_losses *losses, struct gw_error *err);
void gw_map_free(struct gw_map *map); /* NULL is fine */

/* Green's definition; table i is blue's table i, whatever it is called there. Borrowed. */
const struct gw_definition *gw_map_definition(const struct gw_map *map);
/* As compile got it. Borrowed. */
const struct gw_definition *gw_map_blue_definition(const struct gw_map *map);
/* Rows of this collection may be left out (a filter). */
bool gw_map_filters(const struct gw_map *map, uint32_t collection);
/* Some column of the side written to is made of several columns: an update that leaves values out cannot be mapped. */
bool gw_map_needs_whole_rows(const struct gw_map *map, uint32_t collection, bool back);
/* Place on the other side of a column of this one (`back`: of green), or -1: it is dropped, or made of several. */
int gw_map_column(const struct gw_map *map, uint32_t collection, int column, bool back);
/* Whether what `column` (of the side written to; `back`: blue) holds comes back from the other side in the form it had, be
 * it read, mapped there, and mapped back. FREE: 'f' may come back as 0, a document without its spaces. USUAL: only where
 * any kind of value may stand and another one than the declared does. */
enum gw_map_form { GW_MAP_FORM_KEPT, GW_MAP_FORM_USUAL, GW_MAP_FORM_FREE };
enum gw_map_form gw_map_form(const struct gw_map *map, uint32_t collection, int column, bool back);
/* Sets those of `sources` (by columns of the side read from) that this column is made of; false: of none. */
bool gw_map_sources(const struct gw_map *map, uint32_t collection, int column, bool back, bool *sources);
/* One line a column for people: "email text -> email varchar(255) lower". Appends. */
void gw_map_print(const struct gw_map *map, uint32_t collection, struct gw_buf *out);
/* The `collections:` of a store with the map as it is, every line a comment, indented to stand in a migration file:
 * what each column becomes, and its losses with the rule that would settle them. Appends. */
void gw_map_write_commented(const struct gw_map *map, const struct gw_map_losses *losses, struct gw_buf *out);

/* ---- rows ---- */

enum gw_map_verdict {
    GW_MAP_KEEP,
    GW_MAP_LEAVE_OUT, /* the filter: not for the other side */
    GW_MAP_SET_ASIDE, /* policy quarantine: `why` says what did not fit */
};

/* `back`: from green to blue. The map is borrowed. */
GW_MUST_CHECK bool gw_map_run_open(const struct gw_map *map, bool back, struct gw_map_run **out, struct gw_error *err);
void gw_map_run_close(struct gw_map_run *run); /* NULL is fine */
/* A whole row, or what a change carries of it (UNCHANGED, ABSENT: what is made of those alone is so, too). `in` has the
 * columns of the side it comes from in definition order, `out` those of the other side. `out` borrows from `in` and the
 * run until the next gw_map_run_reset. GW_ERR_CONFLICT for policy fail, naming column, value and what to do.
 * What the other side holds nothing of (a column dropped on the way to green, one with `back: { keep: true }`) gets what
 * `back:` says or the column's default: right for a row that is new there. `why` may be NULL. */
GW_MUST_CHECK bool gw_map_row(struct gw_map_run *run, uint32_t collection, const struct gw_datum *in,
                              struct gw_datum *out, enum gw_map_verdict *verdict, struct gw_buf *why,
                              struct gw_error *err);
/* The same for the new row of an UPDATE: what the other side holds nothing of is UNCHANGED there. So are the columns of
 * the other side that `stays` names, and nothing is made of their values; NULL: none. */
GW_MUST_CHECK bool gw_map_row_update(struct gw_map_run *run, uint32_t collection, const struct gw_datum *in,
                                     const bool *stays, struct gw_datum *out, enum gw_map_verdict *verdict,
                                     struct gw_buf *why, struct gw_error *err);
/* For verification: is this value of blue made from green's (false: kept, dropped or filled by `back:`, and not to be
 * compared on the way back)? And of green, made from blue's? Always true without rules. */
bool gw_map_compares(const struct gw_map *map, uint32_t collection, int column, bool back);
/* The key columns alone, in their places: what is ABSENT in `in`, or made of nothing that is there, is ABSENT in `out`;
 * never filtered. */
GW_MUST_CHECK bool gw_map_key(struct gw_map_run *run, uint32_t collection, const struct gw_datum *in,
                              struct gw_datum *out, struct gw_error *err);
/* Whether a whole row of green is one that the filter lets through, as blue has it; true where green's row does not tell
 * (its column is dropped, or not to be turned back). `run` goes back. */
bool gw_map_belongs(struct gw_map_run *run, uint32_t collection, const struct gw_datum *green);
void gw_map_run_reset(struct gw_map_run *run);

/* Counts instead of failing: how many rows each loss would have hit (plan). */
void gw_map_run_only_count(struct gw_map_run *run);
uint64_t gw_map_run_hits(const struct gw_map_run *run, uint32_t collection, int column, const char *id);

#endif
