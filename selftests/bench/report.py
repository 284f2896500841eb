# SPDX-License-Identifier: GPL-2.0
"""The bench's results for people: a table, and a page with pictures.

The pictures are SVG, drawn by gnuplot; the page needs nothing but them.
"""

import html
import math
import os
import subprocess

from figures import BenchError, COLUMNS

# What belongs into one picture: file, title, metrics, the parameter along x.
PLOTS = (
    ("notifier", "An MMU notifier event that concerns no cache",
     ("notifier_unrelated",), "caches"),
    ("latency", "Delivery of an event, 512 caches in use",
     ("deliver_p50", "deliver_p99", "deliver_p999", "deliver_max"), "storm"),
    ("rate", "Deliveries on as many processors", ("deliver_rate",), "cpus"),
)
STYLE = """
body { font: 15px/1.4 sans-serif; margin: 2em auto; max-width: 68em }
table { border-collapse: collapse; font-size: 13px }
td, th { border-bottom: 1px solid #ccc; padding: .2em .7em; text-align: right }
td:nth-child(-n+4), th:nth-child(-n+4) { text-align: left }
.short td:nth-child(7) { color: #b00; font-weight: bold }
img { max-width: 100% }
"""


def verdict(row):
    """The goal, and whether it is reached."""
    how, goal = row.metric.goal(row.parameters)
    return f"{how}{goal:g}" + ("" if row.reached() else " missed")


def table_lines(rows):
    """Columns of even width."""
    lines = [COLUMNS + ("goal",)] + [r.words() + (verdict(r),) for r in rows]
    wide = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        yield "  ".join(
            w.ljust(n) if i in (0, 1, 2, 3, len(wide) - 1) else w.rjust(n)
            for i, (w, n) in enumerate(zip(line, wide))).rstrip()


def print_table(rows):
    for line in table_lines(rows):
        print(line)
    missed = sum(not r.reached() for r in rows)
    print(f"{len(rows)} figures, {missed} of them short of their goal")


def value_of(parameters, name):
    """caches=512 storm=none, caches: 512"""
    for p in parameters.split():
        key, _, value = p.partition("=")
        if key == name:
            return value
    return None


def gnuplot(script, path):
    p = subprocess.run(["gnuplot"], input=script, text=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if p.returncode or not os.path.exists(path) or not os.path.getsize(path):
        raise BenchError(f"gnuplot: {p.stderr.strip() or 'drew nothing'}")


def head(path, title, unit, data):
    """What each picture begins with; @data: columns for gnuplot."""
    return (f"set terminal svg size 800,420 font 'sans,13' background 'white'\n"
            f"set output '{path}'\nset title '{title}'\nset ylabel '{unit}'\n"
            "set grid y\nset key outside top right\n"
            f"$d << EOD\n{data}EOD\n")


def plot_lines(path, title, rows, axis):
    """Over a parameter that is a number."""
    data = "".join(f"{value_of(r.parameters, axis)} {r.ours} {r.stock}\n"
                   for r in rows)
    logs = "set logscale xy\n" if axis == "caches" else \
        "set xtics 1\nset yrange [0:*]\n"
    gnuplot(head(path, title, rows[0].metric.unit, data) + logs +
            f"set xlabel '{axis}'\n"
            "plot $d using 1:2 with linespoints lw 2 title 'ours', "
            "$d using 1:3 with linespoints lw 2 title 'stock'\n", path)


def plot_bars(path, title, rows, axis):
    """A group for each row; heights by their logarithm."""
    data = "".join(f'"{value_of(r.parameters, axis)}, '
                   f'{r.metric.name.partition("_")[2]}" {r.ours} {r.stock}\n'
                   for r in sorted(rows, key=lambda r: r.parameters))
    gnuplot(head(path, title, rows[0].metric.unit, data) +
            "set logscale y\nset style data histograms\n"
            "set xtics rotate by -35\nset bmargin 6\n"
            "set style fill solid 0.8 noborder\n"
            "plot $d using 2:xtic(1) title 'ours', $d using 3 title 'stock'\n",
            path)


def plot_ratios(path, rows):
    """All ratios beside each other, 1 in the middle."""
    rows = [r for r in rows if r.ratio and math.isfinite(r.ratio)]
    data = "".join(f"{i} {r.ratio}\n" for i, r in enumerate(reversed(rows)))
    names = [" ".join(f"{r.metric.name} {r.parameters}".split()) +
             f" ({r.metric.host})" for r in reversed(rows)]
    tics = ", ".join(f"'{n}' {i}" for i, n in enumerate(names))
    gnuplot("set terminal svg size 900,"
            f"{120 + 18 * len(rows)} font 'sans,12' noenhanced "
            "background 'white'\n"
            f"set output '{path}'\n$d << EOD\n{data}EOD\n"
            "set title 'ours / stock: better on the left, rates on the right'\n"
            "set logscale x\nset grid x\n"
            f"set ytics ({tics})\nset yrange [-1:{len(rows)}]\nunset key\n"
            "set arrow from 1, graph 0 to 1, graph 1 nohead lw 2\n"
            "plot $d using 2:1 with points pt 7 ps 0.8\n", path)


def draw(out, rows):
    """Returns the pictures' names."""
    names = ["ratios.svg"]
    plot_ratios(f"{out}/ratios.svg", rows)
    for name, title, metrics, axis in PLOTS:
        for host in sorted({r.metric.host for r in rows}):
            mine = [r for r in rows if r.metric.name in metrics and
                    r.metric.host == host]
            if not mine:
                continue
            file = f"{name}-{host}.svg"
            plot = plot_bars if axis == "storm" else plot_lines
            plot(f"{out}/{file}", f"{title} ({host})", mine, axis)
            names.append(file)
    return names


def write_page(out, rows, meta):
    """report.html and its pictures."""
    pictures = "".join(f'<p><img src="{p}" alt="{p}">\n'
                       for p in draw(out, rows))
    lines = "".join(
        f'<tr{"" if r.reached() else " class=short"}>' +
        "".join(f"<td>{html.escape(w)}" for w in r.words() + (verdict(r),)) +
        "\n" for r in rows)
    heads = "".join(f"<th>{c}" for c in COLUMNS + ("goal",))
    base = " ".join(meta.get(k, "") for k in ("SUITE", "SERIES")).strip()
    with open(f"{out}/report.html", "w", encoding="utf-8") as f:
        f.write("<!doctype html>\n<meta charset=utf-8>\n"
                f"<title>kvm-xen beside stock</title>\n<style>{STYLE}</style>\n"
                f"<h1>kvm-xen beside the stock modules ({base})</h1>\n"
                "<p>What each figure means, and how far it can be trusted, is "
                "in docs/performance.rst.\n"
                f"{pictures}<table><tr>{heads}\n{lines}</table>\n")
