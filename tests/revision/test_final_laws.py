"""The exact law of final texts against walks through all draws, all orders and samples."""

import copy
from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import FAMILIES, tiny_policy

from seqil import TokenPolicy, Trajectories, Vocabulary, metrics, rollout
from seqil.errors import InvalidInputError, UnsupportedModelError
from seqil.randomness import seeded
from seqil.revision import EditPolicy, MaskedPolicy, ParallelPolicy
from seqil.revision.final_laws import filled_law, final_log_probs
from seqil.revision.making import small_bert

V = Vocabulary(4, 3)
LENGTH = 3
TEXTS = list(product(range(3), repeat=LENGTH))


class Exact:
    """Conditionals of a joint law of three cells after the token 0, by summing it."""

    vocabulary = V

    def __init__(self, seed):
        self.whole = dict(zip(TEXTS, np.random.default_rng(seed).dirichlet(np.full(len(TEXTS), 0.5)), strict=True))

    def conditionals(self, prefixes, masked):
        found = torch.full((*masked.shape, V.size), -torch.inf, dtype=torch.float64)
        for row, (cells, hidden) in enumerate(zip(prefixes.tokens[:, 1:].tolist(), masked.tolist(), strict=True)):
            missing = [i for i in range(LENGTH) if hidden[i]]
            for cell, law in given_rest(self.whole, cells, missing).items():
                found[row, cell, :3] = torch.from_numpy(law).log()
        return found


def given_rest(whole, text, missing):
    """Laws of the missing cells of a text, each given all that is there, by summing a joint law."""
    laws = {}
    for cell in missing:
        law = np.zeros(3)
        for other, p in whole.items():
            if all(other[i] == text[i] for i in range(LENGTH) if i not in missing):
                law[other[cell]] += p
        laws[cell] = law / law.sum()
    return laws


def walked(whole):
    """Final texts by all draws of all missing cells at every step, of which the surest is kept."""
    at = {(None,) * LENGTH: 1.0}
    for _ in range(LENGTH):
        after = {}
        for text, mass in at.items():
            missing = [i for i in range(LENGTH) if text[i] is None]
            laws = given_rest(whole, text, missing)
            for draw in product(range(3), repeat=len(missing)):
                sure = [laws[cell][token] for cell, token in zip(missing, draw, strict=True)]
                best = int(np.argmax(sure))
                kept = tuple(draw[best] if i == missing[best] else text[i] for i in range(LENGTH))
                after[kept] = after.get(kept, 0.0) + mass * float(np.prod(sure))
        at = after
    return at


def drawn_anew(whole, at):
    """After each cell was drawn anew once, over all orders one by one."""
    found = dict.fromkeys(TEXTS, 0.0)
    orders = list(permutations(range(LENGTH)))
    for order in orders:
        state = dict(at)
        for cell in order:
            after = dict.fromkeys(TEXTS, 0.0)
            for text, mass in state.items():
                law = given_rest(whole, text, [cell])[cell]
                for token in range(3):
                    after[(*text[:cell], token, *text[cell + 1 :])] += mass * law[token]
            state = after
        for text, mass in state.items():
            found[text] += mass / len(orders)
    return found


@settings(max_examples=8)
@given(st.integers(0, 10_000))
def test_a_filled_text_has_the_law_of_all_its_draws(seed):
    policy = Exact(seed)
    whole = policy.whole
    found, expected = filled_law(policy, [0], LENGTH), walked(whole)
    assert found.sum() == pytest.approx(1)
    for text in TEXTS:
        assert found[text] == pytest.approx(expected.get(text, 0.0), abs=1e-12)
    again, anew = filled_law(policy, [0], LENGTH, sweeps=1), drawn_anew(whole, expected)
    for text in TEXTS:
        assert again[text] == pytest.approx(anew[text], abs=1e-12)


def test_the_surest_first_is_not_the_law_and_sweeps_go_there():
    policy = Exact(1)

    def apart(sweeps):
        found = filled_law(policy, [0], LENGTH, sweeps)
        return sum(abs(found[text] - p) for text, p in policy.whole.items()) / 2

    distances = [apart(sweeps) for sweeps in (0, 1, 4, 64)]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 0.05
    assert distances[-1] < 1e-4


def masked(kind=MaskedPolicy, **options):
    """An untrained policy of whole texts whose laws are far from uniform."""
    policy = kind(small_bert(V, 16, 1, 16, 2, 0), V, **options)
    with seeded(1), torch.no_grad():
        for weight in policy.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
        policy.weight.mul_(6)
    return policy.eval()


def all_texts(prompts=((0,),), v=V, tokens=3, length=LENGTH):
    texts = list(product(range(tokens), repeat=length))
    pairs = [(list(prompt), [*text, v.eos]) for prompt in prompts for text in texts]
    return Trajectories.from_actions(v, *zip(*pairs, strict=True), max_length=length, min_length=length)


def frequencies(found, n, texts):
    counts = dict.fromkeys(map(tuple, texts), 0)
    for text in found.replay().texts():
        counts[tuple(text)] += 1
    return np.array(list(counts.values())) / n


@pytest.mark.parametrize("policy", [masked(), masked(ParallelPolicy), masked(ParallelPolicy, queries=2)])
def test_whole_texts_are_written_as_often_as_they_should(policy):
    n, texts = 4000, all_texts()
    expected = np.exp(final_log_probs(policy, texts))
    assert 0.2 < expected.max() / expected.sum() < 0.9
    sample = policy.write([[0]] * n, max_length=LENGTH, min_length=LENGTH, generator=torch.Generator().manual_seed(0))
    ended = sample.trajectories.replay().ended  # with blanks some texts have another length
    found = frequencies(sample.trajectories.select(ended), n, texts.replay().texts())
    error = np.sqrt(expected * (1 - expected) / n)
    assert np.all(np.abs(found - expected) < 4.5 * error + 1e-9)
    if not getattr(policy, "collapses", False):
        assert expected.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("memory", ["prefix", "tried"])
def test_what_a_policy_that_deletes_finally_writes(memory):
    policy = copy.deepcopy(tiny_policy("gpt2")).remember(memory)
    v, n = policy.vocabulary, 4000
    texts = all_texts(v=v, tokens=6, length=2)
    expected = np.exp(final_log_probs(policy, texts))
    assert expected.sum() == pytest.approx(1, abs=1e-9)
    sample = rollout(
        policy, [[0]] * n, max_length=2, min_length=2, max_actions=2000, generator=torch.Generator().manual_seed(0)
    )
    found = frequencies(sample, n, texts.replay().texts())
    assert np.all(np.abs(found - expected) < 4.5 * np.sqrt(expected * (1 - expected) / n) + 1e-9)
    plain = -metrics.negative_log_likelihood(policy, texts) * texts.lengths.numpy()
    assert np.abs(np.log(expected) - plain).max() > 0.05  # deletions matter to what is left


def test_without_a_backspace_it_is_the_likelihood():
    with seeded(0):
        policy = TokenPolicy(FAMILIES["gpt2"]().double(), Vocabulary(7, 6), backspace=False)
    texts = all_texts(((0,), (1, 2)), policy.vocabulary, 6, 2)
    plain = -metrics.negative_log_likelihood(policy, texts) * texts.lengths.numpy()
    np.testing.assert_allclose(final_log_probs(policy, texts), plain, atol=1e-9)


def test_what_has_no_law_here_is_refused():
    texts = all_texts()
    with seeded(0):
        remembering = TokenPolicy(FAMILIES["gpt2"](), Vocabulary(7, 6), memory="history")
    for policy in (masked(EditPolicy), masked(quality=True), remembering):
        with pytest.raises(UnsupportedModelError, match="is not known here"):
            final_log_probs(policy, texts if policy.vocabulary == V else all_texts(v=policy.vocabulary))
    with pytest.raises(InvalidInputError, match="more than 20 texts"):
        final_log_probs(masked(), texts, limit=20)
    unended = Trajectories.from_actions(V, [[0]], [[1, 2]], max_length=3, min_length=3)
    with pytest.raises(InvalidInputError, match="ended texts without deletions"):
        final_log_probs(masked(), unended)
    deleted = Trajectories.from_actions(V, [[0]], [[1, V.backspace, 1, 1, 1, 3]], max_length=3, min_length=3)
    with pytest.raises(InvalidInputError, match="ended texts without deletions"):
        final_log_probs(masked(), deleted)
    several = Trajectories.from_actions(V, [[0]], [[1, 3]], max_length=3, min_length=0)
    with pytest.raises(InvalidInputError, match="one length alone"):
        final_log_probs(masked(), several)
