/* What the file of a token cache holds (see token_cache.c): shared by writing and reading, and nobody else's. */
#ifndef GRAFT_DATASETS_TOKEN_CACHE_FILE_H
#define GRAFT_DATASETS_TOKEN_CACHE_FILE_H

#include "common/hdf5_file.h"
#include "datasets/format.h"
#include "datasets/token_cache.h"

/* Raise it when the same inputs make other sequences or findings than before, or the file is laid out differently. */
enum { CACHE_REVISION = 1 };

/* Numbers of a sequence: bytes of the file, tokens, bytes, sequence->group, and whether it has prompt and response. */
enum column { TOKENS, TOKEN_COUNT, TEXTS, TEXT_BYTES, GROUP, HAS_PROMPT, COLUMNS };
/* Numbers of a source, before those of its findings. */
enum count { RECORDS, CONVERSATIONS, FILTERED, CUT, DROPPED, KEPT, COUNTS };

/* Pointers of a sequence into a mapping; what `place` says must be known to lie in it. */
void sequence_place(struct sequence *sequence, const struct map *map, const int64_t place[COLUMNS]);

#endif
