"""Arrays on devices: what is placed where, and what is said where a device is missing or too short."""

import numpy as np
import pytest
import torch

from labelwise.errors import InputError
from labelwise.functional.backend import placed


def test_cpu_leaves_arrays_alone():
    x = np.ones((2, 3), np.float16)
    assert placed(x, "cpu") is x


@pytest.mark.parametrize("device", ["nowhere", "cuda:99", 3.5])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(InputError, match=f"device {device!r} cannot be used"):
        placed(np.ones(3, np.float32), device)


def test_mps_never_gets_doubles(monkeypatch):
    with pytest.raises(InputError, match="it has no float64"):
        placed(np.ones(3), "mps")
    with pytest.raises(InputError, match="it has no float64"):
        placed(torch.ones(3), "mps:0", doubles=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for values, doubles in (
        (np.ones(3), False),
        (torch.ones(3).double(), False),
        (np.ones(3, np.float32), True),
    ):
        assert placed(values, "auto", doubles=doubles) is values


def test_auto_takes_mps_for_floats(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    asked = []
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: asked.append(str(device)))
    placed(np.ones(3, np.float32), "auto", doubles=False)
    assert asked == ["mps"]
