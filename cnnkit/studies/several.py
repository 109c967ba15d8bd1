"""Several trainings in one process: what TensorFlow takes for a mistake there is none."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def several() -> Iterator[None]:
    """Within it networks are trained one after the other.

    TensorFlow warns from the fifth on that a function is compiled again and again, which is right, as each network is
    another one, and which nobody can do anything about.
    """
    logger = logging.getLogger("tensorflow")
    logger.addFilter(_no_advice)
    try:
        yield
    finally:
        logger.removeFilter(_no_advice)


def _no_advice(record: logging.LogRecord) -> bool:
    return "tf.function retracing" not in record.getMessage()
