#include "io/unix_socket.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/json.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A socket address holds 107 bytes, a state folder can be longer: the address goes through an open folder. */
static bool address_of(const char *path, struct sockaddr_un *address, int *dir_fd, struct gw_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    gw_autofree char *folder = slash == path ? gw_strdup("/") : slash ? gw_strndup(path, (size_t)(slash - path)) : NULL;
    *dir_fd = open(folder ? folder : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*dir_fd < 0)
        return gw_fail_errno(err, errno, "could not open the folder of %s", path);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int len = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", *dir_fd, name);
    if (len < 0 || (size_t)len >= sizeof address->sun_path) {
        close(*dir_fd);
        return gw_fail(err, GW_ERR_USER, "the name of the socket %s is too long", path);
    }
    return true;
}

static int socket_new(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static bool try_connect(const char *path, int *fd, int *failed, struct gw_error *err)
{
    struct sockaddr_un address;
    int dir_fd;
    *fd = -1;
    if (!address_of(path, &address, &dir_fd, err))
        return false;
    *fd = socket_new();
    *failed = *fd < 0 ? errno : 0;
    if (*fd >= 0 && connect(*fd, (struct sockaddr *)&address, sizeof address) != 0) {
        *failed = errno;
        close(*fd);
        *fd = -1;
    }
    close(dir_fd);
    return true;
}

/* Removes what a dead process left. Who calls holds a lock of their own (the state's) when two may start at once. */
static bool clear_stale(const char *path, struct gw_error *err)
{
    struct stat st;
    int fd;
    int failed;
    if (lstat(path, &st) != 0)
        return errno == ENOENT || gw_fail_errno(err, errno, "could not look at %s", path);
    if (!S_ISSOCK(st.st_mode))
        return gw_fail(err, GW_ERR_CONFLICT, "%s is there and is not a socket", path);
    if (!try_connect(path, &fd, &failed, err))
        return false;
    if (fd >= 0 || failed == EAGAIN) {
        if (fd >= 0)
            close(fd);
        return gw_fail(err, GW_ERR_CONFLICT, "another process answers at %s", path);
    }
    if (failed != ECONNREFUSED && failed != ENOENT)
        return gw_fail_errno(err, failed, "could not see whether a process answers at %s", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return gw_fail_errno(err, errno, "could not remove the old socket %s", path);
    return true;
}

bool gw_unix_listen(const char *path, struct gw_unix_listener *listener, struct gw_error *err)
{
    struct sockaddr_un address;
    int dir_fd;
    *listener = (struct gw_unix_listener){.fd = -1};
    if (!clear_stale(path, err) || !address_of(path, &address, &dir_fd, err))
        return false;
    int fd = socket_new();
    /* On Linux the mode of the unbound socket becomes the mode of the file: never a moment with a wider one. */
    bool ok = fd >= 0 && fchmod(fd, 0600) == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
              listen(fd, 64) == 0;
    int failed = errno;
    close(dir_fd);
    if (!ok) {
        if (fd >= 0)
            close(fd);
        return gw_fail_errno(err, failed, "could not listen at %s", path);
    }
    listener->fd = fd;
    listener->path = gw_strdup(path);
    return true;
}

void gw_unix_listener_close(struct gw_unix_listener *listener)
{
    if (listener->fd >= 0) {
        unlink(listener->path);
        close(listener->fd);
    }
    free(listener->path);
    *listener = (struct gw_unix_listener){.fd = -1};
}

static bool peer_allowed(int fd, pid_t *pid)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    *pid = peer.pid;
    return peer.uid == geteuid() || peer.uid == 0;
}

bool gw_unix_connect(const char *path, int timeout_ms, struct gw_unix_connection *connection, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    int fd = -1;
    int failed = EAGAIN;
    *connection = (struct gw_unix_connection){.fd = -1};
    /* EAGAIN: its queue of new connections is full for the moment. */
    for (;;) {
        if (!try_connect(path, &fd, &failed, err))
            return false;
        if (fd >= 0 || failed != EAGAIN || (timeout_ms >= 0 && gw_left_ms(deadline_us) == 0))
            break;
        gw_sleep_us(5000);
    }
    if (fd < 0 && (failed == ENOENT || failed == ECONNREFUSED || failed == EAGAIN))
        return gw_fail(err, GW_ERR_RETRY, "no process answers at %s", path);
    if (fd < 0)
        return gw_fail_errno(err, failed, "could not connect to %s", path);
    if (!peer_allowed(fd, &connection->peer_pid)) {
        close(fd);
        return gw_fail(err, GW_ERR_REFUSED, "the process that answers at %s belongs to another user", path);
    }
    connection->fd = fd;
    return true;
}

bool gw_unix_accept(struct gw_unix_listener *listener, struct gw_unix_connection *connection, bool *accepted,
                    struct gw_error *err)
{
    *accepted = false;
    *connection = (struct gw_unix_connection){.fd = -1};
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
        return true;
    if (fd < 0)
        return gw_fail_errno(err, errno, "could not accept a connection at %s", listener->path);
    if (!peer_allowed(fd, &connection->peer_pid)) {
        close(fd);
        return true;
    }
    connection->fd = fd;
    *accepted = true;
    return true;
}

void gw_unix_close(struct gw_unix_connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    gw_buf_release(&connection->in);
    *connection = (struct gw_unix_connection){.fd = -1};
}

/* Waits for the socket or the cancel; *ready false when the time is over. */
static bool wait_for(struct gw_unix_connection *connection, short events, int timeout_ms, int64_t deadline_us,
                     struct gw_cancel *cancel, bool *ready, struct gw_error *err)
{
    for (;;) {
        struct pollfd fds[2] = {
            {.fd = connection->fd, .events = events},
            {.fd = cancel ? cancel->fd : -1, .events = POLLIN},
        };
        int left_ms = timeout_ms < 0 ? -1 : gw_left_ms(deadline_us);
        int count = poll(fds, 2, left_ms);
        if (count < 0 && errno != EINTR)
            return gw_fail_errno(err, errno, "could not wait for the socket");
        *ready = count > 0 && fds[0].revents != 0;
        if (*ready)
            return true;
        if (gw_cancel_asked(cancel))
            return gw_cancel_fail(cancel, err);
        if (left_ms == 0)
            return true;
    }
}

bool gw_unix_send(struct gw_unix_connection *connection, const json_t *message, int timeout_ms,
                  struct gw_cancel *cancel, struct gw_error *err)
{
    gw_autobuf struct gw_buf line = {0};
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    gw_json_dump(message, 0, &line);
    gw_buf_addc(&line, '\n');
    if (line.len > GW_UNIX_MESSAGE_MAX_BYTES)
        return gw_fail(err, GW_ERR_BUG, "a message of %zu bytes is too long", line.len);
    size_t sent = 0;
    while (sent < line.len) {
        ssize_t count = send(connection->fd, line.data + sent, line.len - sent, MSG_NOSIGNAL);
        if (count > 0) {
            sent += (size_t)count;
            continue;
        }
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno != EAGAIN)
            return gw_fail_errno(err, errno, "could not send to the other godwit process");
        bool ready;
        if (!wait_for(connection, POLLOUT, timeout_ms, deadline_us, cancel, &ready, err))
            return false;
        if (!ready)
            return gw_fail(err, GW_ERR_RETRY, "the other godwit process does not read");
    }
    return true;
}

/* A whole line that is already here. */
static bool next_line(struct gw_unix_connection *connection, bool *found, json_t **message, struct gw_error *err)
{
    struct gw_buf *in = &connection->in;
    *found = false;
    if (in->len == connection->in_scanned)
        return true;
    char *newline = memchr(in->data + connection->in_scanned, '\n', in->len - connection->in_scanned);
    if (!newline) {
        connection->in_scanned = in->len;
        return true;
    }
    char *line = in->data + connection->in_read;
    size_t len = (size_t)(newline - line);
    connection->in_read += len + 1;
    connection->in_scanned = connection->in_read;
    if (!gw_json_parse(line, len, "message", message, err))
        return false;
    *found = true;
    if (connection->in_read == in->len) {
        gw_buf_shrink(in, 65536);
        connection->in_read = connection->in_scanned = 0;
    }
    return true;
}

static bool read_more(struct gw_unix_connection *connection, bool *closed, struct gw_error *err)
{
    struct gw_buf *in = &connection->in;
    *closed = false;
    if (connection->in_read > 0) {
        in->len -= connection->in_read;
        memmove(in->data, in->data + connection->in_read, in->len + 1);
        connection->in_scanned -= connection->in_read;
        connection->in_read = 0;
    }
    if (in->len > GW_UNIX_MESSAGE_MAX_BYTES)
        return gw_fail(err, GW_ERR_USER, "a message is longer than %zu bytes", GW_UNIX_MESSAGE_MAX_BYTES);
    gw_buf_reserve(in, 16384);
    ssize_t got = recv(connection->fd, in->data + in->len, in->capacity - in->len - 1, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got < 0 && errno != ECONNRESET)
        return gw_fail_errno(err, errno, "could not read from the other godwit process");
    if (got > 0) {
        in->len += (size_t)got;
        in->data[in->len] = 0;
        return true;
    }
    *closed = true;
    if (in->len > 0)
        return gw_fail(err, GW_ERR_RETRY, "the other godwit process ended in the middle of a message");
    return true;
}

bool gw_unix_receive(struct gw_unix_connection *connection, int timeout_ms, struct gw_cancel *cancel,
                     enum gw_unix_event *event, json_t **message, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    *message = NULL;
    for (;;) {
        bool found = false;
        bool closed = false;
        bool ready = false;
        if (!next_line(connection, &found, message, err))
            return false;
        *event = GW_UNIX_MESSAGE;
        if (found)
            return true;
        if (!wait_for(connection, POLLIN, timeout_ms, deadline_us, cancel, &ready, err))
            return false;
        *event = GW_UNIX_TIMEOUT;
        if (!ready)
            return true;
        if (!read_more(connection, &closed, err))
            return false;
        *event = GW_UNIX_CLOSED;
        if (closed)
            return true;
    }
}
