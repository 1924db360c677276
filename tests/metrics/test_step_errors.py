"""What tables say of a policy against a teacher, beside sums over every text that either can write."""

import math
from functools import cache

import numpy as np
import pytest
import torch

from seqil import Task, Trajectories, Vocabulary, rollout
from seqil.metrics.reported import evaluation
from seqil.testing.agents import tiny_policy
from seqil.theory.enumeration import prefix_table

V, LONGEST, TEXTS = Vocabulary(5, 4), 4, 2000
LAWS = torch.tensor(
    [[0.3, 0.3, 0.2, 0.2, 0.0], [0.5, 0.1, 0.1, 0.1, 0.2], [0.04, 0.04, 0.02, 0.7, 0.2], [0.98, 0.01, 0.01, 0.0, 0.0]],
    dtype=torch.float64,
)


class Steepening(Task):
    """A teacher that is surer with every token: a policy near the uniform law is further from it at each position."""

    name, vocabulary, max_length = "steepening", V, LONGEST

    def prompts(self, n, split, seed):
        return [[0]] * n

    def demonstrations(self, n, split, seed):
        texts, share = zip(*demonstrated().items(), strict=True)
        drawn = torch.tensor(share).multinomial(n, replacement=True, generator=seeded(seed)).tolist()
        return Trajectories.from_actions(V, [[0]] * n, [list(texts[i]) for i in drawn], max_length=LONGEST)

    def next_distribution(self, prefixes):
        ends = torch.eye(V.size, dtype=torch.float64)[V.eos]
        at = prefixes.generated.clamp(max=LONGEST - 1)
        return torch.where((prefixes.ended | (prefixes.generated == LONGEST))[:, None], ends, LAWS[at])


class Writer:
    """The teacher as a policy."""

    vocabulary, backspace = V, False

    def log_probs(self, prefixes):
        law = Steepening().next_distribution(prefixes)
        return torch.cat([law, torch.zeros(len(law), 1, dtype=law.dtype)], 1).log()


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def expected(texts, share, table):
    """Of texts with these probabilities: mean step error at an even position, and regret."""
    law = table.law[:, :-1] / table.law[:, :-1].sum(1, keepdims=True)  # of the next token, if none is deleted
    student = dict(zip(table.texts, law, strict=True))
    teacher = [[*row] for row in LAWS.tolist()] + [[0, 0, 0, 0, 1.0]]
    lacks = sum(p * len(tokens(text)) for text, p in demonstrated().items())
    step = regret = 0.0
    for text, p in zip(texts, share, strict=True):
        kept = tokens(text)
        at = [
            sum(t * math.log(t / s) for t, s in zip(teacher[k], student[text[:k]], strict=True) if t)
            for k in range(len(kept) or 1)
        ]
        ended = text[-1:] == (V.eos,)
        step += p * np.mean(at)
        regret += p * (sum(at) * bool(kept) + (0 if ended else max(lacks - len(kept), 1) * math.log(V.size)))
    return step, regret


def tokens(text):
    return text[:-1] if text[-1:] == (V.eos,) else text


@cache
def demonstrated():
    table = prefix_table(Writer(), [0], max_length=LONGEST)
    return {text: p for text, p in zip(table.texts, table.final(), strict=True) if p}


def near(estimate, value):
    assert abs(estimate.value - value) < 3 * (estimate.high - estimate.low) / (2 * 1.96)


@pytest.mark.parametrize(("backspace", "budget"), [(False, 100), (False, 3), (True, 6)])
def test_regret_and_step_errors_are_sums_over_every_text(backspace, budget):
    task, policy = Steepening(), tiny_policy(backspace).double()
    own = rollout(policy, [[0]] * TEXTS, max_length=LONGEST, max_actions=budget, generator=seeded(1))
    found = evaluation(task, policy, task.demonstrations(TEXTS, "test", 2), own)
    table = prefix_table(policy, [0], max_length=LONGEST)
    on, regret = expected(table.texts, table.within(budget)[0], table)
    data = demonstrated()
    off, _ = expected(list(data), list(data.values()), table)
    near(found["on_policy_step_error"], on)
    near(found["off_policy_step_error"], off)
    near(found["regret"], regret)
    near(found["excess_accumulated_error"], 100 * (on / off - 1))


def test_a_text_that_ran_out_of_actions_is_no_cheap_one():
    task, policy = Steepening(), tiny_policy(backspace=False)
    data = Trajectories.from_actions(V, [[0]] * 2, [[1, 3, 4], [1, 3, 0, 1, 4]], max_length=LONGEST)  # three on average

    def regret(text):
        own = Trajectories.from_actions(V, [[0]], [text], max_length=LONGEST)
        return evaluation(task, policy, data, own)["regret"].value

    missing = math.log(V.size)
    assert regret([1]) - regret([1, 4]) == pytest.approx(2 * missing)
    assert regret([1, 3, 0]) - regret([1, 3, 0, 4]) == pytest.approx(missing)
    assert regret([1, 3, 0, 1]) - regret([1, 3, 0, 1, 4]) == pytest.approx(missing)  # its eos at least


def test_one_guess_has_no_rate_of_errors_per_token():
    class Judged(Steepening):
        def first_error(self, prompt, tokens):
            return 0 if tokens[0] == 2 else None

    class Guess(Judged):
        one_guess = True

    policy = tiny_policy(backspace=False)
    own = rollout(policy, [[0]] * 8, max_length=LONGEST, generator=seeded(1))
    data = Steepening().demonstrations(8, "test", 2)
    assert "hazard" in evaluation(Judged(), policy, data, own)
    assert "hazard" not in evaluation(Guess(), policy, data, own)
