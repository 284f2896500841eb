# SPDX-License-Identifier: GPL-2.0
"""The bench's results for people: a table, and a page with pictures.

The pictures are SVG, drawn by gnuplot; the page needs nothing but them.
"""

import html
import math
import os
import re
import subprocess

from figures import BenchError, COLUMNS

DOCUMENT = "docs/performance.rst"
# Its section that says why a goal is missed.
WHY = "What falls short, and why"
# What belongs into one picture: file, title, metrics, the parameter along x; without
# one, a bar for each set of parameters.
PLOTS = (
    ("notifier", "An MMU notifier event that concerns no cache",
     ("notifier_unrelated",), "caches"),
    ("latency", "Delivery of an event, 512 caches in use",
     ("deliver_p50", "deliver_p99", "deliver_p999", "deliver_max"), "storm"),
    ("rate", "Deliveries on as many processors", ("deliver_rate",), "cpus"),
    ("events", "What an event, a timer and a switch of vCPUs cost",
     ("refresh", "send_masked", "send_pending", "send_delivered", "irqfd_delivered",
      "hcall_send", "hcall_unmask", "poll_wake", "timer_fire", "vmentry_vector",
      "schedout_runstate"), None),
    ("memory", "What memory of a guest costs",
     ("fault_4k", "fault_2m", "split", "recover", "zap_1g", "clear_dirty"), None),
)
STYLE = """
body { font: 15px/1.4 sans-serif; margin: 2em auto; max-width: 68em }
table { border-collapse: collapse; font-size: 13px }
td, th { border-bottom: 1px solid #ccc; padding: .2em .7em; text-align: right }
td:nth-child(-n+4), th:nth-child(-n+4) { text-align: left }
td:nth-child(-n+3), td:last-child { white-space: nowrap }
.short td:nth-child(7), .short td:last-child { color: #b00; font-weight: bold }
dt { font-weight: bold; margin-top: .8em }
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


def head(path, title, unit, data, high=460):
    """What each picture begins with; @data: columns for gnuplot."""
    return (f"set terminal svg size 1000,{high} font 'sans,14' noenhanced "
            "background 'white'\n"
            f"set output '{path}'\nset title '{title}'\nset ylabel '{unit}'\n"
            "set format y '%.0s%c'\nset grid y\nset key outside top right\n"
            f"$d << EOD\n{data}EOD\n")


def plot_lines(path, title, rows, axis):
    """Over a parameter that is a number."""
    data = "".join(f"{value_of(r.parameters, axis)} {r.ours} {r.stock}\n"
                   for r in rows)
    places = ", ".join(value_of(r.parameters, axis) for r in rows)
    logs = "set logscale xy\n" if axis == "caches" else "set yrange [0:*]\n"
    gnuplot(head(path, title, rows[0].metric.unit, data) + logs +
            f"set xlabel '{axis}'\nset xtics ({places})\n"
            "plot $d using 1:2 with linespoints lw 2 title 'ours', "
            "$d using 1:3 with linespoints lw 2 title 'stock'\n", path)


def bar_name(row, axis):
    """What stands below a bar."""
    if axis:
        return f"{value_of(row.parameters, axis)}, " + \
            row.metric.name.partition("_")[2]
    return f"{row.metric.name} {row.parameters}".strip()


def plot_bars(path, title, rows, axis):
    """A group for each row; heights by their logarithm."""
    if axis:
        rows = sorted(rows, key=lambda r: r.parameters)
    data = "".join(f'"{bar_name(r, axis)}" {r.ours} {r.stock}\n' for r in rows)
    gnuplot(head(path, title, rows[0].metric.unit, data, 460 if axis else 540) +
            "set logscale y\nset style data histograms\n"
            f"set xtics rotate by -35\nset bmargin {6 if axis else 10}\n"
            f"set rmargin {14 if axis else 20}\n"
            "set style fill solid 0.8 noborder\n"
            "plot $d using 2:xtic(1) title 'ours', $d using 3 title 'stock'\n",
            path)


def plot_ratios(path, rows):
    """All ratios beside each other, 1 in the middle; rates upside down."""
    points = []
    for r in rows:
        if r.ratio and math.isfinite(r.ratio):
            more = r.metric.goal(r.parameters)[0] == ">="
            points.append((1 / r.ratio if more else r.ratio, r.reached(), " ".join(
                f"{r.metric.name} {r.parameters}".split()) +
                f" ({r.metric.host}{', 1/ratio' if more else ''})"))
    points.reverse()
    data = "".join(f"{i} {ratio} {int(reached)}\n"
                   for i, (ratio, reached, _) in enumerate(points))
    tics = ", ".join(f"'{name}' {i}" for i, (_, _, name) in enumerate(points))
    gnuplot("set terminal svg size 1000,"
            f"{120 + 18 * len(points)} font 'sans,12' noenhanced "
            "background 'white'\n"
            f"set output '{path}'\n$d << EOD\n{data}EOD\n"
            "set title 'ours / stock: left of 1 is better'\n"
            "set logscale x\nset format x '%g'\nset grid x y\n"
            f"set ytics ({tics})\nset yrange [-1:{len(points)}]\n"
            "set key outside bottom center horizontal\n"
            "set arrow from 1, graph 0 to 1, graph 1 nohead lw 2\n"
            "plot $d using ($3 == 1 ? $2 : NaN):1 with points pt 7 ps 0.8 "
            "lc rgb '#2060a0' title 'as aimed at', "
            "$d using ($3 == 0 ? $2 : NaN):1 with points pt 7 ps 0.8 "
            "lc rgb '#c00000' title 'falls short'\n", path)


def draw(out, rows):
    """Returns the pictures' names and titles."""
    pictures = []
    if any(r.ratio and math.isfinite(r.ratio) for r in rows):
        plot_ratios(f"{out}/ratios.svg", rows)
        pictures.append(("ratios.svg", "All ratios"))
    for name, title, metrics, axis in PLOTS:
        for host in sorted({r.metric.host for r in rows}):
            mine = [r for r in rows if r.metric.name in metrics and
                    r.metric.host == host]
            # Those of real cores that have no parameter are few.
            if not mine or not axis and mine[0].metric.unit != "instructions":
                continue
            file = f"{name}-{host}.svg"
            plot = plot_lines if axis in ("caches", "cpus") else plot_bars
            plot(f"{out}/{file}", f"{title} ({host})", mine, axis)
            pictures.append((file, title))
    return pictures


def reasons(document):
    """Of the document's section: what each item is of, and its lines."""
    section = document.partition(f"{WHY}\n{'=' * len(WHY)}\n")[2]
    # The next title stands above its line.
    section = re.split(r"^[^\n]+\n=+$", section, maxsplit=1, flags=re.M)[0]
    items = []
    for line in section.splitlines():
        if line.startswith("``"):
            items.append((set(re.findall(r"``([^`]+)``", line)), [line]))
        elif items:
            items[-1][1].append(line)
    return items


def is_of(row, words):
    """Whether an item with these metrics and parameters is about that row."""
    if row.metric.name not in words:
        return False
    asked = dict(w.split("=", 1) for w in words if "=" in w)
    return all(value_of(row.parameters, key) in (None, value)
               for key, value in asked.items())


def shortfalls(rows, items):
    """For the page: the reasons of the goals that are missed."""
    short = [r for r in rows if not r.reached()]
    told = [lines for words, lines in items if any(is_of(r, words) for r in short)]
    text = "".join(f"<dt>{marked_up(lines[0])}<dd>{marked_up(' '.join(lines[1:]))}\n"
                   for lines in told)
    left = [r for r in short if not any(is_of(r, words) for words, _ in items)]
    text += "".join(f"<dt>{html.escape(r.metric.name)} {html.escape(r.parameters)} "
                    f"({r.metric.host})<dd>There is no reason in {DOCUMENT}: it was not "
                    "short of its goal when that was written.\n" for r in left)
    return (f"<h2>{WHY}</h2>\n<p>The figures in it are those of the table in "
            f"{DOCUMENT}.\n<dl>\n{text}</dl>\n") if text else ""


def marked_up(text):
    """The document's words as the page's."""
    return re.sub(r"``([^`]+)``", r"<code>\1</code>",
                  html.escape(" ".join(text.split())))


def write_page(out, rows, meta):
    """report.html and its pictures."""
    pictures = "".join(f'<p><img src="{file}" alt="{title}">\n'
                       for file, title in draw(out, rows))
    lines = "".join(
        f'<tr{"" if r.reached() else " class=short"}>' +
        "".join(f"<td>{html.escape(w)}" for w in r.words() + (verdict(r),)) +
        "\n" for r in rows)
    heads = "".join(f"<th>{c}" for c in COLUMNS + ("goal",))
    base = " ".join(meta.get(k, "") for k in ("SUITE", "SERIES")).strip()
    with open(DOCUMENT, encoding="utf-8") as f:
        why = shortfalls(rows, reasons(f.read()))
    with open(f"{out}/report.html", "w", encoding="utf-8") as f:
        f.write("<!doctype html>\n<meta charset=utf-8>\n"
                f"<title>kvm-xen beside stock</title>\n<style>{STYLE}</style>\n"
                f"<h1>kvm-xen beside the stock modules ({base})</h1>\n"
                "<p>What each figure means, and how far it can be trusted, is "
                f"in {DOCUMENT}. Host <b>cores</b> is this machine, any other an "
                "emulated one; a ratio is ours/stock.\n"
                f"{pictures}<table><tr>{heads}\n{lines}</table>\n{why}")
