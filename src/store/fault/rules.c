#include "store/fault/rules.h"

#include "base/cancel.h"

void fault_rules_init(struct fault_rules *rules)
{
    *rules = (struct fault_rules){.random = 1};
    pthread_mutex_init(&rules->lock, NULL);
}

void fault_rules_release(struct fault_rules *rules)
{
    pthread_mutex_destroy(&rules->lock);
}

static bool kind_parse(const char *text, size_t len, enum fault_kind *out)
{
    static const struct {
        const char *name;
        enum fault_kind kind;
    } kinds[] = {{"retry", FAULT_RETRY}, {"refused", FAULT_REFUSED},   {"conflict", FAULT_CONFLICT},
                 {"lost", FAULT_LOST},   {"resource", FAULT_RESOURCE}, {"cut", FAULT_CUT},
                 {"hang", FAULT_HANG}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strlen(kinds[i].name) == len && strncmp(kinds[i].name, text, len) == 0) {
            *out = kinds[i].kind;
            return true;
        }
    }
    return false;
}

/* "name:n=kind" or "name:pN=kind" */
static bool rule_parse(struct fault_rule *rule, const char *text, size_t len)
{
    const char *end = text + len;
    const char *colon = memchr(text, ':', len);
    const char *equals = memchr(text, '=', len);
    if (!colon || !equals || equals < colon || (size_t)(colon - text) >= sizeof rule->name)
        return false;
    *rule = (struct fault_rule){0};
    memcpy(rule->name, text, (size_t)(colon - text));
    bool by_chance = colon[1] == 'p';
    uint64_t number = strtoull(colon + 1 + by_chance, NULL, 10);
    if (number == 0)
        return false;
    *(by_chance ? &rule->one_in : &rule->at) = number;
    return kind_parse(equals + 1, (size_t)(end - equals - 1), &rule->kind);
}

bool fault_rules_parse(struct fault_rules *rules, const char *text, size_t len, struct gw_error *err)
{
    struct fault_rule items[FAULT_RULES_MAX] = {0};
    size_t count = 0;
    for (size_t at = 0; at < len;) {
        const char *comma = memchr(text + at, ',', len - at);
        size_t end = comma ? (size_t)(comma - text) : len;
        if (count == FAULT_RULES_MAX || !rule_parse(&items[count], text + at, end - at)) {
            gw_fail(err, GW_ERR_USER, "\"%.*s\" is no fault rule", (int)(end - at), text + at);
            return gw_error_hint(err, "write them as writer.commit:3=cut or reader.next:p50=retry");
        }
        count++;
        at = end + 1;
    }
    pthread_mutex_lock(&rules->lock);
    memcpy(rules->items, items, count * sizeof items[0]);
    rules->count = count;
    pthread_mutex_unlock(&rules->lock);
    return true;
}

enum fault_kind fault_rules_pick(struct fault_rules *rules, const char *name)
{
    enum fault_kind kind = FAULT_NONE;
    pthread_mutex_lock(&rules->lock);
    for (size_t i = 0; i < rules->count; i++) {
        struct fault_rule *rule = &rules->items[i];
        if (strcmp(rule->name, "*") != 0 && strcmp(rule->name, name) != 0)
            continue;
        rule->calls++;
        rules->random = rules->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        bool hit = rule->at > 0 ? rule->calls == rule->at : (rules->random >> 33) % rule->one_in == 0;
        if (hit && kind == FAULT_NONE)
            kind = rule->kind;
    }
    rules->injected += kind != FAULT_NONE;
    pthread_mutex_unlock(&rules->lock);
    return kind;
}

bool fault_fail(enum fault_kind kind, const char *name, struct gw_error *err)
{
    static const enum gw_error_kind kinds[] = {
        [FAULT_NONE] = GW_ERR_BUG,          [FAULT_RETRY] = GW_ERR_RETRY,        [FAULT_REFUSED] = GW_ERR_REFUSED,
        [FAULT_CONFLICT] = GW_ERR_CONFLICT, [FAULT_LOST] = GW_ERR_LOST_POSITION, [FAULT_RESOURCE] = GW_ERR_RESOURCE,
        [FAULT_CUT] = GW_ERR_RETRY};
    if (kind == FAULT_HANG) {
        while (!gw_cancel_wait(gw_cancel_own(), 1000))
            continue;
        return gw_cancel_fail(gw_cancel_own(), err);
    }
    return gw_fail(err, kinds[kind], "%s: a fault was injected%s", name,
                   kind == FAULT_CUT ? " after it took effect" : "");
}
