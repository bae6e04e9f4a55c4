"""Reproduce the report: run its studies one by one, draw each as soon as it is there, judge what holds."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glacier_ml.errors import GlacierError
from glacier_ml.products.maps import check_folder
from glacier_ml.scenes.catalog import Catalog, open_catalog
from glacier_ml.studies import tracking
from glacier_ml.studies.experiment import Budget
from glacier_ml.studies.records import TrialRecord, study_trials
from glacier_ml.studies.reproduction.drawing import MAPS, draw_scenes, draw_study, threshold_trials
from glacier_ml.studies.reproduction.plan import (
    EXPERIMENTS,
    PICTURES,
    Work,
    check_budget,
    chosen_pictures,
    chosen_protocols,
    plan,
)
from glacier_ml.studies.reproduction.results import Results, collect_trials, read_results
from glacier_ml.studies.reproduction.telling import tell_findings
from glacier_ml.studies.tuning import study_name, tune

ENDED = ("complete", "failed", "pruned")


@dataclass(frozen=True)
class Reproduction:
    """What holds for all studies of one call."""

    catalog: Catalog
    pictures: tuple[str, ...]
    budget: Budget
    folder: Path
    deadline: float | None = None
    seed: int = 0
    seeds: int = 1
    storage: str | None = None

    @property
    def late(self) -> bool:
        """Whether no further trial may start."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def drawn_from(self, work: Work, seed: int) -> list[str]:
        """Pictures that one seed's trials of a study are needed for; the first seed's network maps."""
        pictures = [one for one in self.pictures if work.study in PICTURES[one] and one != "table_1"]
        return [one for one in pictures if seed == self.seed or one not in MAPS]


def reproduce(
    data: str | None = None,
    figure: str = "all",
    protocol: str = "both",
    budget: str = "small",
    output: str = "reproduction",
    *,
    timeout: float | None = None,
    experiments: str = EXPERIMENTS,
    **chosen: Any,
) -> Path:
    """Run or resume the studies behind the report's figures, draw them, and say what holds.

    A complete study is not run again: the same command goes on where it was stopped. Nothing is registered.

    Parameters
    ----------
    data, output : str
        A catalog; a folder, in which the budget gets one of its own, since budgets do not compare.
    figure, protocol, budget : str
        See `chosen_pictures`, `chosen_protocols`, `check_budget`.
    timeout : float, optional
        Seconds after which no further trial starts; what is there is still drawn and judged.
    experiments : str
        Folder of the experiment files, one a study.
    **chosen
        `seed`; `seeds`, trainings of every value, from `seed` on; `storage`, an Optuna storage URL.

    Returns the folder of README.md, figures and tables; GlacierError comes before any run is opened.
    """
    size, folder = check_budget(budget), Path(output) / budget
    pictures, sides = chosen_pictures(figure), chosen_protocols(protocol)
    check_folder(folder)
    works = plan(pictures, sides, size, data, experiments)
    deadline = time.monotonic() + timeout if timeout else None
    call = Reproduction(open_catalog(data), pictures, size, folder, deadline, **chosen)
    tags = {"figures": figure, "protocol": protocol, "budget": budget}
    with tracking.start_run(f"reproduce-{budget}", "reproduce", tags=tags | tracking.environment_tags()):
        _run_all(call, works)
    return folder


def _run_all(call: Reproduction, works: Sequence[Work]) -> None:
    """Draw the scenes, run the studies in order until the time is over, and tell what they found."""
    results, done = read_results(call.folder), 0
    draw_scenes(call.catalog, call.pictures, call.folder)
    left = [(seed, work) for seed in range(call.seed, call.seed + call.seeds) for work in works]
    for number, (seed, work) in enumerate(left):
        if call.late:
            break
        print(
            f"{number + 1}/{len(left)}: {work.study}, {work.protocol} protocol, seed {seed}, "
            f"{work.experiment.trials} trials",
            file=sys.stderr,
        )
        done += _run_one(call, work, seed, results)
    if not results.trials.empty:
        print(tell_findings(results, call.folder, call.budget, call.seed))
    tracking.log_files(call.folder, "reproduction")
    _tell_end(done, len(left), call.folder)


def _run_one(call: Reproduction, work: Work, seed: int, results: Results) -> bool:
    """Run, collect and draw one study from one seed; says whether it is complete."""
    name, key = study_name(work.experiment, work.data, seed), f"{work.study} {work.protocol} {seed}"
    digests = {"dataset": work.data.digest[:12], "experiment": work.experiment.digest[:12]}
    results.forget_unlike(work.study, work.protocol, digests)
    known = results.studies.get(key, {})
    wanted = call.drawn_from(work, seed)
    ended = known.get("study") == name and known["complete"]
    if ended and set(wanted) <= set(known["drawn"]):
        return True
    # What an earlier call drew of this study is drawn again: it may show what other inputs gave.
    wanted = list(dict.fromkeys([*wanted, *known.get("drawn", [])]))
    records = _trained(call, work, seed, name, ended)
    trials, blocks = collect_trials(work.study, work.protocol, records, seed)
    if work.experiment.thresholds and len(trials):
        trials, blocks = threshold_trials(work, records, seed)
    results.replace((work.study, work.protocol, seed), trials, blocks)
    complete = _complete(records, work)
    results.studies[key] = {
        "study": name,
        "trials": work.experiment.trials,
        "ended": sum(one.state in ENDED for one in records),
        "complete": complete,
        "drawn": wanted if complete else [],
        **digests,
    }
    if len(trials):
        draw_study(call.catalog, work, wanted, records, results, call.folder, call.budget)
    results.write(call.folder)
    return complete


def _trained(call: Reproduction, work: Work, seed: int, name: str, ended: bool) -> list[TrialRecord]:
    """Trials of a study, trained where the storage has not all of them; `ended`: the folder has."""
    records = study_trials(name, call.storage)
    if ended and not records:
        told = f"{name} is complete in {call.folder}, but not in this storage of studies: trained again"
        print(told, file=sys.stderr)
    if _complete(records, work):
        return records
    _tune(call, work, seed, name)
    return study_trials(name, call.storage)


def _complete(records: Sequence[TrialRecord], work: Work) -> bool:
    """Whether every point of the grid was tried; one that failed was."""
    ended = sum(one.state in ENDED for one in records)
    # What waits when all points have been tried was queued twice, and would be dropped.
    return ended >= work.experiment.trials and not any(one.state == "running" for one in records)


def _tune(call: Reproduction, work: Work, seed: int, name: str) -> None:
    tags = {
        "figure": work.study,
        "protocol": work.protocol,
        "budget": call.budget,
        "seed": str(seed),
        "dataset": work.data.digest[:12],
        "split": work.data.split.digest[:12],
        "experiment_file": work.experiment.digest[:12],
        "network": work.experiment.network,
    }
    left = call.deadline - time.monotonic() if call.deadline else None
    with tracking.start_run(name, "study", tags=tags):
        tracking.log_dict(work.experiment.model_dump(mode="json"), "experiment.json")
        tracking.log_dict(work.data.origin, "data.json")
        try:
            tune(work.experiment, work.data, timeout=left, seed=seed, storage=call.storage)
        except GlacierError as error:
            # A grid all of whose trials fail is a finding; the other figures go on.
            if not any(one.state == "failed" for one in study_trials(name, call.storage)):
                raise
            print(f"{work.study}, {work.protocol} protocol: {error}", file=sys.stderr)


def _tell_end(done: int, studies: int, folder: Path) -> None:
    if done < studies:
        print(f"{done} of {studies} studies are complete; the same command goes on with the rest")
    print(f"figures, tables and what holds: {(folder / 'README.md').resolve()}")
