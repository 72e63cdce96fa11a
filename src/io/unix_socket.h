/*
 * Talk between godwit processes on one machine: the runner, the commands, the watchdog.
 *
 * A Unix socket (0600, in a private folder) carrying one JSON value per line. Only the same user, and root, is let in.
 * A message has a bound, so that nobody can fill our memory. A path longer than a socket address can hold works, too.
 * A struct belongs to one thread at a time.
 */
#ifndef GW_IO_UNIX_SOCKET_H
#define GW_IO_UNIX_SOCKET_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define GW_UNIX_MESSAGE_MAX_BYTES ((size_t)4 << 20)

struct gw_unix_listener {
    int fd; /* for poll; -1 when closed */
    char *path;
};

/* A socket left behind by a dead process is replaced; one that answers is GW_ERR_CONFLICT. */
GW_MUST_CHECK bool gw_unix_listen(const char *path, struct gw_unix_listener *listener, struct gw_error *err);
void gw_unix_listener_close(struct gw_unix_listener *listener); /* removes the socket file */

struct gw_unix_connection {
    int fd;         /* non-blocking, for poll; -1 when closed */
    pid_t peer_pid; /* of who connected, or of who listens; 0 when unknown */
    struct gw_buf in;
    size_t in_read;    /* bytes of `in` already handed out */
    size_t in_scanned; /* bytes of `in` known to hold no newline */
};

/* Waits up to timeout_ms (< 0: without end). False with GW_ERR_RETRY when nobody listens: the process is not there. */
GW_MUST_CHECK bool gw_unix_connect(const char *path, int timeout_ms, struct gw_unix_connection *connection,
                                   struct gw_error *err);
/* Takes a connection that poll() has announced. True and *accepted false when it was gone again or not allowed. */
GW_MUST_CHECK bool gw_unix_accept(struct gw_unix_listener *listener, struct gw_unix_connection *connection,
                                  bool *accepted, struct gw_error *err);
void gw_unix_close(struct gw_unix_connection *connection);

/* Sends one value; a peer that does not read for timeout_ms (< 0: without end) is an error (GW_ERR_RETRY), after which
 * the connection can only be closed. */
GW_MUST_CHECK bool gw_unix_send(struct gw_unix_connection *connection, const json_t *message, int timeout_ms,
                                struct gw_cancel *cancel, struct gw_error *err);

enum gw_unix_event {
    GW_UNIX_MESSAGE, /* *message is set, owned by the caller */
    GW_UNIX_TIMEOUT, /* nothing yet */
    GW_UNIX_CLOSED,  /* the peer has ended in order, nothing is left */
};
/* Waits up to timeout_ms (0: only what is there, < 0: without end). */
GW_MUST_CHECK bool gw_unix_receive(struct gw_unix_connection *connection, int timeout_ms, struct gw_cancel *cancel,
                                   enum gw_unix_event *event, json_t **message, struct gw_error *err);

#endif
