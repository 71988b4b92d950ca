"""From a comparison to what the page's template shows: figures drawn, tables filled, words chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from labelwise.bench.diagnose import Diagnosis
from labelwise.bench.findings import Comparison, Setting
from labelwise.bench.latent import Latents
from labelwise.bench.names import flat, strategy_label
from labelwise.bench.places import BANK, named
from labelwise.bench.report import figures, standing, tables
from labelwise.bench.report.heats import penalties
from labelwise.bench.report.scatter import latent_caption, latent_cards
from labelwise.bench.report.svg import colours
from labelwise.bench.report.why import both_sizes, why
from labelwise.bench.results import Run
from labelwise.bench.settings import Group
from labelwise.bench.words import count, listed, percent


def palette_of(comparison: Comparison) -> dict[str, str]:
    """Return a colour for each strategy of a report, the same in all its settings."""
    return colours(tables.names_of(comparison.settings))


def page(
    comparison: Comparison,
    diagnoses: Mapping[str, Sequence[Diagnosis]],
    pictures: Mapping[str, tuple[list[dict[str, Any]], str]],
    unknown: Mapping[str, str],
    made: Mapping[str, Any],
    *,
    name: str,
    about: str,
    notes: Sequence[str] = (),
    latents: Mapping[str, Latents] | None = None,
    policies: Mapping[str, Mapping[str, Any]] | None = None,
    modal: Mapping[str, Mapping[str, Any]] | None = None,
    robust: Mapping[str, Mapping[str, Any]] | None = None,
    ahead: Mapping[str, Mapping[str, Any]] | None = None,
    audit: Mapping[str, Mapping[str, Any] | None] | None = None,
    stopping: Mapping[str, Mapping[str, Any] | None] | None = None,
) -> dict[str, Any]:
    """Return the template's values.

    Args:
        comparison: what was found.
        diagnoses: setting key -> diagnoses; a setting without is shown without its why.
        pictures: setting key -> groups of samples and their caption.
        unknown: setting key -> what could not be said, and why.
        made: facts, commands and specs (see `origins`).
        name, about: of the benchmark.
        notes: what was left out of the page, or could not be read.
        latents: setting key -> latent spaces of failing classes; None or a missing key: they were not asked for.
        policies: setting key -> what is shown of the notes of its runs (see `report.policy`); {} where there are none.
        modal: setting key -> what is shown of its modalities (see `report.modalities`); settings without have none.
        robust: setting key -> what is shown of its shifts (see `report.robust`); settings without have none.
        ahead: setting key -> what more labels would buy (see `report.forecast`); a missing key: it is not said.
        audit: setting key -> what is shown of its random picks (see `report.audit`); None without any.
        stopping: setting key -> what is shown of stop advice (see `report.stopping`); None without any.
    """
    palette = palette_of(comparison)
    shown = [
        _setting(
            setting, found, diagnoses, pictures, unknown, palette, (latents or {}).get(setting.key), f"s{k}"
        )
        for k, (setting, found) in enumerate(zip(comparison.settings, comparison.groups, strict=True))
    ]
    for one, setting in zip(shown, comparison.settings, strict=True):
        one["policy"] = (policies or {}).get(setting.key)
        one["modal"] = (modal or {}).get(setting.key)
        one["robust"] = (robust or {}).get(setting.key)
        one["forecast"] = (ahead or {}).get(setting.key)
        one["audit"] = (audit or {}).get(setting.key)
        one["stopping"] = (stopping or {}).get(setting.key)
        if one["robust"] and setting.span[0] == setting.span[1]:
            one["curves"] = None  # one fit is no curve, and what is looked for here is what shifts do to it
        if setting.by_people:  # one campaign, which the forecast draws from its start
            one["table"] = one["shares"] = None
            one["curves"] = None if one["forecast"] else one["curves"]
    several = len(shown) > 1
    return {
        "name": name,
        "about": about,
        "headline": comparison.headline,
        "notes": list(notes),
        "settings": shown,
        "overview": tables.papers(comparison.settings, palette) if several else None,
        "gaps": tables.gaps(comparison.settings) if several else None,
        "penalties": () if comparison.penalty is None else penalties(comparison.penalty),
        "standing": standing.shown(comparison.standing, palette, "standing"),
        "made": made,
    }


def _setting(
    setting: Setting,
    found: Group,
    diagnoses: Mapping[str, Sequence[Diagnosis]],
    pictures: Mapping[str, tuple[list[dict[str, Any]], str]],
    unknown: Mapping[str, str],
    palette: Mapping[str, str],
    latents: Latents | None,
    anchor: str,
) -> dict[str, Any]:
    groups, caption = pictures.get(setting.key, ([], ""))
    opened = next(iter(found.runs.values()))[0].state.opened
    classes = [str(c) for c in opened.task["classes"]] if opened is not None else []
    drawn = [
        both_sizes(
            lambda n, w, m=measure: figures.differences(setting, m, palette, n, width=w),
            f"{anchor}-{measure}",
        )
        for measure in ("aubc", "labels")
    ]
    return {
        "anchor": anchor,
        "title": setting.title,
        "headline": setting.headline,
        "detail": setting.detail,
        "caveats": setting.caveats,
        "reference": setting.reference,
        "curves": both_sizes(
            lambda n, w: figures.learning_curves(
                setting, palette, n, width=w, height=420 if w > 500 else 340
            ),
            f"{anchor}-curves",
        ),
        "curves_caption": _curves_caption(setting),
        "table": tables.results(setting, palette),
        "shares": tables.shares(setting, palette),
        "shares_title": tables.shares_title(setting),
        "costs": tables.costs(setting, palette),
        "differences": [figure for figure in drawn if figure is not None],
        "differences_caption": _differences_caption(setting),
        "crossings": _crossings(setting),
        "key": [{"name": s.name, "colour": palette[s.name]} for s in setting.strategies],
        "why": why(
            setting, diagnoses[setting.key], classes, palette, unknown.get(setting.key, ""), f"{anchor}-why"
        )
        if setting.key in diagnoses
        else None,
        "latent": None
        if latents is None
        else {
            "cards": latent_cards(latents.pictures, classes, f"{anchor}-latent"),
            "caption": latent_caption(latents.pictures, setting.part),
            "missing": latents.missing,
        },
        "samples": groups,
        "samples_caption": caption,
    }


def _curves_caption(setting: Setting) -> str:
    one = all(p.low is None for s in setting.strategies for p in s.curve)
    band = (
        "one seed, so there is no interval"
        if one
        else "bands are the 95 % interval over seeds (Student's t), cut at the frame"
    )
    dotted = (
        ""
        if setting.target is None
        else f" Dotted: {percent(setting.target)}, the accuracy that labels are counted to."
    )
    if setting.full is not None and setting.full.runs:
        dotted += f" Dashed: {percent(setting.full.accuracy)}, the accuracy with every label."
    grey = sum(s.name != "random" for s in setting.strategies) - 6
    thin = (
        f" {grey} more strategies are thin and grey; rest the pointer on one to read its name."
        if grey > 0
        else ""
    )
    return (
        f"Accuracy on {setting.part} data, mean over seeds; {band}. Both axes start where the data do, not at 0."
        f"{dotted}{thin}"
    )


def _differences_caption(setting: Setting) -> str:
    return (
        "Each small dot is one seed: both strategies began with the same samples, so the difference is paired. The large "
        "dot is the mean, the line its 95 % interval (Student's t). Filled: clear, that is, this interval and the "
        "bootstrap's exclude 0 and the paired t-test has p < 0.05 after Holm's correction for the number of strategies. "
        f"Right of the line is better than {setting.reference}."
    )


def _crossings(setting: Setting) -> str:
    crossed = [c for c in setting.crossings if c.labels is not None]
    if not crossed:
        return ""
    parts = [f"{c.strategy} at {count(c.labels)} labels" for c in crossed if c.labels is not None]
    return f"{setting.reference} catches up for good with {listed(parts)} (mean curves)."


def origins(runs: Sequence[Run], comparison: Comparison) -> dict[str, Any]:
    """Return how the runs were made: facts as (name, text), commands, and one spec for each setting."""
    opened = [run.state.opened for run in runs if run.state.opened is not None]
    facts: list[tuple[str, str]] = []
    finished = sum(run.finished for run in runs)
    facts.append(("runs", f"{len(runs)}, of them {finished} finished"))
    seeds = sorted({run.seed for run in runs})
    facts.append(("seeds", ", ".join(map(str, seeds))))
    facts.append(("strategies", ", ".join(tables.names_of(comparison.settings))))
    for task in {json.dumps(o.task, sort_keys=True): o.task for o in opened}.values():
        parts = f"{task['pool']:,} in the pool, {task['validation']:,} validation, {task['test']:,} test"
        given = f", {task['given']:,} labelled beforehand" if task.get("given") else ""
        about = f"{task['name']}: {parts}{given}; {len(task['classes'])} classes; sha256 {str(task['sha256'])[:12]}"
        facts.append(("task", about))
    for versions in {json.dumps(dict(o.versions), sort_keys=True): o.versions for o in opened}.values():
        facts.append(("versions", ", ".join(f"{key} {value}" for key, value in sorted(versions.items()))))
    validation = max((int(o.task["validation"]) for o in opened), default=0)
    if validation:
        facts.append(
            ("validation labels", f"{validation:,}, which a real campaign pays for beside its budget")
        )
    if banks := dict.fromkeys(bank for run in runs for bank in named(run.spec["strategy"], BANK)):
        facts.append(
            (
                "bank",
                f"{', '.join(banks)}: what rewards are compared with was measured by campaigns with labels of their own, "
                "which a real campaign pays for, too",
            )
        )
    commands = list(dict.fromkeys(str(o.notes["command"]) for o in opened if o.notes.get("command")))
    specs = []
    for setting, group in zip(comparison.settings, comparison.groups, strict=True):
        strategies = [s.name for s in setting.strategies]
        text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in flat(setting.shared).items())
        seeds_here = sorted({seed for s in setting.strategies for seed in s.seeds})
        for name in strategies:
            spec = group.runs[name][0].spec
            if not name.startswith(strategy_label(spec)):  # called by its case, which does not say what it is
                text += f"\nstrategy of {name} = {json.dumps(spec['strategy'])}"
        text += "".join(f"\nrecipe of {name} = {json.dumps(r)}" for name, r in group.recipes.items())
        text += f"\nstrategy = {json.dumps(strategies)}\nplan.seed = {json.dumps(seeds_here)}"
        specs.append({"title": setting.title, "text": text})
    dates = sorted(at[:10] for o in opened if (at := o.at))
    when = (
        ""
        if not dates
        else f" Runs opened {dates[0]}" + (f" to {dates[-1]}." if dates[-1] != dates[0] else ".")
    )
    foot = f"Made by labelwise from {len(runs)} run files; the same files give the same page.{when}"
    return {"facts": facts, "commands": commands, "specs": specs, "foot": foot}
