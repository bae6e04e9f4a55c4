"""What the studies found, as tables in the output folder: trials, counts by block, scores of maps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.reproduction.block_scores import TrialKey
from glacier_ml.products.maps import staged
from glacier_ml.studies import tracking
from glacier_ml.studies.records import TrialRecord

if TYPE_CHECKING:
    import pandas as pd

BLOCKS = "validation_blocks.json"  # as a trial logs it
KEY = ("figure", "protocol", "seed", "trial")
SCORES = ("train/accuracy", "val/accuracy", "train/iou", "val/iou", "val/loss")


@dataclass
class Results:
    """All that the output folder holds.

    Attributes
    ----------
    trials : DataFrame
        figure (the study), protocol, seed, trial, state, the searched parameters, epoch (from 1),
        train/accuracy, val/accuracy, train/iou, val/iou, val/loss, batch (samples seen at once), run_id;
        one row an epoch.
    blocks : dict
        (study, protocol, seed, trial) to what its run logged as `validation_blocks.json`.
    maps : DataFrame
        Scores of the final networks' maps, see `evaluation.reproduction.maps.map_scores`.
    studies : dict
        'study protocol seed' to the study's name, its trials, how many of them ended, what is drawn of it.
    """

    trials: pd.DataFrame
    blocks: dict[TrialKey, Mapping[str, Any]]
    maps: pd.DataFrame
    studies: dict[str, dict[str, Any]]

    def replace(
        self,
        key: tuple[str, str, int],
        trials: pd.DataFrame,
        blocks: Mapping[TrialKey, Mapping[str, Any]],
    ) -> None:
        """Put a study's trials in the place of those that are there; its key is (study, protocol, seed)."""
        self.trials = _replaced(self.trials, ("figure", "protocol", "seed"), key, trials)
        kept = {other: value for other, value in self.blocks.items() if other[:3] != key}
        self.blocks = {**kept, **blocks}

    def forget_unlike(self, study: str, protocol: str, told: Mapping[str, Any]) -> None:
        """Drop the seeds of a study that were trained on other data or by another experiment file."""
        for key, known in list(self.studies.items()):
            name, side, seed = key.split()
            alike = all(known.get(one) == told[one] for one in ("dataset", "experiment"))
            if (name, side) == (study, protocol) and not alike:
                del self.studies[key]
                self.replace((study, protocol, int(seed)), self.trials.iloc[:0], {})

    def replace_maps(self, figure: str, protocol: str, scores: pd.DataFrame) -> None:
        """Put a figure's map scores in the place of those that are there."""
        self.maps = _replaced(self.maps, ("figure", "protocol"), (figure, protocol), scores)

    def write(self, folder: Path) -> None:
        """Write trials.csv, blocks.json, maps.csv and studies.json."""
        blocks = [
            {"figure": study, "protocol": protocol, "seed": seed, "trial": trial, **content}
            for (study, protocol, seed, trial), content in self.blocks.items()
        ]
        with staged(folder) as beside:
            self.trials.to_csv(beside / "trials.csv", index=False)
            self.maps.to_csv(beside / "maps.csv", index=False)
            (beside / "blocks.json").write_text(json.dumps(blocks, separators=(",", ":")) + "\n")
            (beside / "studies.json").write_text(json.dumps(self.studies, indent=2) + "\n")


def read_results(folder: Path) -> Results:
    """Read what an earlier call wrote; empty tables where there is nothing.

    Raises
    ------
    GlacierError
        Where the files are not such tables.
    """
    import pandas as pd

    if not (folder / "studies.json").exists():
        return Results(pd.DataFrame(columns=list(KEY)), {}, pd.DataFrame(), {})
    try:
        trials = pd.read_csv(folder / "trials.csv", keep_default_na=False, na_values=[""])
        listed = json.loads((folder / "blocks.json").read_text())
        studies = json.loads((folder / "studies.json").read_text())
        blocks: dict[Any, Any] = {tuple(one.pop(column) for column in KEY): one for one in listed}
        maps = _read_maps(folder / "maps.csv")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise GlacierError(
            f"{folder}: holds tables of a reproduction that cannot be read ({error}); choose another output"
        ) from error
    return Results(trials, blocks, maps, studies)


def _read_maps(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()


def _replaced(
    table: pd.DataFrame, columns: Sequence[str], key: Sequence[Any], rows: pd.DataFrame
) -> pd.DataFrame:
    import pandas as pd

    if table.empty:
        return rows.reset_index(drop=True)
    kept = table[(table[list(columns)] != list(key)).any(axis=1)]
    parts = [part for part in (kept, rows) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else kept


def collect_trials(
    study: str, protocol: str, records: Iterable[TrialRecord], seed: int
) -> tuple[pd.DataFrame, dict[TrialKey, Mapping[str, Any]]]:
    """Read the runs of trials that ended: every epoch's scores, and the counts by block.

    Trials that were interrupted and queued anew are left out; those that failed (a learning rate at which the
    loss is not finite) keep the epochs that they had.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    blocks: dict[TrialKey, Mapping[str, Any]] = {}
    for record in records:
        if record.state not in ("complete", "failed") or not record.run_id:
            continue
        known = dict(zip(KEY, (study, protocol, seed, record.number), strict=True))
        known |= {"state": record.state}
        told = {"batch": tracking.run_metrics(record.run_id).get("batch_used"), "run_id": record.run_id}
        for epoch, metrics in enumerate(tracking.run_history(record.run_id), 1):
            scores = {name: metrics.get(name) for name in SCORES}
            rows.append({**known, **record.values, "epoch": epoch, **scores, **told})
        if record.state == "complete":
            blocks[study, protocol, seed, record.number] = tracking.logged_dict(record.run_id, BLOCKS)
    return pd.DataFrame(rows, columns=None if rows else list(KEY)), blocks
