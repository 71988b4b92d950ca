"""Networks for video: images read frame by frame, and the factorised R(2+1)D-18."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu


class Frames(nn.Module):
    """A network of images that reads a video frame by frame; the embedding is the mean over time.

    The order of the frames is lost, and every frame counts alike.

    Args:
        network: answers (logits, embedding) and has a linear layer `head`; it is given away and loses its head.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        assert isinstance(network.head, nn.Linear)
        self.head: nn.Module = network.head
        network.head = nn.Identity()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (b, C) logits and (b, D) embeddings of videos (b, channels, frames, height, width)."""
        frames = x.transpose(1, 2)
        each = self.network(frames.flatten(0, 1))[1]
        # not (b, frames): draws of dropout repeat the rows inside the network
        embedding = each.unflatten(0, (-1, frames.shape[1])).mean(1)
        return self.head(embedding), embedding


def _between(into: int, out: int) -> int:
    """Return M of the paper, section 3.5: so many channels between the two give both the parameters of 3 x 3 x 3."""
    return (into * out * 27) // (into * 9 + 3 * out)


def _apart(into: int, between: int, out: int, stride: int) -> nn.Sequential:
    """Return a convolution over space and then one over time, batch norm after each."""
    space = nn.Conv3d(into, between, (1, 3, 3), (1, stride, stride), padding=(0, 1, 1), bias=False)
    time = nn.Conv3d(between, out, (3, 1, 1), (stride, 1, 1), padding=(1, 0, 0), bias=False)
    return nn.Sequential(space, nn.BatchNorm3d(between), nn.ReLU(inplace=True), time, nn.BatchNorm3d(out))


class Block(nn.Module):
    """Two factorised convolutions and the way round them."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        between = _between(into, out)
        self.first = _apart(into, between, out, stride)
        self.second = _apart(out, between, out, 1)
        self.shortcut: nn.Module = nn.Identity()
        if into != out or stride != 1:
            round_ = nn.Conv3d(into, out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(round_, nn.BatchNorm3d(out))

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.second(relu(self.first(x))) + self.shortcut(x))


class R2Plus1D18(nn.Module):
    """R(2+1)D-18: residual network with 18 layers whose convolutions are parted into space and time.

    From the second stage on both are halved at each stage; five frames become one.

    Args:
        shape: (channels, frames, height, width).
        n_classes: C.
        width: channels of the first stage; the last has eight times as many, which is the embedding's width.
        dropout: share of the embedding dropped while training.

    Source:
        Tran, Wang, Torresani, Ray, LeCun, Paluri 2018, "A Closer Look at Spatiotemporal Convolutions for Action
        Recognition"; the layers as in torchvision's `r2plus1d_18`, which BMMAL's public code takes: the second
        convolution of a block has as many channels between space and time as its first.
    """

    def __init__(
        self, shape: tuple[int, ...], n_classes: int, *, width: int = 64, dropout: float = 0.0
    ) -> None:
        super().__init__()
        between = max(1, 45 * width // 64)
        stem = nn.Conv3d(shape[0], between, (1, 7, 7), (1, 2, 2), padding=(0, 3, 3), bias=False)
        layers: list[nn.Module] = [
            *(stem, nn.BatchNorm3d(between), nn.ReLU(inplace=True)),
            nn.Conv3d(between, width, (3, 1, 1), padding=(1, 0, 0), bias=False),
            *(nn.BatchNorm3d(width), nn.ReLU(inplace=True)),
        ]
        into = width
        for stage in range(4):
            out = width * 2**stage
            layers += [Block(into, out, 1 if stage == 0 else 2), Block(out, out, 1)]
            into = out
        self.body = nn.Sequential(*layers)
        for layer in self.modules():
            if isinstance(layer, nn.Conv3d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(into, n_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.dropout(self.body(x).mean(dim=(2, 3, 4)))
        return self.head(embedding), embedding
