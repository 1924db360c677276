"""Rows for other trainers have the likelihood of the trees that they were made from."""

import torch
from hypothesis import given, settings
from tiny_models import V, tiny_policy

from seqil import Trajectories
from seqil.mdp.plain_rows import IGNORED
from seqil.testing.strategies import trajectories


def test_by_hand():
    t = Trajectories.from_actions(V, [[0]], [[1, 2, 7, 3, 7, 7, 4, 6]], imitate=[[1, 0, 1, 1, 1, 1, 1, 1]])
    assert t.to_rows() == [
        {"input_ids": [0, 1, 2, 7], "labels": [IGNORED, IGNORED, IGNORED, 7]},
        {"input_ids": [0, 1, 3, 7], "labels": [IGNORED, IGNORED, 3, 7]},
        {"input_ids": [0, 1, 7], "labels": [IGNORED, 1, 7]},
        {"input_ids": [0, 4, 6], "labels": [IGNORED, 4, 6]},
    ]


@given(trajectories(V))
@settings(max_examples=15)
def test_their_likelihood_is_that_of_the_tree(t):
    policy, total = tiny_policy("gpt2"), 0.0
    with torch.no_grad():
        for row in t.to_rows():
            ids = torch.tensor([row["input_ids"]])
            logits = policy.model(torch.where(ids == V.size, 0, ids)).logits[0, :-1, : V.num_actions]
            labels = torch.tensor(row["labels"][1:])
            counted = labels != IGNORED
            total += float(logits[counted].gather(1, labels[counted, None]).sum())
        values = policy.step_values(t)
    expected = float(values.q[t.imitate & t.inside].sum())
    assert abs(total - expected) < 1e-9 * (1 + abs(expected))
