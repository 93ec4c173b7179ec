/* What a run is made of. */
#include "trainer/identity.h"

#include <stdio.h>

const char *const identity_name[IDENTITY_PARTS] = {
    [GRAFT] = "graft",         [DEVICE] = "device", [DTYPE] = "dtype",         [BASE] = "base",
    [TOKENIZER] = "tokenizer", [DATA] = "data",     [EVAL_DATA] = "eval_data", [START] = "start",
};
const char *const identity_key[IDENTITY_PARTS] = {
    [GRAFT] = "graft",
    [DEVICE] = "device",
    [DTYPE] = "dtype",
    [BASE] = "base_hash",
    [TOKENIZER] = "tokenizer_hash",
    [DATA] = "data_hash",
    [EVAL_DATA] = "eval_data_hash",
    [START] = "start_hash",
};

enum status identity_make(struct identity *identity, const struct run *run, struct error *err)
{
    *identity = (struct identity){ 0 };
    char(*text)[128] = identity->text;
    snprintf(text[GRAFT], sizeof *text, "%s", GRAFT_VERSION);
    snprintf(text[DEVICE], sizeof *text, "%s", run->device->name);
    snprintf(text[DTYPE], sizeof *text, "%s", dtype_name(run->model.dtype));
    snprintf(text[TOKENIZER], sizeof *text, "%s", run->tokenizer ? tokenizer_hash(run->tokenizer) : "");
    snprintf(text[DATA], sizeof *text, "%s", run->train.hash);
    snprintf(text[EVAL_DATA], sizeof *text, "%s", run->eval.count ? run->eval.hash : "");
    if (comm_local_rank(run->comm) == 0)
        TRY(model_hash(&run->model, text[BASE], err));
    return adapter_hash(run->adapter, text[START], err);
}
