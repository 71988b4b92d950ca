"""Thumbnails of what was asked for: images as small PNG files inside the page, text in three lines, nothing invented."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.bench.findings import Setting
from labelwise.bench.results import Run
from labelwise.bench.settings import Group
from labelwise.data.truth import Simulation

EACH = 6  # samples of one round
LONGEST = 96  # pixels of a thumbnail's longer side
WORDS = 240  # characters of a text
NUMBERS = 8  # of a table
SOUNDS = ("audio", "sound", "speech")  # modalities whose bytes are the loudness of frequencies, not of light


def samples(
    setting: Setting,
    found: Group,
    simulation: Simulation,
    palette: Mapping[str, str],
    classes: Sequence[str],
) -> tuple[list[dict[str, Any]], str]:
    """Return groups of samples (first and last chosen round of each strategy, one seed) and a caption.

    Args:
        setting: the comparison's part, for the order of strategies.
        found: the runs.
        simulation: the data that the runs saw.
        palette: strategy -> colour.
        classes: their names.
    """
    groups = []
    shared = set.intersection(*({run.seed for run in runs} for runs in found.compared.values()))
    seed = min(shared) if shared else None
    for summary in setting.strategies:
        runs = found.compared[summary.name]
        run = next((r for r in runs if r.seed == seed), runs[0])
        chosen = [ask for ask in run.state.asks if ask.round > 0] or list(run.state.asks)
        for ask in dict.fromkeys((chosen[0].round, chosen[-1].round)):
            items = _items(run, ask, simulation, classes)
            if items:
                name = f"{summary.name}, {'first' if ask == chosen[0].round else 'last'} choice"
                groups.append({"name": name, "colour": palette[summary.name], "things": items})
    which = f"seed {seed}" if seed is not None else "the first seed of each strategy"
    caption = (
        f"The first {EACH} samples, in the order of asking, of the first and the last round that each strategy chose "
        f"itself ({which}; the common random start is left out)."
    )
    return groups, caption


def _items(run: Run, t: int, simulation: Simulation, classes: Sequence[str]) -> list[dict[str, Any]]:
    items = pictured(run.state.asks[t].ids[:EACH], simulation)
    for item in items:
        label, truth = told(run, item["id"], simulation, classes)
        item["wrong"] = bool(truth)
        item["caption"] = f"round {t} · {label}" + (f" (is {truth})" if truth else "")
        item["alt"] = f"sample {item['id']}, labelled {label}"
    return items


def told(run: Run, i: int, simulation: Simulation, classes: Sequence[str]) -> tuple[str, str]:
    """Return a sample's label as a person reads it ("pass" without one), and the true class where that is another."""
    answer = run.state.answers.get(i)
    truth = int(simulation.truth[i])
    if answer is None and i in simulation.task.given.ids:
        return classes[truth], ""
    said = None if answer is None else answer.label
    return "pass" if said is None else classes[said], "" if said in (None, truth) else classes[truth]


def pictured(ids: Sequence[int], simulation: Simulation, longest: int = LONGEST) -> list[dict[str, Any]]:
    """Return {id, image, words, parts} of each sample, parts being its modalities where it has several.

    `image` or `words` are of the first modality that is a picture or a text; both None where a sample lacks it. Each part is
    {modality, image, words}, both None where that modality is missing. [] where no modality can be shown, or where the data
    have no such sample.

    Args:
        ids: in the order of showing.
        simulation: the data.
        longest: pixels of a thumbnail's longer side.
    """
    task = simulation.task
    if not ids or not all(0 <= i < len(task.data) for i in ids):
        return []
    names = task.data.modalities
    batch = task.data.batch(np.array(ids, dtype=np.int64))
    shown = next((k for k, m in enumerate(names) if drawable(batch[m]) or batch[m].dtype.kind in "TUO"), None)
    if shown is None and len(names) < 2:
        return []
    present = batch.get("present")
    items: list[dict[str, Any]] = []
    for k, i in enumerate(ids):
        parts = []
        for column, name in enumerate(names):
            part = {"modality": name, "image": None, "words": None}
            if present is None or present[k, column]:
                part |= picture(name, batch[name][k], longest)
            parts.append(part)
        first = parts[0 if shown is None else shown]
        several = parts if len(parts) > 1 else []
        items.append({"id": i, "image": first["image"], "words": first["words"], "parts": several})
    return items


def picture(name: str, value: Any, longest: int = LONGEST) -> dict[str, str | None]:
    """Return one modality of one sample as {image, words}: a picture, a text, or a line of its first numbers.

    Of a film the frame in the middle.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        return {"image": None, "words": str(value)[:WORDS]}
    if value.ndim == 4 and value.shape[3] == 3 and len(value):
        value = value[len(value) // 2]
    if drawable(value[None]):
        # Signals of a few channels would be a line of a few pixels' height.
        flat = value.ndim == 2 and 6 * value.shape[0] < value.shape[1]
        value = np.repeat(value, 4, axis=0) if flat else value
        return {"image": png(value, longest, spectrogram=name in SOUNDS), "words": None}
    line = value.ravel()
    some = ", ".join(f"{v:.3g}".replace("-", "−") for v in line[:NUMBERS].tolist())
    more = f" … ({line.size} numbers)" if line.size > NUMBERS else ""
    return {"image": None, "words": f"{some}{more}"}


def drawable(values: NDArray[Any]) -> bool:
    """Return True for a batch of images: (b, H, W) or (b, H, W, 3), numbers, at least 2 pixels each way."""
    if values.dtype.kind not in "fiub" or values.ndim not in (3, 4):
        return False
    return min(values.shape[1:3]) >= 2 and (values.ndim == 3 or values.shape[3] == 3)


def png(image: NDArray[Any], longest: int = LONGEST, *, spectrogram: bool = False) -> str:
    """Return an image as a data address: uint8 and floats in [0, 1] as they are, other floats by a perceptual map.

    Args:
        image: (H, W) or (H, W, 3). Pictures larger than a thumbnail are scaled down, never up.
        longest: pixels of a thumbnail's longer side.
        spectrogram: (H, W) of any numbers by the perceptual map.
    """
    from PIL import Image

    if image.dtype.kind == "f":
        image = np.nan_to_num(image)
    if spectrogram and image.ndim == 2:
        pixels = _perceptual(image.astype(np.float64))
    elif image.dtype.kind == "f":
        if image.ndim == 2 and (image.min() < 0 or image.max() > 1):
            pixels = _perceptual(image)
        else:
            pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    else:
        pixels = np.clip(image, 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels)
    if max(picture.size) > longest:
        picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _perceptual(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a spectrogram (frequencies by time) in matplotlib's magma, low frequencies at the foot."""
    from matplotlib import colormaps

    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.ascontiguousarray(colormaps["magma"](scaled[::-1], bytes=True)[..., :3])
