"""Settings that can't be meant are errors, and say what would be right."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from cnnkit.data.preparation import AnyPreparation

ADAPTER: Any = TypeAdapter(AnyPreparation)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "resize"}, "needs height and width, or longest_side, or shortest_side"),
        ({"name": "resize", "height": 10}, "needs height and width"),
        ({"name": "resize", "height": 10, "width": 10, "longest_side": 20}, "and no other"),
        ({"name": "resize", "longest_side": 20, "shortest_side": 10}, "and no other"),
        ({"name": "resize", "longest_side": 0}, "greater than or equal to 1"),
        ({"name": "color_space", "space": "rgb"}, "hsv"),
        ({"name": "channel", "channel": 3}, "red"),
        ({"name": "channel", "channel": True}, "red, green, blue, 0, 1 or 2, not true"),
        ({"name": "channel", "channel": 1.0}, "not 1.0"),
        ({"name": "channel", "channel": "yellow"}, "green"),
        ({"name": "blur", "kernel_size": 4}, "should be odd"),
        ({"name": "blur", "kernel_size": 1}, "greater than or equal to 3"),
        ({"name": "blur", "kind": "median", "sigma": 1.0}, "setting of kind gaussian and bilateral, kind median can't"),
        ({"name": "blur", "sigma_color": 0.1}, "is a setting of kind bilateral, kind gaussian can't take it"),
        ({"name": "denoise", "strength": 0.0}, "greater than 0"),
        ({"name": "denoise", "patch_size": 33}, "less than or equal to 31"),
        ({"name": "denoise", "search_size": 20}, "should be odd"),
        ({"name": "convolve", "kernel": ()}, "odd number of rows and of columns.*not 0 x 0"),
        ({"name": "convolve", "kernel": ((),)}, "not 1 x 0"),
        ({"name": "convolve", "kernel": ((1, 2, 3), (4, 5, 6))}, "not 2 x 3"),
        ({"name": "convolve", "kernel": ((1, 2, 3), (4, 5), (6, 7, 8))}, "as many weights in each row, not 3, 2, 3"),
        ({"name": "convolve", "kernel": ((1.0,) * 257,)}, "at most 255"),
        ({"name": "convolve", "kernel": ((float("nan"),),)}, "finite"),
        ({"name": "convolve", "kernel": ((0.0,) * 3,) * 3}, "a weight that is not 0, or all pictures would become"),
        ({"name": "convolve", "kernel": ((1e308,),)}, "less than or equal to 1000000"),
        ({"name": "convolve", "kernel": ((1.0,),), "scale": -1e308}, "greater than or equal to -1000000"),
        ({"name": "convolve", "kernel": ((1.0,),), "scale": 0.0}, "should not be 0"),
        ({"name": "convolve", "kernel": ((1.0,),), "offset": 1e308}, "less than or equal to 1000000"),
        ({"name": "binarize", "threshold": 0.5}, "is a setting of method fixed, method otsu can't take it"),
        ({"name": "binarize", "method": "fixed"}, "needs a threshold with method fixed"),
        ({"name": "binarize", "method": "fixed", "threshold": 128.0}, "less than or equal to 1"),
        ({"name": "binarize", "method": "fixed", "threshold": 0.5, "offset": 0.1}, "setting of method adaptive"),
        ({"name": "binarize", "method": "adaptive"}, "needs a block_size"),
        ({"name": "binarize", "method": "adaptive", "block_size": 8}, "should be odd"),
        ({"name": "erode", "kernel_size": 4}, "should be odd"),
        ({"name": "open", "iterations": 0}, "greater than or equal to 1"),
        ({"name": "remove_small"}, "needs min_area .* or min_pixels, and not both"),
        ({"name": "remove_small", "min_area": 0.1, "min_pixels": 5}, "and not both"),
        ({"name": "crop_to_content", "method": "otsu", "threshold": 0.1}, "is a setting of method fixed"),
        ({"name": "mask", "file": "{stem}_mask.png"}, "is a setting of method file, method otsu can't take it"),
        ({"name": "mask", "method": "file"}, "needs a file with method file"),
        ({"name": "mask", "method": "file", "file": "{stem}.png", "foreground": "dark"}, "setting of method otsu"),
        ({"name": "mask", "method": "file", "file": "mask.png"}, r"should hold \{stem\} or \{name\}"),
        ({"name": "mask", "method": "file", "file": "{stem}{class}.png"}, r"there is no \{class\}; it may be \{stem\}"),
        ({"name": "mask", "method": "file", "file": "{stem.__class__}"}, "there is no"),
        ({"name": "mask", "method": "file", "file": "{name}"}, "is the image itself, not a mask of it"),
        ({"name": "mask", "method": "file", "file": "../{folder}/./{name}"}, "is the image itself, not a mask of it"),
        ({"name": "mask", "method": "file", "file": "{stem}\0.png"}, "holds a character .NUL. that no file's name has"),
        ({"name": "segment", "margin": 0.5}, "less than 0.5"),
        ({"name": "segment", "foreground": "dark"}, "is a setting of method watershed"),
        ({"name": "segment", "method": "watershed", "iterations": 3}, "is a setting of method grabcut"),
        ({"name": "segment", "method": "watershed", "margin": 0.1}, "is a setting of method grabcut"),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items())[:60] if isinstance(value, dict) else "",
)
def test_what_can_not_be_meant_is_an_error(settings, message):
    with pytest.raises(ValueError, match=message):
        ADAPTER.validate_python(settings)
