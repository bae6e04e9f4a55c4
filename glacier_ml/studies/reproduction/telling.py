"""Say what the reproduction found: which conclusions hold, what the wishes' answers are, and the README."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glacier_ml.evaluation.reproduction.conclusions import NOT_RUN, conclude
from glacier_ml.evaluation.reproduction.text import seeds_told, summary
from glacier_ml.evaluation.reproduction.wishes import answer_wishes, chosen_parameters
from glacier_ml.products.maps import staged
from glacier_ml.studies.reproduction.results import Results


def tell_findings(results: Results, folder: Path, budget: str, seed: int) -> str:
    """Write README.md, conclusions.csv, wishes.csv and table_1.csv; gives what was decided in a few lines."""
    trials, blocks = results.trials, results.blocks
    conclusions = conclude(trials, blocks, budget, seed=seed)
    wishes = answer_wishes(trials, blocks, budget, seed=seed)
    table_1 = chosen_parameters(trials, blocks)
    pictures = [path.name for path in folder.glob("*.png")]
    words = summary(trials, conclusions, wishes, table_1, results.maps, budget, pictures)
    words = "\n\n".join(part for part in (words.rstrip(), mixed_data(results.studies)) if part) + "\n"
    with staged(folder) as beside:
        conclusions.to_csv(beside / "conclusions.csv", index=False)
        wishes.to_csv(beside / "wishes.csv", index=False)
        table_1.to_csv(beside / "table_1.csv", index=False)
        (beside / "README.md").write_text(words, encoding="utf-8")
    decided = conclusions[conclusions["decides"] & (conclusions["why"] != NOT_RUN)]
    return "\n".join(
        f"{row.conclusion} ({row.protocol} protocol{_seeds(row.trainings)}): {row.holds}"
        for row in decided.itertuples()
    )


def _seeds(trainings: float) -> str:
    return "" if trainings != trainings else f", {seeds_told(trainings)}"  # NaN: nothing was compared


def mixed_data(studies: Mapping[str, Mapping[str, Any]]) -> str:
    """Name the studies by their data, where one folder holds those of several; '' where it does not.

    Parameters
    ----------
    studies : mapping
        See `Results.studies`.
    """
    found: dict[str, dict[str, dict[str, None]]] = {}  # studies in their order, each once
    for key, told in studies.items():
        study, protocol, _ = key.split()
        found.setdefault(protocol, {}).setdefault(str(told.get("dataset")), {})[study] = None
    named = [
        f"{protocol} protocol: " + "; ".join(f"{', '.join(own)} of {data}" for data, own in by_data.items())
        for protocol, by_data in found.items()
        if len(by_data) > 1
    ]
    if not named:
        return ""
    return (
        "## Different data\n\nThese studies do not compare, they were made of different data. "
        + ". ".join(named)
    )
