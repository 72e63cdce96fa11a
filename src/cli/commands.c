#include "cli/commands.h"

#include <stddef.h>

const struct gw_command *const gw_commands[] = {
    &gw_command_init,
    &gw_command_check,
    &gw_command_audit,
    &gw_command_plan,
    &gw_command_config,
    &gw_command_copy,
    &gw_command_follow,
    &gw_command_verify,
    &gw_command_quarantine,
    &gw_command_run,
    &gw_command_switch,
    &gw_command_rollback,
    &gw_command_abort,
    &gw_command_finish,
    &gw_command_status,
    &gw_command_adopt,
    &gw_command_demo,
    &gw_command_watchdog,
    NULL,
};
