"""What a page of a run and one of several have alike: a list of contents, charts, and the pictures of a matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from cnnkit.report.charts import Chart
from cnnkit.report.pictures import Picture


class Sections(ABC):
    """A page in sections.

    Attributes:
        curves: Over the epochs.
        calibration: The reliability diagram, where there is one.
        cells: Pictures of the cells of the confusion matrix, or of pairs of classes, by their keys.
    """

    curves: Sequence[Chart]
    calibration: Chart | None
    cells: Mapping[str, Sequence[Picture]]

    @property
    @abstractmethod
    def sections(self) -> Sequence[tuple[str, str, object]]:
        """The `id` and the title of each section that there may be, and what is empty where it is left out."""

    @property
    def contents(self) -> list[tuple[str, str]]:
        """Those that it has."""
        return [(name, title) for name, title, there in self.sections if there]

    @property
    def charts(self) -> list[Chart]:
        """All of them."""
        return [*self.curves, *([self.calibration] if self.calibration else [])]

    @property
    def cell_pictures(self) -> dict[str, list[list[str]]]:
        """The pictures of the cells as the script of the page reads them."""
        return {key: [picture.as_json() for picture in pictures] for key, pictures in self.cells.items()}
