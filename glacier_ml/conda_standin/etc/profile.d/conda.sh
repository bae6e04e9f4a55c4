# Sourced by mlflow before it says 'conda activate NAME' and runs the entry point's command in the same shell.
conda() { :; }
PATH="$(dirname "$GLACIER_ML_PYTHON"):$PATH"
python() { "$GLACIER_ML_PYTHON" "$@"; }
