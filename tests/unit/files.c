/* Files: what is refused, what is left behind, and that nothing half-written ever has the target's name. */
#include "common/files.h"
#include "common/log.h"
#include "common/text.h"
#include "tests/unit/scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void mapping_refuses_what_is_no_file(void **state)
{
    struct scratch *s = *state;
    struct map map;
    char longest[2000];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_failed(s, map_open(&map, scratch_path(s, "none"), &s->err), BAD_FILE, "none: No such file");
    assert_failed(s, map_open(&map, s->folder, &s->err), BAD_FILE, "is a folder");
    assert_failed(s, map_open(&map, longest, &s->err), BAD_FILE, "a path of 1999 bytes");
    assert_failed(s, map_open(&map, "/dev/null", &s->err), BAD_FILE, "not a regular file");
    const char *pipe_path = scratch_path(s, "pipe");
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_failed(s, map_open(&map, pipe_path, &s->err), BAD_FILE, "not a regular file"); /* and does not wait */
    map_close(&map);
    map_close(&map);
}

static void files_are_mapped_and_read_whole(void **state)
{
    struct scratch *s = *state;
    struct map map;
    char *bytes;
    size_t size;
    const char *path = scratch_write(s, "some", "abc\0def", 7);
    assert_fine(s, map_open(&map, path, &s->err));
    assert_int_equal(map.size, 7);
    assert_memory_equal(map.bytes, "abc\0def", 7);
    assert_string_equal(map.path, path);
    map_close(&map);
    assert_fine(s, file_read(s->arena, path, 7, &bytes, &size, &s->err));
    assert_int_equal(size, 7);
    assert_memory_equal(bytes, "abc\0def", 8);
    assert_failed(s, file_read(s->arena, path, 6, &bytes, &size, &s->err), BAD_FILE, "larger than the 6 bytes");
    assert_failed(s, file_read(s->arena, s->folder, 6, &bytes, &size, &s->err), BAD_FILE, "is a folder");
    assert_failed(s, file_read(s->arena, "/dev/zero", 100000, &bytes, &size, &s->err), BAD_FILE, "larger than");

    path = scratch_write(s, "empty", "", 0);
    assert_fine(s, map_open(&map, path, &s->err));
    assert_null(map.bytes);
    map_close(&map);
    assert_fine(s, file_read(s->arena, path, 0, &bytes, &size, &s->err));
    assert_int_equal(size, 0);
    assert_string_equal(bytes, "");
}

static void existence_tells_files_from_folders(void **state)
{
    struct scratch *s = *state;
    const char *path = scratch_write(s, "file", "x", 1);
    assert_true(file_exists(path) && !folder_exists(path));
    assert_true(folder_exists(s->folder) && !file_exists(s->folder));
    assert_false(file_exists(scratch_path(s, "none")) || folder_exists(scratch_path(s, "none")));
}

static void folders_are_made_with_their_parents(void **state)
{
    struct scratch *s = *state;
    assert_fine(s, folder_make(scratch_path(s, "a/b//c/"), &s->err));
    assert_true(folder_exists(scratch_path(s, "a/b/c")));
    assert_fine(s, folder_make(scratch_path(s, "a/b/c"), &s->err));
    scratch_write(s, "file", "x", 1);
    assert_failed(s, folder_make(scratch_path(s, "file"), &s->err), DISK, "is a file where a folder is needed");
    assert_failed(s, folder_make(scratch_path(s, "file/below"), &s->err), DISK, "file");
    assert_failed(s, folder_make("/proc/none/here", &s->err), DISK, "cannot make the folder");
    assert_failed(s, folder_make("", &s->err), DISK, "0 bytes");
}

static void paths_are_joined_and_split(void **state)
{
    struct scratch *s = *state;
    static const struct {
        const char *folder, *name, *joined;
    } joins[] = { { "a", "b", "a/b" }, { "a/", "b", "a/b" }, { "", "b", "b" }, { "a", "/b", "/b" }, { "/", "b", "/b" } };
    static const struct {
        const char *path, *folder;
    } splits[] = { { "a", "." },  { "a/b", "a" },  { "/a", "/" },   { "/", "/" },         { "", "." },
                   { "a/", "." }, { "a/b/", "a" }, { "a//b", "a" }, { "/a/b/c", "/a/b" }, { "./x", "." } };
    for (size_t i = 0; i < COUNT(joins); i++)
        assert_string_equal(path_join(s->arena, joins[i].folder, joins[i].name), joins[i].joined);
    for (size_t i = 0; i < COUNT(splits); i++)
        assert_string_equal(path_folder(s->arena, splits[i].path), splits[i].folder);
}

/* FIPS 180-4 examples. */
static void hashes_are_sha256(void **state)
{
    struct scratch *s = *state;
    static const struct {
        const char *bytes, *hex;
    } cases[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char hex[65];
        hash_bytes(cases[i].bytes, strlen(cases[i].bytes), hex);
        assert_string_equal(hex, cases[i].hex);
        assert_fine(s, hash_file(scratch_write(s, "hashed", cases[i].bytes, strlen(cases[i].bytes)), hex, &s->err));
        assert_string_equal(hex, cases[i].hex);
    }
    char hex[65];
    assert_failed(s, hash_file(scratch_path(s, "none"), hex, &s->err), BAD_FILE, "none");
}

static void assert_content(struct scratch *s, const char *path, const char *expected, size_t length)
{
    char *bytes;
    size_t size;
    assert_fine(s, file_read(s->arena, path, 1 << 30, &bytes, &size, &s->err));
    assert_int_equal(size, length);
    assert_memory_equal(bytes, expected, length);
}

static void committed_files_are_whole_and_alone(void **state)
{
    struct scratch *s = *state;
    struct output out;
    struct text expected = text_new(s->arena);
    const char *path = scratch_path(s, "out");
    mode_t before = umask(027);
    assert_fine(s, output_open(&out, s->arena, path, false, &s->err));
    umask(before);
    for (int i = 0; i < 30000; i++) {
        output_print(&out, "%d\n", i);
        text_print(&expected, "%d\n", i);
        assert_false(file_exists(path));
    }
    char *large = arena_alloc(s->arena, 200001);
    memset(large, 'x', 200000);
    output_print(&out, "%s", large);
    output_write(&out, large, 200000);
    output_string(&out, "end");
    output_write(&out, NULL, 0);
    text_print(&expected, "%s%send", large, large);
    assert_fine(s, output_commit(&out));
    output_discard(&out);
    assert_content(s, path, expected.bytes, expected.length);
    assert_int_equal(scratch_entries(s), 1);
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0640);
}

static void discarded_files_leave_nothing(void **state)
{
    struct scratch *s = *state;
    struct output out = { 0 };
    output_discard(&out);
    assert_fine(s, output_open(&out, s->arena, scratch_path(s, "out"), false, &s->err));
    output_string(&out, "text");
    assert_fine(s, output_flush(&out));
    assert_int_equal(scratch_entries(s), out.is_nameless ? 0 : 1);
    output_discard(&out);
    output_discard(&out);
    assert_int_equal(scratch_entries(s), 0);
}

static void nothing_is_overwritten_unasked(void **state)
{
    struct scratch *s = *state;
    struct output out;
    const char *path = scratch_write(s, "out", "old", 3);
    assert_failed(s, output_open(&out, s->arena, path, false, &s->err), EXISTS, "out: already exists");
    output_discard(&out);
    assert_failed(s, output_open(&out, s->arena, s->folder, true, &s->err), EXISTS, "is a folder");

    const char *late = scratch_path(s, "late"); /* somebody makes the file while we write ours */
    assert_fine(s, output_open(&out, s->arena, late, false, &s->err));
    output_string(&out, "ours");
    scratch_write(s, "late", "theirs", 6);
    assert_failed(s, output_commit(&out), EXISTS, "late: was made by someone else");
    output_discard(&out);
    assert_content(s, late, "theirs", 6);
    assert_int_equal(scratch_entries(s), 2);
}

static void overwriting_replaces_the_file_behind_a_link(void **state)
{
    struct scratch *s = *state;
    struct output out;
    const char *path = scratch_write(s, "real", "old", 3), *name = scratch_path(s, "link");
    assert_int_equal(symlink("real", name), 0);
    assert_fine(s, output_open(&out, s->arena, name, true, &s->err));
    output_string(&out, "new text");
    assert_content(s, path, "old", 3);
    assert_fine(s, output_commit(&out));
    assert_content(s, path, "new text", 8);
    struct stat about;
    assert_int_equal(lstat(name, &about), 0);
    assert_true(S_ISLNK(about.st_mode));
    assert_int_equal(scratch_entries(s), 2);
}

static void a_full_disk_is_reported_and_leaves_nothing(void **state)
{
    struct scratch *s = *state;
    struct output out;
    assert_fine(s, output_open(&out, s->arena, "/dev/full", false, &s->err));
    output_string(&out, "text");
    assert_failed(s, output_commit(&out), DISK, "/dev/full: writing failed: No space left");
    output_discard(&out);

    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){ .rlim_cur = 100000, .rlim_max = old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    assert_fine(s, output_open(&out, s->arena, scratch_path(s, "out"), false, &s->err));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    char *large = arena_alloc(s->arena, 300000);
    output_write(&out, large, 300000);
    output_write(&out, large, 300000);
    output_string(&out, "more");
    enum status status = output_commit(&out);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_failed(s, status, DISK, "out: writing failed: File too large");
    assert_int_equal(scratch_entries(s), 0);
    assert_failed(s, output_open(&out, s->arena, scratch_path(s, "none/out"), false, &s->err), DISK, "none/out");
    output_discard(&out);
}

static void a_reader_that_went_away_is_reported(void **state)
{
    struct scratch *s = *state;
    struct output out;
    int ends[2], kept = dup(STDOUT_FILENO);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    enum status opened = output_open(&out, s->arena, NULL, false, &s->err);
    output_string(&out, "text");
    enum status status = output_commit(&out);
    struct error gone = s->err;
    s->err = (struct error){ 0 };
    close(STDOUT_FILENO);
    enum status again = output_open(&out, s->arena, "-", false, &s->err);
    output_string(&out, "text");
    enum status closed = output_commit(&out);
    int file = file_open("/dev/null", O_RDONLY); /* must not become stdout */
    dup2(kept, STDOUT_FILENO);
    close(kept);
    close(ends[1]);
    assert_int_equal(opened, OK);
    assert_int_equal(again, OK);
    assert_int_equal(status, DISK);
    assert_holds(gone.what, "standard output: writing failed: Broken pipe");
    assert_failed(s, closed, DISK, "standard output: writing failed: Bad file descriptor");
    assert_true(file > STDERR_FILENO);
    close(file);
}

static void devices_and_pipes_are_written_not_replaced(void **state)
{
    struct scratch *s = *state;
    struct output out;
    assert_fine(s, output_open(&out, s->arena, "/dev/null", true, &s->err));
    output_string(&out, "text");
    assert_fine(s, output_commit(&out));
    struct stat about;
    assert_int_equal(stat("/dev/null", &about), 0);
    assert_true(S_ISCHR(about.st_mode));
}

static void lines_are_appended(void **state)
{
    struct scratch *s = *state;
    const char *path = scratch_path(s, "log");
    assert_fine(s, file_append(path, "one\n", 4, &s->err));
    assert_fine(s, file_append(path, "two\n", 4, &s->err));
    assert_content(s, path, "one\ntwo\n", 8);
    assert_failed(s, file_append("/dev/full", "x", 1, &s->err), DISK, "No space left");
    assert_failed(s, file_append(s->folder, "x", 1, &s->err), DISK, s->folder);
}

static void messages_cannot_command_the_terminal(void **state)
{
    struct scratch *s = *state;
    const char *path = scratch_path(s, "stderr");
    int kept = dup(STDERR_FILENO), file = open(path, O_WRONLY | O_CREAT, 0600);
    dup2(file, STDERR_FILENO);
    warn("name '%s' of %d", "\x1B[31mred\n", 7);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(file);
    assert_content(s, path, "graft: warning: name '?[31mred?' of 7\n", 38);
    struct map map;
    assert_failed(s, map_open(&map, "\x1B[31mred", &s->err), BAD_FILE, "?[31mred: No such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(mapping_refuses_what_is_no_file),
        SCRATCH_TEST(files_are_mapped_and_read_whole),
        SCRATCH_TEST(existence_tells_files_from_folders),
        SCRATCH_TEST(folders_are_made_with_their_parents),
        SCRATCH_TEST(paths_are_joined_and_split),
        SCRATCH_TEST(hashes_are_sha256),
        SCRATCH_TEST(committed_files_are_whole_and_alone),
        SCRATCH_TEST(discarded_files_leave_nothing),
        SCRATCH_TEST(nothing_is_overwritten_unasked),
        SCRATCH_TEST(overwriting_replaces_the_file_behind_a_link),
        SCRATCH_TEST(a_full_disk_is_reported_and_leaves_nothing),
        SCRATCH_TEST(a_reader_that_went_away_is_reported),
        SCRATCH_TEST(devices_and_pipes_are_written_not_replaced),
        SCRATCH_TEST(lines_are_appended),
        SCRATCH_TEST(messages_cannot_command_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
