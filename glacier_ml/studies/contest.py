"""Champions and baselines on the held-out scenes: scores, differences, curves, maps and the page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation import figures
from glacier_ml.evaluation.comparison import (
    ALL,
    Comparison,
    classify_scenes,
    compare_maps,
    earlier_outlines,
)
from glacier_ml.evaluation.importance import count_maps, permutation_importance
from glacier_ml.evaluation.inside_figures import draw_importance, draw_inside
from glacier_ml.evaluation.report.page import Insight, Repeat, write_report
from glacier_ml.evaluation.report.verdict import shown_name
from glacier_ml.evaluation.score_tables import subsets_of
from glacier_ml.evaluation.scores import SCORES
from glacier_ml.learning.baselines import fit_baselines
from glacier_ml.learning.classifier import Classifier, NetworkClassifier
from glacier_ml.learning.parameters import UnetParameters
from glacier_ml.learning.splits import Split
from glacier_ml.products.maps import check_folder, file_stem, staged
from glacier_ml.scenes.catalog import Catalog, LabelledScene, dataset_digest, open_catalog
from glacier_ml.scenes.inspection.report import inspect_catalog
from glacier_ml.studies import tracking
from glacier_ml.studies.data import load_scenes
from glacier_ml.studies.progress import tell_steps
from glacier_ml.studies.promotion import NETWORKS
from glacier_ml.studies.registration import model_name
from glacier_ml.studies.seeds import champion_split, teams
from glacier_ml.studies.tracking import CHAMPION

if TYPE_CHECKING:
    import pandas as pd

PRINTED = ("iou", "f1", "accuracy")
SHUFFLES = 2  # of each feature (typical value, chosen here): of so many pixels they hardly differ
TABLED = (*PRINTED, "precision", "recall", "boundary_f1_1px", "area_error_percent", "ece")


@dataclass(frozen=True)
class Contest:
    """What `compare_champions` found.

    Attributes
    ----------
    comparison : Comparison
        Maps, scores, differences and curves.
    insight : Insight
        What looking inside the champions gave.
    repeat : Repeat
        What it takes to get it again.
    notes : list of str
        What must be said of it, such as why a network was trained from one seed alone.
    output : Path
        Folder of the tables, maps and the page.
    """

    comparison: Comparison
    insight: Insight
    repeat: Repeat
    notes: list[str]
    output: Path


def open_contest(data: str | None, output: str | Path) -> Catalog:
    """Open the catalog to compare on, and check before any work that it serves and the output can be written.

    Raises
    ------
    GlacierError
        Where no scene has the role test, none the role train, or the folder cannot be written.
    """
    catalog = open_catalog(data)
    if not catalog.of_role("test"):
        raise GlacierError(
            f"{catalog.source}: no scene has the role test; compare wants one that nothing was trained on: "
            "name it in a catalog.yaml with its outlines and role: test (see experiments/catalogs)"
        )
    if not catalog.of_role("train"):
        raise GlacierError(
            f"{catalog.source}: no scene has the role train; compare fits its baselines to such scenes: "
            "name one in the catalog"
        )
    check_folder(Path(output))
    return catalog


def compare_champions(
    networks: Sequence[NetworkClassifier], catalog: Catalog, output: str | Path, seeds: int = 1
) -> Contest:
    """Score champions, their twins and baselines on the held-out scenes; write and log all there is to see.

    Parameters
    ----------
    networks : sequence of NetworkClassifier
        The champions.
    catalog : Catalog
        With scenes of the roles train and test.
    output : str or Path
        Folder for tables, maps and the page.
    seeds : int
        Trainings of each network, the champion among them (see `seeds.twins`).

    Raises
    ------
    GlacierError
        Where a champion was trained on a held-out scene.
    """
    held_out = load_scenes(catalog, "test")
    check_unseen(networks, held_out)
    training = load_scenes(catalog, "train")
    tracking.log_scenes(training, "training", catalog.source)
    tracking.log_scenes(held_out, "test", catalog.source)
    found, notes = teams(networks, catalog, training, seeds)
    # The networks' own split: the baselines learn from the very pixels that the networks did.
    split = champion_split(networks[-1], training)
    baselines = fit_baselines(list(training), split, seed=0)
    contestants: list[Sequence[Classifier]] = [*found, *([one] for one in baselines)]
    comparison = _compare(contestants, held_out, earlier_outlines(catalog.of_role("train"), held_out))
    repeat = _repeat(networks, catalog, output, seeds, comparison, dataset_digest([*training, *held_out]))
    insight = look_inside([team[0] for team in found], held_out)
    notes += [*other_pixels(networks, split), *places_again(comparison, training)]
    contest = Contest(comparison, insight, repeat, notes, Path(output))
    for name in _write(contest, catalog):
        tracking.log_files(contest.output / name, "comparison")
    tracking.log_metrics(_metrics(comparison))
    return contest


def other_pixels(networks: Sequence[NetworkClassifier], split: Split) -> list[str]:
    """Sentences on networks that learned from other pixels than those of the split, that of the baselines."""
    return [
        f"The {shown_name(one.name)} was trained on other scenes or by another split than the baselines: "
        "what sets them apart may be that."
        for one in networks
        if one.origin["splits"][0]["digest"] != split.digest
    ]


def places_again(comparison: Comparison, training: Sequence[LabelledScene]) -> list[str]:
    """Sentences on held-out scenes of a place that was trained on, where no earlier outline tells so."""
    notes = []
    for one in (maps for maps in comparison.maps if maps.earlier is None):
        place = one.labelled.entry.place
        same = [other.scene.name for other in training if place and other.entry.place == place]
        if same:
            notes.append(
                f"{one.name}: its place was trained on, in {', '.join(same)}. It tests the date and never "
                "the place. There is no outline from before on its grid that could be left unchanged."
            )
    return notes


def _repeat(
    networks: Sequence[NetworkClassifier],
    catalog: Catalog,
    output: str | Path,
    seeds: int,
    comparison: Comparison,
    digest: str,
) -> Repeat:
    """What it takes to get the comparison again."""
    words = ("glacier-ml", "compare", "--data", catalog.source, "--output", output, "--seeds", seeds)
    versions = tracking.environment_tags()
    return Repeat(
        commands=[shlex.join(map(str, words))],
        commit=versions.pop("git_commit", ""),
        dataset_digest=digest,
        seeds=comparison.seeds,
        models={one.name: _told(one) for one in networks},
        versions=versions,
    )


def _compare(
    contestants: Sequence[Sequence[Classifier]], held_out: Sequence[LabelledScene], earlier: dict
) -> Comparison:
    with tell_steps("mapping", len(held_out) * sum(map(len, contestants))) as tell:
        maps = classify_scenes(contestants, held_out, earlier, tell)
    with tell_steps("scoring", sum(len(subsets_of(one)) for one in maps)) as tell:
        return compare_maps(maps, tell=tell)


def look_inside(networks: Sequence[NetworkClassifier], held_out: Sequence[LabelledScene]) -> Insight:
    """Say which features the networks' maps rest on, and show what a U-Net's convolutions answer to a tile.

    Parameters
    ----------
    networks : sequence of NetworkClassifier
        The champions.
    held_out : sequence of LabelledScene
        Scenes on which features are shuffled; the tile is of the first one.
    """
    with tell_steps("shuffling features", count_maps(networks, len(held_out), SHUFFLES)) as tell:
        importance = permutation_importance(networks, held_out, SHUFFLES, tell=lambda: tell("maps"))
    where = held_out[0].scene.name
    return Insight(
        importance,
        {
            f"{shown_name(one.name)} on a tile of {where}": draw_inside(one, held_out[0])
            for one in networks
            if isinstance(one.parameters, UnetParameters)
        },
    )


def _told(network: NetworkClassifier) -> str:
    """Registered name and version, and how the network came about."""
    version = tracking.model_version(model_name(network.name), CHAMPION)
    origin = network.origin
    return (
        f"{model_name(network.name)} version {version} ({origin.get('source')}, run {origin.get('run_id')})"
    )


def _metrics(comparison: Comparison) -> dict[str, float]:
    """Glacier IoU by scene and classifier."""
    rows = comparison.scores
    rows = rows[(rows.subset == ALL) & (rows.score == "iou") & rows.value.notna()]
    return {f"iou/{row.scene}/{row.classifier}".replace("+", "and"): row.value for row in rows.itertuples()}


def check_unseen(networks: Sequence[NetworkClassifier], held_out: Sequence[LabelledScene]) -> None:
    """Refuse to score a network on a scene that it, or the model it goes on from, was trained on."""
    for network in networks:
        parts = [part for split in network.origin["splits"] for part in split["scenes"].values()]
        seen = {part["digest"] for part in parts}
        for scene in held_out:
            if scene.scene.digest in seen:
                raise GlacierError(
                    f"{scene.entry.name}: the champion {network.name} was trained on this very scene; "
                    "give it the role train, or tune the network on a catalog where its role is test"
                )


def champions() -> list[NetworkClassifier]:
    """Load the champions that there are, FFNN and U-Net; GlacierError where there is none."""
    found = []
    for network in NETWORKS:
        if tracking.model_version(model_name(network), CHAMPION) is not None:
            found.append(tracking.load_classifier(f"models:/{model_name(network)}@{CHAMPION}"))
    if not found:
        raise GlacierError("compare: no network has a champion yet; tune one and promote it first")
    return found


def _write(contest: Contest, catalog: Catalog) -> list[str]:
    """Write tables, maps and the page; gives the files' names."""
    import pandas as pd

    comparison = contest.comparison
    caveats = inspect_catalog(catalog.of_role("test", "train"))
    with staged(contest.output) as partial:
        comparison.scores.to_csv(partial / "scores.csv", index=False)
        differences = [comparison.scene_pairs]
        if len(comparison.maps) > 1:
            differences.insert(0, comparison.pairs.assign(scene=comparison.overall))
        pd.concat(differences).to_csv(
            partial / "differences.csv", index=False, columns=list(comparison.scene_pairs)
        )
        comparison.thresholds.to_csv(partial / "thresholds.csv", index=False)
        comparison.reliability.to_csv(partial / "reliability.csv", index=False)
        scenes = dict.fromkeys([comparison.overall, *(one.name for one in comparison.maps)])
        texts = [score_text(comparison, scene, TABLED) for scene in scenes]
        (partial / "table.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
        for one in comparison.maps:
            figures.comparison_maps(one).savefig(partial / f"{file_stem(one.name)}.png", dpi=110)
        _write_insight(contest.insight, partial)
        page = partial / "report.html"
        write_report(page, comparison, caveats, contest.insight, contest.repeat, contest.notes)
        return sorted(file.name for file in partial.iterdir())


def _write_insight(insight: Insight, folder: Path) -> None:
    """Write the importance of features as a table and a picture, activations as pictures."""
    if insight.importance is not None:
        insight.importance.to_csv(folder / "importance.csv", index=False)
        draw_importance(insight.importance).savefig(folder / "importance.png")
    for name, figure in insight.activations.items():
        figure.savefig(folder / f"activations_{file_stem(name)}.png")


def score_text(comparison: Comparison, scene: str | None = None, scores: Sequence[str] = PRINTED) -> str:
    """Scores of all classifiers with their intervals as aligned text, the best IoU first.

    Parameters
    ----------
    comparison : Comparison
        What to tell of.
    scene : str, optional
        Its name, or 'all scenes'; all of them together without it.
    scores : sequence of str
        Names of `glacier_ml.evaluation.scores.SCORES`.
    """
    scene = scene or comparison.overall
    rows = comparison.scores
    rows = rows[(rows.scene == scene) & (rows.subset == ALL)]
    best = rows[rows.score == "iou"].sort_values("value", ascending=False, kind="stable")
    pooled = scene not in _names(comparison)
    lines = [["classifier", "seeds", *(_head(score, pooled) for score in scores)]]
    for one in best.itertuples():
        mine = rows[rows.classifier == one.classifier].set_index("score")
        lines.append([one.classifier, str(one.seeds), *(_cell(mine.loc[score]) for score in scores)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    several = bool((best.seeds > 1).any())
    where = f"mean over {len(comparison.maps)} held-out scenes" if pooled else scene
    title = (
        f"{where}: scores with 95 % intervals for these scenes "
        f"({comparison.repeats:,} draws of blocks of {comparison.side} px{' and of seeds' * several})"
    )
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([title, *(line.rstrip() for line in table)])


def _names(comparison: Comparison) -> list[str]:
    return [one.name for one in comparison.maps]


def _head(score: str, pooled: bool) -> str:
    """Label and unit; of several scenes an error's magnitude is averaged.

    >>> _head("area_error_percent", True)
    'area error, magnitude [%]'
    """
    about = SCORES[score]
    label = f"{about.label}, magnitude" if pooled and about.better == "nearer 0" else about.label
    return f"{label} [{about.unit}]" if about.unit else label


def _cell(row: pd.Series) -> str:
    """Value and interval; '-' where undefined.

    >>> import pandas as pd
    >>> _cell(pd.Series({"value": 0.5, "low": 0.4, "high": float("nan")}))
    '0.500'
    """
    import math

    digits = 1 if abs(row.value) >= 10 else 3
    if not math.isfinite(row.value):
        return "-"
    value, low, high = (f"{round(one, digits) + 0.0:.{digits}f}" for one in (row.value, row.low, row.high))
    bounded = math.isfinite(row.low) and math.isfinite(row.high)
    return f"{value} [{low}, {high}]" if bounded else value
