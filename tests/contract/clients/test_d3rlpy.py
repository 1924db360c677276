"""d3rlpy: DiscreteBC learns from our demonstrations."""

import numpy as np
import pytest

from examples.episodes import play
from examples.three_tokens import ACTIONS, demonstrations, make_env, success_rate

pytestmark = pytest.mark.clients


def test_discrete_bc_learns():
    import d3rlpy

    episodes = list(play(make_env(), demonstrations(60)))
    data = d3rlpy.dataset.MDPDataset(
        np.concatenate([e.observations[:-1] for e in episodes]),
        np.concatenate([e.actions for e in episodes])[:, None],
        np.concatenate([e.rewards for e in episodes])[:, None],
        np.concatenate([e.terminations for e in episodes]),
        action_space=d3rlpy.ActionSpace.DISCRETE,
        action_size=ACTIONS,
    )
    d3rlpy.seed(0)
    cloned = d3rlpy.algos.DiscreteBCConfig(batch_size=60, learning_rate=1e-2).create(device=False)
    cloned.build_with_dataset(data)

    def act(observation, mask):
        return int(cloned.predict(observation[None])[0])

    assert success_rate(act, make_env(), 60) < 0.1
    quiet = {"show_progress": False, "logger_adapter": d3rlpy.logging.NoopAdapterFactory()}
    cloned.fit(data, n_steps=300, n_steps_per_epoch=300, **quiet)
    assert success_rate(act, make_env(), 60) > 0.9
