/* A frozen language model: its configuration, its tensors and the walk through it.
 *
 * Glossary, used everywhere: rows (tokens of a batch laid end to end), width (hidden size), vocab (rows of the embedding), heads, kv_heads, head_size, layers,
 * mlp_width, rank (of a LoRA), P (virtual tokens).
 */
#ifndef GRAFT_MODELS_MODEL_H
#define GRAFT_MODELS_MODEL_H

#include "autograd/device.h"
#include "autograd/ops.h"
#include "autograd/program.h"
#include "common/arena.h"
#include "common/json.h"
#include "common/safetensors.h"
#include "common/shared.h"
#include "models/seams.h"

struct family;

enum rope_type { ROPE_DEFAULT, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_YARN, ROPE_LLAMA3 };
enum { MAX_EOS = 8 };

enum norm_kind { RMSNORM, LAYERNORM };
enum positions { ROTARY, ALIBI, LEARNED };

/* What the forward computes: what a family is, and what its configuration then changes. All zero is Llama. */
struct shape {
    enum norm_kind norm;
    enum positions positions;
    enum rope_pairs pairs;
    bool norm_bias;       /* layernorm adds one */
    bool one_plus;        /* rmsnorm multiplies by 1 + w */
    bool head_norms;      /* queries and keys are normed, each head on its own */
    bool embed_norm;      /* the embedding is normed */
    bool embed_scaled;    /* ... or multiplied by the root of the width, which virtual rows are not */
    bool parallel;        /* attention and MLP of a block read the same h */
    bool one_norm;        /* ... and the same norm of it */
    bool normed_residual; /* attention and MLP are added to what their norms make of h */
    bool depth_scaled;    /* scores of layer i are divided by i + 1 */
    bool plain_mlp;       /* down(act(up)), no gate */
    bool fused_mlp;       /* gate and up are one layer, the gate first */
    bool coarse;          /* ALiBi scaled and rounded as Falcon does */
    bool keys_spread;     /* transformers copies keys and values for every query head before it remembers them, so that PEFT's prefixes have rows for each */
    bool every_second;    /* ALiBi's slopes as in MPT where heads are no power of two */
    /* Queries, keys and values of one fused layer: its outputs lie in so many equal blocks, each of some queries, then keys, then values (or values, then
     * keys). 1: all queries first; kv_heads: by key head. 0: three layers. */
    int64_t qkv_blocks;
    bool values_first;
    bool qkv_bias, attention_out_bias, mlp_bias, head_bias;
};

struct model_config {
    const char *folder, *model_type;
    const struct family *family;
    struct shape shape;
    const char *norm[2]; /* names of a block's norms, as in struct family */
    int64_t vocab, width, layers, heads, kv_heads, head_size, mlp_width, max_positions;
    int64_t rotary_size;    /* rotated dimensions of a head, 0: none */
    int64_t first_position; /* the number of a text's first position, where positions are learned: so many rows of the table stand before it */
    double norm_eps;
    double attention_scale; /* of q.k */
    double clip_qkv;        /* q, k and v stay within its bounds; 0: no bounds */
    double alibi_max;       /* slopes end at 2^-alibi_max */
    enum activation activation;
    const char *dropout; /* the key by which transformers would drop something of the base model in training, or NULL; graft never does */
    bool tied;
    int window;          /* sliding window in keys, 0: none */
    const bool *sliding; /* [layers]: which layers have it; NULL: those from full_layers on */
    int64_t full_layers;
    struct {
        enum rope_type type;
        double theta, factor, low_frequency_factor, high_frequency_factor, beta_fast, beta_slow, attention_factor; /* attention_factor 0: not given */
        double mscale, mscale_all_dim;                                                                             /* yarn, 0: not given */
        bool truncate; /* yarn: correction range rounded to whole dimensions */
        int64_t original_positions;
    } rope;
    const char *dtype;              /* torch_dtype / dtype of the file, "float32" if absent */
    int padding;                    /* the id whose row of the embedding lookups never train, NO_PADDING: none */
    int32_t bos, pad, eos[MAX_EOS]; /* -1 where absent; eos also from generation_config.json */
    int eos_count;
};

/* Reads config.json (and generation_config.json). Fails closed: BAD_MODEL names the key and value that graft cannot compute faithfully; a value of the wrong
 * type or outside its range is BAD_FILE. Keys that nobody knows are named in one warning. */
enum status model_config_read(struct model_config *config, struct arena *arena, const char *folder, struct error *err) MUST_USE;
/* The sliding window of one layer in keys, 0: none. */
int model_window(const struct model_config *config, int64_t layer);
/* Number of values of the base model, from the configuration alone (tied head counted once). */
int64_t model_config_size(const struct model_config *config);

struct layer {
    struct tensor *norm[2], *norm_bias[2]; /* [1, width] or NULL */
    struct tensor *head_norm[2];           /* [1, head_size] of queries and of keys, or NULL */
    struct tensor *w[HEAD], *bias[HEAD];   /* [out, in], [1, out], NULL where the family has none; indexed by enum projection */
    struct site site[HEAD];
};

struct model {
    struct arena *arena; /* of its tensors' descriptions */
    struct model_config config;
    enum dtype dtype;                                                          /* of computation: activations and large weights */
    struct tensor *embed, *final_norm, *head;                                  /* head == embed when tied */
    struct tensor *final_norm_bias, *head_bias, *embed_norm, *embed_norm_bias; /* NULL where the family has none */
    struct tensor *position_table;                                             /* [first_position + max_positions, width] of learned positions */
    struct tensor *inv_freq;                                                   /* f32 [1, rotary_size / 2] */
    struct tensor *slopes;                                                     /* f32 [1, heads] of ALiBi */
    float rope_amplitude, embed_scale; /* embed_scale: of what ids look up, as the dtype of computation holds it; 1: none */
    struct dynamic_rope dynamic_rope;
    struct layer *layer;
    struct site head_site;
    struct site **site; /* every linear layer, the head last: points into the model, so a struct model is not to be copied */
    int sites;
    struct tensor **tensor; /* every weight, .name as in the live Hugging Face model ("model.layers.0.mlp.up_proj.weight") */
    int tensors;
    struct safetensors_set files;
    bool foreseen;                        /* the files are not there */
    struct source *source;                /* of each tensor: where it lies in the files */
    size_t mapped_bytes, converted_bytes; /* used in place, and copied because of dtype or alignment */
    struct device *device;
    void *converted;      /* device memory of converted_bytes */
    struct shared shared; /* the same where it is not this process's alone */
};

/* What computation dtype a setting means here: "auto" is float32 on CPUs (see README), "float32", "bfloat16" (BAD_CONFIG where the CPU has none in hardware is
 * NOT an error: it is emulated by widening, slower). "float16" is BAD_CONFIG on a CPU. */
enum status model_dtype(const char *setting, const struct model_config *config, const struct device *device, enum dtype *dtype, struct error *err) MUST_USE;

/* The weights of a model's folder: model.safetensors or its shards, else pytorch_model.bin or its shards. To be closed with safetensors_set_close(). */
enum status model_files_open(struct safetensors_set *set, struct arena *arena, const char *folder, struct error *err) MUST_USE;
bool model_files_exist(struct arena *arena, const char *folder);

/* What the files of a described model would be, had its folder any: their table, without memory behind it. Errors: BAD_MODEL for a dtype of config.json that
 * no file of a model has, NO_MEMORY. */
enum status model_files_foresee(struct safetensors_set *set, struct arena *arena, const struct model *model, struct error *err) MUST_USE;

/* Tensors with shapes and names but without data: enough to record and plan. */
enum status model_describe(struct model *model, struct arena *arena, const struct model_config *config, enum dtype dtype, struct error *err) MUST_USE;
/* model_describe() plus where every tensor lies in the folder's files, and mapped_bytes and converted_bytes; reads headers only. A matrix that a file
 * keeps in a narrower dtype than computation keeps it in memory. Missing, unexpected and misshapen tensors are BAD_MODEL, by name. A stored lm_head of a tied
 * model must equal the embedding. On failure there is nothing to release. */
enum status model_locate(struct model *model, struct arena *arena, const struct model_config *config, enum dtype dtype, struct error *err) MUST_USE;
/* The same for a folder that may lack its weights: then they are foreseen, and model_fill() is not to be called. */
enum status model_foresee(struct model *model, struct arena *arena, const struct model_config *config, enum dtype dtype, struct error *err) MUST_USE;
/* Gives a located model its data: maps what is used in place, converts the rest. */
enum status model_fill(struct model *model, struct arena *arena, struct device *device, struct error *err) MUST_USE;
/* The same with converted_bytes of the host that processes share: `fill` by the first, the others find it filled; from then on the model has it, all but its
 * file. */
void model_fill_shared(struct model *model, struct arena *arena, struct device *device, const struct shared *memory, bool fill);
/* model_locate() and model_fill(). */
enum status model_load(struct model *model, struct arena *arena, const struct model_config *config, enum dtype dtype, struct device *device,
                       struct error *err) MUST_USE;
void model_release(struct model *model); /* safe on a zeroed struct */
/* Whether files hold this weight as [in, out], where it is [out, in] in memory (Conv1D of GPT-2). */
bool model_is_transposed(const struct model *model, const struct tensor *t);
/* A stored head, tied or not, under either of its names; NULL if there is none. */
const struct safetensor *model_stored_head(const struct model *model);
/* Where tensor[i] of a located model lies in the files. */
const struct safetensor *model_stored(const struct model *model, int i);
/* A frozen tensor that is not read again soon leaves memory, if it is used where it lies in the mapping. */
void model_forget(const struct model *model, const struct tensor *t);
/* Bytes of the mapping that a program of this model brings into memory. used [vocab]: the ids that will be looked up; NULL: any. */
size_t model_touched_bytes(const struct model *model, const struct program *program, const bool *used);
/* SHA-256 over names, dtypes, shapes and bytes of all weights as stored. */
enum status model_hash(const struct model *model, char hex[65], struct error *err) MUST_USE;

/* Keys and values of the past, per layer [slots, kv_heads * head_size]. A sequence owns a range of slots, in order of its positions. */
struct kv_cache {
    struct tensor **k, **v;
    int64_t slots, layers;
    size_t bytes;
    struct device *device;
    void *memory;
};
/* Shapes and bytes alone; memory comes with kv_cache_fill(). Errors: NO_MEMORY if no machine could hold it. */
enum status kv_cache_describe(struct kv_cache *cache, struct arena *arena, const struct model *model, int64_t slots, struct error *err) MUST_USE;
enum status kv_cache_fill(struct kv_cache *cache, struct device *device, struct error *err) MUST_USE;
/* Both. */
enum status kv_cache_create(struct kv_cache *cache, struct arena *arena, const struct model *model, int64_t slots, struct device *device,
                            struct error *err) MUST_USE;
void kv_cache_destroy(struct kv_cache *cache);

/* One walk through the model: what it reads, and what adapters need to know while it is recorded. */
struct pass {
    struct graph *g;
    const struct model *model;
    const struct seams *const *seams;
    int adapters;               /* number of seams */
    const struct seam_set *set; /* rows choose among these; NULL: every row has `seams` */
    int sets;
    struct tensor *choice;  /* I32 [ROWS, 1]: the number of each row's set; NULL without sets */
    struct kv_cache *cache; /* NULL: keys and values are this batch's */
    /* inputs, all made by pass_new */
    struct tensor *ids, *positions; /* I32 [ROWS, 1]; positions of a text count from config.first_position */
    struct tensor *spans;           /* I32 [SEQUENCES, 4], see attention() */
    struct tensor *selected;        /* I32 [SELECTED, 1]: rows that go through the head */
    struct tensor *slots;           /* I32 [ROWS, 1], NULL without a cache */
    struct tensor *row_key, *draw;  /* for dropout; NULL unless training */
    struct tensor *angles;          /* made by decoder(): */
    struct tensor *virtual_rows;    /* of the adapter that has such, see struct seams */
    struct tensor **set_rows;       /* likewise, by set */
};
struct pass pass_new(struct graph *g, const struct model *model, const struct seams *const *seams, int adapters, struct kv_cache *cache, bool training);
/* Before decoder(): rows choose among sets of adapters, and each row gets the numbers that its set alone gives. Not for training. */
void pass_choose(struct pass *p, const struct seam_set *set, int sets);

/* THE forward of every decoder-only family: the final-normed hidden states of the selected rows, [SELECTED, width]. Each block is one recomputation segment. */
struct tensor *decoder(const struct pass *pass);
/* [SELECTED, vocab] f32 */
struct tensor *decoder_logits(struct pass *p, struct tensor *hidden);
/* labels I32 [SELECTED, 1]; weight f32 [1, 1]. Where rows choose, `loss` means nothing. */
struct head_loss decoder_loss(struct pass *p, struct tensor *hidden, struct tensor *labels, struct tensor *weight);

#endif
