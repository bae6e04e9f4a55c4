"""The report's conclusions, each as values that were chosen against the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Claim:
    """One conclusion of the report.

    Attributes
    ----------
    name : str
        In a reader's words.
    studies : tuple of str
        One study; several where their networks are compared with each other.
    columns : tuple of str
        What was searched; none where studies are compared.
    reported : str
        What the report says, with its numbers.
    chosen : callable
        All values to those that the conclusion names; what is left are the rivals.
    """

    name: str
    studies: tuple[str, ...]
    columns: tuple[str, ...]
    reported: str
    chosen: Callable[[list[Any]], list[Any]]


def _only(*wanted: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [value for value in values if value in wanted]


def _larger_half(values: list[Any]) -> list[Any]:
    return sorted(values)[-(len(values) // 2) :] if len(values) > 1 else values


def around(rate: float) -> Callable[[list[Any]], list[Any]]:
    """Choose the values next to `rate`, below and above, or the value itself.

    >>> around(0.3)([0.0681, 0.1995, 0.5843, 1.7113])
    [0.1995, 0.5843]
    """

    def choose(values: list[Any]) -> list[Any]:
        if any(np.isclose(value, rate) for value in values):
            return [value for value in values if np.isclose(value, rate)]
        below, above = [one for one in values if one < rate], [one for one in values if one > rate]
        return ([max(below)] if below else []) + ([min(above)] if above else [])

    return choose


CLAIMS = (
    Claim(
        "larger tiles are better",
        ("figure_05",),
        ("tile_size",),
        "test accuracy .84, .86 at 96, 128 px; .89, .905 at 288, 384 px",
        _larger_half,
    ),
    Claim(
        "tiles of 288 px", ("figure_05",), ("tile_size",), "chosen at .89; 384 px .905, but slow", _only(288)
    ),
    Claim(
        "ReLU for the U-Net",
        ("figure_06",),
        ("activation",),
        "chosen at .85: leaky ReLU unstable",
        _only("relu"),
    ),
    Claim(
        "leaky ReLU scores highest in the U-Net",
        ("figure_06",),
        ("activation",),
        "test accuracy .885; ReLU .85, tanh .84, sigmoid .80",
        _only("leaky_relu"),
    ),
    Claim(
        "ReLU for the FFNN",
        ("figure_08",),
        ("activation",),
        "test accuracy .845; tanh .84, sigmoid .81, linear .805",
        _only("relu"),
    ),
    Claim(
        "learning rate about 0.3",
        ("figure_07_learning_rate",),
        ("learning_rate",),
        "peak near 0.3; no number",
        around(0.3),
    ),
    Claim(
        "penalty zero",
        ("figure_07_penalty",),
        ("penalty",),
        "rises as the penalty falls; no number",
        lambda values: [min(values)] if values else [],
    ),
    Claim(
        "4 layers of 100 nodes",
        ("figure_09",),
        ("hidden_layers", "nodes"),
        "test accuracy .858 at best",
        _only((4, 100)),
    ),
    Claim(
        "U-Net over FFNN",
        ("figure_11", "figure_13"),
        (),
        "maps: accuracy .97, .99, .91 against .83, .86, .78; IoU .84, .92, .80 against 0, 0, .48",
        _only("figure_11"),
    ),
    Claim(
        "ReLU over leaky ReLU in the final U-Net",
        ("figure_11", "figure_10"),
        (),
        "leaky ReLU: 'very bad solutions'; no number",
        _only("figure_11"),
    ),
)
