"""Compare the made scenes with real ones: picture, reflectances, and where gradient boosting errs.

    python -m benchmarks.made_scenes [--real FOLDER] [--picture FILE] [--seed N]

prints Markdown tables (docs/made_scenes.md holds them) and draws the picture. FOLDER holds a catalog
of real scenes with outlines. It describes and times nothing: no table of ratios.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import CatalogEntry, LabelledScene, open_catalog
from glacier_ml.scenes.made.ground import GROUND_CLASSES
from glacier_ml.scenes.made.synthetic import embedded_catalog
from glacier_ml.scenes.scene import Scene

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BANDS = ("blue", "green", "red", "nir", "swir1")
CONFUSING = ("melange", "debris", "shadow", "snow")
CLASS_COLOURS = (
    "#9a8a70", "#3a8a3a", "#102060", "#60e0e0", "#ffffff",
    "#5aa0ff", "#c0d8ff", "#8a4020", "#404080", "#202020",
)  # fmt: skip
# Reflectance drawn as full brightness, one for all scenes so that they can be compared.
BRIGHTEST = {"swir1": 0.35, "nir": 0.70, "red": 0.60}


def quantile_rows(scenes: Sequence[LabelledScene], title: str) -> Iterator[str]:
    """One table row for the glacier, one for the rest and one for each ground class."""
    pixels = np.concatenate([labelled.scene.stack(BANDS)[labelled.scene.valid] for labelled in scenes])
    glacier = np.concatenate([_of_valid(labelled, labelled.mask) for labelled in scenes]).astype(bool)
    yield _row(f"**{title}: glacier**", pixels, glacier)
    yield _row(f"**{title}: other**", pixels, ~glacier)
    if scenes[0].ground is not None:
        ground = np.concatenate([_of_valid(labelled, labelled.ground) for labelled in scenes])
        for number, name in GROUND_CLASSES.items():
            yield _row(name, pixels, ground == number)


def _row(name: str, pixels: NDArray[np.float32], chosen: NDArray[np.bool_]) -> str:
    if not chosen.any():
        return f"| {name} | 0 |" + " |" * len(BANDS)
    cells = np.quantile(pixels[chosen], [0.05, 0.5, 0.95], axis=0).T
    texts = [" ".join(f"{value:.3f}".lstrip("0") for value in cell) for cell in cells]
    return f"| {name} | {100 * chosen.mean():.1f} | {' | '.join(texts)} |"


def print_quantiles(made: Sequence[LabelledScene], real: Sequence[LabelledScene]) -> None:
    """Print the 5, 50 and 95 % quantiles of reflectance."""
    print(f"| pixels | % | {' | '.join(BANDS)} |\n|{'---|' * (len(BANDS) + 2)}")
    for region in sorted({labelled.entry.region for labelled in made}):
        group = [labelled for labelled in made if labelled.entry.region == region]
        print(*quantile_rows(group, region), sep="\n")
    for labelled in real:
        print(*quantile_rows([labelled], f"real {labelled.scene.name}"), sep="\n")


def glacier_iou(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Intersection over union of the glacier class."""
    return float((predicted & truth).sum() / max((predicted | truth).sum(), 1))


def print_boosting(train: Sequence[LabelledScene], test: Sequence[LabelledScene]) -> None:
    """Print gradient boosting's IoU on the test scenes at its best threshold, and where it errs."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    bands = tuple(train[0].scene.bands)
    rng = np.random.default_rng(0)
    parts = [_pixels(labelled, bands) for labelled in train]
    picks = [rng.choice(len(truth), min(40_000, len(truth)), replace=False) for _, truth, _ in parts]
    values = np.concatenate([part[0][pick] for part, pick in zip(parts, picks, strict=True)])
    truths = np.concatenate([part[1][pick] for part, pick in zip(parts, picks, strict=True)])
    booster = HistGradientBoostingClassifier(random_state=0).fit(values, truths)
    held_out = {labelled.scene.name: [_pixels(labelled, bands)] for labelled in test}
    held_out["all"] = [pixels for [pixels] in held_out.values()]
    print("| held out | best IoU | melange, debris, shadow, snow | error pixels by ground class |")
    print("|---|---|---|---|")
    for name, parts_of in held_out.items():
        features, truth, ground = (np.concatenate(arrays) for arrays in zip(*parts_of, strict=True))
        print(f"| {name} | {_verdict(booster.predict_proba(features)[:, 1], truth, ground)} |")


def _verdict(probability: NDArray[np.float64], truth: NDArray[np.bool_], ground: NDArray[np.uint8]) -> str:
    """IoU at the threshold that is best for these very pixels, and the ground classes of the errors."""
    iou, threshold = max((glacier_iou(probability > t, truth), t) for t in np.arange(0.05, 0.96, 0.05))
    wrong = ground[(probability > threshold) != truth]
    shares = {label: 100 * float((wrong == number).mean()) for number, label in GROUND_CLASSES.items()}
    confusing = sum(share for label, share in shares.items() if any(word in label for word in CONFUSING))
    listed = ", ".join(f"{label} {share:.0f} %" for label, share in shares.items() if share >= 0.5)
    return f"{iou:.3f} (at {threshold:.2f}) | {confusing:.0f} % | {listed}"


def _pixels(
    labelled: LabelledScene, bands: tuple[str, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.uint8]]:
    """Bands, truth and ground class of the valid pixels."""
    truth = _of_valid(labelled, labelled.mask).astype(bool)
    return labelled.scene.stack(bands)[labelled.scene.valid], truth, _of_valid(labelled, labelled.ground)


def _of_valid(labelled: LabelledScene, raster: NDArray[Any] | None) -> NDArray[Any]:
    """Values of the truth or of the ground classes where the scene is valid."""
    if raster is None:
        raise GlacierError(f"{labelled.scene.name}: has no outlines or no ground classes; leave it out")
    return raster[labelled.scene.valid]


def draw(made: Sequence[LabelledScene], real: Sequence[LabelledScene], picture: Path) -> None:
    """Draw the made scenes over their ground classes, and the real scenes, where there are any, below."""
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    columns = max(len(made), len(real))
    rows = 3 if real else 2
    figure = Figure(figsize=(2.6 * columns, 3.1 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    classes = ListedColormap(CLASS_COLOURS)
    for column, labelled in enumerate(made):
        _show(axes[0, column], labelled)
        axes[1, column].imshow(labelled.ground, cmap=classes, vmin=-0.5, vmax=9.5, interpolation="nearest")
    for column, labelled in enumerate(real):
        _show(axes[2, column], labelled)
    for axis in axes.flat:
        axis.set_axis_off()
    handles = [
        _patch(colour, name) for colour, name in zip(CLASS_COLOURS, GROUND_CLASSES.values(), strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8)
    _save(figure, picture)


def _save(figure: Figure, picture: Path) -> None:
    """Save in 128 colours: a third of the bytes, and no eye sees it."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=75, format="png")
    Image.open(buffer).convert("RGB").quantize(128).save(picture, optimize=True)


def _patch(colour: str, label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, edgecolor="black", label=label)


def _show(axis: Any, labelled: LabelledScene) -> None:
    axis.imshow(false_colour(labelled.scene), interpolation="antialiased")
    if labelled.mask is not None and labelled.mask.any():
        axis.contour(labelled.mask, [0.5], colors="yellow", linewidths=0.5)
    axis.set_title(f"{labelled.scene.name} ({labelled.entry.role})", fontsize=8)


def false_colour(scene: Scene) -> NDArray[np.float32]:
    """SWIR1, NIR, red on one scale for all scenes, 0 to 1."""
    return np.clip(scene.stack(tuple(BRIGHTEST)) / np.array(list(BRIGHTEST.values())), 0, 1)


def _loaded(entries: Iterable[CatalogEntry]) -> list[LabelledScene]:
    return [entry.load() for entry in entries]


def main() -> None:
    """Read the arguments, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", help="folder or catalog of real scenes")
    parser.add_argument("--picture", type=Path, default=Path("docs/made_scenes.png"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    catalog = open_catalog(embedded_catalog(arguments.seed))
    train, test = _loaded(catalog.of_role("train")), _loaded(catalog.of_role("test"))
    real = _loaded(open_catalog(arguments.real).of_role("train", "test")) if arguments.real else []
    print_quantiles([*train, *test], real)
    print()
    print_boosting(train, test)
    draw([*train, *test], real, arguments.picture)


if __name__ == "__main__":
    main()
