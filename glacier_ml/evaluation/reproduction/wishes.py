"""What the report wanted to know and could not: each alternative against what it used, with an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glacier_ml.evaluation.reproduction.block_scores import (
    REPEATS,
    SCORES,
    BlockFile,
    Difference,
    TrialKey,
)
from glacier_ml.evaluation.reproduction.conclusions import DECISIVE, Candidate, candidates, differ, signed
from glacier_ml.evaluation.reproduction.reported import REPORT_TABLE_1, shown

if TYPE_CHECKING:
    import pandas as pd

ADAM_RATE = 1e-3
"""Learning rate of Keras's Adam where none is given; the report names none."""

WISH_COLUMNS = (
    "wish",
    "question",
    "protocol",
    "budget",
    "score",
    "decides",
    "reference",
    "reference_value",
    "alternative",
    "value",
    "difference",
    "low",
    "high",
    "comparisons",
    "blocks",
    "paired",
    "trainings",
    "best",
    "answer",
)


@dataclass(frozen=True)
class Wish:
    """A question that the report left open.

    Attributes
    ----------
    study : str
        See `reported.STUDIES`.
    question : str
        In a reader's words.
    columns : tuple of str
        What was searched.
    reference : object
        What the report used; the nearest that was tried stands for it where numbers differ.
    """

    study: str
    question: str
    columns: tuple[str, ...]
    reference: Any


WISHES = (
    Wish(
        "wished_optimiser",
        "Does SGD or another learning rate train the U-Net better than Adam?",
        ("optimizer", "learning_rate"),
        ("adam", ADAM_RATE),
    ),
    Wish("wished_noise", "Does noise on the reflectances help the U-Net?", ("noise",), 0.0),
    Wish("wished_levels", "How many levels should the U-Net have?", ("levels",), 5),
    Wish("wished_head", "Do fully connected layers at the U-Net's end help?", ("head_nodes",), "none"),
    Wish("wished_threshold", "Does another threshold than .7 map better?", ("threshold",), 0.7),
)


def answer_wishes(
    trials: pd.DataFrame,
    blocks: Mapping[TrialKey, BlockFile],
    budget: str,
    repeats: int = REPEATS,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare every alternative of every wish with what the report used.

    The intervals of one wish hold all at once (Bonferroni), so that the best alternative may be picked from
    them without flattering it.

    Parameters
    ----------
    trials, blocks, budget, repeats, seed
        As of `conclusions.conclude`.

    Returns
    -------
    pandas.DataFrame
        `WISH_COLUMNS`; one row an alternative, protocol and score. `difference` is alternative less
        reference; `best` marks the highest alternative; `answer` says what its interval says. A wish whose
        study has no trials under a protocol has no row there.
    """
    import pandas as pd

    rows = []
    for wish in WISHES:
        for protocol in sorted(trials.loc[trials["figure"] == wish.study, "protocol"].unique()):
            for score in SCORES:
                found = candidates(trials, blocks, wish.study, protocol, wish.columns, score, repeats, seed)
                known = {"wish": wish.study, "question": wish.question, "protocol": protocol}
                known |= {"budget": budget, "score": score}
                known |= {"decides": score == DECISIVE.get(protocol, "iou")}
                rows += [known | row for row in _alternatives(found, wish.reference)]
    return pd.DataFrame(rows, columns=list(WISH_COLUMNS))


def _alternatives(found: Sequence[Candidate], wanted: Any) -> list[dict[str, Any]]:
    reference = _nearest(found, wanted)
    if reference is None:
        return []
    others = [one for one in found if one is not reference]
    highest = max(others, key=lambda one: one.score, default=None)
    rows = []
    for one in others:
        difference = differ(one, reference, len(others))
        rows.append(
            {
                "reference": reference.name,
                "reference_value": reference.score,
                "alternative": one.name,
                "value": one.score,
                "difference": difference.difference,
                "low": difference.low,
                "high": difference.high,
                "comparisons": len(others),
                "blocks": difference.blocks,
                "paired": difference.paired,
                "trainings": min(len(one.trainings), len(reference.trainings)),
                "best": one is highest,
                "answer": _answer(one, reference, difference),
            }
        )
    return rows


def _nearest(found: Sequence[Candidate], wanted: Any) -> Candidate | None:
    """The candidate that is what the report used; of numbers the nearest (in tuples with equal words)."""
    parts = wanted if isinstance(wanted, tuple) else (wanted,)

    def distance(one: Candidate) -> float:
        own = one.value if isinstance(one.value, tuple) else (one.value,)
        words = [
            _word(a) != b for a, b in zip(own, parts, strict=True) if isinstance(b, str)
        ]  # a word fits or not
        gaps = [
            abs(np.log(max(a, 1e-12) / max(b, 1e-12))) if b else abs(a)
            for a, b in zip(own, parts, strict=True)
            if not isinstance(b, str)
        ]
        return float("inf") if any(words) else float(sum(gaps))

    nearest = min(found, key=distance, default=None)
    return None if nearest is None or distance(nearest) == float("inf") else nearest


def _word(value: Any) -> str:
    """A searched word; no fully connected layer is 'none', however it was noted."""
    empty = value is None or value == "" or value == "[]" or (isinstance(value, float) and np.isnan(value))
    return "none" if empty else str(value)


def _answer(one: Candidate, reference: Candidate, difference: Difference) -> str:
    if np.isnan(difference.low):
        verdict = "too few blocks for an interval"
    elif difference.beyond_chance:
        verdict = "better beyond chance" if difference.difference > 0 else "worse beyond chance"
    else:
        verdict = "cannot be told apart"
    return (
        f"{one.name} {one.score:.3f}, {reference.name} {reference.score:.3f}: {signed(difference)}; {verdict}"
    )


def chosen_parameters(trials: pd.DataFrame, blocks: Mapping[TrialKey, BlockFile]) -> pd.DataFrame:
    """Table 1: what the report chose beside what scores highest here.

    Returns
    -------
    pandas.DataFrame
        network, parameter, report, protocol, here (highest score; '' where nothing was searched), score,
        value. The highest is not beyond chance the best: `conclusions.conclude` says which are.
    """
    import pandas as pd

    searched = {
        "figure_09": ("hidden_layers", "nodes"),
        "wished_optimiser": ("optimizer", "learning_rate"),
    }
    rows = []
    for network, parameter, reported, study in REPORT_TABLE_1:
        for protocol in sorted(trials["protocol"].unique()):
            score = DECISIVE.get(protocol, "iou")
            columns = searched.get(study or "", (parameter,))
            found = candidates(trials, blocks, study, protocol, columns, score, repeats=2) if study else []
            best = max(found, key=lambda one: one.score, default=None)
            here, value = "", float("nan")
            if best is not None:
                own = best.value if isinstance(best.value, tuple) else (best.value,)
                here, value = shown(own[columns.index(parameter)]), best.score
            rows.append((network, parameter, shown(reported), protocol, here, score, value))
    columns_out = ["network", "parameter", "report", "protocol", "here", "score", "value"]
    return pd.DataFrame.from_records(rows, columns=columns_out)
