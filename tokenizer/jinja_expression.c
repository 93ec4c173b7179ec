/* Expressions, one function per level of precedence, from `a if b else c` down to powers; jinja2's parser.py has the same levels. What the operators
 * work on is in jinja_operand.c.
 */
#include "tokenizer/jinja_parser.h"

#include <string.h>

typedef enum status level(struct jinja_parser *parser, const struct jinja_node **out);

static const struct spelling {
    const char *text;
    enum jinja_operator meaning;
} comparisons[] = { { "==", OPERATOR_EQUAL },      { "!=", OPERATOR_UNEQUAL }, { "<", OPERATOR_LESS },
                    { "<=", OPERATOR_LESS_EQUAL }, { ">", OPERATOR_GREATER },  { ">=", OPERATOR_GREATER_EQUAL } },
  sums[] = { { "+", OPERATOR_ADD }, { "-", OPERATOR_SUBTRACT } }, joins[] = { { "~", OPERATOR_JOIN } },
  products[] = { { "*", OPERATOR_MULTIPLY }, { "/", OPERATOR_DIVIDE }, { "//", OPERATOR_FLOOR_DIVIDE }, { "%", OPERATOR_REMAINDER } },
  powers[] = { { "**", OPERATOR_POWER } };

static const struct spelling *spelled(const struct jinja_word *word, const struct spelling *row, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        if (jinja_is_operator(word, row[i].text))
            return &row[i];
    return NULL;
}

static enum status parse_binary(struct jinja_parser *parser, const struct spelling *row, size_t rows, level *below, const struct jinja_node **out)
{
    TRY(below(parser, out));
    for (const struct spelling *found; (found = spelled(parser->word, row, rows));) {
        struct jinja_node *node = jinja_node(parser, NODE_BINARY);
        parser->word++;
        node->name = found->text;
        node->operation = found->meaning;
        node->one = *out;
        TRY(below(parser, &node->two));
        *out = node;
    }
    return OK;
}

static enum status parse_power(struct jinja_parser *parser, const struct jinja_node **out)
{
    return parse_binary(parser, powers, COUNT(powers), jinja_operand, out);
}

static enum status parse_product(struct jinja_parser *parser, const struct jinja_node **out)
{
    return parse_binary(parser, products, COUNT(products), parse_power, out);
}

static enum status parse_join(struct jinja_parser *parser, const struct jinja_node **out)
{
    return parse_binary(parser, joins, COUNT(joins), parse_product, out);
}

static enum status parse_sum(struct jinja_parser *parser, const struct jinja_node **out)
{
    return parse_binary(parser, sums, COUNT(sums), parse_join, out);
}

static bool take_comparison(struct jinja_parser *parser, enum jinja_operator *operation)
{
    const struct spelling *row = spelled(parser->word, comparisons, COUNT(comparisons));
    const bool is_not = jinja_is_name(parser->word, "not") && jinja_is_name(parser->word + 1, "in");
    if (!row && !is_not && !jinja_is_name(parser->word, "in"))
        return false;
    *operation = row ? row->meaning : is_not ? OPERATOR_NOT_IN : OPERATOR_IN;
    parser->word += 1 + is_not;
    return true;
}

static enum status parse_compare(struct jinja_parser *parser, const struct jinja_node **out)
{
    struct jinja_list operands = { 0 };
    struct jinja_node *node = jinja_node(parser, NODE_COMPARE), *operand = jinja_node(parser, NODE_OPERAND);
    TRY(parse_sum(parser, out));
    node->at = parser->word->at;
    while (take_comparison(parser, &operand->operation)) {
        TRY(parse_sum(parser, &operand->one));
        jinja_append(&operands, operand);
        operand = jinja_node(parser, NODE_OPERAND);
    }
    node->one = *out;
    node->list = operands.first;
    if (operands.first)
        *out = node;
    return OK;
}

static enum status parse_not(struct jinja_parser *parser, const struct jinja_node **out)
{
    if (!jinja_is_name(parser->word, "not"))
        return parse_compare(parser, out);
    struct jinja_node *node = jinja_node(parser, NODE_NOT);
    parser->word++;
    TRY(jinja_deeper(parser));
    TRY(parse_not(parser, &node->one));
    parser->depth--;
    *out = node;
    return OK;
}

static enum status parse_pair(struct jinja_parser *parser, enum jinja_kind kind, const char *name, level *below, const struct jinja_node **out)
{
    TRY(below(parser, out));
    while (jinja_is_name(parser->word, name)) {
        struct jinja_node *node = jinja_node(parser, kind);
        parser->word++;
        node->one = *out;
        TRY(below(parser, &node->two));
        *out = node;
    }
    return OK;
}

static enum status parse_and(struct jinja_parser *parser, const struct jinja_node **out)
{
    return parse_pair(parser, NODE_AND, "and", parse_not, out);
}

static enum status parse_or(struct jinja_parser *parser, const struct jinja_node **out)
{
    return parse_pair(parser, NODE_OR, "or", parse_and, out);
}

enum status jinja_expression_without_if(struct jinja_parser *parser, const struct jinja_node **out)
{
    TRY(jinja_deeper(parser));
    TRY(parse_or(parser, out));
    parser->depth--;
    return OK;
}

enum status jinja_expression(struct jinja_parser *parser, const struct jinja_node **out)
{
    TRY(jinja_expression_without_if(parser, out));
    while (jinja_is_name(parser->word, "if")) {
        struct jinja_node *node = jinja_node(parser, NODE_CONDITIONAL);
        parser->word++;
        node->two = *out;
        TRY(jinja_expression_without_if(parser, &node->one));
        if (jinja_take_name(parser, "else")) {
            TRY(jinja_deeper(parser));
            TRY(jinja_expression(parser, &node->three));
            parser->depth--;
        }
        *out = node;
    }
    return OK;
}

/* Whether a list with commas ends here. */
static bool ends_tuple(const struct jinja_word *word)
{
    return word->type == WORD_BLOCK_END || word->type == WORD_PRINT_END || jinja_is_operator(word, ")") || jinja_is_operator(word, "=") ||
           jinja_is_name(word, "in");
}

static enum status parse_with_commas(struct jinja_parser *parser, level *below, const struct jinja_node **out)
{
    struct jinja_node *tuple = jinja_node(parser, NODE_TUPLE);
    struct jinja_list items = { 0 };
    TRY(below(parser, out));
    if (!jinja_is_operator(parser->word, ","))
        return OK;
    for (;;) {
        struct jinja_node *place = jinja_node(parser, NODE_ARGUMENT);
        place->one = *out;
        jinja_append(&items, place);
        if (!jinja_take_operator(parser, ",") || ends_tuple(parser->word))
            break;
        TRY(below(parser, out));
    }
    tuple->list = items.first;
    *out = tuple;
    return OK;
}

enum status jinja_tuple(struct jinja_parser *parser, bool with_if, const struct jinja_node **out)
{
    return parse_with_commas(parser, with_if ? jinja_expression : jinja_expression_without_if, out);
}

static enum status parse_name_target(struct jinja_parser *parser, const struct jinja_node **out)
{
    struct jinja_node *node = jinja_node(parser, NODE_NAME);
    *out = node;
    if (jinja_take_operator(parser, "(")) { /* for i, (a, b) in ... */
        TRY(jinja_deeper(parser));
        TRY(parse_with_commas(parser, parse_name_target, out));
        parser->depth--;
        return jinja_need_operator(parser, ")");
    }
    TRY(jinja_need_any_name(parser, &node->name));
    return jinja_constant(node)
               ? jinja_fail_at(&parser->jinja->source, node->at, BAD_FILE, parser->err, "'%.20s' cannot be set", "take another name", node->name)
               : OK;
}

enum status jinja_target(struct jinja_parser *parser, bool members, const struct jinja_node **out)
{
    TRY(parse_with_commas(parser, parse_name_target, out));
    if (members && (*out)->kind == NODE_NAME && jinja_is_operator(parser->word, ".")) {
        struct jinja_node *member = jinja_node(parser, NODE_MEMBER);
        parser->word++;
        member->one = *out;
        TRY(jinja_need_any_name(parser, &member->name));
        *out = member;
    }
    return OK;
}
