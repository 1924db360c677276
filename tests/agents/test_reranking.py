"""The learned reward as a ranking, and the discriminator as a value to walk by."""

import numpy as np
import pytest
import torch
from tiny_gail import agent, own

from agents.behavior_cloning import BehaviorCloning
from agents.gail import DensityRatios, OutcomeValues, by_reward, discriminator
from envs.tasks import Dyck
from seqil import Task, TokenPolicy, Trajectories, Vocabulary, rollout, start, train, transition
from seqil.decoding import backspace_bias, value_walk
from seqil.errors import InvalidInputError
from seqil.metrics.positions import final_texts
from seqil.models.from_scratch import small_gpt2
from seqil.randomness import seeded
from seqil.selection import best_of
from seqil.testing.agents import tiny_policy
from seqil.theory.enumeration import prefix_table
from seqil.theory.walks import exact_values, undeleted

V = Vocabulary(5, 4)


def test_texts_are_ranked_by_their_return():
    made = agent(double=True)
    drawn, D = own(made.policy), made.loss.discriminator
    found = by_reward(D, discriminator.gail, 0.9).scores(made.policy, drawn)
    texts = final_texts(drawn)
    h = D(texts).detach()
    for row, n in enumerate(texts.lengths.tolist()):
        expected = sum(0.9**t * float(discriminator.gail(h[row, t])) for t in range(n))
        assert found[row] == pytest.approx(expected)


def test_the_best_of_several_has_the_highest_return():
    made = agent()
    ranking = by_reward(made.loss.discriminator)
    options = {"max_length": 6, "max_actions": 9}
    kept = best_of(made.policy, [[0], [1]], 4, ranking, generator=torch.Generator().manual_seed(0), **options)
    first = best_of(made.policy, [[0], [1]], 1, ranking, generator=torch.Generator().manual_seed(0), **options)
    assert np.allclose(kept.value, ranking.scores(made.policy, kept.trajectories), atol=1e-4)
    assert (kept.value >= first.value - 1e-4).all()
    assert (kept.cost.forwards > first.cost.forwards).all()


def test_density_ratios_are_the_logits_of_the_steps_that_lead_there():
    made = agent(double=True)
    v, values = made.policy.vocabulary, DensityRatios(made.loss.discriminator, most=2.0)
    state = start(v, [[0, 1], [2]], 5)
    for actions in ([0, 3], [1, 2], [3, 5], [2, 1]):
        state = transition(v, state, torch.tensor(actions))
    own_value, after = values(state)
    prompts = [[0, 1], [2]]
    for row, text in enumerate(state.texts()):
        for token in range(v.size):
            written = Trajectories.from_actions(v, [prompts[row]], [[*text, token]], max_length=6)
            h = made.loss.discriminator(written).detach()[0, -1].clamp(-2, 2)
            assert float(after[row, token]) == pytest.approx(float(h.exp()), rel=1e-6)
        before = Trajectories.from_actions(v, [prompts[row]], [text], max_length=6)
        last = made.loss.discriminator(before).detach()[0, -1].clamp(-2, 2)
        assert float(own_value[row]) == pytest.approx(float(last.exp()), rel=1e-6)
    assert values(start(v, prompts, 5))[0].tolist() == [1, 1]


def test_a_walk_by_them_is_a_rollout_whose_cost_counts_them():
    from seqil import metrics

    made = agent()
    rule = value_walk(DensityRatios(made.loss.discriminator), "discriminator")
    drawn = rollout(made.policy, [[0]] * 4, max_length=4, max_actions=40, rules=[rule],
                    generator=torch.Generator().manual_seed(0))  # fmt: skip
    assert (metrics.cost(drawn, [rule]).forwards > metrics.cost(drawn).forwards).all()
    with pytest.raises(InvalidInputError, match="most=0"):
        DensityRatios(made.loss.discriminator, 0)


class Counting(Task):
    """One prompt; texts of at most two tokens, right if they sum to an odd number."""

    name, vocabulary, max_length, min_length = "counting", Vocabulary(5, 4), 2, 0

    def prompts(self, n, split, seed):
        return [[0]] * n

    def demonstrations(self, n, split, seed):
        return Trajectories.from_actions(self.vocabulary, [[0]] * n, [[1, 4]] * n, max_length=2)

    def success(self, prompt, tokens):
        return sum(tokens[:-1]) % 2 == 1


def test_outcomes_teach_the_exact_values():
    """The policy's law is known by enumeration; where one text in fifty comes by, values are right to .08."""
    policy, task = tiny_policy().eval(), Counting()
    with seeded(2), torch.no_grad():
        policy.weight.add_(torch.randn_like(policy.weight) / 4)
    values = OutcomeValues(policy)
    with torch.random.fork_rng([]):
        losses = values.fit(task, torch.Generator().manual_seed(0), steps=250, texts=256, learning_rate=1e-2)
    assert losses[-1] < losses[0]
    table = prefix_table(policy, [0], max_length=2)
    ends = zip(table.texts, table.ended, strict=True)
    worth = np.array([float(done and task.success([0], text)) for text, done in ends])
    exact, law, checked = exact_values(table, worth), undeleted(table), []
    reach = np.zeros(len(table.texts))
    reach[0] = 1
    for s in np.flatnonzero(~table.ended):
        state = Trajectories.from_actions(V, [[0]], [list(table.texts[s])], max_length=2).replay()
        own, after = values(state)
        for token in np.flatnonzero(law[s]):
            child = table.child[s, token]
            reach[child] += reach[s] * law[s, token]
            if reach[child] > 0.02:
                checked.append(abs(float(after[0, token]) - exact[child]))
        if s and reach[s] > 0.02:
            checked.append(abs(float(own[0]) - exact[s]))
    assert len(checked) > 10
    assert max(checked) < 0.08
    assert exact[1:].std() > 0.2  # they differ, so that a constant is refused
    assert values.cost > 250 * 256 * 4


def test_a_walk_by_what_outcomes_taught_has_more_right_texts():
    task = Dyck(length=6)
    policy = TokenPolicy(small_gpt2(7, 6, 10, 1, 16, 2, 0), task.vocabulary, backspace=True)
    data, generator = task.demonstrations(256, "train", 0), torch.Generator().manual_seed(0)
    for _ in train(BehaviorCloning(policy, steps=40, learning_rate=1e-2), data, generator=generator, steps=40):
        pass
    values, prompts = OutcomeValues(policy), task.prompts(200, "test", 0)
    values.fit(task, generator, steps=80, texts=128, learning_rate=1e-2)

    def right(rule):
        limits = {"max_length": task.max_length, "min_length": task.min_length, "max_actions": 400}
        texts = rollout(policy, prompts, rules=[rule], generator=torch.Generator().manual_seed(1), **limits)
        return sum(map(task.success, prompts, texts.replay().texts())) / len(prompts)

    before, walked = right(backspace_bias(-1e38)), right(value_walk(values, "outcomes"))
    assert before < 0.8
    assert walked > before + 0.1


def test_a_policy_that_cannot_delete_cannot_walk():
    with pytest.raises(InvalidInputError, match="give one with a backspace"):
        OutcomeValues(tiny_policy(backspace=False))


@pytest.mark.parametrize("judge", [lambda prompt, text: None, lambda prompt, text: "no"])
def test_a_judge_that_says_neither_true_nor_false_is_refused(judge):
    """Both were taken for an answer: never right, and always."""
    task = Dyck(length=4)
    v = task.vocabulary
    values = OutcomeValues(TokenPolicy(small_gpt2(v.size, v.eos, task.max_length + 3, 1, 8, 2, 0), v, backspace=True))
    with pytest.raises(InvalidInputError, match="neither true nor false; give a judge= that does"):
        values.fit(task, torch.Generator(), steps=1, texts=2, judge=judge)
