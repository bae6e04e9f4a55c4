"""Say what the reproduction found: which conclusions hold, what the wishes' answers are, and the README."""

from __future__ import annotations

from pathlib import Path

from glacier_ml.evaluation.reproduction.conclusions import conclude
from glacier_ml.evaluation.reproduction.text import summary
from glacier_ml.evaluation.reproduction.wishes import answer_wishes, chosen_parameters
from glacier_ml.products.maps import staged
from glacier_ml.studies.reproduction.results import Results


def tell_findings(results: Results, folder: Path, budget: str, seed: int) -> str:
    """Write README.md, conclusions.csv, wishes.csv and table_1.csv; gives the conclusions in a few lines."""
    trials, blocks = results.trials, results.blocks
    conclusions = conclude(trials, blocks, budget, seed=seed)
    wishes = answer_wishes(trials, blocks, budget, seed=seed)
    table_1 = chosen_parameters(trials, blocks)
    pictures = [path.name for path in folder.glob("*.png")]
    words = summary(trials, conclusions, wishes, table_1, results.maps, budget, pictures)
    with staged(folder) as beside:
        conclusions.to_csv(beside / "conclusions.csv", index=False)
        wishes.to_csv(beside / "wishes.csv", index=False)
        table_1.to_csv(beside / "table_1.csv", index=False)
        (beside / "README.md").write_text(words, encoding="utf-8")
    decided = conclusions[conclusions["decides"]]
    return "\n".join(
        f"{row.conclusion} ({row.protocol} protocol): {row.holds}" for row in decided.itertuples()
    )
