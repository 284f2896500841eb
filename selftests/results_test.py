#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Can the judge fail?  Plants every kind of outcome and looks what it counts as.

Run by selftests/check. Exit status: 0 if each was judged as it must be.
"""

import configparser
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import results  # noqa: E402

TABLES = {
    "tests.cfg": "[DEFAULT]\nkind=upstream\nhosts=amd\ntimeout=5\ncost=1\n"
                 "[prog]\n[ours]\nkind=ours\n[unit]\nkind=unit\n",
    "expect.cfg": "[DEFAULT]\nhosts=amd\nmodules=both\nemulator=any\n"
                  "[known_*]\nresult=skip\nreason=r\n"
                  "[loses]\nresult=lost\nreason=r\n"
                  "[broken]\nresult=fail\nreason=r\n"
                  "[a lock]\ncomplaint=BUG: known.*\\bthat_lock\nreason=r\n",
    "gaps.tsv": "W1\tours: f.gap\n",
}

# kind, name, exit status, output, modules -> what the results count as
PLANTED = (
    ("upstream", "prog", 0, [], "ours", [results.PASS]),
    ("upstream", "prog", 1, [], "ours", [results.FAIL]),
    ("upstream", "prog", 4, ["1..0 # SKIP - no"], "ours", [results.XSKIP]),
    ("upstream", "known_one", 4, ["1..0 # SKIP - no"], "ours", [results.SKIP]),
    ("upstream", "known_one", 0, [], "ours", [results.XPASS]),
    ("upstream", "broken", 254, [], "ours", [results.XFAIL]),
    ("upstream", "loses", 4, ["1..0 # SKIP - no"], "ours", [results.SKIP]),
    ("upstream", "loses", 0, [], "ours", [results.XPASS]),
    ("upstream", "broken", 0, [], "ours", [results.XPASS]),
    ("upstream", "prog", 137, [], "ours", [results.ERROR]),
    ("guest", "guest", 3, ["lost"], "ours", [results.ERROR]),
    ("guest", "guest", 1, [], "ours", [results.FAIL]),
    ("ours", "ours", 0, ["1..2", "ok 1 f.a", "ok 2 f.b"], "ours",
     [results.PASS, results.PASS]),
    ("ours", "ours", 1, ["1..2", "ok 1 f.a", "not ok 2 f.b"], "ours",
     [results.PASS, results.FAIL]),
    ("ours", "ours", 0, ["1..1", "ok 1 f.a # SKIP no"], "ours",
     [results.XSKIP]),
    # Cut short, killed, no plan at all, a name twice, a wrong exit status.
    ("ours", "ours", 139, ["1..2", "ok 1 f.a"], "ours",
     [results.PASS, results.ERROR]),
    ("ours", "ours", 137, ["1..2", "ok 1 f.a", "ok 2 f.b"], "ours",
     [results.PASS, results.PASS, results.ERROR]),
    ("ours", "ours", 127, ["not found"], "ours", [results.ERROR]),
    ("ours", "ours", 0, ["1..2", "ok 1 f.a", "ok 2 f.a"], "ours",
     [results.PASS, results.ERROR, results.ERROR]),
    ("ours", "ours", 1, ["1..1", "ok 1 f.a"], "ours",
     [results.PASS, results.ERROR]),
    # A gap: must pass on ours, must fail on stock.
    ("ours", "ours", 0, ["1..1", "ok 1 f.gap"], "ours", [results.PASS]),
    ("ours", "ours", 1, ["1..1", "not ok 1 f.gap"], "ours", [results.FAIL]),
    ("ours", "ours", 1, ["1..1", "not ok 1 f.gap"], "stock", [results.XFAIL]),
    ("ours", "ours", 0, ["1..1", "ok 1 f.gap"], "stock", [results.XPASS]),
)
CONSOLE = """[1.0] lab: up
[1.5] WARNING: before any case
[2.0] @@case one
[2.1] all is well
[2.2] @@end one
[3.0] @@case two
[3.1] BUG: in the second
[3.2] BUG: known
[3.3] trying to take that_lock
[3.4] BUG: known
[3.5] trying to take another_lock
"""
BAD = {results.FAIL, results.XPASS, results.XSKIP}


def make_case(name, kind):
    parser = configparser.ConfigParser()
    parser[name] = {"kind": kind, "hosts": "amd", "timeout": "5", "cost": "1"}
    return results.Case(name, parser[name], 0, "amd")


def planted(suite):
    """Everything that was judged otherwise than it must be."""
    for kind, name, status, lines, modules, expected in PLANTED:
        case = make_case(name, kind)
        case.judge(status, 1, lines)
        verdict = suite.verdict([case], modules)
        kinds = [row[2] for row in verdict.rows]
        wanted = 1 if BAD & set(expected) else \
            3 if results.ERROR in expected else 0
        if kinds != expected or verdict.status() != wanted:
            yield (f"{kind} {name} {status} {lines} on {modules}: {kinds}, "
                   f"status {verdict.status()}")
        if verdict.tap().count("\nok ") + verdict.tap().count("\nnot ok ") \
                != len(kinds):
            yield f"{kind} {name}: the TAP is not whole"


def others(suite):
    """What does not fit the table above."""
    case = make_case("prog", "upstream")
    case.judge(0, 1, [])
    case.complaint("WARNING: x", "log")
    if suite.verdict([case], "ours").status() != 1:
        yield "a complaint of the kernel did not fail its case"
    case = make_case("prog", "upstream")
    case.judge(0, 1, [])
    case.complaint("BUG: known", "log", "r")
    if suite.verdict([case], "ours").count(results.XFAIL) != 1:
        yield "a known complaint did not count as a known failure"
    case.unaccounted("pages_4k 1")
    if suite.verdict([case], "ours", False).status() == 0:
        yield "memory that is not accounted for did not fail its case"
    case.results.pop()
    case.complaint("BUG: new", "log")
    if suite.verdict([case], "ours").status() != 1:
        yield "a complaint hid behind one that is known"
    suite.whole = True
    if suite.verdict([case], "ours").count(results.FAIL) != 2:
        yield "a gap without a test was not noticed"
    suite.tests["ours"]["hosts"] = "elsewhere"
    if suite.verdict([case], "ours").count(results.FAIL) != 1:
        yield "a gap was missed on a host that its test does not run on"
    suite.tests["ours"]["hosts"] = "amd"
    try:
        suite.select("amd", "no such case", False)
        yield "T= took a case that is not there"
    except results.UsageError:
        pass
    alone, beside = make_case("loses", "upstream"), make_case("loses", "upstream")
    suite.leave_out([alone], "ours")
    suite.leave_out([beside, make_case("prog", "upstream")], "ours")
    if alone.results or len(beside.results) != 1:
        yield "a case that loses the emulator was left out, or not, as it must"
    if any(c.kind == "unit" for c in suite.select("amd", "", True)):
        yield "the unit tests ran on the stock modules"
    case = make_case("unit", "unit")
    case.judge(1, 1, ["1..2", "not ok 1 - race: a", "# why", "# again: it",
                      "ok 2 - race: b", "# 1 s"])
    if case.said(case.results[0]) != ["# why", "# again: it"]:
        yield "what a unit test says of its failure was not shown"


def repeated(suite):
    """Of several runs the first counts that is not as it must be."""
    for name, statuses, modules, kept in (
            ("prog", (0, 0, 0), "ours", "run 0"),
            ("prog", (0, 1, 0, 254), "ours", "run 1"),
            ("prog", (137, 0), "ours", "run 0"),
            ("broken", (254, 254, 0), "ours", "run 2"),
            ("known_one", (4, 4), "ours", "run 0")):
        case = make_case(name, "upstream")
        case.repeat = len(statuses)
        for i, status in enumerate(statuses):
            if case.left() != len(statuses) - i:
                yield f"{name}: {case.left()} runs left after {i}"
            suite.ran(case, modules, status, 1, [f"run {i}"])
        bad = suite.verdict([case], modules, False).status() != 0
        if case.lines != [kept] or case.left() or bad != bool(case.bad):
            yield f"{name} ended with {statuses}: {case.lines} was kept"
    case = make_case("ours", "ours")
    for word in ("ok", "not ok"):
        suite.ran(case, "stock", 0, 1, ["1..1", f"{word} 1 f.gap"])
    if (case.bad, case.lines[1]) != (1, "ok 1 f.gap"):
        yield "a gap that was closed in one of two runs was not kept"


def kernel_log(suite, top):
    """Is each complaint put down to the case in which it came?"""
    with open(f"{top}/console.log", "w", encoding="utf-8") as f:
        f.write(CONSOLE)
    with open(f"{top}/complaints", "w", encoding="utf-8") as f:
        f.write("".join(line + "\n" for line in CONSOLE.splitlines()
                        if "WARNING" in line or "BUG" in line))
    log = results.KernelLog(f"{top}/console.log")
    if (len(log.all()), len(log.of("one")), len(log.of("two"))) != (4, 0, 3):
        yield f"complaints of the kernel were put down as {log.found}"
    known = [bool(suite.known_complaint(c, "amd", "ours")) for c in log.all()]
    if known != [False, False, True, False]:
        yield f"of the kernel's complaints these were taken as known: {known}"


def main():
    with tempfile.TemporaryDirectory() as top:
        os.mkdir(f"{top}/t")
        for name, text in TABLES.items():
            with open(f"{top}/t/{name}", "w", encoding="utf-8") as f:
                f.write(text)
        with open(f"{top}/META", "w", encoding="utf-8") as f:
            f.write("SERIES=6.12\n")
        suite = results.Suite(f"{top}/t")
        suite.whole = False
        wrong = list(planted(suite)) + list(others(suite)) + \
            list(repeated(suite)) + list(kernel_log(suite, top))
    for text in wrong:
        print(text)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
