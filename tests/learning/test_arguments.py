"""Arguments of another kind than their annotations are refused by name, and whatever is a number is one."""

import numpy as np
import pytest
import torch

from envs.tasks import Automaton
from seqil import Sampling, Vocabulary, rollout, start
from seqil.errors import InvalidInputError
from seqil.errors.arguments import typed
from seqil.testing.agents import tiny_policy


@typed
def echo(n: int, share: float = 0.5, name: str | None = None, on: bool = True, more: object = None) -> tuple:
    return n, share, name, on, more


@pytest.mark.parametrize(
    "values",
    [
        (3,),
        (np.array(3), np.array(0.5)),
        (np.int64(3), np.float32(0.5)),
        (torch.tensor(3), torch.tensor(0.5)),
        (3, 1, "x", np.bool_(True), object()),
    ],
)
def test_what_is_meant_passes(values):
    assert echo(*values)[: len(values)] == values


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"n": "3"}, "echo: n='3' is not an int"),
        ({"n": 1.5}, "echo: n=1.5 is not a whole number"),
        ({"n": float("nan")}, "echo: n=nan is not an int"),
        ({"n": True}, "echo: n=True is not an int"),
        ({"n": torch.tensor(1.5)}, "n=tensor"),
        ({"n": torch.tensor([1, 2])}, "n=tensor"),
        ({"n": np.array([1, 2])}, "n=array"),
        ({"n": torch.tensor(True)}, "n=tensor"),
        ({"n": 10**5000}, "n=a number of some 5,000 digits is beyond 64 bits"),
        ({"n": 3, "share": np.ones(2)}, "share=array"),
        ({"n": 3, "share": torch.ones(2)}, "share=tensor"),
        ({"n": 3, "share": -(10**5000)}, "share=a number of some 5,000 digits is beyond 64 bits"),
        ({"n": 3, "share": "x"}, "share='x' is not a float"),
        ({"n": 3, "share": True}, "share=True is not a float"),
        ({"n": 3, "name": 3}, "name=3 is not a str or None"),
        ({"n": 3, "on": "no"}, "on='no' is not a bool"),
        ({"n": 3, "on": 1}, "on=1 is not a bool"),
    ],
)
def test_what_is_not_is_named(values, said):
    with pytest.raises(InvalidInputError) as caught:
        echo(**values)
    assert said in str(caught.value)


def test_what_is_missing_is_pythons_to_say():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'n'"):
        echo()


def test_the_public_surface_is_checked():
    with pytest.raises(InvalidInputError, match="rollout: max_actions=nan is not an int or None"):
        rollout(tiny_policy(), [[0]], max_length=3, max_actions=float("nan"))
    with pytest.raises(InvalidInputError, match=r"rollout: generator=0 is not a torch\.Generator or None"):
        rollout(tiny_policy(), [[0]], max_length=3, generator=0)
    with pytest.raises(InvalidInputError, match=r"Sampling: every=1\.5 is not a whole number"):
        Sampling(every=1.5)


@pytest.mark.parametrize("vocabulary", [np.array([1, 2]), np.int64(2)])
def test_what_has_a_size_is_no_vocabulary(vocabulary):
    with pytest.raises(InvalidInputError, match=r"start: vocabulary=.* is not a Vocabulary"):
        start(vocabulary, [[0]], 4)


def test_the_json_form_of_a_vocabulary_is_one():
    assert torch.equal(start({"size": 5, "eos": 4}, [[0]], 4).tokens, start(Vocabulary(5, 4), [[0]], 4).tokens)
    with pytest.raises(InvalidInputError, match=r"vocabulary \{'size': 5\} is neither a Vocabulary nor"):
        start({"size": 5}, [[0]], 4)


def test_what_has_a_vocabulary_is_no_policy():
    with pytest.raises(InvalidInputError, match=r"rollout: policy=.* is not a TokenPolicy"):
        rollout(Automaton(horizon=8), [[0]], max_length=2)


def test_a_complaint_is_one_line_whatever_it_quotes():
    assert str(InvalidInputError("x=tensor([1,\n        2]) is odd\r; give 1")) == "x=tensor([1, 2]) is odd ; give 1"
    long = str(InvalidInputError(f"x={'a' * 5000} is odd; give 1"))
    assert len(long) < 250
    assert long.startswith("x=aaa")
    assert long.endswith("a is odd; give 1")
    assert len(str(InvalidInputError("a " * 5000))) < 500


def test_states_are_not_trajectories():
    policy = tiny_policy()
    with pytest.raises(InvalidInputError, match=r"log_probs: prefixes=.* is not a seqil.Prefixes"):
        policy.log_probs(rollout(policy, [[0]], max_length=2, generator=torch.Generator()))
