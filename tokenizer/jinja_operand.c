/* What operators work on: names, literals and brackets, with the .members, [items], (calls), filters and tests behind them. Filters, tests, methods
 * and functions are looked up here, so an unknown one is refused before anything is rendered.
 */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_parser.h"

#include <string.h>

static enum status parse_list(struct jinja_parser *parser, const struct jinja_node **out)
{
    struct jinja_node *node = jinja_node(parser, NODE_LIST);
    struct jinja_list items = { 0 };
    parser->word++;
    while (!jinja_take_operator(parser, "]")) {
        const struct jinja_node *item;
        if (items.first)
            TRY(jinja_need_operator(parser, ","));
        if (jinja_take_operator(parser, "]"))
            break;
        struct jinja_node *place = jinja_node(parser, NODE_ARGUMENT);
        TRY(jinja_expression(parser, &item));
        place->one = item;
        jinja_append(&items, place);
    }
    node->list = items.first;
    *out = node;
    return OK;
}

static enum status parse_map(struct jinja_parser *parser, const struct jinja_node **out)
{
    struct jinja_node *node = jinja_node(parser, NODE_MAP);
    struct jinja_list pairs = { 0 };
    parser->word++;
    while (!jinja_take_operator(parser, "}")) {
        if (pairs.first)
            TRY(jinja_need_operator(parser, ","));
        if (jinja_take_operator(parser, "}"))
            break;
        struct jinja_node *pair = jinja_node(parser, NODE_PAIR);
        TRY(jinja_expression(parser, &pair->one));
        TRY(jinja_need_operator(parser, ":"));
        TRY(jinja_expression(parser, &pair->two));
        jinja_append(&pairs, pair);
    }
    node->list = pairs.first;
    *out = node;
    return OK;
}

bool jinja_constant(struct jinja_node *node)
{
    static const struct {
        const char *name;
        struct value value;
    } constants[] = { { "true", { .type = IS_BOOL, .integer = 1 } },
                      { "True", { .type = IS_BOOL, .integer = 1 } },
                      { "false", { .type = IS_BOOL } },
                      { "False", { .type = IS_BOOL } },
                      { "none", { .type = IS_NONE } },
                      { "None", { .type = IS_NONE } } };
    for (size_t i = 0; i < COUNT(constants); i++)
        if (strcmp(node->name, constants[i].name) == 0) {
            node->kind = NODE_CONSTANT;
            node->value = constants[i].value;
            return true;
        }
    return false;
}

/* 'a' 'b': one string. */
static void parse_string(struct jinja_parser *parser, struct jinja_node *node)
{
    const struct jinja_word *word = parser->word++;
    node->value = value_string(word->bytes, word->length);
    if (parser->word->type != WORD_STRING)
        return;
    struct text text = text_new(parser->arena);
    text_add(&text, word->bytes, word->length);
    for (; parser->word->type == WORD_STRING; parser->word++)
        text_add(&text, parser->word->bytes, parser->word->length);
    node->value = value_string(text.bytes, text.length);
}

static enum status parse_brackets(struct jinja_parser *parser, const struct jinja_node **out)
{
    TRY(jinja_deeper(parser));
    if (jinja_is_operator(parser->word, "[")) {
        TRY(parse_list(parser, out));
    } else if (jinja_is_operator(parser->word, "{")) {
        TRY(parse_map(parser, out));
    } else {
        struct jinja_node *empty = jinja_node(parser, NODE_TUPLE);
        TRY(jinja_need_operator(parser, "("));
        *out = empty;
        if (!jinja_is_operator(parser->word, ")"))
            TRY(jinja_tuple(parser, true, out));
        TRY(jinja_need_operator(parser, ")"));
    }
    parser->depth--;
    return OK;
}

static enum status parse_primary(struct jinja_parser *parser, const struct jinja_node **out)
{
    struct jinja_node *node = jinja_node(parser, NODE_CONSTANT);
    const struct jinja_word *word = parser->word;
    *out = node;
    switch (word->type) {
    case WORD_NAME:
        parser->word++;
        node->name = word->bytes;
        if (!jinja_constant(node))
            node->kind = NODE_NAME;
        return OK;
    case WORD_STRING:
        parse_string(parser, node);
        return OK;
    case WORD_INT:
        parser->word++;
        node->value = value_int(word->integer);
        return OK;
    case WORD_REAL:
        parser->word++;
        node->value = value_from_real(word->real);
        return OK;
    default:
        if (jinja_is_operator(word, "(") || jinja_is_operator(word, "[") || jinja_is_operator(word, "{"))
            return parse_brackets(parser, out);
        return jinja_wanted(parser, "a value");
    }
}

/* What stands in [ ]: an index or a slice. */
static enum status parse_index(struct jinja_parser *parser, const struct jinja_node **out)
{
    struct jinja_node *slice = jinja_node(parser, NODE_SLICE);
    const struct jinja_node **const part[] = { &slice->one, &slice->two, &slice->three };
    int colons = 0;
    for (;;) {
        if (!jinja_is_operator(parser->word, ":") && !jinja_is_operator(parser->word, "]"))
            TRY(jinja_expression(parser, part[colons]));
        if (colons == 2 || !jinja_take_operator(parser, ":"))
            break;
        colons++;
    }
    if (colons == 0 && !slice->one)
        return jinja_wanted(parser, "an index");
    *out = colons ? slice : slice->one;
    return jinja_need_operator(parser, "]");
}

enum status jinja_arguments(struct jinja_parser *parser, const struct jinja_node **list)
{
    struct jinja_list arguments = { 0 };
    TRY(jinja_need_operator(parser, "("));
    TRY(jinja_deeper(parser));
    while (!jinja_take_operator(parser, ")")) {
        if (arguments.first)
            TRY(jinja_need_operator(parser, ","));
        if (jinja_take_operator(parser, ")"))
            break;
        struct jinja_node *argument = jinja_node(parser, NODE_ARGUMENT);
        if (jinja_is_operator(parser->word, "*") || jinja_is_operator(parser->word, "**"))
            return jinja_fail_at(&parser->jinja->source, parser->word->at, BAD_FILE, parser->err, "arguments taken out of a list or mapping are not supported",
                                 "write the arguments out");
        if (parser->word->type == WORD_NAME && jinja_is_operator(parser->word + 1, "=")) {
            argument->name = parser->word->bytes;
            parser->word += 2;
        } else if (arguments.last && arguments.last->name) {
            return jinja_wanted(parser, "a keyword (the arguments without one come first)");
        }
        TRY(jinja_expression(parser, &argument->one));
        jinja_append(&arguments, argument);
    }
    parser->depth--;
    *list = arguments.first;
    return OK;
}

/* What is called by a name that graft knows it does not know: an attribute that no type has, a function of jinja2 that is left out. */
static enum status check_callee(struct jinja_parser *parser, const struct jinja_node *callee)
{
    const struct jinja_source *source = &parser->jinja->source;
    if (callee->kind == NODE_ATTRIBUTE && !jinja_is_method(callee->name))
        return jinja_fail_at(source, callee->at, BAD_FILE, parser->err, "method '%.100s' is not supported",
                             "graft knows the methods that published templates use", callee->name);
    if (callee->kind == NODE_NAME && jinja_is_left_out(callee->name))
        return jinja_fail_at(source, callee->at, BAD_FILE, parser->err, "function '%.100s' is not supported",
                             "graft knows the functions that published templates use", callee->name);
    return OK;
}

/* .name, [index] and (arguments), as many as follow. */
static enum status parse_postfix(struct jinja_parser *parser, const struct jinja_node **out)
{
    for (;;) {
        struct jinja_node *node = jinja_node(parser, NODE_CALL);
        node->one = *out;
        if (jinja_is_operator(parser->word, "(")) {
            TRY(check_callee(parser, *out));
            TRY(jinja_arguments(parser, &node->list));
        } else if (jinja_take_operator(parser, "[")) {
            node->kind = NODE_ITEM;
            TRY(jinja_deeper(parser));
            TRY(parse_index(parser, &node->two));
            parser->depth--;
        } else if (jinja_take_operator(parser, ".")) {
            node->kind = NODE_ATTRIBUTE;
            if (parser->word->type == WORD_INT) {
                struct jinja_node *index = jinja_node(parser, NODE_CONSTANT);
                index->value = value_int(parser->word++->integer);
                node->kind = NODE_ITEM;
                node->two = index;
            } else {
                TRY(jinja_need_any_name(parser, &node->name));
            }
        } else {
            return OK;
        }
        *out = node;
    }
}

/* The row that a filter or test names, or a refusal of it. */
static enum status look_up(struct jinja_parser *parser, const struct jinja_word *word, const char *what, const struct builtin *(*find)(const char *),
                           const struct builtin **row)
{
    *row = find(word->bytes);
    if (*row)
        return OK;
    return jinja_fail_at(&parser->jinja->source, word->at, BAD_FILE, parser->err, "%s '%.100s' is not supported",
                         "graft knows those that published templates use", what, word->bytes);
}

enum status jinja_filters_of(struct jinja_parser *parser, bool started, const struct jinja_node **out)
{
    while (started || jinja_take_operator(parser, "|")) {
        const struct jinja_word *word = parser->word;
        struct jinja_node *node = jinja_node(parser, NODE_FILTER);
        TRY(jinja_need_any_name(parser, &node->name));
        TRY(look_up(parser, word, "filter", jinja_filter, &node->builtin));
        if (jinja_is_operator(parser->word, "("))
            TRY(jinja_arguments(parser, &node->list));
        node->one = *out;
        *out = node;
        started = false;
    }
    return OK;
}

/* Whether the argument of a test follows without brackets: `x is divisibleby 3`. */
static bool begins_argument(const struct jinja_word *word)
{
    return word->type == WORD_STRING || word->type == WORD_INT || word->type == WORD_REAL || jinja_is_operator(word, "[") || jinja_is_operator(word, "{") ||
           (word->type == WORD_NAME && !jinja_is_name(word, "else") && !jinja_is_name(word, "or") && !jinja_is_name(word, "and") &&
            !jinja_is_name(word, "is") && !jinja_is_name(word, "if"));
}

static enum status parse_test(struct jinja_parser *parser, const struct jinja_node **out)
{
    struct jinja_node *negation = jinja_node(parser, NODE_NOT), *node = jinja_node(parser, NODE_TEST);
    const bool negated = jinja_take_name(parser, "not");
    const struct jinja_word *word = parser->word;
    node->at = word->at;
    TRY(jinja_need_any_name(parser, &node->name));
    TRY(look_up(parser, word, "test", jinja_test, &node->builtin));
    node->one = *out;
    if (jinja_is_operator(parser->word, "(")) {
        TRY(jinja_arguments(parser, &node->list));
    } else if (begins_argument(parser->word)) {
        struct jinja_node *argument = jinja_node(parser, NODE_ARGUMENT);
        TRY(parse_primary(parser, &argument->one));
        TRY(parse_postfix(parser, &argument->one));
        node->list = argument;
    }
    negation->one = node;
    *out = negated ? negation : node;
    return OK;
}

static enum status parse_unary(struct jinja_parser *parser, bool with_filters, const struct jinja_node **out)
{
    const bool is_minus = jinja_is_operator(parser->word, "-");
    if (is_minus || jinja_is_operator(parser->word, "+")) {
        struct jinja_node *node = jinja_node(parser, is_minus ? NODE_NEGATIVE : NODE_POSITIVE);
        parser->word++;
        TRY(jinja_deeper(parser));
        TRY(parse_unary(parser, false, &node->one));
        parser->depth--;
        *out = node;
    } else {
        TRY(parse_primary(parser, out));
    }
    TRY(parse_postfix(parser, out));
    while (with_filters) {
        if (jinja_is_operator(parser->word, "|"))
            TRY(jinja_filters_of(parser, false, out));
        else if (jinja_take_name(parser, "is"))
            TRY(parse_test(parser, out));
        else if (jinja_is_operator(parser->word, "("))
            TRY(parse_postfix(parser, out));
        else
            break;
    }
    return OK;
}

enum status jinja_operand(struct jinja_parser *parser, const struct jinja_node **out)
{
    return parse_unary(parser, true, out);
}
