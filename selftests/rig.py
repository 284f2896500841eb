# SPDX-License-Identifier: GPL-2.0
"""Boots of hosts and guests for the harnesses: what was said, how it ended.

Knows the lab's commands, and that programs in a host mark lines, "@@WORD ..."; what
the marks mean is for the harness to know.
"""

import subprocess
import threading

PASS, USAGE, RIG = 0, 2, 3
TRIES = 2               # what loses the emulator is run again once


class RigError(Exception):
    """Something needed could not be made: nothing is known about the code."""


def marked(text):
    """A line's mark and what follows; ("", "") if it has none."""
    if not text.startswith("@@"):
        return "", ""
    word, *rest = text[2:].split(maxsplit=1) or [""]
    return word, rest[0] if rest else ""


def host(out, options, command, heard, watch=None):
    """Boot a host with lab/host's @options, run @command in it.

    Each line of its output is given to @heard; @watch, if any, has the process, in a
    thread of its own. Returns lab/host's status; RigError if it could not begin.
    """
    with open(f"{out}/lab.log", "w", encoding="utf-8") as log, \
            subprocess.Popen(["lab/host", "--out", out, *options, "--",
                              *command], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=log, text=True,
                             errors="replace") as p:
        if watch:
            threading.Thread(target=watch, args=(p,), daemon=True).start()
        for text in p.stdout:
            heard(text.rstrip("\n"))
    if p.returncode == USAGE:
        with open(f"{out}/lab.log", encoding="utf-8") as log:
            raise RigError(log.read().strip() or "lab/host did not start")
    return p.returncode


def guest(out, options, heard=None):
    """Boot a guest with lab/guest-boot's @options.

    Each line it prints is given to @heard, if any. Returns its status and the lines.
    """
    lines = []
    with open(f"{out}/guest-boot.log", "w", encoding="utf-8") as log, \
            subprocess.Popen(["lab/guest-boot", "--out", out, *options],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True,
                             errors="replace") as p:
        for text in p.stdout:
            log.write(text)
            lines.append(text.rstrip("\n"))
            if heard:
                heard(lines[-1])
    return p.returncode, lines
