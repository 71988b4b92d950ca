"""`labelwise recommend`: which strategy to begin with, and how sure anybody can be of that."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from labelwise.bench.advice import Facts
    from labelwise.bench.recommend import Choice, Recommendation
    from labelwise.cli.facts import Known


def recommend_command(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A project's folder, a folder of images, a table or a run file: says what it can by itself.",
            show_default=False,
        ),
    ] = None,
    pool: Annotated[int | None, typer.Option(help="Samples to choose from.")] = None,
    classes: Annotated[int | None, typer.Option(help="How many classes.")] = None,
    budget: Annotated[int | None, typer.Option(help="Labels in all.")] = None,
    start: Annotated[
        int | None, typer.Option(help="Labels of the first round; default: 20, or 2 a class.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Labels of each later round; default: 50.")] = None,
    modalities: Annotated[
        int | None, typer.Option(help="Of a sample, e.g. 2 for image and text; default: 1.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="image, text, audio, vectors or signals.")] = None,
    imbalance: Annotated[
        float | None, typer.Option(help="How many times larger the largest class is than the smallest.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="network (the default), linear, or one of `labelwise recipes`.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="What choosing a batch may take on this machine: the best are tried, in small, and dropped if too slow."
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="How many strategies to tell of.", min=1)] = 3,
    rule: Annotated[
        str | None,
        typer.Option(
            help="How they are ordered: cautious, overall or similar. Default: what did best in its own test."
        ),
    ] = None,
    as_spec: Annotated[
        bool, typer.Option("--spec", help="Print the first as tables of a spec, in TOML.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Say which strategy to begin with, from what was measured on sets like yours, and how sure that is.

    Every number is of the committed runs of the suite: strategies on the same sets, with the same start and seeds, so that
    differences are paired. Nothing is trained. Where nothing is clearly better than random or margin, it says so.

    Examples:

    labelwise recommend --pool 20000 --classes 10 --budget 500 --kind image --imbalance 20

    labelwise recommend --pool 5000 --classes 4 --budget 300 --modalities 2 --seconds 60

    labelwise recommend photos/ --classes 5 --budget 400

    labelwise recommend my-project --json
    """
    from labelwise.bench.able import able, learns_by_network, usual_recipe
    from labelwise.bench.advice import Facts
    from labelwise.bench.leaderboard import read
    from labelwise.bench.recommend import as_json as plain
    from labelwise.bench.recommend import recommend
    from labelwise.bench.recommend_constants import CONSTANTS
    from labelwise.bench.recommend_words import caveats, command, headline, reasons, sentences, spec, warnings
    from labelwise.cli.facts import Known, known_of
    from labelwise.errors import InputError

    known = Known() if path is None else known_of(path)
    some = {
        "pool": known.pool if pool is None else pool,
        "classes": known.classes if classes is None else classes,
        "budget": known.budget if budget is None else budget,
    }
    if lacking := [f"--{name}" for name, value in some.items() if value is None]:
        raise InputError(
            f"{', '.join(lacking)} must be said{'' if path is None else f': {path} does not say it'}; "
            "like labelwise recommend --pool 20000 --classes 10 --budget 500."
        )
    told = {name: value for name, value in some.items() if value is not None}
    usual = min(max(20, 2 * told["classes"]), told["budget"])
    many = modalities if modalities is not None else known.modalities or 1
    recipe = usual_recipe(model or known.model or "network", many, kind or known.kind)
    facts = Facts(
        **told,
        start=start if start is not None else min(known.start or usual, told["budget"]),
        batch=batch if batch is not None else known.batch or 50,
        modalities=many,
        kind=kind or (known.kind if many == 1 else None),
        imbalance=imbalance if imbalance is not None else known.imbalance,
        network=learns_by_network(recipe),
    )
    can, barred = able(recipe, many)
    found = recommend(
        facts, read(), can, barred=barred, rule=rule or CONSTANTS["rule"], top=top,
        too_much=None if seconds is None else _patience(facts, seconds),
    )  # fmt: skip
    first = found.choices[0]
    if as_spec:
        typer.echo(spec(found, first, can[first.name]), nl=False)
        return
    begin = command(found, first, can[first.name], known.data)
    if as_json:
        says = [*sentences(found), *warnings(found), *caveats(found)]
        commands = {c.name: command(found, c, can[c.name], known.data) for c in found.choices}
        typer.echo(
            json.dumps(
                {**plain(found), "model": recipe, "commands": commands, "says": says}, ensure_ascii=False
            )
        )
        return
    _print(
        found,
        [headline(found), "", *sentences(found), *warnings(found)],
        _after(found, known, begin, can[first.name].validation, path),
        caveats(found),
        reasons(found.barred),
    )


def _after(found: Recommendation, known: Known, begin: str, validation: bool, path: Path | None) -> list[str]:
    """Return what to do next."""
    first = found.choices[0].name
    if known.strategy == first:
        lines = [f"The project uses {first} already: nothing to change."]
    elif known.strategy is not None:
        told = " that begins with the labels so far" if known.labels else ""
        lines = [f"The project uses {known.strategy}, and keeps it. A new one with {first}{told}:"]
        lines += [f"  labelwise export {shlex.quote(str(path))} -o labels.csv"] if told else []
        lines += [f"  {begin}"]
    else:
        lines = ["To begin with it:", f"  {begin}"]
    if validation:
        lines.append(
            f"{first} measures on labelled samples that are kept apart: have 50 or more before it begins."
        )
    return lines


def _patience(facts: Facts, seconds: float) -> Callable[[str], str | None]:
    """Return what says whether a strategy takes too long here, or too much memory: from short runs on made-up arrays."""
    from labelwise.cli.plan import duration, free_memory, size_of
    from labelwise.errors import InputError
    from labelwise.planning import forecast

    if not seconds > 0:
        raise InputError(f"--seconds must be above 0; it is {seconds:g}.")

    def too_much(name: str) -> str | None:
        told = forecast(
            name, facts.pool, facts.batch, n_classes=facts.classes, labelled=min(facts.budget, 1_000), seconds=1
        )  # fmt: skip
        free = free_memory()
        if told.seconds > seconds:
            return f"about {duration(told.seconds)} a batch on this machine, more than {duration(seconds)}"
        if free is not None and told.extra_bytes > free:
            return f"about {size_of(told.extra_bytes)} of memory, and {size_of(free)} are free"
        return None

    return too_much


def _print(
    found: Recommendation, before: list[str], after: list[str], notes: list[str], barred: list[str]
) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line in before:
        console.print(line, markup=False)
    console.print(_ranked(found))
    console.print(
        "Sets most like yours, no two of the same data; each strategy's points above random there (a factor of ten in a number is a step away, another kind of data is one):",
        markup=False,
    )
    console.print(_near(found))
    for line in after:
        console.print(line, markup=False, soft_wrap=line.startswith("  "))
    console.print()
    for name, why in found.refused.items():
        console.print(f"Left out: {name}, {why}.", markup=False)
    for line in notes:
        console.print(Text(line, style="dim"))
    for line in barred:
        console.print(Text(line, style="dim"))


def _ranked(found: Recommendation) -> Table:
    from rich import box
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("strategy", no_wrap=True)
    for name in ("over random", "over margin", "rank", "worst", "s a batch"):
        shown.add_column(name, justify="right", no_wrap=name != "worst")
    for choice in _rows(found):
        shown.add_row(choice.name, *cells(choice))
    return shown


def _rows(found: Recommendation) -> list[Choice]:
    """Return the choices, and margin below them where it is not one of them."""
    beside = (
        [] if found.margin is None or found.margin.name in [c.name for c in found.choices] else [found.margin]
    )
    return [*found.choices, *beside]


def cells(choice: Choice) -> list[str]:
    """Return what a row of the table says: differences in points, with the half of a 95 % interval."""
    from labelwise.bench.outlook import signed
    from labelwise.bench.recommend import MARGIN, RANDOM
    from labelwise.functional.pooling import Weighed

    def of(found: Weighed) -> str:
        if found.high is None:
            return signed(found.mean)
        return f"{signed(found.mean)} ± {100 * (found.high - found.mean):.1f}"

    return [
        "–" if choice.name == RANDOM else of(choice.gain),
        "–" if choice.name == MARGIN else of(choice.over_margin),
        "–" if choice.rank is None else f"{choice.rank[0]:.1f} of {choice.rank[1]:.0f}",
        "–"
        if choice.worst is None or choice.name == RANDOM
        else f"{signed(choice.worst[1])} {choice.worst[0]}",
        "–" if choice.seconds is None else f"{choice.seconds:.2f}" if choice.seconds >= 0.005 else "< 0.01",
    ]


def _near(found: Recommendation) -> Table:
    from rich import box
    from rich.table import Table

    from labelwise.bench.advice import short
    from labelwise.bench.outlook import signed

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("set", no_wrap=True)
    shown.add_column("it is")
    shown.add_column("steps", justify="right", no_wrap=True)
    rows = _rows(found)
    for choice in rows:
        shown.add_column(choice.name, justify="right", no_wrap=True)
    for like in found.near:
        values = [choice.on[like.set.name] for choice in rows]
        shown.add_row(
            like.set.name,
            short(like.set),
            f"{like.steps:.1f}",
            *("–" if v is None else signed(v) for v in values),
        )
    return shown
