"""What the page of RL-MBA says of its speed is what the committed benchmark found."""

import json
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_figures_of_speed_on_the_page_are_those_of_the_results():
    found = json.loads((ROOT / "benchmarks" / "results" / "multimodal-speed.json").read_text())
    page = " ".join((ROOT / "docs" / "systems" / "rl-mba.md").read_text().split())
    ratio = {name: values["processor"] for name, values in found["round"]["ratio"].items()}
    phases = found["round"]["phases"]
    update, first = found["update"]["seconds"]["10"], found["update"]["first"]
    for words in (
        f"`badge` | {ratio['badge']:.2f} |",
        f"| 1 / {1 / ratio['reference badge, materialised']:.0f} |",
        f"| 1 / {1 / ratio['reference badge, factored']:.1f} |",
        f"| {1000 * update['processor']:.0f} ms |",
        f"| {found['dempster-shafer']['seconds']['processor']:.2f} s |",
        f"features {phases['features']:.2f} s, clusters {phases['clusters']:.2f} s, score {phases['score']:.2f} s, "
        f"policy {phases['policy']:.3f} s",
        f"takes {first['processor']:.1f} s more",
    ):
        assert words in page
    assert ratio["badge"] <= found["targets"]["badge"]
    assert ratio["reference badge, materialised"] <= found["targets"]["reference badge"]
    assert update["processor"] <= found["targets"]["update"]
    assert found["dempster-shafer"]["seconds"]["clock"] <= found["targets"]["dempster-shafer"]
