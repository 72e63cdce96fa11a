#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <unistd.h>

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int log_least = GW_LOG_INFO;
static atomic_int log_terminal; /* 0 no, 1 yes */
static int log_colour;
static struct gw_buf status_line; /* guarded by log_lock */

static pthread_mutex_t tee_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*tee_function)(enum gw_log_level level, const char *text, void *arg);
static void *tee_arg;
static _Thread_local bool tee_inside; /* a tee that logs must not call itself */

void gw_log_init(enum gw_log_level least)
{
    const char *no_colour = getenv("NO_COLOR"); /* NOLINT(concurrency-mt-unsafe): at the start */
    const char *term = getenv("TERM");          /* NOLINT(concurrency-mt-unsafe): at the start */
    bool terminal = isatty(STDERR_FILENO) == 1 && (!term || strcmp(term, "dumb") != 0);
    atomic_store(&log_least, (int)least);
    atomic_store(&log_terminal, terminal);
    log_colour = terminal && !(no_colour && no_colour[0]);
}

enum gw_log_level gw_log_least(void)
{
    return (enum gw_log_level)atomic_load(&log_least);
}

bool gw_log_is_terminal(void)
{
    return atomic_load(&log_terminal) != 0;
}

/* Text from servers and files may hold anything: control characters never reach a terminal. */
static void add_safe(struct gw_buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '\n') {
            if (p[1])
                gw_buf_adds(out, "\n    ");
        } else if (c == '\t' || (c >= 0x20 && c != 0x7f)) {
            gw_buf_addc(out, *p);
        } else if (c != '\r') {
            gw_buf_addc(out, '?');
        }
    }
}

static void add_prefix(struct gw_buf *out, enum gw_log_level level, bool colour)
{
    static const char *const words[] = {"debug: ", "", "warning: ", "error: "};
    static const char *const colours[] = {"\033[2m", "", "\033[33m", "\033[31m"};
    if (gw_log_least() == GW_LOG_DEBUG) {
        char when[32];
        int64_t now_us = gw_wall_us();
        gw_wall_format(now_us, when);
        gw_buf_addf(out, "%.19s.%03dZ ", when, (int)(now_us / 1000 % 1000));
    }
    gw_buf_adds(out, "godwit: ");
    if (colour)
        gw_buf_adds(out, colours[level]);
    gw_buf_adds(out, words[level]);
    if (colour && colours[level][0])
        gw_buf_adds(out, "\033[0m");
}

static void write_stderr(const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(STDERR_FILENO, bytes, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* stderr is gone: there is nobody to tell */
        bytes += written;
        len -= (size_t)written;
    }
}

/* Writes whole lines with one write(2), above the status line. */
static void emit(enum gw_log_level level, const char *text)
{
    int saved = errno;
    gw_autobuf struct gw_buf plain = {0};
    gw_autobuf struct gw_buf out = {0};
    add_prefix(&plain, level, false);
    add_safe(&plain, text);
    pthread_mutex_lock(&log_lock);
    if (status_line.len)
        gw_buf_adds(&out, "\r\033[K");
    if (log_colour) {
        add_prefix(&out, level, true);
        add_safe(&out, text);
    } else {
        gw_buf_add(&out, gw_buf_text(&plain), plain.len);
    }
    gw_buf_addc(&out, '\n');
    gw_buf_add(&out, gw_buf_text(&status_line), status_line.len);
    write_stderr(out.data, out.len);
    pthread_mutex_unlock(&log_lock);
    if (!tee_inside) {
        pthread_mutex_lock(&tee_lock);
        if (tee_function) {
            tee_inside = true;
            tee_function(level, text, tee_arg);
            tee_inside = false;
        }
        pthread_mutex_unlock(&tee_lock);
    }
    errno = saved;
}

void gw_log(enum gw_log_level level, const char *format, ...)
{
    if (level < gw_log_least())
        return;
    gw_autobuf struct gw_buf text = {0};
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(&text, format, args);
    va_end(args);
    emit(level, gw_buf_text(&text));
}

void gw_log_error(const struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    gw_buf_adds(&text, err->message);
    if (err->detail[0])
        gw_buf_addf(&text, "\ndetail: %s", err->detail);
    if (err->place[0])
        gw_buf_addf(&text, "\nat: %s", err->place);
    if (err->hint[0])
        gw_buf_addf(&text, "\nhint: %s", err->hint);
    emit(GW_LOG_ERROR, gw_buf_text(&text));
}

/* The first `columns` characters: a status line that wraps cannot be removed with one erase. */
static size_t cut_to_columns(const char *text, size_t columns)
{
    size_t seen = 0;
    size_t at = 0;
    for (; text[at] && text[at] != '\n'; at++) {
        if (((unsigned char)text[at] & 0xC0u) == 0x80u)
            continue;
        if (seen++ == columns)
            break;
    }
    return at;
}

void gw_log_status_line(const char *text_or_null)
{
    if (!gw_log_is_terminal())
        return;
    struct winsize size = {0};
    size_t columns = 79;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        columns = size.ws_col - 1u;
    gw_autobuf struct gw_buf out = {0};
    gw_autobuf struct gw_buf safe = {0};
    if (text_or_null)
        add_safe(&safe, text_or_null);
    pthread_mutex_lock(&log_lock);
    if (status_line.len || text_or_null)
        gw_buf_adds(&out, "\r\033[K");
    gw_buf_clear(&status_line);
    gw_buf_add(&status_line, gw_buf_text(&safe), cut_to_columns(gw_buf_text(&safe), columns));
    gw_buf_add(&out, gw_buf_text(&status_line), status_line.len);
    write_stderr(gw_buf_text(&out), out.len);
    pthread_mutex_unlock(&log_lock);
}

void gw_log_tee(void (*tee)(enum gw_log_level level, const char *text, void *arg), void *arg)
{
    pthread_mutex_lock(&tee_lock);
    tee_function = tee;
    tee_arg = arg;
    pthread_mutex_unlock(&tee_lock);
}
