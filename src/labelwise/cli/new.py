"""`labelwise new`: a project from a folder of images or a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from labelwise.cli.people import say
from labelwise.cli.progress import phase_bars
from labelwise.cli.running import counted


def new_command(
    project: Annotated[Path, typer.Argument(help="The folder to make.", show_default=False)],
    images: Annotated[Path | None, typer.Option(help="A folder of images.")] = None,
    table: Annotated[Path | None, typer.Option(help="A table: CSV, TSV or Parquet.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Class names with commas between, or a file with one a line.")
    ] = None,
    classes_from_folders: Annotated[
        bool, typer.Option("--classes-from-folders", help="The images' sub-folders are the classes.")
    ] = False,
    text: Annotated[str | None, typer.Option(help="The table's column of text.")] = None,
    numbers: Annotated[
        str | None, typer.Option(help="The table's columns of numbers, with commas between.")
    ] = None,
    image_column: Annotated[str | None, typer.Option(help="The table's column of image paths.")] = None,
    label_column: Annotated[
        str | None, typer.Option(help="The table's column of labels known already.")
    ] = None,
    key_column: Annotated[str | None, typer.Option(help="The table's column that names the rows.")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Labels known already: a CSV with the columns file (or row) and label, as `export` writes it."
        ),
    ] = None,
    size: Annotated[int, typer.Option(help="Height and width of the images, in pixels.")] = 64,
    grey: Annotated[bool, typer.Option("--grey", help="One channel instead of three.")] = False,
    recipe: Annotated[str | None, typer.Option(help="The model; see `labelwise recipes`.")] = None,
    strategy: Annotated[str, typer.Option(help="What chooses; see `labelwise strategies`.")] = "margin",
    budget: Annotated[int | None, typer.Option(help="Labels in all; default: every sample.")] = None,
    start: Annotated[
        int | None, typer.Option(help="Labels of the first round; default: 20, or 2 a class.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Labels of each later round; default: 50.")] = None,
    validation: Annotated[
        float, typer.Option(help="Share of the labels known already that only measures, from 50 on.")
    ] = 0.2,
    audit: Annotated[
        float,
        typer.Option(
            help="Share of each later batch drawn at random, up to 0.5: it tells how good the model is."
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
    fields: Annotated[
        list[str] | None, typer.Option("--set", help="A field of recipe or strategy: recipe.epochs=50.")
    ] = None,
) -> None:
    """Make a project from a folder of images or a table.

    Examples:

    labelwise new birds --images photos/ --classes robin,wren,other

    labelwise new mail --table mail.csv --text body --classes spam,ham

    labelwise new birds-2 --images photos/ --classes robin,wren,other --labels labels.csv

    Images in sub-folders that are named like a class, rows with a label, and
    what --labels names are known already: the model learns from them (from 50
    on, a fifth only measures it), and nobody is asked for them.
    """
    from labelwise.data.columns import Columns
    from labelwise.errors import InputError
    from labelwise.project.new import Wish, new

    if classes is not None and classes_from_folders:
        raise InputError("Give --classes or --classes-from-folders, one of the two.")
    if classes is None and table is None and not classes_from_folders:
        raise InputError(
            "Name the classes: --classes robin,wren,other, a file with one a line, or --classes-from-folders."
        )
    wish = Wish(
        images=images,
        table=table,
        columns=Columns(image_column, text, _split(numbers), label_column, key_column),
        classes=_split(classes, keep_empty=True),
        size=size,
        grey=grey,
        labels=labels,
        validation=validation,
        recipe=recipe,
        strategy=strategy,
        seed=seed,
        start=start,
        batch=batch,
        budget=budget,
        audit=audit,
        fields=tuple(fields or ()),
    )
    with phase_bars() as tell:
        made, samples = new(project, wish, tell)
    source, plan = made.settings.source, made.settings.plan
    if source.table:
        uses = {"image": source.image_column, "text": source.text, "numbers": ", ".join(source.numbers)}
        uses |= {"label": source.label_column, "key": source.key_column}
        say("Columns: " + "; ".join(f"{use}: {name}" for use, name in uses.items() if name) + ".")
    if samples.bad:
        shown = "; ".join(f"{key}: {why}" for key, why in samples.bad[:5])
        more = "; …" if len(samples.bad) > 5 else ""
        say(f"{len(samples.bad)} samples cannot be read and are left out ({shown}{more}).")
    task = samples.task
    if wish.table is None and (others := _no_classes(samples.keys, task.classes)):
        say(
            f"No class is called like {counted(len(others), 'sub-folder')} of {images}, so nothing there counts as labelled: {', '.join(others[:5])}{', …' if len(others) > 5 else ''}."
        )
    known = ""
    if len(task.given) or len(task.validation):
        known = f", {len(task.given):,} labelled already"
        known += (
            f", {len(task.validation):,} more kept apart to measure the model" if len(task.validation) else ""
        )
    say(
        f"{project}: {counted(len(task.pool), 'sample')} to choose from{known}; {len(task.classes):,} classes."
    )
    if not (len(task.validation) or plan.audit):
        say(
            "How accurate the model is will not be known: no labels were kept apart to measure it. With --audit 0.2 a fifth "
            "of each later batch is drawn at random and tells it."
        )
    say(
        f"The model: {made.settings.recipe['name']}; what chooses: {made.settings.strategy['name']}; up to "
        f"{counted(plan.budget, 'label')}, {plan.start} at first, then {plan.batch} a round. Next: labelwise ask "
        f"{project} > batch.csv"
    )


def _no_classes(keys: Sequence[str], classes: Sequence[str]) -> list[str]:
    """Return the sub-folders that are no class, once there is one that is, or one whose name differs from a class by case."""
    tops = {key.split("/")[0] for key in keys if "/" in key}
    names = {name.casefold() for name in classes}
    others = sorted(tops - set(classes))
    return others if tops & set(classes) or any(top.casefold() in names for top in others) else []


def _split(words: str | None, *, keep_empty: bool = False) -> tuple[str, ...]:
    if words is None:
        return ()
    parts = [part.strip() for part in words.split(",")]
    return tuple(part for part in parts if part or keep_empty)
