/* What the two halves of the parser share: statements (jinja_parse.c) and expressions (jinja_expression.c). */
#ifndef GRAFT_TOKENIZER_JINJA_PARSER_H
#define GRAFT_TOKENIZER_JINJA_PARSER_H

#include "tokenizer/jinja_tree.h"

struct jinja_parser {
    struct arena *arena;
    struct jinja *jinja;
    const struct jinja_word *word; /* the next one */
    int depth, loops;
    bool in_generation;
    struct error *err;
};

struct jinja_list {
    const struct jinja_node *first;
    struct jinja_node *last;
};

/* A node of the next word's place. */
struct jinja_node *jinja_node(struct jinja_parser *parser, enum jinja_kind kind);
void jinja_append(struct jinja_list *list, struct jinja_node *node);

bool jinja_is_operator(const struct jinja_word *word, const char *which);
bool jinja_is_name(const struct jinja_word *word, const char *name);
/* Takes the next word if it is that. */
bool jinja_take_operator(struct jinja_parser *parser, const char *which);
bool jinja_take_name(struct jinja_parser *parser, const char *name);
enum status jinja_need_operator(struct jinja_parser *parser, const char *which) MUST_USE;
enum status jinja_need_name(struct jinja_parser *parser, const char *name) MUST_USE;
/* Any name; *name is it. */
enum status jinja_need_any_name(struct jinja_parser *parser, const char **name) MUST_USE;
/* A failure at the next word: "... is wanted here, not ...". */
enum status jinja_wanted(struct jinja_parser *parser, const char *what);
/* One level deeper; the caller takes it back. */
enum status jinja_deeper(struct jinja_parser *parser) MUST_USE;

enum status jinja_expression(struct jinja_parser *parser, const struct jinja_node **out) MUST_USE;
/* Without a conditional on top: what `for x in y if z` and `if` want. */
enum status jinja_expression_without_if(struct jinja_parser *parser, const struct jinja_node **out) MUST_USE;
/* A name or literal with a sign in front and all that follows it: what stands between operators. */
enum status jinja_operand(struct jinja_parser *parser, const struct jinja_node **out) MUST_USE;
/* Makes a CONSTANT of a node whose name is true, false or none. */
bool jinja_constant(struct jinja_node *node);
/* One expression, or several with commas: a tuple. */
enum status jinja_tuple(struct jinja_parser *parser, bool with_if, const struct jinja_node **out) MUST_USE;
/* Names with commas, for `for` and `set`; members of namespaces too where `members`. */
enum status jinja_target(struct jinja_parser *parser, bool members, const struct jinja_node **out) MUST_USE;
/* ( ... ) of a call. */
enum status jinja_arguments(struct jinja_parser *parser, const struct jinja_node **list) MUST_USE;
/* Filters with their bars; `started`: the first one without. */
enum status jinja_filters_of(struct jinja_parser *parser, bool started, const struct jinja_node **node) MUST_USE;

#endif
