from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from cnnkit.core.spec import CapturePattern, captured


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
