"""The memory `tried` without sampling: a guess in closed form, final texts by enumeration, two ways of summing."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from table_policy import TablePolicy
from tiny_models import tiny_policy

from seqil import Vocabulary, rollout
from seqil.decoding import tabu
from seqil.errors import InvalidInputError
from seqil.mdp.memory import TRIED
from seqil.rollouts import rollout_reference
from seqil.theory.closed_forms import Guess
from seqil.theory.enumeration import prefix_table
from tests.subjects.list_model import RememberingRow

PROMPT = [0]


class Guesser:
    """Guesses one of K tokens; the right one, 0, is ended, a wrong one deleted with a fixed chance."""

    def __init__(self, choices, detection):
        self.vocabulary, self.detection = Vocabulary(choices + 1, choices), detection

    def log_probs(self, prefixes):
        v = self.vocabulary
        law = torch.zeros(len(prefixes), v.num_actions, dtype=torch.float64)
        for row, text in enumerate(prefixes.texts()):
            if not text:
                law[row, : v.eos] = 1 / v.eos
            else:
                law[row, v.backspace] = self.detection if text[0] else 0
                law[row, v.eos] = 1 - law[row, v.backspace]
        return law.log()


@pytest.mark.parametrize("choices", [1, 2, 5, 10])
@pytest.mark.parametrize("detection", [0.0, 0.3, 0.9, 1.0])
def test_a_guess_is_right_as_often_as_its_enumeration_says(choices, detection):
    table, guess = prefix_table(Guesser(choices, detection), PROMPT, max_length=1), Guess(choices, detection)
    right = table.texts.index((0, choices))
    tried = table.tried()
    assert table.final()[right] == pytest.approx(guess.right("prefix"), abs=1e-12)
    assert tried.final()[right] == pytest.approx(guess.right("tried"), abs=1e-12)
    assert tried.visits[0].sum() == pytest.approx(guess.guesses("tried"), abs=1e-12)
    _, actions = table.within(4000)
    assert actions == pytest.approx(2 * guess.guesses("prefix"), abs=1e-9)  # each is followed by `eos` or a deletion
    assert tried.actions() == pytest.approx(2 * guess.guesses("tried"), abs=1e-12)
    written = [s for s, text in enumerate(table.texts) if len(text) == 1 and text[0] < choices]
    np.testing.assert_allclose(table.repetition()[written], guess.repetition("prefix"), atol=1e-12)


@pytest.mark.parametrize("choices", [2, 6])
@pytest.mark.parametrize("memory", ["prefix", "tried"])
def test_a_guess_against_the_known_forms(choices, memory):
    for d in (0.0, 0.25, 0.99):
        K, guess = choices, Guess(choices, d)
        again = d * (K - 1) / K
        right, guesses = {
            "prefix": (1 / K / (1 - again), 1 / (1 - again)),
            "tried": ((1 - d**K) / (K * (1 - d)), sum(d**j * (K - j) / K for j in range(K))),
        }[memory]
        assert (guess.right(memory), guess.guesses(memory)) == pytest.approx((right, guesses), abs=1e-12)
    certain = Guess(choices, 1.0)
    assert certain.right(memory) == pytest.approx(1)
    assert certain.guesses(memory) == pytest.approx({"prefix": choices, "tried": (choices + 1) / 2}[memory])
    assert Guess(choices, 0.5).repetition(memory) == {"prefix": 1 / choices, "tried": 0}[memory]


def propagated(policy, lengths):
    """Final texts and expected actions by walking over whole states, as the list model has them."""
    v, most = policy.vocabulary, lengths[0]
    at, final, actions = {((), (frozenset(),)): 1.0}, defaultdict(float), 0.0
    for _ in range(3000):
        after = defaultdict(float)
        for (text, tried), p in at.items():
            actions += p
            row = RememberingRow(PROMPT, *lengths, list(text), False, [set(tokens) for tokens in tried])
            legal = sorted(row.legal(v))
            law = policy._logits((*PROMPT, *text))[legal].softmax(0).tolist()
            for action, share in zip(legal, law, strict=True):
                next_ = row.take(v, action)
                if next_.ended:
                    final[tuple(next_.text)] += p * share
                else:
                    after[tuple(next_.text), tuple(map(frozenset, next_.tried))] += p * share
        at = after
        if sum(at.values()) < 1e-15:
            assert most > 0
            return final, actions
    raise AssertionError("the walk does not end")


@settings(max_examples=25)
@given(st.integers(0, 1000), st.sampled_from([(1, 0), (2, 0), (3, 0), (1, 1), (2, 1)]), st.floats(-2, 3))
def test_recursion_over_sets_and_a_walk_over_states_give_one_law(seed, lengths, deletes):
    policy = TablePolicy(Vocabulary(3, 2), seed, deletes)
    table = prefix_table(policy, PROMPT, max_length=lengths[0], min_length=lengths[1])
    tried = table.tried()
    final, actions = propagated(policy, lengths)
    found = {text: p for text, p in zip(table.texts, tried.final(), strict=True) if p}
    assert found == pytest.approx(dict(final), abs=1e-12)
    assert tried.final().sum() == pytest.approx(1, abs=1e-12)
    assert tried.actions() == pytest.approx(actions, abs=1e-9)


def test_where_nearly_all_the_mass_was_tried_the_rest_is_exact():
    class Sure(TablePolicy):
        def _logits(self, text):
            return torch.tensor([60.0, 1.0, 0.0, 70.0 if text[1:] == (0,) else 0.0], dtype=torch.float64)

    table = prefix_table(Sure(Vocabulary(3, 2)), PROMPT, max_length=1)
    found = table.tried().visits[0]
    assert found[:2] == pytest.approx([1, math.e / (math.e + 1)], rel=1e-9)


def simulated(policy, lengths, n, seed):
    """Texts and numbers of actions by the list model."""
    v, g = policy.vocabulary, torch.Generator().manual_seed(seed)
    texts, actions = [], []
    for _ in range(n):
        row = RememberingRow(PROMPT, *lengths)
        while not row.ended:
            legal = sorted(row.legal(v))
            law = policy._logits((*PROMPT, *row.text))[legal].softmax(0)
            row = row.take(v, legal[int(torch.multinomial(law, 1, generator=g))])
        texts.append(tuple(row.text))
        actions.append(len(row.done))
    return texts, actions


def agrees(possible, law, mean_actions, texts, actions):
    """Whether shares of texts and the mean of the actions are within three standard errors, rare texts pooled."""
    n, counts, law = len(texts), Counter(texts), dict(zip(possible, law, strict=True))
    assert set(counts) <= {text for text, p in law.items() if p > 0}
    common = [text for text, p in law.items() if n * p > 20]
    pairs = [(counts[text], law[text]) for text in common]
    rest = (n - sum(count for count, _ in pairs), 1 - sum(p for _, p in pairs))
    far = [abs(k - n * p) / math.sqrt(n * p * (1 - p)) for k, p in [*pairs, rest] if n * p > 5]
    mean = abs(np.mean(actions) - mean_actions) / (np.std(actions) / math.sqrt(n))
    return max([*far, mean]) < 3


def of_tried(table):
    tried = table.tried()
    return table.texts, tried.final(), tried.actions()


def test_simulation_follows_the_law():
    policy = TablePolicy(Vocabulary(4, 3), seed=1, deletes=1.0)
    table = prefix_table(policy, PROMPT, max_length=2)
    drawn = simulated(policy, (2, 0), 3000, seed=0)
    assert agrees(*of_tried(table), *drawn)
    assert not agrees(table.texts, table.final(), table.within(2000)[1], *drawn)


@pytest.mark.parametrize("lengths", [(3, 0), (2, 2)])
def test_the_slow_rollouts_of_a_table_follow_the_law(lengths):
    policy = TablePolicy(Vocabulary(3, 2), seed=2, deletes=0.5)
    policy.memory = TRIED
    table = prefix_table(policy, PROMPT, max_length=lengths[0], min_length=lengths[1])
    drawn = rollout_reference(policy, [PROMPT] * 1500, max_length=lengths[0], min_length=lengths[1], max_actions=200,
                              generator=torch.Generator().manual_seed(0))  # fmt: skip
    assert drawn.ended.all()
    assert agrees(*of_tried(table), [tuple(text) for text in drawn.replay().texts()], drawn.lengths.tolist())


def test_fast_rollouts_of_a_model_follow_the_law():
    policy = tiny_policy("gpt2")
    table = prefix_table(policy, [1, 2], max_length=2, min_length=1)
    drawn = rollout(policy, [[1, 2]] * 6000, max_length=2, min_length=1, max_actions=120, rules=[tabu()],
                    generator=torch.Generator().manual_seed(0))  # fmt: skip
    assert drawn.ended.all()
    assert agrees(*of_tried(table), [tuple(text) for text in drawn.replay().texts()], drawn.lengths.tolist())


def test_what_is_too_large_or_unknown_is_refused():
    with pytest.raises(InvalidInputError, match="more than 50 prefixes with what was tried"):
        prefix_table(TablePolicy(Vocabulary(3, 2)), PROMPT, max_length=4).tried(limit=50)
    with pytest.raises(InvalidInputError, match="memory='history' has no closed form"):
        Guess(3, 0.5).right("history")
    with pytest.raises(InvalidInputError, match="choices=0 must be at least 1"):
        Guess(0, 0.5)
