# SPDX-License-Identifier: GPL-2.0
"""What the guests of one boot tell, and the figures that it makes.

Their turns are told of by lab/guest-turns, phases and exits by lab/guest-trace, work by
lab/guest/xen-guest-work. A turn that lacks a figure is an error, not a figure less.
"""

import re

import hypercalls
from figures import BenchError

TURN = re.compile(r"^host: turn (\d+) (\w+)$")
OVER = "host: turn over"
FIO = re.compile(r"^guest: fio ([0-9.]+) a second")
IPI = re.compile(r"^guest: load ipi (\d+) rounds .* in (\d+) us")
PERF = re.compile(r"^guest: perf pipe (\d+) rounds, .* in ([0-9.]+) s$")
# Each ends when the next is announced, and the last is the end.
PHASES = ["boot", "up", "load"]


def exits(phase):
    """All to the VMM from the guest's start until the end of @phase."""
    return sum(n for (kind, _), n in phase[2].items() if kind == "exit")


def told(lines, pattern):
    """The groups of the one line that has it."""
    found = [m for m in map(pattern.search, lines) if m]
    if len(found) != 1:
        raise BenchError(f"a guest told {len(found)} times what it was to tell "
                         f"once: {pattern.pattern}")
    return found[0].groups()


def of_turn(lines):
    """The figures of a turn: (metric, unit, parameters, value)."""
    phases = hypercalls.read(lines)
    if [name for name, _, _ in phases] != PHASES:
        raise BenchError("a guest went through the phases "
                         f"{[name for name, _, _ in phases]}")
    boot, up, load = phases
    rounds, us = map(int, told(lines, IPI))
    pipes, seconds = map(float, told(lines, PERF))
    yield "guest_boot", "s", "", boot[1]
    yield "guest_fio", "1/s", "", float(told(lines, FIO)[0])
    yield "guest_ipi", "1/s", "", rounds / us * 1e6
    yield "guest_ipi", "1/s", "program=perf-bench-sched-pipe", pipes / seconds
    yield "exits_user_boot", "exits", "", exits(up)
    yield "exits_user_load", "exits/s", "", \
        (exits(load) - exits(up)) / (load[1] - up[1])


class Turns:
    """Follows the lines of one boot; knows the turns that are over."""

    def __init__(self):
        self.turn, self.lines, self.figures = None, [], {}

    def heard(self, text):
        """Returns the turn that is over with this line: (pair, side), or None."""
        begins = TURN.search(text)
        if begins:
            self.turn, self.lines = (int(begins[1]), begins[2]), []
        elif text == OVER and self.turn:
            over, self.turn = self.turn, None
            if over in self.figures:
                raise BenchError(f"turn {over} came twice")
            self.figures[over] = list(of_turn(self.lines))
            return over
        elif self.turn:
            self.lines.append(text)
        return None

    def pairs(self, sides):
        """Pair -> side -> figures, of those whose turns are all over."""
        return {pair: {side: self.figures[pair, side] for side in sides}
                for pair in sorted({p for p, _ in self.figures})
                if all((pair, side) in self.figures for side in sides)}
