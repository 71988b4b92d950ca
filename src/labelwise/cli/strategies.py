"""`labelwise strategies`: every strategy on one line, one strategy on a page, or all of them as the docs' page."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any

import typer

SECTIONS = ("formula", "cost", "when", "source", "deviations")
PARTS = ("pool", "labelled", "validation")


# Which to try first, by what somebody has; names of the table.
FIRST = {
    "you do not know": ("margin", "badge"),
    "no label yet, but features": ("typiclust", "prob-cover", "active-ft"),
    "few labels a class": ("typiclust", "regime", "max-herding"),
    "large batches": ("badge", "cluster-margin", "coreset"),
    "rare classes that matter": ("bral-t-plus", "galaxy", "base", "fl2mi"),
    "dropout, an ensemble or a forest": ("bald", "batch-bald", "epig"),
    "several modalities": ("rl-mba-plus", "bmmal", "cluster-margin"),
    "millions of samples": ("margin", "coreset", "badge"),
}
# Strategies with a page of their own in the docs.
PAGES = {
    "bral-t": "systems/bral-t.md",
    "bral-t-plus": "systems/bral-t.md#bral-t-plus",
    "rl-mba": "systems/rl-mba.md",
    "rl-mba-plus": "systems/rl-mba.md#rl-mba-plus",
}


def strategies_command(
    name: Annotated[
        str | None, typer.Argument(help="Show the page of this one.", show_default=False, metavar="[NAME]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print all pages as Markdown.")] = False,
) -> None:
    """List the strategies: what each asks for, which arrays it needs, what it costs and where it comes from.

    Examples: labelwise strategies; labelwise strategies badge; labelwise strategies --json
    """
    from rich.console import Console
    from rich.table import Table

    from labelwise.checks import check_name
    from labelwise.strategies import TABLE

    if as_markdown:
        typer.echo(markdown(), nl=False)
        return
    if name is not None:
        check_name(name, tuple(TABLE), "strategy")
        page = described(name)
        if as_json:
            typer.echo(json.dumps(page))
        else:
            _print(page)
        return
    pages = [described(row) for row in TABLE]
    if as_json:
        typer.echo(json.dumps(pages))
        return
    table = Table("name", "asks for", "needs", "cost", "source", header_style="bold", show_lines=True)
    for page in pages:
        table.add_row(page["name"], page["idea"], _needs(page), page["cost"], page["source"])
    Console().print(table)
    typer.echo("One of them in full: labelwise strategies NAME")


def described(name: str) -> dict[str, Any]:
    """Return what is known of a strategy: idea, sections of its docstring, needs, parameters and an example."""
    from labelwise.strategies import make

    strategy = make(name)
    page = sections(inspect.getdoc(type(strategy)) or "")
    needs = {part: sorted(getattr(strategy.needs, part)) for part in PARTS}
    return {
        "name": name, **page, "needs": needs, "parameters": _parameters(strategy),
        "example": _example(name, needs, cheats=strategy.cheats),
    }  # fmt: skip


def sections(doc: str) -> dict[str, str]:
    """Return the first paragraph of a docstring as "idea" and each section that pages show, "" where it has none."""
    parts = re.split(r"^(\w[\w ]*):\n(?=    )", doc, flags=re.MULTILINE)
    found = {
        title.lower(): inspect.cleandoc(text) for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    idea = parts[0].strip()
    return {"idea": " ".join(idea.split("\n\n")[0].split()), "more": "\n\n".join(idea.split("\n\n")[1:]),
            **{title: _joined(found.get(title, "")) for title in SECTIONS}}  # fmt: skip


def _joined(text: str) -> str:
    """Return a section with the lines of each paragraph joined."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _parameters(strategy: Any) -> list[dict[str, str]]:
    """Return the fields that a user can set: name, default and what the docstring says of it."""
    if not is_dataclass(strategy):
        return []
    words: dict[str, str] = {}
    for cls in reversed(inspect.getmro(type(strategy))):
        doc = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
        listed = re.search(r"^Attributes:\n((?:    .*\n?|\n)*)", doc, flags=re.MULTILINE)
        for entry in re.finditer(
            r"^(\w+): ((?:.*\n?)(?:^ .*\n?)*)", inspect.cleandoc(listed[1]) if listed else "", re.MULTILINE
        ):
            words[entry[1]] = " ".join(entry[2].split())
    shown = []
    for f in fields(strategy):
        if not f.init:
            continue
        default = f.default if f.default is not MISSING else None
        if f.default is MISSING and f.default_factory is not MISSING:
            default = f.default_factory()
        shown.append({"name": f.name, "default": repr(default), "about": words.get(f.name, "")})
    return shown


def _example(name: str, needs: dict[str, list[str]], *, cheats: bool = False) -> str:
    """Return the call that selects with a strategy on arrays of one's own."""

    def given(part: str, suffix: str) -> str:
        return ", ".join(f'"{signal}": {_variable(signal)}{suffix}' for signal in needs[part])

    arguments = [f'"{name}"', "{" + (given("pool", "") or '"features": features') + "}", "10"]
    arguments += [f"{part}={{{given(part, suffix)}}}" for part, suffix in (("labelled", "_l"), ("validation", "_v")) if needs[part]]  # fmt: skip
    if cheats:
        arguments.append("truth=truth")
    return f"rows = labelwise.select({', '.join(arguments)})"


def _variable(signal: str) -> str:
    return signal.removeprefix("scalars.")


def _needs(page: dict[str, Any]) -> str:
    return (
        "\n".join(f"{part}: {', '.join(names)}" for part, names in page["needs"].items() if names)
        or "nothing"
    )


def _print(page: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    rows = [("needs", _needs(page)), *((title, page[title]) for title in SECTIONS)]
    if page["parameters"]:
        told = (f"{p['name']} = {p['default']}: {p['about']}".rstrip(": ") for p in page["parameters"])
        rows.append(("parameters", "\n".join(told)))
    for title, words in [*rows, ("example", page["example"])]:
        if words:
            grid.add_row(Text(title, style="bold"), Text(words))
    console = Console()
    console.print(Text(page["name"], style="bold"), Text(f"{page['idea']}\n"), sep="\n")
    if page["more"]:
        console.print(Text(f"{_joined(page['more'])}\n"))
    console.print(grid)


def markdown() -> str:
    """Return the docs' page of all strategies, with examples that run."""
    from labelwise.strategies import TABLE

    pages = [described(name) for name in TABLE]
    lines = [
        "# Every strategy", "",
        "One line each, then one section each. The same in the terminal: `labelwise strategies` and "
        "`labelwise strategies badge`. A strategy asks for what it *needs*: signals that a recipe gives in a campaign, or "
        "arrays that you give to `select`. Shapes: n samples, C classes, D embedding width, F feature width, S draws, M "
        "modalities; b is the batch.", "",
        "## Where to begin", "",
        "| you have | try first |", "|---|---|",
        *(f"| {case} | {', '.join(f'[`{name}`](#{name})' for name in names)} |" for case, names in FIRST.items()),
        "", "And always `random` beside them: on some data nothing beats it.", "",
        "## All of them", "",
        "| strategy | asks for | needs of the pool | cost |", "|---|---|---|---|",
    ]  # fmt: skip
    for page in pages:
        needs = ", ".join(page["needs"]["pool"]) or "nothing"
        lines.append(
            f"| [`{page['name']}`](#{page['name']}) | {_cell(page['idea'])} | {needs} | {_cell(page['cost'])} |"
        )
    lines += ["", "The examples below run on these arrays:", "", "```python", _arrays(pages), "```", ""]
    for page in pages:
        lines += [f"## `{page['name']}` {{#{page['name']}}}", "", page["idea"], ""]
        if page["more"]:
            lines += [page["more"], ""]
        if page["name"] in PAGES:
            lines += [f"[Step by step, with diagnostics and protocols]({PAGES[page['name']]}).", ""]
        lines += [f"- **Needs:** {_needs(page).replace(chr(10), '; ')}"]
        lines += [
            f"- **{title.capitalize()}:** {page[title].replace(chr(10) * 2, ' ')}"
            for title in SECTIONS
            if page[title]
        ]
        for parameter in page["parameters"]:
            lines += [f"- `{parameter['name']}` = `{parameter['default']}`: {parameter['about']}"]
        lines += ["", "```python", page["example"], "```", ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _arrays(pages: list[dict[str, Any]]) -> str:
    """Return code that makes one small array for every signal that a page names."""
    makers = {
        "probs": "rng.dirichlet(np.ones(4), {n})", "logits": "{e}[:, :4] @ np.eye(4) + 0.5",
        "draws": "rng.dirichlet(np.ones(4), ({n}, 8))", "embeddings": "rng.normal(size=({n}, 16))",
        "coalitions": "rng.dirichlet(np.ones(4), ({n}, 4))", "evidence": "rng.gamma(1, 3, ({n}, 2, 4))",
        "modal_embeddings": "[rng.normal(size=({n}, 8)), rng.normal(size=({n}, 8))]",
        "modal_probs": "rng.dirichlet(np.ones(4), ({n}, 2))", "present": "rng.random(({n}, 2)) < 0.9",
        "features": "rng.normal(size=({n}, 16))", "y": "rng.integers(4, size={n})",
    }  # fmt: skip
    lines = ["import numpy as np", "", "import labelwise", "", "rng = np.random.default_rng(0)"]
    for part, suffix, n in (("pool", "", 200), ("labelled", "_l", 40), ("validation", "_v", 40)):
        names = sorted(
            {signal for page in pages for signal in page["needs"][part]}
            | ({"features"} if not suffix else set())
        )
        names.sort(
            key=lambda signal: signal == "logits"
        )  # logits are linear in the embeddings, as a last layer's are
        for signal in names:
            maker = makers.get(signal, "rng.random({n})").format(n=n, e=f"embeddings{suffix}")
            lines.append(f"{_variable(signal)}{suffix} = {maker}")
    lines.append("truth = rng.integers(4, size=200)  # the pool's labels, for the strategy that cheats")
    return "\n".join(lines)
