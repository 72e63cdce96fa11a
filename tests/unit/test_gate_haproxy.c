/* What HAProxy's runtime API prints, read: its servers, their limits, its sessions. */
#include "base/buf.h"
#include "gate/haproxy_config.h"
#include "gate/haproxy_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char state_text[] =
    "1\n"
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord\n"
    "3 app 1 old 10.0.0.5 2 0 1 1 0 1 0 2 0 0 0 0 - 5432 -\n"
    "3 app 2 new ::1 0 5 1 1 0 1 0 0 8 0 0 0 db.internal 5433 -\n"
    "4 web 1 old 10.0.0.9 2 8 1 1 0 1 0 2 0 0 0 0 - 80 -\n";
static const char stat_text[] =
    "\n# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,pid,iid,sid,type,last_chk,mode,\n"
    "fe,FRONTEND,,,8,8,1000,8,OPEN,1,2,0,0,,tcp,\n"
    "app,old,0,0,3,3,100,3,UP,1,3,1,2,\"no, \"\"it\"\" answers\",tcp,\n"
    "app,new,0,0,0,0,,0,MAINT,1,3,2,2,,tcp,\n"
    "app,BACKEND,5,5,8,8,100,8,UP,1,3,0,1,,tcp,\n"
    "web,old,0,0,7,7,1,7,UP,1,4,1,2,,http,\n";

static void reads_servers_with_their_state_and_limits(void **unused)
{
    (void)unused;
    struct gw_error err;
    struct gw_hap_servers all;
    gw_autobuf struct gw_buf text = {0};
    gw_buf_addf(&text, "%s%s", state_text, stat_text);
    assert_true(gw_hap_servers_parse(gw_buf_text(&text), &all, &err));
    assert_int_equal(all.count, 3);
    const struct gw_hap_server *old = gw_hap_servers_find(&all, "app", "old");
    const struct gw_hap_server *new = gw_hap_servers_find(&all, "app", "new");
    const struct gw_hap_server *web = gw_hap_servers_find(&all, "web", "old");
    assert_non_null(old);
    assert_non_null(new);
    assert_non_null(web);
    assert_null(gw_hap_servers_find(&all, "app", "BACKEND"));
    assert_string_equal(old->host, "10.0.0.5");
    assert_string_equal(old->port, "5432");
    assert_int_equal(old->limit, 100);
    assert_int_equal(old->sessions, 3);
    assert_string_equal(old->mode, "tcp");
    assert_true(gw_hap_is_running(old));
    assert_string_equal(new->host, "::1");
    assert_string_equal(new->port, "5433");
    assert_int_equal(new->limit, 0);
    assert_true(gw_hap_in_maintenance(new));
    assert_false(gw_hap_is_running(web)); /* drained */
    assert_false(gw_hap_in_maintenance(web));
    gw_hap_servers_release(&all);
}

/* 4: `disabled` in the configuration; it stays when the server is made ready. 1: in maintenance now. */
static void disabled_in_the_configuration_is_not_maintenance_by_itself(void **unused)
{
    (void)unused;
    struct gw_hap_server server = {.op_state = 2, .admin_state = 4};
    assert_false(gw_hap_in_maintenance(&server));
    assert_true(gw_hap_is_running(&server));
    server.admin_state = 5;
    assert_true(gw_hap_in_maintenance(&server));
    server.admin_state = 0x20; /* its name does not resolve */
    assert_true(gw_hap_in_maintenance(&server));
    server = (struct gw_hap_server){.op_state = 0};
    assert_false(gw_hap_is_running(&server)); /* down by its checks */
}

static void says_which_column_a_version_does_not_have(void **unused)
{
    (void)unused;
    struct gw_error err;
    struct gw_hap_servers all;
    assert_false(gw_hap_servers_parse("# be_name srv_name srv_addr srv_op_state\n", &all, &err));
    assert_non_null(strstr(err.message, "srv_port"));
    assert_int_equal(err.kind, GW_ERR_UNSUPPORTED);
    assert_true(gw_hap_servers_parse("Can't find backend.\n\n", &all, &err));
    assert_int_equal(all.count, 0);
    assert_true(gw_hap_servers_parse("", &all, &err));
    gw_hap_servers_release(&all);
}

static void reads_the_sessions_of_one_backend(void **unused)
{
    (void)unused;
    static const char text[] = "0x55aa: [22/Nov/2026:17:19:35.429672] id=0 proto=tcpv4 source=127.0.0.1:32948\n"
                               "  flags=0x4a, conn_retries=0, srv_conn=0x1, pend_pos=(nil) waiting=0 epoch=0\n"
                               "  frontend=fe (id=2 mode=tcp), listener=? (id=1) addr=127.0.0.1:17001\n"
                               "  backend=app (id=3 mode=tcp) addr=10.0.0.7:35750\n"
                               "  server=old (id=1) addr=10.0.0.5:5432\n"
                               "  task=0x5 (state=0x00)\n"
                               "0x66bb: [22/Nov/2026:17:19:35.429672] id=1 proto=tcpv4 source=127.0.0.1:32950\n"
                               "  flags=0x4a, conn_retries=0, srv_conn=(nil), pend_pos=0x7 waiting=0 epoch=0\n"
                               "  backend=app (id=3 mode=tcp)\n"
                               "  server=<NONE> (id=-1)\n"
                               "0x77cc: [22/Nov/2026:17:19:35.429672] id=2 proto=tcpv4 source=127.0.0.1:32951\n"
                               "  backend=web (id=4 mode=http) addr=10.0.0.7:35751\n"
                               "  server=old (id=1) addr=10.0.0.9:80\n"
                               "0x88dd: [22/Nov/2026:17:19:35.430190] id=3 proto=unix_stream source=unix:1\n"
                               "  backend=<NONE> (id=-1 mode=-)\n"
                               "  server=<NONE> (id=-1)\n"
                               "0x99ee: [22/Nov/2026:17:19:35.430190] id=4 proto=tcpv4\n"
                               "  backend=app (id=3 mode=tcp) addr=10.0.0.7:3";
    struct gw_hap_session *sessions;
    size_t count;
    gw_hap_sessions_parse(text, "app", &sessions, &count);
    assert_int_equal(count, 2);
    assert_string_equal(sessions[0].id, "0x55aa");
    assert_true(sessions[0].has_slot);
    assert_false(sessions[1].has_slot);
    assert_int_equal(sessions[0].number, 0);
    assert_int_equal(sessions[1].number, 1);
    assert_string_equal(sessions[0].server, "old");
    assert_string_equal(sessions[0].address, "10.0.0.7:35750");
    assert_string_equal(sessions[1].id, "0x66bb");
    assert_string_equal(sessions[1].server, ""); /* waits in the queue */
    assert_string_equal(sessions[1].address, "");
    free(sessions);
    gw_hap_sessions_parse("", "app", &sessions, &count);
    assert_int_equal(count, 0);
}

static void silence_is_success(void **unused)
{
    (void)unused;
    char said[32];
    assert_true(gw_hap_said_nothing("\n\n\n", said, sizeof said));
    assert_true(gw_hap_said_nothing("", said, sizeof said));
    assert_false(gw_hap_said_nothing("\n\nNo such server.\n\n", said, sizeof said));
    assert_string_equal(said, "No such server.");
}

static struct gw_hap_config config_of(const char *text)
{
    struct gw_hap_config config;
    gw_hap_config_parse(text, "app", &config);
    return config;
}

static void reads_how_long_a_queue_may_last(void **unused)
{
    (void)unused;
    struct gw_hap_config config =
        config_of("defaults\n  timeout queue 7s # not 8s\n timeout connect 3s\nbackend app\n");
    assert_true(config.has_backend);
    assert_int_equal(config.queue_ms, 7000);
    assert_false(config.by_connect);
    config = config_of("defaults\n timeout connect 2500\nfrontend app\n timeout queue 1s\nlisten app\n");
    assert_int_equal(config.queue_ms, 2500);
    assert_true(config.by_connect);
    config = config_of("defaults\n timeout queue 7s\nbackend app\n  timeout queue 2m\nbackend b\n timeout queue 1s\n");
    assert_int_equal(config.queue_ms, 120000);
    config = config_of("defaults\n timeout queue 7s\ndefaults\nbackend app\n"); /* the second begins anew */
    assert_int_equal(config.queue_ms, 0);
    config = config_of("defaults a\n timeout queue 7s\ndefaults b from a\n timeout connect 1s\ndefaults c\n"
                       "backend app from \"b\"\n");
    assert_int_equal(config.queue_ms, 7000);
    assert_false(config_of("backend other\nbackend\n").has_backend);
    assert_false(config_of("").has_backend);
}

static void reads_whether_a_reload_takes_up_the_state(void **unused)
{
    (void)unused;
    struct gw_hap_config config =
        config_of("global\n server-state-file /x/y\ndefaults\n load-server-state-from-file global\n"
                  "backend app\n");
    assert_true(config.loads_state && config.has_state_file);
    config =
        config_of("defaults\n load-server-state-from-file local\nbackend app\n server-state-file-name app.state\n");
    assert_true(config.loads_state && config.has_state_file);
    config =
        config_of("defaults\n load-server-state-from-file global\nbackend app\n load-server-state-from-file none\n");
    assert_false(config.loads_state || config.has_state_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_servers_with_their_state_and_limits),
        cmocka_unit_test(disabled_in_the_configuration_is_not_maintenance_by_itself),
        cmocka_unit_test(says_which_column_a_version_does_not_have),
        cmocka_unit_test(reads_the_sessions_of_one_backend),
        cmocka_unit_test(silence_is_success),
        cmocka_unit_test(reads_how_long_a_queue_may_last),
        cmocka_unit_test(reads_whether_a_reload_takes_up_the_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
