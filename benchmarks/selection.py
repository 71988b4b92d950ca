"""How fast batches are chosen and how much memory that takes, beside rivals, reference forms and the floor.

pip install -e '.[bench]'; python benchmarks/selection.py                # all rows: about an hour on two cores
python benchmarks/selection.py k_center bait                             # only these rows
python benchmarks/selection.py --no-rivals                               # only labelwise: a few minutes

Arrays, threads and machine are the same for all within one row; ratios are what to read. A rival that would take
hours or more memory than there is runs on fewer samples or picks fewer rows (its row says so), and labelwise is
measured at that size, too. "Reference form" is the published algorithm as its authors' public code computes it, one
pass over the pool for each pick, written here in NumPy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import tracemalloc
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import labelwise
from labelwise.functional import batches
from labelwise.seeds import generator
from record import RESULTS, write

Row = dict[str, Any]
RIVAL = "scikit-activeml"


def embeddings(n: int, width: int, classes: int = 100, seed: int = 0) -> np.ndarray:
    """Return clustered points whose spread falls along the axes, as a network's embeddings do; float32."""
    rng = generator(seed, "benchmarks", "selection", n, width)
    scale = (1 + np.arange(width, dtype=np.float32)) ** -0.5
    centres = rng.normal(size=(classes, width)).astype(np.float32) * scale
    out = np.empty((n, width), np.float32)
    for start in range(0, n, 10_000):
        part = out[start : start + 10_000]
        part[:] = (
            rng.standard_normal(part.shape, np.float32) * scale
            + centres[rng.integers(classes, size=len(part))]
        )
    return out


def isotropic(n: int, width: int, seed: int = 0) -> np.ndarray:
    """Return points without any structure, where no bound can skip much; float32."""
    return generator(seed, "benchmarks", "isotropic", n, width).standard_normal((n, width), np.float32)


def softmax_of(z: np.ndarray, classes: int, seed: int = 0) -> np.ndarray:
    """Return probabilities of a linear head on embeddings; float32."""
    head = generator(seed, "benchmarks", "head").normal(size=(z.shape[1], classes)).astype(np.float32)
    logits = z @ head
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def bandwidth() -> float:
    """Return bytes a second that a copy reads."""
    a = np.ones(50_000_000, np.float32)
    b = np.empty_like(a)
    times = []
    for _ in range(7):
        start = perf_counter()
        np.copyto(b, a)
        times.append(perf_counter() - start)
    return a.nbytes / min(times)


def timed(work: Callable[[], Any], repeats: int = 3) -> tuple[float, list[float], Any]:
    """Return the median, all times and the last result; one run to warm up where several are asked for."""
    if repeats > 1:
        work()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        found = work()
        times.append(perf_counter() - start)
    return statistics.median(times), times, found


def peak(work: Callable[[], Any]) -> float:
    """Return the most extra megabytes at once, arrays given not counted."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def ours(work: Callable[[], Any], repeats: int = 3) -> Row:
    """Measure labelwise."""
    median, times, _ = timed(work, repeats)
    return {"seconds": median, "all_seconds": times, "extra_mb": peak(work)}


# -- reference forms ---------------------------------------------------------------------------------------------------


def k_center_brute(x: np.ndarray, centres: np.ndarray, n: int) -> np.ndarray:
    """Pick the farthest row, one pass over the pool a pick, distances as direct differences in float64 blocks."""
    nearest = np.full(len(x), np.inf)
    for start in range(0, len(x), 2_000):
        part = x[start : start + 2_000].astype(np.float64)
        for c in range(0, len(centres), 200):
            gram = part @ centres[c : c + 200].T.astype(np.float64)
            far = (part**2).sum(1)[:, None] + (centres[c : c + 200].astype(np.float64) ** 2).sum(1) - 2 * gram
            nearest[start : start + 2_000] = np.minimum(nearest[start : start + 2_000], far.min(axis=1))
    picked = []
    for _ in range(n):
        row = int(nearest.argmax())
        picked.append(row)
        for start in range(0, len(x), 10_000):
            part = x[start : start + 10_000].astype(np.float64) - x[row]
            far = np.einsum("ij,ij->i", part, part)
            nearest[start : start + 10_000] = np.minimum(nearest[start : start + 10_000], far)
    return np.array(picked)


def badge_factored(p: np.ndarray, z: np.ndarray, n: int) -> np.ndarray:
    """BADGE in factored form, one pass over residuals and embeddings a pick."""
    rng = generator(0, "benchmarks", "badge")
    r = p.copy()
    r[np.arange(len(p)), p.argmax(axis=1)] -= 1
    norm = (r**2).sum(1) * (z**2).sum(1)
    nearest = norm.copy()
    picked = [int(norm.argmax())]
    for _ in range(n - 1):
        c = picked[-1]
        far = norm + norm[c] - 2 * (r @ r[c]) * (z @ z[c])
        nearest = np.maximum(far, 0) if len(picked) == 1 else np.minimum(nearest, np.maximum(far, 0))
        nearest[picked] = 0
        total = np.cumsum(nearest, dtype=np.float64)
        picked.append(int(np.searchsorted(total, rng.random() * total[-1], side="right")))
    return np.array(picked)


def badge_materialised(p: np.ndarray, z: np.ndarray, n: int) -> np.ndarray:
    """BADGE with all (n, C D) gradients in memory, one pass over them a pick."""
    rng = generator(0, "benchmarks", "badge")
    r = p.copy()
    r[np.arange(len(p)), p.argmax(axis=1)] -= 1
    g = (r[:, :, None] * z[:, None, :]).reshape(len(p), -1)
    nearest = np.full(len(p), np.inf, np.float32)
    picked = [int((g**2).sum(1).argmax())]
    for _ in range(n - 1):
        nearest = np.minimum(nearest, ((g - g[picked[-1]]) ** 2).sum(axis=1))
        nearest[picked] = 0
        total = np.cumsum(nearest, dtype=np.float64)
        picked.append(int(np.searchsorted(total, rng.random() * total[-1], side="right")))
    return np.array(picked)


def bait_reference(p: np.ndarray, z: np.ndarray, steps: int) -> float:
    """Return seconds of some forward steps of BAIT as the authors' code has them: (n, C, C D) factors, all anew a step."""
    m, classes = p.shape
    width = z.shape[1]
    v = np.zeros((m, classes, classes * width), np.float32)
    for k in range(classes):
        onehot = np.zeros(classes, np.float32)
        onehot[k] = 1
        v[:, k] = (np.sqrt(p[:, k])[:, None, None] * (onehot - p)[:, :, None] * z[:, None, :]).reshape(m, -1)
    fisher = np.zeros((classes * width,) * 2, np.float32)
    for start in range(0, m, 500):
        flat = v[start : start + 500].reshape(-1, classes * width)
        fisher += flat.T @ flat / m
    inverse = np.eye(classes * width, dtype=np.float32)
    began = perf_counter()
    for _ in range(steps):
        traces = np.empty(m)
        for start in range(0, m, 500):
            part = v[start : start + 500]
            right = part.reshape(-1, classes * width) @ inverse
            inner = np.eye(classes) + np.matmul(right.reshape(part.shape), part.transpose(0, 2, 1))
            middle = (right @ fisher).reshape(part.shape) @ right.reshape(part.shape).transpose(0, 2, 1)
            traces[start : start + 500] = np.trace(np.linalg.solve(inner, middle), axis1=1, axis2=2)
        row = int(traces.argmax())
        w = inverse @ v[row].T
        inverse -= w @ np.linalg.solve(np.eye(classes) + v[row] @ w, w.T)
    return perf_counter() - began


# -- the rows of the table ---------------------------------------------------------------------------------------------


def activeml(name: str, x: np.ndarray, labelled: np.ndarray, n: int, **params: Any) -> Callable[[], Any]:
    """Return a call of a scikit-activeml strategy on the same arrays."""
    import skactiveml.pool as pool

    both = np.concatenate([labelled, x])
    y = np.full(len(both), np.nan)
    y[: len(labelled)] = np.arange(len(labelled)) % 10
    return lambda: getattr(pool, name)(random_state=0, **params).query(both, y, batch_size=n)


def rival(result: Row, name: str, work: Callable[[], Any] | None, about: str = "", scale: float = 1) -> None:
    """Add a rival's time, once, scaled to the whole where only a part was run."""
    if work is not None:
        seconds = timed(work, 1)[0] * scale
        result["others"].append({"name": name, "seconds": seconds, "about": about})
        print(f"  {name}: {seconds:.1f} s {about}", flush=True)


def k_center(rivals: bool) -> Row:
    x, known = embeddings(50_000, 512), embeddings(51_000, 512)[50_000:]
    result = {"what": "n = 50,000, D = 512, 1,000 labelled, b = 500", "others": [],
              **ours(lambda: batches.k_center(x, 500, centres=known))}  # fmt: skip
    found = batches.k_center(x, 500, centres=known)
    seconds, _, brute = timed(lambda: k_center_brute(x, known, 500), 1)
    result["others"].append({"name": "brute force, float64", "seconds": seconds, "about": "one pass a pick"})
    result["same_picks_as_brute_force"] = bool((found == brute).all())
    result["floor"] = {"what": "b n D 4 bytes / copy bandwidth", "seconds": 500 * x.nbytes / bandwidth()}
    hard, hard_known = isotropic(50_000, 512), isotropic(51_000, 512)[50_000:]
    result["isotropic"] = ours(lambda: batches.k_center(hard, 500, centres=hard_known))
    if rivals:
        rival(result, f"{RIVAL} CoreSet", activeml("CoreSet", x, known, 500))
        from small_text import greedy_coreset

        both = np.concatenate([known, x])
        rows = np.arange(len(both))

        def small(picks: int) -> float:
            start = perf_counter()
            greedy_coreset(both, rows[1_000:], rows[:1_000], picks, distance_metric="euclidean")
            return perf_counter() - start

        few, more = small(4), small(12)
        about = "4 and 12 picks; the line through both, at 500"
        seconds = few + (more - few) / 8 * 496
        result["others"].append({"name": "small-text greedy_coreset", "seconds": seconds, "about": about})
    return result


def k_center_million(rivals: bool) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pool.npy"
        pool = np.lib.format.open_memmap(file, "w+", np.float16, (1_000_000, 256))
        for k in range(10):
            pool[k * 100_000 : (k + 1) * 100_000] = embeddings(100_000, 256, seed=k)
        pool.flush()
        x = np.load(file, mmap_mode="r")
        return {"what": "n = 1,000,000, D = 256, b = 1,000, memory-mapped float16", "others": [],
                **ours(lambda: batches.k_center(x, 1_000), 1)}  # fmt: skip


def gradient_kmeans_pp(rivals: bool) -> Row:
    z = embeddings(50_000, 512)
    p = softmax_of(z, 100)
    result = {"what": "n = 50,000, C = 100, D = 512, b = 500", "others": [],
              **ours(lambda: batches.gradient_kmeans_pp(p, z, 500, generator(0)))}  # fmt: skip
    rival(result, "reference form, factored", lambda: badge_factored(p, z, 500), "one pass a pick")
    made = timed(lambda: badge_materialised(p[:5_000], z[:5_000], 1), 1)[0]
    all_of_it = timed(lambda: badge_materialised(p[:5_000], z[:5_000], 21), 1)[0]
    result["others"].append({
        "name": "DeepAL form, materialised", "seconds": 10 * (made + (all_of_it - made) / 20 * 499),
        "about": "20 picks of a tenth of the pool (1 GB of 10), scaled",
    })  # fmt: skip
    if rivals:
        from skactiveml.classifier import SklearnClassifier
        from skactiveml.pool import Badge
        from sklearn.linear_model import LogisticRegression

        few = z[:2_000]
        y = np.full(2_000, np.nan)
        y[:100] = np.arange(100)
        clf = SklearnClassifier(LogisticRegression(max_iter=20), classes=range(100))
        call = lambda: Badge(random_state=0).query(few, y, clf, batch_size=100)  # noqa: E731
        result["others"].append({"name": f"{RIVAL} Badge", "about": "n = 2,000, b = 100", "seconds": timed(call, 1)[0],
                                 "ours": timed(lambda: batches.gradient_kmeans_pp(p[:2_000], few, 100, generator(0)))[0]})  # fmt: skip
    return result


def bait(rivals: bool) -> Row:
    z = embeddings(10_000, 128, 10)
    p = softmax_of(z, 10)
    result = {
        "what": "n = 10,000, C = 10, D = 128, b = 100",
        "others": [],
        **ours(lambda: batches.bait(p, z, 100), 1),
    }
    seconds = bait_reference(p, z, 2) / 2 * 200
    about = "2 of 200 forward steps, times 100; backward steps not counted"
    result["others"].append({"name": "reference form", "seconds": seconds, "about": about})
    return result


def typiclust(rivals: bool) -> Row:
    x, known = embeddings(50_000, 512), embeddings(50_500, 512)[50_000:]

    def call(m: int, b: int) -> Callable[[], Any]:
        return lambda: labelwise.select(
            "typiclust", {"embeddings": x[:m]}, b, labelled={"embeddings": known[:b]}
        )

    result = {
        "what": "n = 50,000, D = 512, 500 labelled, b = 500",
        "others": [],
        **ours(call(50_000, 500), 1),
    }
    if rivals:
        for m, b in ((5_000, 100), (50_000, 500)):
            seconds = timed(activeml("TypiClust", x[:m], known[:b], b), 1)[0]
            result["others"].append({"name": f"{RIVAL} TypiClust", "seconds": seconds, "about": f"n = {m:,}, b = {b}",
                                     "ours": timed(call(m, b), 1)[0]})  # fmt: skip
    return result


def prob_cover(rivals: bool) -> Row:
    x, known = embeddings(50_000, 512), embeddings(50_500, 512)[50_000:]

    def call(m: int, b: int) -> Callable[[], Any]:
        return lambda: labelwise.select(
            "prob-cover", {"embeddings": x[:m]}, b, labelled={"embeddings": known[:b]}
        )

    result = {
        "what": "n = 50,000, D = 512, 500 labelled, b = 500",
        "others": [],
        **ours(call(50_000, 500), 1),
    }
    if rivals:  # its (n, n) distances of float64 alone would be 20 GB at 50,000
        for m, b in ((2_000, 50), (8_000, 50)):
            seconds = timed(activeml("ProbCover", x[:m], known[:b], b, n_classes=10), 1)[0]
            result["others"].append({"name": f"{RIVAL} ProbCover", "seconds": seconds, "about": f"n = {m:,}, b = {b}",
                                     "ours": timed(call(m, b), 1)[0]})  # fmt: skip
    return result


def facility_location(rivals: bool) -> Row:
    x = embeddings(50_000, 128)
    result = {"what": "n = 50,000, D = 128, b = 500", "others": [],
              **ours(lambda: batches.facility_location(x, 500, rng=generator(0)), 1)}  # fmt: skip
    few = x[:5_000]
    unit = few / np.linalg.norm(few, axis=1, keepdims=True)

    def value(rows: np.ndarray) -> float:
        return float(((1 + unit @ unit[rows].T) / 2).max(axis=1).sum())

    exact = batches.facility_location(few, 500, method="lazy")
    quick = batches.facility_location(few, 500, method="stochastic", rng=generator(0))
    result["value_of_exact_at_5000"] = value(quick) / value(exact)
    if rivals and find_spec("submodlib"):
        import submodlib

        def call() -> Any:
            f = submodlib.FacilityLocationFunction(n=5_000, data=few, mode="dense", metric="cosine")
            return f.maximize(500, optimizer="LazyGreedy", show_progress=False)

        result["others"].append({"name": "submodlib, lazy", "seconds": timed(call, 1)[0], "about": "n = 5,000",
                                 "ours": timed(lambda: batches.facility_location(few, 500, method="lazy"), 1)[0]})  # fmt: skip
    return result


TABLE = {
    f.__name__: f
    for f in (k_center, k_center_million, gradient_kmeans_pp, bait, typiclust, prob_cover, facility_location)
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", choices=[[], *TABLE], help="which; all of them by default")
    parser.add_argument("--no-rivals", action="store_true", help="without scikit-activeml and small-text")
    asked = parser.parse_args()
    file = RESULTS / "selection.json"
    rows = json.loads(file.read_text())["rows"] if file.exists() else {}
    for name in asked.rows or TABLE:
        print(name, flush=True)
        rows[name] = TABLE[name](not asked.no_rivals)
        print(json.dumps(rows[name], indent=1), flush=True)
        write("selection", {"copy_gigabytes_per_second": bandwidth() / 1e9, "rows": rows})


if __name__ == "__main__":
    main()
