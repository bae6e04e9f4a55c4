"""What a reader of the registry should know of a model: its data, its score, its limits, how to load it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.training import Metrics
from glacier_ml.scenes.catalog import LabelledScene
from glacier_ml.scenes.scene import SURFACE
from glacier_ml.studies.data import TrainingData
from glacier_ml.studies.tracking import CHAMPION
from glacier_ml.studies.tracking.datasets import scene_date

LIMITS = (
    "The score is of blocks inside the training scenes: it tells this model from others on the same data, "
    "not how another place, season or sensor will fare, which may be far worse. `glacier-ml compare` scores "
    "it on scenes that it never saw.",
    "The interval holds for these scenes; it is of one training, and another seed may lie outside.",
    "Ice melange, snow, shadow and debris are where such maps err most.",
)
KINDS = {"unet": "U-Net", "ffnn": "per-pixel feed-forward network"}


def model_name(network: str) -> str:
    """Name in the registry.

    >>> model_name("unet")
    'glacier-unet'
    """
    return f"glacier-{network}"


@dataclass(frozen=True)
class Candidate:
    """A trained, calibrated network and its scores on the scoring half of the validation blocks.

    Attributes
    ----------
    classifier : NetworkClassifier
    metrics : dict of str to float
        Means over scenes, as `score/iou`.
    run_id, source : str
        The run that trained it, and what it is: 'refit', 'trial 3' ...
    interval : tuple of float
        Bounds of the 95 % interval of the IoU, for these scenes; NaN where blocks are too few.
    """

    classifier: NetworkClassifier
    metrics: Metrics
    run_id: str
    source: str
    interval: tuple[float, float] = (math.nan, math.nan)

    @property
    def iou(self) -> float:
        """Mean over scenes of the glacier IoU."""
        return self.metrics["score/iou"]

    @property
    def told_iou(self) -> str:
        """The IoU with its interval in brackets, where there is one."""
        low, high = self.interval
        return f"{self.iou:.3f}" + (f" [{low:.3f}, {high:.3f}]" if math.isfinite(low + high) else "")


def model_summary(network: str) -> str:
    """Description of a registered model, whatever its version, in Markdown."""
    name = model_name(network)
    return (
        f"Probability of glacier in every pixel of a Landsat scene, by a {KINDS[network]}. Each version's "
        "page says what it was trained on, how good it is and where it fails. A newly registered version is "
        f"the `challenger`; `glacier-ml promote` makes it the `{CHAMPION}` where it is better beyond "
        "chance.\n\n"
        f"- Map scenes: `glacier-ml predict --data SCENES --model models:/{name}@{CHAMPION}`\n"
        f'- In Python: `mlflow.pyfunc.load_model("models:/{name}@{CHAMPION}").predict(reflectance)`\n'
        f"- Score on scenes never seen: `glacier-ml compare --data CATALOG`"
    )


def model_card(
    candidate: Candidate, network: str, data: TrainingData, version: str, run_page: str = ""
) -> str:
    """Description of a version, in Markdown: data, bands, score with its interval, limits, how to load it.

    `run_page` is where the run that trained it is among MLflow's pages.
    """
    parts = {
        "Score": _score(candidate, data),
        "Data": _data(data),
        "Bands": _bands(candidate.classifier, data),
        "Limits": "\n".join(f"- {limit}" for limit in LIMITS),
        "Load": _loading(model_name(network), version),
        "Origin": f"{candidate.source.capitalize()}; parameters, curves and maps: [its run]({run_page}).",
    }
    title = f"Glacier probability from Landsat reflectance, {KINDS[network]}."
    return "\n\n".join([title, *(f"### {name}\n{text}" for name, text in parts.items())])


def _score(candidate: Candidate, data: TrainingData) -> str:
    pixels = sum(int(data.split.scoring(one.scene.name).sum()) for one in data.scenes)
    others = ", ".join(
        f"{name} {candidate.metrics['score/' + name]:.3f}" for name in ("f1", "precision", "recall")
    )
    interval = ", 95 % interval from blocks of 64 px" if math.isfinite(sum(candidate.interval)) else ""
    return (
        f"**Glacier IoU {candidate.told_iou}**{interval}; {others} (means over scenes). On {pixels:,} pixels "
        "of validation blocks that neither training nor calibration saw."
    )


def _data(data: TrainingData) -> str:
    rows = ["| scene | place | date | pixels | glacier |", "|---|---|---|---|---|", *map(_row, data.scenes)]
    told = f"Dataset `{data.digest[:12]}`, split `{data.split.digest[:12]}` ({data.split.rule.protocol})."
    return "\n".join([*rows, "", told])


def _row(scene: LabelledScene) -> str:
    valid = scene.scene.valid
    share = 100 * int((scene.truth & valid).sum()) / max(int(valid.sum()), 1)
    cells = (scene.scene.name, scene.entry.place, scene_date(scene) or "not told", f"{int(valid.sum()):,}")
    return f"| {' | '.join(cells)} | {share:.0f} % |"


def _bands(classifier: NetworkClassifier, data: TrainingData) -> str:
    surface = data.scenes[0].scene.quantity == SURFACE
    kind = "surface reflectance (Level 2)" if surface else "top-of-atmosphere reflectance"
    bands = classifier.bands
    return (
        f"In: float32 (n, rows, columns, {len(bands)}) {kind}, bands {', '.join(bands)}; NaN is no data. "
        "Out: float32 (n, rows, columns) probability of glacier.\n"
        f"Glacier at or above {classifier.threshold:.2f}; temperature {classifier.temperature:.2f}."
    )


def _loading(name: str, version: str) -> str:
    return "\n".join(
        [
            "```python",
            f'model = mlflow.pyfunc.load_model("models:/{name}/{version}")  # or models:/{name}@{CHAMPION}',
            "probability = model.predict(reflectance)",
            "```",
            "```sh",
            f"glacier-ml predict --data SCENES --model models:/{name}/{version} --output maps",
            "```",
        ]
    )
