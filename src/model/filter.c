#include "base/mem.h"
#include "model/schema.h"

/* * and ? against a whole name; the pattern is `len` bytes long. ? takes one UTF-8 character. */
static bool glob(const char *pattern, size_t len, const char *name)
{
    const char *end = pattern + len, *star = NULL, *retry = NULL;
    for (;;) {
        if (pattern < end && *pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (pattern < end && *name && (*pattern == '?' || *pattern == *name)) {
            bool any = *pattern++ == '?';
            name++;
            while (any && ((unsigned char)*name & 0xC0u) == 0x80u)
                name++;
        } else if (pattern == end && *name == 0) {
            return true;
        } else if (star && *retry) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
}

/* Names may hold dots themselves: every dot of the pattern is tried as the one between space and name. */
static bool pattern_match(const char *pattern, const char *space, const char *name)
{
    const char *dot = strchr(pattern, '.');
    if (!dot)
        return glob(pattern, strlen(pattern), name);
    for (; dot; dot = strchr(dot + 1, '.'))
        if (glob(pattern, (size_t)(dot - pattern), space) && glob(dot + 1, strlen(dot + 1), name))
            return true;
    return false;
}

static bool any_match(char *const *patterns, size_t count, const char *space, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (pattern_match(patterns[i], space, name))
            return true;
    return false;
}

bool gw_filter_match(const struct gw_filter *filter, const char *space, const char *name)
{
    if (filter->include_count && !any_match(filter->include, filter->include_count, space, name))
        return false;
    return !any_match(filter->exclude, filter->exclude_count, space, name);
}

void gw_filter_release(struct gw_filter *filter)
{
    for (size_t i = 0; i < filter->include_count; i++)
        free(filter->include[i]);
    for (size_t i = 0; i < filter->exclude_count; i++)
        free(filter->exclude[i]);
    free(filter->include);
    free(filter->exclude);
    *filter = (struct gw_filter){0};
}
