"""Champions and baselines on the held-out scenes: the table, the pairs and the maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from glacier_ml.learning.classifier import Classifier, NetworkClassifier
from glacier_ml.learning.splits import SplitRule, make_split
from glacier_ml.products.maps import check_folder, staged
from glacier_ml.scenes.catalog import Catalog, LabelledScene, open_catalog
from glacier_ml.studies import tracking
from glacier_ml.studies.data import load_scenes
from glacier_ml.studies.promotion import NETWORKS
from glacier_ml.studies.registration import model_name
from glacier_ml.studies.tracking import CHAMPION

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


def compare_champions(networks: Sequence[NetworkClassifier], catalog: Catalog, output: str | Path) -> Contest:
    """Score champions and baselines on the held-out scenes; write and log tables and maps.

    Raises
    ------
    GlacierError
        Where a champion was trained on one of them.
    """
    held_out = load_scenes(catalog, "test")
    check_unseen(networks, held_out)
    # The networks' own rule: the baselines learn from the very pixels that the networks did.
    classifiers = [*networks, *_baselines(catalog, networks[-1].origin["splits"][0]["rule"])]
    earlier = earlier_outlines(catalog.of_role("train"), held_out)
    maps = classify_scenes([[one] for one in classifiers], held_out, earlier)
    contest = Contest(score_maps(maps), compare_pairs(maps), Path(output))
    for name in _write(contest, maps):
        tracking.log_files(contest.output / name, "comparison")
    tracking.log_metrics(
        {
            f"iou/{row.scene}/{row.classifier}".replace("+", "and"): row.iou
            for row in contest.table.itertuples()
        }
    )
    return contest


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


def _baselines(catalog: Catalog, rule: dict[str, Any]) -> list[Classifier]:
    scenes = load_scenes(catalog, "train")
    split = make_split(scenes, SplitRule(**{**rule, "held": tuple(rule["held"])}))
    return fit_baselines(list(scenes), split, seed=0)


def _write(contest: Contest, maps: list[SceneMaps]) -> list[str]:
    """Write tables and maps; gives the files' names."""
    with staged(contest.output) as partial:
        contest.table.to_csv(partial / "table.csv", index=False)
        contest.pairs.to_csv(partial / "differences.csv", index=False)
        (partial / "table.txt").write_text(table_text(contest.table) + "\n")
        for one in maps:
            figures.comparison_maps(one).savefig(partial / f"{one.labelled.scene.name}.png", dpi=110)
        return sorted(file.name for file in partial.iterdir())


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
