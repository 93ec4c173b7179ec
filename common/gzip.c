/* gzip through zlib: members in turn, into memory that doubles. A small file can unpack to a thousand times its size, so there is an end to that. */
#include "common/gzip.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { WITH_GZIP_HEADER = 15 + 16, FIRST_ROOM = 1 << 16 };
static const size_t most = (size_t)4 << 30;

static enum status grow(struct unpacked *unpacked, size_t *room, const char *where, struct error *err)
{
    if (*room >= most)
        return fail_with(err, BAD_FILE, "%s: more than 4 GiB when unpacked", "unpack it with gunzip, and give the file that comes out", where);
    const size_t wanted = *room ? 2 * *room : FIRST_ROOM;
    char *bytes = realloc(unpacked->bytes, wanted);
    if (!bytes)
        return fail_with(err, NO_MEMORY, "%s: no memory left to unpack it", "free memory, or unpack it with gunzip and give the file that comes out", where);
    unpacked->bytes = bytes;
    *room = wanted;
    return OK;
}

static size_t at_most(size_t size, size_t limit)
{
    return size < limit ? size : limit;
}

/* One call of zlib; *status is its answer. */
static enum status inflate_piece(z_stream *stream, struct unpacked *unpacked, size_t *room, const uint8_t *end, int *answer, const char *where,
                                 struct error *err)
{
    if (unpacked->size == *room)
        TRY(grow(unpacked, room, where, err));
    stream->avail_in = (unsigned)at_most((size_t)(end - stream->next_in), UINT_MAX);
    stream->next_out = (uint8_t *)unpacked->bytes + unpacked->size;
    stream->avail_out = (unsigned)at_most(*room - unpacked->size, UINT_MAX);
    *answer = inflate(stream, Z_NO_FLUSH);
    unpacked->size = (size_t)(stream->next_out - (uint8_t *)unpacked->bytes);
    if (*answer == Z_MEM_ERROR)
        return fail_with(err, NO_MEMORY, "%s: no memory left to unpack it", "free memory, or unpack it with gunzip and give the file that comes out", where);
    if (*answer == Z_DATA_ERROR || *answer == Z_NEED_DICT)
        return fail_with(err, BAD_FILE, "%s: damaged, %zu bytes in (%s)", "the download may be broken: test it with gzip -t, and fetch it again", where,
                         unpacked->size, stream->msg ? stream->msg : "a dictionary is wanted");
    if (*answer == Z_BUF_ERROR && stream->next_in == end && unpacked->size < *room)
        return fail_with(err, BAD_FILE, "%s: cut short: it ends inside what gzip packed, after %zu bytes unpacked",
                         "the download may be incomplete: test it with gzip -t, and fetch it again", where, unpacked->size);
    return OK;
}

static enum status inflate_all(z_stream *stream, struct unpacked *unpacked, const uint8_t *end, const char *where, struct error *err)
{
    size_t room = 0;
    while (stream->next_in < end) {
        int answer = Z_OK;
        while (answer != Z_STREAM_END)
            TRY(inflate_piece(stream, unpacked, &room, end, &answer, where, err));
        if (stream->next_in < end && (*stream->next_in != 0x1F || inflateReset(stream) != Z_OK))
            return fail_with(err, BAD_FILE, "%s: something else follows what gzip packed", "the file may be damaged: test it with gzip -t, and fetch it again",
                             where);
    }
    return OK;
}

enum status gzip_unpack(struct unpacked *unpacked, const uint8_t *bytes, size_t size, const char *where, struct error *err)
{
    z_stream stream = { .next_in = (uint8_t *)(uintptr_t)bytes };
    *unpacked = (struct unpacked){ 0 };
    if (inflateInit2(&stream, WITH_GZIP_HEADER) != Z_OK)
        return fail_with(err, NO_MEMORY, "%s: no memory left to unpack it", "free memory, or unpack it with gunzip and give the file that comes out", where);
    enum status status = inflate_all(&stream, unpacked, bytes + size, where, err);
    inflateEnd(&stream);
    return status;
}

void gzip_release(struct unpacked *unpacked)
{
    free(unpacked->bytes);
    *unpacked = (struct unpacked){ 0 };
}
