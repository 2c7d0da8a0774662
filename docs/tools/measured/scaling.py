"""Tables of how long workers wait, and of what searches find when many children are in flight."""

from __future__ import annotations

import statistics

from measured.formatting import Row, markdown, percent, read

WAYS = {
    ("1", "False"): "one at a time",
    ("8", "False"): "batches of 8",
    ("8", "True"): "8, asynchronously",
}
"""What the flight and `asynchronous` of a row are called."""


def waiting() -> str:
    """The share of the workers' time without work, by their number and by what the driver takes."""
    header = ["children of", "workers", "driver, ms a child", "idle in batches", "idle asynchronously", "gain"]
    rows = []
    for row in read("scaling-waiting.csv"):
        gain = float(row["asynchronous children a second"]) / float(row["batch children a second"])
        shares = (percent(float(row[f"{way} idle"])) for way in ("batch", "asynchronous"))
        driver = f"{float(row['driver_ms']):g}"
        rows.append([f"`{row['children']}`", row["workers"], driver, *shares, f"{gain:.1f} ×"])
    return markdown(header, rows)


def searches() -> str:
    """What each agent found in each way, with how long the searches would have taken."""
    header = ["agent", "in flight", "searches", "recommended child", "best child", "minutes", "idle"]
    rows = [
        [
            f"`{agent}`",
            way,
            str(len(found)),
            *(_mean(found, name) for name in ("chosen", "best")),
            f"{statistics.mean(float(row['seconds']) for row in found) / 60:.1f}",
            percent(statistics.mean(float(row["idle"]) for row in found)),
        ]
        for agent, way, found in _groups()
        if agent != "random"  # what it builds depends on nothing that it was told
    ]
    return markdown(header, rows)


def driver() -> str:
    """Milliseconds of the processor that the driver takes for a child of an asynchronous search."""
    header = ["agent", "ask", "tell", "everything else", "children a second, at most"]
    rows = []
    for agent, way, found in _groups():
        if way == WAYS["8", "True"]:
            parts = [statistics.median(float(row[f"{name}_ms"]) for row in found) for name in ("ask", "tell", "rest")]
            rows.append([f"`{agent}`", *(f"{part:.2f}" for part in parts), f"{1000 / sum(parts):.0f}"])
    return markdown(header, rows)


def _groups() -> list[tuple[str, str, list[Row]]]:
    """Agent, way, and the searches of both."""
    rows = read("scaling-searches.csv")
    keys = dict.fromkeys((row["agent"], row["flight"], row["asynchronous"]) for row in rows)
    return [
        (key[0], WAYS[key[1:]], [row for row in rows if (row["agent"], row["flight"], row["asynchronous"]) == key])
        for key in keys
    ]


def _mean(rows: list[Row], name: str) -> str:
    """The mean and its standard error."""
    values = [float(row[name]) for row in rows]
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values) / len(values) ** 0.5:.3f}"
