#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measure ours beside the stock modules; a table, a page and its pictures.

What is measured is in metrics.tsv, how in docs/performance.rst. Where figures come
from: cores/ on this machine's processors, host/ in an emulated host, and guests in
such a host (lab/guest-boot).
"""

import argparse
import concurrent.futures
import functools
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, f"{HERE}/..", f"{HERE}/../../lab"]
import figures  # noqa: E402
import guests  # noqa: E402
import report  # noqa: E402
import rig  # noqa: E402
import run  # noqa: E402
from figures import BenchError  # noqa: E402

OUT = "build/bench"
HOST = "amd"            # whose clock counts instructions
# Boots of that host with each side, as usual, and LONG=1.
BOOTS = {False: 2, True: 4}
# What is counted does not depend on this machine, which may have much else to do.
PATIENCE = ("--timeout", "5400", "--boot-timeout", "1800")
MIB = 1024              # what is asked by the GiB is measured on
# The first mount of a new file system goes on writing to it; no guest's shall.
GUEST_WORDS = "rootflags=noinit_itable"
GUEST_LIMIT = 600       # seconds, many times what one takes
PROGRAMS = ("caches", "events", "tasks", "memory")
# Repetitions on real cores, and milliseconds of each: as usual, and LONG=1.
CORES = {False: (30, 50), True: (100, 200)}
# Pairs of guests of each emulator.
PAIRS = {False: 4, True: 12}


def meta():
    """META, as a dictionary."""
    with open("META", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split("=", 1) for line in f
                    if "=" in line and not line.startswith("#"))


def cores(found, long):
    """Contention on real cores."""
    out = f"{OUT}/cores"
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


def build_host_programs():
    """In the root; returns the directory that a host gets."""
    out = f"{OUT}/host"
    run.make_it("Programs for the emulated host",
                ["lab/in-root", "sh", "-c", run.HEADERS +
                 "make --no-print-directory -C selftests/bench/host "
                 f"OUT=/kvm-xen/{out} HDRS=$hdrs"], f"{OUT}/host.log")
    payload = f"{OUT}/payload"
    shutil.rmtree(payload, ignore_errors=True)
    os.makedirs(payload)
    for name in PROGRAMS:
        shutil.copy(f"{out}/{name}", payload)
    shutil.copy("selftests/bench/host/host-bench", payload)
    return payload


def in_lanes(jobs):
    """Run @jobs, name: call, as many at once as there are emulators.

    Yields name and result of each when it ends, and says in between what runs.
    """
    with concurrent.futures.ThreadPoolExecutor(run.Runner.emulators()) as pool:
        names = {pool.submit(job): name for name, job in jobs.items()}
        left = set(names)
        try:
            while left:
                done, left = concurrent.futures.wait(
                    left, run.QUIET, concurrent.futures.FIRST_COMPLETED)
                for job in done:
                    yield names[job], job.result()
                if not done:
                    run.say("running: " + ", ".join(sorted(
                        names[job] for job in left if job.running())))
        finally:
            pool.shutdown(cancel_futures=True)


def figure(words, side, rep):
    """A figure of a boot as Figures wants it; @words: metric, unit, parameters, value."""
    if len(words) != 4:
        raise BenchError(f"this is no figure: {words}")
    return "\t".join(map(str, [*words[:3], side, rep, words[3]]))


def boot(payload, side, rep):
    """One boot; returns its figures, as Figures wants them."""
    out = f"{OUT}/boot-{side}-{rep}"
    os.makedirs(out, exist_ok=True)
    for _ in range(rig.TRIES):
        lines = []

        def heard(text, lines=lines):
            mark, rest = rig.marked(text)
            if mark == "program":
                run.say(f"host {HOST}: {side}, boot {rep + 1}: {rest}")
            elif mark == "figure":
                lines.append(rest)

        status = rig.host(out, ["--host", HOST, "--modules", side, "--payload",
                                payload, "--hugepages", str(MIB // 2),
                                *PATIENCE],
                          ["host-bench", str(MIB)], heard)
        # Only a lost emulator is worth another try.
        if status != rig.RIG:
            break
    if status:
        raise BenchError(f"host {HOST} with {side} ended with status {status}; "
                         f"see {out}")
    return [figure(line.split("\t"), side, rep) for line in lines]


def counts(found, long):
    """Exact counts, in an emulated host."""
    payload = build_host_programs()
    jobs = {f"{side}, boot {rep + 1}":
            functools.partial(boot, payload, side, rep)
            for rep in range(BOOTS[long]) for side in figures.SIDES}
    run.say(f"host {HOST}: {len(jobs)} boots …")
    for name, lines in in_lanes(jobs):
        run.say(f"host {HOST}: {name}: {len(lines)} figures")
        for line in lines:
            found.add(HOST, line)


def turns(pairs):
    """Who is first takes turns, too."""
    for i, pair in enumerate(pairs):
        for side in figures.SIDES[::-1] if i % 2 else figures.SIDES:
            yield f"{pair}:{side}"


def pairs_of_guests(cpus, pairs):
    """Boots of guests on one host, on processors @cpus; their figures."""
    # Of this thread, and so of what it starts: two lanes do not meet.
    os.sched_setaffinity(0, cpus)
    out = f"{OUT}/guests-{min(cpus)}"
    os.makedirs(out, exist_ok=True)
    lines = []
    for _ in range(rig.TRIES):
        seen = guests.Turns()

        def heard(text, seen=seen):
            over = seen.heard(text)
            if over:
                run.say(f"guests: pair {over[0] + 1}, {over[1]}: " + ", ".join(
                    f"{name}{' ' * bool(what)}{what} {figures.number(value)} {unit}"
                    for name, unit, what, value in seen.figures[over]))

        status, _ = rig.guest(out, [
            "--host", HOST, "--work", "bench", "--append",
            GUEST_WORDS, "--turns", " ".join(turns(pairs)), "--timeout",
            str(GUEST_LIMIT * 2 * len(pairs))], heard)
        if status not in (rig.PASS, rig.RIG):
            raise BenchError(f"guests on host {HOST} ended with status {status}; "
                             f"see {out}")
        whole = seen.pairs(figures.SIDES)
        lines += [figure(words, side, pair) for pair, sides in whole.items()
                  for side, found in sides.items() for words in found]
        pairs = [pair for pair in pairs if pair not in whole]
        if not pairs:
            return lines
        run.say(f"guests: the emulator was lost; {len(pairs)} pairs are run again")
    raise BenchError(f"the emulator was lost twice on host {HOST} with guests; "
                     f"see {out}")


def guest_work(found, long):
    """Guests on one booted host, with ours and with stock in turn."""
    run.make_it("Guest's disk", ["lab/guest-disk"], f"{OUT}/guest-disk.log")
    lanes = run.Runner.emulators()
    pairs = range(PAIRS[long] * lanes)
    cpus = sorted(os.sched_getaffinity(0))
    jobs = {f"guests {n + 1}":
            functools.partial(pairs_of_guests, set(cpus[n % len(cpus)::lanes]),
                              pairs[n::lanes])
            for n in range(lanes)}
    run.say(f"guests: {len(pairs)} pairs of boots, {lanes} at a time …")
    for _, lines in in_lanes(jobs):
        for line in lines:
            found.add(HOST, line)


PARTS = {"cores": cores, "counts": counts, "guests": guest_work}


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
        run.make_host("debian", OUT)
        for name, part in PARTS.items():
            if args.only in (None, name):
                part(found, long)
        rows = found.rows()
        if args.only in (None, "counts"):
            run.say(f"host {HOST}: {BOOTS[long]} boots of each side agree to "
                    "the last digit")
        figures.write_tsv(f"{OUT}/results.tsv", rows)
        report.write_page(OUT, rows, meta())
    except (BenchError, rig.RigError) as e:
        print(f"selftests/bench: ERROR: {e}", file=sys.stderr)
        return rig.RIG
    report.print_table(rows)
    print(f"table: {OUT}/results.tsv   page: {OUT}/report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
