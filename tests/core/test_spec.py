from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, TypeAdapter, ValidationError, ValidationInfo

from cnnkit.core.spec import ByName, CapturePattern, Spec, captured


def _scaled(value: float, info: ValidationInfo) -> float:
    return value * (info.context or 1)


class Line(Spec):
    name: Literal["line"] = "line"
    points: tuple[Annotated[float, AfterValidator(_scaled)], ...] = ()


class Dot(Spec):
    name: Literal["dot"] = "dot"


class Drawing(Spec):
    shape: Annotated[Line | Dot, ByName()]
    others: tuple[Annotated[Line | Dot, ByName()], ...] = ()


def test_a_section_by_name_is_read_from_the_json_that_it_is_written_as():
    drawing = Drawing(shape=Line(points=(1.5, 2.0)), others=(Dot(), Line(points=(3.0,))))
    written = drawing.model_dump_json()
    assert Drawing.model_validate_json(written) == drawing
    assert Drawing.model_validate_json(written, context=2).shape == Line(points=(3.0, 4.0))
    with pytest.raises(ValidationError) as refused:
        Drawing.model_validate_json(written.replace("1.5", '"1.5"'))
    assert [error["loc"] for error in refused.value.errors()] == [("shape", "line", "points", 0)]


def test_a_list_is_no_tuple_but_in_json():
    with pytest.raises(ValidationError, match="tuple"):
        Drawing.model_validate({"shape": {"name": "line", "points": [1.0]}})


def test_a_section_by_name_is_written_where_none_of_its_kind_was_checked_before():
    class Once(Spec):
        name: Literal["once"] = "once"
        size: int = 1

    class Sheet(Spec):
        shape: Annotated[Once | Dot, ByName()]

    once = Once.model_construct(size=3)  # as it is unpickled in another process
    assert not Once.__pydantic_complete__
    assert Sheet.model_construct(shape=once).model_dump() == {"shape": {"name": "once", "size": 3}}


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"([a-z]+)\.\d+\.jpg", "cat.0.jpg", "cat"),
        (r".*/(patient\d+)_.*", "ill/patient12_03.png", "patient12"),
        (r"(?:.*/)?(?P<film>film\d+)-.*", "film3-frame12.png", "film3"),
        (r"(S\d+)", "S01.png", None),  # the whole text is meant
        (r"([a-z]+)\.\d+\.jpg", "train/cat.0.jpg", None),
        (r"(a)?b", "b", None),
    ],
)
def test_a_pattern_captures_from_a_whole_text(pattern, text, found):
    assert captured(TypeAdapter(CapturePattern).validate_python(pattern), text) == found


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "is no regular expression: missing"),
        ("*", "is no regular expression: nothing to repeat"),
        ("patient[0-9]+", "one group in round brackets, the part that counts, and has none"),
        ("(a)_(b)", r"and has 2; brackets that only hold together are written \(\?:"),
        ("", "and has none"),
    ],
)
def test_another_pattern_is_refused(pattern, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(CapturePattern).validate_python(pattern)
