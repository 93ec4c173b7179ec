/* A zip archive of stored entries, as torch.save writes it: the table of what is where in the mapped file.
 *
 * The central directory comes from outside and is held against the local headers: names, sizes, places inside the file, no two entries in one place. The
 * archive must end with its end record, so that no two readers can find different directories in it.
 * Source of the format: PKWARE APPNOTE.TXT 6.3.9, sections 4.3 and 4.5.3 (zip64).
 */
#ifndef GRAFT_MODELS_ZIP_H
#define GRAFT_MODELS_ZIP_H

#include "common/arena.h"
#include "common/files.h"

struct zip_entry {
    const char *name;
    uint64_t header, offset, bytes; /* of the local header and of the content, from the start of the file */
    uint32_t crc;
    bool checked; /* the content has that checksum */
};

struct zip {
    const struct map *map;
    struct zip_entry *entry; /* sorted by name */
    int64_t count;
};

/* Errors: BAD_FILE naming what is wrong: cut, compressed or encrypted entries, names that leave a folder, overlaps, names given twice. */
enum status zip_read(struct zip *zip, struct arena *arena, const struct map *map, struct error *err) MUST_USE;
/* The entry of that name, NULL if absent. */
struct zip_entry *zip_find(const struct zip *zip, const char *name);
/* The content has the checksum that the directory says. */
enum status zip_check(const struct zip *zip, struct zip_entry *entry, struct error *err) MUST_USE;

#endif
