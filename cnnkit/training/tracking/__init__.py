"""Where a run is recorded beside metrics.jsonl: for TensorBoard always, by MLflow and Weights & Biases where asked for.

Begin reading with `tracking`. None of this can end a training, or change a bit of it.
"""
