"""The registered model as a file of code: mlflow runs it at load time, beside a copy of glacier_ml.

It needs neither optuna nor an installed glacier_ml; `register_model` says what it does need.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

# Where glacier_ml is installed, mlflow's start has loaded this much of it (see glacier_ml.conda_standin), and
# the copy that came with the model would be passed over. Whoever uses more of the installed one keeps it.
if {name for name in sys.modules if name.partition(".")[0] == "glacier_ml"} <= {
    "glacier_ml",
    "glacier_ml.conda_standin",
}:
    sys.modules.pop("glacier_ml.conda_standin", None)
    sys.modules.pop("glacier_ml", None)


class PackagedClassifier(PythonModel):
    """Reflectance (n, rows, columns, bands) to glacier probability (n, rows, columns), both float32."""

    def load_context(self, context: Any) -> None:
        """Load the classifier that was saved with the model."""
        from glacier_ml.learning.classifier import NetworkClassifier

        self.classifier = NetworkClassifier.load(Path(context.artifacts["classifier"]))

    # mlflow reads the type: np.ndarray leaves the stated tensor signature in force.
    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> np.ndarray:
        """Map arrays; NaN in any band is no data and gives NaN."""
        probabilities = [self.classifier.probability_of_array(stack) for stack in np.asarray(model_input)]
        return np.stack(probabilities).astype(np.float32)


set_model(PackagedClassifier())
