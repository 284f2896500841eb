# SPDX-License-Identifier: GPL-2.0
"""The test list, what is expected of it, and what came out.

Reads tests.cfg, expect.cfg and gaps.tsv; turns the output of a case into results;
compares; writes TAP. Knows nothing of hosts and emulators.
"""

import configparser
import copy
import fnmatch
import itertools
import re

PASS, FAIL, SKIP, ERROR = "pass", "fail", "skip", "error"
# An expectation: a case that would lose the emulator, and so is not run.
LOST = "lost"
# What becomes of an outcome that was expected, or was not.
XFAIL, XPASS, XSKIP = "xfail", "xpass", "unlisted skip"

KSFT_SKIP, KILLED, SIGNAL = 4, 137, 128
KINDS = ("unit", "ours", "upstream", "guest")
TAP_LINE = re.compile(r"^(ok|not ok) (\d+)(?: -)? ?(.*)$")
TAP_PLAN = re.compile(r"^1\.\.(\d+)(?:\s*# SKIP\s*(.*))?$")


class UsageError(Exception):
    """The request, or one of the tables, is wrong."""


class Result:
    """One promise: its name as TAP prints it, and how it came out."""

    def __init__(self, name, outcome, reason="", known=""):
        self.name, self.outcome, self.reason = name, outcome, reason
        self.known = known      # why a failure was to be expected, if it was


class Case:
    """One section of tests.cfg on one host, and its results once it ran."""

    def __init__(self, name, section, order, host):
        def key(key, fallback=""):
            return section.get(f"{key}-{host}", section.get(key, fallback))

        self.name, self.order, self.host = name, order, host
        self.beside = False   # runs beside the list of another host
        self.kind = section["kind"]
        self.group = section.get("group", self.kind)
        self.program = section.get("program", name)
        self.args = key("args")
        self.setup = key("setup")
        self.boot = key("boot")
        self.timeout = int(key("timeout"))
        self.cost = int(key("cost"))
        self.only = ""          # one test of the program
        self.where = ""         # the directory of its boot
        self.results, self.lines, self.notes = [], [], []
        self.seconds = None
        self.repeat = 1         # how often it is to be run
        self.runs = 0           # and was
        self.bad = 0            # of these not as expected
        if self.kind not in KINDS:
            raise UsageError(f"tests.cfg: {name} is of unknown kind "
                             f"{self.kind}")

    @classmethod
    def always(cls, host, promise):
        """A promise that no section has: it holds until fail() is called."""
        name = f"{host}-host"
        parser = configparser.ConfigParser()
        parser[name] = {"kind": "ours", "timeout": "0", "cost": "0"}
        case = cls(name, parser[name], 1 << 30, host)
        case.results = [Result(f"{name}: {promise}", PASS)]
        return case

    @property
    def title(self):
        """Its name in a run, which may have cases of another host too."""
        return f"{self.host}/{self.name}" if self.beside else self.name

    def slow_down(self, factor):
        """The tables say seconds of host amd; this one is slower."""
        self.timeout *= factor
        self.cost *= factor

    def left(self):
        """How often it is still to be run."""
        return self.repeat - self.runs

    def command(self):
        only = f"-r {self.only}" if self.only else ""
        return " ".join(s for s in (self.program, self.args, only) if s)

    def named(self, promise):
        return f"{self.name}: {promise}"

    def note(self, text):
        self.notes.append(text)

    def fail(self, reason, lines=()):
        self._whole(FAIL, reason, lines)

    def error(self, reason, lines=()):
        self._whole(ERROR, reason, lines)

    def _whole(self, outcome, reason, lines):
        """One outcome for the case, whatever part of it there was before."""
        name = self.results[0].name if len(self.results) == 1 else self.name
        self.lines = list(lines) or self.lines
        self.results = [Result(name, outcome, reason)]

    def complaint(self, text, log, known=""):
        """The kernel complained while this ran. @known: why it was to be."""
        name = self.named("kernel log is clean")
        before = [r for r in self.results if r.name == name]
        if not before or (before[0].known and not known):
            self.results = [r for r in self.results if r not in before]
            self.results.append(Result(name, FAIL, f"{text} ({log})", known))

    def unaccounted(self, text):
        """Its VMs are gone, and memory that was theirs is still counted."""
        name = self.named("leaves nothing mapped behind")
        if all(r.name != name for r in self.results):
            self.results.append(Result(name, FAIL, text))

    def said(self, result):
        """What the program said about a result that is not good."""
        test = result.name.partition(": ")[2]
        if self.kind == "unit":
            # The harness explains a test after its line, kselftest before it.
            at = [i for i, line in enumerate(self.lines)
                  if line.startswith("not ok") and line.endswith(f" - {test}")]
            after = self.lines[at[0] + 1:] if at else []
            return list(itertools.takewhile(lambda line: line.startswith("#"),
                                            after))[:24]
        test = test.rpartition(".")[2]
        said = [line for line in self.lines
                if line.startswith("#") and test and f"{test}:" in line]
        if not said and result.outcome == FAIL:
            said = self.lines[-5:]
        return said[:8]

    def judge(self, status, seconds, lines):
        self.seconds, self.lines, self.results = seconds, lines, []
        if self.kind in ("ours", "unit"):
            self._judge_tap(status)
        else:
            self.program_result(status, seconds, lines)

    def program_result(self, status, seconds, lines):
        """One result for a whole program."""
        self.seconds, self.lines = seconds, lines
        if status == 0:
            outcome = Result(self.name, PASS)
        elif self.kind == "guest" and status in (2, 3):
            outcome = Result(self.name, ERROR, last(lines))
        elif status == KSFT_SKIP:
            outcome = Result(self.name, SKIP, last(lines, "# SKIP"))
        elif status == KILLED:
            outcome = Result(self.name, ERROR,
                             f"no end within {self.timeout} s")
        else:
            outcome = Result(self.name, FAIL, f"exit status {status}")
        self.results = [outcome]

    def _judge_tap(self, status):
        plan, seen = None, set()
        for line in self.lines:
            match = TAP_PLAN.match(line)
            if match:
                plan = int(match.group(1))
                if plan == 0:
                    self.results.append(Result(self.name, SKIP,
                                               match.group(2) or ""))
            match = TAP_LINE.match(line)
            if not match:
                continue
            word, name, directive = match.group(1), *split_directive(
                match.group(3))
            if name in seen:
                self.results.append(Result(self.named(name), ERROR,
                                           "this name came twice"))
                continue
            seen.add(name)
            if directive.startswith("SKIP"):
                outcome, reason = SKIP, directive[4:].strip()
            elif word == "ok":
                outcome, reason = PASS, ""
            else:
                outcome, reason = FAIL, ""
            self.results.append(Result(self.named(name), outcome, reason))
        self._judge_whole(status, plan, len(seen))

    def _judge_whole(self, status, plan, count):
        """What the lines alone do not tell: a run that was cut short."""
        if plan is None:
            self.results.append(Result(self.name, ERROR,
                                       f"no TAP plan, exit status {status}: "
                                       f"{last(self.lines)}"))
        elif status == KILLED:
            self.results.append(Result(self.name, ERROR,
                                       f"no end within {self.timeout} s, "
                                       f"{count} of {plan} results"))
        elif plan and count != plan:
            self.results.append(Result(self.name, ERROR,
                                       f"{count} results of {plan}, exit "
                                       f"status {status}"))
        elif status not in (0, KSFT_SKIP) and \
                all(r.outcome == PASS for r in self.results):
            self.results.append(Result(self.name, ERROR, "all passed, but the "
                                       f"exit status is {status}"))


def on_host(host, patterns):
    """Is @host meant by a table's list of hosts? amd* is amd and its like."""
    return any(fnmatch.fnmatchcase(host, p) for p in patterns.split())


def titled(case, result):
    return f"{case.host}/{result.name}" if case.beside else result.name


def split_directive(text):
    name, _, directive = text.partition(" # ")
    return name.strip(), directive.strip()


def last(lines, having=""):
    for line in reversed(lines):
        if line.strip() and having in line:
            return line.partition("SKIP")[2].lstrip(" -:") if having else line
    return last(lines) if having else ""


class Complaint(str):
    """A line of the kernel log that should not be there; .report: what follows."""

    LINES = 60

    def __new__(cls, text):
        self = super().__new__(cls, text)
        self.lines = [text]
        return self

    @property
    def report(self):
        return "\n".join(self.lines)


class KernelLog:
    """A host's kernel log: which complaint came in which case."""

    def __init__(self, path):
        self.found = []         # (case name or "", Complaint)
        complaints = set()
        try:
            with open(path.replace("console.log", "complaints"),
                      encoding="utf-8", errors="replace") as f:
                complaints = {line.rstrip() for line in f}
            with open(path, encoding="utf-8", errors="replace") as f:
                self._read(f, complaints)
        except FileNotFoundError:
            pass

    def _read(self, lines, complaints):
        case = ""
        for line in lines:
            line = line.rstrip()
            mark = re.search(r"@@(case|end) (\S+)", line)
            if mark:
                case = mark.group(2) if mark.group(1) == "case" else ""
            elif line in complaints:
                self.found.append((case, Complaint(line)))
            elif self.found:
                report = self.found[-1][1].lines
                if len(report) < Complaint.LINES:
                    report.append(line)

    def of(self, name):
        return [text for case, text in self.found if case == name]

    def all(self):
        return [text for _, text in self.found]


class Suite:
    """The three tables."""

    def __init__(self, directory):
        self.meta = {}
        with open(f"{directory}/../META", encoding="utf-8") as f:
            for line in f:
                key, eq, value = line.strip().partition("=")
                if eq:
                    self.meta[key] = value
        self.tests = self._table(f"{directory}/tests.cfg")
        self.expect = self._table(f"{directory}/expect.cfg")
        self.gaps = {}
        with open(f"{directory}/gaps.tsv", encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                if line.startswith("#") or not line.strip():
                    continue
                gap, tab, name = line.rstrip("\n").partition("\t")
                if not tab:
                    raise UsageError(f"gaps.tsv:{number} has no tab")
                self.gaps[name] = " ".join(
                    s for s in (self.gaps.get(name), gap) if s)
        self.whole = True

    @staticmethod
    def _table(path):
        parser = configparser.ConfigParser(interpolation=None, strict=True)
        try:
            with open(path, encoding="utf-8") as f:
                parser.read_file(f)
        except configparser.Error as e:
            raise UsageError(str(e).replace("\n", " ")) from e
        return parser

    def cases(self, host, key="hosts"):
        """The cases whose @key, a list of hosts, has @host."""
        return [Case(name, self.tests[name], i, host)
                for i, name in enumerate(self.tests.sections())
                if on_host(host, self.tests[name].get(key, ""))]

    def smoke(self, host):
        """The few cases of @host that run beside the list of the first."""
        cases = self.cases(host, "smoke")
        for c in cases:
            c.beside = True
        return cases

    def select(self, host, pattern, stock):
        """The cases that @pattern means, in the order of the table."""
        self.whole = not pattern
        cases = [c for c in self.cases(host)
                 if not (stock and c.kind == "unit")]
        if not pattern:
            return cases
        if pattern == "smoke":
            return self.cases(host, "smoke") or cases
        case_name, colon, only = pattern.partition(": ")
        if colon:
            cases = [c for c in cases if c.name == case_name]
            for c in cases:
                if c.kind in ("ours", "unit"):
                    c.only = only
        else:
            cases = [c for c in cases if self._means(pattern, c)]
        if not cases:
            raise UsageError(f"no case on host {host} is meant by T={pattern}; "
                             "selftests/run --list shows them")
        return cases

    def _means(self, pattern, case):
        names = [case.name] + [n for n in self.gaps
                               if n.startswith(case.name + ": ")]
        return pattern == case.group or any(
            pattern in n or fnmatch.fnmatchcase(n, pattern) for n in names)

    def expected(self, name, host, modules):
        """(result, reason) if @name is not expected to pass, else None."""
        for pattern in self.expect.sections():
            section = self.expect[pattern]
            if "complaint" not in section and \
                    self._concerns(section, host, modules) and \
                    fnmatch.fnmatchcase(name, pattern):
                return section["result"], (f"{section['reason']} "
                                           f"({section['emulator']})")
        if modules == "stock" and name in self.gaps:
            return FAIL, f"gap {self.gaps[name]}, the stock modules have it"
        return None

    def leave_out(self, cases, modules):
        """Give those of @cases their result that are not worth a lost host.

        One that was asked for alone is run all the same.
        """
        for case in cases if len(cases) > 1 else []:
            result, reason = self.expected(case.name, case.host, modules) or \
                ("", "")
            if result == LOST:
                case.results = [Result(case.name, SKIP, reason)]

    @staticmethod
    def _concerns(section, host, modules):
        return on_host(host, section["hosts"]) and \
            section["modules"] in (modules, "both")

    def runs_on(self, name, host):
        """Is the case that prints this name one of the host's, or of nobody's?"""
        case = name.partition(": ")[0]
        return case not in self.tests or on_host(host, self.tests[case]["hosts"])

    def known_complaint(self, complaint, host, modules):
        """The reason why the kernel is known to say this, or "".

        Not listed by name of a case: the same report may come in any of them.
        """
        for name in self.expect.sections():
            section = self.expect[name]
            if "complaint" in section and \
                    self._concerns(section, host, modules) and \
                    re.search(section["complaint"], complaint.report, re.S):
                return section["reason"]
        return ""

    def compare(self, case, result, modules):
        """(what it counts as, why)."""
        if result.known:
            return XFAIL, result.known
        expected, reason = self.expected(result.name, case.host, modules) or \
            ("", "")
        if result.outcome == ERROR:
            return ERROR, result.reason
        if result.outcome == PASS:
            return (XPASS, f"was expected to {expected}: {reason}") \
                if expected else (PASS, "")
        if result.outcome == SKIP:
            return (SKIP, reason) if expected in (SKIP, LOST) else \
                (XSKIP, result.reason or "no reason given")
        return (XFAIL, reason) if expected == FAIL else (FAIL, result.reason)

    def ran(self, case, modules, status, seconds, lines):
        """One run of a case has ended. Of several the first counts that is not as
        it must be, or the first of all."""
        run = copy.copy(case)
        run.judge(status, seconds, lines)
        bad = self.verdict([run], modules, False).status() != 0
        case.runs += 1
        case.bad += bad
        if case.runs == 1 or (bad and case.bad == 1):
            case.seconds, case.lines = run.seconds, run.lines
            case.results = run.results

    def summary(self, case, modules):
        """One word for a case, and what to add to it."""
        verdicts = [self.compare(case, r, modules) for r in case.results]
        kinds = [v[0] for v in verdicts]
        good = kinds.count(PASS)
        for kind, word in ((ERROR, "ERROR"), (FAIL, "FAIL"), (XPASS, "XPASS"),
                           (XSKIP, "SKIP!"), (PASS, "PASS"), (XFAIL, "XFAIL"),
                           (SKIP, "SKIP")):
            if kind in kinds:
                break
        detail = f" ({good} of {len(kinds)})" if len(kinds) > 1 else ""
        if XFAIL in kinds and word == "PASS":
            detail = (f" ({good} of {len(kinds)}, {kinds.count(XFAIL)} failed "
                      "as expected)")
        if len(kinds) == 1 and verdicts[0][1]:
            detail = f": {verdicts[0][1]}"
        return word, detail

    def verdict(self, cases, modules, last=True):
        """Judge @cases; @last: these are all there will be."""
        return Verdict(self, cases, modules, last and self.whole)


class Verdict:
    """All results of a run, compared and counted."""

    BAD = (FAIL, XPASS, XSKIP)

    def __init__(self, suite, cases, modules, whole):
        self.rows = []          # (case, result, what it counts as, why)
        names = set()
        for case in cases:
            for r in case.results:
                self.rows.append((case, r, *suite.compare(case, r, modules)))
                if not case.beside:
                    names.add(r.name)
        if whole:
            for name in suite.gaps:
                if name not in names and suite.runs_on(name, cases[0].host):
                    r = Result(f"gaps.tsv: {name}", FAIL,
                               "no test printed this name")
                    self.rows.append((cases[0], r, FAIL, r.reason))

    def count(self, *kinds):
        return sum(row[2] in kinds for row in self.rows)

    def tap(self):
        out = ["TAP version 13", f"1..{len(self.rows)}"]
        noted = set()
        for i, (case, r, kind, why) in enumerate(self.rows, 1):
            word = "ok" if r.outcome in (PASS, SKIP) else "not ok"
            directive = {SKIP: f" # SKIP {why}", XSKIP: f" # SKIP {why}",
                         XFAIL: f" # TODO {why}",
                         ERROR: f" # ERROR {why}"}.get(kind, "")
            out.append(f"{word} {i} - {titled(case, r)}{directive}")
            if kind == FAIL and why:
                out.append(f"# {why}")
            if kind in (XPASS, XSKIP):
                out.append(f"# {kind}: {why}")
            if case.title not in noted:
                noted.add(case.title)
                out += [f"# {note}" for note in case.notes]
        return "\n".join(out) + "\n"

    def tell(self, again, logs):
        """Everything that is not as it must be, and how to see it again."""
        for case, r, kind, why in self.rows:
            if kind not in self.BAD + (ERROR,):
                continue
            print(f"\n{kind.upper()}: {titled(case, r)}" +
                  (f": {why}" if why else ""))
            for line in case.said(r):
                print(f"    {line}")
            print(f"    log: {logs}/{case.title}.log")
            print(f"    again: make test HOST={case.host} {again}T='{r.name}'")
            if case.where:
                print(f"    its whole boot again: sh {case.where}/command")
        for case in {id(row[0]): row[0] for row in self.rows}.values():
            for note in case.notes:
                print(f"note: {case.title}: {note}")
        print()
        known = [f"{n} {what}" for n, what in
                 ((self.count(SKIP), "known skips"),
                  (self.count(XFAIL), "known failures")) if n]
        if known:
            print(f"skipped are {' and '.join(known)}")
        if self.count(ERROR):
            print(f"ERROR: {self.count(ERROR)} results are unknown: the rig, "
                  "not the code, failed there")

    def final_line(self):
        errors = self.count(ERROR)
        return (f"{self.count(PASS)} passed, {self.count(*self.BAD)} failed, "
                f"{self.count(SKIP, XFAIL)} skipped" +
                (f", {errors} errors" if errors else ""))

    def status(self):
        if self.count(*self.BAD):
            return 1
        return 3 if self.count(ERROR) else 0
