"""What the settings of several steps share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"should be odd, so that there is a pixel in the middle, not {value}")
    return value


Odd = AfterValidator(_odd)
"""For a whole number of pixels around one in the middle."""

KernelSize = Annotated[int, Field(ge=3, le=255), Odd]
"""Height and width of a square around each pixel."""


def only_for(setting: str, *choices: str) -> AfterValidator:
    """For a setting that has a meaning for some choices of another one only, and is None where it is left out.

    Args:
        setting: The other setting, which comes before this one in its class.
        choices: Those of its values that this one is for.
    """

    def check(value: Any, info: ValidationInfo) -> Any:
        chosen = info.data.get(setting)
        if value is not None and chosen is not None and chosen not in choices:
            raise ValueError(f"is a setting of {setting} {' and '.join(choices)}, {setting} {chosen} can't take it")
        return value

    return AfterValidator(check)
