import torch

from seqil import Trajectories, Vocabulary, mistype, noise

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
