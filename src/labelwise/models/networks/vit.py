"""Vision transformer in the layout of DeiT and DINO, so that a checkpoint of theirs fits name by name."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from labelwise.errors import InputError

PATCH = 16  # pixels a side of a patch, at most
GRID = 7  # patches a side that smaller images are cut into at least, where the patch is not given
HEAD = 64  # units of an attention head


def patch_for(side: int) -> int:
    """Return the patch of images whose smaller side has so many pixels: 16, or the largest of 8, 4, 2, 1 that cuts it
    into seven.
    """
    patch = PATCH
    while patch > 1 and side // patch < GRID:
        patch //= 2
    return patch


class Attention(nn.Module):
    """Every token looks at every token: softmax(q kᵀ / √(D / heads)) v in each head.

    Written out, not by a fused kernel: those sum gradients on GPUs in an order that changes from run to run.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, width = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(dim=-1)
        mixed: Tensor = self.proj((weights @ v).transpose(1, 2).reshape(b, n, width))
        return mixed


class Perceptron(nn.Module):
    """Two layers with GELU between them, for each token by itself."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class DropPath(nn.Module):
    """While training, leaves a whole branch out for each sample by lot, and lengthens it where it stays.

    Source:
        Huang, Sun, Liu, Sedra, Weinberger 2016, "Deep Networks with Stochastic Depth".
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return branch
        kept = torch.rand(len(branch), *[1] * (branch.ndim - 1), device=branch.device) >= self.share
        return branch * (kept / (1 - self.share)).to(branch.dtype)


class Layer(nn.Module):
    """Attention and perceptron, each behind a layer norm and beside a way round."""

    def __init__(self, width: int, heads: int, hidden: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Perceptron(width, hidden)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class Patches(nn.Module):
    """Cuts images into square patches, each one token: (b, channels, H, W) to (b, patches, D)."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.proj(x)
        return tokens.flatten(2).transpose(1, 2)


class Vit(nn.Module):
    """Vision transformer with a class token and learned positions; by default DeiT-Small.

    The embedding is the class token after the last norm. Widths of 192, 384 and 768 are DeiT-Tiny, -Small and -Base.

    Args:
        shape: (channels, height, width). Where the patch does not divide a side, the border is padded with zeros.
        n_classes: C.
        width: D, units of a token.
        dropout: share of the embedding dropped while training.
        depth: layers.
        heads: of the attention; None: one for each 64 units of the width.
        mlp_ratio: hidden units of a layer's perceptron, in widths.
        patch: pixels a side; None: 16, or the largest of 8, 4, 2 and 1 that cuts smaller images into seven a side.
        size: images are resized (bicubic) to so many pixels a side before they are cut; None: they are not. A checkpoint
            for 224 pixels needs it for smaller images.
        drop_path: share of samples for which the last layer is left out while training; it grows from 0 at the first.

    Raises:
        InputError: the heads do not divide the width, or a number is out of range.

    Source:
        Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words"; sizes and names of Touvron et al. 2021, "Training
        data-efficient image transformers" (DeiT), as in the public code of DINO.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        n_classes: int,
        *,
        width: int = 384,
        dropout: float = 0.0,
        depth: int = 12,
        heads: int | None = None,
        mlp_ratio: float = 4.0,
        patch: int | None = None,
        size: int | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        channels, height, breadth = shape
        if size is not None:
            self.register_buffer("_rows", _resizing(height, size), persistent=False)
            self.register_buffer("_columns", _resizing(breadth, size), persistent=False)
            height = breadth = size
        self.size = size
        self.patch = patch_for(min(height, breadth)) if patch is None else patch
        heads = max(1, width // HEAD) if heads is None else heads
        if min(self.patch, heads, depth) < 1 or width % heads:
            raise InputError(
                f"heads must divide the width, and patch, heads and depth be 1 or more; they are width {width}, heads "
                f"{heads}, patch {self.patch} and depth {depth}."
            )
        if not 0 <= drop_path < 1:
            raise InputError(f"drop_path must lie in [0, 1); it is {drop_path!r}.")
        self.grid = (-(-height // self.patch), -(-breadth // self.patch))
        self._border = (0, self.grid[1] * self.patch - breadth, 0, self.grid[0] * self.patch - height)
        self.patch_embed = Patches(channels, width, self.patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1] + 1, width))
        hidden = int(width * mlp_ratio)
        self.blocks = nn.Sequential(
            *(Layer(width, heads, hidden, drop_path * i / max(1, depth - 1)) for i in range(depth))
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, n_classes)
        for part in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(part, std=0.02)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.size is not None:
            x = self._rows @ x @ self._columns.T  # type: ignore[operator]
        if any(self._border):
            x = pad(x, self._border)
        tokens = self.patch_embed(x)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1) + self.pos_embed
        embedding = self.dropout(self.norm(self.blocks(tokens))[:, 0])
        return self.head(embedding), embedding


def _resizing(side: int, size: int) -> Tensor:
    """Return the matrix (size, side) of bicubic resizing along one axis.

    A product of matrices is the same function as `interpolate`, whose gradient is summed in changing order on GPUs.
    """
    columns = torch.eye(side)[None, None]
    return interpolate(columns, size=(size, side), mode="bicubic", antialias=True)[0, 0]


def resized_positions(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return learned positions for another grid of patches, interpolated (bicubic); the class token's stays.

    Args:
        positions: (1, 1 + k², D) of a square grid.
        grid: patches down and across.

    Raises:
        InputError: the positions are of no square grid.
    """
    own, places = positions[:, :1], positions[:, 1:]
    k = round(places.shape[1] ** 0.5)
    if k * k != places.shape[1]:
        raise InputError(
            f"Learned positions must be those of a class token and a square grid; there are {positions.shape[1]}."
        )
    if grid == (k, k):
        return positions
    maps = places.reshape(1, k, k, -1).permute(0, 3, 1, 2).float()
    maps = interpolate(maps, size=grid, mode="bicubic", antialias=False)
    return torch.cat([own, maps.flatten(2).transpose(1, 2).to(own.dtype)], dim=1)
