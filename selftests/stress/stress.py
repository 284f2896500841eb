#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run xen_stress in booted hosts for some minutes; tell what came out.

Time is this machine's, which a deterministic host must not see. So the rounds of a
boot are counted out before it: few in the first, which says how long they take.
"""

import argparse
import fcntl
import os
import re
import shlex
import shutil
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [f"{HERE}/..", f"{HERE}/../../lab"]
import hosts  # noqa: E402
import results  # noqa: E402
import rig  # noqa: E402
import run as test  # noqa: E402
from rig import RIG, USAGE  # noqa: E402

PASS, FAIL = 0, 1
FIRST = 6               # rounds of the first boot
BOOT = 300              # seconds a boot takes at most, about
MARGIN = 1.2            # rounds differ
DEAD = 3                # boots in a row without a round: the rig is broken
HUGE_PAGES = 16
# Kernels that check locks, or whose locks sleep: the base's xen.c takes such a lock
# in the interrupt of its timers, after which lockdep is blind and a PREEMPT_RT host
# is lost. So there they stay unarmed.
NO_TIMER = ("debug", "rt")
SEEDS = "selftests/stress/seeds"
ROUND = re.compile(r"^[0-9]+\.[0-9]+(:[0-9a-f/]+(,[0-9a-f/]+)*)?$")


def span(seconds):
    seconds = max(0, int(seconds))
    return f"{seconds // 60}:{seconds % 60:02d}"


class Boot:
    """One boot of a host, and the rounds it ran."""

    def __init__(self, run, number, words):
        self.run, self.number, self.words = run, number, words
        self.out = f"{run.out}/boot-{number}"
        self.open = ""          # the round that began and did not end
        self.done = []
        self.failures = {}      # round: what
        self.began = time.monotonic()
        self.first = self.last = None
        self.status = None

    def line(self, text):
        mark, rest = rig.marked(text)
        name, *words = rest.split(maxsplit=2) or [""]
        if mark == "round" and words == ["begins"]:
            self.open = name
            self.first = self.first or time.monotonic()
        elif mark == "round" and words[:1] == ["ends"] and words[1:]:
            self.open = ""
            self.last = time.monotonic()
            self.done.append(name)
            how, _, numbers = words[1].partition(" ")
            self.run.ended(name, how, numbers)
        elif mark == "failed" and words:
            self.failures[name] = " ".join(words)
            self.run.tell(f"FAILED {name}: {self.failures[name]}")

    def start(self, limit):
        run = self.run
        self.status = rig.host(
            self.out, ["--host", run.host.name, "--modules", run.modules,
                       "--hugepages", str(HUGE_PAGES), "--timeout",
                       str(int(limit)), *run.emulator_seed(self.number),
                       "--file", f"{run.out}/xen_stress:xen_stress"],
            ["xen_stress", "--marks"] + run.switches + self.words, self.line)
        self.look_at_kernel()

    def look_at_kernel(self):
        """What the kernel said is put down to the round in which it did."""
        log = results.KernelLog(f"{self.out}/console.log")
        for name, text in log.found:
            known = self.run.suite.known_complaint(text, self.run.host.name,
                                                   self.run.modules)
            if known:
                self.run.known.add(known)
                continue
            where = name or f"boot-{self.number}"
            if where not in self.failures:
                self.failures[where] = f"the kernel complained: {text}"
                self.run.tell(f"FAILED {where}: {text}")
        if self.open and self.status == FAIL and self.open not in self.failures:
            self.failures[self.open] = "it did not end, and the host did"
            self.run.tell(f"FAILED {self.open}: it did not end")
        elif self.open and self.status != PASS and not self.failures:
            self.run.tell(f"the emulator was lost in round {self.open}")

    def lost_round(self):
        """In which the emulator was lost, not the host's kernel."""
        return "" if self.status in (PASS, FAIL) or self.failures else self.open

    def seconds_per_round(self):
        if not self.done:
            return None
        return max(0.1, (self.last - self.first) / len(self.done))

    def overhead(self):
        return self.first - self.began if self.first else 30


class Run:
    """All of it."""

    def __init__(self, args, host, modules):
        self.args, self.host, self.modules = args, host, modules
        self.seed = int(args.seed[0].partition(".")[0])
        self.named = args.seed if "." in args.seed[0] else []
        self.out = f"build/stress/{host.name}"
        self.switches = []
        if modules == "ours":
            self.switches.append("--any-msr")
        elif host.kernel in NO_TIMER:
            self.switches.append("--no-timer")
        self.suite = results.Suite("selftests")
        self.boots, self.known = [], set()
        self.lost, self.errors = [], []     # rounds; these were lost twice
        self.rounds = self.expected = 0
        self.count = {"ops": 0, "exits": 0, "hypercalls": 0, "errors": 0}
        self.places = self.kept = 0
        self.began = self.told = time.monotonic()
        self.locked = None

    def emulator_seed(self, number):
        """Another interleaving for each boot, where the emulator has more."""
        if self.host.machine != "qemu":
            return []
        return ["--seed", str(self.seed + number)]

    def tell(self, text):
        self.told = time.monotonic()
        test.say(text)

    def left(self):
        return self.args.minutes * 60 - (time.monotonic() - self.began)

    def ended(self, name, how, numbers):
        self.rounds += 1
        for word in numbers.split():
            key, _, value = word.partition("=")
            if key in self.count:
                self.count[key] += int(value)
            elif key == "places":
                self.places = max(self.places, int(value))
            elif key == "kept":
                self.kept = max(self.kept, int(value))
        if time.monotonic() - self.told < 10 and self.rounds > 1:
            return
        rate = self.count["ops"] / max(1, time.monotonic() - self.began)
        reached = f", {self.places} places reached" if self.places else ""
        self.tell(f"round {name} {how}; {self.rounds} of about "
                  f"{max(self.rounds, self.expected)}, {rate:.0f} operations/s"
                  f"{reached}, {self.failed()} failed, "
                  f"{span(self.left())} left")

    def failed(self):
        return sum(len(b.failures) for b in self.boots)

    def prepare(self):
        os.makedirs(self.out, exist_ok=True)
        # pylint: disable=consider-using-with
        self.locked = open(f"{self.out}.lock", "w", encoding="utf-8")
        try:
            fcntl.flock(self.locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise results.UsageError(f"another run is using {self.out}") from e
        shutil.rmtree(self.out)
        os.makedirs(self.out)
        test.make_host(self.host.kernel, self.out)
        test.make_it("The program", ["lab/in-root", "sh", "-c", test.HEADERS +
                                     test.BUILD_STRESS], f"{self.out}/program.log")
        shutil.copy("build/test/programs/ours/xen_stress", self.out)

    def boot(self, words, rounds, seconds):
        """@seconds: what it ought to take."""
        self.expected = self.rounds + rounds
        boot = Boot(self, len(self.boots) + 1, words)
        self.boots.append(boot)
        os.makedirs(boot.out)
        self.tell(f"boot {boot.number}: {self.host.name} host, {rounds} rounds")
        boot.start(3 * seconds + 600 * self.host.slow)
        return boot

    def all(self):
        self.prepare()
        self.began = time.monotonic()
        if self.named:
            boot = self.boot(self.named, len(self.named), 60)
            if not (boot.done or boot.failures or boot.open):
                raise rig.RigError(f"no round ran; see {boot.out}")
            self.once_more(boot)
            return
        index, rounds, dead = 0, max(2, FIRST // self.host.slow), 0
        cost, overhead = 5 * self.host.slow, 30 * self.host.slow
        while index == 0 or self.left() > overhead + 2 * cost:
            if index:
                room = min(BOOT * max(1, self.host.slow // 2), self.left())
                rounds = max(1, int((room - overhead) / cost / MARGIN))
            boot = self.boot(["--seed", str(self.seed), "--first", str(index),
                              "--rounds", str(rounds)], rounds,
                             overhead + rounds * cost)
            index += len(boot.done) + bool(boot.open)
            if boot.done:
                cost, overhead = boot.seconds_per_round(), boot.overhead()
            dead = 0 if boot.done or boot.open else dead + 1
            if dead == DEAD:
                raise rig.RigError(f"no round ran; see {boot.out}")
            self.once_more(boot)

    def once_more(self, boot):
        """The round that lost the emulator, alone; twice is an ERROR."""
        name = boot.lost_round()
        if not name:
            return
        self.lost.append(name)
        if self.boot([name], 1, 60).lost_round():
            self.errors.append(name)

    def keep(self, name, what):
        """A round that failed is a case of make test from now on."""
        with open(SEEDS, encoding="utf-8") as f:
            if any(line.startswith(name + "\t") for line in f):
                return
        with open(SEEDS, "a", encoding="utf-8") as f:
            f.write(f"{name}\t{self.host.name}\t{what}\n")
        print(f"    kept as a case of make test: {SEEDS}")

    def finish(self):
        again = "STOCK=1 " if self.modules == "stock" else ""
        for boot in self.boots:
            for name, what in boot.failures.items():
                print(f"\nFAILED: {name}: {what}")
                print(f"    logs: {boot.out}/out.log {boot.out}/console.log")
                if ROUND.match(name):
                    print(f"    alone: make stress HOST={self.host.name} "
                          f"{again}SEED={shlex.quote(name)}")
                    if self.modules == "ours" and not self.named:
                        self.keep(name, what)
                print(f"    its whole boot again: sh {boot.out}/command")
        text = self.paragraph()
        with open(f"{self.out}/report.txt", "w", encoding="utf-8") as f:
            f.write(text + "\n")
        print(f"\n{text}")
        if self.failed():
            return FAIL
        return RIG if self.errors or not self.rounds else PASS

    def paragraph(self):
        count = self.count
        minutes = (time.monotonic() - self.began) / 60
        text = (f"Stress of {self.modules} modules on host {self.host.name}, "
                f"SEED={' '.join(self.args.seed)}: {minutes:.1f} minutes, "
                f"{self.rounds} rounds in {len(self.boots)} boots, "
                f"{count['ops']} operations, {count['errors']} system calls "
                f"refused or interrupted, {count['exits']} exits of guests, "
                f"{count['hypercalls']} of them Xen hypercalls. ")
        if self.places:
            text += (f"KVM's code was reached at {self.places} places, "
                     f"{self.kept} blocks of operations were kept for it. ")
        if self.failed():
            text += f"{self.failed()} rounds failed."
        else:
            text += ("No report of the kernel, no unknown answer, nothing left "
                     "behind, and a new VM worked after each round.")
        if self.modules == "stock":
            text += (" On stock modules some is left out, as "
                     "docs/testing.rst explains.")
        for known in sorted(self.known):
            text += f" Known complaint: {known}."
        if self.lost:
            text += (f" The emulator was lost {len(self.lost)} times, in round "
                     f"{', '.join(self.lost)}; each was run again.")
        if self.errors:
            text += (f" ERROR: {', '.join(self.errors)} lost it twice, or hung "
                     "the host: nothing is known of them.")
        return text


def parse(argv):
    p = argparse.ArgumentParser(
        prog="selftests/stress/run", allow_abbrev=False,
        description="Random operations of KVM's Xen ABI in booted hosts.",
        epilog="Environment: HOST=name of a host, STOCK=1 (the stock modules). "
               "Exit status: 0 all rounds were as they must be, 1 some failed, "
               "2 wrong usage, 3 the rig failed.")
    p.add_argument("--minutes", default="", help="how long (default 10)")
    p.add_argument("--seed", default="", help="a number; or names of rounds, "
                   "which are run alone: 1234.17")
    args = p.parse_args(argv)
    try:
        args.minutes = float(args.minutes or 10)
    except ValueError as e:
        raise results.UsageError(f"MIN={args.minutes} is not a number") from e
    args.seed = args.seed.split() or [str(int.from_bytes(os.urandom(3)))]
    if not all(ROUND.match(s) for s in args.seed) and not (
            len(args.seed) == 1 and re.fullmatch("[0-9]{1,9}", args.seed[0])):
        raise results.UsageError(f"SEED={' '.join(args.seed)} is neither a "
                                 "number nor the name of a round")
    return args


def main(argv):
    try:
        args = parse(argv)
        host = hosts.find(os.environ.get("HOST") or hosts.DEFAULT)
        stock = os.environ.get("STOCK", "") not in ("", "0")
        job = Run(args, host, "stock" if stock else "ours")
        test.say(f"stress of the {job.modules} modules on host {host.name}, "
                 f"SEED={' '.join(args.seed)}")
        job.all()
    except (results.UsageError, hosts.UnknownHost) as e:
        print(f"selftests/stress/run: {e}", file=sys.stderr)
        return USAGE
    except rig.RigError as e:
        print(f"selftests/stress/run: ERROR: {e}", file=sys.stderr)
        return RIG
    return job.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
