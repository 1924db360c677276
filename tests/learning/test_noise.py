import pickle

import pytest
import torch

from envs.tasks import Automaton
from seqil import Trajectories, Vocabulary, mistype, noise
from seqil.errors import InvalidInputError
from seqil.testing.agents import tiny_policy

V = Vocabulary(5, 4)
CLEAN = Trajectories.from_actions(V, [[0], [1, 2]], [[1, 2, 3, 4], [0, 0, 1, 2, 4]], max_length=6)


def test_replaying_the_noised_trajectory_gives_the_clean_text():
    for burst in (1, 2, 3):
        for mask in (True, False):
            noised = mistype(V, CLEAN, 0.5, noise.uniform(V, burst), torch.Generator().manual_seed(burst), mask)
            assert noised.replay().texts() == CLEAN.replay().texts()
            assert noised.lengths.sum() > CLEAN.lengths.sum()
            assert bool((noised.inside & ~noised.imitate).any()) == mask


def test_no_rate_no_noise():
    same = mistype(V, CLEAN, 0.0, noise.uniform(V), torch.Generator().manual_seed(0))
    assert torch.equal(same.actions, CLEAN.actions)


def noised(source, clean=CLEAN, seed=0):
    return mistype(clean.vocabulary, clean, 0.6, source, torch.Generator().manual_seed(seed))


def test_the_models_noise_is_without_dropout_and_leaves_the_model_as_it_was():
    policy = tiny_policy()
    assert policy.training
    source, wanted = noise.model(policy), noised(noise.model(tiny_policy().eval()))
    for _ in range(3):
        assert torch.equal(noised(source).actions, wanted.actions)
    assert all(module.training for module in policy.modules())


@pytest.mark.gpu
def test_the_model_may_be_on_another_device_than_the_data():
    assert torch.equal(
        noised(noise.model(tiny_policy().to("cuda"))).actions, noised(noise.model(tiny_policy())).actions
    )


@pytest.mark.parametrize("source", ["uniform", "confusions", "model"])
def test_sources_pickle(source):
    task = Automaton(horizon=4)
    made, clean = {
        "uniform": (noise.uniform(V), CLEAN),
        "confusions": (noise.confusions(task.confusions), task.demonstrations(5, "train", 0)),
        "model": (noise.model(tiny_policy()), CLEAN),
    }[source]
    assert torch.equal(noised(pickle.loads(pickle.dumps(made)), clean).actions, noised(made, clean).actions)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_weights_that_are_none_are_refused(value):
    def weights(prefixes, width=5):
        return torch.ones(len(prefixes), width).index_fill_(1, torch.tensor([1]), value)

    with pytest.raises(InvalidInputError, match="finite numbers of at least 0"):
        noised(noise.Noise(weights))
    with pytest.raises(InvalidInputError, match=r"shape \(\d+, 3\)"):
        noised(noise.Noise(lambda prefixes: torch.ones(len(prefixes), 3)))


def test_data_over_another_vocabulary_are_refused():
    with pytest.raises(InvalidInputError, match="not over Vocabulary"):
        mistype(Vocabulary(7, 4), CLEAN, 0.3, noise.uniform(Vocabulary(7, 4)), torch.Generator())
