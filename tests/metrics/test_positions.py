"""Laws before every token of texts: against plain loops, against enumeration, and against closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from seqil import Trajectories, Vocabulary, exact, metrics, rollout
from seqil.errors import InvalidInputError
from seqil.mdp.prefix import start, transition
from seqil.testing.agents import tiny_demonstrations, tiny_policy
from seqil.theory.enumeration import prefix_table
from tests.laws.test_final_texts import LastTokens

V = Vocabulary(5, 4)
MEASURES = ("step_error", "reverse_step_error", "entropy", "surprisal", "teacher_surprisal", "forbidden")


def teacher(prefixes):
    """Never writes token 3; else depends on the last token."""
    last = prefixes.tokens[torch.arange(len(prefixes)), prefixes.length - 1]
    assert (last != V.eos).all()  # nothing is asked after the end
    law = torch.tensor([[0.4, 0.3, 0.2, 0.0, 0.1], [0.1, 0.1, 0.3, 0.0, 0.5]], dtype=torch.float64)
    return law[last % 2]


def by_hand(policy, row):
    """Every measure of every step of one text."""
    state = start(V, row.prompts[:, : int(row.prompt_lengths[0])], row.max_length, row.min_length)
    for token in row.actions[0, : int(row.lengths[0])].tolist():
        p = teacher(state)[0].numpy()
        q = policy.log_probs(state)[0, :-1].softmax(0).detach().double().numpy()
        with np.errstate(divide="ignore"):
            yield (
                stats.entropy(p, q),
                stats.entropy(q, p),
                stats.entropy(q),
                -np.log(q[token]),
                -np.log(p[token]),
                p[token] == 0,
            )
        state = transition(V, state, torch.tensor([token]))


@pytest.fixture(scope="module")
def policy():
    return tiny_policy().double().eval()


@pytest.fixture(scope="module")
def texts():
    return Trajectories.from_actions(V, [[0], [1, 2], [2]], [[1, 2, 0, 4], [3, 0], [2, 3, 1, 1, 4]], max_length=6)


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_measures_are_those_of_plain_prefixes(policy, texts, batch_size):
    expected = [list(by_hand(policy, texts.select(torch.tensor([row])))) for row in range(len(texts))]
    for i, name in enumerate(MEASURES):
        found = metrics.along(texts, getattr(metrics, name), policy, teacher, batch_size=batch_size)
        assert found.shape == texts.actions.shape
        for row, steps in enumerate(expected):
            np.testing.assert_allclose(found[row, : len(steps)], [step[i] for step in steps], rtol=1e-6)
            assert np.isnan(found[row, len(steps) :]).all()


def test_a_support_violation_is_infinite_and_not_nan(policy, texts):
    reverse = metrics.along(texts, metrics.reverse_step_error, policy, teacher)
    assert (reverse[texts.inside.numpy()] == math.inf).all()
    assert metrics.teacher_negative_log_likelihood(teacher, texts).tolist()[1:] == [math.inf, math.inf]
    curve = metrics.regret(reverse)
    assert (curve == math.inf).all()


def test_likelihoods_are_sums_of_surprisals(policy):
    data = tiny_demonstrations(5, backspace=False)
    found = -metrics.text_log_probs(metrics.along(data, metrics.surprisal, policy)) / data.lengths.numpy()
    np.testing.assert_allclose(found, metrics.negative_log_likelihood(policy, data), rtol=1e-6)
    taught = -metrics.text_log_probs(metrics.along(data, metrics.teacher_surprisal, policy, teacher))
    np.testing.assert_allclose(
        taught / data.lengths.numpy(), metrics.teacher_negative_log_likelihood(teacher, data), rtol=1e-12
    )


def test_what_is_not_there_is_named(policy, texts):
    with pytest.raises(InvalidInputError, match="pass one"):
        metrics.along(texts, metrics.step_error, policy)
    with pytest.raises(InvalidInputError, match="it is None"):
        metrics.along(texts, metrics.step_error, policy, lambda prefixes: None)
    deleting = Trajectories.from_actions(V, [[0]], [[1, 5, 2, 4]], max_length=3)
    with pytest.raises(InvalidInputError, match="final_texts"):
        metrics.along(deleting, metrics.entropy, policy)
    final = metrics.final_texts(deleting)
    assert final.actions.tolist() == [[2, 4]]
    assert (final.max_length, final.min_length) == (3, 0)


def test_regret_sums_over_the_horizon_and_counts_nothing_after_the_end():
    values = np.array([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan]])
    assert metrics.regret(values).tolist() == [2.0, 3.0, 3.0]
    means = metrics.by_position(values)
    assert [(e.value, e.n) for e in means] == [(2.0, 2), (2.0, 1)]


# -- against closed forms


class Student(LastTokens):
    """A policy of the last token without a backspace, read like a model's."""

    backspace = False

    @property
    def weight(self):
        return self.logits

    def log_probs(self, prefixes):
        law = super().log_probs(prefixes)
        law[:, -1] = -torch.inf
        return law.log_softmax(-1)

    def step_log_probs(self, trajectories):
        T = trajectories.actions.shape[1]
        rows = torch.arange(len(trajectories))
        steps = [self.log_probs(trajectories.before(rows, torch.full_like(rows, t))) for t in range(T)]
        return torch.stack(steps, 1)


TINY, T = Vocabulary(3, 2), 4


@pytest.fixture(scope="module")
def laws():
    """Teacher and student of the last token over two symbols: chains, samples of both, and all texts."""
    made = {}
    for name, seed in (("teacher", 1), ("student", 2)):
        policy = Student(TINY, 1, seed)
        table = prefix_table(policy, [0], max_length=T, min_length=T)
        at = table.within(T + 1)[0]
        text = [i for i in np.flatnonzero(at) if table.ended[i]]
        chain = policy.logits[:2, :2].softmax(1).numpy()
        g = np.random.default_rng(seed)
        drawn = [list(table.texts[i]) for i in g.choice(text, 3000, p=at[text] / at[text].sum())]
        sample = Trajectories.from_actions(TINY, [[0]] * 3000, drawn, max_length=T, min_length=T)
        made[name] = (policy, chain, at[text], sample)
    return made


def test_step_errors_and_entropies_estimate_their_closed_forms(laws):
    (teaching, P, _, data), (student, Q, _, own) = laws["teacher"], laws["student"]
    start_at = np.array([1.0, 0.0])

    def law(prefixes):
        return teaching.log_probs(prefixes)[:, :-1].exp()

    rows = exact.kl_rows(P, Q)
    for sample, chain in ((data, P), (own, Q)):
        found = metrics.along(sample, metrics.step_error, student, law)[:, :T]
        expected = exact.expected_errors(start_at, chain, rows, T)
        np.testing.assert_allclose(found.mean(0), expected, atol=0.02)
        for e, exactly in zip(metrics.by_position(found)[1:], expected[1:], strict=True):
            assert abs(e.value - exactly) <= 2 * (e.high - e.low)
    drift = metrics.entropy_drift(metrics.along(own, metrics.entropy, student)[:, :T],
                                  metrics.along(data, metrics.surprisal, student)[:, :T])  # fmt: skip
    for e, exactly in zip(drift, exact.entropy_drift(start_at, P, Q, T), strict=True):
        assert abs(e.value - exactly) <= 2 * (e.high - e.value)
    whole = metrics.regret(metrics.along(data, metrics.step_error, student, law))[-1]
    assert whole == pytest.approx(exact.sequence_kl(start_at, P, Q, T), abs=0.02)
    back = metrics.regret(metrics.along(own, metrics.reverse_step_error, student, law))[-1]
    assert back == pytest.approx(exact.sequence_kl(start_at, Q, P, T), abs=0.02)


def test_distances_of_whole_texts_estimate_those_of_their_laws(laws):
    (teaching, _, p, data), (student, _, q, own) = laws["teacher"], laws["student"]
    sides = [tuple(metrics.text_log_probs(metrics.along(sample, metrics.surprisal, policy))
                   for policy in (teaching, student)) for sample in (data, own)]  # fmt: skip
    found = metrics.sequence_distances(*sides)
    p, q = torch.tensor(p), torch.tensor(q)
    expected = {"kl": metrics.kl(p, q.log()), "reverse_kl": metrics.kl(q, p.log()),
                "total_variation": metrics.total_variation(p, q), "squared_hellinger": metrics.squared_hellinger(p, q),
                "jensen_shannon": metrics.jensen_shannon(p, q)}  # fmt: skip
    assert set(found) == set(expected)
    for name, e in found.items():
        assert abs(e.value - float(expected[name])) <= 2 * (e.high - e.value), name
        assert e.high - e.value < 0.1


def test_a_text_that_the_student_never_writes_is_an_infinite_distance():
    found = metrics.sequence_distances(
        (np.array([-1.0, -2.0]), np.array([-1.0, -math.inf])), (np.array([-1.0]), np.array([-1.0]))
    )
    assert found["kl"].value == math.inf
    assert found["reverse_kl"].value == 0
    assert found["total_variation"].value == 0.5
    assert all(not math.isnan(e.value) for e in found.values())


def test_the_backspace_does_not_enter_the_laws(policy):
    own = metrics.final_texts(rollout(policy, [[0]] * 30, max_length=4, generator=torch.Generator().manual_seed(0)))
    before = metrics.along(own, metrics.entropy, policy)
    louder = tiny_policy().double().eval()
    with torch.no_grad():
        louder.weight[V.backspace] += 3
    np.testing.assert_allclose(metrics.along(own, metrics.entropy, louder), before, rtol=1e-6)
