"""Sums around rectangles of texts: none of one law, and of other conditionals what enumeration says."""

import math
from itertools import permutations, product

import pytest
import torch

import seqil
from envs.tasks import Automaton, NGram
from seqil import Vocabulary
from seqil.errors import InvalidInputError
from seqil.randomness import seeded
from seqil.revision import EditPolicy, MaskedPolicy, incompatibility
from seqil.revision.canvases import put
from seqil.revision.making import small_bert
from seqil.testing.agents import tiny_whole_text
from seqil.theory.conditionals import MarkovConditionals


def texts(v, rows, least=None, most=None, prompt=(0, 1)):
    """Ended texts of one length, or of any up to `most`."""
    n = max(map(len, rows)) if most is None else most
    begun = seqil.start(v, [list(prompt)] * len(rows), n, n if least is None else least)
    width = n + (least is not None)
    cells = torch.tensor([[*row, *[v.eos] * (width - len(row))] for row in rows])
    return put(v, begun, cells)


def lively(v):
    """An untrained policy in float64 whose laws are far from uniform."""
    policy = MaskedPolicy(small_bert(v, 16, 1, 16, 2, 0), v).double().eval()
    with seeded(1), torch.no_grad():
        for weight in policy.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return policy


class Table:
    """`log p(x_i | x_-i)` of two cells, each given the other, from a table [cell, other's token, own token]."""

    def __init__(self, laws):
        self.vocabulary, self.laws = Vocabulary(laws.shape[-1], laws.shape[-1] - 1), laws

    def conditionals(self, prefixes, masked):
        cells = prefixes.tokens.gather(1, prefixes.prompt_length[:, None] + torch.arange(2))
        return torch.stack([self.laws[0, cells[:, 1]], self.laws[1, cells[:, 0]]], 1)


def around(policy, state, text, i, j, a, other_a, b, other_b):
    """The eight log-probabilities of one rectangle, each from a reading of its own."""

    def log_p(cell, token, beside, held):
        shown = [*text]
        shown[beside] = held
        begun = put(policy.vocabulary, state, torch.tensor([shown]))
        masked = torch.arange(len(text))[None] == cell
        return float(policy.conditionals(begun, masked)[0, cell, token].detach())

    return (
        log_p(i, a, j, b) - log_p(i, other_a, j, b) + log_p(j, b, i, other_a) - log_p(j, other_b, i, other_a)
        + log_p(i, other_a, j, other_b) - log_p(i, a, j, other_b) + log_p(j, other_b, i, a) - log_p(j, b, i, a)
    )  # fmt: skip


@pytest.mark.parametrize("task", [NGram(order=2, size=6, horizon=5), Automaton(horizon=6)])
def test_of_one_law_the_sums_vanish(task):
    law = task.law
    if isinstance(task, NGram):
        law = torch.nn.functional.pad(law.reshape(5, 5, 5), (0, 1) * 3)
    exact = MarkovConditionals(task.vocabulary, law)
    assert incompatibility(exact, task.demonstrations(20, "test", 0).replay(), samples=8) < 1e-10


def test_of_two_cells_and_two_tokens_it_is_the_one_rectangle_that_there_is():
    with seeded(0):
        laws = torch.randn(2, 3, 3, dtype=torch.float64).log_softmax(-1)
    d = laws[..., 0] - laws[..., 1]
    expected = abs(float(d[0, 0] - d[0, 1] - d[1, 0] + d[1, 1]))
    assert expected > 0.1
    policy = Table(laws)
    for seed in range(5):
        g = torch.Generator().manual_seed(seed)
        state = texts(policy.vocabulary, [[0, 0], [1, 0], [1, 1]], prompt=(0,))
        assert incompatibility(policy, state, g, 3) == pytest.approx(expected, rel=1e-12)


def test_of_a_model_it_is_the_mean_over_all_rectangles():
    v, text = Vocabulary(4, 1), [0, 3, 2]
    policy, state = lively(v), texts(v, [text], prompt=(0, 2))
    found = [
        abs(around(policy, state, text, i, j, *a, *b))
        for i, j in permutations(range(3), 2)
        for a, b in product(permutations((0, 2, 3), 2), repeat=2)
    ]
    mean, n = sum(found) / len(found), 2000
    error = math.sqrt(sum((x - mean) ** 2 for x in found) / len(found) / n)
    rows = state.select([0] * 200)
    assert incompatibility(policy, rows, torch.Generator().manual_seed(0), n // 200) == pytest.approx(
        mean, abs=4 * error
    )
    assert 4 * error < 0.2 * mean


@pytest.mark.parametrize("least", [None, 0])
def test_an_untrained_model_is_of_no_law(least):
    policy = tiny_whole_text(MaskedPolicy).double()
    state = texts(policy.vocabulary, [[0, 1, 2], [3, 3, 1]], least)
    assert incompatibility(policy, state) > 1e-6
    assert policy.training


def test_without_a_generator_the_key_is_fixed_and_ends_stay_where_they_are():
    v, before = Vocabulary(5, 4), torch.get_rng_state()
    policy, seen = lively(v), []
    read = policy.conditionals

    def watched(prefixes, masked):
        at = prefixes.prompt_length[:, None] + torch.arange(5)
        seen.append(prefixes.tokens.gather(1, at) == v.eos)
        assert masked.sum(1).tolist() == [1, 1]
        assert not masked[0, 2:].any()
        return read(prefixes, masked)

    policy.conditionals = watched
    state = texts(v, [[0, 1], [3, 0, 2, 2]], 0, 4)
    assert incompatibility(policy, state) == incompatibility(policy, state)
    assert all(ends.tolist() == [[False, False, True, True, True], [False] * 4 + [True]] for ends in seen)
    assert torch.equal(torch.get_rng_state(), before)


EXACT = MarkovConditionals(Vocabulary(4, 3), torch.full((4, 4), 0.25, dtype=torch.float64))
THREE = texts(EXACT.vocabulary, [[0, 1, 2]])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"policy": None}, "policy=None has no conditionals of cells"),
        ({"policy": tiny_whole_text(EditPolicy)}, "policy=EditPolicy has no conditionals"),
        ({"prefixes": None}, r"prefixes=None is not a seqil\.Prefixes"),
        ({"prefixes": seqil.start(EXACT.vocabulary, [[0]], 3, 3)}, "a text has not ended; fill it first"),
        ({"prefixes": texts(EXACT.vocabulary, [[0, 1], [2]], 0)}, "text 1 has no two tokens; give longer ones"),
        ({"samples": 0}, "samples=0: give 1 or more"),
        ({"samples": 1.5}, r"samples=1\.5 is not a whole number"),
        ({"generator": 3}, "generator=3 is not a torch.Generator"),
        ({"policy": Table(torch.zeros(2, 2, 2)), "prefixes": texts(Vocabulary(2, 1), [[0, 0]], prompt=(0,))},
         "one token beside eos"),
        ({"policy": Table(torch.eye(3).log().expand(2, 3, 3)), "prefixes": texts(Vocabulary(3, 2), [[0, 0]])},
         "a token has no probability above 0 given the rest"),
    ],
)  # fmt: skip
def test_what_has_no_rectangles_is_refused(options, said):
    with pytest.raises(InvalidInputError, match=said) as refused:
        incompatibility(**{"policy": EXACT, "prefixes": THREE, **options})
    assert "\n" not in str(refused.value)
