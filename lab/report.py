#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The report of make run, from what guest and host told in OUT/out.log.

usage: lab/report.py OUT STATUS

STATUS is lab/guest-boot's exit status. Prints the report.
"""

import os
import re
import sys

VERDICT = {
    0: "The guest did its work and powered off; the host's log is clean.",
    1: "FAILED: the guest did not do its work, or the host complained.",
    3: "ERROR: the emulator was lost; this says nothing about the modules.",
}


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def tagged(lines, tag):
    """Lines 'tag rest' as their rest; the console may put escapes before."""
    return [m.group(1) for m in
            (re.search(rf"(?:^|[^\w]){tag}: (.*)", line) for line in lines) if m]


def values(lines, key):
    return [line[len(key) + 1:] for line in lines if line.startswith(key + " ")]


def table(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    out = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        out.append("  " + "  ".join(cells).rstrip())
    return out


def channels(guest):
    """Rows of the guest's event channels that saw an event."""
    rows = []
    for text in values(guest, "channel"):
        words = text.split()[1:]
        counts = []
        while words and words[0].isdigit():
            counts.append(words.pop(0))
        if words and sum(map(int, counts)):
            rows.append([f"{words[-1]} ({words[0]})"] + counts)
    if rows:
        head = ["channel"] + [f"CPU {i}" for i in range(len(rows[0]) - 1)]
        rows.insert(0, head)
    return rows


def one(lines, key):
    found = values(lines, key)
    return found[-1] if found else "not told"


def counts(host):
    rows = []
    for text in values(host, "calls"):
        words = text.split()
        if words[1] != "0":
            rows.append([f"calls of {words[0]}", words[1]])
    for text in values(host, "stat"):
        rows.append(text.split(None, 1))
    return [r for r in rows if len(r) == 2]


def main(out, status):
    lines = read(f"{out}/out.log")
    guest, host = tagged(lines, "guest"), tagged(lines, "host")
    report = ["Xen HVM guest on " + one(host, "kvm").split(", ")[0].join(
        ("kvm ", "")), ""]
    report += [f"  {name:<13} {one(guest, key)}" for name, key in (
        ("guest kernel", "kernel"), ("Xen version", "xen-version"),
        ("clock source", "clocksource"), ("upcall", "upcall"),
        ("event ABI", "events"), ("CPUs", "cpus"), ("root disk", "root"))]
    report.append(f"  host CPU      {one(host, 'cpu')}")
    report.append(f"  ended by      {one(host, 'ended')}")

    report += ["", "Work of the guest"]
    done = [f"  {key}: {v}" for key in ("disk", "ipi", "timer", "load", "accounted")
            for v in values(guest, key)]
    report += done or ["  none"]
    report += [f"  FAILED {v}" for v in values(guest, "failed")]

    rows = channels(guest)
    if rows:
        report += ["", "Event channels (the guest's /proc/interrupts)"]
        report += table(rows)

    rows = counts(host)
    if rows:
        report += ["", "Deliveries (the host's KVM)"] + table(rows)
    report += ["", "Caches (the host's pfncache file, last look at the guest)"]
    rows = [v.split(None, 1) for v in values(host, "pfncache")]
    rows = [r for r in rows if len(r) == 2]
    report += table(rows) if rows else ["  these modules offer none"]
    for tag, head in (("xen", "Events that took another way (its file xen)"),
                      ("storm", "Operations of the storm on its memory")):
        rows = [v.split(None, 1) for v in values(host, tag)]
        if rows:
            report += ["", head] + table(rows)

    wrong = read(f"{out}/complaints")
    if wrong:
        report += ["", "The host's kernel complained"]
        report += [f"  {line}" for line in wrong[:10]]

    report += ["", "Logs",
               f"  {out}/out.log      the guest's console, and the counts",
               f"  {out}/console.log  the host's kernel",
               f"  {out}/emulator.log the emulator"]
    report += ["", VERDICT.get(status, f"FAILED with status {status}.")]
    print("\n".join(report))


if __name__ == "__main__":
    main(os.path.relpath(sys.argv[1]), int(sys.argv[2]))
