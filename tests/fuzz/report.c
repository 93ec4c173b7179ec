/* What graft report reads: metrics.jsonl, config.yaml and manifest.json of a run, a result and answers of graft evaluate; each behind "====". What is read
 * becomes a page, a table and a file of events, of the run beside itself: nothing in it may become markup, a control or a row of its own.
 */
#include "cli/report.h"
#include "tests/fuzz/fuzz_folder.h"

#include <math.h>

static int64_t count(const struct text *text, const char *word)
{
    int64_t found = 0;
    const char *at = text->bytes;
    const char *const end = text->bytes + text->length;
    while ((at = memmem(at, (size_t)(end - at), word, strlen(word)))) {
        found++;
        at++;
    }
    return found;
}

/* The page has the scripts that it is made with, and no byte that commands. */
static void check_page(const struct text *page)
{
    CHECK(count(page, "<script") == count(page, "<script type=\"application/json\">") + 1);
    CHECK(count(page, "<script") == count(page, "</script>"));
    CHECK(count(page, "<img") == 0);
    for (size_t i = 0; i < page->length; i++)
        CHECK((unsigned char)page->bytes[i] >= ' ' || page->bytes[i] == '\n' || page->bytes[i] == '\t');
    CHECK(utf8_valid(page->bytes, page->length, NULL));
}

/* Rows of the table, by the quotes: as many as lines were read, and every one with the same number of cells. */
static void check_table(struct arena *arena, const struct report *report, const char *path)
{
    char *table;
    size_t size;
    struct error err = { 0 };
    int64_t rows = 0, cells = 1, cells_of_head = 0, lines = 0;
    bool is_quoted = false;
    CHECK(file_read(arena, path, SIZE_MAX, &table, &size, &err) == OK);
    for (size_t i = 0; i < size; i++) {
        is_quoted ^= table[i] == '"';
        cells += !is_quoted && table[i] == ',';
        if (is_quoted || table[i] != '\n')
            continue;
        cells_of_head = rows++ ? cells_of_head : cells;
        CHECK(cells == cells_of_head);
        cells = 1;
    }
    for (int r = 0; r < report->runs; r++)
        lines += report->run[r].history.lines;
    CHECK(!is_quoted && rows == lines + 1);
}

static void write_all(struct arena *arena, struct report *report)
{
    struct error err = { 0 };
    struct output out;
    const char *const table = path_join(arena, fuzz_folder(), "table.csv");
    CHECK(output_open(&out, arena, table, true, &err) == OK);
    report_csv(report, &out);
    CHECK(output_commit(&out) == OK);
    check_table(arena, report, table);
    CHECK(report_events_check(report, fuzz_folder(), true, &err) == OK);
    CHECK(report_events(report, &err) == OK);
}

static bool look(const struct history *history, struct arena *arena)
{
    CHECK(history->lines > 0 && history->columns > 0 && history->columns <= MOST_COLUMNS);
    for (int c = 0; c < history->columns; c++)
        for (int64_t line = 0; line < history->lines; line++) {
            const struct cell *cell = &history->column[c].cell[line];
            CHECK(!isinf(cell->number) && (!cell->text || isnan(cell->number)));
        }
    CHECK(history_column(history, "step"));
    struct shown_run run[] = { { .name = "one", .history = *history }, { .name = "the \"other\"", .history = *history } };
    const char *const result = arena_print(arena, "<b>=%s/result.json", fuzz_folder()), *const answers =
                                                                                            arena_print(arena, "a=%s/answers.jsonl", fuzz_folder());
    struct report report = { .arena = arena,
                             .run = run,
                             .runs = COUNT(run),
                             .evaluations = { .item = (const char *[]){ result }, .count = file_exists(strchr(result, '=') + 1) },
                             .answers = { .item = (const char *[]){ answers }, .count = file_exists(strchr(answers, '=') + 1) },
                             .samples = 3 };
    struct text page = text_new(arena);
    struct error err = { 0 };
    const enum status status = report_page(&report, &page, &err);
    fuzz_check(status, &err);
    if (status == OK)
        check_page(&page);
    write_all(arena, &report);
    return status == OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct part rest = { (const char *)bytes, size };
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct history history;
    static const char *const name[] = { "metrics.jsonl", "config.yaml", "manifest.json", "result.json", "answers.jsonl" };
    for (size_t i = 0; i < COUNT(name); i++)
        fuzz_put(name[i], fuzz_next(&rest));
    const enum status status = history_read(&history, arena, fuzz_folder(), &err);
    fuzz_check(status, &err);
    if (status == OK)
        fuzz_accepted += look(&history, arena);
    arena_destroy(arena);
    return 0;
}
