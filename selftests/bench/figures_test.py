#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the bench's judge: what cannot be right does not become a ratio."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, f"{HERE}/../../lab"]
import figures  # noqa: E402
import guests  # noqa: E402
import report  # noqa: E402


def metric(name="cost", unit="ns", goals="<=1.05", exact=False):
    return figures.Metric(name, "cores", unit, goals, exact)


def figures_of(*lines, **kwargs):
    m = metric(**kwargs)
    f = figures.Figures({(m.name, m.host): m})
    for line in lines:
        f.add("cores", line)
    return f


class WhatIsRight(unittest.TestCase):
    def test_ratio_is_of_pairs(self):
        f = figures_of("cost\tns\t\tours\t0\t10", "cost\tns\t\tstock\t0\t20",
                    "cost\tns\t\tours\t1\t100", "cost\tns\t\tstock\t1\t200",
                    "cost\tns\t\tours\t2\t1", "cost\tns\t\tstock\t2\t1")
        row, = f.rows()
        self.assertEqual((row.ratio, row.ours, row.stock), (0.5, 10, 20))
        self.assertEqual(row.repetitions, 3)
        self.assertTrue(row.reached())

    def test_nothing_of_nothing_is_no_ratio(self):
        f = figures_of("cost\tlocks\t\tours\t0\t0", "cost\tlocks\t\tstock\t0\t0",
                    unit="locks")
        row, = f.rows()
        self.assertIsNone(row.ratio)
        self.assertTrue(row.reached())

    def test_something_of_nothing_misses_the_goal(self):
        f = figures_of("cost\tlocks\t\tours\t0\t1", "cost\tlocks\t\tstock\t0\t0",
                    unit="locks")
        self.assertFalse(f.rows()[0].reached())
        self.assertEqual(f.rows()[0].words()[6], "inf")

    def test_goal_of_some_parameters(self):
        m = metric(goals="caches=512: <=0.05; <=1.05")
        self.assertEqual(m.goal("caches=512"), ("<=", 0.05))
        self.assertEqual(m.goal("caches=1"), ("<=", 1.05))

    def test_rates_are_better_high(self):
        f = figures_of("cost\tns\t\tours\t0\t2", "cost\tns\t\tstock\t0\t1",
                    goals=">=3")
        self.assertFalse(f.rows()[0].reached())

    def test_numbers_are_sorted_as_numbers(self):
        names = ["caches=512", "caches=64", "caches=4096", "caches=1"]
        self.assertEqual(sorted(names, key=figures.natural),
                         ["caches=1", "caches=64", "caches=512",
                          "caches=4096"])


class WhatIsWrong(unittest.TestCase):
    def wrong(self, *lines, **kwargs):
        with self.assertRaises(figures.BenchError):
            figures_of(*lines, **kwargs).rows()

    def test_not_a_figure(self):
        self.wrong("something the program said")

    def test_unknown_metric_unit_or_side(self):
        self.wrong("price\tns\t\tours\t0\t1")
        self.wrong("cost\tlocks\t\tours\t0\t1")
        self.wrong("cost\tns\t\ttheirs\t0\t1")

    def test_impossible_values(self):
        for value in ("0", "-1", "nan", "inf", "fast"):
            self.wrong(f"cost\tns\t\tours\t0\t{value}",
                       "cost\tns\t\tstock\t0\t1")

    def test_only_one_side(self):
        self.wrong("cost\tns\t\tours\t0\t1")

    def test_unlike_repetitions(self):
        self.wrong("cost\tns\t\tours\t0\t1", "cost\tns\t\tstock\t1\t1")

    def test_a_repetition_twice(self):
        self.wrong("cost\tns\t\tours\t0\t1", "cost\tns\t\tours\t0\t1")

    def test_exact_and_not_the_same_twice(self):
        self.wrong("cost\tns\t\tours\t0\t1", "cost\tns\t\tstock\t0\t1",
                   "cost\tns\t\tours\t1\t1", "cost\tns\t\tstock\t1\t2",
                   exact=True)

    def test_percentiles_in_disorder(self):
        metrics = {(n, "cores"): metric(n) for n in figures.ASCENDING}
        f = figures.Figures(metrics)
        for value, name in zip((5, 4, 6, 7), figures.ASCENDING):
            for side in figures.SIDES:
                f.add("cores", f"{name}\tns\t\t{side}\t0\t{value}")
        with self.assertRaises(figures.BenchError):
            f.rows()


# What a guest and its host tell in one turn.
TURN = """\
host: turn 3 SIDE
[    1.235485] smp: Brought up 1 node, 2 CPUs
guest: phase up
guest: fio 500.5 a second
guest: load ipi 2000 rounds between CPU 0 and CPU 1, 250 barriers, in 10000000 us
guest: perf pipe 1500 rounds, 3004 wake-ups across CPUs, in 5.000 s
host: trace boot 40.25 exit 2 90
host: trace boot 40.25 exit 34 10
host: trace up 50.00 exit 2 95
host: trace up 50.00 exit 34 10
host: trace load 70.00 exit 2 95
host: trace load 70.00 exit 34 15
host: turn over
"""


class Guests(unittest.TestCase):
    def turns(self, *texts):
        seen = guests.Turns()
        for line in "".join(texts).splitlines():
            seen.heard(line)
        return seen

    def test_figures_of_a_turn(self):
        seen = self.turns(TURN.replace("SIDE", "ours"))
        self.assertEqual(seen.figures[3, "ours"], [
            ("guest_boot", "s", "", 40.25), ("guest_fio", "1/s", "", 500.5),
            ("guest_ipi", "1/s", "", 200.0),
            ("guest_ipi", "1/s", "program=perf-bench-sched-pipe", 300.0),
            ("exits_user_boot", "exits", "", 105),
            ("exits_user_load", "exits/s", "", 0.25)])

    def test_all_are_in_the_table(self):
        table = figures.read_metrics(f"{HERE}/metrics.tsv")
        for name, unit, *_ in self.turns(TURN).figures[3, "SIDE"]:
            self.assertEqual(table[name, "amd"].unit, unit)

    def test_half_a_pair_is_none(self):
        ours, stock = (TURN.replace("SIDE", s) for s in figures.SIDES)
        lost = stock.replace("turn 3", "turn 4").partition("host: trace")[0]
        self.assertEqual(self.turns(ours).pairs(figures.SIDES), {})
        self.assertEqual(list(self.turns(ours, stock, lost).pairs(figures.SIDES)), [3])

    def test_a_turn_that_lacks_a_figure(self):
        for lacks in ("guest: fio", "guest: load", "guest: perf",
                      "host: trace up"):
            text = "".join(line + "\n" for line in TURN.splitlines()
                           if not line.startswith(lacks))
            with self.assertRaises(figures.BenchError, msg=lacks):
                self.turns(text)

    def test_a_turn_twice(self):
        with self.assertRaises(figures.BenchError):
            self.turns(TURN, TURN)


SHORT = """\
The last table
==============

``refresh``
  Not this one.

What falls short, and why
=========================

``refresh``, and ``deliver_max`` with ``storm=overlap``
  The one & only
  reason.

Notes
=====
"""


class Reasons(unittest.TestCase):
    def row(self, name, parameters, ours):
        return figures.Row(metric(name), parameters, ours, 1.0, ours, 1, 0.0)

    def test_a_goal_that_is_missed_has_its_reason(self):
        items = report.reasons(SHORT)
        self.assertEqual([words for words, _ in items],
                         [{"refresh", "deliver_max", "storm=overlap"}])
        text = report.shortfalls([self.row("refresh", "caches=1", 2.0)], items)
        self.assertIn("The one &amp; only reason.", text)
        self.assertNotIn("Not this one", text)

    def test_of_what_is_reached_nothing_is_said(self):
        self.assertEqual(report.shortfalls([self.row("refresh", "", 0.5)],
                                           report.reasons(SHORT)), "")

    def test_what_has_no_reason_says_so(self):
        for name, parameters in (("zap_1g", ""), ("deliver_max", "storm=none")):
            text = report.shortfalls([self.row(name, parameters, 2.0)],
                                     report.reasons(SHORT))
            self.assertIn("no reason", text)

    def test_the_document_has_them(self):
        with open(f"{HERE}/../../docs/performance.rst", encoding="utf-8") as f:
            items = report.reasons(f.read())
        self.assertTrue(any("zap_beside_faults" in words for words, _ in items))


class TheTable(unittest.TestCase):
    def test_it_can_be_read(self):
        table = figures.read_metrics(f"{HERE}/metrics.tsv")
        self.assertIn(("deliver_p999", "cores"), table)


if __name__ == "__main__":
    unittest.main()
