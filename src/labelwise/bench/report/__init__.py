"""The report of a benchmark: one self-contained page, and the same findings as Markdown, CSV and JSON."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files as resources
from pathlib import Path
from typing import Any, Literal

from labelwise.bench.compare import compare
from labelwise.bench.diagnose import Load, diagnose, simulate
from labelwise.bench.findings import Comparison
from labelwise.bench.latent import SECONDS, Latents, latent
from labelwise.bench.names import Cases
from labelwise.bench.paper import Printed
from labelwise.bench.report import audit, stopping
from labelwise.bench.report.build import origins, page, palette_of
from labelwise.bench.report.files import report_md, results_csv, results_json
from labelwise.bench.report.forecast import forecast
from labelwise.bench.report.modalities import Modalities, modalities, shown
from labelwise.bench.report.policy import policy
from labelwise.bench.report.printed import beside
from labelwise.bench.report.robust import Robustness, robustness
from labelwise.bench.report.robust import shown as robust_shown
from labelwise.bench.report.samples import samples
from labelwise.bench.results import Run

__all__ = ["Report", "write_report"]

# A page people can mail: nothing outside it, and never larger than this.
LARGEST = 2_000_000
# Pages of more settings than these compare; what more labels would buy is asked of a few campaigns.
MOST_FORECASTS = 4


@dataclass(frozen=True)
class Report:
    """What was found, and where it was written: "html", "md", "csv" and "json" -> path."""

    comparison: Comparison
    paths: Mapping[str, Path]


def write_report(
    runs: Sequence[Run],
    out: Path,
    *,
    name: str,
    about: str = "",
    load: Load | None = None,
    notes: Sequence[str] = (),
    failing: Literal["", "lost", "worst"] = "",
    latent_seconds: float = SECONDS,
    cases: Cases | None = None,
    printed: Printed | None = None,
    audits: bool = False,
) -> Report:
    """Write the page and, beside report.html, report.md, results.csv and results.json; return the findings and the paths.

    Beside a page NAME.html of another name it is NAME.md, NAME.csv and NAME.json, so that two pages can share a folder.

    The same runs give the same bytes. The page makes no request of any kind and stays under 2 MB: where it would grow
    larger, samples go first and the reasons next, and it says so.

    Args:
        runs: any runs; settings, strategies and seeds are found in their specs.
        out: the page's file, e.g. runs/demo/report.html.
        name, about: of the benchmark.
        load: spec (plain values) -> Simulation, for thumbnails, diversity and wrong labels; None leaves them out.
        notes: what the reader should know first, e.g. which files could not be read.
        failing: whose latent space is shown, which needs the data and fits models again: "lost": of each strategy
            that lost a class, that class; "worst": also of the others the class that ends worst; "": none.
        latent_seconds: the most that the fits of one such picture may have taken when they were recorded.
        cases: of a protocol: run id -> axis -> case; methods and settings are then called by their cases.
        printed: what the paper printed; a section of its own shows it beside our means.
        audits: of audited runs also fit models on as many random and chosen labels, and compare them.

    Raises:
        InputError: no runs, or none that was measured.
    """
    results = out.with_name("results.json") if out.stem == "report" else out.with_suffix(".json")
    comparison = compare(runs, cases)
    diagnoses, pictures, unknown = {}, {}, {}
    latents: dict[str, Latents] = {}
    policies: dict[str, dict[str, Any]] = {}
    without: dict[
        str, Callable[[], dict[str, Any]]
    ] = {}  # thumbnails, drawn only where the page is too large
    modal: dict[str, Modalities] = {}
    drawn: dict[str, dict[str, Any]] = {}
    withstood: dict[str, Robustness] = {}
    ahead: dict[str, dict[str, Any]] = {}
    drawn_at_random: dict[str, Any] = {}
    stops: dict[str, Any] = {}
    more: dict[str, dict[str, Any]] = {}
    palette = palette_of(comparison)
    for k, (setting, found) in enumerate(zip(comparison.settings, comparison.groups, strict=True)):
        opened = next(iter(found.runs.values()))[0].state.opened
        assert opened is not None  # a run with a measured fit was opened
        classes = [str(c) for c in opened.task["classes"]]
        simulation, unknown[setting.key] = simulate(found, load)
        diagnoses[setting.key] = diagnose(found, classes, simulation, setting.reference)
        if failing:
            latents[setting.key] = latent(
                found,
                diagnoses[setting.key],
                classes,
                simulation,
                worst=failing == "worst",
                seconds=latent_seconds,
            )
        policies[setting.key] = policy(setting, found, simulation, palette, classes, f"s{k}")
        few = len(comparison.settings) <= MOST_FORECASTS
        if few and (coming := forecast(setting, found, palette, f"s{k}-ahead")) is not None:
            ahead[setting.key] = coming
        if (told := modalities(setting, found, classes, palette)) is not None:
            modal[setting.key] = told
            drawn[setting.key] = shown(told, palette, f"s{k}-modal")
        if (under := robustness(setting, found, palette)) is not None:
            withstood[setting.key] = under
        told_by_chance = audit.audits(setting, found)
        bought = audit.gains(found, simulation) if audits and told_by_chance else None
        drawn_at_random[setting.key] = audit.shown(told_by_chance, setting, palette, f"s{k}-audit", bought)
        advised = stopping.stopping(setting, found)
        stops[setting.key] = stopping.shown(advised, setting.part, palette)
        more[setting.key] = {
            **({"audit": audit.as_json(told_by_chance, bought)} if told_by_chance else {}),
            **({"stopping": stopping.as_json(advised)} if advised else {}),
        }
        if simulation is not None:
            pictures[setting.key] = samples(setting, found, simulation, palette, classes)
            if policies[setting.key]:
                without[setting.key] = partial(policy, setting, found, None, palette, classes, f"s{k}")
    plain = {key: shown(told, palette, "", figures=False) for key, told in modal.items()}
    bare, shifted = (
        {
            key: robust_shown(told, palette, f"shifts-{k}", figures=figures)
            for k, (key, told) in enumerate(withstood.items())
        }
        for figures in (False, True)
    )
    made = origins(runs, comparison)
    table = None if printed is None else beside(comparison, printed)
    too_large = "the page would be larger than 2 MB"

    def attempts() -> Iterator[tuple[Any, Any, Any, Any, Any, Any, list[str]]]:
        """Yield what a page may show, less and less of it."""
        yield diagnoses, pictures, latents, policies, drawn, shifted, list(notes)
        fewer = {key: without[key]() if key in without else part for key, part in policies.items()}
        if fewer != policies:
            words = f"Samples of TrustSets and of chosen cells are left out, and pictures of explained ones: {too_large}."
            yield diagnoses, pictures, latents, fewer, drawn, shifted, [*notes, words]
        yield diagnoses, {}, latents, fewer, drawn, shifted, [*notes, f"Samples are left out: {too_large}."]
        words = f"Samples and reasons are left out: {too_large}; the reasons are in {results.name}."
        yield {}, {}, {}, {}, plain, shifted, [*notes, words]
        words = f"Samples, reasons and figures of shifts are left out: {too_large}; the numbers are in {results.name}."
        yield {}, {}, {}, {}, plain, bare, [*notes, words]

    html = ""
    for why, samples_of, spaces, chosen, contributed, moved, words in attempts():
        html = _html(
            page(
                comparison, why, samples_of, unknown, made,
                name=name, about=about, notes=words, latents=spaces, policies=chosen, modal=contributed,
                robust=moved, ahead=ahead, audit=drawn_at_random, stopping=stops,
            )
            | {"printed": table}
        )  # fmt: skip
        if len(html.encode()) < LARGEST:
            break
    texts = {
        "html": (out, html),
        "md": (
            out.with_suffix(".md"),
            report_md(
                comparison,
                made,
                name=name,
                about=about,
                latents=latents,
                printed=table,
                modal=modal,
                robust=withstood,
                advised=_advised(drawn_at_random, stops),
            ),
        ),
        "csv": (results.with_suffix(".csv"), results_csv(runs, comparison, modal, withstood)),
        "json": (
            results,
            results_json(
                comparison,
                diagnoses,
                made,
                name=name,
                about=about,
                latents=latents,
                printed=printed,
                modal=modal,
                robust=withstood,
                more=more,
            ),
        ),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    for path, text in texts.values():
        _write(path, text)
    return Report(comparison, {kind: path for kind, (path, _) in texts.items()})


def _advised(chance: Mapping[str, Any], stops: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return setting key -> title -> what is shown of random picks and of stop advice, where there is any."""
    titled = {"What chance would have bought": chance, "When published criteria would have stopped": stops}
    keys = {*chance, *stops}
    return {k: {title: part[k] for title, part in titled.items() if part.get(k)} for k in keys}


def _html(values: dict[str, Any]) -> str:
    from jinja2 import DictLoader, Environment, StrictUndefined
    from markupsafe import Markup

    folder = resources("labelwise.bench") / "templates"
    parts = (
        "report.html.j2",
        "policy.html.j2",
        "seconds.html.j2",
        "modalities.html.j2",
        "robust.html.j2",
        "explained.html.j2",
        "forecast.html.j2",
        "audit.html.j2",
        "stopping.html.j2",
        "standing.html.j2",
    )
    environment = Environment(
        loader=DictLoader({part: (folder / part).read_text(encoding="utf-8") for part in parts}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    styles = ["report.css"]
    if any(setting["policy"] for setting in values["settings"]):
        styles.append("policy.css")
    if any(_shows_modalities(setting) for setting in values["settings"]):
        styles.append("modalities.css")
    # Our own files, not a word of a run's.
    css, script = (
        Markup("".join((folder / f).read_text(encoding="utf-8") for f in files))  # noqa: S704
        for files in (styles, ["report.js"])
    )
    return template.render(**values, css=css, script=script)


def _shows_modalities(setting: Mapping[str, Any]) -> bool:
    explained = setting["policy"] and setting["policy"]["explained"]
    several = any(item["parts"] for group in setting["samples"] for item in group["things"])
    return bool(setting["modal"] or setting["robust"] or explained or several)


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, so that a page that is open in a browser is never half of one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
