/* Statements, one after the other, and the limits. Scopes are jinja2's: a loop's round, a macro and a block have their own, an `if` has not.
 */
#include "tokenizer/jinja_run.h"
#include "tokenizer/jinja_builtins.h"

#include <stdio.h>
#include <string.h>

enum status jinja_fail(struct run *run, const char *what, const char *cure, ...)
{
    char text[900];
    va_list arguments;
    va_start(arguments, cure);
    vsnprintf(text, sizeof text, what, arguments);
    va_end(arguments);
    return jinja_fail_at(&run->jinja->source, run->at, BAD_DATA, run->err, "%s", cure, text);
}

static const char endless[] = "the template does more than a conversation needs: look for loops inside loops, or split the conversation";

enum status jinja_spend(struct run *run, size_t work)
{
    if (work < JINJA_MOST_STEPS && (run->steps += (int64_t)work) <= JINJA_MOST_STEPS)
        return OK;
    return jinja_fail(run, "the rendering takes more than %d steps", endless, JINJA_MOST_STEPS);
}

enum status jinja_reserve(struct run *run, size_t bytes)
{
    const size_t used = arena_used(run->arena);
    if (used > JINJA_MOST_MEMORY || bytes > JINJA_MOST_MEMORY - used)
        return jinja_fail(run, "the rendering takes more than %d MiB of memory", endless, JINJA_MOST_MEMORY >> 20);
    return jinja_spend(run, 1 + bytes / 16);
}

enum status jinja_add(struct run *run, struct text *text, const char *bytes, size_t length)
{
    if (length > JINJA_LONGEST_OUTPUT || text->length > JINJA_LONGEST_OUTPUT - length)
        return jinja_fail(run, "the rendering writes a text of more than %d MiB", endless, JINJA_LONGEST_OUTPUT >> 20);
    TRY(jinja_spend(run, 1 + length / 16));
    if (text->capacity - text->length <= length) /* it grows: to twice of it, or to what is needed */
        TRY(jinja_reserve(run, 2 * text->capacity + length));
    text_add(text, bytes, length);
    return OK;
}

struct scope *jinja_scope(struct run *run, struct scope *outside)
{
    struct scope *scope = NEW(run->arena, struct scope);
    scope->outside = outside;
    return scope;
}

static enum status find_binding(struct run *run, struct scope *scope, const char *name, struct binding **out)
{
    size_t looked_at = 0;
    *out = scope->binding;
    for (; *out && strcmp((*out)->name, name) != 0; *out = (*out)->next)
        looked_at++;
    return jinja_spend(run, looked_at);
}

enum status jinja_set(struct run *run, const char *name, const struct value *value)
{
    struct binding *binding;
    TRY(find_binding(run, run->scope, name, &binding));
    if (!binding) {
        TRY(jinja_reserve(run, sizeof *binding));
        binding = NEW(run->arena, struct binding);
        *binding = (struct binding){ .name = name, .next = run->scope->binding };
        run->scope->binding = binding;
    }
    binding->value = *value;
    return OK;
}

enum status jinja_name(struct run *run, const char *name, struct value *out)
{
    struct binding *binding = NULL;
    for (struct scope *scope = run->scope; scope && !binding; scope = scope->outside)
        TRY(find_binding(run, scope, name, &binding));
    const struct builtin *function = binding ? NULL : jinja_function(name);
    if (binding)
        *out = binding->value;
    else if (function && (run->now != 0 || strcmp(name, "strftime_now") != 0))
        *out = (struct value){ .type = IS_BUILTIN, .builtin = function };
    else
        *out = value_undefined(name);
    return OK;
}

static enum status set_member(struct run *run, const struct jinja_node *target, const struct value *value)
{
    struct value space;
    TRY(jinja_name(run, target->one->name, &space));
    if (space.type != IS_NAMESPACE)
        return jinja_fail(run, "'%.100s' is %s: only the members of a namespace can be set", "make it with namespace()", target->one->name, value_name(&space));
    if (target->name[0] == '_')
        return jinja_fail(run, "'%.100s' begins with an underscore", "take another name for the member", target->name);
    const struct value key = value_string(target->name, strlen(target->name));
    return value_put(run, &space, &key, value);
}

static enum status assign(struct run *run, const struct jinja_node *target, const struct value *value)
{
    struct value list;
    size_t names = 0, place = 0;
    if (target->kind == NODE_NAME)
        return jinja_set(run, target->name, value);
    if (target->kind == NODE_MEMBER)
        return set_member(run, target, value);
    TRY(value_iterate(run, value, &list));
    for (const struct jinja_node *name = target->list; name; name = name->next)
        names++;
    if (names != list.items->count)
        return jinja_fail(run, "%zu values for %zu names", "give one value for each name", list.items->count, names);
    for (const struct jinja_node *name = target->list; name; name = name->next)
        TRY(assign(run, name->one, &list.items->item[place++]));
    return OK;
}

enum status jinja_capture(struct run *run, const struct jinja_node *body, struct value *out)
{
    struct text text = text_new(run->arena), *outer = run->out;
    struct scope *scope = run->scope;
    run->out = &text;
    run->scope = jinja_scope(run, scope);
    TRY(jinja_execute(run, body));
    run->out = outer;
    run->scope = scope;
    *out = value_string(text.length ? text.bytes : "", text.length);
    return OK;
}

static enum status run_text(struct run *run, const struct jinja_node *node)
{
    return jinja_add(run, run->out, node->value.bytes, node->value.length);
}

static enum status run_print(struct run *run, const struct jinja_node *node)
{
    struct value value;
    TRY(jinja_evaluate(run, node->one, &value));
    run->at = node->one->at;
    return value_print(run, run->out, &value);
}

static enum status run_if(struct run *run, const struct jinja_node *node)
{
    for (const struct jinja_node *branch = node->list; branch; branch = branch->next) {
        struct value condition = value_bool(true);
        if (branch->one)
            TRY(jinja_evaluate(run, branch->one, &condition));
        if (value_is_true(&condition))
            return jinja_execute(run, branch->list);
    }
    return OK;
}

/* The items that the loop's own `if` lets through. */
static enum status filter_items(struct run *run, const struct jinja_node *node, struct value *list)
{
    struct scope *outside = run->scope;
    struct value kept, condition;
    TRY(value_list_new(run, IS_LIST, list->items->count, &kept));
    run->scope = jinja_scope(run, outside);
    for (size_t i = 0; i < list->items->count; i++) {
        TRY(assign(run, node->one, &list->items->item[i]));
        TRY(jinja_evaluate(run, node->three, &condition));
        if (value_is_true(&condition))
            TRY(value_push(run, &kept, &list->items->item[i]));
    }
    run->scope = outside;
    *list = kept;
    return OK;
}

static enum status run_for(struct run *run, const struct jinja_node *node)
{
    struct scope *outside = run->scope;
    struct value over, list;
    TRY(jinja_evaluate(run, node->two, &over));
    run->at = node->two->at;
    TRY(value_iterate(run, &over, &list));
    if (node->three)
        TRY(filter_items(run, node, &list));
    TRY(jinja_reserve(run, sizeof(struct loop)));
    struct loop *loop = NEW(run->arena, struct loop);
    *loop = (struct loop){ .item = list.items->item, .count = list.items->count };
    const struct value loop_value = { .type = IS_LOOP, .loop = loop };
    for (; loop->index < loop->count && run->flow != FLOW_BREAK; loop->index++) {
        TRY(jinja_reserve(run, sizeof(struct scope)));
        run->scope = jinja_scope(run, outside);
        run->at = node->at;
        TRY(jinja_set(run, "loop", &loop_value));
        TRY(assign(run, node->one, &loop->item[loop->index]));
        run->flow = FLOW_ON;
        TRY(jinja_execute(run, node->list));
    }
    run->flow = FLOW_ON;
    run->scope = jinja_scope(run, outside);
    if (loop->count == 0)
        TRY(jinja_execute(run, node->otherwise));
    run->scope = outside;
    return OK;
}

static enum status run_set(struct run *run, const struct jinja_node *node)
{
    struct value value;
    TRY(jinja_evaluate(run, node->two, &value));
    run->at = node->at;
    return assign(run, node->one, &value);
}

static enum status run_set_block(struct run *run, const struct jinja_node *node)
{
    struct value value;
    TRY(jinja_capture(run, node->list, &value));
    if (run->flow != FLOW_ON)
        return OK;
    if (node->two) {
        run->piped = value;
        TRY(jinja_evaluate(run, node->two, &value));
    }
    run->at = node->at;
    return assign(run, node->one, &value);
}

/* Its values are computed outside, before any of its names is set. */
static enum status run_with(struct run *run, const struct jinja_node *node)
{
    struct scope *outside = run->scope, *inside = jinja_scope(run, outside);
    for (const struct jinja_node *set = node->otherwise; set; set = set->next) {
        struct value value;
        TRY(jinja_evaluate(run, set->two, &value));
        run->scope = inside;
        TRY(assign(run, set->one, &value));
        run->scope = outside;
    }
    run->scope = inside;
    TRY(jinja_execute(run, node->list));
    run->scope = outside;
    return OK;
}

static enum status new_macro(struct run *run, const struct jinja_node *node, struct value *out)
{
    TRY(jinja_reserve(run, sizeof(struct macro)));
    struct macro *macro = NEW(run->arena, struct macro);
    *macro = (struct macro){ node, run->scope };
    *out = (struct value){ .type = IS_MACRO, .macro = macro };
    return OK;
}

static enum status run_macro(struct run *run, const struct jinja_node *node)
{
    struct value macro;
    TRY(new_macro(run, node, &macro));
    return jinja_set(run, node->name, &macro);
}

static enum status run_call_block(struct run *run, const struct jinja_node *node)
{
    struct value caller, callee, out;
    struct call call;
    TRY(new_macro(run, node->two, &caller));
    TRY(jinja_evaluate(run, node->one->one, &callee));
    TRY(jinja_call_arguments(run, node->one->list, &call));
    call.caller = caller.macro;
    run->at = node->at;
    if (callee.type != IS_MACRO)
        return jinja_fail(run, "%s is called with a block: only a macro can be", "call a macro that calls caller()", value_name(&callee));
    TRY(jinja_call(run, &callee, &call, &out));
    return value_print(run, run->out, &out);
}

static enum status run_filter_block(struct run *run, const struct jinja_node *node)
{
    struct value value;
    TRY(jinja_capture(run, node->list, &value));
    if (run->flow != FLOW_ON)
        return OK;
    run->piped = value;
    TRY(jinja_evaluate(run, node->one, &value));
    return value_print(run, run->out, &value);
}

static enum status run_generation(struct run *run, const struct jinja_node *node)
{
    const size_t begin = run->main.length;
    struct value value;
    if (run->out != &run->main)
        return jinja_fail(run, "a generation block inside a text that is captured (set, filter, macro): what it generates has no place in the output",
                          "write the generation block where its text is printed");
    TRY(jinja_capture(run, node->list, &value));
    TRY(value_print(run, run->out, &value));
    if (run->spans == run->span_capacity) {
        const size_t capacity = run->span_capacity ? 2 * run->span_capacity : 8;
        TRY(jinja_reserve(run, capacity * sizeof *run->span));
        run->span = arena_grow(run->arena, run->span, run->spans, capacity, sizeof *run->span);
        run->span_capacity = capacity;
    }
    run->span[run->spans++] = (struct jinja_span){ begin, run->main.length };
    return OK;
}

static enum status run_break(struct run *run, const struct jinja_node *node)
{
    run->flow = node->kind == NODE_BREAK ? FLOW_BREAK : FLOW_CONTINUE;
    return OK;
}

static enum status (*const statements[])(struct run *run, const struct jinja_node *node) = {
    [NODE_TEXT] = run_text,
    [NODE_PRINT] = run_print,
    [NODE_IF] = run_if,
    [NODE_FOR] = run_for,
    [NODE_SET] = run_set,
    [NODE_SET_BLOCK] = run_set_block,
    [NODE_WITH] = run_with,
    [NODE_MACRO] = run_macro,
    [NODE_CALL_BLOCK] = run_call_block,
    [NODE_FILTER_BLOCK] = run_filter_block,
    [NODE_GENERATION] = run_generation,
    [NODE_BREAK] = run_break,
    [NODE_CONTINUE] = run_break,
};

enum status jinja_execute(struct run *run, const struct jinja_node *body)
{
    if (body)
        run->at = body->at;
    if (++run->depth > JINJA_DEEPEST_RUN)
        return jinja_fail(run, "blocks, macros and expressions inside each other, deeper than %d", "look for a macro that calls itself without end",
                          JINJA_DEEPEST_RUN);
    for (const struct jinja_node *node = body; node && run->flow == FLOW_ON; node = node->next) {
        run->at = node->at;
        TRY(jinja_spend(run, 1));
        TRY(statements[node->kind](run, node));
    }
    run->depth--;
    return OK;
}

static enum status render(struct run *run, const struct jinja_variable *variable, size_t variables)
{
    run->scope = jinja_scope(run, NULL);
    for (size_t i = 0; i < variables; i++) {
        struct value value = value_string(variable[i].text, variable[i].text ? strlen(variable[i].text) : 0);
        if (!variable[i].text)
            TRY(value_from_json(run, variable[i].json, &value));
        TRY(jinja_set(run, variable[i].name, &value));
    }
    run->scope = jinja_scope(run, run->scope);
    return jinja_execute(run, run->jinja->body);
}

enum status jinja_render(const struct jinja *jinja, struct arena *arena, const struct jinja_variable *variable, size_t variables, int64_t now,
                         struct jinja_rendering *out, struct error *err)
{
    struct arena *own = arena_create_like(arena);
    struct run run = { .jinja = jinja, .arena = own, .now = now, .err = err, .main = text_new(own) };
    run.out = &run.main;
    const enum status status = render(&run, variable, variables);
    *out = (struct jinja_rendering){ 0 };
    if (status == OK) {
        out->text = arena_text(arena, run.main.bytes, run.main.length);
        out->length = run.main.length;
        out->generation = arena_grow(arena, run.span, run.spans, run.spans, sizeof *run.span);
        out->generations = run.spans;
    }
    arena_destroy(own);
    return status;
}
