"""The policy network of RL-MBA, what of it is stored, and policies as files that carry over to other data."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.errors import InputError
from labelwise.functional.policy import Moments
from labelwise.strategies.balance.state import width_of

Floats = NDArray[np.float64]

FORMAT = "labelwise-policy/1"
MOST = 2**24  # updates; AdamW counts in float32
_LAYERS = 4  # weights and biases of two layers
_ARRAYS = tuple(f"{name} {i}" for name in ("weight", "mean", "square") for i in range(_LAYERS))
# What a policy file takes along of a strategy's state, beside the network.
_TAKEN = ("modalities", "moments", "baseline", "modality baseline", "reward kind", "updates")


def inputs_of(modalities: int) -> int:
    """Return how many numbers the policy reads of a candidate: the state, q, u of each modality, U and d."""
    return width_of(modalities) + modalities + 3


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute on one thread inside the block.

    The policy is so small that threads only wait for one another (on a busy machine twenty times as long as the work takes), and
    what it draws must not depend on how many there are.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class PolicyNetwork:
    """Two layers with ReLU between them: one row a candidate in, one logit out; trained by AdamW.

    Args:
        width: F, of the inputs.
        hidden: units of the first layer.
        rng: draws the weights, as `nn.Linear` does.

    Source:
        RL-MBA, supplement B: "a lightweight two-layer MLP with ReLU activations", AdamW, global gradient clipping.
    """

    def __init__(self, width: int, hidden: int, rng: np.random.Generator) -> None:
        sizes = [(hidden, width), (hidden,), (1, hidden), (1,)]
        bounds = [width**-0.5, width**-0.5, hidden**-0.5, hidden**-0.5]
        drawn = [
            rng.uniform(-bound, bound, size).astype(np.float32)
            for size, bound in zip(sizes, bounds, strict=True)
        ]
        self._hold(drawn, [np.zeros_like(w) for w in drawn], [np.zeros_like(w) for w in drawn], 0)

    def _hold(self, weights: list[Array], means: list[Array], squares: list[Array], steps: int) -> None:
        import torch

        def tensor(array: Array) -> Any:
            return torch.from_numpy(np.array(array, np.float32))

        self.weights = [tensor(w).requires_grad_() for w in weights]
        self.means, self.squares = [tensor(a) for a in means], [tensor(a) for a in squares]
        self.steps = steps

    @property
    def width(self) -> int:
        """F, of the inputs."""
        return int(self.weights[0].shape[1])

    @property
    def hidden(self) -> int:
        """Units of the first layer."""
        return int(self.weights[0].shape[0])

    def logits(self, inputs: Array) -> Floats:
        """Return z of each candidate, (K, F) to (K,)."""
        import torch

        with _one_thread(), torch.no_grad():
            return np.asarray(self._forward(inputs).numpy(), np.float64)

    def _forward(self, inputs: Array) -> Any:
        import torch
        from torch.nn.functional import linear, relu

        first, a, last, b = self.weights
        x = torch.from_numpy(np.ascontiguousarray(inputs, np.float32))
        return linear(relu(linear(x, first, a)), last, b)[:, 0]

    @_one_thread()
    def step(
        self,
        batches: Iterable[tuple[Array, Callable[[Floats], Floats]]],
        *,
        lr: float,
        weight_decay: float,
        clip: float | None,
    ) -> float:
        """Take one step of AdamW and return the norm of the gradient before it was clipped.

        Args:
            batches: inputs (K, F), and what returns the loss's gradient (K,) with respect to their logits (K,).
            lr: of AdamW.
            weight_decay: of AdamW.
            clip: largest norm of the whole gradient; None: no limit.
        """
        import torch

        for w in self.weights:
            w.grad = torch.zeros_like(w)
        for inputs, gradient in batches:
            z = self._forward(inputs)
            slope = gradient(z.detach().numpy().astype(np.float64))
            z.backward(torch.from_numpy(slope.astype(np.float32)))
        norm = torch.nn.utils.clip_grad_norm_(self.weights, np.inf if clip is None else clip)
        optimiser = torch.optim.AdamW(self.weights, lr=lr, weight_decay=weight_decay)
        for w, mean, square in zip(self.weights, self.means, self.squares, strict=True):
            step = torch.tensor(float(self.steps))
            optimiser.state[w] = {"step": step, "exp_avg": mean, "exp_avg_sq": square}
        optimiser.step()  # moves weights, means and squares in place
        self.steps += 1
        return float(norm)

    def state_dict(self) -> dict[str, Any]:
        """Return weights, the optimiser's moments and its number of steps, as arrays and numbers."""
        parts = {"weight": self.weights, "mean": self.means, "square": self.squares}
        arrays = {
            f"{name} {i}": w.detach().numpy().copy() for name, ws in parts.items() for i, w in enumerate(ws)
        }
        return {**arrays, "steps": self.steps}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> PolicyNetwork:
        """Return the network that `state_dict` told."""
        made = cls.__new__(cls)
        weights, means, squares = (
            [state[f"{name} {i}"] for i in range(_LAYERS)] for name in ("weight", "mean", "square")
        )
        made._hold(weights, means, squares, int(state["steps"]))
        return made


def save_policy(
    path: str | Path, strategy_state: Mapping[str, Any], about: Mapping[str, Any] | None = None
) -> None:
    """Write the policy that an `RlMba` has learned to a safetensors file, for its field `policy`.

    The file holds the network, its optimiser's moments, the running moments of the state and the baselines; nothing of
    the samples. It does not depend on the number of classes, so it may go on with other data of as many modalities.

    Args:
        path: of the file; it is replaced as a whole.
        strategy_state: `state_dict()` of the strategy, or what the store of its campaign holds under "strategy".
        about: where it comes from, as JSON values: tasks, seeds, rewards.

    Raises:
        InputError: the strategy has not proposed yet, so there is no policy; or the file cannot be written.
    """
    from safetensors.numpy import save_file

    if "network" not in strategy_state:
        raise InputError("There is no policy to save yet: rl-mba makes one when it first proposes a batch.")
    network = dict(strategy_state["network"])
    steps = int(network.pop("steps"))
    held = {name: strategy_state[name] for name in _TAKEN}
    told = json.dumps({"format": FORMAT, "about": dict(about or {}), "steps": steps, **held})
    file = Path(path)
    try:
        handle, draft = tempfile.mkstemp(dir=file.parent, prefix=".policy-")
        os.close(handle)
        try:
            save_file({name: np.ascontiguousarray(a) for name, a in network.items()}, draft, metadata={"labelwise": told})  # fmt: skip
            Path(draft).replace(file)
        finally:
            Path(draft).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}.") from error


def load_policy(path: str | Path) -> dict[str, Any]:
    """Return the state that `save_policy` wrote, and "about"; nothing in the file is executed.

    Raises:
        InputError: there is no such file, or it holds no policy.
    """
    from safetensors import SafetensorError, safe_open

    file = Path(path)
    if not file.is_file():
        raise InputError(f"There is no policy {file}: save one with `save_policy`, or leave `policy` out.")
    try:
        with safe_open(file, framework="numpy") as opened:
            told = json.loads((opened.metadata() or {})["labelwise"])
            arrays = {name: opened.get_tensor(name) for name in _ARRAYS}
        if told["format"] != FORMAT:
            raise ValueError(f"its format is {told['format']!r}, not {FORMAT!r}")
        state = {name: told[name] for name in _TAKEN}
        state["network"] = {**arrays, "steps": told["steps"]}
        _check(state)
        return {**state, "about": told["about"]}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is no policy of rl-mba: {error}.") from error


def _check(state: Mapping[str, Any]) -> None:
    """Raise ValueError unless weights, moments and modalities fit together and are finite."""
    m = state["modalities"]
    if type(m) is not int or m < 1:
        raise ValueError(f"modalities is {m!r}")
    moments = Moments.from_dict(state["moments"])
    network = state["network"]
    hidden = len(network["weight 1"])
    shapes = [(hidden, inputs_of(m)), (hidden,), (1, hidden), (1,)]
    for name in ("weight", "mean", "square"):
        for i, shape in enumerate(shapes):
            array = network[f"{name} {i}"]
            if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError(f"{name} {i} must be {shape} finite float32 numbers")
            if name == "square" and (array < 0).any():
                raise ValueError(f"{name} {i} holds a negative number")
    if moments.mean.size != width_of(m):
        raise ValueError(f"its moments are of {moments.mean.size} features, not {width_of(m)}")
    for name in ("baseline", "modality baseline"):
        value = state[name]
        if value is not None and not (type(value) in (int, float) and np.isfinite(value)):
            raise ValueError(f"{name} is {value!r}")
    for name, number in (("updates", state["updates"]), ("steps", network["steps"])):
        if type(number) is not int or not 0 <= number < MOST:
            raise ValueError(f"{name} is {number!r}")
