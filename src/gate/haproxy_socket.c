#include "gate/haproxy_socket.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX_BYTES = 64 << 20, READ_BYTES = 65536 };

static bool fail_connect(const char *where, int why, struct gw_error *err)
{
    (void)gw_fail(err, GW_ERR_REFUSED, "could not connect to HAProxy's stats socket %s", where);
    (void)gw_error_detail(err, "%s", strerror(why)); /* NOLINT(concurrency-mt-unsafe) */
    return gw_error_hint(err, why == EACCES ? "give godwit's user access to it (stats socket ... user, group, mode)"
                                            : "check gate: socket, and that HAProxy runs");
}

static bool wait_for(int fd, short events, int64_t deadline_us, struct gw_cancel *cancel, const char *where,
                     struct gw_error *err)
{
    struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = cancel ? cancel->fd : -1, .events = POLLIN}};
    for (;;) {
        if (gw_cancel_asked(cancel))
            return gw_cancel_fail(cancel, err);
        int left_ms = gw_left_ms(deadline_us);
        int got = poll(fds, 2, left_ms);
        if (got < 0 && errno != EINTR)
            return gw_fail_errno(err, errno, "could not wait for a socket");
        if (got > 0 && fds[0].revents)
            return true;
        if (left_ms == 0)
            return gw_fail(err, GW_ERR_RETRY, "HAProxy's stats socket %s did not answer in time", where);
    }
}

static bool finish_connect(int fd, const char *where, const struct sockaddr *address, socklen_t len,
                           int64_t deadline_us, struct gw_cancel *cancel, struct gw_error *err)
{
    int why = 0;
    socklen_t size = sizeof why;
    if (connect(fd, address, len) == 0)
        return true;
    if (errno != EINPROGRESS)
        return fail_connect(where, errno, err);
    if (!wait_for(fd, POLLOUT, deadline_us, cancel, where, err))
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &size) != 0)
        why = errno;
    return why == 0 || fail_connect(where, why, err);
}

static bool connect_path(const char *path, const char *where, int64_t deadline_us, struct gw_cancel *cancel, int *out,
                         struct gw_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return gw_fail(err, GW_ERR_USER, "the path of HAProxy's stats socket is longer than %zu bytes: %s",
                       sizeof address.sun_path - 1, path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    *out = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*out < 0)
        return gw_fail_errno(err, errno, "could not make a socket");
    return finish_connect(*out, where, (struct sockaddr *)&address, sizeof address, deadline_us, cancel, err);
}

static bool connect_host(const char *text, const char *where, int64_t deadline_us, struct gw_cancel *cancel, int *out,
                         struct gw_error *err)
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || !colon[1]) {
        (void)gw_fail(err, GW_ERR_USER, "\"%s\" is neither a path nor host:port", where);
        return gw_error_hint(err, "gate: socket is what stands behind \"stats socket\" in HAProxy's configuration");
    }
    bool brackets = text[0] == '[' && colon[-1] == ']';
    gw_autofree char *host =
        brackets ? gw_strndup(text + 1, (size_t)(colon - text) - 2) : gw_strndup(text, (size_t)(colon - text));
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int code = getaddrinfo(host, colon + 1, &hints, &list);
    if (code != 0) {
        (void)gw_fail(err, GW_ERR_REFUSED, "the host of HAProxy's stats socket %s is not known", where);
        return gw_error_detail(err, "%s", gai_strerror(code));
    }
    bool ok = false;
    for (struct addrinfo *at = list; at && !ok; at = at->ai_next) {
        if (*out >= 0)
            close(*out);
        *out = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        ok = *out < 0 ? gw_fail_errno(err, errno, "could not make a socket")
                      : finish_connect(*out, where, at->ai_addr, at->ai_addrlen, deadline_us, cancel, err);
    }
    freeaddrinfo(list);
    return ok;
}

static bool send_all(int fd, const char *text, size_t len, const char *where, int64_t deadline_us,
                     struct gw_cancel *cancel, struct gw_error *err)
{
    while (len) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent > 0) {
            text += sent;
            len -= (size_t)sent;
        } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return gw_fail_errno(err, errno, "lost the connection to HAProxy's stats socket %s", where);
        } else if (!wait_for(fd, POLLOUT, deadline_us, cancel, where, err)) {
            return false;
        }
    }
    return true;
}

static bool read_all(int fd, const char *where, int64_t deadline_us, struct gw_cancel *cancel, struct gw_buf *answer,
                     struct gw_error *err)
{
    gw_autofree char *piece = gw_calloc(READ_BYTES, 1);
    for (;;) {
        ssize_t got = recv(fd, piece, READ_BYTES, 0);
        if (got == 0)
            return true;
        if (got > 0) {
            gw_buf_add(answer, piece, (size_t)got);
            if (answer->len > ANSWER_MAX_BYTES)
                return gw_fail(err, GW_ERR_RESOURCE, "HAProxy's stats socket %s does not stop answering", where);
        } else if (errno != EAGAIN && errno != EINTR) {
            return gw_fail_errno(err, errno, "lost the connection to HAProxy's stats socket %s", where);
        } else if (!wait_for(fd, POLLIN, deadline_us, cancel, where, err)) {
            return false;
        }
    }
}

bool gw_hap_ask(const char *where, const char *commands, int timeout_ms, struct gw_cancel *cancel,
                struct gw_buf *answer, struct gw_error *err)
{
    static const char *const families[] = {"unix@", "ipv4@", "ipv6@", "ipv4:", "ipv6:"};
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    const char *text = where;
    int fd = -1;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strncmp(text, families[i], 5) == 0)
            text += 5;
    bool ok = text[0] == '/' ? connect_path(text, where, deadline_us, cancel, &fd, err)
                             : connect_host(text, where, deadline_us, cancel, &fd, err);
    gw_autofree char *line = gw_asprintf("%s\n", commands);
    ok = ok && send_all(fd, line, strlen(line), where, deadline_us, cancel, err) &&
         read_all(fd, where, deadline_us, cancel, answer, err);
    if (fd >= 0)
        close(fd);
    return ok;
}
