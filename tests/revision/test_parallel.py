"""Texts in one shot: likelihoods against enumeration, what one shot cannot say, and what expectation makes of it."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_resampling import V as FOUR
from test_resampling import joint, markov

import seqil
from agents.revising.parallel import Parallel, final_texts
from agents.revising.parallel_em import ParallelEM
from envs.tasks import Automaton
from seqil import Trajectories, Vocabulary
from seqil.errors import CheckpointError, InvalidInputError
from seqil.learning.accumulation import Division
from seqil.randomness import seeded
from seqil.revision import MaskedPolicy, ParallelPolicy
from seqil.revision.making import small_bert
from seqil.revision.parallel_policy import collapsed
from seqil.testing import check_agent
from seqil.testing.agents import tiny_demonstrations, tiny_whole_text
from seqil.theory.conditionals import MarkovConditionals

V = Vocabulary(5, 4)
AB = Vocabulary(3, 2)
COLLAPSING = ParallelPolicy(small_bert(AB, 8, 1, 16, 2, 0), AB, queries=2)

MAKERS = {
    "parallel, cells": (lambda policy: Parallel(policy, steps=6), 1),
    "parallel, ctc": (lambda policy: Parallel(policy, steps=6), 2),
    "parallel_em, cells": (lambda policy: ParallelEM(policy, steps=6, warm_up=0.2), 1),
    "parallel_em, ctc": (lambda policy: ParallelEM(policy, steps=6, warm_up=0, beta=1.0, candidates=2), 2),
}


@pytest.mark.parametrize("name", MAKERS)
def test_agents_of_one_shot_keep_the_contract(name):
    make, queries = MAKERS[name]
    check_agent(make, make_policy=lambda: tiny_whole_text(ParallelPolicy, queries=queries))


@pytest.mark.parametrize("name", MAKERS)
def test_microbatches_add_up(name):
    make, queries = MAKERS[name]
    found = []
    for microbatch in (None, 3):
        agent = make(tiny_whole_text(ParallelPolicy, queries=queries).double().eval())
        agent.loss.double()
        agent.divide(Division(microbatch=microbatch))
        metrics = agent.update(tiny_demonstrations(backspace=False))
        found.append((metrics["loss"], metrics["grad_norm"]))
    assert found[0] == pytest.approx(found[1], rel=1e-9)


def states(texts, most, least=0, vocabulary=V):
    t = Trajectories.from_actions(vocabulary, [[0]] * len(texts), texts, max_length=most, min_length=least)
    return final_texts(t)


@given(seed=st.integers(0, 99))
def test_the_likelihood_of_a_text_is_that_of_all_its_alignments(seed):
    logits = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    logits[..., AB.eos] = -torch.inf
    law = logits.log_softmax(-1)
    draws = torch.tensor(list(product([0, 1, AB.size], repeat=6)))
    p = law[0].exp()[torch.arange(6), draws].prod(1)
    read = {}
    for text, mass in zip(collapsed(draws, AB.size), p.tolist(), strict=True):
        read.setdefault(tuple(text), []).append(mass)
    texts = [list(text) for text in read if len(text) <= 2]
    rows = states([[*text, AB.eos] for text in texts], 2, vocabulary=AB)
    found = COLLAPSING.log_prob(rows, law.expand(len(texts), -1, -1)).exp()
    expected = torch.tensor([math.fsum(read[tuple(text)]) for text in texts], dtype=torch.float64)
    assert len(texts) == 1 + 2 + 4
    torch.testing.assert_close(found, expected, rtol=2e-14, atol=2e-15)


def test_gradients_of_a_sum_over_alignments():
    policy = tiny_whole_text(ParallelPolicy, queries=2)
    texts = states([[1, 1, V.eos], [3, V.eos], [V.eos]], 2)
    logits = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)

    def likelihood(logits):
        eos = torch.arange(6) == V.eos
        return policy.log_prob(texts, logits.masked_fill(eos, -torch.inf).log_softmax(-1))

    assert torch.autograd.gradcheck(likelihood, (logits,))


@pytest.mark.parametrize(("most", "least"), [(3, 3), (3, 0), (3, 1)])
def test_cells_are_a_law_of_texts(most, least):
    policy = tiny_whole_text(ParallelPolicy).double().eval()
    with seeded(0):
        torch.nn.init.normal_(policy.weight)
    tokens = range(V.eos)
    texts = [[*text, V.eos] for n in range(least, most + 1) for text in product(tokens, repeat=n)]
    found = policy.log_prob(states(texts, most, least)).exp().detach()
    assert float(found.sum()) == pytest.approx(1, abs=1e-12)
    assert found.std() > 0


def trained(make, queries=1, vocabulary=AB, texts=((0, 1), (1, 0)), steps=150):
    """A policy after training on texts of one prompt, and the agent's last loss."""
    rows = [[*text, vocabulary.eos] for text in texts] * (8 // len(texts))
    n = len(texts[0])
    data = Trajectories.from_actions(vocabulary, [[vocabulary.eos]] * len(rows), rows, max_length=n, min_length=n)
    with seeded(0):
        agent = make(ParallelPolicy(small_bert(vocabulary, 16, 1, 16, 2, 0), vocabulary, queries=queries), steps)
    for _ in range(steps):
        metrics = agent.update(data)
    return agent.policy.eval(), metrics["loss"]


def shares(policy, queries=1):
    """Probabilities of ab, ba, aa, bb."""
    texts = [[0, 1, 2], [1, 0, 2], [0, 0, 2], [1, 1, 2]]
    t = Trajectories.from_actions(AB, [[2]] * 4, texts, max_length=2, min_length=2)
    return policy.log_prob(final_texts(t)).exp().tolist()


def test_two_texts_in_one_shot_are_four():
    policy, loss = trained(lambda policy, steps: Parallel(policy, steps=steps, learning_rate=1e-2))
    assert shares(policy) == pytest.approx([0.25] * 4, abs=0.02)
    assert loss == pytest.approx(2 * math.log(2) / 3, abs=0.01)
    written = policy.write([[2]] * 400, max_length=2, min_length=2, generator=torch.Generator().manual_seed(0))
    drawn = [tuple(text[:2]) for text in written.trajectories.replay().texts()]
    assert all(abs(drawn.count(text) / 400 - 0.25) < 0.1 for text in product((0, 1), repeat=2))


def test_expectation_and_maximisation_choose_one_of_two():
    policy, _ = trained(lambda policy, steps: ParallelEM(policy, steps=steps, warm_up=0.3, learning_rate=1e-2))
    found = shares(policy)
    assert max(found[:2]) > 0.95
    assert sum(found) == pytest.approx(1, abs=1e-4)


def test_without_choice_expectation_chooses_nothing():
    """The control: the only candidate is the teacher's draw, and both texts are drawn."""
    policy, _ = trained(
        lambda policy, steps: ParallelEM(policy, steps=steps, warm_up=0.9, candidates=1, learning_rate=1e-2)
    )
    assert max(shares(policy)) < 0.7


@given(weights=st.lists(st.integers(1, 9), min_size=8, max_size=8), seed=st.integers(0, 99))
def test_the_optimum_of_cells_is_the_sum_of_their_entropies(weights, seed):
    policy = ParallelPolicy(small_bert(AB, 8, 1, 16, 2, 0), AB)
    texts = [[*text, 2] for text in product((0, 1), repeat=3)]
    mass = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    cells = torch.tensor([text[:3] for text in texts])
    marginals = torch.zeros(3, 4, dtype=torch.float64)
    for token in (0, 1):
        marginals[:, token] = (mass[:, None] * (cells == token)).sum(0)
    state = states(texts, 3, 3, AB)

    def nll(law):
        return -float(mass @ policy.log_prob(state, law.log().expand(8, -1, -1)))

    entropies = -torch.special.xlogy(marginals, marginals).sum()
    assert nll(marginals) == pytest.approx(float(entropies), abs=1e-12)
    other = torch.rand(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.01
    other[:, 2:] = 0
    assert nll(other / other.sum(1, keepdim=True)) >= nll(marginals) - 1e-12


def test_training_ends_at_the_sum_of_the_entropies_of_the_cells():
    """Nats per text: more than those of the law, 1.040, since the texts share no product of laws."""
    texts = ((0, 1, 1), (0, 1, 1), (1, 0, 1), (0, 0, 0))
    policy, _ = trained(lambda policy, steps: Parallel(policy, steps=steps, learning_rate=1e-2), texts=texts, steps=300)
    state = states([[*text, 2] for text in texts], 3, 3, AB)
    shares = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]], dtype=torch.float64)
    entropies = -float(torch.special.xlogy(shares, shares).sum())
    assert entropies == pytest.approx(1.818, abs=1e-3)
    with torch.no_grad():
        assert -float(policy.log_prob(state).mean()) == pytest.approx(entropies, abs=0.01)
        torch.testing.assert_close(policy.law(state)[0, :, :2].exp().double(), shares, rtol=0, atol=0.05)


def test_entropies_are_those_of_enumeration():
    law = markov(2, 4)
    whole = torch.from_numpy(joint(law, 4))
    found, cells = MarkovConditionals(FOUR, law).entropies(seqil.start(FOUR, [[0, 1]], 4, 4))
    assert float(found) == pytest.approx(float(-torch.special.xlogy(whole, whole).sum()), abs=1e-5)
    for cell in range(4):
        marginal = whole.sum([i for i in range(4) if i != cell])
        assert float(cells[0, cell]) == pytest.approx(float(-torch.special.xlogy(marginal, marginal).sum()), abs=1e-5)


@pytest.mark.parametrize(("n", "together", "apart"), [(8, 1.0094, 2.2769), (64, 1.0080, 2.5992)])
def test_total_correlation_of_automaton(n, together, apart):
    """Nats per token of the law and of the best product of laws of cells, against sums over pairs of tokens."""
    task = Automaton(horizon=n)
    prompts = [[a, b] for a in range(15) for b in range(15) if task.successors[a, b]]
    assert len(prompts) == 15 * 6  # all alike
    state = seqil.start(task.vocabulary, prompts, n, n)
    exact = MarkovConditionals(task.vocabulary, task.law)
    joint, cells = (x.reshape(len(prompts), -1).sum(1).mean() / n for x in exact.entropies(state))
    assert float(joint) == pytest.approx(together, abs=1e-4)
    assert float(cells) == pytest.approx(apart, abs=1e-4)
    pairs = alive = torch.zeros(len(prompts), 16, 16, dtype=torch.float64)
    pairs[torch.arange(len(prompts)), *torch.tensor(prompts).T] = 1
    entropy = 0.0
    for _ in range(n):
        pairs = torch.einsum("bxy,xyz->byz", pairs, task.law)
        marginal = pairs.sum(1)
        alive = torch.einsum("bxy,xyz->byz", alive, (task.law > 0).double()) * marginal[:, None]
        entropy -= float(torch.special.xlogy(marginal, marginal).sum(1).mean()) / n
    assert float(cells) == pytest.approx(entropy, abs=1e-6)
    if n == 8:  # a draw of the exact marginals is legal
        assert float(alive.sum((1, 2)).mean()) == pytest.approx(1.1e-4, abs=0.05e-4)


@pytest.mark.parametrize("queries", [1, 2, 3])
@pytest.mark.parametrize("limits", [(3, 0), (3, 3), (3, 2)])
def test_texts_are_legal_and_their_cost_is_one_reading(queries, limits):
    policy = tiny_whole_text(ParallelPolicy, queries=queries).eval()
    written = policy.write([[0, 1], [2]] * 20, max_length=limits[0], min_length=limits[1],
                           generator=torch.Generator().manual_seed(0), temperature=2.0)  # fmt: skip
    t = written.trajectories
    W = limits[0] + (limits[0] > limits[1])
    assert written.forwards.tolist() == [2 + queries * W, 1 + queries * W] * 20
    lengths = t.lengths - t.ended.long()
    assert lengths.max() <= limits[0]
    assert (lengths[t.ended] >= limits[1]).all()
    if queries == 1:
        assert t.ended.all()
    if queries == 3:
        assert not t.ended.all()
    assert policy.positions(t) == sum(written.forwards)


def test_repeats_are_collapsed_and_blanks_dropped():
    rows = torch.tensor([[5, 1, 1, 5, 1, 2], [3, 3, 3, 3, 3, 3], [5, 5, 5, 5, 5, 5]])
    assert collapsed(rows, 5) == [[1, 1, 2], [3], []]


def test_a_prompt_is_read_and_its_padding_is_not():
    policy = tiny_whole_text(ParallelPolicy).eval()
    alone = policy.law(seqil.start(V, [[2]], 3))
    beside = policy.law(seqil.start(V, [[0, 1, 3], [2]], 3))
    torch.testing.assert_close(beside[1], alone[0], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(beside[0], beside[1])


def test_the_best_candidate_is_the_one_that_the_policy_likes_most():
    agent = ParallelEM(tiny_whole_text(ParallelPolicy), steps=6, warm_up=0, candidates=3, beta=0.5)
    data = tiny_demonstrations(backspace=False)
    kept = agent.expected(data)
    drawn = seqil.rollout(agent.loss.teacher, data.repeat(3).prompts, max_length=6, max_actions=7,
                          generator=torch.Generator().manual_seed(0))  # fmt: skip
    agent.policy.eval()
    score = agent.policy.log_prob(final_texts(drawn)) + 0.5 * torch.where(drawn.inside, drawn.log_prob, 0).sum(1)
    best = score.reshape(8, 3).argmax(1) + 3 * torch.arange(8)
    assert torch.equal(kept.prompts, data.prompts)
    assert kept.replay().texts() == drawn.select(best).replay().texts()
    assert agent.expected(data).replay().texts() == kept.replay().texts()


@pytest.mark.parametrize("queries", [1, 2])
def test_a_saved_policy_is_the_same(queries, tmp_path):
    policy = tiny_whole_text(ParallelPolicy, queries=queries).eval()
    with seeded(1), torch.no_grad():
        policy.blank.weight.normal_()
    policy.save_pretrained(tmp_path)
    again = ParallelPolicy.from_pretrained(tmp_path, V).eval()
    prompts = seqil.start(V, [[0], [1, 2]], 4)
    assert torch.equal(policy.law(prompts), again.law(prompts))
    with pytest.raises(CheckpointError, match="holds a policy of kind"):
        MaskedPolicy.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: tiny_whole_text(ParallelPolicy, queries=0), "queries=0"),
        (lambda: ParallelPolicy.room(4, queries="two"), "queries='two'"),
        (lambda: Parallel(tiny_whole_text(ParallelPolicy), queries=2), "queries=2, the policy has 1"),
        (lambda: Parallel(tiny_whole_text(ParallelPolicy), warm_up=0.5), "no warm-up"),
        (lambda: ParallelEM(tiny_whole_text(ParallelPolicy), candidates=0), "candidates=0"),
        (lambda: ParallelEM(tiny_whole_text(ParallelPolicy), beta=-1.0), "beta=-1"),
        (lambda: tiny_whole_text(ParallelPolicy, queries=3).law(seqil.start(V, [[0]], 6)), "22 positions"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, said):
    with pytest.raises(InvalidInputError, match=said) as refused:
        make()
    assert "\n" not in str(refused.value)
