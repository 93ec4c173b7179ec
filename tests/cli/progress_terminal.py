"""Runs a command with its stderr on a terminal of so many columns, and looks at every state of every line that is drawn there.

    progress_terminal.py COLUMNS UTF-8|ASCII COMMAND...
"""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios

BARS = {"UTF-8": "▁▂▃▄▅▆▇█", "ASCII": "_.-~=+*#"}
FEWEST_BARS, MOST_BARS, USUAL_COLUMNS = 6, 24, 80


def shown_on_terminal(command, columns, environment):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24 if columns else 0, columns, 0, 0))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # Linux says EIO when the last writer has gone
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    process.communicate()
    assert process.returncode == 0, shown.decode()
    return shown.decode()


def main(columns, encoding, *command):
    columns = int(columns)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LC_")} | {"LANG": "en_US.UTF-8" if encoding == "UTF-8" else "C"}
    shown = shown_on_terminal(command, columns, environment)
    if "--quiet" in command:
        assert shown == "", shown
        return
    width = columns or USUAL_COLUMNS
    states = [state for state in shown.split("\r\x1b[K")[1:] if state.startswith("s"[:width - 1])]
    assert states and states[-1].endswith("\r\n"), shown
    states = [state.removesuffix("\r\n") for state in states]
    bars = BARS[encoding]
    for state in states:
        assert len(state) < max(width, 2), f"{len(state)} columns: {state}"
        assert encoding == "UTF-8" or state.isascii(), state
        found = re.fullmatch(r"step \d+/30  loss [0-9.]+(?: (\S+))?  (?:lr \S+  )?\d+ tokens/s  \d\d:\d\d:\d\d left  [0-9.]+ [KMGi]+B", state)
        if width < USUAL_COLUMNS:
            assert not any(bar in state for bar in BARS["UTF-8"]), state
            continue
        assert found and found.group(1), state
        has_rate = "  lr " in state
        longest = len(state) - len(found.group(1)) + (0 if has_rate else len("  lr 1.00e-02")) + FEWEST_BARS
        assert has_rate == (longest < width), state
        assert len(found.group(1)) <= MOST_BARS and set(found.group(1)) <= set(bars), state
    losses = [json.loads(line)["loss"] for line in open("out/metrics.jsonl", encoding="utf-8")]
    if width > 100:
        # 30 steps are 15 bars of two; the curve goes from the highest mean to the lowest, as the losses do
        curve = found.group(1)
        assert len(curve) == 15, curve
        assert losses[0] > losses[-1] and curve[0] in bars[4:] and curve[-1] in bars[:4] and bars[0] in curve and bars[-1] in curve, (curve, losses)
    print(states[-1])


main(*sys.argv[1:])
