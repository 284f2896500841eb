#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Which hypercalls a guest made in each phase of its work, and which exits to the VMM.

usage: lab/hypercalls.py OUT ROOT

OUT/out.log is that of lab/guest-boot --trace; ROOT the Debian root, whose headers know
what the numbers are called. Prints a table with tabs: phase, its length in seconds of
the host, kind (hypercall, asked: those that the VMM was asked to answer, exit), name,
how many, and how many each second.
"""

import os
import re
import sys

LINE = re.compile(r"host: trace (\w+) ([0-9.]+) (\w+) ([0-9 ]+)$")
# Hypercall -> Xen's header and prefix of the operation in its first argument.
OPERATIONS = {
    12: ("memory.h", "XENMEM"), 17: ("version.h", "XENVER"),
    20: ("grant_table.h", "GNTTABOP"), 24: ("vcpu.h", "VCPUOP"),
    29: ("sched.h", "SCHEDOP"), 32: ("event_channel.h", "EVTCHNOP"),
    33: ("physdev.h", "PHYSDEVOP"), 34: ("hvm/hvm_op.h", "HVMOP"),
}


def defines(path, prefix):
    """Number -> name of a header's constants.

    Some headers have the values of one constant's details among them, named
    after it; these count only where no other has the number.
    """
    with open(path, encoding="utf-8") as f:
        found = re.findall(rf"^#define ({prefix}_[A-Za-z0-9_]+)\s+(\d+)\b",
                           f.read(), re.M)
    known = {name for name, _ in found}
    names = {}
    for name, number in sorted(found, key=lambda f: is_detail(f[0], known)):
        names.setdefault(int(number), name)
    return names


def is_detail(name, known):
    words = name.split("_")
    return any("_".join(words[:n]) in known for n in range(2, len(words)))


class Names:
    """What Xen and KVM call their numbers."""

    def __init__(self, root):
        xen = f"{root}/usr/include/xen"
        self.calls = defines(f"{xen}/xen.h", "__HYPERVISOR")
        self.operations = {nr: defines(f"{xen}/{header}", prefix)
                           for nr, (header, prefix) in OPERATIONS.items()}
        self.exits = defines(f"{root}/usr/include/linux/kvm.h", "KVM_EXIT")

    def of(self, kind, numbers):
        first, *rest = numbers
        if kind == "exit":
            return self.exits.get(first, f"exit {first}")
        name = self.calls.get(first, f"hypercall {first}")
        name = name.removeprefix("__HYPERVISOR_")
        if rest:
            name += " " + self.operations.get(first, {}).get(rest[0],
                                                             str(rest[0]))
        return name


def read(lines):
    """[(phase, when it ended, {(kind, numbers): count so far})]"""
    phases = []
    for line in lines:
        found = LINE.search(line.rstrip())
        if not found:
            continue
        phase, end, kind, numbers = found.groups()
        if not phases or phases[-1][0] != phase:
            phases.append((phase, float(end), {}))
        *what, count = map(int, numbers.split())
        phases[-1][2][kind, tuple(what)] = count
    return phases


def table(phases, names):
    """Its rows, each phase's counts for themselves, the most frequent first."""
    yield "phase", "seconds", "kind", "name", "count", "each second"
    before, began = {}, 0.0
    for phase, end, counts in phases:
        rows = [(kind, -(count - before.get((kind, what), 0)),
                 names.of(kind, what)) for (kind, what), count in counts.items()]
        for kind, minus, name in sorted(rows):
            if minus:
                yield (phase, f"{end - began:.1f}", kind, name, -minus,
                       f"{-minus / (end - began):.1f}")
        before, began = counts, end


def main(out, root):
    with open(f"{out}/out.log", encoding="utf-8", errors="replace") as f:
        phases = read(f)
    if not phases:
        sys.exit(f"lab/hypercalls.py: nothing was counted; see {out}/out.log")
    for row in table(phases, Names(root)):
        print(*row, sep="\t")


if __name__ == "__main__":
    main(os.path.relpath(sys.argv[1]), sys.argv[2])
