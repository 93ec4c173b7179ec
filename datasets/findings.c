/* Findings: what is no error but would spoil a run, counted with its first places; the gate that they stop at, and the report that lists them. */
#include "datasets/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const finding_name[FINDINGS] = {
    [OVER_LENGTH] = "over_length",
    [EMPTY_RESPONSE] = "empty_response",
    [NOTHING_TRAINED] = "nothing_trained",
    [UNKNOWN_FIELD] = "unknown_field",
    [OUT_OF_TURN] = "out_of_turn",
    [DOUBLE_BOS] = "double_bos",
    [NO_EOS] = "no_eos",
    [SPLIT_MARKER] = "split_marker",
    [DUPLICATE] = "duplicate",
    [EVAL_IN_TRAIN] = "eval_in_train",
};

static void count(struct finding *finding, const char *text)
{
    if (finding->count < (int64_t)COUNT(finding->first))
        finding->first[finding->count] = text;
    finding->count++;
}

void finding_add(struct arena *arena, struct dataset *dataset, struct source_counts *counts, enum finding_kind kind, const char *where, const char *detail, ...)
{
    const char *whole = NULL;
    if (counts->finding[kind].count < (int64_t)COUNT(counts->finding[kind].first)) {
        char text[200];
        va_list arguments;
        va_start(arguments, detail);
        vsnprintf(text, sizeof text, detail, arguments);
        va_end(arguments);
        whole = text_make_printable(arena_print(arena, "%s: %s", where, text));
    }
    count(&counts->finding[kind], whole);
    count(&dataset->finding[kind], whole);
}

void check_markers(struct reading *reading)
{
    const struct layout *layout = reading->parsed->layout;
    const char *at = layout && layout->markers ? layout->markers : "";
    while (*at) {
        const size_t length = strcspn(at, " ");
        struct tokens tokens = { 0 };
        struct error ignored = { .code = OK };
        if (tokenizer_encode(reading->tokenizer, reading->arena, at, length, false, &tokens, &ignored) != OK || tokens.count != 1)
            finding_add(reading->arena, reading->dataset, reading->counts, SPLIT_MARKER, reading->source->where,
                        "'%.*s' of template %s is %" PRId64 " tokens here", (int)length, at, layout->name, tokens.count);
        at += length + (at[length] == ' ');
    }
}

static bool is_accepted(const struct data_settings *settings, enum finding_kind kind)
{
    if (kind == OVER_LENGTH || kind == DUPLICATE)
        return true; /* accepted by choosing: over_length: error stopped at the first, and deduplicate takes them out or leaves them */
    for (int i = 0; i < settings->accepts; i++)
        if (strcmp(settings->accept[i], finding_name[kind]) == 0)
            return true;
    return false;
}

enum status dataset_gate(const struct dataset *dataset, const struct data_settings *settings, struct error *err)
{
    char what[900] = "", names[160] = "";
    size_t used = 0, named = 0;
    for (int kind = 0; kind < FINDINGS; kind++) {
        const struct finding *finding = &dataset->finding[kind];
        if (finding->count == 0 || is_accepted(settings, (enum finding_kind)kind))
            continue;
        named += (size_t)snprintf(names + named, sizeof names - named, "%s%s", named ? ", " : "", finding_name[kind]);
        for (int i = 0; i < (int)COUNT(finding->first) && finding->first[i] && used < sizeof what; i++)
            used += i == 0 ? (size_t)snprintf(what + used, sizeof what - used, "%s%" PRId64 " %s (%s", used ? "); " : "", finding->count, finding_name[kind],
                                              finding->first[i])
                           : (size_t)snprintf(what + used, sizeof what - used, "; %s", finding->first[i]);
    }
    if (named > 0) {
        fail_with(err, BAD_DATA, "findings in the data: %s)", "", what);
        return cure_with(err, "repair the records, or accept what was found with data.accept: [%s]; graft data check lists all counts", names);
    }
    if (dataset->count == 0)
        return fail_with(err, BAD_DATA, "none of %" PRId64 " records can be trained on", "see graft data check for what became of them", dataset->records);
    return OK;
}

static void add_counts(struct text *out, int64_t conversations, int64_t count, int64_t cut, int64_t dropped, int64_t tokens, int64_t trained)
{
    text_print(
        out, "%" PRId64 " conversations, %" PRId64 " kept (%" PRId64 " of them cut), %" PRId64 " dropped; %" PRId64 " tokens, %" PRId64 " trained (%.1f %%)\n",
        conversations, count, cut, dropped, tokens, trained, tokens ? 100.0 * (double)trained / (double)tokens : 0.0);
}

static void report_source(const struct source_counts *counts, const char *title, struct text *out)
{
    text_print(out, "%s: %s (%s", title, counts->source->path, counts->source->format);
    if (counts->source->template_name)
        text_print(out, ", template %s", counts->source->template_name);
    if (counts->source->weight > 0 && counts->source->weight != 1) /* 0 and 1 are the same */
        text_print(out, ", weight %g", counts->source->weight);
    text_print(out, "): %" PRId64 " records", counts->records);
    if (counts->filtered)
        text_print(out, ", %" PRId64 " trees left out", counts->filtered);
    text_add_string(out, ", ");
    add_counts(out, counts->conversations, counts->count, counts->cut, counts->dropped, counts->tokens, counts->trained);
    for (int f = 0; f < FINDINGS; f++) {
        if (counts->finding[f].count == 0)
            continue;
        text_print(out, "  %-16s %" PRId64 "\n", finding_name[f], counts->finding[f].count);
        for (size_t i = 0; i < COUNT(counts->finding[f].first) && counts->finding[f].first[i]; i++)
            text_print(out, "    %s\n", counts->finding[f].first[i]);
    }
}

void dataset_report(const struct dataset *dataset, const char *title, struct text *out)
{
    for (int i = 0; i < dataset->sources; i++)
        report_source(&dataset->source[i], title, out);
}
