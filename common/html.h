/* Pages of HTML that stand alone: nothing is fetched, and no text from outside can become markup.
 *
 * Two locks, so that a mistake at one opens nothing: text from outside goes through text_add_html(), and the page's own policy lets the browser run no script
 * but the one whose hash stands in it.
 */
#ifndef GRAFT_COMMON_HTML_H
#define GRAFT_COMMON_HTML_H

#include "common/text.h"

/* Data must not command the terminal: controls but line feed and tab become \xNN, as do U+0080 to U+009F and bytes that are no UTF-8. */
void text_add_visible(struct text *text, const char *bytes, size_t length);
/* The same, and what is markup in HTML (also within attributes) is escaped. */
void text_add_html(struct text *text, const char *bytes, size_t length);

/* The page up to and with <body>. title, style (CSS) and script (JavaScript, or NULL) are the program's own and taken as they are. */
void html_begin(struct text *page, const char *title, const char *style, const char *script);
/* The script, and the end. */
void html_end(struct text *page, const char *script);

#endif
