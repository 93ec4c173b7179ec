/* What most commands begin with: a device, a model folder, adapters and a tokenizer, opened in the right order and closed together. */
#ifndef GRAFT_CLI_OPENED_H
#define GRAFT_CLI_OPENED_H

#include "cli/options.h"
#include "inference/forward.h"

/* Options of commands that compute with a model; stands right behind common_options. */
struct model_options {
    const char *model, *dtype;
    struct list adapter;
    bool lines_choose; /* not all adapters are for all sequences: whether they go together is asked later (cli/choices.h) */
};
#define MODEL_OPTIONS(type)                                                                                                                                    \
    { "model", OPTION_TEXT, offsetof(type, model.model), "DIR", "!", 0, 0, "Hugging Face model folder" },                                                      \
        { "adapter", OPTION_LIST, offsetof(type, model.adapter), "DIR", NULL, 0, 0, "PEFT adapter folder; several are added, NAME=DIR names them" },           \
    {                                                                                                                                                          \
        "dtype", OPTION_TEXT, offsetof(type, model.dtype), "auto|float32|bfloat16", "auto", 0, 0, "precision of weights and activations"                       \
    }

struct opened {
    struct device device;
    struct model_config config;
    struct model model;
    struct adapter **adapter;
    int adapters;
    struct tokenizer *tokenizer;
    struct session session;
    struct arena *arena;
};

/* Opens device, model and adapters, and says on stderr what was chosen unless quiet. The tokenizer is not opened. Close whatever the outcome. */
enum status opened_model(struct opened *opened, struct arena *arena, const struct common_options *common, const struct model_options *options,
                         struct error *err) MUST_USE;
/* Opens the tokenizer of an adapter that has one in its folder, else that of `folder`, the model's; `why` says what needs it. Errors: BAD_OPTION if adapters
 * have different ones. */
enum status opened_tokenizer(struct opened *opened, const char *folder, const char *why, struct error *err) MUST_USE;
/* Whether there is one. */
bool opened_has_tokenizer(const struct opened *opened, const char *folder);
void opened_close(struct opened *opened);

/* The ids that end an answer: of the model's configuration, else the tokenizer's (tokenizer may be NULL). Returns how many (0..MAX_EOS). */
int opened_eos(const struct opened *opened, int32_t eos[MAX_EOS]);

/* EXISTS if the path (NULL and "-" are stdout) is a folder, or a file that may not be overwritten: asked before long work, and again by output_open(). Pipes
 * and devices hold nothing to lose. */
enum status output_check(const char *path, bool overwrite, struct error *err) MUST_USE;
/* The same for two outputs (NULL: not asked for), which must also differ. */
enum status outputs_check(struct arena *arena, const char *one, const char *other, bool overwrite, struct error *err) MUST_USE;

#endif
