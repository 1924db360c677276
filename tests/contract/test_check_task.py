"""`check_task` finds what is wrong."""

import pytest
import torch

from envs.tasks.automaton import Automaton
from seqil.testing import check_task


def test_check_task_finds_what_is_wrong():
    class Overlapping(Automaton):
        def demonstrations(self, n, split, seed):
            return super().demonstrations(n, "train", seed)

        def prompts(self, n, split, seed):
            return super().prompts(n, "train", seed)

    class Unsure(Automaton):
        def next_distribution(self, prefixes):
            return super().next_distribution(prefixes) / 2

    class Harsh(Automaton):
        def first_error(self, prompt, tokens):
            return 0

    class Lenient(Automaton):
        def has_error(self, prefixes):
            return torch.zeros(len(prefixes), dtype=torch.bool)

    for cls, complaint in (
        *((Overlapping, "splits"), (Unsure, "sum"), (Harsh, "first_error")),
        (Lenient, "has_error and first_error disagree"),
    ):
        with pytest.raises(AssertionError, match=complaint):
            check_task(cls())
