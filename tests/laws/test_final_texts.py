"""The exact law of final texts: recursion against propagation, against the kernel of order k, against samples."""

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from table_policy import TablePolicy
from tiny_models import FAMILIES, tiny_policy

from seqil import Vocabulary, exact, rollout
from seqil.errors import InvalidInputError
from seqil.mdp.prefix import legal_actions
from seqil.rollouts import rollout_reference
from seqil.theory.enumeration import prefix_table

V = Vocabulary(size=3, eos=2)
LENGTHS = st.integers(1, 3).flatmap(lambda most: st.tuples(st.just(most), st.integers(0, most)))


class LastTokens:
    """A policy of the last k tokens: float64 logits [V ** k, A], the most recent token last."""

    def __init__(self, vocabulary, k, seed):
        self.vocabulary, self.k = vocabulary, k
        g = torch.Generator().manual_seed(seed)
        self.logits = torch.randn(vocabulary.size**k, vocabulary.num_actions, generator=g, dtype=torch.float64)

    def state(self, text):
        index = 0
        for token in text[-self.k :]:
            index = index * self.vocabulary.size + token
        return index

    def log_probs(self, prefixes):
        logits = self.logits[[self.state(text) for text in prefixes.texts(prompt=True)]]
        return logits.masked_fill(~legal_actions(self.vocabulary, prefixes), -torch.inf).log_softmax(-1)


@given(st.integers(0, 1000), LENGTHS, st.floats(-2, 2))
def test_without_a_budget_the_recursion_is_the_limit_of_the_walk(seed, lengths, deletes):
    table = prefix_table(TablePolicy(V, seed, deletes), [0], max_length=lengths[0], min_length=lengths[1])
    final = table.final()
    assert final.sum() == pytest.approx(1)
    before, n = math.inf, 4
    while n <= 4096:
        at, actions = table.within(n)
        assert at.sum() == pytest.approx(1)
        assert actions <= n
        missing = at[~table.ended].sum()
        assert (at * table.ended <= final + missing + 1e-9).all()
        distance = np.abs(at * table.ended - final).sum()
        assert distance <= before + 1e-9
        if missing < 1e-12:
            break
        before, n = distance, 2 * n
    np.testing.assert_allclose(at * table.ended, final, atol=1e-9 if missing < 1e-12 else missing)


@given(st.integers(0, 1000), LENGTHS)
def test_without_a_backspace_every_text_is_as_probable_as_its_steps(seed, lengths):
    policy = TablePolicy(V, seed, backspace=False)
    table = prefix_table(policy, [1], max_length=lengths[0], min_length=lengths[1])
    at, actions = table.within(lengths[0] + 1)
    np.testing.assert_allclose(at, table.final(), atol=1e-12)
    assert actions == pytest.approx(sum(p * len(text) for p, text in zip(at, table.texts, strict=True)))
    assert not table.deletion().any()


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_students_of_the_last_symbols_agree_with_their_kernel(k, seed):
    """A fixed horizon, where the last token may still be deleted before `eos`."""
    T, S = 4, V.size**k
    policy = LastTokens(V, k, seed)
    prompt = [0, 1][-k:]
    table = prefix_table(policy, prompt, max_length=T, min_length=T)
    law = policy.logits.clone()
    law[:, V.eos] = -torch.inf
    law = law.softmax(1).numpy()
    at_end = policy.logits[:, [V.eos, V.backspace]].softmax(1)[:, 1].numpy()
    after = (np.arange(S)[:, None] * V.size + np.arange(V.size)) % S
    kernels = exact.final_text_law(law[:, :-1], law[:, -1], T, after, at_end)
    expected = {}
    for text in product(range(V.size - 1), repeat=T):
        state, p = policy.state(prompt), 1.0
        for step, token in enumerate(text):
            p *= kernels[step, state, token]
            state = after[state, token]
        expected[(*text, V.eos)] = p
    found = {text: p for text, p in zip(table.texts, table.final(), strict=True) if p}
    assert found == pytest.approx(expected, abs=1e-12)


def test_actions_of_a_walk_are_those_of_the_generating_function():
    Q, beta = np.array([[0.5, 0.3], [0.2, 0.4]]), np.array([0.2, 0.4])
    v = Vocabulary(size=3, eos=2)

    class Walk:
        """The chain of Q; it stops as soon as three tokens stand."""

        vocabulary = v

        def log_probs(self, prefixes):
            texts = prefixes.texts(prompt=True)
            law = torch.zeros(len(texts), 4, dtype=torch.float64)
            for row, text in enumerate(texts):
                if len(text) >= 4:
                    law[row, 2] = 1
                else:
                    s, root = text[-1], len(text) == 1
                    law[row, :2] = torch.tensor(Q[s] / (1 - beta[s] * root))
                    law[row, 3] = 0 if root else beta[s]
            return law.log()

    for first in (0, 1):
        _, actions = prefix_table(Walk(), [first], max_length=3, min_length=3).within(400)
        assert actions - 1 == pytest.approx(exact.expected_actions(Q, beta, 3)[first], abs=1e-10)


def fits(table, law, texts):
    """Chi-squared test of sampled texts against a law, rare ones pooled."""
    counts, n = Counter(map(tuple, texts)), len(texts)
    if not set(counts) <= {text for text, p in zip(table.texts, law, strict=True) if p > 0}:
        return False
    expected = np.array([n * p for p in law])
    observed = np.array([counts[text] for text in table.texts])
    common = expected >= 5
    pairs = [np.append(x[common], x[~common].sum()) for x in (observed, expected)]
    if pairs[1][-1] == 0:
        pairs = [x[:-1] for x in pairs]
    return stats.chisquare(*pairs).pvalue > 1e-3


@pytest.mark.parametrize("max_actions", [5, 12])
@pytest.mark.parametrize("seed", [0, 1])
def test_samples_of_a_table_follow_the_law(seed, max_actions):
    policy = TablePolicy(V, seed, deletes=1.0)
    table = prefix_table(policy, [0], max_length=3)
    law, actions = table.within(max_actions)
    drawn = rollout_reference(policy, [[0]] * 2000, max_length=3, max_actions=max_actions,
                              generator=torch.Generator().manual_seed(seed))  # fmt: skip
    assert fits(table, law, drawn.replay().texts())
    lengths = drawn.lengths.double()
    assert abs(lengths.mean() - actions) <= 4 * lengths.std() / math.sqrt(len(drawn))
    if max_actions == 5:
        assert law[~table.ended].sum() > 0.02  # the budget binds, and that is part of the law
        assert not fits(table, table.within(7)[0], drawn.replay().texts())


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_of_a_model_follow_the_law(family):
    policy = tiny_policy(family)
    table = prefix_table(policy, [1, 2], max_length=2, min_length=1)
    law, actions = table.within(10)
    drawn = rollout(policy, [[1, 2]] * 6000, max_length=2, min_length=1, max_actions=10,
                    generator=torch.Generator().manual_seed(0))  # fmt: skip
    assert fits(table, law, drawn.replay().texts())
    lengths = drawn.lengths.double()
    assert abs(lengths.mean() - actions) <= 4 * lengths.std() / math.sqrt(len(drawn))


def test_a_tree_too_large_is_refused():
    with pytest.raises(InvalidInputError, match="more than 50 prefixes"):
        prefix_table(TablePolicy(V), [0], max_length=8, limit=50)
