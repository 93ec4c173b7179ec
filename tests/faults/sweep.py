#!/usr/bin/env python3
"""Makes one call of a real graft process fail at a time, and looks at what it leaves.

    sweep.py GRAFT LIBRARY [--everything] [--only COMMAND] [--kind memory|writing|reading]

LIBRARY is fail_once.c, preloaded. Each command runs once to list its calls (an allocation; a call that changes a file; one that reads it)
with the stack they come from, then once per chosen call with that one failing. Chosen are: all calls that change or read a file, and of the
thousands of allocations one for each distinct stack, as far as the budget of the suite reaches; --everything takes every stack and every
100th call besides. Files also fail from the N-th call on, as a full disk does.

What must hold each time: the process ends by itself with 0, 1 or 2; 0 only with everything a good run leaves, byte for byte; otherwise
a message with cause and no word of a bug; outputs are whole or absent; a file that was there before is what it was or what it should become.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BASE = os.path.join(ROOT, "examples", "base")
TIMEOUT = 60

# Calls inside a library that the library itself answers by ending the process: (pattern of stderr, why graft cannot do better).
LIBRARY_GIVES_UP = ()
