/* An error as a JSON object and back: what goes over a socket is the same error at the other end. */
#ifndef GW_IO_ERROR_JSON_H
#define GW_IO_ERROR_JSON_H

#include "base/error.h"

#include <jansson.h>

json_t *gw_error_to_json(const struct gw_error *); /* owned by the caller; never NULL */
/* NULL, or what is no object: no error (GW_ERR_NONE). A kind that is not known is a bug. */
void gw_error_from_json(const json_t *, struct gw_error *out);

#endif
