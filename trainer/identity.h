/* What a run is made of, in a few short texts: two runs of equal identity and equal configuration take the same steps to the bit. */
#ifndef GRAFT_TRAINER_IDENTITY_H
#define GRAFT_TRAINER_IDENTITY_H

#include "trainer/run.h"

enum identity_part { GRAFT, DEVICE, DTYPE, BASE, TOKENIZER, DATA, EVAL_DATA, START, IDENTITY_PARTS };

struct identity {
    char text[IDENTITY_PARTS][128]; /* 64 hex digits of SHA-256, or a name; "": there is none */
};

extern const char *const identity_name[IDENTITY_PARTS]; /* "graft", "device", "base", ... */
extern const char *const identity_key[IDENTITY_PARTS];  /* in manifest.json: "base_hash" where it is one */

/* Of an opened run whose parameters are still what they start from. Reads every weight once; of ranks on one host, which read the same files, the first alone
 * does, and BASE is "" elsewhere. Errors: those of the hashes. */
enum status identity_make(struct identity *identity, const struct run *run, struct error *err) MUST_USE;

#endif
