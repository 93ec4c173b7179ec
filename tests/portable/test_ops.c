/* The ops' tests as one program, for machines that nothing is built on: test_ops NAME runs one, without a name it lists them. */
#include <stdio.h>
#include <string.h>

#define each(name) int test_##name(void);
OP_TESTS
#undef each

static const struct {
    const char *name;
    int (*run)(void);
} tests[] = {
#define each(name) { #name, test_##name },
    OP_TESTS
#undef each
};

int main(int count, char **arguments)
{
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (count == 1)
            puts(tests[i].name);
        else if (strcmp(arguments[1], tests[i].name) == 0)
            return tests[i].run();
    if (count == 1)
        return 0;
    fprintf(stderr, "test_ops: no test is called '%s'\n", arguments[1]);
    return 2;
}
