"""Writes docs/measured.md from the committed results, so that no number of the docs is copied by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from record import RESULTS

OUT = Path(__file__).parent.parent / "docs" / "measured.md"
METRICS = ("least_confidence", "smallest_margin", "largest_margin", "entropy")


def read(name: str) -> dict[str, Any]:
    """Return a committed result."""
    return dict(json.loads((RESULTS / f"{name}.json").read_text()))


def origin(result: dict[str, Any]) -> str:
    """Return where a result comes from, in one line."""
    machine = result["machine"]
    return (
        f"*`{result['command']}` at commit {result['commit']}, {result['date']}: {machine['cpu']}, {machine['cores']} "
        f"cores, load {machine['load_before']:.1f} before it began.*"
    )


def rows(head: list[str], body: list[list[str]]) -> list[str]:
    """Return a Markdown table."""
    return [
        f"| {' | '.join(head)} |",
        f"|:--{'|--:' * (len(head) - 1)}|",
        *(f"| {' | '.join(row)} |" for row in body),
        "",
    ]


def start() -> list[str]:
    """How quickly it starts."""
    r = read("start")
    body = [[f"`{name}`", f"{seconds:.2f}"] for name, seconds in r["median"].items()]
    loaded = "loads" if r["torch_loaded"] else "does not load"
    return [
        "## How quickly it starts", "",
        f"Targets: `import labelwise` under 0.5 s, `labelwise --help` under 0.7 s. Importing labelwise {loaded} PyTorch.", "",
        *rows(["command", "seconds, median"], body), origin(r), "",
    ]  # fmt: skip


def overhead() -> list[str]:
    """What a campaign costs beside training and inference."""
    r = read("overhead")
    s = r["summary"]
    return [
        "## What a campaign costs beside training", "",
        f"Pool of {s['pool']:,} images of Fashion-MNIST, the default CNN continued for one epoch, 1,000 labels a round: events, "
        f"view, store and replay take {s['median_overhead_seconds']:.2f} s of a round, "
        f"**{100 * s['median_share']:.1f} %** of it (median over rounds; target under 2 %).", "",
        origin(r), "",
    ]  # fmt: skip


def scoring() -> list[str]:
    """Scoring a million rows."""
    r = read("scoring")
    figures = r["what, threads"]
    body = []
    for metric in METRICS:
        one, two = figures[f"{metric}, 1"], figures[f"{metric}, 2"]
        memory = r["extra_memory"][metric]["traced_mb"]
        body.append([
            f"`{metric}`", f"{one['fastest_ms']:.0f}", f"{two['fastest_ms']:.0f}", f"{two['fastest_ratio']:.1f}",
            f"{two['median_ratio']:.1f}", f"{memory:.0f}",
        ])  # fmt: skip
    met = [f"`{m}`" for m, ok in r["within_2x"].items() if ok]
    missed = [f"`{m}`" for m, ok in r["within_2x"].items() if not ok]
    verdict = f"Met by {', '.join(met)}." if met else "Met by none."
    if missed:
        verdict += f" Missed by {', '.join(missed)}."
    return [
        "## Scoring a million rows", "",
        "1,000,000 x 100 float32 probabilities (0.4 GB), checked, scored, and the best 10,000 picked. The measure is one pass of "
        f"`probs.sum()` over the same array, which takes {figures['sum']['fastest_ms']:.0f} ms "
        f"({r['gigabytes_per_second_of_sum']:.0f} GB/s). Target: within twice that, less than 200 MB extra. {verdict}", "",
        *rows(["metric", "ms, 1 thread", "ms, 2 threads", "of one pass, fastest", "of one pass, median", "extra MB"], body),
        "The floor is not the memory but the arithmetic: a row maximum, or a logarithm for every probability. The runner-up "
        "takes a second maximum, for which there is a kernel in C, built where a compiler is; from NumPy alone the smallest "
        "margin takes about three passes.", "", origin(r), "",
    ]  # fmt: skip


def scaling() -> list[str]:
    """Scoring relative to training, by pool size."""
    r = read("scaling")
    body = []
    for entry in r["scoring"]:
        if entry["strategy"] == "margin":
            inference = r["inference"][str(entry["pool"])]
            body.append([
                f"{entry['pool']:,}", str(entry["classes"]), f"{1000 * entry['scoring_seconds']:.1f}",
                f"{100 * entry['to_training']:.2f} %", f"{inference['seconds']:.1f}", f"{inference['to_training']:.2f}",
            ])  # fmt: skip
    return [
        "## Scoring beside training", "",
        f"The default CNN, {r['training']['epochs']} epochs on {r['training']['labels']:,} labels of {r['images']}, takes "
        f"{r['training']['seconds']:.1f} s. Scoring by margin costs next to nothing; asking the network about the pool is what "
        "grows. `plan.candidates` bounds it by scoring a random part of the pool.", "",
        *rows(["pool", "classes", "scoring, ms", "scoring / training", "inference, s", "inference / training"], body),
        "Inference is timed on 20,000 images at most, and extrapolated to larger pools.", "", origin(r), "",
    ]  # fmt: skip


def training() -> list[str]:
    """The training loop beside others."""
    r = read("training")
    body = []
    for name, entry in r["training"].items():
        ratio, bound = entry["labelwise_is_times_as_fast_as"], entry["bound"]
        body.append([
            name, f"{ratio['bare, channels last']:.2f}", f"{ratio['bare']:.2f}", f"{ratio['DataLoader over PIL']:.2f}",
            f"{bound['DataLoader over PIL']:.2f}", f"{ratio['DataLoader over PIL, augmented']:.2f}",
            f"{bound['DataLoader over PIL, augmented']:.2f}",
        ])  # fmt: skip
    return [
        "## The training loop", "",
        "How many times as fast as a bare hand-written PyTorch loop on the same tensors (target: at least 0.9), and as a "
        "`DataLoader(num_workers=0)` over a dataset that makes and transforms a PIL image a sample (target: 3). *Bound* is what "
        "the ratio would be if preparing a batch cost labelwise nothing at all: the time of the rival over the time of the network "
        "alone. Where the network itself takes most of the time, as the CNN does on a CPU, no loop reaches 3.", "",
        *rows(
            ["network", "bare, channels last", "bare", "DataLoader", "bound", "DataLoader, crop and flip", "bound"], body
        ),
        origin(r), "",
    ]  # fmt: skip


def selection() -> list[str]:
    """Choosing batches beside rivals."""
    r = read("selection")
    lines = [
        "## Choosing batches", "",
        "The same arrays for all, float32, two threads; seconds. A *reference form* is the published algorithm as its authors' "
        "public code computes it, one pass over the pool a pick, written in NumPy; rivals are the released packages. Where a "
        "rival ran on less, labelwise was timed on as little, too (*ours*).", "",
    ]  # fmt: skip
    for name, row in r["rows"].items():
        lines += [
            f"### `{name}`",
            "",
            f"{row['what']}: **{row['seconds']:.2f} s**, {row['extra_mb']:.0f} MB beside the arrays.",
        ]
        if "floor" in row:
            lines[-1] += f" One pass over the memory a pick would take {row['floor']['seconds']:.1f} s."
        if "same_picks_as_brute_force" in row:
            same = "the same" if row["same_picks_as_brute_force"] else "NOT the same"
            lines[-1] += f" The picks are {same} as those of a float64 brute force."
        if "isotropic" in row:
            lines[-1] += f" On points without any structure: {row['isotropic']['seconds']:.2f} s."
        if "value_of_exact_at_5000" in row:
            lines[-1] += f" At n = 5,000 its value is {row['value_of_exact_at_5000']:.4f} of exact greedy's."
        lines.append("")
        body = []
        for other in row["others"]:
            mine = other.get("ours", row["seconds"])
            body.append([
                other["name"], other["about"] or row["what"], f"{other['seconds']:.1f}", f"{mine:.2f}",
                f"{other['seconds'] / mine:.1f}",
            ])  # fmt: skip
        if body:
            lines += rows(["rival", "on", "its seconds", "ours", "times as fast"], body)
    return [*lines, origin(r), ""]


def bralt() -> list[str]:
    """What a round of BRAL-T costs, and rivals beside it; nothing before it was measured."""
    if not (RESULTS / "bralt.json").exists():
        return []
    r = read("bralt")
    lines = ["## A round of BRAL-T", ""]
    if "phases" in r:
        p = r["phases"]
        names = list(next(iter(p["rows"].values()))["seconds"])
        body = [
            [
                classes, *(f"{row['seconds'][name]:.2f}" for name in names), f"{row['total']:.1f}", f"{row['target']:.0f}",
                f"{row['extra_mb']:.0f}",
            ]
            for classes, row in p["rows"].items()
        ]  # fmt: skip
        lines += [
            f"All but the classifier's own training, with the defaults: |L| = {p['labelled']:,}, a pool of {p['pool']:,}, "
            f"D = {p['width']}, {p['threads']} threads; seconds, median. "
            "Rehearsals run beside the network, and so does most of the selection: theirs are the seconds that were waited "
            "for them." + "".join(
                f" Selection alone, with an agent that was kept: {row['selection_alone']:.2f} s with {classes} classes "
                f"(at most {row['selection_target']:.0f})."
                for classes, row in p["rows"].items() if "selection_alone" in row
            ), "",
            *rows(["classes", *names, "all", "target", "extra MB"], body), origin(p), "",
        ]  # fmt: skip
    if "overhead" in r:
        o = r["overhead"]
        methods = list(next(iter(o["rows"].values()))["methods"])
        body = [
            [
                f"{int(size):,}", f"{row['plain fit']:.1f}",
                *(f"{row['methods'][name]['adds']:.1f}" for name in methods),
            ]
            for size, row in o["rows"].items()
        ]  # fmt: skip
        lines += [
            f"What a round takes beyond training the plain classifier: what the recipe trains beside it, and the choice of "
            f"{o['batch']} of {o['pool']:,} images of Fashion-MNIST (strided CNN of width {o['network']['width']}, "
            f"{o['epochs']} epochs, {o['threads']} threads); seconds. Inference is not counted: all of them need it. BRAL-T's "
            "rehearsals grow with the labels; VAAL and WAAL train on the pool.", "",
            *rows(["labels", "plain training", *(f"`{name}` adds" for name in methods)], body), origin(o), "",
        ]  # fmt: skip
    return lines


def planning() -> list[str]:
    """Forecasts of memory beside what was measured."""
    r = read("planning")
    size, found = r["size"], r["rows"]
    late = [name for name, ok in r["memory_within_1.25"].items() if not ok]
    body = [
        [
            f"`{name}`", f"{row['seconds']:.2f}", f"{row['forecast_seconds']:.2f}", f"{row['mb']:.1f}",
            f"{row['forecast_mb']:.1f}", f"{row['memory_ratio']:.2f}",
        ]
        for name, row in found.items()
    ]  # fmt: skip
    verdict = (
        f"All {len(found)} strategies keep it."
        if not late
        else f"Not kept by {', '.join(f'`{n}`' for n in late)}."
    )
    return [
        "## What a selection will cost", "",
        f"`labelwise plan` for a pool of {size['n']:,}, batch {size['batch']}, {size['n_classes']} classes, width "
        f"{size['width']}, from runs of up to {r['largest_calibration']:,} samples, beside one run of full size. Promise: peak "
        f"memory at most 1.25 times the forecast. {verdict}", "",
        *rows(["strategy", "seconds", "forecast", "extra MB", "forecast", "of the forecast"], body), origin(r), "",
    ]  # fmt: skip


def robust() -> list[str]:
    """What robust objectives cost, how that grows, and what encoders that err add to the risk."""
    c, g, e = read("robust-cost"), read("robust-complexity"), read("robust-encoder")
    spread = {name: [run[name] / run["erm"] for run in c["all_runs"]] for name in c["ratio"] if name != "erm"}
    limits = {
        name: c["targets"]["variational" if name == "variational" else "closed forms"] for name in spread
    }
    late = [f"`{name}`" for name, limit in limits.items() if c["ratio"][name] > limit]
    body = [
        [
            f"`{name}`", f"{c['milliseconds a step'][name]:.1f}", f"{c['ratio'][name]:.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}", f"{limits[name]:.2f}",
        ]
        for name, ratios in spread.items()
    ]  # fmt: skip
    kinds = [name for name in g["K"]["growth"] if name != "erm"]
    sizes = [(letter, one) for letter in ("K", "d", "n") for one in g[letter]["points"]]
    points = [
        [f"{letter} = {one[letter]:,}", f"{one['seconds']['erm']:.2f}", *(f"{one['ratio'][name]:.2f}" for name in kinds)]
        for letter, one in sizes
    ]  # fmt: skip
    most = {name: max(one["ratio"][name] for _, one in sizes) for name in kinds}
    grown = max(value for _, one in sizes for value in one["bytes"].values())
    base = ", ".join(f"{letter} = {size}" for letter, size in g["base"].items())
    slopes = "; ".join(
        f"with {letter} "
        + ", ".join(
            f"{slope:.2f} (`{name}`)".replace("-", "−") for name, slope in g[letter]["growth"].items()
        )
        for letter in ("K", "d", "n")
    )

    def held(one: dict[str, Any], what: str) -> str:
        return f"{100 * one['coverage'][what]['first_order']:.0f}"

    levels = [
        [
            error, f"`{method}`", f"{one['risk']:.2f}", f"{one['worst risk']:.2f}",
            *(text for what in ("none", "empirical", "spectral") for text in (f"{one['promise'][what]:.1f}", held(one, what))),
        ]
        for error, by in e["means"].items()
        for method, one in by.items()
    ]  # fmt: skip
    words = "All keep it." if not late else f"Not kept by {', '.join(late)}."
    return [
        "## What robust training costs", "",
        f"{c['what']}. Milliseconds are of the processor's clock. Times plain training (`erm`, "
        f"{c['milliseconds a step']['erm']:.1f} ms a step), median and range of {len(c['all_runs'])} turns, each beside the `erm` "
        f"of its turn. Where the range holds 1, what is added is lost in the noise of a busy machine. {words}", "",
        *rows(["objective", "ms a step", "times erm", "range", "target"], body), origin(c), "",
        f"How that grows with K modalities, d numbers in each and n samples, the others as in {base}: {g['what']}. The "
        "encoders are dense and small, so that a step is short and what is added weighs most: at worst "
        + ", ".join(f"{value:.2f} times (`{name}`)" for name, value in most.items())
        + ". The targets are for the recipe above.", "",
        *rows(["size", "erm, s", *(f"`{name}`" for name in kinds)], points),
        f"Growth is the slope of log seconds against log size, 1 where twice the size takes twice as long: {slopes}. No training loop "
        f"made the process larger by more than {grown / 1e6:.2f} MB, beyond what fits before it had left.", "",
        origin(g), "",
        "## What encoders that err add to the risk", "",
        f"The levels of `mmdro/encoder`: {e['what']}. Encoders that were exact in training err in the test part. The promise is the "
        "first order of the exact encoders' losses, for the shift under which the risk is worst; without more, and with "
        "Σ L (E ε + √(ρ Var ε)) added, L the steepest gradient found or the spectral norm. Held: the share of shifts within "
        "their promise, mean over seeds.", "",
        *rows(
            ["error", "method", "risk", "worst shift", "promised", "held, %", "with gradients", "held, %", "with norms", "held, %"],
            levels,
        ),
        origin(e), "",
    ]  # fmt: skip


def page() -> str:
    """Return the whole page."""
    lines = [
        "# Measured", "",
        "Made by `python benchmarks/page.py` from `benchmarks/results/*.json`, which hold the command, commit, machine, versions "
        "and all runs. Machines differ and were not always quiet: believe the ratios, which were taken within one run. What "
        "strategies buy is on [its own page](systems/uncertainty-results.md).", "",
    ]  # fmt: skip
    for part in (start, overhead, scoring, selection, bralt, planning, scaling, training, robust):
        lines += part()
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    OUT.write_text(page())
    print(OUT)


if __name__ == "__main__":
    main()
