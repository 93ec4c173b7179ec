#!/usr/bin/env python3
"""Runs the tables of this folder: each row spoils one thing in a good folder, and graft has to refuse it.

    run.py GRAFT [WORD ...]     only the rows whose name holds one of the words

A row is (name, command, change, expected); the change comes from good.py. `expected` is "where | what | cure", word for word as graft prints them, with
'…' for what may vary or says nothing about the row. A refusal is exit status 2, exactly that message, nothing on stdout and no file that was not there before. The rows of HARMLESS are
the counterpart: nonsense that must change nothing. Before all of them every command that the rows use runs on the unspoilt folder, so that no row can be
refused for another reason than its own.
"""
import concurrent.futures
import glob
import importlib
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile

import good

TABLES = [importlib.import_module(os.path.basename(path)[:-3]) for path in sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "table_*.py")))]
LONGEST_SECONDS = 60   # a reader that hangs, not one that is slow on a busy machine
MOST_BYTES = 2 << 30   # of its own memory, mapped files not counted: a reader that believes a huge number fails instead of filling the machine
HARMLESS_VARIABLES = {"OMP_WAIT_POLICY": "passive"}


def fits(pattern, text):
    """The whole text, with … in the pattern for anything."""
    return re.fullmatch(".+".join(re.escape(part) for part in pattern.split("…")), text, re.S) is not None


def files_in(folder):
    return sorted(os.path.join(at, name) for at, below, names in os.walk(folder) for name in below + names)


class Runner:
    def __init__(self, graft, work):
        self.graft, self.work = graft, work
        self.good = os.path.join(work, "good")
        good.make(self.good)
        self.run(self.good, good.KEPT)
        os.unlink(os.path.join(self.good, "kept", "manifest.json"))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with open(graft, "rb") as binary:
            if b"__asan_init" not in binary.read():  # whose shadow memory is larger than any limit
                resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))  # what is started inherits it

    def run(self, folder, command):
        """(status, stdout, stderr) of a command line that may begin with NAME=value."""
        words = shlex.split(command)
        environment = {**os.environ, **HARMLESS_VARIABLES}
        while re.match(r"[A-Z_]+=", words[0]):
            name, value = words.pop(0).split("=", 1)
            environment[name] = value
        try:
            done = subprocess.run([self.graft] + words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST_SECONDS,
                                  env=environment)
        except subprocess.TimeoutExpired:
            return "none", "", f"did not end within {LONGEST_SECONDS} s"
        return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")

    def spoilt(self, number, change):
        """A fresh good folder with the change made. Files are links; good.py replaces what it spoils."""
        folder = os.path.join(self.work, str(number))
        shutil.copytree(self.good, folder, copy_function=os.link)
        before = files_in(folder)
        change(folder)
        if before == files_in(folder) and all(os.path.samefile(path, self.good + path[len(folder):]) for path in before) and change is not good.nothing:
            raise ValueError("the change changed nothing")
        return folder

    def refusal(self, number, row):
        """What is wrong with how graft treats the row; empty if all is well."""
        name, command, change, expected = row
        folder = self.spoilt(number, change)
        before = files_in(folder)
        status, out, err = self.run(folder, command)
        left = [path for path in files_in(folder) if path not in before]
        shutil.rmtree(folder)
        said = re.fullmatch(r"(?:graft: (?!error).*\n)*graft: error: (.*)\n  cure: (.+)\n", err, re.S)
        if status != 2:
            return f"exit status {status}, expected 2\n{out}{err}"
        if not said:
            return f"not one error with a cure:\n{err}"
        message = " | ".join(said.groups())
        where, what, cure = (expected.split(" | ") + ["", ""])[:3]
        if not (where and what and cure and any(fits(where + between + what + " | " + cure, message) for between in (": ", " "))):
            return f"expected: {expected}\n     said: {message}"
        if out:
            return f"wrote to stdout: {out}"
        return f"left behind: {left}" if left else ""

    def harmless(self, number, row):
        name, command, change = row
        folder = self.spoilt(number, change)
        status, out, err = self.run(folder, command)
        wanted = self.run(self.good, re.sub(r"^([A-Z_]+=\S* )+", "", command))
        shutil.rmtree(folder)
        return "" if (status, out) == wanted[:2] and status == 0 else f"exit status {status}, stdout {out!r} instead of {wanted[1]!r}\n{err}"


def main(graft, words):
    rows = [(Runner.refusal, row) for table in TABLES for row in table.ROWS] + [(Runner.harmless, row) for table in TABLES for row in getattr(table, "HARMLESS", ())]
    names = [row[0] for _, row in rows]
    assert len(set(names)) == len(names), f"two rows of one name: {sorted(n for n in names if names.count(n) > 1)}"
    rows = [(check, row) for check, row in rows if not words or any(word in row[0] for word in words)]
    failures = 0
    with tempfile.TemporaryDirectory() as work:
        runner = Runner(os.path.abspath(graft), work)
        for command in good.COMMANDS:
            folder = runner.spoilt("sound", good.nothing)
            status, _, err = runner.run(folder, command)
            shutil.rmtree(folder)
            if status != 0:
                print(f"FAIL  on the good folder: {command}: exit status {status}\n{err}")
                failures += 1
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            verdicts = pool.map(lambda numbered: numbered[1][0](runner, numbered[0], numbered[1][1]), enumerate(rows))
            for (_, row), wrong in zip(rows, verdicts):
                if wrong:
                    print(f"FAIL  {row[0]}: {wrong}")
                    failures += 1
    print(f"{len(rows)} rows, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
