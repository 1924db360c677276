"""The four calibrations against sums written out, their optima, and what the agent adds to them."""

import itertools
import math

import pytest
import torch
from bandits import descend, doubles

from agents.slic import CALIBRATIONS, SLiC, listwise, margin, rank, reward
from agents.slic.beam_search import beams
from seqil import Trajectories, Vocabulary, rewards, rollout
from seqil.errors import InvalidInputError
from seqil.learning.accumulation import batch
from seqil.learning.training import Training
from seqil.metrics.distances import SMOOTHING
from seqil.randomness import seeded
from seqil.testing.agents import tiny_demonstrations, tiny_policy

V = Vocabulary(5, 4)
BETA = 0.4
ALIKE = torch.tensor([[0.9, 0.1, 0.4, 0.4], [0.2, 0.2, 0.2, 0.2], [0.0, 1.0, 0.5, 0.25]], dtype=torch.float64)


def written_out(name, log_p, alike):
    """Pair by pair, in plain Python."""
    if name == "reward":
        groups = []
        for p, s in zip(log_p, alike, strict=True):
            likelihood = [math.exp(x) for x in p]
            groups.append(-sum(a * b for a, b in zip(likelihood, s, strict=True)) / sum(likelihood))
        return sum(groups) / len(groups)
    terms = []
    for p, s in zip(log_p, alike, strict=True):
        places = [sum(other > own for other in s) for own in s]
        for i, j in itertools.permutations(range(len(s)), 2):
            wanted = {"rank": BETA, "margin": BETA * (s[i] - s[j]), "listwise": BETA * abs(places[i] - places[j])}
            if s[i] > s[j]:
                terms.append(max(0.0, wanted[name] - p[i] + p[j]))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_calibrations_are_the_sums_of_the_paper(name):
    log_p = doubles(3, 4).detach()
    found = CALIBRATIONS[name](log_p, ALIKE, BETA)
    assert float(found) == pytest.approx(written_out(name, log_p.tolist(), ALIKE.tolist()), rel=1e-12)
    assert torch.autograd.gradcheck(lambda x: CALIBRATIONS[name](x, ALIKE, BETA), doubles(3, 4))


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_equals_are_no_pair(name):
    """The second group of equals: no gradient under any of them."""
    x = doubles(3, 4)
    CALIBRATIONS[name](x, ALIKE, BETA).backward()
    torch.testing.assert_close(x.grad[1], torch.zeros(4, dtype=torch.float64), atol=1e-12, rtol=0)
    assert bool(x.grad[0].abs().sum() > 0.01)


@pytest.mark.parametrize(
    ("calibration", "lead"),
    [(rank, lambda s, i, j: BETA), (margin, lambda s, i, j: BETA * float(s[i] - s[j])),
     (listwise, lambda s, i, j: BETA * abs(i - j))],
)  # fmt: skip
def test_at_the_optimum_the_better_leads_by_what_is_wanted(calibration, lead):
    alike = torch.tensor([[0.9, 0.5, 0.1]], dtype=torch.float64)
    x = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    descend(lambda: calibration(x, alike, BETA), [x])
    for i, j in itertools.combinations(range(3), 2):
        assert float((x[0, i] - x[0, j]).detach()) >= lead(alike[0], i, j) - 1e-3


def test_the_expected_reward_ends_at_the_best_sample():
    x = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    descend(lambda: reward(x, torch.tensor([[0.1, 0.9, 0.5]])), [x])
    assert float(x.detach().softmax(1)[0, 1]) > 0.99


def prepared(**options):
    agent = SLiC(tiny_policy().double(), steps=4, samples=2, warm_up=0.0, **options)
    data = tiny_demonstrations()
    g = torch.Generator().manual_seed(0)
    return agent, data, rollout(agent.policy, data.repeat(2).prompts, max_length=6, generator=g)


def test_a_similarity_sees_the_prompt_the_demonstration_and_the_sample():
    seen = []

    def judge(prompt, reference, text):
        seen.append((tuple(prompt), tuple(reference), tuple(text)))
        return float(len(text))

    agent, data, own = prepared(similarity=rewards.of_texts(judge))
    agent.loss.eval()
    found = agent.loss(batch(data, own))["loss_calibration"]
    pairs = data.repeat(2)
    prompts = [tuple(row[:n]) for row, n in zip(own.prompts.tolist(), own.prompt_lengths.tolist(), strict=True)]
    assert seen == list(zip(prompts, map(tuple, pairs.replay().texts()), map(tuple, own.replay().texts()), strict=True))
    values = agent.policy.step_values(own)
    log_p = (values.log_prob * values.mask).sum(1) / own.lengths
    lengths = torch.tensor([len(text) for _, _, text in seen], dtype=torch.float64)
    torch.testing.assert_close(found, rank(log_p.view(-1, 2), lengths.view(-1, 2), 0.1))
    assert float(found.detach()) > 0


def test_the_divergence_is_from_what_cloning_ended_with():
    """Zero there; after a step it is the mean of sum q log q / p over the counted steps."""
    agent, data, own = prepared(kl=0.7, weight=0.0)
    with seeded(0), torch.no_grad():
        agent.policy.weight.add_(torch.randn_like(agent.policy.weight) / 4)
    agent.loss.eval()
    agent.end_warm_up()
    first = agent.loss(batch(data, own))["loss_kl"]
    assert abs(float(first.detach())) < SMOOTHING  # which the warm start is smoothed by
    with torch.no_grad():
        p = agent.policy.step_log_probs(data)[data.imitate].exp()
    with seeded(1), torch.no_grad():
        agent.policy.weight.add_(torch.randn_like(agent.policy.weight) / 4)
    with torch.no_grad():
        q = agent.policy.step_log_probs(data)[data.imitate].exp()
    expected = torch.where(q > 0, q * (q / torch.where(p > 0, p, 1)).log(), 0).sum(-1).mean()
    found = agent.loss(batch(data, own))["loss_kl"]
    assert float(found.detach()) == pytest.approx(0.7 * float(expected), rel=1e-2)
    assert float(found.detach()) > 0.01


def test_a_positions_more_is_counted_for_the_divergence_once_it_is_there():
    (plain, data, own), (drawn, _, _) = prepared(), prepared(kl=1.0)
    cells = plain.policy.positions(data)
    assert drawn.positions(data, own) == pytest.approx(plain.positions(data, own) + cells / 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"samples": 1}, "SLiC: samples=1 must be at least 2"), ({"margin": -1.0}, "SLiC: margin=-1.0"),
     ({"weight": math.nan}, "SLiC: weight=nan"), ({"kl": -1.0}, "SLiC: kl=-1.0"),
     ({"margin": 0.2, "calibration": reward}, "margin=0.2 would do nothing, for `reward` has none")],
)  # fmt: skip
def test_bad_options_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        SLiC(tiny_policy(), **options)


def test_calibration_by_the_judge_of_a_task_raises_its_likelihood():
    """Two texts after one prompt, one of them right: their likelihoods part."""
    agent = SLiC(
        tiny_policy(), steps=60, samples=4, warm_up=0.0, weight=0.0, learning_rate=1e-2, pace=1.0, calibration=rank,
        similarity=rewards.of_texts(lambda prompt, reference, text: float(text == [1, 4])), margin=2.0,
    )  # fmt: skip
    data = Trajectories.from_actions(V, [[0]] * 8, [[2, 4]] * 8, max_length=1, min_length=1)
    state = Trajectories.from_actions(V, [[0]], [[]], max_length=1, min_length=1).replay()
    before = agent.policy.eval().log_probs(state)[0].exp()[1]
    g = torch.Generator().manual_seed(0)
    with seeded(0):
        for _ in range(60):
            own = rollout(agent.policy, data.repeat(4).prompts, max_length=1, min_length=1, generator=g)
            agent.update(data, own)
    after = agent.policy.eval().log_probs(state)[0].exp()[1]
    assert float(after.detach()) > 3 * float(before.detach())


def by_likelihood(policy, prompt, max_length, min_length):
    """All texts that may follow, the likeliest first: sums of the law given that nothing is deleted, one by one."""
    found = []
    for n in range(min_length, max_length + 1):
        for text in itertools.product(range(4), repeat=n):
            total = 0.0
            for i, token in enumerate([*text, 4]):
                state = Trajectories.from_actions(
                    V, [prompt], [list(text[:i])], max_length=max_length, min_length=min_length
                )
                law = policy.log_probs(state.replay())[0, :5].double().log_softmax(-1)
                total += float(law[token])
            found.append((total, [*text, 4]))
    return [text for _, text in sorted(found, reverse=True)]


def lively_policy(backspace):
    """In float64, with laws that differ from prompt to prompt."""
    policy = tiny_policy(backspace=backspace).double().eval()
    with seeded(3), torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return policy


@pytest.mark.parametrize("backspace", [True, False])
@pytest.mark.parametrize("min_length", [0, 1])
@torch.no_grad()
def test_beams_that_hold_every_text_have_the_likeliest_in_order(backspace, min_length):
    """Prompts of several lengths; as wide as there are texts, a beam loses none."""
    policy, prompts = lively_policy(backspace), torch.tensor([[0, 5], [1, 2], [3, 5]])
    found, fed = beams(policy, prompts, number=21 - (min_length > 0), max_length=2, min_length=min_length)
    wanted = [by_likelihood(policy, prompt, 2, min_length) for prompt in ([0], [1, 2], [3])]
    assert found.replay().texts() == [text for texts in wanted for text in texts]
    assert fed == len(found) * (2 + 2)  # two cells of a padded prompt, and one for each token but the last
    assert wanted[0] != wanted[1]


@torch.no_grad()
def test_where_there_are_fewer_texts_the_best_stands_in():
    policy = lively_policy(True)
    found, _ = beams(policy, torch.tensor([[0], [2]]), number=7, max_length=1, min_length=1)
    for row, prompt in enumerate(([0], [2])):
        texts = found.replay().texts()[7 * row : 7 * row + 7]
        best = by_likelihood(policy, prompt, 1, 1)
        assert texts == [*best, *[best[0]] * 3]


def test_candidates_of_a_beam_are_those_of_each_prompt_and_are_paid_for():
    policy, data = lively_policy(True), tiny_demonstrations(backspace=False)
    agent = SLiC(policy, samples=3, candidates="beam", warm_up=0.0, steps=4)
    training = Training(agent, data, generator=torch.Generator().manual_seed(0), batch_size=4)
    how = {"max_length": 6, "min_length": 0, "max_actions": 24, "temperature": 1.0, "generator": None}
    some = data.select([2, 5])
    whole, fed = agent.collect(some.repeat(3), streams=None, **how)
    again, _ = beams(policy, some.prompts, number=3, max_length=6)
    assert whole.replay().texts() == again.replay().texts()
    assert fed > int((whole.prompt_lengths - 1 + whole.lengths).sum())
    for one in range(2):  # as two processes share them
        mine, _ = agent.collect(some.repeat(3).select(slice(one, None, 2)), streams=torch.arange(6)[one::2], **how)
        assert mine.replay().texts() == whole.replay().texts()[one::2]
    for _ in training.run(2):
        pass
    assert training.costs()["rollout_positions"] > 2 * 4 * 3 * 2
    for other in ({"temperature": 0.5}, {"max_actions": 6}):
        with pytest.raises(InvalidInputError, match="a beam has no temperature and ends where it ends"):
            agent.collect(some.repeat(3), streams=None, **{**how, **other})
    with pytest.raises(InvalidInputError, match="unknown candidates 'bream'; known: sample, beam"):
        SLiC(tiny_policy(), candidates="bream")


def test_beams_ask_for_positions_as_rollouts_do():
    policy = tiny_policy()
    with pytest.raises(InvalidInputError, match="take 42 positions"):
        beams(policy, [[0, 1]], number=2, max_length=40)
