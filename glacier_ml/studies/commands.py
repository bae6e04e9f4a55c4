"""What each command does, as one tracked run; the command line only parses and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.report.verdict import verdict_sentences
from glacier_ml.evaluation.spread.places import worst_finding
from glacier_ml.evaluation.spread.text import summary
from glacier_ml.learning.parameters import parse_parameters
from glacier_ml.products.maps import check_folder
from glacier_ml.studies import tracking
from glacier_ml.studies.contest import (
    Contest,
    champions,
    compare_champions,
    open_contest,
    score_text,
)
from glacier_ml.studies.data import TrainingData, load_training_data
from glacier_ml.studies.experiment import Experiment, read_experiment
from glacier_ml.studies.folds import load_folds
from glacier_ml.studies.prediction import predict
from glacier_ml.studies.progress import tell_epochs
from glacier_ml.studies.promotion import challenged, promote
from glacier_ml.studies.registration import (
    check_registrable,
    model_name,
    prepare_candidate,
    register,
    register_best,
)
from glacier_ml.studies.searching import OBJECTIVE, memory_limit
from glacier_ml.studies.tracking import CHAMPION
from glacier_ml.studies.trial import run_trial
from glacier_ml.studies.tuning import StudyResult, study_figures, study_name, tune
from glacier_ml.studies.validation import cross_validate, mean_scores, write_scores

DEFAULT_EXPERIMENTS = {"ffnn": "experiments/ffnn.yaml", "unet": "experiments/unet.yaml"}


def run_study(network: str, experiment_path: str, data: str | None, **options: Any) -> StudyResult:
    """Tune one network, register the best, log the study's plots; prints the best and where to look."""
    experiment, training = _study_inputs(network, experiment_path, data)
    name = study_name(experiment, training, options["seed"])
    with tracking.start_run(name, "study", parent=options.pop("parent", None)) as run_id:
        _log_inputs(experiment, training)
        version: list[str] = []  # by one of the commands that work on the study

        def finish(result: StudyResult) -> None:
            version.append(register_best(experiment, training, result, options["seed"]))
            _log_result(result, options.get("storage"))
            _end_study_run(result)

        result = tune(experiment, training, finish=finish, **options)
        tracking.log_metrics({"best/iou": result.value, "trials": sum(result.states.values())})
        print(_summary(network, result, *version))
        print(f"compare the trials: {tracking.runs_link(run_id, 'best/iou')}")
    return result


def _study_inputs(network: str, path: str, data: str | None) -> tuple[Experiment, TrainingData]:
    experiment = read_experiment(path, network)
    check_registrable(experiment.baseline, path)
    return experiment, load_training_data(data, experiment.split_rule, experiment.extremes)


def _log_inputs(experiment: Experiment, training: TrainingData) -> None:
    tracking.set_tags(
        {
            "dataset": training.digest[:12],
            "split": training.split.digest[:12],
            "experiment_file": experiment.digest[:12],
            "network": experiment.network,
            **tracking.environment_tags(),
        }
    )
    tracking.log_dict(experiment.model_dump(mode="json"), "experiment.json")
    tracking.log_dict(training.origin, "data.json")


def _log_result(result: StudyResult, storage: str | None) -> None:
    for name, figure in study_figures(result.name, storage).items():
        tracking.log_figure(figure, f"study/{name}.html")
    tracking.log_dict(result.best.model_dump(), "best_parameters.json")
    tracking.set_tags({f"trials_{state}": count for state, count in result.states.items()})


def _end_study_run(result: StudyResult) -> None:
    """Close the run that the study began in, where that was another one, as what it is by now: complete."""
    first = tracking.run_tags(tracking.active_run_id()).get("study_run")
    if first:
        found = {"best/iou": result.value, "trials": sum(result.states.values())}
        tracking.complete_run(first, found, {f"trials_{state}": n for state, n in result.states.items()})


def _summary(network: str, result: StudyResult, version: str | None = None) -> str:
    states = ", ".join(f"{count} {state}" for state, count in result.states.items())
    registered = (
        f"registered as {model_name(network)} version {version}"
        if version
        else "another command works on this study and registers the best"
    )
    return (
        f"{result.name}: {states}; best is trial {result.number} with validation IoU {result.value:.3f}; "
        f"{registered}"
    )


def run_training(
    experiment_path: str, data: str | None, run: str | None, init: str | None, register_it: bool, seed: int
) -> None:
    """Fit one set of parameters: the experiment's baseline, a run's, or a registered model's, further."""
    if run and init:
        raise GlacierError(
            "train: run and init are both given; name the parameters or the model to go on from"
        )
    experiment = read_experiment(experiment_path)
    initial = tracking.load_classifier(init) if init else None
    parameters = initial.parameters if initial else experiment.baseline
    if run:
        values = tracking.logged_dict(run, "parameters.json")
        parameters = parse_parameters(values, f"run {run}")
    parameters = parameters.model_copy(update={"epochs": experiment.final_epochs})
    if register_it:
        check_registrable(parameters, run or init or experiment_path)
    training = load_training_data(data, experiment.split_rule, [parameters])
    with tracking.start_run(f"train-{parameters.network}", "train") as run_id:
        _log_inputs(experiment, training)
        fitted = run_trial(
            parameters,
            training,
            seed=seed,
            memory_limit=memory_limit(experiment.memory_limit),
            on_epoch=tell_epochs(parameters.epochs),
            initial=initial,
        )
        if training.recipe == "report":  # it trained on the scoring blocks, too: its own test is all there is
            tracking.log_classifier(fitted.classifier)
            print(f"run {run_id}: IoU {fitted.best[OBJECTIVE]:.3f} on the report's own, leaky test samples")
            return
        source = f"fine-tuned from {init}" if init else f"run {run}" if run else "baseline"
        candidate = prepare_candidate(fitted.classifier, training, run_id, source, initial, seed)
        tracking.log_metrics(candidate.metrics)
        tracking.log_classifier(candidate.classifier)
        print(f"run {run_id}: validation IoU {fitted.best[OBJECTIVE]:.3f}, scored {candidate.iou:.3f}")
        if register_it:
            name, version = model_name(parameters.network), register(candidate, parameters.network, training)
            print(f"registered as {name} version {version}; promote it with 'promote'")


def run_promotion(model: str, force: bool, data: str | None = None, parent: str | None = None) -> None:
    """Let challengers become champions where they are better; prints each verdict."""
    challenged(model)  # bad input is told before a run is opened, here and below
    with tracking.start_run("promote", "promote", parent=parent):
        for one in promote(model, force, data):
            print(one)


def run_comparison(data: str | None, output: str, seeds: int = 3, parent: str | None = None) -> Contest:
    """Compare champions, `seeds` of each, and baselines on the held-out scenes; prints table and verdict."""
    if seeds < 1:
        raise GlacierError(f"seeds: each network is there at least once, came {seeds}; give 1 or more")
    catalog, networks = open_contest(data, output), champions()
    with tracking.start_run("compare", "compare", parent=parent):
        contest = compare_champions(networks, catalog, output, seeds)
        sentences = verdict_sentences(contest.comparison)
        tracking.set_tags({"verdict": " ".join(sentences), **tracking.environment_tags()})
        print(score_text(contest.comparison), "", *sentences, *contest.notes, "", sep="\n")
        print(f"page: {Path(output).resolve() / 'report.html'}")
        print(f"tables and maps: {Path(output).resolve()}")
    return contest


def run_cross_validation(
    experiment_path: str, data: str | None, seeds: int, protocol: str, output: str = "cross_validation"
) -> None:
    """Cross-validate fixed parameters, of one experiment or a comma list; prints the worst finding first."""
    experiments = [read_experiment(path) for path in _parts(experiment_path, "experiment")]
    protocols = _parts(protocol, "protocol")
    folds = load_folds(experiments, data, protocols)
    check_folder(Path(output))
    with tracking.start_run(f"cross-validate-{'-'.join(protocols)}", "cross_validate"):
        tracking.set_tags(tracking.environment_tags())
        table = cross_validate(experiments, folds, seeds)
        for name in write_scores(table, output):
            tracking.log_files(Path(output) / name, "cross_validation")
        tracking.set_tags({"finding": worst_finding(table)})
        tracking.log_metrics(mean_scores(table))
        print(summary(table))
        print(f"every fold, and its picture: {Path(output).resolve()}")


def _parts(listed: str, name: str) -> list[str]:
    """Parts of a comma list, in order, each once."""
    parts = list(dict.fromkeys(part.strip() for part in listed.split(",") if part.strip()))
    if not parts:
        raise GlacierError(f"{name}: nothing is named; give one or several between commas")
    return parts


def run_everything(data: str | None, trials: int | None, seed: int, seeds: int = 1) -> None:
    """Tune both networks, promote, compare `seeds` of each on the held-out scenes and map these."""
    open_contest(data, "comparison")
    check_folder(Path("maps"))
    for network, path in DEFAULT_EXPERIMENTS.items():
        _study_inputs(network, path, data)
    with tracking.start_run("main", "main") as parent:
        for network, path in DEFAULT_EXPERIMENTS.items():
            print(f"tuning {network} ...", file=sys.stderr)
            run_study(network, path, data, trials=trials, seed=seed, parent=parent)
        run_promotion("both", False, data, parent)
        run_comparison(data, "comparison", seeds, parent)
        champion = f"models:/{model_name('unet')}@{CHAMPION}"
        predict(data, champion, "maps", roles=("test", "unseen"), parent=parent)
