/* Reading a zip archive's directory; every number is checked against the map before anything is computed from it. */
#include "models/zip.h"

#include "common/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    END = 22,     /* bytes of the end record, */
    LOCATOR = 20, /* of the record that finds the zip64 end record, */
    END64 = 56,   /* of that one, */
    CENTRAL = 46, /* of an entry in the directory, */
    LOCAL = 30,   /* and of the header before its content */
};
enum { ENCRYPTED = 1, SIZES_BEHIND = 8 }; /* flags */

static const uint64_t none16 = 0xffff, none32 = 0xffffffff;

static const char damaged[] = "the file is damaged or was not written by torch.save: copy or download it again";

struct directory {
    uint64_t offset, bytes, entries;
};

static uint64_t load(const uint8_t *bytes, int width)
{
    uint64_t number = 0;
    for (int i = width - 1; i >= 0; i--)
        number = number << 8 | bytes[i];
    return number;
}

static enum status bad(const struct map *map, const char *what, struct error *err)
{
    return fail_with(err, BAD_FILE, "%s: %s", damaged, map->path, what);
}

static enum status bad_entry(const struct map *map, const char *name, const char *what, struct error *err)
{
    return fail_with(err, BAD_FILE, "%s: entry '%.200s' %s", damaged, map->path, name, what);
}

/* The zip64 end record, where there is one: torch writes it always, and numbers that do not fit the end record stand there only. */
static enum status find_directory64(const struct map *map, uint64_t *at, struct directory *directory, struct error *err)
{
    if (*at < LOCATOR || load(map->bytes + *at - LOCATOR, 4) != 0x07064b50)
        return OK;
    const uint64_t end64 = load(map->bytes + *at - LOCATOR + 8, 8);
    if (*at < LOCATOR + END64 || end64 != *at - LOCATOR - END64 || load(map->bytes + end64, 4) != 0x06064b50)
        return bad(map, "its zip64 end record is not where it should be", err);
    const uint8_t *record = map->bytes + end64;
    const struct directory wide = { .entries = load(record + 32, 8), .bytes = load(record + 40, 8), .offset = load(record + 48, 8) };
    if ((directory->entries != none16 && directory->entries != wide.entries) || (directory->bytes != none32 && directory->bytes != wide.bytes) ||
        (directory->offset != none32 && directory->offset != wide.offset))
        return bad(map, "its two end records contradict each other", err);
    *directory = wide;
    *at = end64;
    return OK;
}

static enum status find_directory(const struct map *map, struct directory *directory, struct error *err)
{
    if (map->size < END || load(map->bytes + map->size - END, 4) != 0x06054b50)
        return fail_with(err, BAD_FILE, "%s: does not end as a zip archive", "the file may be cut off: compare its size with the original", map->path);
    uint64_t at = map->size - END;
    const uint8_t *end = map->bytes + at;
    *directory = (struct directory){ .entries = load(end + 10, 2), .bytes = load(end + 12, 4), .offset = load(end + 16, 4) };
    if (load(end + 4, 2) || load(end + 6, 2) || load(end + 8, 2) != directory->entries)
        return bad(map, "an archive of several disks", err);
    TRY(find_directory64(map, &at, directory, err));
    if (directory->offset > at || directory->bytes != at - directory->offset)
        return bad(map, "its directory does not lie before its end record", err);
    if (directory->entries > directory->bytes / CENTRAL)
        return bad(map, "its directory has no room for the entries it counts", err);
    return OK;
}

/* Sizes and place that do not fit 32 bits stand in the extra field of type 1, in this order and only those. */
static bool widen_sizes(struct zip_entry *entry, uint64_t *stored, const uint8_t *extra, uint64_t bytes)
{
    while (bytes >= 4) {
        const uint64_t type = load(extra, 2), size = load(extra + 2, 2);
        if (size > bytes - 4)
            return false;
        if (type == 1) {
            uint64_t *wide[] = { &entry->bytes, stored, &entry->header };
            const uint8_t *at = extra + 4, *end = at + size;
            for (size_t i = 0; i < COUNT(wide); i++) {
                if (*wide[i] != none32)
                    continue;
                if (end - at < 8)
                    return false;
                *wide[i] = load(at, 8);
                at += 8;
            }
            return true;
        }
        extra += 4 + size;
        bytes -= 4 + size;
    }
    return entry->bytes != none32 && *stored != none32 && entry->header != none32;
}

static bool leaves_folder(const char *name)
{
    return *name == 0 || *name == '/' || strchr(name, '\\') || strcmp(name, "..") == 0 || text_starts(name, "../") || strstr(name, "/../") ||
           text_ends(name, "/..");
}

/* The header before the content says the same as the directory; torch leaves sizes to a record behind the content, and zeros there. */
static enum status check_local(const struct map *map, const struct directory *directory, const uint8_t *central, struct zip_entry *entry, struct error *err)
{
    const uint64_t name_bytes = load(central + 28, 2);
    if (entry->header > directory->offset || directory->offset - entry->header < LOCAL + name_bytes || load(map->bytes + entry->header, 4) != 0x04034b50)
        return bad_entry(map, entry->name, "has no header where the directory says", err);
    const uint8_t *local = map->bytes + entry->header;
    const uint64_t crc = load(local + 14, 4), stored = load(local + 18, 4), size = load(local + 22, 4), head = LOCAL + name_bytes + load(local + 28, 2);
    const bool later = load(local + 6, 2) & SIZES_BEHIND, wide = stored == none32 && size == none32;
    const bool same = crc == entry->crc && ((stored == entry->bytes && size == entry->bytes) || wide);
    if (load(local + 26, 2) != name_bytes || memcmp(local + LOCAL, central + CENTRAL, (size_t)name_bytes) != 0 || load(local + 8, 2) != load(central + 10, 2))
        return bad_entry(map, entry->name, "has another name or method in its own header", err);
    if (!same && !(later && crc == 0 && ((stored == 0 && size == 0) || wide)))
        return bad_entry(map, entry->name, "has another size or checksum in its own header", err);
    if (head > directory->offset - entry->header || entry->bytes > directory->offset - entry->header - head)
        return fail_with(err, BAD_FILE, "%s: entry '%.200s' of %" PRIu64 " bytes reaches into the directory", damaged, map->path, entry->name, entry->bytes);
    entry->offset = entry->header + head;
    return OK;
}

/* One entry of the directory at *at, which moves behind it. */
static enum status read_entry(struct arena *arena, const struct map *map, const struct directory *directory, uint64_t *at, struct zip_entry *entry,
                              struct error *err)
{
    const uint64_t end = directory->offset + directory->bytes;
    const uint8_t *central = map->bytes + *at;
    if (end - *at < CENTRAL || load(central, 4) != 0x02014b50)
        return bad(map, "its directory is cut or damaged", err);
    const uint64_t name_bytes = load(central + 28, 2), extra = load(central + 30, 2), comment = load(central + 32, 2);
    uint64_t stored = load(central + 20, 4);
    if (end - *at - CENTRAL < name_bytes + extra + comment)
        return bad(map, "its directory is cut or damaged", err);
    *at += CENTRAL + name_bytes + extra + comment;
    const char *name = (const char *)central + CENTRAL;
    if (memchr(name, 0, (size_t)name_bytes) || !utf8_valid(name, (size_t)name_bytes, NULL))
        return bad(map, "the name of an entry holds NUL or is no UTF-8", err);
    char *own = text_make_printable(arena_text(arena, name, (size_t)name_bytes));
    *entry = (struct zip_entry){ .name = own, .crc = (uint32_t)load(central + 16, 4), .bytes = load(central + 24, 4), .header = load(central + 42, 4) };
    if (leaves_folder(own))
        return fail_with(err, BAD_FILE, "%s: entry '%.200s' leads out of the archive", "torch.save writes no such name: do not use this file", map->path, own);
    if (load(central + 8, 2) & ENCRYPTED)
        return bad_entry(map, own, "is encrypted", err);
    if (load(central + 10, 2) != 0)
        return fail_with(err, BAD_FILE, "%s: entry '%.200s' is compressed (method %" PRIu64 ")", "torch.save stores: write the file again with it", map->path,
                         own, load(central + 10, 2));
    if (!widen_sizes(entry, &stored, central + CENTRAL + name_bytes, extra))
        return bad_entry(map, own, "has a damaged extra field", err);
    if (stored != entry->bytes)
        return bad_entry(map, own, "is stored in another size than its own", err);
    return check_local(map, directory, central, entry, err);
}

static int by_place(const void *a, const void *b)
{
    const struct zip_entry *x = a, *y = b;
    return (x->header > y->header) - (x->header < y->header);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct zip_entry *)a)->name, ((const struct zip_entry *)b)->name);
}

enum status zip_read(struct zip *zip, struct arena *arena, const struct map *map, struct error *err)
{
    struct directory directory = { 0 };
    *zip = (struct zip){ .map = map };
    TRY(find_directory(map, &directory, err));
    zip->entry = NEW_ARRAY(arena, directory.entries, struct zip_entry);
    uint64_t at = directory.offset;
    for (; (uint64_t)zip->count < directory.entries; zip->count++)
        TRY(read_entry(arena, map, &directory, &at, &zip->entry[zip->count], err));
    if (at != directory.offset + directory.bytes)
        return bad(map, "its directory holds more than the entries it counts", err);
    qsort(zip->entry, (size_t)zip->count, sizeof *zip->entry, by_place);
    for (int64_t i = 1; i < zip->count; i++)
        if (zip->entry[i].header < zip->entry[i - 1].offset + zip->entry[i - 1].bytes)
            return bad_entry(map, zip->entry[i].name, "lies in the place of another", err);
    qsort(zip->entry, (size_t)zip->count, sizeof *zip->entry, by_name);
    for (int64_t i = 1; i < zip->count; i++)
        if (strcmp(zip->entry[i - 1].name, zip->entry[i].name) == 0)
            return bad_entry(map, zip->entry[i].name, "is there twice", err);
    return OK;
}

struct zip_entry *zip_find(const struct zip *zip, const char *name)
{
    const struct zip_entry wanted = { .name = name };
    return zip->count ? bsearch(&wanted, zip->entry, (size_t)zip->count, sizeof wanted, by_name) : NULL;
}

/* CRC-32 of the polynomial 0xedb88320, eight bytes a step: each of them has passed through a different number of zero bytes behind it. */
static uint32_t checksum(const uint8_t *bytes, uint64_t count)
{
    uint32_t table[8][256], crc = ~(uint32_t)0;
    for (uint32_t i = 0; i < 256; i++) {
        table[0][i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[0][i] = table[0][i] >> 1 ^ (table[0][i] & 1 ? 0xedb88320u : 0);
    }
    for (int zeros = 1; zeros < 8; zeros++)
        for (uint32_t i = 0; i < 256; i++)
            table[zeros][i] = table[zeros - 1][i] >> 8 ^ table[0][table[zeros - 1][i] & 255];
    for (; count >= 8; count -= 8, bytes += 8) {
        const uint32_t first = crc ^ (uint32_t)load(bytes, 4);
        crc = table[7][first & 255] ^ table[6][first >> 8 & 255] ^ table[5][first >> 16 & 255] ^ table[4][first >> 24] ^ table[3][bytes[4]] ^
              table[2][bytes[5]] ^ table[1][bytes[6]] ^ table[0][bytes[7]];
    }
    for (; count > 0; count--, bytes++)
        crc = crc >> 8 ^ table[0][(crc ^ *bytes) & 255];
    return ~crc;
}

enum status zip_check(const struct zip *zip, struct zip_entry *entry, struct error *err)
{
    if (!entry->checked && checksum(zip->map->bytes + entry->offset, entry->bytes) != entry->crc)
        return bad_entry(zip->map, entry->name, "does not have the checksum that the directory says", err);
    entry->checked = true;
    return OK;
}
