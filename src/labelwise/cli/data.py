"""`labelwise tasks`, `recipes` and `download`: what can be named, and fetching the public data sets."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer


def _rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return name, first docstring line and parameters with defaults of every row of a table."""
    rows = []
    for name, place in table.items():
        where, fixed = (place, {}) if isinstance(place, str) else place
        module, _, attribute = where.partition(":")
        thing = getattr(import_module(module), attribute)
        parameters = {
            key: None if p.default is p.empty else repr(p.default)
            for key, p in inspect.signature(thing).parameters.items()
            if key not in fixed and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        }
        about = getattr(thing, "about", "") or (inspect.getdoc(thing) or "").split("\n\n")[0].replace(
            "\n", " "
        )
        about = about.removeprefix("Return ")
        if fixed:  # what tells the rows of one class apart
            about = f"{about.rstrip('.')} ({', '.join(f'{key}={value!r}' for key, value in fixed.items())})."
        rows.append({"name": name, "about": about[:1].upper() + about[1:], "parameters": parameters})
    return rows


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    for row in rows:
        console.print(f"[bold]{row['name']}[/bold]  {escape(row['about'])}", highlight=False)
        listed = ", ".join(
            key if value is None else f"{key}={value}" for key, value in row["parameters"].items()
        )
        if listed:
            console.print(f"    {escape(listed)}", style="dim", highlight=False)


def tasks_command(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """List the tasks a spec can name, with their parameters."""
    from labelwise.data import TABLE

    rows = _rows(dict(TABLE))
    if as_json:
        _show(rows, as_json)
        return
    from labelwise.data.shaping import Shape

    shared = ", ".join(Shape.__annotations__)
    for row in rows:
        row["parameters"] = {
            key: p for key, p in row["parameters"].items() if key not in Shape.__annotations__
        }
    _show(rows, as_json)
    typer.echo(
        f"\nAll take as well: {shared}. What these do: docs/data.md, Shaping a task; defaults: --json."
    )


def recipes_command(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """List the recipes a spec can name, with their fields."""
    from labelwise.models import TABLE

    _show(_rows(dict(TABLE)), as_json)


def download_command(
    name: Annotated[str, typer.Argument(help="mnist, fashion-mnist or pneumonia-mnist.")],
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where to; default: $LABELWISE_DATA, else ./data.")
    ] = None,
) -> None:
    """Download a public data set, checked against its published checksum; a half file is never kept.

    Example: labelwise download mnist --folder data
    """
    import os

    from labelwise.data.download import download

    where = folder or Path(os.environ.get("LABELWISE_DATA", "data"))
    download(name, where)
    typer.echo(f"{name} lies in {where}. To use it: export LABELWISE_DATA={where.resolve()}")
