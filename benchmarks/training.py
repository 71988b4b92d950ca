"""Samples a second of the training loop beside a bare hand-written loop and a DataLoader over PIL images.

python benchmarks/training.py [--repeats 5] [--samples 1024] [--epochs 2]   (about three minutes)

All loops train the same network from fresh weights, batch 64, Adam 1e-3, on MNIST if LABELWISE_DATA holds it
and on random bytes of that shape otherwise. They take turns within each repeat, in an order that rotates; ratios
are medians over repeats of what ran next to each other: in CPU seconds of the process on one thread, which is what
the loop costs whoever else uses the machine, and in wall seconds on two, where only some of the work is shared.

The rivals: "bare, channels last" is the strictest, with floats made in advance and our memory layout; "bare" is
torch's default layout, as most loops are. The DataLoader has no workers and does what torchvision's transforms do:
plain, and with the usual augmentation (random crop of a 4 pixel border, random flip), beside which ours does the
same. "network alone" is our layout and optimiser fed with the same batches again and again: no loop can be faster,
so the rival's seconds over its own are the most that a loop could ever gain ("bound").
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from labelwise.data.base import ArrayDataset, Labelled
from labelwise.models import networks
from labelwise.models.losses import logits_of
from labelwise.models.torch import TorchRecipe
from labelwise.seeds import generator
from record import write

BATCH, LR, MEAN, STD, SEED, SHIFT = 64, 1e-3, 0.1307, 0.3081, 0, 4
OURS, AUGMENTED = "labelwise", "labelwise, augmented"
NETWORKS = {
    "cnn": ("cnn", 32),
    "cnn, width 8": ("cnn", 8),
    "mlp": ("mlp", 512),
    "mlp, width 64": ("mlp", 64),
    "linear": ("linear", 0),
}


def linear(shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Return the cheapest network there is: what is left is the cost of the data."""
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], n_classes))


def build(name: str, width: int) -> nn.Module:
    shape = (1, 28, 28)
    return linear(shape, 10) if name == "linear" else networks.build(name, shape, 10, width)


def images(n: int) -> tuple[str, np.ndarray, np.ndarray]:
    """Return where the images are from, (n, 28, 28) bytes and n labels."""
    folder = os.environ.get("LABELWISE_DATA")
    path = Path(folder or "") / "mnist" / "mnist.npz"
    if folder and path.exists():
        with np.load(path) as file:
            return "MNIST", file["x_train"][:n], file["y_train"][:n].astype(np.int64)
    rng = generator(SEED, "benchmark", "images")
    return "random bytes", rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), rng.integers(0, 10, n)


class PilImages(Dataset[tuple[torch.Tensor, int]]):
    """Makes an image of each sample, then a tensor, then scales it: what torchvision's transforms do."""

    def __init__(self, x: np.ndarray, y: np.ndarray, *, augment: bool) -> None:
        self.x, self.y, self.augment = x, y, augment

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self.x[i])
        if self.augment:  # RandomCrop(28, padding=4), RandomHorizontalFlip()
            left, top = torch.randint(0, 2 * SHIFT + 1, (2,)).tolist()
            width, height = image.size
            image = ImageOps.expand(image, SHIFT, 0).crop((left, top, left + width, top + height))
            if torch.rand(1).item() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        tensor = torch.from_numpy(np.array(image, copy=True)).unsqueeze(0).to(torch.float32).div(255)
        return tensor.sub_(MEAN).div_(STD), int(self.y[i])


def steps(
    network: nn.Module, batches: Callable[[], object], epochs: int, *, fused: bool | None = None
) -> None:
    optimiser = torch.optim.Adam(network.parameters(), LR, fused=fused)
    network.train()
    for _ in range(epochs):
        for x, y in batches():
            optimiser.zero_grad(set_to_none=True)
            cross_entropy(logits_of(network(x)), y).backward()
            optimiser.step()


def loops(
    name: str, width: int, x: np.ndarray, y: np.ndarray, epochs: int, n_threads: int
) -> dict[str, Callable[[], None]]:
    """Return name -> a training from fresh weights to the last step."""
    data, train = ArrayDataset({"image": x}), Labelled(np.arange(len(x)), y)
    reads = {"network": linear} if name == "linear" else {"network": name, "width": width}
    recipe = TorchRecipe(**reads, epochs=epochs, batch_size=BATCH, lr=LR, device="cpu", threads=n_threads)

    def ours(recipe: TorchRecipe) -> None:
        recipe.fit(data, train, np.empty(0, np.int64), None, 10, generator(SEED, "fit"))

    def floats(layout: torch.memory_format) -> tuple[torch.Tensor, torch.Tensor]:
        all_x = torch.from_numpy(x).unsqueeze(1).float().div_(255).sub_(MEAN).div_(STD)
        return all_x.to(memory_format=layout), torch.from_numpy(y)

    def bare(layout: torch.memory_format) -> None:
        network, (all_x, all_y) = build(name, width).to(memory_format=layout), floats(layout)

        def batches() -> object:
            for rows in torch.randperm(len(all_x)).split(BATCH):
                yield all_x[rows], all_y[rows]

        steps(network, batches, epochs)

    all_x, all_y = floats(torch.channels_last)
    fixed = list(zip(all_x.split(BATCH), all_y.split(BATCH), strict=True))

    def alone() -> None:
        network = build(name, width).to(memory_format=torch.channels_last)
        steps(network, lambda: fixed, epochs, fused=True)

    def loader(*, augment: bool) -> None:
        images = PilImages(x, y, augment=augment)
        batches = DataLoader(images, batch_size=BATCH, shuffle=True, num_workers=0)
        steps(build(name, width), lambda: batches, epochs)

    return {
        OURS: lambda: ours(recipe),
        "bare, channels last": lambda: bare(torch.channels_last),
        "bare": lambda: bare(torch.contiguous_format),
        "DataLoader over PIL": lambda: loader(augment=False),
        AUGMENTED: lambda: ours(replace(recipe, shift=SHIFT, flip=True)),
        "DataLoader over PIL, augmented": lambda: loader(augment=True),
        "network alone": alone,
    }


def race(
    contestants: dict[str, Callable[[], None]], shown: int, repeats: int, n_threads: int
) -> dict[str, Any]:
    """Return rates, the ratios of ours to every rival, and how far from the bound we are."""
    runs: dict[str, list[float]] = {loop: [] for loop in contestants}
    wall: dict[str, list[float]] = {loop: [] for loop in contestants}
    order = list(contestants)
    for repeat in range(-1, repeats):  # the first round warms up and is not counted
        for loop in order[repeat % len(order) :] + order[: repeat % len(order)]:
            cpu, start = process_time(), perf_counter()
            contestants[loop]()
            if repeat >= 0:
                runs[loop].append(round(shown / (process_time() - cpu), 1))
                wall[loop].append(round(shown / (perf_counter() - start), 1))
    read = runs if n_threads == 1 else wall

    def ratio(a: str, b: str) -> float:
        return round(median(x / y for x, y in zip(read[a], read[b], strict=True)), 2)

    pairs = {
        loop: AUGMENTED if "augmented" in loop else OURS for loop in order if loop not in (OURS, AUGMENTED)
    }
    return {
        "ratios_read": "CPU seconds" if n_threads == 1 else "wall seconds",
        "labelwise_is_times_as_fast_as": {
            loop: ratio(mine, loop) for loop, mine in pairs.items() if loop != "network alone"
        },
        "bound": {loop: ratio("network alone", loop) for loop in pairs if "DataLoader" in loop},
        "share_of_the_network_in_our_time": {
            mine: ratio(mine, "network alone") for mine in (OURS, AUGMENTED)
        },
        "samples_per_cpu_second": {loop: median(rates) for loop, rates in runs.items()},
        "samples_per_wall_second": {loop: median(rates) for loop, rates in wall.items()},
        "runs_cpu": runs,
        "runs_wall": wall,
    }


def inference(x: np.ndarray, y: np.ndarray, repeats: int) -> list[float]:
    """Return images a CPU second of a fitted MNIST-size CNN that gives probs and embeddings."""
    data = ArrayDataset({"image": x})
    recipe = TorchRecipe("cnn", epochs=1, device="cpu", threads=torch.get_num_threads())
    predictor = recipe.fit(
        data, Labelled(np.arange(64), y[:64]), np.empty(0, np.int64), None, 10, generator(SEED)
    )
    rates = []
    for _ in range(repeats + 1):
        start = process_time()
        predictor.infer(data, np.arange(len(x)), frozenset({"probs", "embeddings"}))
        rates.append(round(len(x) / (process_time() - start), 1))
    return rates[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(SEED)
    source, x, y = images(args.samples)
    results: dict[str, dict[str, Any]] = {}
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        for label, (name, width) in NETWORKS.items():
            contestants = loops(name, width, x, y, args.epochs, n_threads)
            found = race(contestants, args.samples * args.epochs, args.repeats, n_threads)
            results[f"{label}, {n_threads} thread{'s' * (n_threads > 1)}"] = found
            print(label, n_threads, *list(found.values())[1:4], flush=True)
    torch.set_num_threads(1)
    rates = inference(x, y, args.repeats)
    print("inference", median(rates))
    settings = {
        **vars(args),
        "batch_size": BATCH,
        "lr": LR,
        "optimiser": "adam",
        "seed": SEED,
        "images": source,
    }
    answers = {"network": "cnn", "images_per_cpu_second": median(rates), "runs": rates}
    print(write("training", {"settings": settings, "training": results, "inference": answers}))


if __name__ == "__main__":
    main()
