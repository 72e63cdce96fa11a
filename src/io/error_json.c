#include "io/error_json.h"

#include "io/json.h"

#include <string.h>

json_t *gw_error_to_json(const struct gw_error *err)
{
    return json_pack("{s:o, s:i, s:o, s:o, s:o}", "message", gw_json_text(err->message), "kind", (int)err->kind,
                     "detail", gw_json_text(err->detail), "hint", gw_json_text(err->hint), "place",
                     gw_json_text(err->place));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

void gw_error_from_json(const json_t *object, struct gw_error *out)
{
    json_int_t kind = json_integer_value(json_object_get(object, "kind"));
    gw_error_clear(out);
    if (!json_is_object(object) || kind == GW_ERR_NONE)
        return;
    (void)!gw_fail(out, kind > 0 && kind <= GW_ERR_BUG ? (enum gw_error_kind)kind : GW_ERR_BUG, "%s",
                   text_of(object, "message"));
    (void)!gw_error_detail(out, "%s", text_of(object, "detail"));
    (void)!gw_error_hint(out, "%s", text_of(object, "hint"));
    (void)!gw_error_place(out, "%s", text_of(object, "place"));
}
