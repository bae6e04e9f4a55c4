"""What one trial logs of the epoch whose weights are kept."""

from tiny_studies import FFNN, tiny_training

from glacier_ml.evaluation.yardstick import block_counts
from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.parameters import parse_parameters
from glacier_ml.studies import tracking, trial


def test_the_validation_s_own_maps_of_the_best_epoch_are_counted_and_drawn(store, monkeypatch):
    data, mapped, epochs = tiny_training(), [], iter([{"val/iou": 0.9}, {"val/iou": 0.1}])
    measure, probability = trial.measure, NetworkClassifier.probability
    monkeypatch.setattr(trial, "measure", lambda *given: measure(*given) | next(epochs))  # the first is best

    def noted(self, scene, *given):
        mapped.append(scene.name)
        return probability(self, scene, *given)

    monkeypatch.setattr(NetworkClassifier, "probability", noted)
    with tracking.start_run("trial", "trial") as run_id:
        fitted = trial.run_trial(parse_parameters(FFNN, "test"), data, seed=0)
    assert fitted.best_epoch == 0 and mapped == ["early", "fjord"] * 2  # once an epoch, and never after
    told = tracking.logged_dict(run_id, "validation_blocks.json")
    assert told == block_counts(fitted.classifier, data.scenes, data.split.validation)
