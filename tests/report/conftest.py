"""A page of the report with whatever text and pictures a test wants on it."""

from __future__ import annotations

from dataclasses import fields

import pytest

from cnnkit.report import charts, confusion
from cnnkit.report.page import Page
from cnnkit.report.pictures import Picture
from cnnkit.report.tables import Table


def made(text="cat", classes=("cat", "dog"), counts=((3, 1), (0, 2)), pictures=()) -> Page:
    table = Table(text, (text, "value"), [[text, text]])
    history = [{"epoch": k, "loss": 1 / k, "accuracy": 0.5, "val_loss": None, "val_accuracy": 0.4} for k in (1, 2)]
    known = {
        "name": text,
        "title": text,
        "remarks": [text],
        "made": text,
        "figures": table,
        "curves": charts.curves(history, 2),
        "split": "test",
        "matrix": confusion.matrix(classes, counts),
        "cells": {"0,1": list(pictures) or [Picture("data:image/png;base64,", text, text)]},
        "pairs": confusion.pairs(classes, counts),
        "classes": table,
        "calibration": charts.reliability([(0.5, 0.4, 3)]),
        "calibrated": table,
        "mistakes": [Picture("data:image/png;base64,", text, text)],
        "candidates": 1,
        "unsure": [],
        "more": [table],
        "images": table,
        "findings": [text],
        "samples": [],
        "augmented": [],
        "layers": table,
        "config": text,
        "provenance": table,
        "commands": [(text, text)],
        "notes": [text],
    }
    assert {field.name for field in fields(Page)} == set(known)
    return Page(**known)


@pytest.fixture(scope="session")
def page():
    """Makes one."""
    return made
