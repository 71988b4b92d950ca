"""Nothing told is lost or doubled: processes killed at any moment, two that tell at once, two that ask at once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from project_samples import truth

from labelwise.events import Answered, Asked
from labelwise.project import ask, tell
from labelwise.project.folder import Project
from labelwise.project.sheet import Line, read_lines, write_rows
from labelwise.seeds import generator

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
CHILD = Path(__file__).with_name("project_children.py")
KILLS = 20


def start(what: str, project: Project, *files: Path) -> subprocess.Popen[str]:
    """Start a child that waits for a line on its standard input, and return once it waits."""
    child = subprocess.Popen(
        [sys.executable, str(CHILD), what, str(project.folder), *map(str, files)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def write_labels(path: Path, ids: list[int]) -> Path:
    with path.open("w", newline="") as file:
        write_rows(file, ("id", "label"), [{"id": i, "label": "odd" if i % 2 else "even"} for i in ids])
    return path


def recorded(project: Project) -> list[Answered]:
    with project.store(readonly=True) as store:
        return [event for event in store.read() if isinstance(event, Answered)]


def test_killing_tell_at_any_moment_loses_and_doubles_nothing(plain: Project, tmp_path: Path):
    ids = [row["id"] for row in ask(plain).rows]
    assert len(ids) == 2000
    # one long file and many short ones, so that kills fall into transactions as well as between them
    parts = [ids[:1000], *(ids[k : k + 40] for k in range(1000, 2000, 40))]
    files = [write_labels(tmp_path / f"part-{k:02d}.csv", part) for k, part in enumerate(parts)]
    members = {file.name: set(part) for file, part in zip(files, parts, strict=True)}
    rng = generator(0, "test", "project", "kills")
    acknowledged: set[int] = set()
    cut_short = 0
    for _ in range(KILLS):
        order = [files[k] for k in rng.permutation(len(files))]
        child = start("tell", plain, *order)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        time.sleep(float(rng.uniform(0, 0.25)))
        child.kill()
        said = child.stdout.read()
        child.wait()
        for stream in (child.stdin, child.stdout):
            stream.close()
        acks = [line.split() for line in said.splitlines(keepends=True) if line.endswith("\n")]
        cut_short += len(acks) < len(files)
        acknowledged |= {i for ack in acks for i in members[ack[1]]}
        kept = [answer.id for answer in recorded(plain)]
        assert len(kept) == len(set(kept))  # nothing doubled
        assert acknowledged <= set(kept)  # nothing lost
        for name, part in members.items():  # all of a file or none of it
            assert part <= set(kept) or not part & set(kept), name
    assert cut_short >= KILLS // 2  # the kills did fall into the work
    whole = write_labels(tmp_path / "whole.csv", ids)
    judged, state = tell(plain, read_lines(whole.read_bytes(), "whole.csv", ("id", "label")))
    assert judged.refused == ()
    assert len(judged.good) + judged.known == 2000
    everything = recorded(plain)
    assert Counter(answer.id for answer in everything) == Counter(ids)
    assert not any(answer.correction for answer in everything)
    assert state.labels == {i: i % 2 for i in ids}


def test_processes_that_tell_at_once_lose_and_double_nothing(plain: Project, tmp_path: Path):
    ids = [row["id"] for row in ask(plain).rows]
    # every file overlaps the next by half: each sample is told by two processes
    files = [write_labels(tmp_path / f"{k}.csv", (ids + ids)[k * 500 : k * 500 + 1000]) for k in range(4)]
    children = [start("tell", plain, file) for file in files]
    said = [child.communicate("go\n", timeout=60)[0].split() for child in children]
    assert [child.returncode for child in children] == [0] * 4
    assert sum(int(words[2]) for words in said) == 2000  # recorded, each once
    assert sum(int(words[3]) for words in said) == 2000  # known already, each once
    assert sum(int(words[4]) for words in said) == 0
    assert Counter(answer.id for answer in recorded(plain)) == Counter(ids)


def test_processes_that_ask_at_once_get_the_same_samples(mail: Project):
    lines = [Line(2 + k, {"id": str(r["id"]), "label": truth(r["id"])}) for k, r in enumerate(ask(mail).rows)]
    tell(mail, lines)
    children = [start("ask", mail) for _ in range(2)]
    for child in children:  # let all of them go before waiting for any
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate(timeout=60)[0] for child in children]
    assert said[0] == said[1]
    assert len(said[0].split()) == 20
    with mail.store(readonly=True) as store:
        assert [event.round for event in store.read() if isinstance(event, Asked)] == [0, 1]
