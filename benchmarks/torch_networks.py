"""The two networks and their training step in PyTorch, as its users would write them: the peers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CLIP_NORM, WEIGHT_DECAY, MOMENTUM, EPSILON = 1.0, 1e-4, 0.03, 1e-3  # ours; Keras's momentum is 1 - PyTorch's


class Normalised(nn.Module):
    """A network behind a fixed normalisation of its features, along axis 1."""

    def __init__(self, network: nn.Module, features: int, rank: int) -> None:
        super().__init__()
        shape = (1, features, *[1] * (rank - 2))
        self.network = network
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))

    def forward(self, values: Tensor) -> Tensor:
        """(pixels, features) or (tiles, features, rows, columns) -> logits, without the axis of features."""
        return self.network((values - self.mean) / self.deviation)[:, 0]


class Unet(nn.Module):
    """The U-Net of `glacier_ml.learning.networks`: batch normalisation, ReLU, two convolutions a level."""

    def __init__(self, features: int, widths: Sequence[int]) -> None:
        super().__init__()
        before = [features, *widths[:-1]]
        pairs = [(widths[level + 1], width) for level, width in enumerate(widths[:-1])][::-1]
        self.down = nn.ModuleList(
            _convolutions(below, width) for below, width in zip(before, widths, strict=True)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(below, width, 2, 2) for below, width in pairs)
        self.merge = nn.ModuleList(_convolutions(2 * width, width) for _, width in pairs)
        self.logit = nn.Conv2d(widths[0], 1, 1)

    def forward(self, values: Tensor) -> Tensor:
        """(tiles, features, rows, columns) -> (tiles, 1, rows, columns)."""
        skips = []
        for level, block in enumerate(self.down):
            values = block(functional.max_pool2d(values, 2) if level else values)
            skips.append(values)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            values = merge(torch.cat([up(values), skip], dim=1))
        return self.logit(values)


def _convolutions(below: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (below, width):
        normalised = nn.BatchNorm2d(width, momentum=MOMENTUM, eps=EPSILON)
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), normalised, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def unet(features: int, widths: Sequence[int]) -> Normalised:
    """Build the U-Net with as many filters a level."""
    return Normalised(Unet(features, widths), features, rank=4)


def ffnn(features: int, nodes: int, hidden_layers: int) -> Normalised:
    """Build the per-pixel network."""
    widths = [features, *[nodes] * hidden_layers]
    layers: list[nn.Module] = []
    for below, width in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(below, width), nn.ReLU(inplace=True)]
    return Normalised(nn.Sequential(*layers, nn.Linear(widths[-1], 1)), features, rank=2)


class TrainingStep:
    """A step of AdamW on cross-entropy and `dice` times Dice, by pixel weight, with a clipped gradient."""

    def __init__(self, network: nn.Module, rate: float, dice: float = 0.0) -> None:
        self.network, self.dice = network, dice
        # Fused is quicker by up to a tenth; to compile the network, besides, gains nothing in training.
        self.optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=WEIGHT_DECAY, fused=True)

    def __call__(self, features: Tensor, label: Tensor, weight: Tensor) -> Any:
        """Take it; gives the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        logit = self.network(features)
        entropy = functional.binary_cross_entropy_with_logits(logit, label, weight=weight, reduction="sum")
        loss = entropy / weight.sum()
        if self.dice:
            probability = torch.sigmoid(logit)
            overlap, size = (weight * label * probability).sum(), (weight * (label + probability)).sum()
            loss = loss + self.dice * (1 - (2 * overlap + 1) / (size + 1))
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP_NORM)
        self.optimizer.step()
        return loss.detach()
