"""What MLflow's pages show of a study: the view of its trials, and a summary on the study's own run."""

from __future__ import annotations

from glacier_ml.studies import tracking
from glacier_ml.studies.data import TrainingData
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.registration import model_name
from glacier_ml.studies.trial import axis_of
from glacier_ml.studies.tuning import StudyResult

RANKED_BY = "best/iou"


def show_study(run_id: str, name: str, experiment: Experiment, data: TrainingData) -> str:
    """Save the view that compares a study's trials, and that of all trials of its network.

    Parameters
    ----------
    run_id : str
        A run of the experiment where the trials are.
    name : str
        The study's; its view is called so, too.

    Returns
    -------
    str
        Address of the study's view.
    """
    searched = {parameter: axis_of(parameter) for parameter in experiment.search}
    scenes = [scene.scene.name for scene in data.scenes]

    def save(view: str, trials: str) -> str:
        return tracking.save_view(run_id, view, tracking.study_view(trials, RANKED_BY, searched, scenes))

    save(_all_of(experiment), f"params.`network` = '{experiment.network}'")
    return save(name, f"tags.`study` = '{name}'")


def _all_of(experiment: Experiment) -> str:
    """Name of the view of all trials of a network, whatever their study."""
    return f"{experiment.network}-of-all-studies"


def summarise(
    run_id: str, result: StudyResult, experiment: Experiment, data: TrainingData, version: str
) -> str:
    """Markdown for the study's run `run_id`: the best trial, how the others ended, what was registered."""
    model = model_name(experiment.network)
    pages = tracking.runs_page(run_id)
    states = ", ".join(f"{count} {state}" for state, count in result.states.items())
    values = result.best.model_dump()
    best = [f"| {name} | {_short(values[name])} |" for name in experiment.search]
    return "\n".join(
        [
            f"**Validation IoU {result.value:.3f}** by [trial {result.number}]({pages}/{result.run_id}), the "
            f"best of {sum(result.states.values())} trials ({states}); registered as "
            f"[{model} version {version}](#/models/{model}/versions/{version}).",
            "",
            f"[Compare the trials]({tracking.view_page(run_id, result.name)}): ranking, curves, maps, "
            f"parameters; or [those of all studies]({tracking.view_page(run_id, _all_of(experiment))}). "
            "Trials that were pruned or failed are grey, and say so in their names.",
            "",
            "| searched | best trial |",
            "|---|---|",
            *best,
            "",
            f"Scenes: {', '.join(scene.scene.name for scene in data.scenes)} (dataset `{data.digest[:12]}`).",
        ]
    )


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
