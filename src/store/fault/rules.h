/* Which call fails, and how; private to store/fault/. */
#ifndef GW_STORE_FAULT_RULES_H
#define GW_STORE_FAULT_RULES_H

#include "base/error.h"

#include <pthread.h>
#include <stdint.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_RETRY,
    FAULT_REFUSED,
    FAULT_CONFLICT,
    FAULT_LOST,
    FAULT_RESOURCE,
    FAULT_CUT,
    FAULT_HANG
};

struct fault_rule {
    char name[48];
    uint64_t at;     /* the n-th call; 0: by chance */
    uint64_t one_in; /* by chance */
    enum fault_kind kind;
    uint64_t calls;
};

#define FAULT_RULES_MAX 16
struct fault_rules {
    pthread_mutex_t lock;
    struct fault_rule items[FAULT_RULES_MAX];
    size_t count;
    uint64_t random, injected;
};

void fault_rules_init(struct fault_rules *rules);
void fault_rules_release(struct fault_rules *rules);
GW_MUST_CHECK bool fault_rules_parse(struct fault_rules *rules, const char *text, size_t len, struct gw_error *err);
enum fault_kind fault_rules_pick(struct fault_rules *rules, const char *name);
bool fault_fail(enum fault_kind kind, const char *name, struct gw_error *err);

#endif
