"""Replay searches over tables of trained points, and say what each rule for stopping saves and loses.

    python -m benchmarks.stop_rules [--replays 200] [--processes 2]

The tables are the report's grids (experiments/report/small/trials.csv: what training really gave, by epoch)
and random points of the per-pixel network's search (benchmarks/ffnn_points.csv). Each is searched `--replays`
times, baseline first, in random order and by TPE as the studies do it; a rule sees what a study would see,
and is compared with the whole search of the same replay. Prints Markdown tables (docs/studies.md holds them).
It is for a decision, and times nothing: no table of ratios.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from multiprocessing import Pool
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ffnn_points import ROOT, Surrogate, read_points
from benchmarks.trained_tables import Table, chance, points_table, report_tables
from glacier_ml.studies.stopping import Finished, Plateau, first_plateau

STARTUP, WARMUP = 4, 2  # of the studies' sampler and pruner, as the experiment files have them
# Patience of a rule, and trials before which it may not stop.
LEAST = {2: 3, 4: 6, 6: 8, 8: 8, 10: 12, 15: 16, 20: 24}
RULES = {
    f"plateau, {patience} trials, gain {gain:g}, at least {least}": Plateau(patience, gain, least)
    for patience, least in LEAST.items()
    for gain in ((0.001, 0.005, 0.01) if patience == 8 else (0.005,))
}
BUDGETS = (12, 24, 72)  # trials of the searches over random points
NAMED = ("plateau, 4 trials, gain 0.005, at least 6", "plateau, 6 trials, gain 0.005, at least 8",
         "plateau, 8 trials, gain 0.005, at least 8", "plateau, 10 trials, gain 0.005, at least 12",
         "expected improvement below 0.001")  # fmt: skip
LARGE = 8  # points from which a grid is told by itself
STAGNATION = (4, 8)  # trials, of optuna's BestValueStagnationEvaluator
EXPECTED = (0.001, 0.005, 0.01)  # IoU that the best untried point is expected to gain
EXPECTED_LEAST = 6  # trials before expected improvement may stop


@dataclass(frozen=True)
class Replay:
    """One whole search: what ended, in its order, and where rules other than a plateau stop it.

    `places` are the points that were tried; `means`, where known, what each would reach without chance.
    """

    trials: list[Finished]
    places: list[int]
    epochs: list[int]
    others: dict[str, int | None]
    means: tuple[float, ...] = ()

    @cached_property
    def ends(self) -> dict[str, int | None]:
        """After how many trials each rule first stops this search."""
        plateaus = {name: first_plateau(self.trials, rule) for name, rule in RULES.items()}
        return {name: found and found[1] for name, found in plateaus.items()} | self.others

    def cut(self, end: int | None) -> tuple[float, float, float]:
        """Share of trials and of epochs left out by an end after so many trials, and IoU lost."""
        if end is None:
            return 0.0, 0.0, 0.0
        lost = self._chosen(len(self.trials)) - self._chosen(end)
        epochs = 1 - sum(self.epochs[:end]) / sum(self.epochs)
        return 1 - end / len(self.trials), epochs, lost

    def within(self, budget: int, rule: str) -> tuple[float, float, float]:
        """What a rule saves and loses of the search's first `budget` trials."""
        end = self.ends.get(rule)
        part = Replay(
            self.trials[:budget], self.places[:budget], self.epochs[:budget], {}, self.means[:budget]
        )
        return part.cut(end if end and end <= budget else None)

    def _chosen(self, end: int) -> float:
        complete = [trial for trial in self.trials[:end] if trial.state == "complete"]
        best = max(complete, key=lambda trial: trial.value or 0.0)
        return self.means[best.number] if self.means else best.value or 0.0


def random_replay(table: Table, seed: int, known: int = 1) -> Replay:
    """Search in random order, each point once, after the first `known` of the table; nothing is pruned."""
    others = np.random.default_rng(seed).permutation(len(table.points) - known) + known
    order = [*range(known), *others.tolist()]
    trials = [Finished(table.best[place], "complete", number) for number, place in enumerate(order)]
    epochs = [len(table.curves[place]) for place in order]
    return Replay(trials, order, epochs, expected_ends(table, order, trials))


def tpe_replay(table: Table, seed: int) -> Replay:
    """Search by TPE and the median pruner as the studies do, for as many trials as there are points."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP),
        pruner=optuna.pruners.MedianPruner(STARTUP, WARMUP),
    )
    study.enqueue_trial(dict(zip(table.axes, table.points[0], strict=True)))
    known = {point: place for place, point in enumerate(table.points)}
    trials, places, epochs = [], [], []
    ends: dict[str, int | None] = dict.fromkeys(_stagnation_names())
    for number in range(len(table.points)):
        trial = study.ask()
        point = tuple(trial.suggest_categorical(name, choices) for name, choices in table.axes.items())
        places.append(known[point])
        state, used = _train(study, trial, table.curves[places[-1]])
        trials.append(Finished(max(table.curves[places[-1]][:used]), state, number))
        epochs.append(used)
        _stagnated(study, ends, number + 1)
    return Replay(trials, places, epochs, ends | expected_ends(table, places, trials))


def _train(study: Any, trial: Any, curve: list[float]) -> tuple[str, int]:
    import optuna

    for epoch, value in enumerate(curve[:-1]):
        trial.report(value, epoch)
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return "pruned", epoch + 1
    study.tell(trial, max(curve))
    return "complete", len(curve)


def _stagnation_names() -> list[str]:
    return [f"optuna's stagnation, {count} trials" for count in STAGNATION]


def _stagnated(study: Any, ends: dict[str, int | None], end: int) -> None:
    """Note where optuna's terminator first ends the study; its regret bounds need torch, this does not."""
    import warnings

    from optuna import terminator

    for count, name in zip(STAGNATION, _stagnation_names(), strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # experimental
            judge = terminator.Terminator(
                terminator.BestValueStagnationEvaluator(count),
                terminator.StaticErrorEvaluator(0),
                min_n_trials=count + 1,
            )
            if ends[name] is None and judge.should_terminate(study):
                ends[name] = end


def expected_ends(table: Table, places: Sequence[int], trials: Sequence[Finished]) -> dict[str, int | None]:
    """After how many trials no untried point is expected to gain enough, by a Gaussian process."""
    ends: dict[str, int | None] = dict.fromkeys(f"expected improvement below {gain:g}" for gain in EXPECTED)
    columns = table.encoded()
    for end in range(EXPECTED_LEAST, len(trials), 1 if len(trials) < 20 else 3):  # a fit costs time
        expected = expected_improvement(columns, places[:end], trials[:end])
        for gain, name in zip(EXPECTED, ends, strict=True):
            if ends[name] is None and expected < gain:
                ends[name] = end
    return ends


def expected_improvement(
    columns: NDArray[np.float64], places: Sequence[int], trials: Sequence[Finished]
) -> float:
    """Highest expected improvement among the untried points; 0 where none is left.

    Pruned trials count by what they had reached. Length and noise are those of the highest likelihood.
    """
    from scipy.stats import norm
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    untried = np.setdiff1d(np.arange(len(columns)), places)
    values = np.array([trial.value for trial in trials])
    if not untried.size or not values.std():
        return 0.0 if not untried.size else np.inf
    fits = [
        GaussianProcessRegressor(Matern(length, nu=2.5) + WhiteKernel(noise), optimizer=None).fit(
            columns[places], (values - values.mean()) / values.std()
        )
        for length in (0.3, 0.6, 1.2)
        for noise in (1e-3, 1e-1)
    ]
    likely = max(fits, key=lambda fit: fit.log_marginal_likelihood_value_)
    mean, deviation = likely.predict(columns[untried], return_std=True)
    over = mean - (values.max() - values.mean()) / values.std()
    scaled = over / deviation
    return float((over * norm.cdf(scaled) + deviation * norm.pdf(scaled)).max() * values.std())


@cache
def fitted_surrogate() -> Surrogate:
    """Fit the surrogate of the random points, once a process."""
    return Surrogate(*read_points())


def point_replay(seed: int, by_tpe: bool) -> Replay:
    """Search the random points in random order, real values; or by TPE over a surrogate of them."""
    if not by_tpe:
        return random_replay(points_table(), seed)
    import optuna

    from glacier_ml.studies.experiment import read_experiment
    from glacier_ml.studies.sampling import suggest

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    experiment, surrogate = read_experiment(ROOT / "experiments" / "ffnn.yaml"), fitted_surrogate()
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
    study, rng = optuna.create_study(direction="maximize", sampler=sampler), np.random.default_rng(seed)
    study.enqueue_trial({name: experiment.parameters[name] for name in experiment.search})
    means = []
    for _ in range(max(BUDGETS)):
        trial = study.ask()
        means.append(surrogate.iou(suggest(trial, experiment)))
        study.tell(trial, float(np.clip(means[-1] + surrogate.spread * rng.standard_normal(), 0, 1)))
    trials = [Finished(trial.value, "complete", trial.number) for trial in study.trials]
    return Replay(trials, [], [1] * len(trials), {}, tuple(means))


Cuts = dict[str, list[tuple[float, float, float]]]


def cuts(search: Callable[[Table, int], Replay], table: Table, replays: int) -> Cuts:
    """What each rule saves and loses in every replay of a search."""
    results: Cuts = defaultdict(list)
    for seed in range(replays):
        replay = search(table, seed)
        for name, end in replay.ends.items():
            results[name].append(replay.cut(end))
    return dict(results)


SEARCHES = {
    "random, baseline first": random_replay,
    "random, no baseline": partial(random_replay, known=0),
    "TPE, median pruner": tpe_replay,
}


def _job(job: tuple[str, Table, int]) -> tuple[str, str, Cuts]:
    search, table, replays = job
    return search, table.title, cuts(SEARCHES[search], table, replays)


def replay_all(tables: Sequence[Table], replays: int, processes: int) -> dict[tuple[str, str], Cuts]:
    """Cuts of every search of every table; those of a table's seeds together."""
    jobs = [(search, table, replays) for table in tables for search in SEARCHES]
    found: dict[tuple[str, str], Cuts] = defaultdict(lambda: defaultdict(list))
    with Pool(processes) as pool:
        for search, title, part in pool.imap_unordered(_job, jobs):
            for name, values in part.items():
                found[search, title][name] += values
    return found


def print_rules(found: dict[tuple[str, str], Cuts], titles: Sequence[str]) -> None:
    """Print a row a rule: saved and lost in all replays of the tables, by search."""
    print(f"| rule | {' | '.join(SEARCHES)} |\n|{'---|' * (len(SEARCHES) + 1)}")
    names = list(dict.fromkeys(name for part in found.values() for name in part))
    for name in names:
        cells = [_cell([cut for title in titles for cut in found[search, title].get(name, [])])
                 for search in SEARCHES]  # fmt: skip
        print(f"| {name} | {' | '.join(cells)} |")


def print_tables(found: dict[tuple[str, str], Cuts], tables: Sequence[Table]) -> None:
    """Print a row a table and search: what the named rules save and lose there, beside the table's range."""
    print(f"| grid | points | IoU | search | {' | '.join(NAMED)} |\n|{'---|' * (len(NAMED) + 4)}")
    for title in dict.fromkeys(table.title for table in tables):
        same = [table for table in tables if table.title == title]
        scores = [value for table in same for value in table.best]
        head = f"{title} | {len(same[0].points)} | {min(scores):.3f} to {max(scores):.3f}"
        for search in SEARCHES:
            cells = [_cell(found[search, title].get(name, [])) for name in NAMED]
            print(f"| {head} | {search} | {' | '.join(cells)} |")


def _cell(values: Sequence[tuple[float, float, float]]) -> str:
    if not values:
        return "-"
    trials, epochs, lost = np.array(values).T
    told = (f"{number:.3f}".lstrip("0") for number in (lost.mean(), np.quantile(lost, 0.95), lost.max()))
    return f"{100 * trials.mean():.0f} / {100 * epochs.mean():.0f} %: {' '.join(told)}"


def main() -> None:
    """Replay, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--replays", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    tables = report_tables()
    large = [table for table in tables if len(table.points) >= LARGE]
    found = replay_all(tables, chosen.replays, chosen.processes)
    print("Standard deviation of one setting over training seeds:")
    for name, (deviation, settings) in chance().items():
        print(f"{name}: {deviation:.3f} ({settings} settings)")
    for chosen_tables in (tables, large):
        print(f"\n{len(chosen_tables)} tables (a grid, protocol and seed each)")
        print("trials / epochs saved: IoU lost, mean, 95 % quantile, worst\n")
        print_rules(found, list(dict.fromkeys(table.title for table in chosen_tables)))
    print()
    print_tables(found, large)
    points, iou, spread = read_points()
    print(f"\n{len(points)} random points: IoU {iou.min():.3f} to {iou.max():.3f}, baseline {iou[0]:.3f}; ")
    print(f"one point over seeds, standard deviation {spread:.3f}\n")
    print_points(chosen.replays, chosen.processes)


def print_points(replays: int, processes: int) -> None:
    """Print a row a rule: saved and lost in searches of the random points, by order and budget."""
    columns = [(by_tpe, budget) for by_tpe in (False, True) for budget in BUDGETS]
    heads = [f"{'TPE' if by_tpe else 'random'}, {budget}" for by_tpe, budget in columns]
    print(f"| rule | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}")
    with Pool(processes) as pool:
        whole = {
            by_tpe: pool.map(partial(point_replay, by_tpe=by_tpe), range(replays)) for by_tpe in (False, True)
        }
    for name in whole[False][0].ends:
        cells = [
            _cell([one.within(budget, name) for one in whole[by_tpe] if name in one.ends])
            for by_tpe, budget in columns
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
