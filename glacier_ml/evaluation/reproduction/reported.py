"""What the report says: the numbers that can be read off its plots, and what it concluded.

"A Convolutional VS a simple Neural Networks for mapping Glaciers using Multispectral Remote Sensing Data"
(Diaz and Bazilova, 2020). Most of its results are curves and heat maps without numbers. Values below are read
off its plots; where a plot gives none, `None` stands and nothing is made up.
"""

from __future__ import annotations

from dataclasses import dataclass

STUDIES = {
    "figure_05": "tile size of the U-Net",
    "figure_06": "activation of the U-Net",
    "figure_07_learning_rate": "learning rate of the FFNN",
    "figure_07_penalty": "penalty of the FFNN",
    "figure_08": "activation of the FFNN",
    "figure_09": "hidden layers and nodes of the FFNN",
    "figure_10": "final U-Net with leaky ReLU",
    "figure_11": "final U-Net",
    "figure_13": "final FFNN",
    "wished_optimiser": "optimiser and learning rate of the U-Net",
    "wished_noise": "noise as augmentation",
    "wished_levels": "number of levels of the U-Net",
    "wished_head": "fully connected layers at the U-Net's end",
    "wished_threshold": "probability threshold",
}
"""What stands in the column `figure` of the trials; one experiment file each."""

FIGURES = {
    "figure_03": "The study area: where the scenes lie",
    "figure_04": "A tile and its eight images",
    "figure_05": "U-Net: accuracy by epoch for each tile size (Adam, ReLU, penalty 0)",
    "figure_06": "U-Net: accuracy by epoch for each activation (Adam, 288 px, penalty 0)",
    "figure_07": "FFNN: accuracy by epoch and learning rate, by epoch and penalty (SGD, ReLU, 1 x 120)",
    "figure_08": "FFNN: accuracy by epoch for each activation (SGD .3, 1 x 120)",
    "figure_09": "FFNN: accuracy by hidden layers and nodes (SGD .3, ReLU)",
    "figure_10": "Maps of the final U-Net with leaky ReLU",
    "figure_11": "Maps of the final U-Net, scenes with outlines",
    "figure_12": "Maps of the final U-Net, scenes without outlines",
    "figure_13": "Maps of the final FFNN, scenes with outlines",
    "figure_14": "Maps of the final FFNN, scenes without outlines",
}
"""The report's pictures, by number."""

MAP_STUDIES = {"figure_12": "figure_11", "figure_14": "figure_13"}
"""Pictures drawn by the network of another figure."""

THRESHOLD = 0.7
"""Probability from which the report's maps count as glacier."""


@dataclass(frozen=True)
class Reported:
    """One result of the report.

    Attributes
    ----------
    figure : str
        See `FIGURES`.
    value : object
        What was varied, as this project names it; a scene's name for maps.
    train, test : float or None
        Accuracy on its training and test sets; for maps, accuracy is in `test`.
    iou : float or None
        Of the glacier class, for maps alone.
    note : str
        What else the plot or the text says.
    """

    figure: str
    value: object
    train: float | None = None
    test: float | None = None
    iou: float | None = None
    note: str = ""


_COLOURS_ONLY = "no number: the plot is a heat map of colours"
REPORT_VALUES = (
    Reported("figure_05", 96, 0.99, 0.84),
    Reported("figure_05", 128, 0.99, 0.86),
    Reported("figure_05", 288, 1.0, 0.89, note="test peaks at .92, then falls slowly"),
    Reported("figure_05", 384, 0.965, 0.905),
    Reported("figure_06", "leaky_relu", 1.0, 0.885, note="test falls and rises again"),
    Reported("figure_06", "relu", 1.0, 0.85, note="the setting of figure 5's 288 px: .89 there"),
    Reported("figure_06", "tanh", 0.96, 0.84),
    Reported("figure_06", "sigmoid", 0.82, 0.80, note="flat"),
    Reported("figure_07", "learning rate", note=f"{_COLOURS_ONLY}; rises from .0009, best near .3"),
    Reported("figure_07", "penalty", note=f"{_COLOURS_ONLY}; rises as the penalty falls, a jump at 1e-6"),
    Reported("figure_08", "relu", 0.835, 0.845),
    Reported("figure_08", "tanh", 0.83, 0.84),
    Reported("figure_08", "sigmoid", 0.82, 0.81),
    Reported("figure_08", "linear", 0.797, 0.805, note="flat"),
    Reported("figure_09", "best of all", 0.858, 0.858, note="other cells: colours only; test 'shows noise'"),
    Reported("figure_10", "all scenes", note="no number; 'very bad solutions'"),
    Reported("figure_11", "columbia-2007", test=0.97, iou=0.84, note="it trained on this scene"),
    Reported("figure_11", "columbia-2009", test=0.99, iou=0.92, note="it trained on this scene"),
    Reported("figure_11", "patagonia-8", test=0.91, iou=0.80, note="it trained on this scene"),
    Reported("figure_12", "all scenes", note="no number: no outlines there"),
    Reported("figure_13", "columbia-2007", test=0.83, iou=0.0, note="it trained on this scene"),
    Reported("figure_13", "columbia-2009", test=0.86, iou=0.0, note="it trained on this scene"),
    Reported("figure_13", "patagonia-8", test=0.78, iou=0.48, note="it trained on this scene"),
    Reported("figure_14", "all scenes", note="no number: no outlines there"),
)

REPORT_TABLE_1 = (
    ("FFNN", "activation", "relu", "figure_08"),
    ("FFNN", "learning_rate", 0.3, "figure_07_learning_rate"),
    ("FFNN", "penalty", 0.0, "figure_07_penalty"),
    ("FFNN", "hidden_layers", 4, "figure_09"),
    ("FFNN", "nodes", 100, "figure_09"),
    ("FFNN", "epochs", 400, None),
    ("U-Net", "activation", "relu", "figure_06"),
    ("U-Net", "optimizer", "adam", "wished_optimiser"),
    ("U-Net", "penalty", 0.0, None),
    ("U-Net", "levels", 5, "wished_levels"),
    ("U-Net", "tile_size", 288, "figure_05"),
    ("U-Net", "epochs", 120, None),
)
"""Network, parameter, what the report chose, and the study that chose it (None: it tried one value)."""


def values_of(figure: str) -> dict[object, Reported]:
    """The report's results of one figure, by what was varied.

    >>> values_of("figure_05")[288].test
    0.89
    """
    return {one.value: one for one in REPORT_VALUES if one.figure == figure}


def shown(value: object) -> str:
    """A varied value as a reader writes it.

    >>> [shown(value) for value in (0.5843, 1e-10, 288, "leaky_relu", (4, 100), "figure_11")]
    ['0.5843', '1e-10', '288', 'leaky ReLU', '4 x 100', 'final U-Net']
    """
    words = STUDIES | {
        "relu": "ReLU",
        "leaky_relu": "leaky ReLU",
        "sgd": "SGD",
        "adam": "Adam",
        "adamw": "AdamW",
    }
    if isinstance(value, tuple):
        joint = ", " if any(isinstance(part, str) for part in value) else " x "
        return joint.join(shown(part) for part in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return words.get(str(value), str(value))
