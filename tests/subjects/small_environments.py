"""Small settings of the environments, and equality of whatever they return."""

import numpy as np
import pytest

V = {"size": 5, "eos": 4}
SETTINGS = {
    "plain": {"max_length": 3, "prompts": [[0, 1], [2], [4, 4]]},
    "no backspace": {"max_length": 3, "prompts": [[0]], "backspace": False},
    "fixed horizon": {"max_length": 3, "prompts": [[0]], "fixed_horizon": True, "max_actions": 7},
    "min length": {"max_length": 3, "min_length": 2, "prompts": [[3], [1, 2]], "max_actions": 5},
    "wider": {"max_length": 2, "prompts": [[0]], "max_prompt_length": 4},
}
every = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)


def agree(a, b):
    if isinstance(a, dict):
        return set(a) == set(b) and all(agree(a[k], b[k]) for k in a)
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype == object:
        return all(agree(x, y) for x, y in zip(a, b, strict=True)) if a.ndim else a == b
    return a.dtype == b.dtype and a.shape == b.shape and (a == b).all()


REVISIONS = {
    "any edit": {"max_length": 3, "prompts": [[0, 1], [2], [4, 4]]},
    "drafts": {"max_length": 3, "min_length": 1, "prompts": [[0, 1], [2]], "start": "draft", "drafts": [[1, 2, 3], []]},
    "noise": {"max_length": 4, "min_length": 2, "prompts": [[3], [1, 2]], "start": "noise", "max_actions": 7},
    "substitutions": {"max_length": 2, "prompts": [[0]], "kinds": ["substitute"], "start": "noise"},
    "at the end": {"max_length": 3, "prompts": [[0]], "kinds": ["insert", "delete"], "positions": "end"},
    "fixed horizon": {"max_length": 2, "prompts": [[0]], "fixed_horizon": True, "max_actions": 9},
}
