#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run a command that boots a guest; show how far it is, for a person.

usage: lab/progress.py COMMAND [ARGUMENTS]

The command's output is the guest's console and is kept elsewhere; here only
its milestones appear, and a sign of life in between. The exit status is the
command's.
"""

import os
import re
import select
import signal
import subprocess
import sys
import time

SIGN_OF_LIFE = 20

# Console line -> what it means.
MILESTONES = [
    (r"^host: (kvm .*), starting the guest", "host is up with {0}"),
    (r"\] Linux version (\S+)", "guest kernel {0} starts"),
    (r"\] Xen version (\d+\.\d+)", "guest finds Xen {0}"),
    (r"smp: Brought up .* (\d+) CPUs?", "guest has {0} CPUs"),
    (r"blkfront: (\w+):", "guest has its PV disk {0}"),
    (r"EXT4-fs \((\w+)\): mounted", "guest mounts its root from {0}"),
    (r"systemd\[1\]: (Hostname set|Detected virt|Queued start)",
     "guest's systemd starts"),
    (r"^guest: (work begins.*)", "guest: {0}"),
    (r"^guest: (disk .*|ipi .*|timer .*|load .*|failed .*|work .*)", "guest: {0}"),
    (r"^host: ended guest-shutdown", "guest powered off"),
    (r"^host: ended (.*)", "guest ended by {0}"),
]


def say(text):
    start = int(os.environ.get("LAB_T0", time.time()))
    print(f"[{int(time.time()) - start:4d}s]   {text}", flush=True)


def milestones(lines):
    """Feed lines one by one; say each milestone once."""
    seen = set()
    while True:
        line = yield
        for pattern, text in MILESTONES:
            found = re.search(pattern, line)
            if found and text.format(*found.groups()) not in seen:
                seen.add(text.format(*found.groups()))
                lines.append(text.format(*found.groups()))
                break


def follow(child):
    said, rest, last = [], b"", "the host boots"
    feed = milestones(said)
    next(feed)
    quiet = time.monotonic()
    while True:
        ready, _, _ = select.select([child.stdout], [], [], 1)
        if ready:
            data = os.read(child.stdout.fileno(), 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                text = line.decode("utf-8", "replace")
                stamp = re.match(r"\[ *(\d+\.\d)\d*\]", text)
                if stamp:
                    last = f"guest's clock is at {stamp.group(1)} s"
                feed.send(text)
        for text in said:
            say(text)
            quiet = time.monotonic()
        said.clear()
        if time.monotonic() - quiet > SIGN_OF_LIFE:
            say(f"... {last}")
            quiet = time.monotonic()


def main(argv):
    child = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "--"] + argv,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def stop(number, _):
        child.terminate()
        child.wait()
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    follow(child)
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
