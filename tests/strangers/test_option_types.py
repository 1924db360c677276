"""What stands on the command line is read as what a constructor's annotations ask for."""

from pathlib import Path
from typing import Any

import pytest

from seqil.runs.option_types import read


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("1984", str, "1984"),
        ("1984", str | Path, "1984"),
        ("1984", str | Path | Any, "1984"),
        ("true", str | None, "true"),
        ("[1]", Path, "[1]"),
        ("null", str | None, None),
        ("null", str, "null"),
        ('"1984"', str, "1984"),
        ("007", str, "007"),
        ("1984", int, 1984),
        ("1984", int | str, 1984),
        ("1.5", float | None, 1.5),
        ("1984", Any, 1984),
        ("a.txt", Any, "a.txt"),
        ("nan", str, "nan"),
        ("[1, 2]", list, [1, 2]),
        ("9" * 5000, int, "9" * 5000),
    ],
)
def test_a_text_is_read_as_its_annotation_says(text, annotation, value):
    assert read(text, annotation) == value
    assert type(read(text, annotation)) is type(value)
