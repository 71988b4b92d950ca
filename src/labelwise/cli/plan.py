"""`labelwise plan`: what a selection will cost on this machine, before it is run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def plan_command(
    strategy: Annotated[str, typer.Option(help="Its name; `labelwise strategies` lists them.")],
    n: Annotated[int, typer.Option("--n", help="Samples in the pool.", min=1)],
    budget: Annotated[int, typer.Option(help="How many rows to pick.", min=1)],
    classes: Annotated[int, typer.Option(help="C of the probabilities.", min=1)] = 10,
    width: Annotated[int, typer.Option(help="D of embeddings or features.", min=1)] = 512,
    labelled: Annotated[int, typer.Option(help="Samples that are labelled already.", min=1)] = 1_000,
    draws: Annotated[int, typer.Option(help="Posterior draws, for strategies that read them.", min=1)] = 10,
    dtype: Annotated[str, typer.Option(help="Of the arrays: float16, float32 or float64.")] = "float32",
    seconds: Annotated[float, typer.Option(help="How long to calibrate.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Say how long a selection will take here and how much memory, from a short calibration on made-up arrays.

    Example: labelwise plan --strategy badge --n 1000000 --classes 100 --width 512 --budget 500
    """
    from labelwise.cli.progress import phase_bar
    from labelwise.planning import forecast

    with phase_bar("runs") as tell:
        told = forecast(
            strategy, n, budget, n_classes=classes, width=width, labelled=labelled, draws=draws, dtype=dtype,
            seconds=seconds, progress=lambda done, total: tell(done, total, "calibrating"),
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(asdict(told)))
        return
    last = told.runs[-1]
    whole = (last.n, last.batch) == (n, min(n, budget))
    typer.echo(
        f"{strategy}: {budget:,} of {n:,} samples\n"
        f"  time          {duration(told.seconds)}\n"
        f"  extra memory  {size_of(told.extra_bytes)}\n"
        f"  the arrays    {size_of(told.array_bytes)} (memory maps are read block by block)\n"
        + (
            f"Measured at this size, {len(told.runs)} runs."
            if whole
            else f"Extrapolated from {len(told.runs)} runs of up to {last.n:,} samples; --seconds 60 calibrates on larger ones."
        )
    )
    free = free_memory()
    if free is not None and told.extra_bytes > free:
        typer.echo(
            f"This machine has {size_of(free)} free: not enough. Ask fewer, or of a subsample.", err=True
        )


def duration(seconds: float) -> str:
    """Return seconds as a person says them."""
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def size_of(count: float) -> str:
    """Return bytes as a person says them."""
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"


def free_memory() -> int | None:
    """Return the bytes that programs may still take; None where the system does not say."""
    info = Path("/proc/meminfo")
    if not info.exists():
        return None
    found = [line.split()[1] for line in info.read_text().splitlines() if line.startswith("MemAvailable")]
    return int(found[0]) * 1024 if found else None
