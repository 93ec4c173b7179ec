/* Trained rows of the embedding, or of the head, for some tokens only (PEFT's trainable_token_indices): the values of a row that replace the frozen one.
 *
 * A tied head follows the embedding: it sees the same replaced rows. A list means the embedding; a map names modules. Source: peft 0.21
 * tuners/trainable_tokens/layer.py, utils/other.py (set_additional_trainable_modules).
 */
#ifndef GRAFT_ADAPTERS_TOKENS_H
#define GRAFT_ADAPTERS_TOKENS_H

#include "adapters/adapter.h"
#include "adapters/targets.h"
#include "autograd/parameters.h"
#include "common/settings.h"

/* The setting: one list of ids for each module named. */
struct token_lists {
    const char *where; /* NULL: not given */
    struct token_list {
        const char *module; /* as given; NULL: the embedding */
        int64_t *id;
        int count;
    } * list;
    int count;
};

enum status token_lists_parse(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder,
                              struct error *err) MUST_USE;
void token_lists_print(struct text *out, const struct setting *row, const void *field);
json_t *token_lists_json(const struct token_lists *lists);

struct tokens {
    struct token_rows {
        struct tensor *frozen, *value, *place; /* the table; the parameter [n, width]; I32 [vocab, 1]: the row of value, -1: none */
        const int64_t *id;
        bool looked_up, head; /* used at the input, at the output */
    } rows[2];
    int count;
};

/* Adds the parameters. Errors: BAD_CONFIG if a module is neither embedding nor head, an id is outside the vocabulary or given twice, or the module is in
 * modules_to_save. */
enum status tokens_attach(struct tokens *tokens, struct arena *arena, struct parameters *parameters, const struct model *model, const struct token_lists *lists,
                          const struct names *save, struct error *err) MUST_USE;
/* Fills the sealed parameters with the frozen rows, or with what adapter->row_start says. */
void tokens_start(const struct tokens *tokens, const struct adapter *adapter, const struct model *model);
/* h, the rows looked up, with the trained ones in place. */
struct tensor *tokens_looked_up(const struct tokens *tokens, struct pass *p, struct tensor *h);
/* The head's weight w with the trained rows in place. */
struct tensor *tokens_head(const struct tokens *tokens, struct pass *p, struct tensor *w);

#endif
