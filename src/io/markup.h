/*
 * Texts of anybody's inside of Markdown, HTML and XML: whatever they hold, they stay text. All append.
 */
#ifndef GW_IO_MARKUP_H
#define GW_IO_MARKUP_H

#include "base/buf.h"

/* A cell of a Markdown table: one line. */
void gw_markup_add_cell(struct gw_buf *, const char *text);
/* Text or an attribute's value of HTML and XML; what no XML may hold becomes U+FFFD. The text is UTF-8. */
void gw_markup_add_xml(struct gw_buf *, const char *text);

#endif
