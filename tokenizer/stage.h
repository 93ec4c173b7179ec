/* The steps between text and model. normalizer and pre_tokenizer of the file become rows of these few primitives, run in order.
 *
 * ByteLevel, for instance, is PREFIX " ", CUT by the GPT-2 pattern, BYTES; Metaspace is REPLACE " " by the mark, PREFIX, CUT at the mark.
 * Each works on every piece that is not an added token. Running all pieces through one stage before the next begins gives the same as
 * running each piece through all of them, because a stage looks at nothing but its piece.
 */
#ifndef GRAFT_TOKENIZER_STAGE_H
#define GRAFT_TOKENIZER_STAGE_H

#include "common/json.h"
#include "tokenizer/passage.h"

enum stage_kind {
    /* rewrite */
    UNICODE_FORM,  /* NFC, NFD, NFKC, NFKD */
    LOWERCASE,     /* letter by letter */
    STRIP_ACCENTS, /* removes every mark */
    STRIP,         /* white space at the ends of the piece */
    PREFIX,        /* `content` in front of the piece */
    REPLACE,       /* every match by `content` */
    CHARSMAP,      /* SentencePiece's own map, see charsmap.h */
    NMT,           /* control characters removed or made spaces */
    BYTES,         /* every byte by its printable stand-in */
    /* cut */
    CUT, /* at matches of the pattern, or at characters of the class */
};

enum character_class { BY_PATTERN, WHITE_SPACE, NUMERIC, PUNCTUATION };
enum behaviour { REMOVED, ISOLATED, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, CONTIGUOUS };

struct stage {
    enum stage_kind kind;
    bool compatible, composed;        /* UNICODE_FORM */
    bool left, right;                 /* STRIP */
    bool unless_there, only_at_start; /* PREFIX: not if the piece begins with it; only where the original text begins */
    const char *content;              /* PREFIX, REPLACE */
    uint32_t length;                  /* of content */
    const struct charsmap *charsmap;  /* CHARSMAP */
    const struct pattern *pattern;    /* REPLACE; CUT if class is BY_PATTERN */
    enum character_class class;       /* CUT */
    enum behaviour behaviour;         /* CUT */
    bool invert;                      /* CUT: what does not match is the delimiter */
};

struct stages {
    struct arena *arena;
    struct stage *stage;
    int count, capacity;
    struct pattern **patterns; /* compiled patterns join this list; see patterns_free */
    const char *path;          /* of the file, for messages */
};

enum { DEEPEST_SEQUENCE = 16, MOST_STAGES = 256 };

/* Read the file's component (JSON null or NULL: nothing) into stages. Errors: BAD_FILE naming component and value. */
enum status normalizer_read(struct stages *stages, const json_t *json, struct error *err) MUST_USE;
enum status pretokenizer_read(struct stages *stages, const json_t *json, struct error *err) MUST_USE;
enum status stages_run(const struct stages *stages, struct passages *passages, struct error *err) MUST_USE;

/* Cures of what is wrong with a file, and of what graft does not do. */
#define REPAIR  "repair the file, or fetch it again"
#define REFUSAL "graft reads the tokenizers of the families it trains; this file needs something else"

/* For readers of components: the "type" of an object; the keys of an object that are none of `known` (separated by spaces) are BAD_FILE;
 * where names the component ("file: normalizer"). */
enum status component_type(const json_t *json, const char *where, const char **type, struct error *err) MUST_USE;
enum status component_keys(const json_t *json, const char *where, const char *known, struct error *err) MUST_USE;
enum status component_unknown(const char *where, const char *type, const char *cure, struct error *err) MUST_USE;
/* {"String": ...} or {"Regex": ...} under `key`. */
enum status component_pattern(struct arena *arena, const json_t *json, const char *where, const char *key, struct pattern **list,
                              const struct pattern **pattern, struct error *err) MUST_USE;

/* normalize.c: the rewriting stages that need Unicode's tables, and what the tables say of a character. */
void run_unicode_form(const struct stage *stage, struct passages *passages);
void run_lowercase(struct passages *passages);
void run_strip_accents(struct passages *passages);
void run_nmt(struct passages *passages);
bool is_white_space(uint32_t code);
bool is_numeric(uint32_t code);
bool is_punctuation(uint32_t code);
/* Between two neighbouring characters of a text; *state is 0 at the beginning of a cluster (UAX 29, extended). */
bool is_cluster_break(uint32_t code, uint32_t next, int32_t *state);
bool is_word(uint32_t code); /* letters, marks, decimal digits, connectors, joiners */

/* pretokenize.c: patterns, and the stages that need them. */
struct pattern; /* compiled; safe to use from several threads */
/* literal: the text stands for itself. where names the component. */
enum status pattern_compile(struct pattern **list, struct arena *arena, const char *where, const char *text, size_t length, bool literal,
                            const struct pattern **pattern, struct error *err) MUST_USE;
void patterns_free(struct pattern **list);
/* Replaces every match in bytes[0..length) by content, appending to out; an error once that is more than any token becomes. */
enum status pattern_replace(const struct pattern *pattern, const char *bytes, size_t length, const char *content, size_t content_length, struct text *out,
                            struct error *err) MUST_USE;
enum status run_replace(const struct stage *stage, struct passages *passages, struct error *err) MUST_USE;
enum status run_cut(const struct stage *stage, struct passages *passages, struct error *err) MUST_USE;

/* pattern.c: Oniguruma's syntax, which the file's patterns use, rewritten for PCRE2. */
enum status pattern_translate(struct arena *arena, const char *where, const char *text, size_t length, struct text *out, struct error *err) MUST_USE;

/* Bytes and their printable stand-ins. */
uint32_t stand_in(unsigned char byte);
int stand_in_byte(uint32_t code); /* -1: no stand-in */

#endif
