"""Which of the report's conclusions hold, in which protocol, and how sure that is.

A conclusion names values that were chosen and rivals that were not. Every chosen value is compared with every
rival by the score of its trials on the validation blocks, all at once (Bonferroni):

- **does not hold**: some rival is better than each chosen value, beyond chance;
- **holds**: no rival is, at least one is worse than a chosen value beyond chance, and none could be better by
  more than `MARGIN` (the interval of the difference ends below it);
- **cannot be told**: anything else; the intervals leave room both ways.

Where each value was trained once, the interval holds what other blocks of the same scenes would have done,
not what another training seed would have: `trainings` says so.
"""

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
    Resampled,
    TrialKey,
    compare_scores,
    resample,
)
from glacier_ml.evaluation.reproduction.claims import CLAIMS, Claim
from glacier_ml.evaluation.reproduction.reported import shown

if TYPE_CHECKING:
    import pandas as pd

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be told"
NOT_RUN = "not run"
MARGIN = 0.02
"""A rival that cannot be better by more than this does not keep a conclusion open. Chosen here: half of .04,
by which the report's own two trainings of one setting differ (288 px, ReLU, Adam: .89 and .85)."""
DECISIVE = {"report": "accuracy"}
"""Score that decides by protocol: the report saw its test accuracy alone; elsewhere it is glacier IoU."""

COLUMNS = (
    "conclusion",
    "figure",
    "protocol",
    "budget",
    "score",
    "decides",
    "reported",
    "best",
    "chosen",
    "chosen_value",
    "rival",
    "rival_value",
    "difference",
    "low",
    "high",
    "comparisons",
    "blocks",
    "paired",
    "trainings",
    "holds",
    "why",
)


@dataclass(frozen=True)
class Candidate:
    """A value, the score of its trainings, and the runs in which they were trained ('' where unknown)."""

    value: Any
    trainings: tuple[Resampled, ...]
    runs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As a reader writes it."""
        return shown(self.value)

    @property
    def score(self) -> float:
        """Mean over trainings."""
        return float(np.mean([one.value for one in self.trainings]))


def conclude(
    trials: pd.DataFrame,
    blocks: Mapping[TrialKey, BlockFile],
    budget: str,
    repeats: int = REPEATS,
    seed: int = 0,
) -> pd.DataFrame:
    """Judge every conclusion in every protocol that has trials.

    Parameters
    ----------
    trials : pandas.DataFrame
        figure (`reported.STUDIES`), protocol, seed, trial and the searched parameters; one row or more a
        trial, whose number counts within its seed.
    blocks : mapping
        (figure, protocol, seed, trial) to the trial's `validation_blocks.json`; those without are left out.
    budget : str
        Named in every row.
    repeats, seed : int
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`; two rows a conclusion and protocol, one a score; `decides` marks the score that decides:
        accuracy in the report's protocol (all that the report saw), glacier IoU in others. `difference`
        is the best chosen value less the strongest rival of those that decide; positive is for the report.
    """
    import pandas as pd

    rows = [
        _judge(claim, trials, blocks, {"protocol": protocol, "budget": budget, "score": score}, repeats, seed)
        for claim in CLAIMS
        for protocol in sorted(trials["protocol"].unique())
        for score in SCORES
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def candidates(
    trials: pd.DataFrame,
    blocks: Mapping[TrialKey, BlockFile],
    study: str,
    protocol: str,
    columns: Sequence[str],
    score: str,
    repeats: int = REPEATS,
    seed: int = 0,
) -> list[Candidate]:
    """Values of a study and their scores; several trainings of a value (other seeds) count as one value.

    A value is a tuple where several columns were searched, and the study's name where none was.
    """
    found: dict[Any, list[tuple[Resampled, str]]] = {}
    own = trials[(trials["figure"] == study) & (trials["protocol"] == protocol)]
    if any(column not in own for column in columns):
        return []
    for _, row in own.drop_duplicates(["seed", "trial"]).sort_values("seed", kind="stable").iterrows():
        content = blocks.get((study, protocol, row["seed"], row["trial"]))
        if content is not None:
            parts = tuple(_plain(row[column]) for column in columns)
            value = study if not parts else parts[0] if len(parts) == 1 else parts
            pooled = protocol == "report"
            scored = resample(content, score, pooled, repeats, seed)
            run = row.get("run_id")
            found.setdefault(value, []).append((scored, run if isinstance(run, str) else ""))
    return [Candidate(value, *map(tuple, zip(*trained, strict=True))) for value, trained in found.items()]


def differ(first: Candidate, second: Candidate, comparisons: int) -> Difference:
    """Compare two values; networks that both have in common, cut at two thresholds, count as one each."""
    matched = first.runs == second.runs and all(first.runs)
    return compare_scores(first.trainings, second.trainings, comparisons, matched)


def unscored(
    trials: pd.DataFrame,
    blocks: Mapping[TrialKey, BlockFile],
    studies: Sequence[str],
    protocol: str,
    columns: Sequence[str],
) -> list[str]:
    """Values whose trials left no counts, in words: those at which training failed."""
    own = trials[trials["figure"].isin(studies) & (trials["protocol"] == protocol)]
    found = []
    for _, row in own.drop_duplicates(["figure", "seed", "trial"]).iterrows():
        if (row["figure"], protocol, row["seed"], row["trial"]) not in blocks:
            parts = tuple(_plain(row.get(column)) for column in columns)
            found.append(shown(parts[0] if len(parts) == 1 else parts or row["figure"]))
    return list(dict.fromkeys(found))


def _plain(value: Any) -> Any:
    """A value that can be compared: whole numbers as int (a table with gaps holds floats), lists as words."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, (list, tuple)) or (isinstance(value, str) and value.startswith("[")):
        parts = value.strip("[]").replace(",", " ").split() if isinstance(value, str) else map(str, value)
        return " ".join(parts) or "none"
    return int(value) if isinstance(value, float) and value.is_integer() and value != 0 else value


def _judge(
    claim: Claim,
    trials: pd.DataFrame,
    blocks: Mapping[TrialKey, BlockFile],
    known: dict[str, Any],
    repeats: int,
    seed: int,
) -> dict[str, Any]:
    """One row."""
    protocol, score = known["protocol"], known["score"]
    found = [
        one
        for study in claim.studies
        for one in candidates(trials, blocks, study, protocol, claim.columns, score, repeats, seed)
    ]
    named = claim.chosen([one.value for one in found])
    chosen = [one for one in found if one.value in named]
    rivals = [one for one in found if one.value not in named]
    row = {
        "conclusion": claim.name,
        "figure": ", ".join(claim.studies),
        **known,
        "decides": score == DECISIVE.get(protocol, "iou"),
        "reported": claim.reported,
    }
    failed = unscored(trials, blocks, claim.studies, protocol, claim.columns)
    note = f"; failed or without scores: {', '.join(failed)}" if failed else ""
    if not found and not failed:
        return row | {"holds": OPEN, "why": NOT_RUN}
    if not chosen or not rivals:
        lacking = "the value itself" if not chosen else "anything to compare it with"
        return row | {"holds": OPEN, "why": f"the {protocol} trials of this budget lack {lacking}{note}"}
    verdict = _verdict(chosen, rivals)
    return row | verdict | {"why": verdict["why"] + note}


def _verdict(chosen: list[Candidate], rivals: list[Candidate]) -> dict[str, Any]:
    comparisons = len(chosen) * len(rivals)
    table = {rival.name: [differ(one, rival, comparisons) for one in chosen] for rival in rivals}
    better = [name for name, row in table.items() if all(one.high < 0 for one in row)]
    worse = [name for name, row in table.items() if any(one.low > 0 for one in row)]
    room = [name for name, row in table.items() if not any(one.low >= -MARGIN for one in row)]
    holds = FAILS if better else HOLDS if worse and not room else OPEN
    champion = max(chosen, key=lambda one: one.score)
    telling = better or room or list(table)  # those that decide the verdict
    strongest = max((one for one in rivals if one.name in telling), key=lambda one: one.score)
    shortest = table[strongest.name][chosen.index(champion)]
    best = max([*chosen, *rivals], key=lambda one: one.score)
    return {
        "best": best.name,
        "chosen": champion.name,
        "chosen_value": champion.score,
        "rival": strongest.name,
        "rival_value": strongest.score,
        "difference": shortest.difference,
        "low": shortest.low,
        "high": shortest.high,
        "comparisons": comparisons,
        "blocks": shortest.blocks,
        "paired": shortest.paired,
        "trainings": min(len(one.trainings) for one in (*chosen, *rivals)),
        "holds": holds,
        "why": _why(shortest, better, worse, room),
    }


def _why(difference: Difference, better: list[str], worse: list[str], room: list[str]) -> str:
    if np.isnan(difference.low):
        return "too few blocks for an interval"
    unsure = [name for name in room if name not in better]
    parts = [f"better beyond chance: {_listed(better)}"] if better else []
    parts += [f"worse beyond chance: {_listed(worse)}"] if worse else []
    parts += [f"could be better by more than {MARGIN}: {_listed(unsure)}"] if unsure else []
    return "; ".join(parts) or f"no difference beyond chance, none above {MARGIN} in a rival's favour"


def _listed(names: list[str]) -> str:
    """Four names, and how many more.

    >>> _listed(["a", "b", "c", "d", "e", "f"])
    'a, b, c, d and 2 more'
    """
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def signed(difference: Difference) -> str:
    """A difference and its interval in words.

    >>> signed(Difference(0.0312, -0.004, 0.066, True, 30))
    '+0.031 [-0.004, +0.066]'
    """
    return f"{difference.difference:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
