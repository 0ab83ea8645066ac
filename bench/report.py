"""The tables of docs/benchmarks.md from build/bench/*.json, between the page's marks.

    .venv/bin/python bench/report.py

A table is `<!-- NAME -->` to `<!-- /NAME -->`. One whose figures were not taken stays as it is, and is named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from results import RESULTS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"

Document = Mapping[str, Any]


def main() -> None:
    text = PAGE.read_text()
    for name, render in TABLES.items():
        path = RESULTS / f"{name}.json"
        if path.is_file():
            document = json.loads(path.read_text())
            text = replace(text, name=name, lines=[*render(document["figures"]), "", *describe_origin(document)])
        else:
            print(f"{name}: no figures; `make bench` takes them")
    PAGE.write_text(text)


def replace(page: str, *, name: str, lines: Sequence[str]) -> str:
    """The page with other lines between the marks of a table. Raises ValueError where they are missing."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"the page needs one {begin} and one {end} behind it")
    content = "\n".join([begin, *lines, end])
    return re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _: content, page, flags=re.DOTALL)


def describe_origin(document: Document) -> Sequence[str]:
    machine, versions = document["machine"], document["versions"]
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [
        f"{machine['date']}, {machine['cpus']} CPUs of {machine['cpu']}, {machine['system']}, commit "
        f"{machine['commit']}; {listed}."
    ]


def render_offline(figures: Document) -> Sequence[str]:
    lines = table_head("texts", "engine", "texts/s", "to ST float32", "CPU ms/text", "worst cosine")
    for kind, engines in figures.items():
        for name, row in engines.items():
            lines.append(
                table_row(
                    kind,
                    name,
                    f"{row['texts_per_second']:.0f}",
                    f"{row['ratio']:.2f}",
                    f"{row['cpu_ms_per_text']:.2f}",
                    f"{row['cosine']:.5f}",
                )
            )
    return lines


def render_serving(figures: Document) -> Sequence[str]:
    """`wrong` counts answers that were not 200, lost, or too far from the reference; of both servers."""
    lines = table_head("dtype", "texts", "clients", "ours/s", "Infinity/s", "ratio", "p95 ms ours, Infinity", "wrong")
    for row in figures["rows"]:
        ours, peer = row["servers"]["ours"], row["servers"]["Infinity"]
        wrong = [server["failed"] + server["wrong"] for server in (ours, peer)]
        lines.append(
            table_row(
                row["dtype"],
                row["kind"],
                row["clients"],
                f"{ours['rate']:.1f}",
                f"{peer['rate']:.1f}",
                f"{row['ratio']:.2f}",
                f"{ours['p95_ms']:.0f}, {peer['p95_ms']:.0f}",
                f"{wrong[0]}, {wrong[1]}",
            )
        )
    shares = [server["generator_cpu"] for row in figures["rows"] for server in row["servers"].values()]
    return [*lines, "", f"The generator took at most {max(shares):.0%} of one CPU."]


def render_start(figures: Document) -> Sequence[str]:
    lines = table_head("", "first answer s", "to ST", "loaded MiB (PSS)", "used MiB (PSS)")
    for name, row in figures["engines"].items():
        memory = [f"{row[when]['rss']:.0f} ({row[when]['pss']:.0f})" for when in ("loaded", "used")]
        lines.append(table_row(name, f"{row['seconds']:.2f}", f"{row['ratio']:.2f}", *memory))
    return lines


def render_http_share(figures: Document) -> Sequence[str]:
    lines = table_head("dtype", "CPU ms/request", "event loop ms", "without HTTP ms", "HTTP and JSON", "loop busy")
    for dtype, row in figures["dtypes"].items():
        lines.append(
            table_row(
                dtype,
                f"{row['served']['cpu_ms']:.2f}",
                f"{row['served']['loop_ms']:.3f}",
                f"{row['core']['loop_ms']:.3f}",
                f"{row['http_share']:.1%}",
                f"{row['loop_busy']:.0%}",
            )
        )
    return lines


def table_head(*titles: str) -> list[str]:
    return [table_row(*titles), table_row(*("---" for _ in titles))]


def table_row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


TABLES: Mapping[str, Callable[[Document], Sequence[str]]] = {
    "offline": render_offline,
    "serving": render_serving,
    "start": render_start,
    "http_share": render_http_share,
}

if __name__ == "__main__":
    main()
