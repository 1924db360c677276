"""Other libraries tell users on stderr what they think of a file; what is wrong with one is ours to say, in a line."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silently() -> Iterator[None]:
    """Keep transformers, peft and Python's warnings from printing, bars of progress among them."""
    from transformers.utils import logging as of_transformers

    before, bars = of_transformers.get_verbosity(), of_transformers.is_progress_bar_enabled()
    of_transformers.set_verbosity(logging.CRITICAL + 1)
    of_transformers.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        of_transformers.set_verbosity(before)
        if bars:
            of_transformers.enable_progress_bar()
