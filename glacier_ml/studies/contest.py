"""Champions and baselines on the held-out scenes: the table, the pairs and the maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation import figures
from glacier_ml.evaluation.comparison import (
    SceneMaps,
    classify_scenes,
    compare_pairs,
    earlier_outlines,
    score_maps,
)
from glacier_ml.learning.baselines import fit_baselines
from glacier_ml.learning.classifier import Classifier
from glacier_ml.learning.splits import SplitRule, make_split
from glacier_ml.products.maps import staged
from glacier_ml.scenes.catalog import Catalog, LabelledScene, open_catalog
from glacier_ml.studies import tracking
from glacier_ml.studies.data import load_scenes
from glacier_ml.studies.promotion import NETWORKS
from glacier_ml.studies.registration import CHAMPION, model_name

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Contest:
    """What `compare_champions` found.

    Attributes
    ----------
    table : pandas.DataFrame
        A row a scene and classifier: accuracy, precision, recall, f1, iou.
    pairs : pandas.DataFrame
        Differences of mean IoU with their intervals for these scenes.
    output : Path
        Folder of the tables and maps.
    """

    table: pd.DataFrame
    pairs: pd.DataFrame
    output: Path


def compare_champions(data: str | None, output: str | Path) -> Contest:
    """Score champions and baselines on the held-out scenes; write and log tables and maps.

    Raises
    ------
    GlacierError
        Where no scene has the role test, or no network has a champion.
    """
    catalog = open_catalog(data)
    held_out = load_scenes(catalog, "test")
    if not held_out:
        raise GlacierError(
            f"{catalog.source}: no scene has the role test; compare wants one that nothing was trained on: "
            "name it in a catalog.yaml with its outlines and role: test (see experiments/catalogs)"
        )
    classifiers = [*champions(), *_baselines(catalog)]
    earlier = earlier_outlines(catalog.of_role("train"), held_out)
    maps = classify_scenes(classifiers, held_out, earlier)
    contest = Contest(score_maps(maps), compare_pairs(maps), Path(output))
    _write(contest, maps)
    tracking.log_files(contest.output, "comparison")
    tracking.log_metrics(
        {
            f"iou/{row.scene}/{row.classifier}".replace("+", "and"): row.iou
            for row in contest.table.itertuples()
        }
    )
    return contest


def champions() -> list[Classifier]:
    """Load the champions that there are, U-Net and FFNN, by their registry names."""
    found: list[Classifier] = []
    for network in NETWORKS:
        if tracking.model_version(model_name(network), CHAMPION) is not None:
            found.append(tracking.load_classifier(f"models:/{model_name(network)}@{CHAMPION}"))
    if not found:
        raise GlacierError("compare: no network has a champion yet; tune one and promote it first")
    return found


def _baselines(catalog: Catalog) -> list[Classifier]:
    scenes: tuple[LabelledScene, ...] = load_scenes(catalog, "train")
    if not scenes:
        raise GlacierError(
            f"{catalog.source}: no scene has the role train, and the baselines are fitted to those"
        )
    return fit_baselines(list(scenes), make_split(scenes, SplitRule()), seed=0)


def _write(contest: Contest, maps: list[SceneMaps]) -> None:
    with staged(contest.output) as partial:
        contest.table.to_csv(partial / "table.csv", index=False)
        contest.pairs.to_csv(partial / "differences.csv", index=False)
        (partial / "table.txt").write_text(table_text(contest.table) + "\n")
        for one in maps:
            figures.comparison_maps(one).savefig(partial / f"{one.labelled.scene.name}.png", dpi=110)


def table_text(table: pd.DataFrame) -> str:
    """The table as aligned text, three decimals.

    >>> import pandas as pd
    >>> print(table_text(pd.DataFrame({"scene": ["a"], "iou": [0.5]})))
    scene    iou
        a  0.500
    """
    shown = table.drop(columns=["pixels"], errors="ignore")
    return str(shown.to_string(index=False, float_format=lambda value: f"{value:.3f}"))


def verdict(contest: Contest) -> str:
    """Say who leads on the held-out scenes, and whether chance could explain it."""
    means = contest.table[contest.table.scene != "all scenes"].groupby("classifier").iou.mean()
    if "unet" not in means:
        return f"best mean IoU on held-out scenes: {means.idxmax()} {means.max():.3f}"
    sentences = [f"mean IoU on held-out scenes: U-Net {means['unet']:.3f}"]
    for name in means.index.drop("unet"):
        sentences.append(f"{_relation(contest, name, means)} {name} {means[name]:.3f}")
    return ", ".join(sentences)


def _relation(contest: Contest, name: str, means: pd.Series) -> str:
    pairs = contest.pairs
    row = pairs[pairs["first"].isin(["unet", name]) & pairs["second"].isin(["unet", name])]
    told = bool(row.distinguishable.iloc[0]) if len(row) else False
    word = "above" if means["unet"] > means[name] else "below"
    return word if told else f"{word} (not distinguishable)"
