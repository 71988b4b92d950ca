"""A fully connected network for tables, precomputed features and small images."""

from __future__ import annotations

from math import prod

from torch import Tensor, nn


class Mlp(nn.Module):
    """Two hidden layers with ReLU; images are flattened.

    There is no batch norm at the input: a column that is constant in a small labelled set would be divided
    by almost nothing and explode on the first pool sample that differs. Inputs arrive standardised instead.

    Args:
        shape: of one sample; any number of axes.
        n_classes: C.
        width: units of each hidden layer; the second is the embedding.
        dropout: share of the units dropped while training.
    """

    def __init__(
        self, shape: tuple[int, ...], n_classes: int, *, width: int = 512, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(prod(shape), width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(width, n_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.body(x)
        return self.head(embedding), embedding
