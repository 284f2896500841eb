#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Can the judge of `make stress` fail?  Plants what a boot may end with.

Run by selftests/check. Exit status: 0 if each was judged as it must be.
"""

import contextlib
import io
import os
import sys
import tempfile
import types

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stress  # noqa: E402

GOOD = ["@@round 5.0 begins", "@@round 5.0 ends done ops=10 exits=1 ms=2"]
BAD = ["@@round 5.1:ab/1,cd begins",
       "@@round 5.1:ab/1,cd ends failed ops=1 exits=1 ms=2",
       "@@failed 5.1:ab/1,cd KVM_RUN answered success"]
CUT = ["@@round 5.2 begins"]
REPORT = ("[1.0] @@case 5.0", "[1.1] WARNING: in round 5.0", "[1.2] @@end 5.0")

# output, what the kernel said, status of lab/host -> exit status, rounds kept
PLANTED = (
    (GOOD, (), stress.PASS, stress.PASS, ""),
    (GOOD + BAD, (), stress.FAIL, stress.FAIL, "5.1:ab/1,cd"),
    (GOOD, REPORT, stress.FAIL, stress.FAIL, "5.0"),
    (GOOD + CUT, (), stress.FAIL, stress.FAIL, "5.2"),
    (GOOD + CUT, (), stress.RIG, stress.RIG, ""),
)


def outcome(top, lines, report, status):
    """What a run says whose every boot ended like this, and what it keeps."""
    args = types.SimpleNamespace(seed=["5"], minutes=1.0)
    run = stress.Run(args, stress.hosts.find("amd"), "ours")
    run.out = top
    stress.SEEDS = f"{top}/seeds"
    with open(stress.SEEDS, "w", encoding="utf-8"):
        pass

    def boot(_words, _rounds, _seconds):
        b = stress.Boot(run, len(run.boots) + 1, [])
        run.boots.append(b)
        os.makedirs(b.out, exist_ok=True)
        for text in lines:
            b.line(text)
        for name, wanted in (("console.log", True), ("complaints", False)):
            with open(f"{b.out}/{name}", "w", encoding="utf-8") as f:
                f.write("".join(line + "\n" for line in report
                                if wanted or "WARNING" in line))
        b.status = status
        b.look_at_kernel()
        return b

    run.boot = boot
    with contextlib.redirect_stdout(io.StringIO()):
        run.once_more(run.boot([], 1, 1))
        result = run.finish()
    with open(stress.SEEDS, encoding="utf-8") as f:
        return result, [line.split("\t")[0] for line in f]


def main():
    bad = 0
    for lines, report, status, wanted, kept in PLANTED:
        with tempfile.TemporaryDirectory() as top:
            got = outcome(top, lines, report, status)
        if got != (wanted, [kept] if kept else []):
            print(f"{lines} {report} status {status}: {got}, not "
                  f"{(wanted, kept)}")
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
