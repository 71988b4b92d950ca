"""Named protocols: the comparisons of the papers, and the demo, as TOML files beside this one."""

from __future__ import annotations

from pathlib import Path

from labelwise.checks import check_name

HERE = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Return the names of all protocols, e.g. "uncertainty/mnist"."""
    return tuple(sorted(str(path.relative_to(HERE).with_suffix("")) for path in HERE.rglob("*.toml")))


def find(name: str) -> Path:
    """Return the file of a protocol.

    Raises:
        UnknownName: there is none of this name; the message proposes the nearest.
    """
    check_name(name, names(), "protocol")
    return HERE / f"{name}.toml"
