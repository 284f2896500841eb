#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run the test list, judge it against what is expected, keep it as TAP.

Makes what is missing first: the Debian root, the modules, the guest's disk, the
programs. Then unit tests here, programs in booted hosts (two side by side where
there are two CPUs), and a guest boot. See docs/testing.rst.
"""

import argparse
import fcntl
import os
import queue
import shlex
import shutil
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, f"{HERE}/../lab"]
import hosts  # noqa: E402
import results  # noqa: E402
import rig  # noqa: E402
from results import Case, Suite, UsageError  # noqa: E402
from rig import RIG, TRIES, USAGE, RigError  # noqa: E402

# Side by side, if there are as many CPUs.
EMULATORS = int(os.environ.get("LAB_EMULATORS") or 2)
SILENCE = 600           # seconds without a word from a host, and this many
SLOWNESS = 20           # times its cost of the case: the host is lost
QUIET = 60              # seconds after which we say what is being done
HUGE_PAGES = 200        # for the tests of guest memory

START = time.monotonic() - max(0, time.time() -
                               float(os.environ.get("LAB_T0", time.time())))


def say(text):
    print(f"[{int(time.monotonic() - START):4d}s] {text}", flush=True)


def make_it(what, command, log, show=False):
    """One stage of what has to be there. Its output goes to a log.

    @show: it takes long, and what it says is how far it is.
    """
    began = time.monotonic()
    say(f"{what} …")
    os.makedirs(os.path.dirname(log), exist_ok=True)
    env = {k: v for k, v in os.environ.items()
           if k not in ("STOCK", "T", "HOST")}
    with open(log, "w", encoding="utf-8") as f:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=env, text=True, errors="replace") as p:
            tail = []
            for line in p.stdout:
                f.write(line)
                if show:
                    print(line, end="", flush=True)
                tail = (tail + [line.rstrip()])[-5:]
    if p.returncode:
        for line in tail:
            print(f"       {line}")
        raise RigError(f"{what} failed; the log is {log}")
    say(f"{what}: done in {time.monotonic() - began:.0f} s")


def make_host(kernel, logs):
    """What a host needs before it can boot; the logs go to that directory."""
    make_it("Debian 13 root", ["lab/root"], f"{logs}/root.log")
    modules = ["lab/in-root", "overlay/build"]
    if kernel != "debian":
        make_it(f"Kernel {kernel}", ["lab/kernel", kernel],
                f"{logs}/kernel-{kernel}.log", show=True)
        modules += ["--kernel", kernel]
    make_it("Modules", modules, f"{logs}/modules.log")


HEADERS = r"""
set -eu
src=/kvm-xen/build/base/linux-source-$(sed -n 's/^SERIES=//p' META)
out=/kvm-xen/build/test/programs version=$(cat build/base/version)
mkdir -p $out
if [ "$(cat $out/version 2>/dev/null)" != "$version" ]; then
    rm -rf $out/headers $out/upstream $out/version
    make -s -C $src O=$out/headers headers_install INSTALL_HDR_PATH=$out/headers/usr
    mkdir -p $out/upstream
    printf '%s\n' "$version" >$out/version
fi
hdrs=$out/headers/usr/include
"""
BUILD_STRESS = r"""
make --no-print-directory -C selftests/stress OUT=$out/ours HDRS=$hdrs
"""
BUILD_PROGRAMS = HEADERS + BUILD_STRESS + r"""
# Without a target it would make them all.
[ $# -eq 0 ] || LDFLAGS=-static EXTRA_CFLAGS=-g0 make -s -k -j$(nproc) ARCH=x86_64 \
    -C $src/tools/testing/selftests/kvm OUTPUT=$out/upstream \
    KHDR_INCLUDES="-isystem $hdrs" "$@"
make --no-print-directory -C selftests/kvm OUT=$out/ours KSRC=$src HDRS=$hdrs \
    KDIR=$kdir PROBE=$probe
"""
DEBIAN = """
kdir=/lib/modules/$(cat build/modules/release)/build probe=probe
"""
OTHER = """
kernel=$1; shift
kdir=/kvm-xen/build/kernel/$kernel/obj probe=probe-$kernel
"""


def build_programs(suite, cases, kernel):
    """Compile ours and the upstream programs of the list, in the root.

    @kernel: the host's; the probe is a module of it.
    """
    out = "/kvm-xen/build/test/programs/upstream"
    series = suite.meta["SERIES"]
    base = f"build/base/linux-source-{series}/tools/testing/selftests/kvm"
    targets = []
    for program in sorted({c.program for c in cases if c.kind == "upstream"}):
        sub = "x86_64/" if os.path.exists(f"{base}/x86_64/{program}.c") else ""
        targets.append(f"{out}/{sub}{program}")
    script = [DEBIAN + BUILD_PROGRAMS, "sh"]
    if kernel != "debian":
        script = [OTHER + BUILD_PROGRAMS, "sh", kernel]
    make_it("Building the test programs",
            ["lab/in-root", "sh", "-c"] + script + targets,
            "build/test/programs.log")


def make_payload(directory, cases, kernel):
    """The programs, the probe and the list of one boot."""
    programs = "build/test/programs"
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    for script in ("host-cases", "host-params"):
        shutil.copy(f"selftests/{script}", directory)
    probe = "probe" if kernel == "debian" else f"probe-{kernel}"
    shutil.copy(f"{programs}/ours/{probe}/kvm_xen_probe.ko", directory)
    with open(f"{directory}/list", "w", encoding="utf-8") as f:
        for c in cases:
            line = "\t".join((c.name, str(c.timeout), c.setup or "-",
                              "/payload/" + c.command())) + "\n"
            f.write(line * c.left())
    for program in {c.program for c in cases}:
        for where in ("ours", "upstream", "upstream/x86_64"):
            path = f"{programs}/{where}/{program}"
            if os.path.isfile(path):
                shutil.copy(path, directory)
                break
        else:
            raise RigError(f"no program {program} was built; "
                           "the log is build/test/programs.log")


class Boot:
    """One emulated host and the cases it runs; follows its output."""

    def __init__(self, lane, cases):
        self.lane, self.cases = lane, cases
        self.out = f"{lane.out}/boot-{lane.boots}"
        self.current = None
        self.lines = []
        self.unaccounted = ""
        self.ran = set()        # names of cases that ran at least once
        self.done = set()       # and of those that need no other boot
        self.heard = time.monotonic()

    def line(self, text):
        self.heard = time.monotonic()
        mark, rest = rig.marked(text)
        words = rest.split()
        if mark == "case" and words:
            self.current, self.lines, self.unaccounted = words[0], [], ""
            self.lane.started(self.current)
        elif mark == "unaccounted":
            self.unaccounted = rest
        elif mark == "end" and len(words) == 3:
            self.current = None
            self.ran.add(words[0])
            if self.lane.finished(words[0], int(words[1]), int(words[2]),
                                  self.lines, self.unaccounted):
                self.done.add(words[0])
        elif self.current:
            self.lines.append(text)

    def run(self):
        """Returns the status of lab/host, or RIG if it fell silent."""
        payload = f"{self.out}/payload"
        make_payload(payload, self.cases, self.lane.host.kernel)
        slow = self.lane.host.slow
        limit = 300 * slow + sum((60 * slow + 8 * c.cost) * c.left()
                                 for c in self.cases)
        status = rig.host(
            self.out, ["--host", self.lane.host.name, "--modules",
                       self.lane.modules, "--payload", payload, "--hugepages",
                       str(HUGE_PAGES), "--timeout", str(limit),
                       *self.lane.boot],
            ["host-cases", "/payload/list"], self.line, self.watch)
        # Any other status is that of a signal: ours, when it fell silent.
        return status if status in (0, 1) else RIG

    def watch(self, p):
        while p.poll() is None:
            case = self.lane.cases.get(self.current)
            # A boot has a limit of its own, lab/host's.
            patience = SILENCE + SLOWNESS * case.cost if case else \
                SILENCE * self.lane.host.slow
            if time.monotonic() - self.heard > patience:
                p.terminate()
                return
            time.sleep(1)


class Lane:
    """Boots hosts one after the other until its cases are all judged."""

    def __init__(self, runner, number, cases):
        self.runner, self.modules = runner, runner.modules
        self.host = hosts.find(cases[0].host)
        self.boot = shlex.split(cases[0].boot)
        self.out = f"{runner.out}/lane-{number}"
        self.cases = {c.name: c for c in cases}
        self.lost = {c.name: 0 for c in cases}
        self.boots = 0
        self.booting = f"boot of host {number}"
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(self.out)

    def started(self, name):
        self.runner.running.add(self.cases[name].title)
        self.runner.running.discard(self.booting)

    def finished(self, name, status, seconds, lines, unaccounted):
        """A run of a case has ended. Returns whether it was the last."""
        case = self.cases[name]
        self.runner.suite.ran(case, self.modules, status, seconds, lines)
        if unaccounted:
            case.unaccounted(unaccounted)
        if case.left():
            return False
        if self.lost[name]:
            case.note(f"the emulator was lost in the first try of {name}")
        self.runner.report(case)
        return True

    def run(self):
        """Cases that were cut off start the next boot, so none is forgotten."""
        left = list(self.cases.values())
        dead_boots = 0
        while left:
            self.boots += 1
            boot = Boot(self, left)
            os.makedirs(boot.out)
            self.runner.running.add(self.booting)
            status = boot.run()
            self.runner.running.discard(self.booting)
            if boot.current:
                self.runner.running.discard(self.cases[boot.current].title)
            kernel = results.KernelLog(f"{boot.out}/console.log")
            for name in list(boot.ran) + [boot.current]:
                if name:
                    self.cases[name].where = boot.out
            self.runner.kernel(self.host.name, kernel,
                               [c for c in left if c.name in boot.ran],
                               boot.out)
            if self.runner.as_expected([self.cases[n] for n in boot.ran]) and \
                    not boot.current:
                # Kept only for those who want to see a failure again.
                shutil.rmtree(f"{boot.out}/payload", ignore_errors=True)
            left = [c for c in left if c.name not in boot.done]
            if not boot.ran and not boot.current:
                dead_boots += 1
            if boot.current:
                self.cut_off(left, boot, kernel, status)
            if dead_boots == TRIES or (left and status != RIG and
                                       not boot.current and not boot.ran):
                for c in left:
                    c.error(f"the host ran no case; see {boot.out}")
                    self.runner.report(c)
                return
            if left:
                say(f"{self.host.name}: another boot for the {len(left)} cases left")

    def cut_off(self, left, boot, kernel, status):
        """The host ended in the middle of a case."""
        case = self.cases[boot.current]
        died = kernel.of(case.name)
        self.lost[case.name] += 1
        if status != RIG and died:
            case.fail(f"the host's kernel died: {died[0]}", boot.lines)
        elif case.bad:
            # One that is known to be wrong is not tried again.
            case.note("the emulator was lost in a later run")
        elif self.lost[case.name] < TRIES:
            say(f"{self.host.name}: the emulator was lost in {case.name}; "
                "it is run again")
            # First in the next boot: nothing before it can be the cause.
            left.remove(case)
            left.insert(0, case)
            return
        else:
            case.error(f"the emulator was lost {TRIES} times; see {boot.out}",
                       boot.lines)
        left.remove(case)
        self.runner.report(case)


class Runner:
    """The whole run on one host."""

    def __init__(self, suite, host, stock):
        self.suite, self.host, self.stock = suite, host, stock
        self.modules = "stock" if stock else "ours"
        self.name = host.name + ("-stock" if stock else "")
        self.out = f"build/test/{self.name}"
        self.lock = threading.Lock()
        self.judged = 0
        self.running = set()
        self.told = time.monotonic()
        self.complaints = []
        self.locked = None

    def tell(self, text):
        self.told = time.monotonic()
        say(text)

    def prepare(self, cases):
        kinds = {c.kind for c in cases}
        make_host(self.host.kernel, "build/test")
        if "guest" in kinds:
            make_it("Guest's disk", ["lab/guest-disk"],
                    "build/test/guest-disk.log")
        if kinds & {"ours", "upstream"}:
            build_programs(self.suite, cases, self.host.kernel)

    def take_lock(self):
        """One run at a time keeps its results in one place."""
        os.makedirs("build/test", exist_ok=True)
        # pylint: disable=consider-using-with
        self.locked = open(f"build/test/{self.name}.lock", "w",
                           encoding="utf-8")
        try:
            fcntl.flock(self.locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise UsageError(f"another run is using {self.out}; wait for it "
                             "to end") from e

    def run(self, cases):
        self.take_lock()
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(self.out)
        self.cases = cases
        self.prepare(cases)
        self.suite.leave_out(cases, self.modules)
        for c in cases:
            if c.results:
                self.report(c)
            elif c.kind == "unit":
                self.unit(c)
        cases = [c for c in cases if not c.results]
        jobs = []
        for host in dict.fromkeys(c.host for c in cases):
            jobs += self.jobs(host, [c for c in cases if c.host == host])
        self.in_parallel(jobs)

    def jobs(self, host, cases):
        """What there is to do on one host: lanes of programs, guest boots."""
        hosted = [c for c in cases if c.kind in ("ours", "upstream")]
        guests = [c for c in cases if c.kind == "guest"]
        # The list of another host is short: one boot is better than two.
        lanes = self.lanes(host, [c for c in hosted if not c.boot],
                           self.emulators() if host == self.host.name else 1)
        for boot in dict.fromkeys(c.boot for c in hosted if c.boot):
            lanes.append(Lane(self, f"{host}-{len(lanes)}",
                              [c for c in hosted if c.boot == boot]))
        jobs = [lambda ln=ln: ln.run() for ln in lanes]
        jobs[1:1] = [lambda c=c: self.guest(c) for c in guests]
        if jobs:
            say(f"{host}: {len(hosted)} programs and {len(guests)} guest boots")
        return jobs

    @staticmethod
    def emulators():
        return max(1, min(EMULATORS, os.cpu_count() or 1))

    def lanes(self, host, cases, most):
        """Share the cases out: the dearest first, to who has least."""
        n = min(most, len(cases))
        shares = [[0, []] for _ in range(n)]
        if n > 1:
            # The last lane waits for the guest boots, see jobs().
            shares[-1][0] = sum(c.cost for c in self.cases
                                if c.kind == "guest" and c.host == host)
        for c in sorted(cases, key=lambda c: -c.cost):
            share = min(shares, key=lambda s: s[0])
            share[0] += c.cost
            share[1].append(c)
        for share in shares:
            # Ours first, then as the list has them.
            share[1].sort(key=lambda c: (c.kind != "ours", c.order))
        return [Lane(self, f"{host}-{i}", s[1])
                for i, s in enumerate(shares) if s[1]]

    def in_parallel(self, jobs):
        todo, errors = queue.Queue(), []
        for job in jobs:
            todo.put(job)

        def work():
            while True:
                try:
                    job = todo.get_nowait()
                except queue.Empty:
                    return
                try:
                    job()
                except Exception as e:  # pylint: disable=broad-except
                    errors.append(e)

        threads = [threading.Thread(target=work)
                   for _ in range(self.emulators())]
        for t in threads:
            t.start()
        while any(t.is_alive() for t in threads):
            time.sleep(1)
            if time.monotonic() - self.told > QUIET and self.running:
                self.tell("running: " + ", ".join(sorted(self.running)))
        if errors:
            raise errors[0]

    def unit(self, case):
        say(f"unit tests, SAN={case.args} …")
        env = {k: v for k, v in os.environ.items() if k not in ("STOCK", "T")}
        env["SAN"] = case.args
        only = [case.only] if case.only else []
        while case.left() and not case.bad:
            p = subprocess.run(["selftests/unit/run"] + only, env=env,
                               text=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, errors="replace")
            self.suite.ran(case, self.modules, p.returncode, None,
                           p.stdout.splitlines())
        self.report(case)

    def guest(self, case):
        """Boot a Xen HVM guest in a host of its own; twice if the host is lost."""
        out = f"{self.out}/{case.title}"
        os.makedirs(out)
        self.running.add(case.title)
        while case.left() and not case.bad:
            self.boot_guest(case, out)
        self.report(case)

    def boot_guest(self, case, out):
        """One of a case's boots; again if the host is lost."""
        for i in range(TRIES):
            began = time.monotonic()
            status, lines = rig.guest(
                out, ["--host", case.host, "--modules", self.modules,
                      "--complaints", "tell"] + case.args.split())
            if status != RIG:
                break
            if i == 0:
                say(f"{case.title}: the emulator was lost; it is run again")
        self.suite.ran(case, self.modules, status, time.monotonic() - began,
                       lines)
        for _, text in results.KernelLog(f"{out}/console.log").found:
            case.complaint(text, f"{out}/console.log",
                           self.suite.known_complaint(text, case.host,
                                                      self.modules))
        if i and status != RIG:
            case.note("the emulator was lost in the first try")

    def kernel(self, host, log, cases, out):
        """Put the kernel's complaints down to cases; they fail them."""
        names = {case.name: case for case in cases}
        where = f"{out}/console.log"
        with self.lock:
            for name, text in log.found:
                known = self.suite.known_complaint(text, host, self.modules)
                if name in names:
                    names[name].complaint(text, where, known)
                if not known:
                    say(f"{host}: the kernel complained in "
                        f"{name or 'no case'}: {text}")
                    self.complaints.append((host, text, where))

    def as_expected(self, cases):
        return self.suite.verdict(cases, self.modules, False).status() == 0

    def report(self, case):
        """A case is judged: show it, keep its log."""
        if case.repeat > 1 and case.runs:
            case.note(f"{case.runs} runs, {case.bad} of them not as they "
                      "must be")
        with self.lock:
            self.judged += 1
            path = f"{self.out}/{case.title}.log"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write("\n".join(case.lines) + "\n")
            word, detail = self.suite.summary(case, self.modules)
            took = "" if case.seconds is None else f" {case.seconds:.0f} s"
            self.running.discard(case.title)
            self.tell(f"{self.judged:3d}/{len(self.cases)} {word:7s} "
                      f"{case.title}{took}{detail}")

    def finish(self):
        """Write the TAP, tell what is not as it must be. Returns exit status."""
        for name in dict.fromkeys(c.host for c in self.cases
                                  if c.kind in ("ours", "upstream")):
            host = Case.always(name, "kernel log is clean")
            found = [c[1:] for c in self.complaints if c[0] == name]
            if found:
                host.fail(f"{len(found)} complaints, the first: "
                          f"{found[0][0]} ({found[0][1]})")
            self.cases.append(host)
        tap = f"build/test/{self.name}.tap"
        verdict = self.suite.verdict(self.cases, self.modules)
        with open(tap + ".new", "w", encoding="utf-8") as f:
            f.write(verdict.tap())
        os.rename(tap + ".new", tap)
        verdict.tell("STOCK=1 " if self.stock else "", self.out)
        print(f"TAP: {tap}   logs: {self.out}/")
        print(verdict.final_line())
        return verdict.status()


def parse(argv):
    p = argparse.ArgumentParser(
        prog="selftests/run", allow_abbrev=False,
        description="Run the tests in an emulated host and judge them.",
        epilog="Environment (or make variables): HOST=name of a host, "
               "T=pattern (a part or a glob of a case's or a result's name, "
               "a group, or smoke), "
               "STOCK=1 (the stock modules), "
               "REPEAT=n (each case n times in one boot).")
    p.add_argument("--list", action="store_true", help="only show the cases")
    return p.parse_args(argv)


def repeats():
    """How often each case is run."""
    text = os.environ.get("REPEAT") or "1"
    if not (text.isascii() and text.isdigit() and int(text)):
        raise UsageError(f"REPEAT={text} is no number of times")
    return int(text)


def main(argv):
    args = parse(argv)
    stock = os.environ.get("STOCK", "") not in ("", "0")
    try:
        host = hosts.find(os.environ.get("HOST") or hosts.DEFAULT)
        suite = Suite("selftests")
        pattern = os.environ.get("T", "")
        cases = suite.select(host.name, pattern, stock)
        if host.name == hosts.DEFAULT and not (pattern or stock):
            for other in hosts.HOSTS:
                cases += suite.smoke(other)
        for c in cases:
            c.repeat = repeats()
    except (UsageError, hosts.UnknownHost) as e:
        print(f"selftests/run: {e}", file=sys.stderr)
        return USAGE
    if args.list:
        for c in cases:
            print(f"{c.group:6s} {c.title:34s} {c.command()}")
        return 0
    for c in cases:
        c.slow_down(hosts.find(c.host).slow)
    runner = Runner(suite, host, stock)
    try:
        runner.run(cases)
    except UsageError as e:
        print(f"selftests/run: {e}", file=sys.stderr)
        return USAGE
    except RigError as e:
        print(f"selftests/run: ERROR: {e}", file=sys.stderr)
        return RIG
    return runner.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
