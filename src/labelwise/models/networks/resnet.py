"""ResNet-18 with a stem for small images and an adapter for grey ones."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

SMALL = 64  # images up to this side get a 3x3 stem without pooling


def _conv(into: int, out: int, size: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(into, out, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(out))


class Block(nn.Module):
    """Two 3x3 convolutions and the way round them."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = _conv(into, out, 3, stride)
        self.second = _conv(out, out, 3, 1)
        same = into == out and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else _conv(into, out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.second(relu(self.first(x))) + self.shortcut(x))


class ResNet18(nn.Module):
    """Residual network with 18 layers.

    Args:
        shape: (channels, height, width). Unless there are three channels, a 1x1 convolution makes three of
            them. Up to 64 pixels a side the stem is 3x3 with stride 1 and no pooling, above it the usual 7x7
            with stride 2 and a 3x3 maximum.
        n_classes: C.
        width: channels of the first stage; the last has eight times as many, which is the embedding's width.
        dropout: share of the embedding dropped while training.

    Source:
        He, Zhang, Ren, Sun 2015, "Deep Residual Learning for Image Recognition", table 1; stem and adapter as
        in the spec of BRAL-T, 2.6.
    """

    def __init__(
        self, shape: tuple[int, ...], n_classes: int, *, width: int = 64, dropout: float = 0.0
    ) -> None:
        super().__init__()
        channels, height, breadth = shape
        self.adapter: nn.Module = nn.Identity() if channels == 3 else nn.Conv2d(channels, 3, 1)
        small = max(height, breadth) <= SMALL
        stem = [*_conv(3, width, 3 if small else 7, 1 if small else 2), nn.ReLU(inplace=True)]
        self.stem = nn.Sequential(*stem, *([] if small else [nn.MaxPool2d(3, 2, padding=1)]))
        blocks, into = [], width
        for stage in range(4):
            out = width * 2**stage
            blocks += [Block(into, out, 1 if stage == 0 else 2), Block(out, out, 1)]
            into = out
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(into, n_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.blocks(self.stem(self.adapter(x)))
        embedding = self.dropout(maps.mean(dim=(2, 3)))
        return self.head(embedding), embedding
