"""Draw what a study found, as the report drew it, and map the scenes with the final networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glacier_ml.evaluation.reproduction.block_scores import TrialKey, sweep_thresholds
from glacier_ml.evaluation.reproduction.figures import CURVES, draw_curves, draw_heat_maps, save_small
from glacier_ml.evaluation.reproduction.maps import (
    MapPanel,
    draw_eight,
    draw_footprints,
    draw_maps,
    map_scores,
)
from glacier_ml.learning.calibration import calibrate
from glacier_ml.products.maps import staged
from glacier_ml.scenes.catalog import Catalog
from glacier_ml.scenes.index_pairing import index_paired
from glacier_ml.studies import tracking
from glacier_ml.studies.records import TrialRecord
from glacier_ml.studies.reproduction.plan import Work
from glacier_ml.studies.reproduction.results import Results

if TYPE_CHECKING:
    import pandas as pd

    from glacier_ml.learning.classifier import NetworkClassifier

HEAT_MAPS = ("figure_07", "figure_09")
# Maps of scenes with outlines, and of those without.
WITH_OUTLINES, WITHOUT = ("figure_10", "figure_11", "figure_13"), ("figure_12", "figure_14")
MAPS = (*WITH_OUTLINES, *WITHOUT)


def draw_scenes(catalog: Catalog, pictures: Sequence[str], folder: Path) -> None:
    """Draw what needs no study: where the scenes lie (figure 3), a tile's eight images (figure 4)."""
    with staged(folder) as beside:
        if "figure_03" in pictures:
            save_small(draw_footprints(catalog.entries), beside / "figure_03.png")
        if "figure_04" in pictures:
            first = catalog.of_role("train")[0].load()
            save_small(draw_eight(first.scene, first.truth), beside / "figure_04.png")


def draw_study(
    catalog: Catalog,
    work: Work,
    pictures: Sequence[str],
    records: Sequence[TrialRecord],
    results: Results,
    folder: Path,
    budget: str,
) -> None:
    """Draw the pictures that one study under one protocol gives, such as figure_05_report.png."""
    told = {"protocol": work.protocol, "budget": budget}
    drawn = {}
    for picture in pictures:
        if picture in CURVES:
            drawn[picture] = draw_curves(results.trials, picture, **told)
        elif picture in HEAT_MAPS:
            drawn[picture] = draw_heat_maps(results.trials, picture, **told)
    maps = [one for one in pictures if one in MAPS]
    if maps and (classifier := final_network(work, records)):
        panels = _panels(catalog, classifier, work.protocol)
        for picture in maps:
            shown = [one for one in panels if (one.truth is None) == (picture in WITHOUT)]
            if shown:
                drawn[picture] = draw_maps(shown, picture, **told)
                results.replace_maps(picture, work.protocol, map_scores(shown, picture, work.protocol))
    with staged(folder) as beside:
        for picture, figure in drawn.items():
            save_small(figure, beside / f"{picture}_{work.protocol}.png")


def final_network(work: Work, records: Sequence[TrialRecord]) -> NetworkClassifier | None:
    """Load the network of a study with one trial; None where that failed or is still to come.

    Threshold and temperature are fitted on validation data in the sound protocol. The report's recipe leaves
    no pixel that was not trained on to fit them to: its map is cut at the report's .7 and at even odds.
    """
    ended = [one for one in records if one.state == "complete"]
    classifier = tracking.run_classifier(ended[0].run_id) if ended else None
    if classifier is None or work.protocol == "report":
        return classifier
    return calibrate(classifier, work.data.scenes, work.data.split)


def _panels(catalog: Catalog, classifier: NetworkClassifier, protocol: str) -> list[MapPanel]:
    """Map every scene of the catalog, the held-out ones too: nothing is chosen from it."""
    panels = []
    for entry in catalog.entries:
        labelled = index_paired(entry.load()) if protocol == "report" else entry.load()
        truth = labelled.truth if labelled.mask is not None else None
        probability = classifier.probability(labelled.scene)
        trained, cut = entry.role == "train", "even odds" if protocol == "report" else "own"
        panels.append(MapPanel(labelled.scene, truth, probability, classifier.threshold, trained, cut))
    return panels


def threshold_trials(
    work: Work, records: Sequence[TrialRecord], seed: int
) -> tuple[pd.DataFrame, dict[TrialKey, Mapping[str, Any]]]:
    """Cut the validation map of a study's network at each threshold, as if each were a trial."""
    ended = [one for one in records if one.state == "complete"]
    classifier = tracking.run_classifier(ended[0].run_id) if ended else None
    shown = {scene.scene.name: work.data.split.validation(scene.scene.name) for scene in work.data.scenes}
    probabilities = {
        scene.scene.name: (scene.truth, classifier.probability(scene.scene, shown[scene.scene.name]), mask)
        for scene in work.data.scenes
        if classifier and (mask := shown[scene.scene.name]).any()
    }
    key = (work.study, work.protocol, seed)
    trials, blocks = sweep_thresholds(probabilities, work.experiment.thresholds, key)
    return trials.assign(state="complete", run_id=ended[0].run_id if ended else ""), blocks
