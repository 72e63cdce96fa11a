/* Messages between our own processes: whole, bounded, private. */
#include "gw_test.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/json.h"
#include "io/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int folder_made(void **state)
{
    *state = gw_test_mkdir();
    return 0;
}

static int folder_gone(void **state)
{
    gw_test_rmdir(*state);
    return 0;
}

static void connect_pair(struct gw_unix_listener *listener, struct gw_unix_connection *client,
                         struct gw_unix_connection *server)
{
    struct gw_error err = {0};
    bool accepted = false;
    MUST(gw_unix_connect(listener->path, 5000, client, &err));
    struct pollfd pfd = {.fd = listener->fd, .events = POLLIN};
    assert_int_equal(poll(&pfd, 1, 20000), 1);
    MUST(gw_unix_accept(listener, server, &accepted, &err));
    assert_true(accepted);
    assert_int_equal(server->peer_pid, getpid());
    MUST(gw_unix_accept(listener, server + 1, &accepted, &err)); /* nobody else waits */
    assert_false(accepted);
}

struct pair {
    struct gw_unix_listener listener;
    struct gw_unix_connection client, server[2];
};

static void open_pair(struct pair *pair, const char *folder)
{
    struct gw_error err = {0};
    gw_autofree char *path = gw_asprintf("%s/socket", folder);
    MUST(gw_unix_listen(path, &pair->listener, &err));
    connect_pair(&pair->listener, &pair->client, pair->server);
}

static void close_pair(struct pair *pair)
{
    gw_unix_close(&pair->client);
    gw_unix_close(&pair->server[0]);
    gw_unix_listener_close(&pair->listener);
}

static void socket_is_private_and_goes_away(void **state)
{
    struct gw_error err = {0};
    struct gw_unix_listener listener;
    struct gw_unix_listener second;
    struct gw_unix_connection client;
    struct stat st;
    gw_autofree char *path = gw_asprintf("%s/socket", (char *)*state);
    mode_t before = umask(0);
    MUST(gw_unix_listen(path, &listener, &err));
    umask(before);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_false(gw_unix_listen(path, &second, &err)); /* it answers */
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    gw_unix_listener_close(&listener);
    assert_false(gw_file_exists(path));
    assert_false(gw_unix_connect(path, 100, &client, &err));
    assert_int_equal(err.kind, GW_ERR_RETRY);
    /* Left behind by a killed process: replaced. Something that is no socket: not touched. */
    MUST(gw_unix_listen(path, &listener, &err));
    close(listener.fd);
    free(listener.path);
    MUST(gw_unix_listen(path, &listener, &err));
    gw_unix_listener_close(&listener);
    MUST(gw_file_replace(path, "x", 1, &err));
    assert_false(gw_unix_listen(path, &listener, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_true(gw_file_exists(path));
    unlink(path);
}

static void long_paths_work(void **state)
{
    struct gw_error err = {0};
    struct pair pair;
    gw_autofree char *folder =
        gw_asprintf("%s/%0100d/%0100d/%0100d", (char *)*state, 1, 2, 3); /* an address holds 107 bytes */
    MUST(gw_mkdir_private(folder, &err));
    open_pair(&pair, folder);
    close_pair(&pair);
}

static void messages_arrive_whole_and_in_order(void **state)
{
    struct gw_error err = {0};
    struct pair pair;
    enum gw_unix_event event;
    json_t *message = NULL;
    open_pair(&pair, *state);
    MUST(gw_unix_receive(&pair.server[0], 0, NULL, &event, &message, &err));
    assert_int_equal(event, GW_UNIX_TIMEOUT);
    for (int i = 0; i < 200; i++) {
        gw_autojson json_t *sent = json_pack("{s:i,s:s}", "number", i, "text", "line\nbreak \xc3\xa9");
        MUST(gw_unix_send(&pair.client, sent, 1000, NULL, &err));
    }
    /* Half a message, then the rest. */
    assert_int_equal(send(pair.client.fd, "{\"num", 5, 0), 5);
    for (int i = 0; i < 200; i++) {
        MUST(gw_unix_receive(&pair.server[0], 20000, NULL, &event, &message, &err));
        assert_int_equal(event, GW_UNIX_MESSAGE);
        assert_int_equal(json_integer_value(json_object_get(message, "number")), i);
        assert_string_equal(json_string_value(json_object_get(message, "text")), "line\nbreak \xc3\xa9");
        json_decref(message);
    }
    MUST(gw_unix_receive(&pair.server[0], 10, NULL, &event, &message, &err));
    assert_int_equal(event, GW_UNIX_TIMEOUT);
    assert_int_equal(send(pair.client.fd, "ber\":1}\n", 8, 0), 8);
    MUST(gw_unix_receive(&pair.server[0], 20000, NULL, &event, &message, &err));
    assert_int_equal(event, GW_UNIX_MESSAGE);
    json_decref(message);
    gw_unix_close(&pair.client);
    MUST(gw_unix_receive(&pair.server[0], 20000, NULL, &event, &message, &err));
    assert_int_equal(event, GW_UNIX_CLOSED);
    close_pair(&pair);
}

static void *send_without_end(void *arg)
{
    struct gw_unix_connection *client = arg;
    char block[65536];
    memset(block, 'x', sizeof block);
    while (send(client->fd, block, sizeof block, MSG_NOSIGNAL) > 0 || errno == EAGAIN) {
        struct pollfd pfd = {.fd = client->fd, .events = POLLOUT};
        if (poll(&pfd, 1, 20000) != 1 || (pfd.revents & (POLLHUP | POLLERR)))
            break;
    }
    return NULL;
}

static void bad_messages_are_refused(void **state)
{
    struct gw_error err = {0};
    struct pair pair;
    enum gw_unix_event event;
    json_t *message = NULL;
    static const char *const wrong[] = {"nonsense\n", "\n", "{\"a\":1,\"a\":2}\n", "{\"a\":\"\xff\"}\n", "{} {}\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        open_pair(&pair, *state);
        assert_true(send(pair.client.fd, wrong[i], strlen(wrong[i]), 0) > 0);
        assert_false(gw_unix_receive(&pair.server[0], 20000, NULL, &event, &message, &err));
        assert_int_equal(err.kind, GW_ERR_USER);
        close_pair(&pair);
    }
    /* A message that ends in the middle is no message. */
    open_pair(&pair, *state);
    assert_int_equal(send(pair.client.fd, "{}", 2, 0), 2);
    gw_unix_close(&pair.client);
    assert_false(gw_unix_receive(&pair.server[0], 20000, NULL, &event, &message, &err));
    assert_int_equal(err.kind, GW_ERR_RETRY);
    close_pair(&pair);
    /* One without an end does not fill our memory. */
    pthread_t sender;
    open_pair(&pair, *state);
    assert_int_equal(pthread_create(&sender, NULL, send_without_end, &pair.client), 0);
    assert_false(gw_unix_receive(&pair.server[0], 60000, NULL, &event, &message, &err));
    assert_contains(err.message, "longer than");
    gw_unix_close(&pair.server[0]);
    pthread_join(sender, NULL);
    close_pair(&pair);
}

static void a_peer_that_does_not_read_is_given_up(void **state)
{
    struct gw_error err = {0};
    struct pair pair;
    struct gw_cancel cancel;
    enum gw_unix_event event;
    json_t *message = NULL;
    open_pair(&pair, *state);
    gw_autofree char *long_text = gw_alloc(3000001);
    memset(long_text, 'a', 3000000);
    long_text[3000000] = 0;
    gw_autojson json_t *big = json_string(long_text);
    assert_false(gw_unix_send(&pair.client, big, 50, NULL, &err));
    assert_int_equal(err.kind, GW_ERR_RETRY);
    assert_contains(err.message, "does not read");
    MUST(gw_cancel_init(&cancel, &err));
    gw_cancel_ask(&cancel, 15);
    assert_false(gw_unix_send(&pair.client, big, -1, &cancel, &err));
    assert_int_equal(err.kind, GW_ERR_CANCELLED);
    assert_false(gw_unix_receive(&pair.client, -1, &cancel, &event, &message, &err));
    assert_int_equal(err.kind, GW_ERR_CANCELLED);
    gw_cancel_release(&cancel);
    gw_unix_close(&pair.server[0]);
    gw_autojson json_t *small = json_true();
    assert_false(gw_unix_send(&pair.client, small, 50, NULL, &err)); /* no SIGPIPE */
    assert_int_equal(err.kind, GW_ERR_RETRY);
    close_pair(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(socket_is_private_and_goes_away),       cmocka_unit_test(long_paths_work),
        cmocka_unit_test(messages_arrive_whole_and_in_order),    cmocka_unit_test(bad_messages_are_refused),
        cmocka_unit_test(a_peer_that_does_not_read_is_given_up),
    };
    return cmocka_run_group_tests(tests, folder_made, folder_gone);
}
