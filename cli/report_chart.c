/* Curves as inline SVG: a polyline of each run, drawn twice, for a linear and for a logarithmic scale; a checkbox and CSS choose, so that needs no script.
 *
 * The drawing stretches with the page, so everything that must not is outside it: labels are HTML, placed in percent, and lines keep their width. Behind each
 * figure stand its values, for the script that shows them under the pointer.
 */
#include "cli/report.h"
#include "common/json.h"

#include <math.h>
#include <string.h>

enum { MOST_POINTS = 1000, MOST_TICKS = 12, SIDE = 1000 }; /* SIDE: of the drawing, in its own units */

static const struct chart {
    const char *key, *title;
    double unit;
} charts[] = {
    { "loss", "loss", 1 },
    { "eval_loss", "eval loss", 1 },
    { "grad_norm", "gradient norm", 1 },
    { "learning_rate", "learning rate", 1 },
    { "tokens_per_second", "tokens per second", 1 },
    { "memory_bytes", "peak memory, GiB", 1 << 30 },
};

struct point {
    double step, value;
};

struct curve {
    struct point *point;
    int64_t count;
};

struct scale {
    double low, high;
    bool is_log;
};

struct ticks {
    double at[MOST_TICKS];
    int count;
};

/* Of each bucket of a long curve its lowest and its highest point stay, so no peak is lost. */
static void thin(struct curve *curve)
{
    const int64_t count = curve->count, buckets = MOST_POINTS / 2;
    struct point *p = curve->point;
    if (count <= MOST_POINTS)
        return;
    curve->count = 0;
    for (int64_t b = 0; b < buckets; b++) {
        int64_t from = b * count / buckets, low = from, high = from;
        for (int64_t i = from; i < (b + 1) * count / buckets; i++) {
            low = p[i].value < p[low].value ? i : low;
            high = p[i].value > p[high].value ? i : high;
        }
        const struct point first = p[low < high ? low : high], second = p[low < high ? high : low];
        p[curve->count++] = first;
        if (low != high)
            p[curve->count++] = second;
    }
}

static struct curve read_curve(struct arena *arena, const struct history *history, const struct chart *chart)
{
    const struct column *column = history_column(history, chart->key);
    struct curve curve = { 0 };
    if (!column)
        return curve;
    curve.point = NEW_ARRAY(arena, history->lines, struct point);
    for (int64_t i = 0; i < history->lines; i++)
        if (!isnan(column->cell[i].number))
            curve.point[curve.count++] = (struct point){ (double)history->step[i], column->cell[i].number / chart->unit };
    thin(&curve);
    return curve;
}

/* Where a value is, from 0 to 1. What a logarithm has not is at the lower edge. */
static double place(const struct scale *s, double value)
{
    double at = s->is_log ? (value > 0 ? log(value / s->low) / log(s->high / s->low) : 0) : value / (s->high - s->low) - s->low / (s->high - s->low);
    return at < 0 ? 0 : at > 1 ? 1 : at;
}

/* Multiples of 1, 2 or 5 times a power of ten. */
static struct ticks linear_ticks(const struct scale *s, int wanted)
{
    struct ticks ticks = { 0 };
    double raw = s->high / wanted - s->low / wanted, power = pow(10, floor(log10(raw))), step = raw / power;
    step = power * (step <= 1 ? 1 : step <= 2 ? 2 : step <= 5 ? 5 : 10);
    for (double n = ceil(s->low / step); n * step <= s->high && ticks.count < MOST_TICKS && isfinite(n); n++)
        ticks.at[ticks.count++] = n * step;
    return ticks;
}

/* Powers of ten, every so many; 1, 2 and 5 between them where there are few; and multiples where there are none. */
static struct ticks log_ticks(const struct scale *s, int wanted)
{
    static const double parts[] = { 1, 2, 5 };
    struct ticks ticks = { 0 };
    const double decades = log10(s->high / s->low), stride = ceil(decades / wanted);
    for (double e = floor(log10(s->low) / stride) * stride; e <= log10(s->high); e += stride)
        for (size_t i = 0; i < (decades < 2.5 ? COUNT(parts) : 1); i++) {
            const double at = parts[i] * pow(10, e);
            if (at >= s->low && at <= s->high && ticks.count < MOST_TICKS)
                ticks.at[ticks.count++] = at;
        }
    return ticks.count > 2 ? ticks : linear_ticks(s, wanted);
}

/* The range of all values with some room; false: no such scale shows them. Not so near the ends of double that a difference overflows. */
static bool fit(struct scale *s, const struct curve *curve, int runs, bool is_log)
{
    const double most = 1e300, least = 1e-300;
    double low = INFINITY, high = -INFINITY;
    for (int r = 0; r < runs; r++)
        for (int64_t i = 0; i < curve[r].count; i++) {
            double value = curve[r].point[i].value;
            if (is_log ? value > least : fabs(value) < most)
                low = fmin(low, value), high = fmax(high, value);
        }
    if (!(low <= high) || high >= most)
        return false;
    double room = is_log ? pow(high / low, 0.04) : (high - low) * 0.04;
    if (low == high || room == 0)
        room = is_log ? 1.1 : fabs(low) > 0 ? fabs(low) * 0.1 : 1;
    *s = is_log ? (struct scale){ low / room, high * room, true } : (struct scale){ low >= 0 && low < room ? 0 : low - room, high + room, false };
    return s->low < s->high;
}

static struct scale fit_steps(const struct curve *curve, int runs)
{
    struct scale s = { 0, 1, false };
    for (int r = 0; r < runs; r++)
        if (curve[r].count > 0)
            s.high = fmax(s.high, curve[r].point[curve[r].count - 1].step);
    return s;
}

static void add_line(struct text *page, const struct curve *curve, int run, const struct scale *x, const struct scale *y)
{
    text_print(page, "<polyline class=\"c%d d%d\" points=\"", run % RUN_COLOURS, run / RUN_COLOURS);
    for (int64_t i = 0; i < curve->count; i++)
        text_print(page, "%s%.1f,%.1f", i ? " " : "", SIDE * place(x, curve->point[i].step), SIDE * (1 - place(y, curve->point[i].value)));
    text_add_string(page, "\"/>");
}

static void add_plot(struct text *page, const struct chart *chart, const struct curve *curve, int runs, const struct scale *x, const struct scale *y)
{
    const struct ticks rows = y->is_log ? log_ticks(y, 5) : linear_ticks(y, 5), columns = linear_ticks(x, 5);
    text_print(
        page,
        "<div class=\"plot %s\"><svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"%s over steps\"><path class=\"grid\" d=\"",
        y->is_log ? "log" : "linear", SIDE, SIDE, chart->title);
    for (int i = 0; i < rows.count; i++)
        text_print(page, "M0 %.1fH%d", SIDE * (1 - place(y, rows.at[i])), SIDE);
    text_add_string(page, "\"/>");
    for (int r = 0; r < runs; r++)
        if (curve[r].count > 0)
            add_line(page, &curve[r], r, x, y);
    text_add_string(page, "</svg>");
    for (int r = 0; r < runs; r++) /* a line of one point is none */
        if (curve[r].count == 1)
            text_print(page, "<i class=\"dot c%d\" style=\"left:%.2f%%;top:%.2f%%\"></i>", r % RUN_COLOURS, 100 * place(x, curve[r].point->step),
                       100 * (1 - place(y, curve[r].point->value)));
    for (int i = 0; i < rows.count; i++)
        text_print(page, "<span class=\"y\" style=\"top:%.2f%%\">%.6g</span>", 100 * (1 - place(y, rows.at[i])), rows.at[i]);
    for (int i = 0; i < columns.count; i++)
        text_print(page, "<span class=\"x\" style=\"left:%.2f%%\">%.12g</span>", 100 * place(x, columns.at[i]), columns.at[i]);
    text_add_string(page, "</div>\n");
}

/* Numbers only, so nothing in it can end the element. */
static void add_values(struct text *page, const struct curve *curve, int runs)
{
    text_add_string(page, "<script type=\"application/json\">[");
    for (int r = 0, first = 1; r < runs; r++) {
        if (curve[r].count == 0)
            continue;
        text_print(page, "%s[%d,[", first ? "" : ",", r);
        for (int64_t i = 0; i < curve[r].count; i++)
            text_print(page, "%s%.0f", i ? "," : "", curve[r].point[i].step);
        text_add_string(page, "],[");
        for (int64_t i = 0; i < curve[r].count; i++) {
            text_add_string(page, i ? "," : "");
            text_add_number(page, curve[r].point[i].value);
        }
        text_add_string(page, "]]");
        first = 0;
    }
    text_add_string(page, "]</script>");
}

static void add_chart(const struct report *report, struct arena *arena, const struct chart *chart, struct text *page)
{
    struct curve *curve = NEW_ARRAY(arena, report->runs, struct curve);
    struct scale linear, logarithmic;
    for (int r = 0; r < report->runs; r++)
        curve[r] = read_curve(arena, &report->run[r].history, chart);
    if (!fit(&linear, curve, report->runs, false))
        return;
    const struct scale steps = fit_steps(curve, report->runs);
    const bool has_log = fit(&logarithmic, curve, report->runs, true);
    text_print(page, "<figure id=\"%s\"><h3>%s</h3>\n", chart->key, chart->title);
    if (has_log)
        text_print(page, "<input type=\"checkbox\" id=\"log-%s\"><label for=\"log-%s\">log scale</label>\n", chart->key, chart->key);
    add_plot(page, chart, curve, report->runs, &steps, &linear);
    if (has_log)
        add_plot(page, chart, curve, report->runs, &steps, &logarithmic);
    add_values(page, curve, report->runs);
    text_add_string(page, "</figure>\n");
}

void report_charts(const struct report *report, struct text *page)
{
    for (size_t i = 0; i < COUNT(charts); i++) {
        struct arena *arena = arena_create_like(report->arena);
        add_chart(report, arena, &charts[i], page);
        arena_destroy(arena);
    }
}
