"""Where torch computes: device, threads, precision, and a guard around its global generator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from labelwise.errors import InputError

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str) -> torch.device:
    """Return the device of that name; "auto" takes the first there is of CUDA, MPS and CPU.

    Raises:
        InputError: torch knows no such device, or it is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device must be auto, cpu, cuda, cuda:N or mps; it is {name!r}.") from error
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False):
        raise InputError(f"device is {name!r}, which torch does not find here; say 'auto' or 'cpu'.")
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        if index >= torch.cuda.device_count():
            raise InputError(f"device is {name!r}; there are {torch.cuda.device_count()} CUDA devices.")
        return torch.device("cuda", index)
    return device


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let torch compute on n threads inside the block; the former number is back after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators (weights, dropout) inside the block and leave them as they were found.

    Only the CPU's generator and that of `device` are touched: `torch.manual_seed` would seed every GPU.
    Convolutions on CUDA take deterministic algorithms meanwhile, so that the same seed gives the same
    network.
    """
    cpu = torch.default_generator.get_state()
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    mps = torch.mps.get_rng_state() if device.type == "mps" else None
    flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        torch.default_generator.manual_seed(seed)
        if cuda is not None:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        if mps is not None:
            torch.mps.manual_seed(seed)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags
        torch.default_generator.set_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, device)
        if mps is not None:
            torch.mps.set_rng_state(mps)


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type to multiply in; "auto" is bfloat16 on a GPU that has it and float32 elsewhere.

    On the CPUs measured, bfloat16 was slower or hardly faster: there it must be asked for by name.
    """
    if name != "auto":
        return PRECISIONS[name]
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    """Return the context for a forward pass in that precision; nothing at all for float32."""
    return nullcontext() if precision == torch.float32 else torch.autocast(device.type, dtype=precision)


def can_fuse(device: torch.device) -> bool:
    """Return whether optimisers may update all parameters in one kernel; on CPUs torch can since 2.4.

    Measured on a CPU: an MLP trains 1.7 times as fast, a CNN hardly faster.
    """
    major, minor = (int(part) for part in torch.__version__.split(".")[:2])
    return device.type == "cuda" or (device.type == "cpu" and (major, minor) >= (2, 4))
