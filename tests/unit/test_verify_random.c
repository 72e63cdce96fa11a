/*
 * Random changes on either side, against an oracle that compares sorted dumps of both: verify says equal if and only
 * if the dumps are the same, and counts what the oracle counts. For collections with keys that are ordered alike,
 * ordered differently, and without keys. GODWIT_TEST_SEED repeats a round, GODWIT_TEST_SECONDS goes on for longer.
 */
#include "verify_fake.h"

#define SECONDS 2
#define IDS 400

struct tally_of_oracle {
    uint64_t missing, extra, changed;
};

static uint64_t random_state;
static uint64_t next_random(uint64_t below)
{
    random_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = random_state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % below;
}

/* Values that are easily taken for one another. */
static const char *random_text(void)
{
    static const char *const texts[] = {NULL,  "",   "NULL", "null", "a",   "A",  "a ",  " a",  "0",   "-0", "1",
                                        "1.0", "ab", "ba",   "a|b",  "\\N", "\t", "1\n", "aaa", "aab", "aba"};
    return texts[next_random(sizeof texts / sizeof texts[0])];
}

static void change_row(struct fake_store *s, bool keyed)
{
    int64_t id = (int64_t)next_random(IDS) + 1;
    struct fake_row *row = fake_find(s, id);
    uint64_t what = next_random(10);
    if (!row || (!keyed && what < 2))
        fake_add(s, id, random_text(), random_text(), random_text());
    else if (what < 3)
        fake_delete(s, id);
    else if (what == 3 && s->count > 1) { /* two rows swap a value */
        struct fake_row *other = &s->rows[next_random(s->count)];
        int column = (int)next_random(FAKE_COLUMNS - 1);
        char *value = row->values[column];
        row->values[column] = other->values[column];
        other->values[column] = value;
    } else {
        fake_set(s, id, (int)next_random(FAKE_COLUMNS - 1) + 1, random_text());
    }
}

/* ---- the oracle -------------------------------------------------------------------------------------------------- */

static char *dump_row(const struct fake_row *row)
{
    struct gw_buf out = {0};
    gw_buf_addf(&out, "%012lld", (long long)row->id);
    for (int i = 0; i < FAKE_COLUMNS - 1; i++)
        if (row->values[i])
            gw_buf_addf(&out, " [%zu]%s", strlen(row->values[i]), row->values[i]);
        else
            gw_buf_adds(&out, " -");
    return gw_buf_detach(&out);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char **dump(const struct fake_store *s)
{
    char **lines = gw_calloc(s->count + 1, sizeof(char *));
    for (size_t i = 0; i < s->count; i++)
        lines[i] = dump_row(&s->rows[i]);
    qsort(lines, s->count, sizeof(char *), compare_lines);
    return lines;
}

static struct tally_of_oracle ask_oracle(const struct fake_pair *pair, bool keyed)
{
    struct tally_of_oracle found = {0};
    char **a = dump(&pair->source), **b = dump(&pair->target);
    size_t i = 0, j = 0;
    while (i < pair->source.count || j < pair->target.count) {
        int order = i == pair->source.count ? 1 : j == pair->target.count ? -1 : strcmp(a[i], b[j]);
        bool one_key = keyed && i < pair->source.count && j < pair->target.count && strncmp(a[i], b[j], 12) == 0;
        found.changed += order != 0 && one_key;
        found.missing += order < 0 && !one_key;
        found.extra += order > 0 && !one_key;
        i += order <= 0 || one_key;
        j += order >= 0 || one_key;
    }
    for (i = 0; i < pair->source.count; i++)
        free(a[i]);
    for (j = 0; j < pair->target.count; j++)
        free(b[j]);
    free(a);
    free(b);
    return found;
}

/* ---- a round ----------------------------------------------------------------------------------------------------- */

static void compare_with_oracle(struct fake_pair *pair, bool keyed, uint64_t seed, unsigned step)
{
    struct tally_of_oracle wanted = ask_oracle(pair, keyed);
    bool equal = wanted.missing + wanted.extra + wanted.changed == 0;
    struct gw_verify_options options = fake_options(pair);
    options.chunk_rows = (int64_t)next_random(60) + 3;
    options.jobs = (int)next_random(3) + 1;
    struct gw_verify_report report = run_options(&options);
    const struct gw_verify_collection *c = &report.collections[0];
    bool same = c->missing == wanted.missing && c->extra == wanted.extra && c->changed == wanted.changed;
    if (c->verdict != (equal ? GW_VERDICT_EQUAL : GW_VERDICT_DIFFERENT) || !same || c->duplicate || c->unresolved) {
        gw_autobuf struct gw_buf text = {0};
        gw_verify_report_text(&report, true, &text);
        print_error(
            "GODWIT_TEST_SEED=%llu, step %u: the oracle has %llu missing, %llu extra, %llu changed; verify:\n%s",
            (unsigned long long)seed, step, (unsigned long long)wanted.missing, (unsigned long long)wanted.extra,
            (unsigned long long)wanted.changed, gw_buf_text(&text));
        fail();
    }
    gw_verify_report_release(&report);
}

/* Both sides alike, then apart by a few changes, then alike again, and so on. */
static void do_round(uint64_t seed)
{
    random_state = seed;
    bool keyed = next_random(3) > 0;
    struct fake_pair *pair = fake_pair_new(keyed);
    pair->target.reversed = next_random(2);
    pair->source.no_versions = pair->target.no_versions = next_random(4) == 0;
    for (unsigned i = 0; i < IDS; i++) {
        uint64_t before = random_state;
        change_row(&pair->source, keyed);
        random_state = before;
        change_row(&pair->target, keyed);
    }
    compare_with_oracle(pair, keyed, seed, 0);
    for (unsigned step = 1; step <= 6; step++) {
        for (uint64_t n = next_random(step * step) + 1; n > 0; n--)
            change_row(next_random(2) ? &pair->target : &pair->source, keyed);
        compare_with_oracle(pair, keyed, seed, step);
    }
    fake_pair_free(pair);
}

static void random_changes_are_found_as_an_oracle_finds_them(void **state)
{
    (void)state;
    const char *seed = getenv("GODWIT_TEST_SEED"), *seconds = getenv("GODWIT_TEST_SECONDS");
    int64_t end_us = gw_mono_us() + (seconds ? strtoll(seconds, NULL, 10) : SECONDS) * 1000000;
    if (seed) {
        do_round(strtoull(seed, NULL, 10));
        return;
    }
    unsigned rounds = 0;
    for (; rounds < 10 || gw_mono_us() < end_us; rounds++)
        do_round(gw_random64());
    print_message("%u rounds\n", rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_are_found_as_an_oracle_finds_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
