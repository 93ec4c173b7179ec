/* Oniguruma's syntax, in which a tokenizer.json writes its patterns, rewritten for PCRE2.
 *
 * Most of a pattern is the same in both and copied. What differs is rewritten: classes in classes and intersections, \s \w \b \h \v \u,
 * names of properties, {n}? {n}+ {,n}, (?m). What PCRE2 cannot say, or would silently read as something else, is refused.
 * White space is Unicode's White_Space; a word character is Alphabetic, Mark, decimal digit or connector.
 */
#include "tokenizer/stage.h"

#include <ctype.h>
#include <string.h>

enum { DEEPEST_CLASS = 16, DEEPEST_GROUP = 64, LONGEST_PATTERN = 16384 };

struct translation {
    const char *where, *text; /* of the whole pattern */
    size_t length, at;
    struct arena *arena;
    struct text *out;
    int depth;   /* of classes */
    size_t atom; /* place in out where the last thing that can be repeated begins; SIZE_MAX: none */
    int groups;
    size_t group[DEEPEST_GROUP]; /* where the open groups begin in out */
};

static enum status refuse(const struct translation *t, const char *what, struct error *err)
{
    return fail_with(err, BAD_FILE, "%s: pattern '%.*s': %s, at byte %zu", "graft has no equivalent of this in its regular expressions", t->where,
                     t->length > 300 ? 300 : (int)t->length, t->text, what, t->at);
}

/* Properties as Oniguruma names them (letters only, small), as PCRE2 writes them inside a class. Names not listed here are scripts. */
static const struct property {
    const char *name, *inside;
} property[] = {
    { "alnum", "\\p{Alphabetic}\\p{Nd}" },
    { "alpha", "\\p{Alphabetic}" },
    { "alphabetic", "\\p{Alphabetic}" },
    { "any", "\\x{0}-\\x{10ffff}" },
    { "ascii", "\\x{0}-\\x{7f}" },
    { "blank", "\\p{Zs}\\t" },
    { "cntrl", "\\p{Cc}" },
    { "control", "\\p{Cc}" },
    { "dash", "\\p{Dash}" },
    { "digit", "\\p{Nd}" },
    { "decimalnumber", "\\p{Nd}" },
    { "emoji", "\\p{Emoji}" },
    { "emojipresentation", "\\p{Emoji_Presentation}" },
    { "extendedpictographic", "\\p{Extended_Pictographic}" },
    { "ideographic", "\\p{Ideographic}" },
    { "letter", "\\p{L}" },
    { "lower", "\\p{Lowercase}" },
    { "lowercase", "\\p{Lowercase}" },
    { "lowercaseletter", "\\p{Ll}" },
    { "mark", "\\p{M}" },
    { "modifierletter", "\\p{Lm}" },
    { "nonspacingmark", "\\p{Mn}" },
    { "number", "\\p{N}" },
    { "otherletter", "\\p{Lo}" },
    { "posixpunct", "\\p{P}\\p{S}" }, /* [:punct:], as opposed to \p{Punct} */
    { "punct", "\\p{P}" },
    { "punctuation", "\\p{P}" },
    { "separator", "\\p{Z}" },
    { "space", "\\p{White_Space}" },
    { "spacingmark", "\\p{Mc}" },
    { "symbol", "\\p{S}" },
    { "titlecaseletter", "\\p{Lt}" },
    { "upper", "\\p{Uppercase}" },
    { "uppercase", "\\p{Uppercase}" },
    { "uppercaseletter", "\\p{Lu}" },
    { "whitespace", "\\p{White_Space}" },
    { "word", "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}" },
    { "xdigit", "0-9A-Fa-f" },
};

/* Outside of classes Oniguruma takes the superscripts and fractions of Latin-1 for word characters, too. */
static const char bare_word[] = "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}";

/* What stands inside a class for a property: from the table, a general category of one or two letters, or a script. NULL: no name. */
static const char *property_inside(struct translation *t, const char *name, size_t length)
{
    char plain[64];
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        if (name[i] == ' ' || name[i] == '_' || name[i] == '-')
            continue;
        if (!isalpha((unsigned char)name[i]) || n == sizeof plain - 1)
            return NULL;
        plain[n++] = (char)tolower((unsigned char)name[i]);
    }
    plain[n] = 0;
    for (size_t i = 0; i < COUNT(property); i++)
        if (strcmp(property[i].name, plain) == 0)
            return property[i].inside;
    if (n == 0)
        return NULL;
    if (n <= 2)
        return arena_print(t->arena, "\\p{%c%s}", toupper(plain[0]), plain + 1);
    return arena_print(t->arena, "\\p{sc:%s}", plain);
}

static bool ahead(const struct translation *t, const char *what)
{
    size_t length = strlen(what);
    return t->length - t->at >= length && memcmp(t->text + t->at, what, length) == 0;
}

/* \p{...}, \P{...}, \p{^...}; at stands behind the p. */
static enum status read_property(struct translation *t, bool negated, const char **inside, bool *outcome, struct error *err)
{
    const char *close = t->at < t->length && t->text[t->at] == '{' ? memchr(t->text + t->at, '}', t->length - t->at) : NULL;
    if (!close)
        return refuse(t, "a property needs braces", err);
    const char *name = t->text + t->at + 1;
    if (*name == '^') {
        negated = !negated;
        name++;
    }
    *inside = property_inside(t, name, (size_t)(close - name));
    if (!*inside)
        return refuse(t, "unknown property", err);
    t->at = (size_t)(close + 1 - t->text);
    *outcome = negated;
    return OK;
}

/* Sets of characters that both a class and a bare escape can name: \s \w \d \h \p and their opposites. */
static enum status read_set(struct translation *t, const char **inside, bool *negated, struct error *err)
{
    static const char letter[] = "swdh";
    static const char *const name[] = { "space", "word", "digit", "xdigit" };
    *inside = NULL;
    if (t->length - t->at < 2 || t->text[t->at] != '\\')
        return OK;
    char c = t->text[t->at + 1], small = (char)tolower((unsigned char)c);
    if (small == 'p') {
        t->at += 2;
        return read_property(t, c == 'P', inside, negated, err);
    }
    const char *found = small ? strchr(letter, small) : NULL;
    if (!found)
        return OK;
    *inside = property_inside(t, name[found - letter], strlen(name[found - letter]));
    *negated = c != small;
    t->at += 2;
    return OK;
}

/* One escaped character that both syntaxes mean alike, written so that PCRE2 takes it as a literal. at stands on the backslash. */
static enum status copy_escape(struct translation *t, struct text *out, struct error *err)
{
    static const char letter[] = "tnrfae", code[] = "\t\n\r\f\a\x1b";
    if (t->length - t->at < 2)
        return refuse(t, "a backslash at the end", err);
    char c = t->text[t->at + 1];
    if (c == 'x' || c == 'u') {
        size_t first = t->at + 2, digits = 0, most = c == 'u' ? 4 : 2;
        bool braces = c == 'x' && first < t->length && t->text[first] == '{';
        if (braces) {
            first++;
            most = 6;
        }
        while (digits < most && first + digits < t->length && isxdigit((unsigned char)t->text[first + digits]))
            digits++;
        size_t behind = first + digits + braces;
        bool single_byte = !braces && c == 'x' && digits == 2 && t->text[first] > '7';
        if (digits == 0 || (c == 'u' && digits < 4) || single_byte || behind > t->length || (braces && t->text[behind - 1] != '}'))
            return refuse(t, "a malformed code point", err);
        text_print(out, "\\x{%.*s}", (int)digits, t->text + first);
        t->at = behind;
        return OK;
    }
    const char *known = memchr(letter, c, sizeof letter - 1);
    if (c == 'v' || known)
        text_print(out, "\\x{%02x}", c == 'v' ? 0x0Bu : (unsigned)code[known - letter]);
    else if (isalnum((unsigned char)c))
        return refuse(t, "this escape is not supported", err);
    else if ((unsigned char)c < 0x80)
        text_print(out, "\\%c", c);
    else
        text_print(out, "%c", c); /* the rest of the character follows as it is */
    t->at += 2;
    return OK;
}

/* A class being read: what can stand in one PCRE2 class, and alternatives that cannot. */
struct class
{
    struct text inside, others;
};

static void add_other(struct class *class, const char *pattern)
{
    text_add_string(&class->others, "|");
    text_add_string(&class->others, pattern);
}

/* A class as a pattern for one character. */
static const char *class_pattern(struct translation *t, const struct class *class, bool negated)
{
    const char *inside = class->inside.length ? class->inside.bytes : NULL;
    if (!class->others.length)
        return inside ? arena_print(t->arena, "[%s%s]", negated ? "^" : "", inside) : negated ? "(?s:.)" : "(?!)";
    const char *any = inside ? arena_print(t->arena, "(?:[%s]%s)", inside, class->others.bytes) : arena_print(t->arena, "(?:%s)", class->others.bytes + 1);
    return negated ? arena_print(t->arena, "(?:(?!%s)(?s:.))", any) : any;
}

static enum status read_class(struct translation *t, const char **pattern, const char **inside, struct error *err);

/* [:name:] or [:^name:]; false: this is no POSIX bracket. */
static bool read_posix(struct translation *t, struct class *class)
{
    if (!ahead(t, "[:"))
        return false;
    const char *name = t->text + t->at + 2, *end = t->text + t->length, *close = name;
    bool negated = close < end && *close == '^';
    name += negated;
    close = name;
    while (close < end && isalpha((unsigned char)*close))
        close++;
    if (end - close < 2 || close[0] != ':' || close[1] != ']')
        return false;
    bool punct = close - name == 5 && memcmp(name, "punct", 5) == 0;
    const char *inside = punct ? property_inside(t, "posixpunct", 10) : property_inside(t, name, (size_t)(close - name));
    if (!inside || strncmp(inside, "\\p{sc:", 6) == 0)
        return false;
    if (negated)
        add_other(class, arena_print(t->arena, "[^%s]", inside));
    else
        text_add_string(&class->inside, inside);
    t->at = (size_t)(close + 2 - t->text);
    return true;
}

/* A plain character. It may come to stand elsewhere in a surrounding class, so what has a meaning only at one place is escaped. */
static void add_character(struct translation *t, struct class *class)
{
    char c = t->text[t->at++], next = t->at < t->length ? t->text[t->at] : ']';
    if (c == '^' || (c == '-' && (class->inside.length == 0 || next == ']' || next == '[' || next == '&')))
        text_add_string(&class->inside, "\\");
    text_add(&class->inside, &c, 1);
}

/* One member of a class. */
static enum status read_member(struct translation *t, struct class *class, struct error *err)
{
    const char *inside, *pattern;
    bool negated = false;
    if (t->text[t->at] == '[') {
        if (read_posix(t, class))
            return OK;
        TRY(read_class(t, &pattern, &inside, err));
        if (inside)
            text_add_string(&class->inside, inside);
        else
            add_other(class, pattern);
        return OK;
    }
    TRY(read_set(t, &inside, &negated, err));
    if (inside && negated)
        add_other(class, arena_print(t->arena, "[^%s]", inside));
    else if (inside)
        text_add_string(&class->inside, inside);
    else if (ahead(t, "\\b")) {
        text_add_string(&class->inside, "\\x{08}");
        t->at += 2;
    } else if (t->text[t->at] == '\\')
        return copy_escape(t, &class->inside, err);
    else
        add_character(t, class);
    return OK;
}

/* at stands on the bracket. *inside: what to write into a surrounding class, NULL if only *pattern can say it. */
static enum status read_class(struct translation *t, const char **pattern, const char **inside, struct error *err)
{
    if (++t->depth > DEEPEST_CLASS)
        return refuse(t, "classes nested too deep", err);
    size_t begin = t->at++;
    bool negated = t->at < t->length && t->text[t->at] == '^';
    t->at += negated;
    struct class class = { text_new(t->arena), text_new(t->arena) };
    struct text together = text_new(t->arena); /* what every && demands, as look-aheads */
    for (bool first = true;; first = false) {
        if (t->at >= t->length) {
            t->at = begin;
            return refuse(t, "a class is not closed", err);
        }
        if (ahead(t, "&&")) {
            text_print(&together, "(?=%s)", class_pattern(t, &class, false));
            class = (struct class){ text_new(t->arena), text_new(t->arena) };
            t->at += 2;
        } else if (t->text[t->at] == ']' && !first) {
            break;
        } else if (t->text[t->at] == ']') {
            text_add_string(&class.inside, "\\]");
            t->at++;
        } else {
            TRY(read_member(t, &class, err));
        }
    }
    t->at++;
    t->depth--;
    *inside = NULL;
    if (together.length) {
        const char *all = arena_print(t->arena, "(?:%s%s)", together.bytes, class_pattern(t, &class, false));
        *pattern = negated ? arena_print(t->arena, "(?:(?!%s)(?s:.))", all) : all;
        return OK;
    }
    *pattern = class_pattern(t, &class, negated);
    if (!negated && !class.others.length && class.inside.length)
        *inside = class.inside.bytes;
    return OK;
}

/* A quantifier {..}: copied, and what follows it made to mean what it means in Oniguruma. */
static enum status copy_interval(struct translation *t, bool *done, struct error *err)
{
    const char *from = t->text + t->at + 1, *end = t->text + t->length, *at = from;
    while (at < end && isdigit((unsigned char)*at))
        at++;
    size_t low = (size_t)(at - from), high = 0;
    bool comma = at < end && *at == ',';
    if (comma) {
        const char *second = ++at;
        while (at < end && isdigit((unsigned char)*at))
            at++;
        high = (size_t)(at - second);
    }
    *done = at < end && *at == '}' && low + high > 0;
    if (!*done) /* Oniguruma reads it as plain text */
        return OK;
    if (t->atom == SIZE_MAX)
        return refuse(t, "nothing to repeat", err);
    t->at = (size_t)(at + 1 - t->text);
    char next = at + 1 < end ? at[1] : 0;
    bool again = next == '+' || next == '*' || (next == '?' && !comma); /* a quantifier of the repetition, not its manner */
    struct text *out = t->out;
    const char *atom = arena_text(t->arena, out->bytes + t->atom, out->length - t->atom);
    out->length = t->atom;
    text_print(out, "%s%s{%s%.*s}", again ? "(?:" : "", atom, low ? "" : "0", (int)(at - from), from);
    if (again) {
        text_print(out, ")%c", next);
        t->at++;
    } else if (next == '?') {
        text_add_string(out, "?");
        t->at++;
    }
    return OK;
}

/* "(?..": letters of options are checked and renamed, the rest is copied. at stands on the parenthesis. */
static enum status copy_group(struct translation *t, struct error *err)
{
    static const char *const plain[] = { "(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!" };
    if (t->groups == DEEPEST_GROUP)
        return refuse(t, "groups nested too deep", err);
    t->group[t->groups++] = t->out->length;
    t->atom = SIZE_MAX;
    if (!ahead(t, "(?")) {
        if (ahead(t, "(*"))
            return refuse(t, "callouts are not supported", err);
        text_add_string(t->out, "(");
        t->at++;
        return OK;
    }
    for (size_t i = 0; i < COUNT(plain); i++)
        if (ahead(t, plain[i])) {
            text_add_string(t->out, plain[i]);
            t->at += strlen(plain[i]);
            return OK;
        }
    bool at_start = t->at == 0;
    size_t at = t->at + 2;
    text_add_string(t->out, "(?");
    for (; at < t->length && (t->text[at] == 'i' || t->text[at] == 'm' || t->text[at] == '-'); at++)
        text_print(t->out, "%c", t->text[at] == 'm' ? 's' : t->text[at]);
    bool closed = at < t->length && t->text[at] == ')';
    if (at >= t->length || at == t->at + 2 || (t->text[at] != ':' && !closed))
        return refuse(t, "this kind of group is not supported", err);
    if (closed && !at_start) /* Oniguruma ends such an option with the group and takes alternatives into it; PCRE2 does not */
        return refuse(t, "an option in the middle of a pattern", err);
    text_print(t->out, "%c", t->text[at]);
    t->groups -= closed;
    t->at = at + 1;
    return OK;
}

/* One item outside of classes. */
static enum status copy_item(struct translation *t, struct error *err)
{
    const char *word_inside = property_inside(t, "word", 4), *word = arena_print(t->arena, "[%s%s]", word_inside, bare_word);
    const char *inside, *pattern;
    bool negated = false, done = false;
    char c = t->text[t->at];
    struct text *out = t->out;
    if (c == '{')
        TRY(copy_interval(t, &done, err));
    if (done)
        return OK;
    if (c == '(')
        return copy_group(t, err);
    if (c == ')') {
        if (t->groups == 0)
            return refuse(t, "a parenthesis too many", err);
        t->atom = t->group[--t->groups];
    } else if (c == '|') {
        t->atom = SIZE_MAX;
    } else if (c != '*' && c != '+' && c != '?' && ((unsigned char)c & 0xC0) != 0x80) {
        t->atom = out->length;
    }
    if (c == '[') {
        TRY(read_class(t, &pattern, &inside, err));
        text_add_string(out, pattern);
        return OK;
    }
    TRY(read_set(t, &inside, &negated, err));
    if (inside) {
        text_print(out, "[%s%s%s]", negated ? "^" : "", inside, inside == word_inside ? bare_word : "");
    } else if (ahead(t, "\\b") || ahead(t, "\\B")) {
        bool inner = ahead(t, "\\B");
        text_print(out, "(?:(?<=%s)(?%c%s)|(?<!%s)(?%c%s))", word, inner ? '=' : '!', word, word, inner ? '!' : '=', word);
        t->at += 2;
    } else if (ahead(t, "\\A") || ahead(t, "\\z") || ahead(t, "\\Z") || ahead(t, "\\R")) {
        text_print(out, "\\%c", t->text[t->at + 1]);
        t->at += 2;
    } else if (c == '\\') {
        return copy_escape(t, out, err);
    } else {
        text_add(out, t->text + t->at++, 1);
    }
    return OK;
}

enum status pattern_translate(struct arena *arena, const char *where, const char *text, size_t length, struct text *out, struct error *err)
{
    if (length > LONGEST_PATTERN)
        return fail_with(err, BAD_FILE, "%s: a pattern of %zu bytes", "graft takes patterns of up to 16,384 bytes", where, length);
    struct translation t = { .where = where, .text = text, .length = length, .arena = arena, .out = out, .atom = SIZE_MAX };
    while (t.at < t.length)
        TRY(copy_item(&t, err));
    return OK;
}
