"""Every example runs as it is, without data sets and without a warning, and leaves what it says it leaves."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEAVES = {
    "multimodal.py": (
        "samples.png",
        "why.png",
        "report.html",
        "report.md",
        "results.csv",
        "runs/taught.safetensors",
    ),
    "drift.py": ("report.html", "drift.svg", "machine/project.toml"),
}


def test_every_example_is_known_here():
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(LEAVES)


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAVES)
def test_an_example_runs_and_leaves_what_it_promises(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABELWISE_EXAMPLE", str(tmp_path / "out"))
    monkeypatch.delenv("LABELWISE_DATA", raising=False)
    path = ROOT / "examples" / name
    assert path.read_text().startswith("# %%"), "an example is read cell by cell"
    runpy.run_path(str(path), run_name="__main__")
    for file in LEAVES[name]:
        assert (tmp_path / "out" / file).stat().st_size > 100, file
    assert [p.name for p in tmp_path.iterdir()] == ["out"], "it writes nowhere else"
    assert str(tmp_path / "out" / "report.html") in capsys.readouterr().out
