"""`labelwise select`: pick rows from files of arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

_ARRAYS = "An .npy (memory-mapped), .npz (file.npz:key), .parquet or .csv file"


def _array(words: str) -> Any:
    return typer.Option(help=words, metavar="FILE", show_default=False)


def select_command(
    strategy: Annotated[str, typer.Option(help="Its name; `labelwise strategies` lists them.")],
    budget: Annotated[int, typer.Option(help="How many rows to pick.", min=1)],
    probs: Annotated[Path | None, _array(f"Class probabilities of the pool, n x C. {_ARRAYS}.")] = None,
    embeddings: Annotated[Path | None, _array("Embeddings of the pool, n x D.")] = None,
    features: Annotated[Path | None, _array("Label-free features of the pool, n x F.")] = None,
    logits: Annotated[Path | None, _array("Logits of the pool, n x C.")] = None,
    draws: Annotated[Path | None, _array("Posterior draws of the pool's probabilities, n x S x C.")] = None,
    scalar: Annotated[
        list[str] | None, typer.Option(help="A number a row: predicted_loss=FILE.", metavar="NAME=FILE")
    ] = None,
    labelled_probs: Annotated[Path | None, _array("Class probabilities of what is labelled.")] = None,
    labelled_logits: Annotated[Path | None, _array("Logits of what is labelled.")] = None,
    labelled_embeddings: Annotated[Path | None, _array("Embeddings of what is labelled.")] = None,
    labelled_features: Annotated[Path | None, _array("Features of what is labelled.")] = None,
    labelled_y: Annotated[Path | None, _array("Class indices of what is labelled.")] = None,
    validation_probs: Annotated[Path | None, _array("Class probabilities of validation samples.")] = None,
    validation_draws: Annotated[Path | None, _array("Posterior draws of validation samples.")] = None,
    validation_embeddings: Annotated[Path | None, _array("Embeddings of validation samples.")] = None,
    validation_y: Annotated[Path | None, _array("Class indices of validation samples.")] = None,
    ids: Annotated[
        Path | None, _array("Names of the pool's rows: column `id`, or the first, of a table.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the CSV here, not to the screen.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random, ties included.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter of the strategy: space=features.", metavar="NAME=VALUE"),
    ] = None,
    on_bad_sample: Annotated[
        str, typer.Option(help="A row with a NaN: 'raise' an error, or 'quarantine' it.")
    ] = "raise",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Pick the rows of your arrays that are worth labelling next.

    The CSV has the columns id, row, score and rank, best first; a higher score means ask sooner.

    Example: labelwise select --strategy margin --probs probs.npy --ids items.csv --budget 100 --out picks.csv
    """
    import numpy as np

    from labelwise.arrays import read_array, read_ids, write_picks
    from labelwise.errors import InputError, ShapeError
    from labelwise.selection import proposal

    axes = {"y": 1, "draws": 3}

    def given(files: dict[str, Path | None]) -> dict[str, Any]:
        return {
            name: read_array(*_split(file), axes=1 if name.startswith("scalars.") else axes.get(name, 2))
            for name, file in files.items()
            if file
        }

    scalars = {f"scalars.{name}": Path(file) for name, file in _pairs(scalar, "--scalar").items()}
    pool = given(
        {
            "probs": probs,
            "embeddings": embeddings,
            "features": features,
            "logits": logits,
            "draws": draws,
            **scalars,
        }
    )
    labelled = given(
        {
            "probs": labelled_probs, "embeddings": labelled_embeddings, "features": labelled_features,
            "logits": labelled_logits, "y": labelled_y,
        }
    )  # fmt: skip
    held_out = given(
        {
            "probs": validation_probs, "draws": validation_draws, "embeddings": validation_embeddings,
            "y": validation_y,
        }
    )  # fmt: skip
    params = {name: _value(words) for name, words in _pairs(set_, "--set").items()}
    names = read_ids(ids) if ids else None
    if not pool and names is not None:  # random needs nothing but to know how many there are
        pool = {"ids": np.arange(len(names))}
    if not pool:
        raise InputError(
            "Give an array of the pool: --probs, --embeddings, --features, --logits or --draws (--ids for random)."
        )
    found = proposal(
        strategy, pool, budget, labelled=labelled or None, validation=held_out or None, seed=seed,
        on_bad_sample=on_bad_sample, **params,  # type: ignore[arg-type]
    )  # fmt: skip
    n = len(next(iter(pool.values())))
    if names is not None and len(names) != n:
        raise ShapeError(f"{ids} must name one id a row, {n}; it names {len(names)}.")
    if budget > n:
        typer.echo(f"The pool has {n} rows, fewer than the budget of {budget}: all are picked.", err=True)
    called = names if names is not None else np.arange(n)
    text = write_picks(out, called.tolist(), found.rows, found.scores)
    if as_json:
        rows = found.rows.tolist()
        scores = None if found.scores is None else [float(found.scores[row]) for row in rows]
        picked = {
            "strategy": strategy,
            "rows": rows,
            "ids": [called[row].item() for row in rows],
            "scores": scores,
        }
        typer.echo(json.dumps(picked))
    elif out is None:
        typer.echo(text, nl=False)
    else:
        typer.echo(f"{found.rows.size} of {n} rows picked by {strategy}: {out}", err=True)


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """Return the pairs of NAME=VALUE options."""
    from labelwise.errors import InputError

    found = {}
    for words in given or ():
        name, equals, value = words.partition("=")
        if not name or not equals:
            raise InputError(f"{option} takes NAME=VALUE; it is {words!r}.")
        found[name] = value
    return found


def _value(words: str) -> Any:
    """Return a parameter's value: JSON where it is some, else the words themselves."""
    try:
        return json.loads(words)
    except json.JSONDecodeError:
        return words


def _split(file: Path) -> tuple[Path, str | None]:
    """Return the file and the key of "archive.npz:key"; a Windows drive's colon is no key's."""
    name, colon, key = file.name.rpartition(":")
    return (file.with_name(name), key) if colon and name else (file, None)
