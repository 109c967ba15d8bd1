"""Suspected: how far labels that a network contradicts are to be believed wrong, by how often it contradicts labels."""

from __future__ import annotations

from dataclasses import dataclass

from cnnkit.core.text import counted, typed
from cnnkit.report.tables import percent
from cnnkit.runs.run import Run

USUAL, HIGHEST = 0.033, 0.101
"""Shares of wrong labels in ten well-known test sets, the mean and the highest.

Northcutt, Athalye and Mueller, "Pervasive Label Errors in Test Sets Destabilize Machine Learning Benchmarks", 2021,
arXiv:2103.14749.
"""

MEMORIZING = {"by_heart", "by_heart_alone", "overfits"}
"""What is seen in the curves of a training (`cnnkit.training.verdict`) by which its network knows labels by heart."""


@dataclass(frozen=True)
class Suspected:
    """What a network says of labels that it was not shown.

    Attributes:
        count: Labels that it confidently contradicts, some of `contradicted`.
        judged: Labels that it was asked about.
        contradicted: Those that it answers otherwise, confidently or not.
        shown: Pictures that the page has of the suspects.
    """

    count: int
    judged: int
    contradicted: int
    shown: int

    @property
    def share(self) -> float:
        """The share of the labels that it contradicts, 0 to 1."""
        return self.contradicted / self.judged if self.judged else 0.0

    @property
    def weak(self) -> bool:
        """Whether it contradicts more labels than are wrong in any usual set: mostly it is itself mistaken."""
        return self.share > HIGHEST

    @property
    def title(self) -> str:
        """What such labels are called."""
        return "Labels that the network contradicts" if self.weak else "Labels that may be wrong"

    def verdict(self, run: Run) -> str:
        """What should be known of them, in a sentence."""
        search = search_of(run).told
        see = "see below; " if self.shown else ""
        if self.weak:
            return (
                f"the network contradicts {percent(self.share)} of the labels of validation and test images, mostly by "
                f"mistakes of its own, so of {counted(self.count, 'label')} that it confidently contradicts most are "
                f"likely to be right; {see}{search}"
            )
        or_it = f", or the network is, which contradicts {percent(self.share)} of all" if self.share > USUAL else ""
        many = counted(self.count, "label")
        return f"{many} of the validation and test images may be wrong{or_it}; {see}{search}"

    @property
    def doubt(self) -> str:
        """How sure it is that they are wrong, in a sentence."""
        known = f"in ten well-known test sets {percent(USUAL)} are wrong in the mean (Northcutt et al. 2021)"
        share = f"The network contradicts {percent(self.share)} of the labels"
        if self.share <= USUAL:
            return f"{share}, and {known}: look whether the label or the network is right."
        own = f"some {round(100 * (1 - USUAL / self.share))}\u00a0%"
        return (
            f"{share}, and {known}. So {own} of its contradictions are likely to be mistakes of its own: look closely."
        )


@dataclass(frozen=True)
class Search:
    """What searches the training images of a run too.

    Attributes:
        which: What is to be known of these images, a subordinate clause.
        command: What is typed.
    """

    which: str
    command: str

    @property
    def clause(self) -> str:
        """What the command does, as the part of a sentence before it."""
        return f"training images, {self.which}, are searched by"

    @property
    def told(self) -> str:
        """The same with the command."""
        return f"{self.clause}: {self.command}"


def search_of(run: Run) -> Search:
    """What searches the training images of a run too: by what it makes of images, unless it may know their labels."""
    command = f"cnnkit data {typed(run.files.config)} --suspects"
    if MEMORIZING & {remark.get("kind") for remark in run.provenance().get("verdict") or ()}:
        return Search("whose labels the network may know by heart", f"{command} folds")
    return Search("unless the network knows their labels by heart", f"{command} {typed(run.folder)}")
