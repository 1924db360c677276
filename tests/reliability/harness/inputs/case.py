"""What a case is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Prepare = Callable[[Path], object]
FEW = ["--steps", "2", "--demonstrations", "8", "--batch-size", "4"]
SMALL = ["--layers", "1", "--width", "8", "--heads", "1", *FEW]
TRAIN = ["train", "--out", "new", *SMALL]
SAMPLE = ["sample", "run", "-n", "2"]
NO_WHOLE = ("abc", "", "1.5", "null", "[3]", "1e3", "9" * 30)
NO_NUMBER = ("abc", "", "null", "[1]", "1,5")
WRONG = {"text": "x", "list": [1], "mapping": {"a": 1}, "none": None, "true": True, "fraction": 1.5, "long": 10**400}


@dataclass(frozen=True)
class Case:
    """One command that is to be refused.

    Attributes:
        family: of what the input is.
        name: what is wrong.
        arguments: of `seqil`, of the studies' command or Python source, by `program`.
        culprit: expression that the line matches.
        start: what lies in the folder: nothing, the `whole` run with an export, or the `study`.
        prepare: what is done to the folder before.
    """

    family: str
    name: str
    arguments: list[str] | str
    culprit: str
    program: str = "seqil"
    start: str | None = None
    prepare: Prepare = field(default=lambda folder: None, compare=False)
