#include "store/password.h"

#include "io/process.h"

#include <string.h>

#define PASSWORD_TIMEOUT_MS 30000
#define PASSWORD_MAX_BYTES 65536

bool gw_store_password(const struct gw_store *store, const char *command, struct gw_cancel *cancel, struct gw_buf *out,
                       struct gw_error *err)
{
    const char *argv[4];
    struct gw_process_result result = {0};
    gw_process_shell(argv, command);
    struct gw_process_run run = {
        .spec = {.argv = argv}, .timeout_ms = PASSWORD_TIMEOUT_MS, .max_out_bytes = PASSWORD_MAX_BYTES};
    bool fine = gw_process_run(&run, cancel, &result, err) && gw_process_check(&result, "password_command", err);
    const char *text = gw_buf_text(&result.out);
    size_t len = strcspn(text, "\r\n");
    if (fine && len == 0) {
        fine = gw_fail(err, GW_ERR_REFUSED, "password_command printed no password");
        gw_error_hint(err, "it must print the password as its first line");
    }
    if (fine)
        gw_buf_add(out, text, len);
    if (result.out.data)
        explicit_bzero(result.out.data, result.out.len);
    gw_process_result_release(&result);
    return fine || gw_error_place(err, "%s", gw_side_name(store->side));
}
