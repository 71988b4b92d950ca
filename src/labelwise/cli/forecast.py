"""`labelwise forecast`: what the next labels would buy, for somebody who has to decide on a budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from labelwise.events import State

_LONE = """<style>
:root { --ink: #16191d; --muted: #59616b; --line: #e3e6ea; --paper: #ffffff; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9ecef; --muted: #a3acb6; --line: #2a3037; --paper: #121518; --accent: #3d9bd1; } }
svg { background: var(--paper); font-family: system-ui, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif; }
</style>"""


def forecast_command(
    path: Annotated[Path, typer.Argument(help="A run file, or a project's folder.", show_default=False)],
    labels: Annotated[
        list[int] | None,
        typer.Option(
            help="How many labels more; again for several. Default: a quarter, half and as many as there are."
        ),
    ] = None,
    target: Annotated[float | None, typer.Option(help="An accuracy to reach, like 0.95.")] = None,
    cost: Annotated[
        float | None, typer.Option(help="Price of one label, in any currency; adds what each option costs.")
    ] = None,
    value: Annotated[
        float | None,
        typer.Option(
            help="What one point of accuracy is worth, in the same; says whether labels pay, beside other stop advice."
        ),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(help="validation or test accuracy. Default: validation, where it was measured."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the curve and where it goes into this .svg file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Say what more labels would buy: accuracy expected, how sure that is, and what a point of it costs.

    The learning curve that the campaign measured so far is continued by six shapes that such curves have, each as far as
    it fits. How wide the intervals must be was learnt from thousands of finished curves. Nothing is trained, asked for
    or recorded. It takes four measurements, so four rounds.

    Examples:

    labelwise forecast my-project --labels 500 --cost 0.4 --value 200

    labelwise forecast runs/demo/0e074047f3ee.db --labels 50 --labels 100 --target 0.95 --plot curve.svg
    """
    from labelwise.bench.outlook import as_json as plain
    from labelwise.bench.outlook import caveats, outlook, sentences
    from labelwise.errors import InputError

    if plot is not None and plot.suffix.lower() != ".svg":
        raise InputError(f"--plot must end in .svg; it is {plot.name!r}.")
    state = _state(path)
    told = outlook(state, part=measure, more=labels or (), target=target, price=cost, value=value)
    if plot is not None:
        from labelwise.bench.report.forecast import curve

        drawn = curve(told, "forecast", width=992, what="labels")
        end = drawn.index(">")
        opening = drawn[:end].replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
        plot.write_text(f"{opening}>{_LONE}{drawn[end + 1 :]}\n", encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(plain(told), ensure_ascii=False))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from labelwise.bench.report.forecast import table
    from labelwise.project.advice import stop_advice, stop_rows

    console = Console(highlight=False)
    for line in sentences(told):
        console.print(line, markup=False)
    if told.options:
        found = table(told)
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for column in found.columns:
            shown.add_column(column.name.replace("over row above", "on top"), justify="right", no_wrap=True)
        for row in found.rows:
            cells = [Text(row.name)]
            for cell in row.cells:
                text = Text("–" if cell is None else cell.text)
                if cell is not None and cell.small:
                    text.append(f" ({cell.small})", style="dim")
                cells.append(text)
            shown.add_row(*cells)
        console.print(shown)
        # whoever asks whether labels pay may see what the criteria say that know no price
        if (back := told.options[0].back) is not None and (rows := stop_rows(stop_advice(state), back)):
            advised = Table("stop advice", "now", "stop?", "since round", "source", box=None, pad_edge=False)
            for criterion in rows:
                advised.add_row(*map(Text, criterion))
            console.print(advised, "")
    for line in caveats(told):
        console.print(Text(line, style="dim"))
    if plot is not None:
        console.print(f"\nCurve: {plot}", markup=False, soft_wrap=True)


def _state(path: Path) -> State:
    """Return where the campaign in a run file or in a project's folder stands."""
    from labelwise.errors import InputError
    from labelwise.events import replay
    from labelwise.store.sql import SqlStore

    if not path.exists():
        raise InputError(
            f"There is no file or folder {path}; give a run file that `labelwise bench` wrote, or a project's folder."
        )
    if path.is_dir():
        if (path / "project.toml").exists():
            from labelwise.project import open_project

            return open_project(path).state()
        files = sorted(path.glob("*.db"))
        if len(files) != 1:
            example = f"; a forecast is of one of them: labelwise forecast {files[0]}" if files else ""
            raise InputError(f"{path} is no project; it holds {len(files) or 'no'} run files{example}.")
        path = files[0]
    store = SqlStore(path, create=False, readonly=True)
    try:
        state = replay(store.read())
    finally:
        store.close()
    if state.opened is None:
        raise InputError(f"{path} holds no campaign: nothing was recorded in it yet.")
    return state
