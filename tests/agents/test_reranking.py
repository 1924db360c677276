"""The learned reward as a ranking, and the discriminator as a value to walk by."""

import numpy as np
import pytest
import torch
from tiny_gail import agent, own

from agents.gail import DensityRatios, by_reward, discriminator
from seqil import Trajectories, rollout, start, transition
from seqil.decoding import value_walk
from seqil.errors import InvalidInputError
from seqil.metrics.positions import final_texts
from seqil.selection import best_of


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
