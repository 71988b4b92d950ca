"""The same kernel on NumPy arrays and on torch tensors of any device, through the array API.

A kernel asks `points` for its input, `namespace` for the functions, `block` for some rows in a type to compute with,
and returns rows as NumPy arrays. Random numbers always come from NumPy, so that both kinds of array draw the same.
"""

from __future__ import annotations

from typing import Any

import array_api_compat
import array_api_compat.numpy
import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, check_shape
from labelwise.errors import InputError, ShapeError

BLOCK_BYTES = (
    16 * 2**20
)  # of float32 rows in work at a time; far below any memory, long enough for matrix products


def is_tensor(values: Any) -> bool:
    """Tell whether values are a torch tensor, without importing torch."""
    return not isinstance(values, np.ndarray) and bool(array_api_compat.is_torch_array(values))


def points(values: Any, name: str, width: int | None = None) -> Any:
    """Return values with shape (n, D): a torch tensor stays where it is, all else becomes a NumPy array uncopied.

    Args:
        values: (n, D) of any real type, memory maps welcome.
        name: how an error message calls it.
        width: the D that it must have; None for any.

    Raises:
        ShapeError: it has other axes, no column, or another width.
    """
    array = values.detach() if is_tensor(values) else as_array(values, name)
    check_shape(array, name, ("n", "D"), (None, width))
    if array.shape[1] == 0:
        raise ShapeError(f"{name} must have at least one column; it has shape {tuple(array.shape)}.")
    return array


def namespace(*arrays: Any) -> Any:
    """Return the functions of the arrays' library: those of NumPy or of torch, in the standard's spelling.

    Raises:
        InputError: some are NumPy arrays and some torch tensors, or tensors of several devices.
    """
    tensors = [a for a in arrays if is_tensor(a)]
    if tensors and (len(tensors) < len(arrays) or len({str(t.device) for t in tensors}) > 1):
        raise InputError("Give all arrays as NumPy arrays, or all as torch tensors of one device.")
    # asking array_api_compat takes longer than many a kernel
    return array_api_compat.array_namespace(*arrays) if tensors else array_api_compat.numpy


def kind_of(array: Any, xp: Any) -> Any:
    """Return the type to compute with: float32 for short floats, float64 for float64 and whole numbers."""
    size = array.dtype.itemsize
    short = xp.isdtype(array.dtype, "real floating") if is_tensor(array) else array.dtype.kind == "f"
    return xp.float32 if short and size <= 4 else xp.float64


def block(array: Any, rows: Any, xp: Any) -> Any:
    """Return some rows, a slice or (k,) row numbers in NumPy, contiguous and in the type to compute with."""
    if is_tensor(array):
        if not isinstance(rows, slice):
            rows = xp.asarray(rows, device=array.device)
        return array[rows].to(kind_of(array, xp)).contiguous()
    return np.ascontiguousarray(array[rows], dtype=kind_of(array, xp))


def rounding(array: Any) -> tuple[float, float]:
    """Return (half a last place at 1, the least normal number) of matrix products of the array's type.

    Torch may be told to multiply float32 with fewer digits; they are counted then.
    """
    kept = {4: 2.0**-24, 8: 2.0**-53}[array.dtype.itemsize]
    tiny = {4: 2.0**-126, 8: 2.0**-1022}[array.dtype.itemsize]
    if is_tensor(array) and array.dtype.itemsize == 4:
        import torch

        if torch.get_float32_matmul_precision() != "highest":
            kept = 2.0**-8
    return kept, tiny


def rows_per_block(width: int) -> int:
    """Return how many rows of `width` float32 numbers fill a block."""
    return max(1, BLOCK_BYTES // max(4, 4 * width))


def like(array: Any, values: NDArray[Any]) -> Any:
    """Return NumPy values as an array of the library and device of `array`."""
    if not is_tensor(array):
        return values
    return array_api_compat.array_namespace(array).asarray(values, device=array.device)


def to_numpy(array: Any) -> Array:
    """Return an array as NumPy, from whatever device."""
    return as_array(array, "array")


def placed(values: Any, device: str, *, doubles: bool = True) -> Any:
    """Return an array on a device: "cpu" leaves it to NumPy, any other name makes a torch tensor of it there.

    Args:
        values: a NumPy array or a tensor.
        device: "cpu", "cuda", "cuda:1", "mps"; "auto": CUDA or MPS where torch finds one, NumPy elsewhere.
        doubles: it will be computed with in float64, as most kernels do to settle near ties; MPS lacks it: "auto" then
            leaves it to NumPy there, as it does with arrays that are float64 themselves.

    Raises:
        InputError: torch knows no such device, it is not there, or it is MPS and has to take float64.
    """
    if device == "cpu":
        return values
    import torch

    doubles = doubles or str(values.dtype).endswith("float64")
    if device == "auto":
        mps = torch.backends.mps.is_available() and not doubles
        device = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
        if device == "cpu":
            return values
    if str(device).startswith("mps") and doubles:
        raise InputError(f'device {device!r} cannot be used: it has no float64. Use "cpu" or "auto".')
    try:
        array = values if is_tensor(values) else torch.from_numpy(np.array(values, copy=True))
        return array.to(torch.device(device))
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(f"device {device!r} cannot be used: {error}") from error
