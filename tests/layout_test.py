#!/usr/bin/env python3
"""Checks the shape of the house: what no compiler checks and every reader relies on.

Each rule is one function that yields violations (file, line, message); RULES lists them. Sources are read with comments
and strings blanked out, so a word in prose is not code. Only the standard library is used.

    layout_test.py ROOT [BUILD]     check the tree; with a build folder also the objects (writable globals, through nm)
    layout_test.py --self-test      prove on small made-up trees that every rule can fail, and that a clean tree passes

Prints every violation as file:line: message and exits with 1 if there is any.
"""
import os
import re
import subprocess
import sys
import tempfile

FLOORS = {"common": 1, "autograd": 2, "models": 3, "tokenizer": 3, "adapters": 4, "datasets": 4, "inference": 5, "trainer": 6, "cli": 7}
SOURCE_ENDINGS = (".c", ".h", ".cu", ".cuh")
MAX_FILE_LINES, MAX_FUNCTION_LINES = 450, 70

# Foreign header (a prefix ending in "/" covers a folder) -> the file, or the folder, that may include it. PCRE2 has two: the wrapper for
# patterns on names, which adapters need below the tokenizer, and the splitter of text; utf8proc has two: Unicode forms, and case.
FOREIGN = {
    "yaml.h": "common/yaml.c",
    "malloc.h": ("autograd/cpu/device_cpu.c", "tests/faults/"),
    "openssl/": "common/files.c",
    "hdf5.h": "common/hdf5_file.c",
    "hdf5_hl.h": "common/hdf5_file.c",
    "dnnl.h": "autograd/cpu/gemm.c",
    "oneapi/": "autograd/cpu/gemm.c",
    "cublasLt.h": "autograd/cuda/gemm.cu",
    "cudnn.h": "autograd/cuda/attention_cudnn.c",
    "cuda_runtime.h": ("autograd/", "tests/cuda_on_host/"),
    "sanitizer/": "tests/cuda_on_host/fibers.cpp",
    "omp.h": "autograd/",
    "pcre2.h": ("common/pattern.c", "tokenizer/pretokenize.c"),
    "utf8proc.h": ("tokenizer/normalize.c", "tokenizer/jinja_unicode.c"),
    "zlib.h": "common/gzip.c",
    "mpi.h": "trainer/comm_mpi.c",
    "nccl.h": "trainer/comm_nccl.c",
    "microhttpd.h": "inference/server.c",
    "jansson.h": "",
}
PLATFORM = set("""
    assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic stdbool stddef stdint
    stdio stdlib stdnoreturn string strings tgmath threads time uchar wchar wctype
    dirent dlfcn fcntl fnmatch ftw glob libgen netdb poll pthread sched semaphore spawn termios unistd immintrin x86intrin arm_neon
""".split())
PLATFORM_FOLDERS = ("sys/", "netinet/", "arpa/", "net/", "linux/")

# Rows that must be named by a test: how a row is written, the folder it is in, and where its word stands.
ROWS = (
    ("model family", "models/families", re.compile(r"^const struct family family_(\w+)", re.M)),
    ("adapter", "adapters", re.compile(r"^const struct adapter_kind (?:adapter_)?(\w+)", re.M)),
    ("dataset format", "datasets", re.compile(r"^const struct dataset_format (?:dataset_|format_)?(\w+)", re.M)),
)
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:" + "|".join(("wo" + "rk", "ro" + "ot", "ho" + "me")) + r")/")
MADE_BY_NVCC = re.compile(r"__cudaFatCubinHandle|__device_stub__|^DW\.ref\.")  # how a program meets its kernels: the toolkit's own variables
LEAVING = re.compile(r"(?<![\w.>])(exit|abort|_exit|_Exit|quick_exit)\s*\(")


def blank(text):
    """The text with comments, strings and characters replaced by spaces; lines and columns stay."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return token.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def blank_directives(text):
    """Blanked text without preprocessor lines (macros may hold unbalanced braces)."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.M)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Tree:
    """The files of the project: those that git knows or would add; without git, all but hidden and build folders."""

    def __init__(self, root, build=None):
        self.root, self.build = root, build
        listing = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True)
        if listing.returncode == 0 and os.path.exists(os.path.join(root, ".git")):
            names = [n for n in listing.stdout.decode().split("\0") if n]
        else:
            names = []
            for folder, below, files in os.walk(root):
                below[:] = [d for d in below if not d.startswith((".", "build", "runs"))]
                names += [os.path.relpath(os.path.join(folder, f), root) for f in files]
        self.text = {}
        for name in sorted(set(names)):
            try:
                with open(os.path.join(root, name), encoding="utf-8") as file:
                    self.text[name] = file.read()
            except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
                pass  # binary, or deleted and not yet committed
        self.product = [n for n in self.text if n.endswith(SOURCE_ENDINGS) and n.split("/")[0] in FLOORS]
        self.code = {n: blank(self.text[n]) for n in self.product}


def includes(tree):
    """(file, line, "<" or the quote, header) of every include of product code."""
    for name in tree.product:
        for found in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', tree.text[name], re.M):
            yield name, line_of(tree.text[name], found.start()), found.group(1), found.group(2)


def floors_hold(tree):
    for name, line, quote, header in includes(tree):
        here, there = name.split("/")[0], header.split("/")[0]
        if quote != '"' or "/" not in header:
            continue
        if ".." in header.split("/") or there not in FLOORS:
            yield name, line, f"includes '{header}': a path from the root, through a floor, is wanted"
        elif there != here and FLOORS[there] >= FLOORS[here]:
            yield name, line, f"{here} (floor {FLOORS[here]}) includes '{header}' of floor {FLOORS[there]}: includes point down"


def foreign_headers_stay_in_one_file(tree):
    for name, line, quote, header in includes(tree):
        row = next((h for h in FOREIGN if header == h or (h.endswith("/") and header.startswith(h))), None)
        if row is not None:
            places = FOREIGN[row] if isinstance(FOREIGN[row], tuple) else (FOREIGN[row],)
            if not any(name == place or (place.endswith("/") and name.startswith(place)) or place == "" for place in places):
                yield name, line, f"includes <{header}>, which belongs to {' and '.join(places)} only"
        elif quote == "<" and header.removesuffix(".h") not in PLATFORM and not header.startswith(PLATFORM_FOLDERS):
            yield name, line, f"includes <{header}>, a library that has no row in FOREIGN"


def functions(code):
    """(name, first line, last line) of every function definition."""
    code, depth, start, opened = blank_directives(code), 0, 0, None
    for found in re.finditer(r"[{};]", code):
        mark, at = found.group(), found.start()
        if mark == "{":
            if depth == 0 and code[:at].rstrip().endswith(")") and "=" not in code[start:at]:
                head = code[start:at]
                named = re.search(r"(\w+)\s*\(", head)
                opened = (named.group(1) if named else "?", line_of(code, start + len(head) - len(head.lstrip())))
            depth += 1
        elif mark == "}":
            depth -= 1
            if depth == 0:
                if opened:
                    yield (*opened, line_of(code, at))
                opened, start = None, at + 1
        elif depth == 0:
            start = at + 1


def files_and_functions_are_short(tree):
    for name in tree.product:
        lines = tree.text[name].count("\n")
        if lines > MAX_FILE_LINES:
            yield name, lines, f"{lines} lines; {MAX_FILE_LINES} are allowed"
        for function, first, last in functions(tree.code[name]):
            if last - first + 1 > MAX_FUNCTION_LINES:
                yield name, first, f"{function}() has {last - first + 1} lines; {MAX_FUNCTION_LINES} are allowed"


def test_words(tree):
    kept = (n for n in tree.text if n.startswith("tests/") and n.endswith((".c", ".h", ".py", ".sh")) and n != "tests/layout_test.py")
    return {w for n in kept for w in re.findall(r"[a-z0-9_]+", tree.text[n].lower())}


def every_row_has_a_test(tree):
    for name in tree.product:
        if name.startswith("autograd/ops/") and name.endswith(".c"):
            rows = re.findall(r"^const struct op op_(\w+)", tree.code[name], re.M)
            test = "tests/ops/" + os.path.basename(name)
            if rows and test not in tree.text:
                yield name, 1, f"op {', '.join(rows)} has no {test}"
            for row in rows:
                if test in tree.text and not re.search(rf"\b(op_)?{row}\b", tree.text[test]):
                    yield test, 1, f"does not test the op {row} of {name}"
    words = test_words(tree)
    for what, folder, pattern in ROWS:
        inside = [n for n in tree.product if n.startswith(folder + "/")]
        rows = [(n, m) for n in inside for m in pattern.finditer(tree.code[n])]
        if any(n.endswith(".c") for n in inside) and not rows:
            yield inside[0], 1, f"no row found below {folder}: ROWS in layout_test.py no longer fits how a {what} is written"
        for name, row in rows:
            if row.group(1).lower() not in words:
                yield name, line_of(tree.code[name], row.start()), f"{what} '{row.group(1)}' is named by no test"


def every_kernel_has_a_twin(tree):
    for name in tree.product:
        if name.startswith("autograd/ops/") and name.endswith(".c"):
            for found in re.finditer(r"^\s*\.(forward|backward) = \{([^{}]*)\}", tree.code[name], re.M):
                if "[CUDA] = ON_CUDA(" not in found.group(2):
                    yield name, line_of(tree.code[name], found.start(1)), f".{found.group(1)} has no kernel for GPUs: [CUDA] = ON_CUDA(...)"


def only_the_command_line_leaves(tree):
    for name in tree.product:
        if name.startswith("cli/") or name == "common/status.c":
            continue
        for found in LEAVING.finditer(tree.code[name]):
            yield name, line_of(tree.code[name], found.start()), f"calls {found.group(1)}(): return a status instead"


def is_writable(declaration):
    """Whether a variable declared like this can be written: the outermost level has no const."""
    declarator = re.sub(r"__attribute__\s*\(\(.*?\)\)|\[[^\]]*\]", " ", declaration.split("=")[0])
    pointer_to_function = re.search(r"\(\s*\*\s*(const\b)?", declarator)
    if pointer_to_function:
        return not pointer_to_function.group(1)
    if "*" in declarator:
        return not re.match(r"\s*const\b", declarator.rsplit("*", 1)[1])
    return not re.search(r"\bconst(expr)?\b", declarator)


def statements(code):
    """(offset, depth, text) of each declaration-like statement: up to its ';', or to the '{' of an initialiser."""
    depth, start = 0, 0
    for found in re.finditer(r"[{};]", code):
        text = code[start:found.start()]
        if found.group() != "}" and text.strip():
            yield start + len(text) - len(text.lstrip()), depth, text.strip(), found.group()
        depth += {"{": 1, "}": -1, ";": 0}[found.group()]
        start = found.end()


def nothing_global_is_writable(tree):
    # `kernel` is the one function type: what it declares is a function
    skipped = re.compile(r"^(typedef|extern|kernel\b|struct\s+\w+$|union\s+\w+$|enum\b|_Static_assert|static_assert|return\b)")
    for name in tree.product:
        code = blank_directives(tree.code[name])
        for at, depth, text, mark in statements(code):
            is_function = "(" in text.split("=")[0] and not re.search(r"\(\s*\*", text.split("=")[0].split(")")[0])
            variable = (mark == ";" or text.endswith("=")) and not skipped.match(text) and not is_function
            if variable and (depth == 0 and re.search(r"\w\s+\*?\s*\w", text) or re.match(r"(static|_Thread_local)\b", text)) and is_writable(text):
                yield name, line_of(code, at), f"writable variable outside any owner: '{' '.join(text.split())[:60]}'"
    yield from objects_hold_no_writable_data(tree)


def objects_hold_no_writable_data(tree):
    """The same claim, asked of the compiler's output: no named object in .data, .bss or thread storage."""
    for folder, _, files in os.walk(tree.build or os.devnull):
        room = re.search(r"/graft(_\w+)?\.dir(/|$)", folder)
        if not room or (room.group(1) or "_cli")[1:] not in FLOORS:
            continue
        for object_file in (os.path.join(folder, f) for f in sorted(files) if f.endswith(".o")):
            listing = subprocess.run(["nm", "--format=sysv", "--line-numbers", object_file], capture_output=True, text=True, check=True).stdout
            for row in listing.splitlines():
                field = [f.strip() for f in row.split("|")]
                if len(field) == 7 and field[3] in ("OBJECT", "TLS") and not MADE_BY_NVCC.search(field[0]):
                    section = field[6].split("\t")[0].split()[0] if field[6] else ""
                    if re.match(r"(\.(data|bss|tdata|tbss)\b(?!\.rel\.ro)|\*COM\*)", section):
                        yield os.path.relpath(object_file, tree.build), 0, f"'{field[0]}' lies in {section}: writable data without an owner"


def files_open_with_a_comment(tree):
    shell_like = r"(#!.*\n)?#[^!]"
    opening = {".c": r"/\*", ".h": r"/\*", ".cu": r"/\*", ".cuh": r"/\*", ".py": r'(#!.*\n)?("""|#[^!])', ".sh": shell_like,
               ".yaml": "#", "CMakeLists.txt": "#", ".ci/run": shell_like}
    for name, text in tree.text.items():
        kind = next((k for k in opening if name.endswith(k)), None)
        if kind and not name.startswith("tests/reference/records/") and not re.match(opening[kind], text):
            yield name, 1, "does not open with a comment that says what it is"


def nothing_is_left_unfinished(tree):
    for name, text in tree.text.items():
        for found in UNFINISHED.finditer(text):
            yield name, line_of(text, found.start()), f"'{found.group(1)}': finish it or take it out"


def no_machine_is_named(tree):
    for name, text in tree.text.items():
        for found in MACHINE_PATH.finditer(text):
            yield name, line_of(text, found.start()), f"path of one machine: '{text[found.start():found.start() + 30].split()[0]}'"


RULES = (floors_hold, foreign_headers_stay_in_one_file, files_and_functions_are_short, every_row_has_a_test, every_kernel_has_a_twin,
         only_the_command_line_leaves, nothing_global_is_writable, files_open_with_a_comment, nothing_is_left_unfinished, no_machine_is_named)

# Self-test: (rule, files that break it, the place it must name). CLEAN must pass all rules, also together with each case's other files.
NOTE = "/* A file. */\n"
CLEAN = {
    "common/a.h": NOTE + "int a(void);\n",
    "common/yaml.c": NOTE + "#include <yaml.h>\n#include <stdio.h>\n",
    "common/status.c": NOTE + "void check_failed(void)\n{\n    abort();\n}\n",
    "autograd/ops/add.c": NOTE + "const struct op op_add = {\n    .name = \"add\",\n};\n",
    "tests/ops/add.c": NOTE + "const struct op_case add[] = { 0 };\n",
    "models/a.c": NOTE + '#include "common/a.h"\n#include "models/b.h"\nstatic const char *const names[] = { "exit(1)" };\n'
                         "static int f(int x)\n{\n    static const int t[2] = { 1, 2 };\n    int y = 0;\n    return x + t[0] + y;\n}\n"
                         "static int (*const table[])(int) = { f };\nstruct pair {\n    int a, b;\n};\nenum { ONE };\nint exit_code(int);\nkernel run;\n",
    "models/families/llama.c": NOTE + "const struct family family_llama = { 0 };\n",
    "tests/models/all.c": NOTE + "/* llama */\n",
}
CASES = (
    (floors_hold, {"common/b.c": NOTE + '#include "models/a.h"\n'}, "common/b.c:2"),
    (floors_hold, {"models/b.c": NOTE + '#include "tokenizer/t.h"\n'}, "models/b.c:2"),
    (floors_hold, {"models/b.c": NOTE + '#include "../common/a.h"\n'}, "models/b.c:2"),
    (foreign_headers_stay_in_one_file, {"common/b.c": NOTE + "#include <yaml.h>\n"}, "common/b.c:2"),
    (foreign_headers_stay_in_one_file, {"common/b.c": NOTE + "#include <openssl/evp.h>\n"}, "common/b.c:2"),
    (foreign_headers_stay_in_one_file, {"common/b.c": NOTE + "#include <cblas.h>\n"}, "common/b.c:2"),
    (files_and_functions_are_short, {"common/b.c": NOTE + "\n" * 450}, "common/b.c:451"),
    (files_and_functions_are_short, {"common/b.c": NOTE + "int f(void)\n{\n" + "    f();\n" * 68 + "}\n"}, "common/b.c:2"),
    (every_row_has_a_test, {"autograd/ops/mul.c": NOTE + "const struct op op_mul = {\n};\n"}, "autograd/ops/mul.c:1"),
    (every_row_has_a_test, {"autograd/ops/mul.c": NOTE + "const struct op op_mul = {\n};\n", "tests/ops/mul.c": NOTE}, "tests/ops/mul.c:1"),
    (every_row_has_a_test, {"models/families/bloom.c": NOTE + "const struct family family_bloom = { 0 };\n"}, "models/families/bloom.c:2"),
    (every_row_has_a_test, {"adapters/lora.c": NOTE + "const struct adapter_kind adapter_lora = { 0 };\n"}, "adapters/lora.c:2"),
    (every_row_has_a_test, {"datasets/dolly.c": NOTE + "const struct dataset_format format_dolly = { 0 };\n"}, "datasets/dolly.c:2"),
    (every_row_has_a_test, {"datasets/dolly.c": NOTE}, "datasets/dolly.c:1"),
    (every_kernel_has_a_twin, {"autograd/ops/mul.c": NOTE + "const struct op op_mul = {\n    .forward = { [CPU] = f },\n};\n", "tests/ops/mul.c": NOTE + "/* mul */\n"},
     "autograd/ops/mul.c:3"),
    (only_the_command_line_leaves, {"common/b.c": NOTE + "int f(void)\n{\n    exit(1);\n}\n"}, "common/b.c:4"),
    (nothing_global_is_writable, {"common/b.c": NOTE + "static int count;\n"}, "common/b.c:2"),
    (nothing_global_is_writable, {"common/b.c": NOTE + "int count = 3;\n"}, "common/b.c:2"),
    (nothing_global_is_writable, {"common/b.c": NOTE + 'static const char *names[] = { "a" };\n'}, "common/b.c:2"),
    (nothing_global_is_writable, {"common/b.c": NOTE + "static void (*hook)(int);\n"}, "common/b.c:2"),
    (nothing_global_is_writable, {"common/b.c": NOTE + "int f(void)\n{\n    static int calls;\n    return ++calls;\n}\n"}, "common/b.c:4"),
    (nothing_global_is_writable, {"common/b.c": NOTE + "static _Thread_local struct error last;\n"}, "common/b.c:2"),
    (files_open_with_a_comment, {"common/b.c": "#include <stdio.h>\n"}, "common/b.c:1"),
    (files_open_with_a_comment, {"run_scripts/a.sh": "#!/bin/sh\nls\n"}, "run_scripts/a.sh:1"),
    (nothing_is_left_unfinished, {"docs/a.md": "fine\n" + "TO" + "DO: more\n"}, "docs/a.md:2"),
    (no_machine_is_named, {"docs/a.md": "see /ho" + "me/me/x\n"}, "docs/a.md:1"),
)


def write_tree(root, files):
    for name, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
        with open(os.path.join(root, name), "w", encoding="utf-8") as file:
            file.write(text)


def self_test():
    failed = 0
    for rule, files, place in ((None, {}, None), *CASES):
        with tempfile.TemporaryDirectory() as root:
            write_tree(root, {**CLEAN, **files})
            found = [(r, f"{name}:{line}") for r in RULES for name, line, _ in r(Tree(root))]
            if found != ([] if rule is None else [(rule, place)]):
                failed += 1
                print(f"self-test: {rule.__name__ if rule else 'a clean tree'}: wanted {place}, found {[(r.__name__, p) for r, p in found]}")
    failed += objects_self_test()
    missing = {r.__name__ for r in RULES} - {c[0].__name__ for c in CASES}
    print(f"self-test: {len(CASES) + 2} cases, {failed} failed" + (f", no case for {missing}" if missing else ""))
    return 1 if failed or missing else 0


def objects_self_test():
    """A compiled object with constant tables passes, the same with a counter inside a function does not."""
    good = 'static const char *const names[] = { "a", "b" };\nconst char *f(int i);\nconst char *f(int i) { return names[i]; }\n'
    bad = "int g(void);\nint g(void) { static int calls; return ++calls; }\n"
    of_nvcc = "void *_ZL20__cudaFatCubinHandle;\n"
    wrong = 0
    for text, expected in ((good, 0), (good + bad, 1), (good + of_nvcc, 0), (of_nvcc + "void *handle;\n", 1)):
        with tempfile.TemporaryDirectory() as root:
            folder = os.path.join(root, "CMakeFiles/graft_common.dir/common")
            write_tree(root, {"a.c": text})
            os.makedirs(folder)
            subprocess.run([os.environ.get("CC", "cc"), "-c", "-o", os.path.join(folder, "a.c.o"), os.path.join(root, "a.c")], check=True)
            found = list(objects_hold_no_writable_data(Tree(root, root)))
            if len(found) != expected:
                wrong += 1
                print(f"self-test: objects: wanted {expected} violations, found {found}")
    return wrong


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    tree = Tree(*arguments)
    if not tree.product:
        print(f"{arguments[0]}: no source of graft below this folder", file=sys.stderr)
        return 2
    violations = [v for rule in RULES for v in rule(tree)]
    for name, line, message in violations:
        print(f"{name}:{line}: {message}")
    print(f"layout: {len(tree.product)} source files, {len(RULES)} rules, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
