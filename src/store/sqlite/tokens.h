/*
 * The words of a statement as SQLite keeps it in sqlite_schema: enough to see how a CREATE statement is put together
 * without understanding its expressions. Borrows the text.
 */
#ifndef GW_STORE_SQLITE_TOKENS_H
#define GW_STORE_SQLITE_TOKENS_H

#include <stdbool.h>
#include <stddef.h>

enum gw_lite_token_kind { GW_LITE_END, GW_LITE_WORD, GW_LITE_QUOTED, GW_LITE_STRING, GW_LITE_OTHER };

struct gw_lite_token {
    enum gw_lite_token_kind
        kind; /* WORD: unquoted name, keyword or number; QUOTED: "x" [x] `x`; OTHER: one character */
    const char *at;
    size_t len;
    int depth; /* of parentheses around it; the parentheses themselves count as outside */
};

struct gw_lite_tokens {
    const char *at;
    int depth;
};
struct gw_lite_token gw_lite_next_token(struct gw_lite_tokens *);
bool gw_lite_token_is(const struct gw_lite_token *, const char *word); /* unquoted, whatever its case */

#endif
