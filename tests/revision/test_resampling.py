"""Chains of exact conditionals against matrices and enumeration; what an independent update breaks."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqil
from envs.tasks import Automaton, NGram
from seqil import Vocabulary
from seqil.errors import InvalidInputError
from seqil.revision import MaskedPolicy
from seqil.revision.canvases import laid, put
from seqil.revision.resampling import _anywhere, _ranked, filled, resample
from seqil.testing.agents import tiny_whole_text
from seqil.theory.conditionals import MarkovConditionals, communicating, gibbs

V = Vocabulary(4, 3)


def markov(order=2, seed=0, partial=False):
    """A law over three tokens and `eos`."""
    random = np.random.default_rng(seed)
    law = random.dirichlet(np.ones(3), (4,) * order)
    if partial:
        law *= random.random(law.shape) < 0.7
        law = law / np.maximum(law.sum(-1, keepdims=True), 1e-12)
    table = np.concatenate([law, np.zeros((*law.shape[:-1], 1))], -1)
    for axis in range(order):
        table[(slice(None),) * axis + (3,)] = 0
    return torch.from_numpy(table)


def joint(law, n, prompt=(0, 1)):
    """Probability of every text of n tokens: [3, …, 3]."""
    order, found = law.dim() - 1, np.zeros((3,) * n)
    for text in product(range(3), repeat=n):
        whole, p = [*prompt, *text], 1.0
        for t in range(2, 2 + n):
            p *= float(law[tuple(whole[t - order : t + 1])])
        found[text] = p
    return found


@given(order=st.integers(1, 2), seed=st.integers(0, 9), hidden=st.lists(st.booleans(), min_size=4, max_size=4))
def test_conditionals_are_those_of_the_joint_law(order, seed, hidden):
    law = markov(order, seed)
    whole = joint(law, 4)
    text = [int(x) for x in np.random.default_rng(seed).integers(0, 3, 4)]
    state = seqil.begin_with(V, [[0, 1]], [text], 4, 4)
    found = MarkovConditionals(V, law).conditionals(state, torch.tensor([hidden]))[0].exp()
    for cell in range(4):
        at = tuple(slice(None) if hidden[i] or i == cell else text[i] for i in range(4))
        rest = whole[at]
        axis = sum(1 for i in range(cell) if hidden[i])
        marginal = rest.sum(tuple(a for a in range(rest.ndim) if a != axis))
        np.testing.assert_allclose(found[cell, :3], marginal / marginal.sum(), atol=1e-7)
        assert found[cell, 3] == 0


def ngram(order=2):
    """The law of `ngram` over three tokens and `eos`, as `markov` gives one."""
    law = NGram(order=order, size=4, horizon=4).law.reshape((3,) * (order + 1))
    return torch.nn.functional.pad(law, (0, 1) * (order + 1))


@pytest.mark.parametrize("blocks", [[[0], [1], [2], [3]], [[0, 1], [1, 2], [2, 3]]])
def test_exact_conditionals_leave_the_law_as_it_is_and_come_near_it_at_the_rate_of_the_second_eigenvalue(blocks):
    law = joint(ngram(), 4, prompt=(0, 0))
    flat, matrix = law.reshape(-1), gibbs(law, blocks)
    assert flat.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-12)
    assert np.abs(flat @ matrix - flat).sum() / 2 < 1e-12
    one, second, third, *_ = np.sort(np.abs(np.linalg.eigvals(matrix)))[::-1]
    assert one == pytest.approx(1, abs=1e-12)
    assert third < 0.98 * second
    at, distances = np.zeros(flat.size), []
    at[flat.argmin()] = 1
    while not distances or distances[-1] > 1e-9:
        distances.append(np.abs(at - flat).sum() / 2)
        at = at @ matrix
    steps = len(distances) // 4
    assert (distances[-1] / distances[-1 - steps]) ** (1 / steps) == pytest.approx(second, rel=1e-6)


def test_cells_of_a_block_that_are_drawn_on_their_own_leave_another_law():
    law = joint(ngram(), 4, prompt=(0, 0))
    flat = law.reshape(-1)
    independent = gibbs(law, [[0, 1], [1, 2], [2, 3]], joint=False)
    np.testing.assert_allclose(independent.sum(1), 1, atol=1e-12)
    assert np.abs(flat @ independent - flat).sum() / 2 == pytest.approx(0.1817, abs=1e-4)


def test_the_sampler_is_the_matrix():
    """The law after one block of neighbours, from one text, within three standard errors."""
    law, n = markov(2, 5), 3
    exact = MarkovConditionals(V, law)
    begun = put(V, seqil.start(V, [[0, 1]] * 3000, n, n), torch.tensor([[0, 1, 2]] * 3000))
    for joint_block in (True, False):
        g = torch.Generator().manual_seed(0)
        after = resample(exact, begun, 3, 1, generator=g, exact=joint_block)
        counted = np.zeros((3,) * n)
        np.add.at(counted, tuple(laid(V, after.prefixes, n).T.numpy()), 1 / 3000)
        expected = gibbs(joint(law, n), [[0, 1, 2]], joint=joint_block)[5].reshape(counted.shape)
        assert (np.abs(counted - expected) <= 3.5 * np.sqrt(expected * (1 - expected) / 3000) + 1e-9).all()
        assert after.forwards.tolist() == [(3 if joint_block else 1) * 5] * 3000
        row = after.revisions[0]
        text = [0, 1, 2]
        for kind, place, token in row:
            assert kind == 2
            text[place] = token
        assert text == laid(V, after.prefixes, n)[0].tolist()


def test_communicating_classes_of_automaton_are_the_reference_values():
    task = Automaton()
    allowed = (task.law > 0).tolist()
    for n, classes, share in ((4, 15, 0.244), (6, 76, 0.102), (8, 497, 0.06909)):
        texts = [([0, 0], 1.0)]
        for _ in range(n):
            texts = [
                ([*t, c], p * float(task.law[t[-2], t[-1], c]))
                for t, p in texts
                for c in range(15)
                if allowed[t[-2]][t[-1]][c]
            ]
        found, mass = _classes(texts, 1), sum(p for _, p in texts)
        assert len(found) == classes
        assert max(found) / mass == pytest.approx(share, abs=5e-4 if n < 8 else 5e-6)
        assert len(_classes(texts, 2)) == 1
        sizes = communicating([t[2:] for t, _ in texts], 1)
        assert len(sizes) == classes
        assert sum(sizes) == len(texts)
        assert communicating([t[2:] for t, _ in texts], 2) == [len(texts)]


def _classes(texts, block):
    """Mass of each set of texts that a chain of blocks connects, by a search over graph neighbours."""
    groups, left = {}, dict(enumerate(texts))
    for i, (text, _) in left.items():
        for at in range(2, len(text) - block + 1):
            groups.setdefault((at, (*text[:at], *text[at + block :])), []).append(i)
    near = {}
    for members in groups.values():
        for i in members:
            near.setdefault(i, []).append(members)
    found, seen = [], set()
    for i in left:
        if i in seen:
            continue
        queue, mass = [i], 0.0
        seen.add(i)
        while queue:
            j = queue.pop()
            mass += left[j][1]
            for members in near[j]:
                for k in members:
                    if k not in seen:
                        seen.add(k)
                        queue.append(k)
        found.append(mass)
    return found


def test_exact_conditionals_mend_a_draw_of_the_marginals():
    """The more cells at once, the sooner texts are legal."""
    task = Automaton(horizon=8)
    v, g, n = task.vocabulary, torch.Generator().manual_seed(0), 150
    exact = MarkovConditionals(v, task.law)
    empty = seqil.start(v, [[0, 0]] * n, 8, 8)
    marginals = exact.conditionals(empty, torch.ones(n, 8, dtype=torch.bool))
    drawn = torch.multinomial(marginals.exp().flatten(0, 1), 1, generator=g).reshape(n, 8)
    begun = put(v, empty, drawn)
    shares = [float((~task.has_error(begun)).double().mean())]
    for block in (1, 2, 4):
        after = resample(exact, begun, block, 1, generator=g, exact=True, span=True)
        shares.append(float((~task.has_error(after.prefixes)).double().mean()))
    assert shares == sorted(shares)
    assert shares[0] < 0.05
    assert shares[-1] > 0.8
    written, fed = filled(exact, empty, g)
    assert not task.has_error(written).any()
    assert fed.tolist() == [8 * 10] * n


@pytest.mark.parametrize(
    ("block", "reference"),
    [(1, (0.003, 0.043, 0.247, 0.527)), (2, (0.037, 0.403, 0.803, 0.983)), (4, (0.10, 0.56, 0.93, 0.99))],
)
def test_blocks_anywhere_mend_as_often_as_was_measured_elsewhere(block, reference):
    """Shares of 16-token texts that are legal after 1, 2, 4 and 8 sweeps, of two samples: within three errors."""
    task, n, g = Automaton(horizon=16), 200, torch.Generator().manual_seed(0)
    exact = MarkovConditionals(task.vocabulary, task.law)
    state, _ = filled(exact, seqil.start(task.vocabulary, [[0, 0]] * n, 16, 16), g, at_once=16)
    done = 0
    for sweeps, other in zip((1, 2, 4, 8), reference, strict=True):
        more = {"order": "random_scan", "exact": True, "span": True}
        state = resample(exact, state, block, sweeps - done, generator=g, **more).prefixes
        done = sweeps
        legal = float((~task.has_error(state)).double().mean())
        both = (legal + other) / 2
        assert abs(legal - other) <= 3 * np.sqrt(2 * both * (1 - both) / n) + 1e-9


@pytest.mark.parametrize("span", [True, False])
def test_a_scan_at_random_leaves_cells_and_draws_others_twice(span):
    exact, n = MarkovConditionals(V, markov(2, 1)), 7
    state = put(V, seqil.start(V, [[0, 1]] * 400, n, n), torch.tensor([[0, 1, 2, 2, 0, 1, 0]] * 400))
    g = torch.Generator().manual_seed(0)
    assert resample(exact, state, 3, 1, "random_scan", generator=g, span=span).forwards.tolist() == [3 * 9] * 400
    assert resample(exact, state, 9, 1, "random_scan", generator=g, span=span).forwards.tolist() == [9] * 400
    once = _anywhere(400, n, g, span, 3)
    assert once.shape == (400, 9)
    blocks = once.reshape(-1, 3).sort(1).values
    assert (blocks.diff(dim=1) >= 1).all()
    assert not span or bool((blocks.diff(dim=1) == 1).all())
    assert {len(set(row)) for row in once.tolist()} >= {4, 5, 6, 7}
    assert set(once.flatten().tolist()) == set(range(n))


@pytest.mark.parametrize("order", ["random", "random_scan", "confidence", "quality"])
@pytest.mark.parametrize("limits", [(4, 0), (4, 4), (5, 2)])
def test_texts_of_a_model_are_legal_whatever_is_drawn(order, limits):
    policy = tiny_whole_text(MaskedPolicy, quality=True)
    v = policy.vocabulary
    g = torch.Generator().manual_seed(1)
    written = policy.write([[0, 1], [2]] * 8, max_length=limits[0], min_length=limits[1], generator=g, temperature=3.0,
                           block=2, order=order)  # fmt: skip
    t = written.trajectories
    assert t.ended.all()
    length = t.lengths - 1
    assert length.min() >= limits[1]
    assert length.max() <= limits[0]
    if limits == (4, 0):
        assert len(set(length.tolist())) > 2
        assert all(text.index(v.eos) == len(text) - 1 for text in t.replay().texts())


def test_orders_begin_with_what_the_model_doubts_most():
    law = markov(2, 1)
    exact = MarkovConditionals(V, law)
    state = put(V, seqil.start(V, [[0, 1]] * 2, 3, 3), torch.tensor([[0, 1, 2], [2, 2, 0]]))
    ranked, reads = _ranked(exact, state, "confidence", torch.Generator(), False, 1)
    own = exact.conditionals(state, torch.zeros(2, 3, dtype=torch.bool))
    sure = own.gather(2, laid(V, state, 3)[..., None])[..., 0]
    assert ranked.tolist() == sure.argsort(1).tolist()
    assert reads == 3
    policy = tiny_whole_text(MaskedPolicy, quality=True).eval()
    policy.quality = lambda prefixes: torch.tensor([[0.5, -1.0, 2.0], [3.0, 1.0, -2.0]])
    ranked, reads = _ranked(policy, state, "quality", torch.Generator(), False, 1)
    assert (ranked.tolist(), reads) == ([[1, 0, 2], [2, 1, 0]], 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"block": 0}, "block=0"),
        ({"order": "left"}, "order 'left'"),
        ({"prefixes": seqil.start(V, [[0, 1]], 3, 3)}, "has not ended"),
        ({"prefixes": put(V, seqil.start(V, [[0, 1]], 3), torch.tensor([[0, 1, 2, 3]]))}, "no fixed length"),
    ],
)
def test_bad_requests_are_refused_in_one_line(options, said):
    ended = put(V, seqil.start(V, [[0, 1]], 3, 3), torch.tensor([[0, 1, 2]]))
    given = {"prefixes": ended, "block": 1, "sweeps": 1, **options}
    with pytest.raises(InvalidInputError, match=said):
        resample(MarkovConditionals(V, markov()), generator=torch.Generator(), **given)
    with pytest.raises(InvalidInputError, match="no head for quality"):
        tiny_whole_text(MaskedPolicy).quality(ended)
