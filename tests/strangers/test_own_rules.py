"""Decoding rules of one's own: legality goes before them, and one that is wrong is named."""

import pytest
import torch

from seqil import rollout
from seqil.decoding import NamedRule
from seqil.errors import InvalidInputError
from seqil.testing.agents import tiny_policy


def written(rule, max_length=4):
    policy = tiny_policy()
    prompts = [[0], [1, 2]]
    return rollout(policy, prompts, max_length=max_length, rules=[rule], generator=torch.Generator().manual_seed(0))


def own(warp):
    return NamedRule("mine", lambda policy: warp)


def in_place(change):
    def warp(prefixes, rows, logits):
        change(logits)
        return logits

    return warp


@pytest.mark.parametrize(
    "change",
    [lambda x: x.zero_(), lambda x: x.fill_(-torch.inf), lambda x: x[:, -1].fill_(9.0), lambda x: x[:, 1].fill_(9.0)],
    ids=["flat", "nothing", "deletions", "one token"],
)
def test_logits_that_are_changed_in_place_are_those_of_a_copy(change):
    ours = written(own(in_place(change)))
    copied = written(own(lambda prefixes, rows, logits: in_place(change)(prefixes, rows, logits.clone())))
    assert torch.equal(ours.actions, copied.actions)
    assert torch.equal(ours.log_prob, copied.log_prob)
    ours.replay()  # which refuses what is illegal


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (own(lambda p, r, x: None), r"rule mine returned a value of type NoneType; return logits, float32 \[2, 6\]"),
        (own(lambda p, r, x: x.tolist()), "rule mine returned a value of type list"),
        (own(lambda p, r, x: x.numpy()), "rule mine returned a value of type ndarray"),
        (own(lambda p, r, x: x.long()), r"rule mine returned int64 \[2, 6\]"),
        (own(lambda p, r, x: x[:, 1:]), r"rule mine returned float32 \[2, 5\]"),
        (own(lambda p, r, x: x[:, 99]), "rule mine failed: IndexError: index 99 is out of bounds"),
        (NamedRule("mine", lambda policy: None), r"rule mine: begin\(policy\) returned None, not \(prefixes, rows"),
        (NamedRule.constraint("mine", lambda p: lambda s: [True] * 5), "rule mine: what it allows is .True, "),
        (NamedRule.constraint("mine", lambda p: lambda s: torch.ones(4) > 0), r"give a tensor of bool \[5\]"),
        (NamedRule.constraint("mine", lambda p: lambda s: torch.ones(5)), r"give a tensor of bool \[5\]"),
        (NamedRule.constraint("mine", lambda p: lambda s: s.nope), "rule mine failed: AttributeError"),
    ],
)
def test_a_rule_that_is_none_is_named(rule, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        written(rule)


def test_logits_of_double_precision_are_taken():
    doubled = own(lambda prefixes, rows, logits: logits.double())
    assert torch.equal(written(doubled).actions, written(own(lambda prefixes, rows, logits: logits)).actions)
