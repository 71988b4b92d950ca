"""Suites: several protocols as one bench, in one folder and one report; a run that two of them share is made once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from labelwise.bench import protocols
from labelwise.bench.axes import MINI
from labelwise.bench.spec import Bench, File, read_file, read_toml, unique_runs
from labelwise.checks import check_name
from labelwise.errors import InputError, did_you_mean

HERE = Path(__file__).parent
KEYS = ("name", "about", "protocols")
TOML = ".toml"


def names() -> tuple[str, ...]:
    """Return the names of all suites, e.g. "core"."""
    return tuple(sorted(path.stem for path in HERE.glob(f"*{TOML}")))


def find(name: str) -> Path:
    """Return the file of a suite: of a name, the one beside this module; of what ends in ".toml", that file itself.

    Raises:
        UnknownName: there is none of this name; the message proposes the nearest.
    """
    if name.endswith(TOML):
        return Path(name)
    check_name(name, names(), "suite")
    return HERE / f"{name}{TOML}"


def read_suite(path: Path, scale: str | None = None, only: Iterable[str] = ()) -> Bench:
    """Return the runs of all protocols of a suite, each run once, in the order of the protocols.

    The file holds `name`, `about` and `protocols`: names, or TOML files that lie beside it. What a run is called is
    what the first protocol that has it calls it. A suite has no numbers of papers beside its own: its protocols do.

    Args:
        path: the file.
        scale: a scale that every protocol of the suite has; None: "mini".
        only: names of cases (or strategies, or tasks) of any of the protocols to keep; see `labelwise.bench.axes.chosen`.

    Raises:
        InputError: the file is missing, is no TOML or no suite; or one of its protocols is wrong, or lacks the scale.
    """
    content = read_toml(path)
    for key in content:
        if key not in KEYS:
            raise InputError(f"{path}: {key} is unknown in a suite. {did_you_mean(key, KEYS)}")
    name, about = content.get("name", path.stem), content.get("about", "")
    for key, words in (("name", name), ("about", about)):
        if not isinstance(words, str):
            raise InputError(f"{path}: {key} must be a text; it is {words!r}.")
    held = content.get("protocols")
    if not isinstance(held, list) or not held or not all(isinstance(one, str) for one in held):
        raise InputError(f"{path}: protocols must be a list of names of protocols; it is {held!r}.")
    files: list[File] = [read_file(_protocol(one, path), scale) for one in held]
    unique = unique_runs(files, only, str(path))
    return Bench(
        name,
        about,
        tuple(spec for spec, _ in unique.values()),
        tuple(cases for _, cases in unique.values()),
        scale or MINI,
    )


def _protocol(name: str, suite: Path) -> Path:
    return suite.parent / name if name.endswith(TOML) else protocols.find(name)
