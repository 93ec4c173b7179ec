/* Feeds a target its seeds, and mutations of them, where there is no libFuzzer: any compiler, always the same inputs.
 *
 *     fuzz_yaml INPUTS SEEDS
 *
 * SEEDS is a folder; a file SEEDS.dict beside it holds words worth inserting, as libFuzzer reads them ("\x00abc", one a line). A seed's name says what must
 * become of it: good_* is accepted, bad_* refused, others may be either. All inputs run in a child: one that kills it (or hangs) is made again from its number
 * and kept beside the program.
 */
#include "common/files.h"
#include "common/random.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
extern int64_t fuzz_accepted;

enum { LARGEST_SEED = 1 << 20, LONGEST_INPUT = 1 << 16, HANGS_AFTER_SECONDS = 120, SHOWN = 1 << 14 };

struct input {
    char bytes[LONGEST_INPUT];
    size_t size;
};

struct piece {
    const char *name; /* of a seed's file */
    char *bytes;
    size_t size;
};

struct corpus {
    struct piece *seed, *word;
    int64_t seeds, words;
};

/* Random numbers of one input. */
struct draw {
    uint64_t input, index;
};

static size_t below(struct draw *draw, size_t n)
{
    return n < 2 ? 0 : (size_t)random_below(0, draw->input, draw->index++, n);
}

/* The one change there is: bytes [at, at + erased) become `count` others. What would be too long is left as it is. */
static void replace(struct input *input, size_t at, size_t erased, const char *bytes, size_t count)
{
    if (input->size - erased + count > LONGEST_INPUT)
        return;
    memmove(input->bytes + at + count, input->bytes + at + erased, input->size - at - erased);
    memcpy(input->bytes + at, bytes, count);
    input->size += count - erased;
}

static void set_byte(struct input *input, const struct corpus *corpus, struct draw *draw)
{
    (void)corpus;
    if (input->size)
        input->bytes[below(draw, input->size)] = (char)(uint8_t)below(draw, 256);
}

static void flip_bit(struct input *input, const struct corpus *corpus, struct draw *draw)
{
    (void)corpus;
    if (input->size)
        input->bytes[below(draw, input->size)] ^= (char)(1 << below(draw, 7));
}

static void erase(struct input *input, const struct corpus *corpus, struct draw *draw)
{
    (void)corpus;
    const size_t at = below(draw, input->size + 1), behind = input->size - at;
    replace(input, at, below(draw, behind < 32 ? behind + 1 : 33), "", 0);
}

static void repeat(struct input *input, const struct corpus *corpus, struct draw *draw)
{
    (void)corpus;
    char copy[64];
    const size_t at = below(draw, input->size + 1), behind = input->size - at, count = below(draw, behind < sizeof copy ? behind + 1 : sizeof copy + 1);
    memcpy(copy, input->bytes + at, count);
    for (size_t times = 1 + below(draw, 8); times > 0; times--)
        replace(input, at, 0, copy, count);
}

/* Numbers that readers meet at their limits, in place of digits. */
static void set_number(struct input *input, const struct corpus *corpus, struct draw *draw)
{
    static const char *const numbers[] = { "0",     "-1", "1e999", "-0.0", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551615",
                                           "1e-320" };
    (void)corpus;
    size_t at = below(draw, input->size + 1), digits = 0;
    for (; at < input->size && (input->bytes[at] < '0' || input->bytes[at] > '9'); at++)
        continue;
    for (; at + digits < input->size && input->bytes[at + digits] >= '0' && input->bytes[at + digits] <= '9'; digits++)
        continue;
    const char *number = numbers[below(draw, COUNT(numbers))];
    if (digits)
        replace(input, at, digits, number, strlen(number));
}

/* A piece of one seed in place of a piece of the input. */
static void splice(struct input *input, const struct corpus *corpus, struct draw *draw)
{
    const struct piece *seed = &corpus->seed[below(draw, (size_t)corpus->seeds)];
    const size_t from = below(draw, seed->size), count = below(draw, seed->size - from + 1), at = below(draw, input->size + 1);
    replace(input, at, below(draw, input->size - at + 1), seed->bytes + from, count);
}

static void insert_word(struct input *input, const struct corpus *corpus, struct draw *draw)
{
    if (corpus->words == 0)
        return;
    const struct piece *word = &corpus->word[below(draw, (size_t)corpus->words)];
    replace(input, below(draw, input->size + 1), 0, word->bytes, word->size);
}

/* Input `number` of all: first the seeds as they are. */
static void make_input(struct input *input, const struct corpus *corpus, int64_t number)
{
    static void (*const change[])(struct input *, const struct corpus *,
                                  struct draw *) = { set_byte, flip_bit, erase, repeat, set_number, splice, insert_word };
    struct draw draw = { .input = (uint64_t)number };
    const bool is_seed = number < corpus->seeds;
    const struct piece *seed = &corpus->seed[is_seed ? (size_t)number : below(&draw, (size_t)corpus->seeds)];
    input->size = 0;
    replace(input, 0, 0, seed->bytes, seed->size);
    for (size_t changes = is_seed ? 0 : 1 + below(&draw, 6); changes > 0; changes--)
        change[below(&draw, COUNT(change))](input, corpus, &draw);
}

/* In memory of its own size, so that a sanitizer sees a read behind it. */
static void feed(const struct input *input)
{
    uint8_t *bytes = malloc(input->size ? input->size : 1);
    CHECK(bytes);
    memcpy(bytes, input->bytes, input->size);
    LLVMFuzzerTestOneInput(bytes, input->size);
    free(bytes);
}

/* The child's work. *at says which input it is on. */
static int feed_all(const struct corpus *corpus, int64_t inputs, int64_t *at)
{
    static struct input input;
    int wrong = 0;
    for (*at = 0; *at < corpus->seeds + inputs; ++*at) {
        const char *name = *at < corpus->seeds ? corpus->seed[*at].name : "";
        const int64_t before = fuzz_accepted;
        make_input(&input, corpus, *at);
        alarm(HANGS_AFTER_SECONDS);
        feed(&input);
        const bool accepted = fuzz_accepted > before;
        if ((strncmp(name, "good_", 5) == 0 && !accepted) || (strncmp(name, "bad_", 4) == 0 && accepted))
            wrong += fprintf(stderr, "seed %s: was %s\n", name, accepted ? "accepted" : "refused") > 0;
    }
    return wrong;
}

static int report(const struct corpus *corpus, int64_t inputs, int64_t at, FILE *said, const char *keep)
{
    static struct input input;
    static char tail[SHOWN];
    fseek(said, 0, SEEK_END);
    const long length = ftell(said);
    fseek(said, length > SHOWN ? length - SHOWN : 0, SEEK_SET);
    fwrite(tail, 1, fread(tail, 1, SHOWN, said), stdout);
    if (at == corpus->seeds + inputs) {
        printf("failed behind the last input\n");
        return 1;
    }
    make_input(&input, corpus, at);
    FILE *kept = fopen(keep, "wb");
    CHECK(kept && fwrite(input.bytes, 1, input.size, kept) == input.size && fclose(kept) == 0);
    printf("input %lld ended the reader; it is kept in %s (%zu bytes)\n", (long long)at, keep, input.size);
    return 1;
}

static int is_seed(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static enum status read_seeds(struct corpus *corpus, struct arena *arena, const char *folder, struct error *err)
{
    struct dirent **entry;
    int count = scandir(folder, &entry, is_seed, alphasort);
    if (count <= 0)
        return fail_with(err, BAD_FILE, "%s: no seeds", "give a folder of files", folder);
    corpus->seed = NEW_ARRAY(arena, count, struct piece);
    enum status status = OK;
    for (int i = 0; i < count; i++) {
        struct piece *seed = &corpus->seed[i];
        const char *path = path_join(arena, folder, entry[i]->d_name);
        seed->name = arena_text(arena, entry[i]->d_name, strlen(entry[i]->d_name));
        if (status == OK)
            status = file_read(arena, path, LONGEST_INPUT, &seed->bytes, &seed->size, err);
        free(entry[i]);
    }
    free(entry);
    corpus->seeds = count;
    return status;
}

/* One word from its opening quote on; returns what stands behind the closing one. */
static const char *read_word(struct piece *word, struct arena *arena, const char *c)
{
    word->bytes = arena_alloc(arena, strlen(c));
    for (c++; *c && *c != '"' && *c != '\n'; c++) {
        unsigned byte = (unsigned char)*c;
        if (*c == '\\' && sscanf(c, "\\x%2x", &byte) == 1)
            c += 3;
        else if (*c == '\\' && c[1])
            byte = (unsigned char)*++c;
        word->bytes[word->size++] = (char)(uint8_t)byte;
    }
    return c + (*c == '"');
}

static enum status read_words(struct corpus *corpus, struct arena *arena, const char *folder, struct error *err)
{
    const char *path = arena_print(arena, "%s.dict", folder), *c;
    char *bytes;
    size_t size, most = 0;
    if (!file_exists(path))
        return OK;
    TRY(file_read(arena, path, LARGEST_SEED, &bytes, &size, err));
    for (c = bytes; *c; c++)
        most += *c == '\n';
    corpus->word = NEW_ARRAY(arena, most + 1, struct piece);
    for (c = bytes; *c; c = strchr(c, '\n') ? strchr(c, '\n') + 1 : "") {
        const size_t before = strcspn(c, "\"#\n");
        if (c[before] == '"')
            c = read_word(&corpus->word[corpus->words++], arena, c + before);
    }
    return OK;
}

int main(int argc, char **argv)
{
    struct arena *arena = arena_create(NULL);
    struct corpus corpus = { 0 };
    struct error err = { 0 };
    const int64_t inputs = argc == 3 ? atoll(argv[1]) : -1;
    if (inputs < 0) {
        fprintf(stderr, "%s INPUTS SEEDS\n", argv[0]);
        return 2;
    }
    if (read_seeds(&corpus, arena, argv[2], &err) != OK || read_words(&corpus, arena, argv[2], &err) != OK) {
        fprintf(stderr, "%s\n", err.what);
        return 2;
    }
    int64_t *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    FILE *said = tmpfile();
    CHECK(at != MAP_FAILED && said);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(dup2(fileno(said), STDERR_FILENO) == STDERR_FILENO && freopen("/dev/null", "w", stdout));
        int wrong = feed_all(&corpus, inputs, at);
        arena_destroy(arena);
        return wrong;
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    int failed = status == 0 ? 0 : report(&corpus, inputs, *at, said, arena_print(arena, "%s_input", argv[0]));
    printf("%lld seeds, %lld mutations\n", (long long)corpus.seeds, (long long)inputs);
    fclose(said);
    arena_destroy(arena);
    return failed;
}
