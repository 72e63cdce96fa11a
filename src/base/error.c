#include "base/error.h"

#include <errno.h>
#include <string.h>

/* Formats into a fixed field; text that does not fit ends in "...", without half a UTF-8 character before it. */
static void __attribute__((format(printf, 3, 0))) error_format(char *out, size_t size, const char *format, va_list args)
{
    int wanted = vsnprintf(out, size, format, args);
    if (wanted < 0) {
        snprintf(out, size, "(unprintable: %s)", format);
        return;
    }
    if ((size_t)wanted < size)
        return;
    size_t cut = size - 4;
    while (cut > 0 && ((unsigned char)out[cut] & 0xC0u) == 0x80u)
        cut--;
    memcpy(out + cut, "...", 4);
}

static void __attribute__((format(printf, 3, 0)))
error_fill(struct gw_error *err, enum gw_error_kind kind, const char *format, va_list args)
{
    struct gw_error fresh = {.kind = kind};
    /* The arguments may point into *err itself (an error wrapped in another), so it is overwritten last. */
    error_format(fresh.message, sizeof fresh.message, format, args);
    *err = fresh;
}

bool gw_fail(struct gw_error *err, enum gw_error_kind kind, const char *format, ...)
{
    if (!err)
        return false;
    va_list args;
    va_start(args, format);
    error_fill(err, kind, format, args);
    va_end(args);
    return false;
}

static enum gw_error_kind kind_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EFBIG:
    case EIO:
    case EROFS:
        return GW_ERR_RESOURCE;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EAGAIN:
    case EINTR:
        return GW_ERR_RETRY;
    default:
        return GW_ERR_USER;
    }
}

bool gw_fail_errno(struct gw_error *err, int errno_value, const char *format, ...)
{
    if (!err)
        return false;
    va_list args;
    va_start(args, format);
    error_fill(err, kind_of_errno(errno_value), format, args);
    va_end(args);
    const char *words = strerrordesc_np(errno_value);
    size_t len = strlen(err->message);
    if (words)
        snprintf(err->message + len, sizeof err->message - len, ": %s", words);
    else
        snprintf(err->message + len, sizeof err->message - len, ": error number %d", errno_value);
    if (err->kind == GW_ERR_RESOURCE && (errno_value == ENOSPC || errno_value == EDQUOT))
        gw_error_hint(err, "make room on that disk and start again: nothing is lost");
    return false;
}

bool gw_error_detail(struct gw_error *err, const char *format, ...)
{
    if (!err)
        return false;
    char text[sizeof err->detail];
    va_list args;
    va_start(args, format);
    error_format(text, sizeof text, format, args);
    va_end(args);
    memcpy(err->detail, text, sizeof text);
    return false;
}

bool gw_error_hint(struct gw_error *err, const char *format, ...)
{
    if (!err)
        return false;
    char text[sizeof err->hint];
    va_list args;
    va_start(args, format);
    error_format(text, sizeof text, format, args);
    va_end(args);
    memcpy(err->hint, text, sizeof text);
    return false;
}

bool gw_error_place(struct gw_error *err, const char *format, ...)
{
    if (!err || err->place[0])
        return false;
    char text[sizeof err->place];
    va_list args;
    va_start(args, format);
    error_format(text, sizeof text, format, args);
    va_end(args);
    memcpy(err->place, text, sizeof text);
    return false;
}

static void error_join(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void error_join(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_format(out, size, format, args);
    va_end(args);
}

bool gw_error_prefix(struct gw_error *err, const char *format, ...)
{
    if (!err)
        return false;
    char before[sizeof err->message];
    char joined[sizeof err->message];
    va_list args;
    va_start(args, format);
    error_format(before, sizeof before, format, args);
    va_end(args);
    error_join(joined, sizeof joined, "%s: %s", before, err->message);
    memcpy(err->message, joined, sizeof joined);
    return false;
}

void gw_error_clear(struct gw_error *err)
{
    if (err)
        *err = (struct gw_error){.kind = GW_ERR_NONE};
}

const char *gw_error_kind_name(enum gw_error_kind kind)
{
    switch (kind) {
    case GW_ERR_NONE:
        return "none";
    case GW_ERR_RETRY:
        return "retry";
    case GW_ERR_REFUSED:
        return "refused";
    case GW_ERR_USER:
        return "user";
    case GW_ERR_CONFLICT:
        return "conflict";
    case GW_ERR_LOST_POSITION:
        return "lost position";
    case GW_ERR_UNSUPPORTED:
        return "unsupported";
    case GW_ERR_RESOURCE:
        return "resource";
    case GW_ERR_CANCELLED:
        return "cancelled";
    case GW_ERR_BUG:
        return "bug";
    }
    return "unknown";
}

enum gw_exit gw_error_exit(const struct gw_error *err)
{
    switch (err->kind) {
    case GW_ERR_NONE:
        return GW_EXIT_YES;
    case GW_ERR_RETRY:
    case GW_ERR_REFUSED:
        return GW_EXIT_UNREACHABLE;
    case GW_ERR_USER:
        return GW_EXIT_USAGE;
    case GW_ERR_CONFLICT:
    case GW_ERR_LOST_POSITION:
    case GW_ERR_UNSUPPORTED:
        return GW_EXIT_NO;
    case GW_ERR_RESOURCE:
    case GW_ERR_CANCELLED:
        return GW_EXIT_INTERRUPTED;
    case GW_ERR_BUG:
        return GW_EXIT_BUG;
    }
    return GW_EXIT_BUG;
}
