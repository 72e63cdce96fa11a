/*
 * ${NAME} in a value of the migration file: filled from the environment into the component it stands in, so that no
 * character of it can change the meaning of what is around it.
 */
#ifndef GW_MODEL_SETTING_ENV_H
#define GW_MODEL_SETTING_ENV_H

#include "base/buf.h"
#include "base/error.h"
#include "model/setting.h"

#include <stdbool.h>

/* Appends the filled text. Commands are taken as they are. */
GW_MUST_CHECK bool gw_setting_fill(const char *text, enum gw_setting_type type, struct gw_buf *out,
                                   struct gw_error *err);

#endif
