#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measure ours beside the stock modules; a table, a page and its pictures.

What is measured is in metrics.tsv, how in docs/performance.rst. Where figures come
from: cores/ on this machine's processors.
"""

import argparse
import os
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, f"{HERE}/..", f"{HERE}/../../lab"]
import figures  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
from figures import BenchError  # noqa: E402

FAIL, USAGE, RIG = 1, 2, 3
OUT = "build/bench"
# Repetitions on real cores, and milliseconds of each: as usual, and LONG=1.
CORES = {False: (30, 50), True: (100, 200)}


def meta():
    """META, as a dictionary."""
    with open("META", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split("=", 1) for line in f
                    if "=" in line and not line.startswith("#"))


def cores(found, long):
    """Contention on real cores."""
    out = f"{OUT}/cores"
    run.make_it("Debian 13 root", ["lab/root"], f"{OUT}/root.log")
    run.make_it("Modules", ["lab/in-root", "overlay/build"],
                f"{OUT}/modules.log")
    run.make_it("Both sides for this machine's processors",
                ["lab/in-root", "make", "--no-print-directory", "-f",
                 "selftests/bench/cores/Makefile",
                 f"BASE=build/base/linux-source-{meta()['SERIES']}",
                 f"OUT={out}"], f"{OUT}/cores.log")
    reps, ms = CORES[long]
    run.say(f"real cores: {reps} repetitions …")
    told = -1
    with subprocess.Popen(["lab/in-root", f"{out}/cores", out, str(reps),
                           str(ms)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True) as p:
        for line in p.stdout:
            found.add("cores", line.rstrip("\n"))
            rep = int(line.split("\t")[4])
            if rep > told and rep % 10 == 9:
                run.say(f"real cores: repetition {rep + 1} of {reps}")
                told = rep
    if p.returncode:
        raise BenchError("the program on real cores failed")


PARTS = {"cores": cores}


def parse(argv):
    p = argparse.ArgumentParser(
        prog="selftests/bench/run", allow_abbrev=False,
        description="Measure ours beside the stock modules.",
        epilog="Environment (or make variable): LONG=1, more repetitions. "
               "Exit status: 0 measured, whatever the figures are; 2 wrong "
               "usage; 3 something could not be measured, or cannot be right.")
    p.add_argument("--only", choices=PARTS, help="one part of it")
    return p.parse_args(argv)


def main(argv):
    args = parse(argv)
    long = os.environ.get("LONG", "") not in ("", "0")
    os.makedirs(OUT, exist_ok=True)
    for name in ("results.tsv", "report.html"):
        if os.path.exists(f"{OUT}/{name}"):
            os.unlink(f"{OUT}/{name}")
    try:
        table = figures.read_metrics(f"{HERE}/metrics.tsv")
        found = figures.Figures(table)
        for name, part in PARTS.items():
            if args.only in (None, name):
                part(found, long)
        rows = found.rows()
        figures.write_tsv(f"{OUT}/results.tsv", rows)
        report.write_page(OUT, rows, meta())
    except (BenchError, run.RigError) as e:
        print(f"selftests/bench: ERROR: {e}", file=sys.stderr)
        return RIG
    report.print_table(rows)
    print(f"table: {OUT}/results.tsv   page: {OUT}/report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
