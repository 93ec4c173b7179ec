/* Calls: arguments find their parameters, of macros and of what graft brings along. */
#include "tokenizer/jinja_builtins.h"

#include <string.h>

/* The keyword argument of that name, NULL if there is none; *taken counts them. */
static const struct value *find_keyword(const struct call *call, const char *name, size_t length, size_t *taken)
{
    for (size_t i = 0; i < call->keywords; i++)
        if (strlen(call->keyword[i].name) == length && memcmp(call->keyword[i].name, name, length) == 0) {
            ++*taken;
            return &call->keyword[i].value;
        }
    return NULL;
}

static enum status mismatch(struct run *run, const char *name)
{
    return jinja_fail(run, "%.100s: more arguments than it has parameters, or one given twice, or a name that it does not have",
                      "call it as jinja2 documents it", name);
}

enum status jinja_call_builtin(struct run *run, const struct builtin *row, const struct value *self, const struct call *call, struct value *out)
{
    struct value argument[MOST_PARAMETERS] = { 0 }, input;
    size_t place = 0, taken = 0;
    if (row->of == IS_STRING) {
        TRY(value_to_string(run, self, &input));
        self = &input;
    }
    if (row->apply_call)
        return row->apply_call(run, self, call, out);
    for (const char *name = row->parameters; *name; place++) {
        const size_t length = strcspn(name, " ");
        const struct value *keyword = find_keyword(call, name, length, &taken);
        if (keyword && place < call->positions)
            return mismatch(run, row->name);
        if (keyword || place < call->positions)
            argument[place] = keyword ? *keyword : call->position[place];
        else if ((int)place < row->required)
            return jinja_fail(run, "%s: '%.*s' is not given", "give the argument", row->name, (int)length, name);
        name += length + strspn(name + length, " ");
    }
    if (call->positions > place || taken < call->keywords)
        return mismatch(run, row->name);
    return row->apply(run, self, argument, out);
}

static enum status set_parameters(struct run *run, const struct macro *macro, const struct call *call)
{
    size_t place = 0, taken = 0;
    for (const struct jinja_node *parameter = macro->node->otherwise; parameter; parameter = parameter->next, place++) {
        const struct value *keyword = find_keyword(call, parameter->name, strlen(parameter->name), &taken);
        struct value value = value_undefined(parameter->name);
        if (keyword && place < call->positions)
            return mismatch(run, macro->node->name);
        if (keyword || place < call->positions)
            value = keyword ? *keyword : call->position[place];
        else if (parameter->one)
            TRY(jinja_evaluate(run, parameter->one, &value));
        TRY(jinja_set(run, parameter->name, &value));
    }
    if (call->positions > place || taken < call->keywords)
        return mismatch(run, macro->node->name);
    const struct value caller = { .type = IS_MACRO, .macro = call->caller };
    return call->caller ? jinja_set(run, "caller", &caller) : OK;
}

enum status jinja_call_macro(struct run *run, const struct macro *macro, const struct call *call, struct value *out)
{
    struct scope *scope = run->scope;
    run->scope = jinja_scope(run, macro->scope);
    TRY(set_parameters(run, macro, call));
    TRY(jinja_capture(run, macro->node->list, out));
    run->scope = scope;
    return OK;
}

enum status jinja_call(struct run *run, const struct value *callee, const struct call *call, struct value *out)
{
    switch (callee->type) {
    case IS_MACRO:
        TRY(jinja_reserve(run, sizeof(struct scope)));
        return jinja_call_macro(run, callee->macro, call, out);
    case IS_BUILTIN:
        return jinja_call_builtin(run, callee->builtin, callee->self, call, out);
    case IS_UNDEFINED:
        return jinja_fail(run, "'%.100s' is undefined, so it cannot be called", "define it, or test `is defined` first", callee->bytes);
    default:
        return jinja_fail(run, "%s cannot be called", "functions, macros and methods can", value_name(callee));
    }
}

enum status argument_int(struct run *run, const struct value *argument, const char *name, int64_t fallback, int64_t *out)
{
    *out = fallback;
    if (argument->type == IS_ABSENT || argument->type == IS_NONE)
        return OK;
    if (!value_is_whole(argument))
        return jinja_fail(run, "'%s' is %s", "give a whole number", name, value_name(argument));
    *out = argument->integer;
    return OK;
}

enum status argument_string(struct run *run, const struct value *argument, const char *name, struct value *out)
{
    *out = *argument;
    if (argument->type == IS_NONE)
        out->type = IS_ABSENT;
    if (out->type != IS_ABSENT && out->type != IS_STRING)
        return jinja_fail(run, "'%s' is %s", "give a string", name, value_name(argument));
    return OK;
}
