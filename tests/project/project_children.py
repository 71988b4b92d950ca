"""What other processes do in the tests of crashes: tell files and ask, saying on standard output what is done."""

from __future__ import annotations

import sys
from pathlib import Path

from labelwise.project import ask, open_project, tell
from labelwise.project.sheet import read_lines


def tell_files(folder: Path, files: list[Path]) -> None:
    """Tell the files one after the other, acknowledging each."""
    project = open_project(folder)
    print("ready", flush=True)
    sys.stdin.readline()
    for path in files:
        judged, _ = tell(project, read_lines(path.read_bytes(), path.name, ("id", "label")))
        print(f"ack {path.name} {len(judged.good)} {judged.known} {len(judged.refused)}", flush=True)


def ask_once(folder: Path) -> None:
    """Ask once and print the ids."""
    project = open_project(folder)
    print("ready", flush=True)
    sys.stdin.readline()
    print(*(row["id"] for row in ask(project).rows), flush=True)


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    if what == "tell":
        tell_files(Path(folder), [Path(name) for name in rest])
    else:
        ask_once(Path(folder))
