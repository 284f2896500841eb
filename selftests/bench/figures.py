# SPDX-License-Identifier: GPL-2.0
"""Figures of the two sides, and what can be said of them together.

Knows nothing of hosts, programs and pictures. A figure that cannot be right, or
lacks its twin, is an error: the bench says so and no ratio comes of it.
"""

import math
import statistics
from dataclasses import dataclass

SIDES = ("ours", "stock")
# Units and metrics of which there may be none.
MAY_BE_ZERO = ("locks", "events", "flushes", "exits", "exits/s",
               "fault_beside_zap")
# In each repetition a smaller one of these is not above a greater one.
ASCENDING = ("deliver_p50", "deliver_p99", "deliver_p999", "deliver_max")
COLUMNS = ("metric", "unit", "host", "parameters", "ours", "stock", "ratio",
           "repetitions", "spread")


class BenchError(Exception):
    """A figure cannot be right, or one is missing: nothing is known."""


@dataclass(frozen=True)
class Metric:
    """A line of metrics.tsv."""

    name: str
    host: str
    unit: str
    goals: str
    exact: bool

    def goal(self, parameters):
        """What is aimed at: "<=" or ">=", and the ratio."""
        for text in self.goals.split(";"):
            only, colon, goal = text.rpartition(":")
            if not colon or set(only.split()) <= set(parameters.split()):
                goal = goal.strip()
                return goal[:2], float(goal[2:])
        raise BenchError(f"{self.name} {parameters} has no goal")


def read_metrics(path):
    """The table, by metric and host."""
    metrics = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.startswith("#"):
                continue
            words = line.rstrip("\n").split("\t")
            if len(words) != 5 or words[4] not in ("yes", "no"):
                raise BenchError(f"{path}: no metric: {line.strip()}")
            m = Metric(*words[:4], words[4] == "yes")
            if (m.name, m.host) in metrics:
                raise BenchError(f"{path}: {m.name} on {m.host} twice")
            m.goal("")
            metrics[m.name, m.host] = m
    return metrics


@dataclass
class Row:
    """A line of results.tsv."""

    metric: Metric
    parameters: str
    ours: float
    stock: float
    ratio: float            # None: of nothing and nothing
    repetitions: int
    spread: float           # of the ratio, in percent of it

    def reached(self):
        """Whether the goal is."""
        how, goal = self.metric.goal(self.parameters)
        if self.ratio is None:
            return True
        return self.ratio <= goal if how == "<=" else self.ratio >= goal

    def words(self):
        """As they are in the table."""
        ratio = "-" if self.ratio is None else f"{self.ratio:.4f}"
        return (self.metric.name, self.metric.unit, self.metric.host,
                self.parameters or "-", number(self.ours), number(self.stock),
                ratio, str(self.repetitions), f"{self.spread:.1f}%")


def number(x):
    """With four digits that count, or all of a whole number."""
    if math.isinf(x):
        return "inf"
    if x == int(x):
        return str(int(x))
    return f"{x:.0f}" if abs(x) >= 1000 else f"{x:.4g}"


def ratio_of(ours, stock):
    """Of one repetition; infinite if stock has nothing of it."""
    if stock:
        return ours / stock
    return math.inf if ours else None


class Figures:
    """All figures of a run."""

    def __init__(self, metrics):
        self.metrics = metrics
        self.values = {}    # (metric, host, parameters) -> side -> rep -> value

    def add(self, host, line):
        """A line of a program: metric, unit, parameters, side, rep, value."""
        words = line.split("\t")
        if len(words) != 6:
            raise BenchError(f"this is no figure: {line}")
        name, unit, parameters, side, rep, text = words
        metric = self.metrics.get((name, host))
        if not metric or unit != metric.unit:
            raise BenchError(f"{name} in {unit} on {host} is not in the table")
        if side not in SIDES:
            raise BenchError(f"{name}: {side} is no side")
        try:
            value = float(text)
        except ValueError as e:
            raise BenchError(f"{name}: {text} is no number") from e
        if not math.isfinite(value) or value < 0 or \
                not value and not {unit, name} & set(MAY_BE_ZERO):
            raise BenchError(f"{name} {parameters}: {text} {unit} of {side} "
                             "cannot be right")
        reps = self.values.setdefault((name, host, parameters), {}) \
            .setdefault(side, {})
        if int(rep) in reps:
            raise BenchError(f"{name} {parameters}: {side} has repetition "
                             f"{rep} twice")
        reps[int(rep)] = value

    def check_order(self):
        """Half of all cannot take longer than nearly all."""
        for (name, host, parameters), sides in self.values.items():
            if name not in ASCENDING[1:]:
                continue
            less = ASCENDING[ASCENDING.index(name) - 1]
            for side, reps in sides.items():
                low = self.values.get((less, host, parameters), {}) \
                    .get(side, {})
                for rep, value in reps.items():
                    if rep not in low or low[rep] > value:
                        raise BenchError(f"{name} {parameters} of {side} is "
                                         f"below {less}")

    def row(self, key):
        """What becomes of one metric with one set of parameters."""
        name, host, parameters = key
        metric, sides = self.metrics[name, host], self.values[key]
        what = " ".join(key).strip()
        ours, stock = (sides.get(s, {}) for s in SIDES)
        if not ours or ours.keys() != stock.keys():
            raise BenchError(f"{what}: the sides were not measured alike")
        if metric.exact:
            for side, reps in sides.items():
                if len(set(reps.values())) != 1:
                    raise BenchError(f"{what}: {side} is not the same twice: "
                                     f"{sorted(set(reps.values()))}")
        ratios = [ratio_of(ours[r], stock[r]) for r in sorted(ours)]
        ratios = [r for r in ratios if r is not None]
        ratio, spread = None, 0.0
        if ratios:
            ratio = statistics.median(ratios)
            spread = quartiles([r for r in ratios if math.isfinite(r)]) / \
                ratio * 100 if ratio and math.isfinite(ratio) else 0.0
        return Row(metric, parameters, statistics.median(ours.values()),
                   statistics.median(stock.values()), ratio, len(ours), spread)

    def rows(self):
        """All of them, in the table's order."""
        self.check_order()
        place = {m: i for i, m in enumerate(self.metrics)}
        return [self.row(key) for key in
                sorted(self.values, key=lambda k: (place[k[0], k[1]],
                                                   natural(k[2])))]


def natural(parameters):
    """Numbers by their size."""
    return [(0, int(w), "") if w.isdigit() else (1, 0, w)
            for p in parameters.split() for w in p.split("=")]


def quartiles(values):
    """How far the middle half of them lies apart."""
    if len(values) < 2:
        return 0.0
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return third - first


def write_tsv(path, rows):
    """results.tsv: one line a row, the first its columns."""
    with open(path, "w", encoding="utf-8") as f:
        f.write("\t".join(COLUMNS) + "\n")
        for row in rows:
            f.write("\t".join(row.words()) + "\n")
