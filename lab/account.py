#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Does what the host counted during a storm add up?

usage: lab/account.py OUT "PAUSE OPERATION..."

OUT/out.log is that of lab/guest-boot --storm, the second argument what it stormed with.
Prints what was counted, and what is wrong with it. Exit status: 0 nothing is, 1
something, 2 wrong usage.
"""

import re
import sys

LEAST = 20      # times that each operation must have been done, in a load of 20 s


def told(lines, what):
    """Lines "host: WHAT NAME NUMBER..." as {name: [number...]}."""
    found = {}
    for line in lines:
        match = re.search(rf"host: {what} (\w+) (.*)", line)
        if match:
            found[match[1]] = [int(n) for n in re.findall(r"\d+", match[2])]
    return found


def wrong(lines, storm):
    """What does not add up, a sentence each."""
    done = told(lines, "storm")
    caches, events = told(lines, "pfncache"), told(lines, "xen")
    names = storm.split()[1:]
    for name in names:
        if done.get(name, [0])[0] < LEAST:
            yield f"the storm did {name} {done.get(name, [0])[0]} times"
    if "balloon" in names and not done.get("balloon", [0, 0, 1])[2]:
        yield "the storm discarded no page"
    if not any(re.search(r"host: kvm stock", line) for line in lines):
        yield from wrong_in_ours(done, caches, events)


def wrong_in_ours(done, caches, events):
    """What only our modules tell."""
    if not caches or not events:
        yield "the modules told nothing of their caches or events"
        return
    # An operation that changes a mapping begins at least one invalidation.
    least = sum(done.get(name, [0])[0] for name in ("protect", "scratch"))
    if caches["invalidations"][0] < least:
        yield (f"{caches['invalidations'][0]} invalidations were seen, and "
               f"{least} were made")
    if events["latched"] != events["flushed"]:
        yield (f"{events['latched'][0]} events were kept, and "
               f"{events['flushed'][0]} of them delivered")


def main(out, storm):
    with open(f"{out}/out.log", encoding="utf-8", errors="replace") as f:
        lines = f.read().splitlines()
    found = list(wrong(lines, storm))
    for text in found:
        print(f"account: failed {text}")
    if not found:
        print("account: what was counted adds up")
    return int(bool(found))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(2)
    sys.exit(main(*sys.argv[1:]))
