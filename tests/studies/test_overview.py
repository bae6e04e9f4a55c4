"""What MLflow's pages show of a study that was run."""

from glacier_ml.studies.tracking.runs import client
from glacier_ml.studies.tracking.views import VIEW_TAG


def test_a_study_s_page_tells_its_best_trial(beside_project, tiny_project):
    result = tiny_project.results["ffnn"]
    trial = client().get_run(result.run_id)
    study = client().get_run(trial.data.tags["mlflow.parentRunId"])
    told = study.data.tags["mlflow.note.content"]
    pages = f"#/experiments/{study.info.experiment_id}/runs"
    assert (
        f"**Validation IoU {result.value:.3f}** by [trial {result.number}]({pages}/{result.run_id})" in told
    )
    assert "the best of 2 trials (2 complete, 0 pruned, 0 failed)" in told
    assert "[glacier-ffnn version 1](#/models/glacier-ffnn/versions/1)" in told
    assert f"[Compare the trials]({pages}?" in told and f"viewStateShareKey={result.name})" in told
    assert f"| nodes | {result.best.nodes} |" in told


def test_a_network_s_trials_of_all_studies_have_a_view(beside_project, tiny_project):
    experiment = client().get_experiment_by_name("glacier_ml")
    views = {key.removeprefix(VIEW_TAG) for key in experiment.tags if key.startswith(VIEW_TAG)}
    studies = {one.name for one in tiny_project.results.values()}
    assert views == {*studies, "ffnn-of-all-studies", "unet-of-all-studies"}
    wanted = "tags.`kind` = 'trial' and params.`network` = 'unet'"
    found = client().search_runs([experiment.experiment_id], wanted)
    assert {run.data.tags["study"] for run in found} == {tiny_project.results["unet"].name}
