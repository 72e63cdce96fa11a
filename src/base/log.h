/*
 * Log lines to stderr: plain lines elsewhere than on a terminal, colour only on one and without NO_COLOR.
 * Progress (progress.h in cli/) and logs share stderr through this module, so that lines never tear.
 * Nothing secret is ever logged: connection strings go through gw_redact_url() first. Thread-safe.
 */
#ifndef GW_BASE_LOG_H
#define GW_BASE_LOG_H

#include "base/error.h"

enum gw_log_level { GW_LOG_DEBUG, GW_LOG_INFO, GW_LOG_WARN, GW_LOG_ERROR };

void gw_log_init(enum gw_log_level least);
enum gw_log_level gw_log_least(void);
void gw_log(enum gw_log_level level, const char *format, ...) GW_PRINTF(2, 3);
#define gw_debug(...) gw_log(GW_LOG_DEBUG, __VA_ARGS__)
#define gw_info(...) gw_log(GW_LOG_INFO, __VA_ARGS__)
#define gw_warn(...) gw_log(GW_LOG_WARN, __VA_ARGS__)
/* "godwit: error: message" with detail, place and hint on lines of their own. */
void gw_log_error(const struct gw_error *err);
/* A status line at the bottom of a terminal, redrawn under log lines; NULL removes it. No-op when not a terminal. */
void gw_log_status_line(const char *text_or_null);
bool gw_log_is_terminal(void);
/* Called with each message as it was said (without prefix) besides stderr: the runner forwards them to its clients. */
void gw_log_tee(void (*tee)(enum gw_log_level level, const char *text, void *arg), void *arg);

/* Replaces the password in a URL or a key=value connection string with ***; out is cut to size bytes. */
void gw_redact_url(const char *url, char *out, unsigned size);

#endif
