/* Shared libraries are found beside the programs of PATH. */
#include "common/library.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME "libgraft_found_by_test.so.1"

static void make_folders(const char *root, const char *below)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, below);
    for (char *at = path + strlen(root) + 1; *at; at++)
        if (*at == '/') {
            *at = '\0';
            mkdir(path, 0777);
            *at = '/';
        }
    mkdir(path, 0777);
}

/* A library under NAME in root/below: a link to one that this program has loaded, libcmocka. */
static void put_library(const char *root, const char *below)
{
    char real[512], link[512];
    Dl_info about;
    assert_int_not_equal(dladdr((const void *)(uintptr_t)_fail, &about), 0);
    assert_non_null(realpath(about.dli_fname, real));
    make_folders(root, below);
    snprintf(link, sizeof link, "%s/%s/" NAME, root, below);
    assert_int_equal(symlink(real, link), 0);
}

static void remove_tree(const char *root)
{
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    assert_int_equal(system(command), 0);
}

/* Whether it is found with root/bin on PATH. */
static void expect_found(const char *below)
{
    char root[] = "/tmp/graft-library-[1]-XXXXXX", path[600], why[256] = "";
    const char *before = strdup(getenv("PATH"));
    assert_non_null(mkdtemp(root));
    make_folders(root, "bin");
    snprintf(path, sizeof path, "/nowhere::%s/bin:%s", root, before);
    setenv("PATH", path, 1);
    assert_null(library_open(NAME, why));
    assert_non_null(strstr(why, NAME));
    put_library(root, below);
    void *library = library_open(NAME, why);
    setenv("PATH", before, 1);
    remove_tree(root);
    free((void *)(uintptr_t)before);
    assert_non_null(library);
    assert_non_null(library_function(library, "_fail"));
    assert_null(library_function(library, "no such function"));
    dlclose(library);
}

static void a_toolkits_library_is_found(void **state)
{
    (void)state;
    expect_found("lib64");
}

static void a_python_environments_library_is_found(void **state)
{
    (void)state;
    expect_found("lib/python3.14/site-packages/nvidia/cu13/lib");
}

static void what_cannot_be_opened_is_named(void **state)
{
    char root[] = "/tmp/graft-library-XXXXXX", path[600], why[256] = "";
    (void)state;
    assert_non_null(mkdtemp(root));
    make_folders(root, "lib64");
    make_folders(root, "bin");
    snprintf(path, sizeof path, "%s/lib64/" NAME, root);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("not a library", file);
    fclose(file);
    const char *before = strdup(getenv("PATH"));
    snprintf(path, sizeof path, "%s/bin", root);
    setenv("PATH", path, 1);
    assert_null(library_open(NAME, why));
    setenv("PATH", before, 1);
    remove_tree(root);
    free((void *)(uintptr_t)before);
    assert_non_null(strstr(why, "lib64/" NAME));
}

static void the_path_of_a_function_is_its_librarys(void **state)
{
    char path[512];
    (void)state;
    library_path((const void *)(uintptr_t)_fail, path, sizeof path);
    assert_non_null(strstr(path, "libcmocka"));
    library_path(NULL, path, sizeof path);
    assert_string_equal(path, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_toolkits_library_is_found),
        cmocka_unit_test(a_python_environments_library_is_found),
        cmocka_unit_test(what_cannot_be_opened_is_named),
        cmocka_unit_test(the_path_of_a_function_is_its_librarys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
