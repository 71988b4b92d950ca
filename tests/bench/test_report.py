"""The page and the files beside it: well-formed, self-contained, safe, small, and the same for the same runs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricated import CLASSES, run

from labelwise.bench.diagnose import _space, answered, diagnose, simulate
from labelwise.bench.report import write_report
from labelwise.bench.report.figures import in_percent
from labelwise.bench.report.panels import spread
from labelwise.bench.report.samples import png
from labelwise.bench.report.svg import GREY, PALETTE, colours
from labelwise.bench.results import Run
from labelwise.bench.settings import group
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.data.task import Task
from labelwise.data.truth import Simulation
from labelwise.errors import InputError
from labelwise.functional.monitor import near_duplicates
from labelwise.seeds import generator

VOID = {"meta", "link", "img", "br", "input"}
EVIL = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Collects what tests ask about, and insists that tags close in the order in which they opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.first: str | None = None
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.ids += [value or "" for key, value in attrs if key == "id"]
        self.attributes += [(key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style", "title"):
            return
        if data.strip() and self.first is None:
            self.first = " ".join(data.split())
        self.words += data


def simulation(classes: tuple[str, ...] = CLASSES, noise: bool = False) -> Simulation:
    """200 pictures of 8 x 8 in the pool, of the classes in turn."""
    rng = generator(0, "test", "report")
    images = rng.integers(0, 256, size=(230, 8, 8), dtype=np.uint8)
    truth = np.arange(230) % len(classes)
    test = Labelled(np.arange(200, 230), truth[200:])
    task = Task("hand-made", ArrayDataset({"image": images}), classes, np.arange(200), test=test)
    return Simulation(task, truth)


def grid(seeds: int = 3, **more: Any) -> list[Run]:
    """Random and margin on the data of `simulation`."""
    sha = simulation(tuple(more.get("classes", CLASSES))).task.fingerprint()["sha256"]
    runs = []
    for s in range(seeds):
        order = generator(s, "test", "order").permutation(200).tolist()
        for name, curve in (("random", (0.5, 0.7, 0.8 + s / 100)), ("margin", (0.5, 0.9, 0.95 + s / 200))):
            labels = [i % len(more.get("classes", CLASSES)) for i in order]
            runs.append(run(name, s, curve, ids=order, labels=labels, sha256=sha, **more))
    return runs


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    out = tmp_path_factory.mktemp("report") / "out" / "report.html"
    return write_report(grid(), out, name="demo", about="Words.", load=lambda _: simulation()).paths


def test_the_page_is_well_formed_and_its_first_words_are_the_answer(written: Mapping[str, Path]) -> None:
    page = Page(written["html"].read_text())
    assert page.first is not None
    assert page.first.startswith("Margin ")
    assert "(3 seeds, difference" in page.first
    assert page.seen.count("h1") == 1


def test_ids_are_unique_and_every_reference_finds_its_target(written: Mapping[str, Path]) -> None:
    text = written["html"].read_text()
    ids = Page(text).ids
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    assert wanted
    assert wanted <= set(ids)


def test_the_page_asks_nothing_of_the_world_and_is_small(written: Mapping[str, Path]) -> None:
    text = written["html"].read_text()
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    sources = [value for key, value in Page(text).attributes if key in ("src", "href", "srcset", "action")]
    assert sources
    assert all(value.startswith(("#", "data:")) for value in sources)
    assert len(text.encode()) < 2_000_000


def test_the_same_runs_give_the_same_bytes(tmp_path: Path, written: Mapping[str, Path]) -> None:
    again = write_report(
        grid(), tmp_path / "b" / "report.html", name="demo", about="Words.", load=lambda _: simulation()
    ).paths
    for kind, path in written.items():
        assert path.read_bytes() == again[kind].read_bytes()


@pytest.mark.slow
def test_two_pages_share_a_folder(tmp_path: Path) -> None:
    runs = grid()
    for page in ("one.html", "other.html", "report.html"):
        write_report(runs, tmp_path / page, name="x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *(f"{name}.{kind}" for name in ("one", "other") for kind in ("csv", "html", "json", "md")),
        "report.html", "report.md", "results.csv", "results.json",
    ]  # fmt: skip


@pytest.mark.slow
def test_hostile_names_are_text_everywhere(tmp_path: Path) -> None:
    classes = (EVIL, "$x$ {{ 7*7 }}", '"><img src=x onerror=alert(1)>')
    evil = {"classes": classes, "task": {"name": f"{EVIL}|`x`"}, "params": {"why": EVIL}}
    paths = write_report(
        grid(classes=classes, task=evil["task"], params=evil["params"]),
        tmp_path / "report.html",
        name=EVIL,
        about=EVIL,
        load=lambda _: simulation(classes),
        notes=[EVIL],
    ).paths
    page = Page(paths["html"].read_text())
    assert page.seen.count("script") == 1  # our own
    assert not any(key.startswith("on") for key, _ in page.attributes)
    assert "49" not in re.findall(r"\$x\$ (.{12})", page.words)
    assert page.words.count(EVIL) > 5  # headings, tables, SVG texts: shown as it is called
    markdown = paths["md"].read_text()
    assert "<script" not in markdown
    assert json.loads(paths["json"].read_text())["name"] == EVIL


def test_names_in_other_scripts_raise_no_warning(tmp_path: Path) -> None:
    classes = ("零", "😀", "ملف")
    paths = write_report(
        grid(classes=classes), tmp_path / "report.html", name="名", load=lambda _: simulation(classes)
    ).paths
    assert "😀" in Page(paths["html"].read_text()).words


def test_the_csv_has_a_row_for_each_run_and_round(written: Mapping[str, Path]) -> None:
    rows = list(csv.DictReader(io.StringIO(written["csv"].read_text())))
    assert len(rows) == 6 * 3
    last = [r for r in rows if r["strategy"] == "random" and r["seed"] == "0"][-1]
    assert (last["labels"], last["accuracy"], last["part"], last["plan.batch"]) == ("30", "0.8", "test", "10")
    # ((.5 + .7)/2 + (.7 + .8)/2) / 2
    assert float(last["aubc_so_far"]) == pytest.approx(0.675)
    assert last["seconds_propose"] == ""  # nothing was asked after the last fit
    assert float(last["seconds_fit"]) == 2.0


def test_no_cell_of_the_csv_is_a_formula(tmp_path: Path) -> None:
    paths = write_report([run(task={"name": "=1+1"})], tmp_path / "report.html", name="x").paths
    [row, *_] = csv.DictReader(io.StringIO(paths["csv"].read_text()))
    assert row["task.name"] == "'=1+1"


def test_the_json_holds_everything(written: Mapping[str, Path]) -> None:
    found = json.loads(written["json"].read_text())
    [setting] = found["settings"]
    assert {s["name"] for s in setting["strategies"]} == {"random", "margin"}
    assert setting["reference"] == "random"
    assert setting["pairs"][0]["bootstrap"]["n"] == 3
    assert [d["strategy"] for d in setting["diagnoses"]] == ["random", "margin"]
    assert found["made"]["commands"] == ["labelwise bench grid.toml"]
    assert any("numpy 2.4.6" in text for _, text in found["made"]["facts"])


def test_the_markdown_holds_answer_table_and_command(written: Mapping[str, Path]) -> None:
    text = written["md"].read_text()
    assert text.startswith("# Margin ")
    assert "| strategy | AUBC, % | final, % |" in text
    assert "| random |" in text
    assert "labelwise bench grid.toml" in text


def test_samples_are_shown_from_the_first_and_last_choice(written: Mapping[str, Path]) -> None:
    page = Page(written["html"].read_text())
    pictures = [value for key, value in page.attributes if key == "src"]
    assert len(pictures) == 2 * 2 * 6  # strategies, rounds, samples
    assert all(value.startswith("data:image/png;base64,") for value in pictures)
    assert "round 1 · " in page.words
    assert "round 0 · " not in page.words


@pytest.mark.slow
def test_without_data_the_page_says_what_is_missing(tmp_path: Path) -> None:
    def lost(spec: Any) -> Simulation:
        raise InputError("There is no folder data.")

    for load, words in ((None, "were not given"), (lost, "There is no folder data.")):
        text = Page(
            write_report(grid(), tmp_path / "r.html", name="x", load=load).paths["html"].read_text()
        ).words
        assert words in text
        assert "Diversity of the batches" not in text
        assert "Samples that were asked for" not in text
        assert "What was asked" in text


def test_other_data_than_the_runs_saw_are_refused(tmp_path: Path) -> None:
    [found] = group([run("random", sha256="f" * 64)])
    data, why = simulate(found, lambda _: simulation())
    assert data is None
    assert why.startswith("The data differ")


@pytest.mark.slow
def test_a_page_that_would_be_too_large_drops_samples_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (
        write_report(grid(), tmp_path / "a.html", name="x", load=lambda _: simulation())
        .paths["html"]
        .stat()
        .st_size
    )
    monkeypatch.setattr("labelwise.bench.report.LARGEST", whole)
    text = Page(
        write_report(grid(), tmp_path / "b.html", name="x", load=lambda _: simulation())
        .paths["html"]
        .read_text()
    ).words
    assert "Samples are left out" in text
    assert "Samples that were asked for" not in text
    assert "What was asked" in text


@pytest.mark.slow
def test_several_settings_stand_side_by_side(tmp_path: Path) -> None:
    runs = grid(task={"k": 1}) + grid(task={"k": 2})
    text = Page(write_report(runs, tmp_path / "report.html", name="x").paths["html"].read_text()).words
    assert "All settings side by side" in text
    assert "Gap to the reference" in text
    # random, k 1 and 2: AUBC ((.5 + .7)/2 + (.7 + .81)/2)/2 = .6775 as mean over seeds .8, .81, .82; final .81
    assert text.count(".677/.810") + text.count(".678/.810") == 2


@pytest.mark.parametrize("seeds, part", [(1, "test"), (2, "validation")])
def test_small_benches_make_a_page_too(tmp_path: Path, seeds: int, part: str) -> None:
    page = Page(
        write_report(grid(seeds, part=part), tmp_path / "report.html", name="x").paths["html"].read_text()
    )
    assert ("one seed, so there is no interval" in page.words) == (seeds == 1)
    assert ("There is no test set" in page.words) == (part == "validation")


def test_unequal_seeds_and_unfinished_runs_make_a_page_that_says_so(tmp_path: Path) -> None:
    runs = [run("random", s, (0.5, 0.7, 0.9)) for s in range(4)] + [
        run("margin", s, (0.5, 0.9, 0.95)) for s in (0, 1)
    ]
    late = run("margin", 2, (0.5, 0.9), budget=30)
    page = Page(write_report([*runs, late], tmp_path / "report.html", name="x").paths["html"].read_text())
    assert "random: 0–3; margin: 0, 1" in page.words
    assert "margin seed 2 (20 of 30 labels)" in page.words


def test_one_strategy_and_one_fit_make_a_page(tmp_path: Path) -> None:
    page = Page(
        write_report([run("margin", curve=(0.5,))], tmp_path / "report.html", name="x")
        .paths["html"]
        .read_text()
    )
    assert page.first == "Margin ended at 50 % with 10 labels (1 seed)."
    assert "Paired differences" not in page.words


def test_a_class_that_is_lost_raises_an_alarm_on_the_page(tmp_path: Path) -> None:
    curve = (0.8,) * 6
    lost = {t: {"per_class": [0.9, 0.9, 0.9 if t < 2 else 0.0]} for t in range(6)}
    runs = [run("margin", 0, curve, made=lost), run("random", 0, curve)]
    text = Page(write_report(runs, tmp_path / "report.html", name="x").paths["html"].read_text()).words
    # points 2, 3 and 4 (30, 40, 50 labels) are under 5 %: the third of them completes the alarm
    assert re.search(r"margin: .*'two'.*\(seed 0, at 50 labels; its accuracy ends at 0 %\)", text)
    assert "no other sign of failure, with random" in text


def test_the_asked_are_counted_by_round_and_class_and_passes_are_not() -> None:
    found = answered(run(start=3, batch=3, curve=(0.5, 0.6), labels=[0, 0, 2, None, 1, 1, *[0] * 194]), 3)
    assert found.tolist() == [[2, 0, 1], [0, 2, 0]]


def test_wrong_labels_among_the_asked_stand_beside_the_base_rate() -> None:
    data = simulation()
    order = list(range(200))
    # a strategy that meets a wrong label in every one of its own asks, after a start that is right
    said = [i % 3 if i < 10 else (i + 1) % 3 for i in order]
    [found] = group([run("random", 0, (0.5, 0.6, 0.7), ids=order, labels=said, noise=0.2)])
    [told] = diagnose(found, CLASSES, data, "random")
    assert told.noisy is not None
    assert told.noisy.share == 1.0
    assert told.noisy.n == 20
    # 200 draws at 0.2: within four standard deviations, 4 * sqrt(.2 * .8 / 200) = .113
    assert abs(told.noisy.base - 0.2) < 0.113
    assert told.noisy.differs
    assert told.labelled_share == pytest.approx(30 / 200)


def test_evenness_is_one_for_alike_classes_and_falls_for_one() -> None:
    even = run("random", 0, (0.5, 0.6), start=3, batch=3)
    one = run("margin", 0, (0.5, 0.6), start=3, batch=3, labels=[1] * 200)
    [found] = group([even, one])
    told = {d.strategy: d for d in diagnose(found, CLASSES, None, "random")}
    assert told["random"].evenness.tolist() == pytest.approx([1.0, 1.0])
    assert told["margin"].evenness.tolist() == pytest.approx([0.0, 0.0])


def test_colours_keep_to_their_strategy_and_random_is_grey() -> None:
    few, many = (
        colours(["margin", "random"]),
        colours(["entropy", "margin", "x", "random", "least-confidence"]),
    )
    assert few["margin"] == many["margin"] == PALETTE[1]
    assert few["random"] == GREY
    assert len(set(many.values())) == 5
    crowd = colours([f"s{k}" for k in range(9)])
    assert [crowd[f"s{k}"] for k in (6, 7, 8)] == [GREY] * 3
    assert len({crowd[f"s{k}"] for k in range(6)}) == 6


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.full((400, 300, 3), 0.5, np.float32),
        np.linspace(-80, 0, 600).reshape(20, 30),  # a spectrogram in decibels
        np.zeros((4, 4)) - 1,
    ],
)
def test_every_kind_of_picture_becomes_a_small_png(image: np.ndarray[Any, Any]) -> None:
    assert png(image).startswith("data:image/png;base64,iVBORw0KGgo")
    assert len(png(image)) < 20_000


def test_samples_that_lack_a_modality_are_no_copies_of_each_other():
    """Pictures 0 to 9 all differ and 10 to 19 lack theirs; tables differ but for 18 and 19, which are copies indeed."""
    rng = generator(0, "test", "copies")
    images = rng.integers(0, 256, (20, 4, 4)).astype(np.uint8)
    table = rng.normal(size=(20, 6))
    table[19] = table[18]
    present = np.ones((20, 2), bool)
    present[10:, 0] = False
    images[10:] = 0
    y = np.arange(20) % 3

    def copies(ids: list[int], there: np.ndarray = present) -> float:
        data = ArrayDataset({"image": images, "table": table}, present=there)
        task = Task("lacking", data, CLASSES, np.arange(20))
        vectors = _space(Simulation(task, y))
        assert vectors is not None
        points = vectors[0](np.array(ids))
        return np.unique(near_duplicates(points, vectors[1])).size / len(points)

    assert copies([*range(10, 18)]) == 0
    assert copies([*range(10, 20)]) == 0.2
    nothing = present.copy()
    nothing[10:] = False  # no vector at all: left out
    assert copies([*range(8, 20)], nothing) == 0


@pytest.mark.parametrize("values", [[0.0, 0.0], [0.0, 1e-17], [0.25, 0.25], [1.0, 1.0]])
def test_an_axis_of_equal_shares_shows_no_rounding(values: list[float]):
    low, high = spread([np.array(values)], share=True)
    assert 0 <= low <= min(values) <= max(values) <= high <= 1.02
    assert high - low >= 0.02
    assert "e" not in in_percent(high) and "e" not in in_percent(low)


def test_an_axis_holds_all_values_with_a_little_room():
    assert spread([np.array([1.0, 3.0]), np.array([np.nan, 2.0])]) == pytest.approx((0.9, 3.1))
    assert spread([np.array([np.nan])]) == (0.0, 1.0)
