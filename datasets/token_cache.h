/* The token cache: what dataset_read() makes of its sources, kept in a file so that the next run reads it instead of tokenizing again.
 *
 * A cache is one sealed HDF5 file, DIR/KEY.h5. The key is a hash of all that the sequences depend on: bytes of the data files, templates, tokenizer, settings.
 * So a cache is never out of date: with other inputs another is looked for. It is written into a file without a name and gets its name when it is whole.
 * Sequences are used where they lie in the mapping: a set may be larger than memory.
 */
#ifndef GRAFT_DATASETS_TOKEN_CACHE_H
#define GRAFT_DATASETS_TOKEN_CACHE_H

#include "common/files.h"
#include "datasets/dataset.h"

enum { CACHE_KEY = 65 };

/* A cache that is being written. */
struct token_cache;

/* The key of what sources would become. Errors: those of reading the data files. */
enum status token_cache_key(char key[CACHE_KEY], struct arena *arena, const struct source *source, int sources, const struct data_settings *settings,
                            const struct tokenizer *tokenizer, int32_t eos, int64_t vocab, struct error *err) MUST_USE;

/* Begins a cache at `path`; the folder is made. Errors: DISK. */
enum status token_cache_new(struct token_cache **cache, struct arena *arena, const char *path, struct error *err) MUST_USE;
/* Keeps a sequence, which may be forgotten then; they are found again by token_cache_map(), in this order. */
void token_cache_add(struct token_cache *cache, const struct sequence *sequence);
/* Writes what was kept, if it has become much. Errors: DISK. */
enum status token_cache_flush(struct token_cache *cache, bool all, struct error *err) MUST_USE;
/* The sequences of a dataset, as many as were kept, are now those in the file. Errors: DISK. */
enum status token_cache_map(struct token_cache *cache, struct dataset *dataset, struct error *err) MUST_USE;
/* Writes what else a dataset holds, seals the file and gives it its name. Errors: DISK. */
enum status token_cache_commit(struct token_cache *cache, const struct dataset *dataset, const char *key, struct error *err) MUST_USE;
/* Also after a failure. */
void token_cache_close(struct token_cache *cache);

/* Reads a cache: a dataset as dataset_read() gives it, whose sources know path, format and template only, and which dataset_close() has to close, whatever the
 * outcome. key: as it must be; NULL: any, and the file's is put into *found. Everything is checked: BAD_FILE if anything of it cannot be so. */
enum status token_cache_read(struct dataset *dataset, struct arena *arena, const char *path, const char *key, char found[CACHE_KEY], int64_t vocab,
                             struct error *err) MUST_USE;

#endif
