"""The one training loop: data as one tensor on the device, batches cut from it, floats made on the fly."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from labelwise.models.base import Progress
from labelwise.models.device import autocast, can_fuse, pick_precision
from labelwise.models.diary import Diary
from labelwise.models.losses import adversary_of, check_loss, logits_of, mean_loss, task_loss
from labelwise.models.training import Training

Prepare = Callable[[Tensor], Tensor]  # (b, ...) as held -> what the network reads
# (the network's answer, (b,) labels, the epoch from 0) -> what a step lowers and the mean loss to report, both ()
Objective = Callable[[Any, Tensor, int], tuple[Tensor, Tensor]]
_TELL_EVERY = 20  # batches


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training leaves beside the weights: the optimiser, to continue with, and diagnostics."""

    optimiser: torch.optim.Optimizer
    notes: Mapping[str, float]


def train(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    training: Training,
    generator: torch.Generator,
    prepare: Callable[[Tensor], Any],
    *,
    validation: tuple[Tensor, Tensor] | None = None,
    optimiser_state: Mapping[int, Any] | None = None,
    progress: Progress | None = None,
    objective: Objective | None = None,
    diary: Diary | None = None,
) -> Trained:
    """Train `network` in place and return optimiser and diagnostics; it is left in eval mode.

    Dropout draws from torch's global generator: see `labelwise.models.device.seeded`.

    Args:
        network: on the device; returns logits, or a tuple that begins with them.
        x: (n, ...) on the device, in whatever form `prepare` reads.
        y: (n,) class indices, on the device.
        training: how.
        generator: on the CPU; orders the samples and augments them.
        prepare: makes a batch of x what the network reads.
        validation: (x, y) for early stopping.
        optimiser_state: from a former training of the same network.
        progress: told (batches done, batches in all).
        objective: what to lower; None: `task_loss` of the logits.
        diary: hears every step, and its notes join those of the training.

    Raises:
        TrainingError: the loss is no number.
    """
    if len(x) == 1:  # batch norm compares samples: one sample is shown twice
        x, y = x.expand(2, *x.shape[1:]), y.expand(2)
    n, device = len(x), x.device
    optimiser = optimiser_for(network, training, device)
    if optimiser_state is not None:
        groups = optimiser.state_dict()["param_groups"]  # the settings are those of `training`
        optimiser.load_state_dict({"state": dict(optimiser_state), "param_groups": groups})
    adversary = adversary_of(training, y) if objective is None else None
    precision = pick_precision(training.precision, device)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    sizes = batch_sizes(n, training.batch_size)
    best: tuple[float, int, dict[str, Any], dict[str, Any]] | None = None
    notes: dict[str, float] = {}
    step = 0
    for epoch in range(training.epochs):
        network.train()
        total = torch.zeros((), device=device)
        right = torch.zeros((), device=device, dtype=torch.int64)
        order = torch.randperm(n, generator=generator).to(device)
        if diary is not None:
            diary.epoch()
        for rows in torch.split(order, sizes):
            for group in optimiser.param_groups:
                group["lr"] = training.rate(step, len(sizes))
            batch, labels = prepare(augmented(x.index_select(0, rows), training, generator)), y[rows]
            with autocast(device, precision):
                answer = network(batch)
                logits = logits_of(answer).float()
                lowered, loss = (
                    task_loss(logits, labels, training, adversary)
                    if objective is None
                    else objective(answer, labels, epoch)
                )
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(scaler.scale(lowered))
            if training.clip is not None or diary is not None:
                scaler.unscale_(optimiser)
            if diary is not None:
                diary.step(loss, network)
            if training.clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), training.clip)
            scaler.step(optimiser)
            scaler.update()
            total += loss * len(rows)
            right += (logits.detach().argmax(1) == labels).sum()
            step += 1
            if progress is not None and (step % _TELL_EVERY == 0 or step == training.epochs * len(sizes)):
                progress(step, training.epochs * len(sizes))
        mean = float(total) / n
        check_loss(mean, "loss", epoch, training)
        notes = {"loss": mean, "accuracy": int(right) / n, "epochs": epoch + 1}
        if validation is None or training.patience is None:
            continue
        seen = mean_loss(network, *validation, prepare, training.batch_size)
        check_loss(seen, "validation loss", epoch, training)
        if best is None or seen < best[0]:
            best = (seen, epoch, copy.deepcopy(network.state_dict()), copy.deepcopy(optimiser.state_dict()))
        elif epoch - best[1] >= training.patience:
            break
    if best is not None:
        network.load_state_dict(best[2])
        optimiser.load_state_dict(best[3])
        notes = {**notes, "validation_loss": best[0], "best_epoch": best[1] + 1}
    network.eval()
    return Trained(optimiser, notes if diary is None else {**notes, **diary.notes()})


def batch_sizes(n: int, size: int) -> list[int]:
    """Return the sizes of the batches of an epoch; a last one of a single sample joins the one before it."""
    sizes = [min(size, n - start) for start in range(0, n, size)]
    if len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [sizes[-2] + 1]
    return sizes


def optimiser_for(network: nn.Module, training: Training, device: torch.device) -> torch.optim.Optimizer:
    parameters: Iterator[nn.Parameter] = (p for p in network.parameters() if p.requires_grad)
    lr, decay, fused = training.lr, training.weight_decay, can_fuse(device)
    if training.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr, momentum=training.momentum, weight_decay=decay, fused=fused)
    kind = torch.optim.Adam if training.optimiser == "adam" else torch.optim.AdamW
    return kind(parameters, lr, weight_decay=decay, fused=fused)


def augmented(x: Tensor, training: Training, generator: torch.Generator) -> Tensor:
    """Return (b, H, W, channels) images moved and mirrored at random; anything else as it is."""
    if x.ndim != 4 or not (training.shift or training.flip):
        return x
    b, height, width, _ = x.shape
    rows, columns = torch.arange(height).expand(b, -1), torch.arange(width).expand(b, -1)
    if training.flip:
        mirrored = torch.rand(b, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if training.shift:
        s = training.shift
        x = pad(x, (0, 0, s, s, s, s))
        rows = rows + torch.randint(0, 2 * s + 1, (b, 1), generator=generator)
        columns = columns + torch.randint(0, 2 * s + 1, (b, 1), generator=generator)
    # rows of one long table: three times as fast as indexing images by three arrays
    tall, wide = x.shape[1:3]
    pixels = ((torch.arange(b)[:, None] * tall + rows)[:, :, None] * wide + columns[:, None, :]).flatten()
    return x.flatten(0, 2).index_select(0, pixels.to(x.device)).reshape(b, height, width, -1)
