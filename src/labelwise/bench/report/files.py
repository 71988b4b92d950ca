"""What lies beside the page for people and programs: Markdown, one CSV row a run and round, and everything as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelwise.bench.diagnose import Diagnosis, Floats
from labelwise.bench.findings import Comparison, Setting
from labelwise.bench.latent import Latent, Latents
from labelwise.bench.names import flat, strategy_label
from labelwise.bench.paper import Printed
from labelwise.bench.report import modal_files, robust_files, standing, tables
from labelwise.bench.report.heats import Heat, penalties
from labelwise.bench.report.modalities import Modalities
from labelwise.bench.report.printed import TITLE, Beside
from labelwise.bench.report.printed import as_json as printed_json
from labelwise.bench.report.robust import Robustness
from labelwise.bench.report.tables import Cell, Table
from labelwise.bench.results import Run
from labelwise.bench.settings import shared_part
from labelwise.functional.curves import aubc

PHASES = ("fit", "measure", "infer", "propose", "learn")
METRICS = ("accuracy", "macro_f1", "nll", "brier", "ece")


def results_csv(
    runs: Sequence[Run],
    comparison: Comparison,
    modal: Mapping[str, Modalities] | None = None,
    robust: Mapping[str, Robustness] | None = None,
) -> str:
    """Return one row for each run and measured fit; the area is that up to this row."""
    called = {
        run.id: label for group in comparison.groups for label, mine in group.runs.items() for run in mine
    }
    keys = sorted({key for run in runs for key in flat(shared_part(run.spec))})
    head = ["run", *keys, "strategy", "seed", "finished", "part", "round", "labels", *METRICS, "aubc_so_far"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    more, shifted = modal_files.columns(modal or {}), robust_files.columns(robust or {})
    writer.writerow(
        [_safe(cell) for cell in (*head, *(f"seconds_{phase}" for phase in PHASES), *more, *shifted)]
    )
    for run in runs:
        shared = flat(shared_part(run.spec))
        opened = run.state.opened
        given = 0 if opened is None else int(opened.task.get("given", 0))
        labels: list[int] = []
        accuracy: list[float] = []
        for fit in run.fits:
            part = "test" if fit.test else "validation"
            metrics = fit.test or fit.validation
            if "accuracy" not in metrics:
                continue
            bought = fit.n_labelled - given
            if labels and labels[-1] == bought:  # refitted on the same labels: the later one counts
                labels.pop()
                accuracy.pop()
            labels.append(bought)
            accuracy.append(float(metrics["accuracy"]))
            row = [
                run.id,
                *(_plain(shared.get(key)) for key in keys),
                called.get(run.id) or strategy_label(run.spec),
            ]
            row += [
                run.seed,
                int(run.finished),
                part,
                fit.round,
                bought,
                *(metrics.get(m, "") for m in METRICS),
            ]
            row += [aubc(labels, accuracy), *(fit.seconds.get(phase, "") for phase in PHASES)]
            row += [*modal_files.cells(run, fit, more), *robust_files.cells(fit, shifted)]
            writer.writerow([_safe(cell) for cell in row])
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    return "" if value is None else json.dumps(value) if isinstance(value, list | dict) else value


def _safe(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else cell


def results_json(
    comparison: Comparison,
    diagnoses: Mapping[str, Sequence[Diagnosis]],
    made: Mapping[str, Any],
    *,
    name: str,
    about: str,
    latents: Mapping[str, Latents],
    printed: Printed | None = None,
    modal: Mapping[str, Modalities] | None = None,
    robust: Mapping[str, Robustness] | None = None,
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Return everything the report knows; numbers that are not finite become null.

    Args: as `labelwise.bench.report.build.page`; `more` are further JSON values by setting key.
    """
    values = {"name": name, "about": about, **comparison.to_dict(), "made": made}
    if printed is not None:
        values["printed"] = printed_json(printed, comparison)
    for setting in values["settings"]:
        setting["diagnoses"] = [as_json(d) for d in diagnoses.get(setting["key"], ())]
        if modal and setting["key"] in modal:
            setting["modalities"] = modal_files.as_json(modal[setting["key"]])
        if robust and setting["key"] in robust:
            setting["shifts"] = robust_files.as_json(robust[setting["key"]])
        setting.update((more or {}).get(setting["key"], {}))
        if setting["key"] in latents:
            spaces = latents[setting["key"]]
            setting["latent"] = {
                "pictures": [latent_json(picture) for picture in spaces.pictures],
                "missing": spaces.missing,
            }
    return json.dumps(_finite(values), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


def report_md(
    comparison: Comparison,
    made: Mapping[str, Any],
    *,
    name: str,
    about: str,
    latents: Mapping[str, Latents],
    printed: Beside | None = None,
    modal: Mapping[str, Modalities] | None = None,
    robust: Mapping[str, Robustness] | None = None,
    advised: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Return the answer, the tables and how they were made as Markdown.

    Args: as `labelwise.bench.report.build.page`; `advised`: setting key -> title -> what is shown of random picks and
        of stop advice.
    """
    grey = dict.fromkeys(tables.names_of(comparison.settings), "")
    lines = [
        f"# {_text(comparison.headline)}",
        "",
        f"{_text(name)}{': ' + _text(about) if about else ''}",
        "",
    ]
    if len(comparison.settings) > 1:
        table = tables.papers(comparison.settings, grey)
        lines += [*_table(table, head="strategy"), "", table.caption, ""]
        gap = tables.gaps(comparison.settings)
        if gap is not None:
            lines += [*_table(gap, head="setting"), "", gap.caption, ""]
        if comparison.standing is not None:
            table = standing.outcomes(comparison.standing, grey)
            lines += [
                f"## {standing.TITLE}",
                "",
                _text(standing.headline(comparison.standing)),
                "",
                *_table(table),
                "",
            ]
            lines += [_text(standing.caption(comparison.standing)), "", _text(table.caption), ""]
    for setting in comparison.settings:
        lines += _setting(setting, grey, alone=len(comparison.settings) == 1)
        for title, told in (advised or {}).get(setting.key, {}).items():
            lines += _advice(title, told)
        if robust and setting.key in robust:
            lines += _shifts(robust[setting.key])
        if modal and setting.key in modal:
            lines += _modalities(modal[setting.key])
        if setting.key in latents:
            lines += _latents(latents[setting.key])
    if comparison.penalty is not None:
        lines += ["## Who beats whom", ""]
        for heat in penalties(comparison.penalty):
            lines += [*_heat(heat), "", _text(heat.caption), ""]
    if printed is not None:
        lines += _printed(printed)
    lines += ["## How it was made", "", *(f"- {key}: {_text(str(value))}" for key, value in made["facts"])]
    lines += ["", "```", *(c.replace("```", "") for c in made["commands"]), "```"] if made["commands"] else []
    return "\n".join(lines) + "\n"


def _setting(setting: Setting, grey: Mapping[str, str], *, alone: bool) -> list[str]:
    lines = [] if alone else [f"## {_text(setting.title)}", "", _text(setting.headline), ""]
    for line in (*setting.detail, *setting.caveats):
        lines += [_text(line), ""]
    table = tables.results(setting, grey)
    lines += [*_table(table), "", table.caption.replace("Small: half", "After ±: half"), ""]
    more = ((tables.shares_title(setting), tables.shares), (tables.COSTS, tables.costs))
    for title, made in more:
        if (told := made(setting, grey)) is not None:
            lines += [
                f"### {title}",
                "",
                *_table(told),
                "",
                _text(told.caption.replace("small:", "after it:")),
                "",
            ]
    return lines


def _advice(title: str, told: Mapping[str, Any]) -> list[str]:
    lines = [f"### {title}", ""]
    for line in (told.get("headline", ""), *told.get("lines", ())):
        lines += [_text(line), ""] if line else []
    caption = _text(told["table"].caption.replace("small:", "after it:").replace("Small:", "After it:"))
    return [*lines, *_table(told["table"]), "", caption, ""]


def _shifts(told: Robustness) -> list[str]:
    lines = ["### What shifts cost", ""]
    for line in (told.headline, *told.detail):
        lines += [_text(line), ""]
    for table in filter(None, (told.table, told.fared)):
        lines += [*_table(table), "", _text(table.caption.replace("small:", "after it:")), ""]
    return lines


def _modalities(told: Modalities) -> list[str]:
    lines = ["### Modalities", "", _text(told.headline), ""]
    for line in told.detail:
        lines += [_text(line), ""]
    for table, head in ((told.table, ""), (told.aligned, "strategy"), (told.groups, "strategy")):
        if table is not None:
            lines += [*_table(table, head), "", _text(table.caption.replace("small:", "after it:")), ""]
    if told.by_class is not None:
        lines += [*_heat(told.by_class), "", _text(told.by_class.caption), ""]
    return lines


def _latents(spaces: Latents) -> list[str]:
    """Return the words beside the latent spaces; the pictures are in the page."""
    lines = []
    for p in spaces.pictures:
        words = " ".join(part for part in (p.why, p.taken, p.sibling) if part)
        lines += [_text(f"{p.strategy}, seed {p.seed}, {p.labels:,} labels: {words}"), ""]
    for line in spaces.missing:
        lines += [_text(line), ""]
    return lines


def _printed(found: Beside) -> list[str]:
    theirs = [f"{m}, printed in {found.source}" for m in found.measures]
    heads = ["set", "method", *theirs, *(f"{m}, measured here" for m in found.measures), "seeds"]
    lines = [f"## {TITLE}", "", _text(found.words), "", f"| {' | '.join(map(_text, heads))} |"]
    lines.append(f"|:--|:--{'|--:' * (len(heads) - 2)}|")
    for name, rows in found.sets:
        for row in rows:
            cells = ["" if cell is None else _cell(cell) for cell in (*row.printed, *row.measured)]
            lines.append(f"| {' | '.join([_text(name), _text(row.method), *cells, row.seeds])} |")
    return [*lines, "", _text(found.caption.replace("small:", "after ±:").replace("Small:", "After ±:")), ""]


def _table(table: Table, head: str = "") -> list[str]:
    names = [_text(column.name) for column in table.columns]
    names = [head, *names] if head else names
    lines = [f"| {' | '.join(names)} |", f"|:--{'|--:' * (len(names) - 1)}|"]
    return [*lines, *(f"| {' | '.join([_text(row.name), *map(_cell, row.cells)])} |" for row in table.rows)]


def _heat(heat: Heat) -> list[str]:
    names = [f"{heat.title}: {heat.corner}", *map(_text, heat.columns)]
    lines = [f"| {' | '.join(names)} |", f"|:--{'|--:' * (len(names) - 1)}|"]
    for row in heat.rows:
        lines.append(f"| {' | '.join([_text(row.name), *(cell.text for cell in row.cells)])} |")
    return lines


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    text = f"**{cell.text}**" if cell.bold else cell.text
    return f"{text} {cell.small}".strip()


def _text(text: str) -> str:
    """Return text in which Markdown finds no markup, no HTML and no second line."""
    text = " ".join(text.split())
    for mark in "\\`*_[]|":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def latent_json(p: Latent) -> dict[str, Any]:
    """Return what a latent space says as JSON values, without its points."""
    return {
        "strategy": p.strategy,
        "seed": p.seed,
        "labels": p.labels,
        "class": p.class_index,
        "shares": list(p.shares),
        "taken": p.row.tolist(),
        "words": [part for part in (p.why, p.taken, p.sibling) if part],
    }


def as_json(d: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as JSON values; NaN becomes null."""

    def plain(values: Floats) -> Any:
        return [
            plain(v) if isinstance(v, np.ndarray) else (float(v) if np.isfinite(v) else None) for v in values
        ]

    return {
        "strategy": d.strategy,
        "seeds": list(d.seeds),
        "labels": plain(d.fit_labels),
        "per_class": plain(d.per_class),
        "asked": {"labels": plain(d.ask_labels), "counts": plain(d.counts), "evenness": plain(d.evenness)},
        "alarms": [
            {"seed": a.seed, "class": a.class_index, "labels": a.labels, "words": a.words} for a in d.alarms
        ],
        "signatures": list(d.signatures),
        "confusions": [{"labels": n, "counts": plain(m)} for n, m in d.confusions],
        "diversity": {key: plain(v) for key, v in d.diversity.items()},
        "noisy": None
        if d.noisy is None
        else {
            "share": d.noisy.share,
            "low": d.noisy.low,
            "high": d.noisy.high,
            "base": d.noisy.base,
            "n": d.noisy.n,
        },
        "labelled_share": d.labelled_share,
    }
