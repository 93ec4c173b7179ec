/* Statements: text, {{ }} and the tags, one row each. A tag's body goes on to the tag that ends it. */
#include "common/text.h"
#include "tokenizer/jinja_parser.h"

#include <stdio.h>
#include <string.h>

struct jinja_node *jinja_node(struct jinja_parser *parser, enum jinja_kind kind)
{
    struct jinja_node *node = NEW(parser->arena, struct jinja_node);
    node->kind = kind;
    node->at = parser->word->at;
    return node;
}

void jinja_append(struct jinja_list *list, struct jinja_node *node)
{
    if (list->last)
        list->last->next = node;
    else
        list->first = node;
    list->last = node;
}

bool jinja_is_operator(const struct jinja_word *word, const char *which)
{
    return word->type == WORD_OPERATOR && strcmp(word->bytes, which) == 0;
}

bool jinja_is_name(const struct jinja_word *word, const char *name)
{
    return word->type == WORD_NAME && strcmp(word->bytes, name) == 0;
}

bool jinja_take_operator(struct jinja_parser *parser, const char *which)
{
    const bool is = jinja_is_operator(parser->word, which);
    parser->word += is;
    return is;
}

bool jinja_take_name(struct jinja_parser *parser, const char *name)
{
    const bool is = jinja_is_name(parser->word, name);
    parser->word += is;
    return is;
}

enum status jinja_wanted(struct jinja_parser *parser, const char *what)
{
    static const char *const types[] = { [WORD_END] = "the end of the template",
                                         [WORD_DATA] = "text",
                                         [WORD_BLOCK_BEGIN] = "a tag",
                                         [WORD_BLOCK_END] = "the end of the tag",
                                         [WORD_PRINT_BEGIN] = "a tag",
                                         [WORD_PRINT_END] = "the end of the tag",
                                         [WORD_INT] = "a number",
                                         [WORD_REAL] = "a number",
                                         [WORD_STRING] = "a string" };
    const struct jinja_word *word = parser->word;
    const bool shown = word->type == WORD_NAME || word->type == WORD_OPERATOR;
    return jinja_fail_at(&parser->jinja->source, word->at, BAD_FILE, parser->err, "%s is wanted here, not %s%.100s%s",
                         "the template must be Jinja as jinja2 reads it", what, shown ? "'" : "", shown ? word->bytes : types[word->type], shown ? "'" : "");
}

enum status jinja_need_operator(struct jinja_parser *parser, const char *which)
{
    char what[8];
    snprintf(what, sizeof what, "'%s'", which);
    return jinja_take_operator(parser, which) ? OK : jinja_wanted(parser, what);
}

enum status jinja_need_name(struct jinja_parser *parser, const char *name)
{
    char what[32];
    snprintf(what, sizeof what, "'%s'", name);
    return jinja_take_name(parser, name) ? OK : jinja_wanted(parser, what);
}

enum status jinja_need_any_name(struct jinja_parser *parser, const char **name)
{
    if (parser->word->type != WORD_NAME || (parser->word->bytes[0] >= '0' && parser->word->bytes[0] <= '9'))
        return jinja_wanted(parser, "a name");
    *name = parser->word++->bytes;
    return OK;
}

enum status jinja_deeper(struct jinja_parser *parser)
{
    if (++parser->depth <= JINJA_DEEPEST_TEMPLATE)
        return OK;
    return jinja_fail_at(&parser->jinja->source, parser->word->at, BAD_FILE, parser->err, "nested deeper than %d levels", "nest less deeply",
                         JINJA_DEEPEST_TEMPLATE);
}

static enum status need_block_end(struct jinja_parser *parser)
{
    if (parser->word->type != WORD_BLOCK_END)
        return jinja_wanted(parser, "'%}'");
    parser->word++;
    return OK;
}

static enum status parse_until(struct jinja_parser *parser, const char *const *ends, const struct jinja_node **body);

/* The rest of a tag, then its body up to {% end %}, that tag included. */
static enum status parse_body(struct jinja_parser *parser, const char *end, const struct jinja_node **body)
{
    TRY(need_block_end(parser));
    TRY(parse_until(parser, (const char *const[]){ end, NULL }, body));
    TRY(jinja_need_name(parser, end));
    return need_block_end(parser);
}

static enum status parse_if(struct jinja_parser *parser, struct jinja_node *node)
{
    static const char *const ends[] = { "elif", "else", "endif", NULL };
    struct jinja_list branches = { 0 };
    struct jinja_node *branch = jinja_node(parser, NODE_BRANCH);
    TRY(jinja_tuple(parser, true, &branch->one));
    for (;;) {
        jinja_append(&branches, branch);
        TRY(need_block_end(parser));
        TRY(parse_until(parser, branch->one ? ends : ends + 2, &branch->list));
        branch = jinja_node(parser, NODE_BRANCH);
        if (jinja_take_name(parser, "elif"))
            TRY(jinja_tuple(parser, true, &branch->one));
        else if (!jinja_take_name(parser, "else"))
            break;
    }
    node->list = branches.first;
    TRY(jinja_need_name(parser, "endif"));
    return need_block_end(parser);
}

static enum status parse_for(struct jinja_parser *parser, struct jinja_node *node)
{
    static const char *const ends[] = { "else", "endfor", NULL };
    TRY(jinja_target(parser, false, &node->one));
    TRY(jinja_need_name(parser, "in"));
    TRY(jinja_tuple(parser, false, &node->two));
    if (jinja_take_name(parser, "if"))
        TRY(jinja_expression(parser, &node->three));
    if (jinja_is_name(parser->word, "recursive"))
        return jinja_fail_at(&parser->jinja->source, parser->word->at, BAD_FILE, parser->err, "recursive loops are not supported",
                             "write a macro that calls itself");
    TRY(need_block_end(parser));
    parser->loops++;
    TRY(parse_until(parser, ends, &node->list));
    parser->loops--;
    if (jinja_take_name(parser, "else")) {
        TRY(need_block_end(parser));
        TRY(parse_until(parser, ends + 1, &node->otherwise));
    }
    TRY(jinja_need_name(parser, "endfor"));
    return need_block_end(parser);
}

static enum status parse_set(struct jinja_parser *parser, struct jinja_node *node)
{
    TRY(jinja_target(parser, true, &node->one));
    if (jinja_take_operator(parser, "=")) {
        TRY(jinja_tuple(parser, true, &node->two));
        return need_block_end(parser);
    }
    node->kind = NODE_SET_BLOCK;
    if (jinja_is_operator(parser->word, "|")) {
        node->two = jinja_node(parser, NODE_PIPED);
        TRY(jinja_filters_of(parser, false, &node->two));
    }
    return parse_body(parser, "endset", &node->list);
}

static enum status parse_with(struct jinja_parser *parser, struct jinja_node *node)
{
    struct jinja_list sets = { 0 };
    while (parser->word->type != WORD_BLOCK_END) {
        if (sets.first)
            TRY(jinja_need_operator(parser, ","));
        struct jinja_node *set = jinja_node(parser, NODE_SET), *name = jinja_node(parser, NODE_NAME);
        TRY(jinja_need_any_name(parser, &name->name));
        TRY(jinja_need_operator(parser, "="));
        TRY(jinja_expression(parser, &set->two));
        set->one = name;
        jinja_append(&sets, set);
    }
    node->otherwise = sets.first;
    return parse_body(parser, "endwith", &node->list);
}

static enum status parse_parameters(struct jinja_parser *parser, const struct jinja_node **list)
{
    struct jinja_list parameters = { 0 };
    TRY(jinja_need_operator(parser, "("));
    while (!jinja_take_operator(parser, ")")) {
        if (parameters.first)
            TRY(jinja_need_operator(parser, ","));
        struct jinja_node *parameter = jinja_node(parser, NODE_PARAMETER);
        TRY(jinja_need_any_name(parser, &parameter->name));
        if (jinja_take_operator(parser, "="))
            TRY(jinja_expression(parser, &parameter->one));
        else if (parameters.last && parameters.last->one)
            return jinja_wanted(parser, "'=' (a parameter behind one with a default needs one)");
        jinja_append(&parameters, parameter);
    }
    *list = parameters.first;
    return OK;
}

/* Loops around a macro are not its own: {% break %} cannot leave it. */
static enum status parse_macro_body(struct jinja_parser *parser, const char *end, const struct jinja_node **body)
{
    const int loops = parser->loops;
    parser->loops = 0;
    TRY(parse_body(parser, end, body));
    parser->loops = loops;
    return OK;
}

static enum status parse_macro(struct jinja_parser *parser, struct jinja_node *node)
{
    TRY(jinja_need_any_name(parser, &node->name));
    TRY(parse_parameters(parser, &node->otherwise));
    return parse_macro_body(parser, "endmacro", &node->list);
}

static enum status parse_call(struct jinja_parser *parser, struct jinja_node *node)
{
    struct jinja_node *caller = jinja_node(parser, NODE_MACRO);
    caller->name = "caller";
    if (jinja_is_operator(parser->word, "("))
        TRY(parse_parameters(parser, &caller->otherwise));
    const uint32_t at = parser->word->at;
    TRY(jinja_expression(parser, &node->one));
    if (node->one->kind != NODE_CALL)
        return jinja_fail_at(&parser->jinja->source, at, BAD_FILE, parser->err, "a call is wanted here", "write {% call macro(...) %}");
    node->two = caller;
    return parse_macro_body(parser, "endcall", &caller->list);
}

static enum status parse_filter(struct jinja_parser *parser, struct jinja_node *node)
{
    node->one = jinja_node(parser, NODE_PIPED);
    TRY(jinja_filters_of(parser, true, &node->one));
    return parse_body(parser, "endfilter", &node->list);
}

static enum status parse_generation(struct jinja_parser *parser, struct jinja_node *node)
{
    if (parser->in_generation)
        return jinja_fail_at(&parser->jinja->source, node->at, BAD_FILE, parser->err, "a generation block inside a generation block",
                             "close the outer one first");
    parser->in_generation = parser->jinja->has_generation = true;
    TRY(parse_macro_body(parser, "endgeneration", &node->list));
    parser->in_generation = false;
    return OK;
}

static enum status parse_leave(struct jinja_parser *parser, struct jinja_node *node)
{
    if (parser->loops == 0)
        return jinja_fail_at(&parser->jinja->source, node->at, BAD_FILE, parser->err, "no loop to leave or go on with",
                             "break and continue belong inside a for block");
    return need_block_end(parser);
}

static const struct tag {
    const char *name;
    enum jinja_kind kind;
    enum status (*parse)(struct jinja_parser *parser, struct jinja_node *node); /* NULL: known to jinja2, not supported */
} tags[] = {
    { "if", NODE_IF, parse_if },
    { "for", NODE_FOR, parse_for },
    { "set", NODE_SET, parse_set },
    { "with", NODE_WITH, parse_with },
    { "macro", NODE_MACRO, parse_macro },
    { "call", NODE_CALL_BLOCK, parse_call },
    { "filter", NODE_FILTER_BLOCK, parse_filter },
    { "generation", NODE_GENERATION, parse_generation },
    { "break", NODE_BREAK, parse_leave },
    { "continue", NODE_CONTINUE, parse_leave },
};

static enum status parse_tag(struct jinja_parser *parser, struct jinja_node **out)
{
    const struct jinja_word *word = parser->word;
    const char *name = NULL;
    TRY(jinja_need_any_name(parser, &name));
    for (size_t i = 0; i < COUNT(tags); i++)
        if (strcmp(tags[i].name, name) == 0) {
            *out = jinja_node(parser, tags[i].kind);
            (*out)->at = word->at;
            return tags[i].parse(parser, *out);
        }
    return jinja_fail_at(&parser->jinja->source, word->at, BAD_FILE, parser->err, "tag '%.100s' is not supported here",
                         "tags are if, for, set, with, macro, call, filter, generation, break, continue, raw, and what ends those that are open", name);
}

static enum status parse_statement(struct jinja_parser *parser, struct jinja_node **out)
{
    const struct jinja_word *word = parser->word;
    if (word->type == WORD_BLOCK_BEGIN) {
        parser->word++;
        return parse_tag(parser, out);
    }
    *out = jinja_node(parser, word->type == WORD_DATA ? NODE_TEXT : NODE_PRINT);
    parser->word++;
    if (word->type == WORD_DATA) {
        (*out)->value = value_string(word->bytes, word->length);
        return OK;
    }
    TRY(jinja_tuple(parser, true, &(*out)->one));
    if (parser->word->type != WORD_PRINT_END)
        return jinja_wanted(parser, "'}}'");
    parser->word++;
    return OK;
}

/* Up to a tag of one of those names, its {% taken; no names: to the end of the template. */
static enum status parse_until(struct jinja_parser *parser, const char *const *ends, const struct jinja_node **body)
{
    struct jinja_list list = { 0 };
    TRY(jinja_deeper(parser));
    while (parser->word->type != WORD_END) {
        if (parser->word->type == WORD_BLOCK_BEGIN)
            for (const char *const *end = ends; *end; end++)
                if (jinja_is_name(parser->word + 1, *end)) {
                    parser->word++;
                    parser->depth--;
                    *body = list.first;
                    return OK;
                }
        struct jinja_node *node = NULL;
        TRY(parse_statement(parser, &node));
        jinja_append(&list, node);
    }
    parser->depth--;
    *body = list.first;
    if (!*ends)
        return OK;
    while (ends[1])
        ends++;
    char what[64];
    snprintf(what, sizeof what, "{%% %s %%}", *ends);
    return jinja_wanted(parser, what);
}

enum status jinja_parse(struct jinja **out, struct arena *arena, const char *where, const char *text, size_t length, struct error *err)
{
    struct jinja *jinja = NEW(arena, struct jinja);
    size_t bad, kept = 0;
    *out = NULL;
    if (length > JINJA_LARGEST_TEMPLATE)
        return fail_with(err, BAD_FILE, "%s: a template of %zu bytes; the limit is %d", "templates of models have a few thousand", where, length,
                         JINJA_LARGEST_TEMPLATE);
    if (!utf8_valid(text, length, &bad))
        return fail_with(err, BAD_FILE, "%s: byte %zu of the template is not UTF-8", "save the file as UTF-8", where, bad);
    char *source = arena_text(arena, text, length);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\r' && i + 1 < length && text[i + 1] == '\n')
            continue;
        source[kept++] = text[i] == '\r' ? '\n' : text[i];
    }
    kept -= kept > 0 && source[kept - 1] == '\n';
    jinja->source = (struct jinja_source){ arena_text(arena, where, strlen(where)), source, kept };
    struct jinja_word *words;
    TRY(jinja_lex(arena, &jinja->source, &words, err));
    struct jinja_parser parser = { .arena = arena, .jinja = jinja, .word = words, .err = err };
    TRY(parse_until(&parser, (const char *const[]){ NULL }, &jinja->body));
    *out = jinja;
    return OK;
}

bool jinja_has_generation(const struct jinja *jinja)
{
    return jinja->has_generation;
}
