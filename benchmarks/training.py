"""Samples a second of the training loop beside a bare hand-written loop and a DataLoader over PIL images.

python benchmarks/training.py [--repeats 5] [--samples 2048] [--epochs 2] [--threads 1]

All loops train the same network from fresh weights, batch 64, Adam 1e-3, on MNIST if LABELWISE_DATA holds it
and on random bytes of that shape otherwise. They take turns within each repeat, in an order that rotates; ratios
are medians over repeats of what ran next to each other, in CPU seconds of the process: with one thread these are
what the loop costs, whoever else uses the machine. Wall seconds are kept in the results too.

"bare, channels last" is the strictest rival: floats made in advance and the same memory layout as ours. "bare" is
the same loop in torch's default layout, as most loops are.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from labelwise.data.base import ArrayDataset, Labelled
from labelwise.models import networks
from labelwise.models.torch import TorchRecipe
from labelwise.models.training import logits_of
from labelwise.seeds import generator
from record import write

BATCH, LR, MEAN, STD, SEED = 64, 1e-3, 0.1307, 0.3081, 0
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

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self.x[i])
        tensor = torch.from_numpy(np.array(image, copy=True)).unsqueeze(0).to(torch.float32).div(255)
        return tensor.sub_(MEAN).div_(STD), int(self.y[i])


def steps(network: nn.Module, batches: Callable[[], object], epochs: int) -> None:
    optimiser = torch.optim.Adam(network.parameters(), LR)
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

    def ours() -> None:
        recipe.fit(data, train, np.empty(0, np.int64), None, 10, generator(SEED, "fit"))

    def bare(layout: torch.memory_format) -> None:
        network = build(name, width).to(memory_format=layout)
        all_x = (
            torch.from_numpy(x).unsqueeze(1).float().div_(255).sub_(MEAN).div_(STD).to(memory_format=layout)
        )
        all_y = torch.from_numpy(y)

        def batches() -> object:
            for rows in torch.randperm(len(all_x)).split(BATCH):
                yield all_x[rows], all_y[rows]

        steps(network, batches, epochs)

    def loader() -> None:
        batches = DataLoader(PilImages(x, y), batch_size=BATCH, shuffle=True, num_workers=0)
        steps(build(name, width), lambda: batches, epochs)

    return {
        "labelwise": ours,
        "bare, channels last": lambda: bare(torch.channels_last),
        "bare": lambda: bare(torch.contiguous_format),
        "DataLoader over PIL": loader,
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
    parser.add_argument("--samples", type=int, default=2048)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    source, x, y = images(args.samples)
    results = {}
    for label, (name, width) in NETWORKS.items():
        contestants = loops(name, width, x, y, args.epochs, args.threads)
        runs: dict[str, list[float]] = {loop: [] for loop in contestants}
        wall: dict[str, list[float]] = {loop: [] for loop in contestants}
        order, shown = list(contestants), args.samples * args.epochs
        for repeat in range(-1, args.repeats):  # the first round warms up and is not counted
            for loop in order[repeat % len(order) :] + order[: repeat % len(order)]:
                cpu, start = process_time(), perf_counter()
                contestants[loop]()
                if repeat >= 0:
                    runs[loop].append(round(shown / (process_time() - cpu), 1))
                    wall[loop].append(round(shown / (perf_counter() - start), 1))
        ratios = {
            loop: round(median(a / b for a, b in zip(runs["labelwise"], runs[loop], strict=True)), 3)
            for loop in order[1:]
        }
        results[label] = {
            "samples_per_cpu_second": {loop: median(rates) for loop, rates in runs.items()},
            "samples_per_wall_second": {loop: median(rates) for loop, rates in wall.items()},
            "labelwise_is_times_as_fast_as": ratios,
            "runs_cpu": runs,
            "runs_wall": wall,
        }
        print(label, results[label]["samples_per_cpu_second"], ratios, flush=True)
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
