#include "io/markup.h"

#include <string.h>

void gw_markup_add_cell(struct gw_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            gw_buf_adds(out, "<br>");
        else if ((unsigned char)*text < 0x20)
            gw_buf_addc(out, ' ');
        else if (*text == '<')
            gw_buf_adds(out, "&lt;");
        else if (*text == '&')
            gw_buf_adds(out, "&amp;");
        else if (strchr("|\\*`[]", *text))
            gw_buf_addf(out, "\\%c", *text);
        else
            gw_buf_addc(out, *text);
    }
}

void gw_markup_add_xml(struct gw_buf *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '&')
            gw_buf_adds(out, "&amp;");
        else if (c == '<')
            gw_buf_adds(out, "&lt;");
        else if (c == '>')
            gw_buf_adds(out, "&gt;");
        else if (c == '"')
            gw_buf_adds(out, "&quot;");
        else if (c == '\'')
            gw_buf_adds(out, "&#39;");
        else if (c < 0x20 && c != '\n' && c != '\t')
            gw_buf_adds(out, "\xef\xbf\xbd");
        else
            gw_buf_addc(out, (char)c);
    }
}
