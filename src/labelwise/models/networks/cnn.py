"""Small convolutional networks for images from 1 x 1 to some hundred pixels a side."""

from __future__ import annotations

from torch import Tensor, nn

LARGE = 64  # images of this side or more get a third block and a wider layer
MOST = 8  # cells a side that enter the fully connected layer at most


class Cnn(nn.Module):
    """Blocks of conv3x3, batch norm, ReLU and 2x2 maximum, then one fully connected layer and the head.

    Two blocks (32, 64 channels) and 128 units for images under 64 pixels a side, three (32, 64, 128) and 256
    units from there on. What is left larger than 8 x 8 is averaged down, so that the layer stays small for
    large images.

    Args:
        shape: (channels, height, width).
        n_classes: C.
        width: channels of the first block; everything else grows with it.
        dropout: share of the embedding dropped while training.

    Source:
        Spec of system C, 3.4. The maximum is taken before the ReLU: the same function (ReLU is monotone),
        with a quarter of the work.
    """

    def __init__(
        self, shape: tuple[int, ...], n_classes: int, *, width: int = 32, dropout: float = 0.0
    ) -> None:
        super().__init__()
        channels, height, breadth = shape
        blocks, units = (3, 8 * width) if max(height, breadth) >= LARGE else (2, 4 * width)
        layers: list[nn.Module] = []
        for block in range(blocks):
            out = width * 2**block
            window = (min(2, height), min(2, breadth))  # a side of one pixel cannot be halved
            layers += [
                nn.Conv2d(channels, out, 3, padding=1, bias=False),
                nn.BatchNorm2d(out),
                nn.MaxPool2d(window),
                nn.ReLU(inplace=True),
            ]
            channels, height, breadth = out, height // window[0], breadth // window[1]
        cells = (-(-height // MOST), -(-breadth // MOST))
        if cells != (1, 1):
            layers.append(nn.AvgPool2d(cells, ceil_mode=True))
            height, breadth = -(-height // cells[0]), -(-breadth // cells[1])
        self.blocks = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * height * breadth, units, bias=False),
            nn.BatchNorm1d(units),
            nn.ReLU(inplace=True),
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(units, n_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.dropout(self.dense(self.blocks(x)))
        return self.head(embedding), embedding


class StridedCnn(nn.Module):
    """Two convolutions with stride 2, batch norm and ReLU, then one fully connected layer and the head.

    Made for many runs on few cores: there are no maxima, and after the first convolution a quarter of the places that
    `Cnn` has. Images of 64 pixels a side or more pass a third such block. What is left larger than 8 x 8 is averaged
    down.

    Args:
        shape: (channels, height, width).
        n_classes: C.
        width: channels of the first block; later ones double it, and the embedding is four times as wide.
        dropout: share of the embedding dropped while training.
    """

    def __init__(
        self, shape: tuple[int, ...], n_classes: int, *, width: int = 16, dropout: float = 0.0
    ) -> None:
        super().__init__()
        channels, height, breadth = shape
        layers: list[nn.Module] = []
        for block in range(3 if max(height, breadth) >= LARGE else 2):
            out, size = width * 2**block, 5 if block == 0 else 3
            layers += [
                nn.Conv2d(channels, out, size, stride=2, padding=size // 2, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(inplace=True),
            ]
            channels, height, breadth = out, -(-height // 2), -(-breadth // 2)
        self.blocks = nn.Sequential(*layers, nn.AdaptiveAvgPool2d((min(height, MOST), min(breadth, MOST))))
        cells = min(height, MOST) * min(breadth, MOST)
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * cells, 4 * width, bias=False),
            nn.BatchNorm1d(4 * width),
            nn.ReLU(inplace=True),
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4 * width, n_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.dropout(self.dense(self.blocks(x)))
        return self.head(embedding), embedding
