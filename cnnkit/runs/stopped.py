"""Stopped: how a training ended that did not come to its end, which whoever reads its figures has to know."""

from __future__ import annotations

from cnnkit.core.text import counted
from cnnkit.runs.run import FINISHED, Run


def stopped(run: Run) -> str:
    """What is to be said of the training of a run behind its name; empty where it came to its end."""
    state = run.provenance().get("state")
    if state in (None, FINISHED):
        return ""
    done, planned = len(run.history()), run.experiment.train.epochs
    epochs = f"{done:,} of {counted(planned, 'epoch')}" if planned else counted(done, "epoch")
    return f"has not ended: {epochs} so far" if state == "training" else f"was stopped after {epochs}"
