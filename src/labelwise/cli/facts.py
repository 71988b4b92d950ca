"""What a project, a run, a folder of images or a table says of a pool by itself, without a model and without decoding anything."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from labelwise.data.own import FEW
from labelwise.errors import InputError


@dataclass(frozen=True)
class Known:
    """What is known; None where it is not.

    Attributes:
        pool, classes, budget, start, batch, modalities, kind, imbalance: as `labelwise.bench.advice.Facts`.
        model: the recipe's name, or "network" or "linear".
        strategy: that a project or run uses already.
        data: options of `labelwise new` that name the same data.
        labels: how many a project has bought.
    """

    pool: int | None = None
    classes: int | None = None
    budget: int | None = None
    start: int | None = None
    batch: int | None = None
    modalities: int | None = None
    kind: str | None = None
    imbalance: float | None = None
    model: str | None = None
    strategy: str | None = None
    data: str | None = None
    labels: int = 0


def known_of(path: Path) -> Known:
    """Return what a path says.

    Raises:
        InputError: there is nothing, or nothing that can be read as one of these.
    """
    if not path.exists():
        raise InputError(
            f"There is no file or folder {path}; give a project's folder, a folder of images, a table or a run file, "
            "or say everything by options."
        )
    if path.is_dir():
        return _project(path) if (path / "project.toml").exists() else _images(path)
    return _run(path) if path.suffix.lower() == ".db" else _table(path)


def _project(path: Path) -> Known:
    from labelwise.project import open_project
    from labelwise.project.new import Wish

    project = open_project(path)
    settings, items = project.settings, project.items
    source, plan = settings.source, settings.plan
    pictures = bool(source.images and (not source.table or source.image_column))
    kinds = _kinds(pictures, bool(source.text), bool(source.numbers))
    options = {"--images": source.images, "--table": source.table, "--image-column": source.image_column}
    options |= {"--text": source.text, "--numbers": ",".join(source.numbers)}
    options |= {"--label-column": source.label_column, "--key-column": source.key_column}
    options |= {"--size": str(source.size) if pictures and source.size != Wish.size else ""}
    data = " ".join(f"{option} {shlex.quote(place)}" for option, place in options.items() if place)
    data += " --grey" if source.grey else ""
    data += f" --audit {plan.audit}" if plan.audit else ""
    names = shlex.quote(",".join(settings.classes))
    bought = len(project.state().labels)
    pool = len(items.ids("pool"))
    return Known(
        pool=pool,
        classes=len(settings.classes),
        budget=min(plan.budget, pool) - bought or min(plan.budget, pool),  # a finished one: as it was
        start=plan.start,
        batch=plan.batch,
        modalities=len(kinds),
        kind=kinds[0],
        imbalance=imbalance_of((items.labels[items.labels >= 0]).tolist(), len(settings.classes)),
        model=str(settings.recipe["name"]),
        strategy=str(settings.strategy["name"]),
        data=f"{data} --classes {names}" + (" --labels labels.csv" if bought else ""),
        labels=bought,
    )


def _run(path: Path) -> Known:
    from labelwise.events import replay
    from labelwise.store.sql import SqlStore

    store = SqlStore(path, create=False, readonly=True)
    try:
        opened = replay(store.read()).opened
    finally:
        store.close()
    if opened is None:
        raise InputError(f"{path} holds no campaign: nothing was recorded in it yet.")
    task, plan = opened.task, opened.plan
    pool = int(task["pool"])
    return Known(
        pool=pool, classes=len(task["classes"]), budget=min(plan.budget, pool), start=min(plan.start, pool),
        batch=plan.batch, modalities=len(task["modalities"]),
        kind={"image": "image", "text": "text", "table": "vectors"}.get(str(task["modalities"][0])),
        model="linear" if "Estimator" in str(opened.recipe) else "network",
    )  # fmt: skip


def _images(path: Path) -> Known:
    from labelwise.data.files import Root
    from labelwise.data.own import listing

    tops = [key.split("/")[0] if "/" in key else "" for key in listing(Root(path))]
    names = sorted(set(tops) - {""})
    classes = len(names) if len(names) > 1 else None
    told = [top for top in tops if top] if classes else []
    options = f"--images {shlex.quote(str(path))}"
    return Known(
        pool=(len(tops) - len(told)) or len(tops),
        classes=classes,
        modalities=1,
        kind="image",
        imbalance=imbalance_of(told, classes),
        data=f"{options} --classes-from-folders" if classes else f"{options} --classes first,second,…",
    )


def _table(path: Path) -> Known:
    from labelwise.data.columns import cells, detect
    from labelwise.data.files import read_table

    table = read_table(path)
    columns = detect(table)
    kinds = _kinds(columns.image is not None, columns.text is not None, bool(columns.numbers))
    labels = cells(table, columns.label) if columns.label is not None else []
    told = [label for label in labels if label]
    classes = len(set(told)) if len(set(told)) > 1 else None
    names = "" if classes else " --classes first,second,…"
    return Known(
        pool=(table.num_rows - len(told)) or table.num_rows,
        classes=classes,
        modalities=len(kinds),
        kind=kinds[0],
        imbalance=imbalance_of(told, classes),
        data=f"--table {shlex.quote(str(path))}{names}",
    )


def _kinds(image: bool, text: bool, numbers: bool) -> list[str]:
    found = [kind for kind, there in (("image", image), ("text", text), ("vectors", numbers)) if there]
    if not found:
        raise InputError(
            "No column of the table looks like image paths, text or numbers; say everything by options."
        )
    return found


def imbalance_of(labels: Iterable[object], classes: int | None) -> float | None:
    """Return the largest over the smallest class; None with fewer than 50 labels or where a class has none."""
    counts = Counter(labels)
    if sum(counts.values()) < FEW or classes is None or len(counts) < max(2, classes):
        return None
    return max(counts.values()) / min(counts.values())
