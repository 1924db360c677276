"""The examples that need no extra learn, at a fraction of their default length."""

import pytest


@pytest.mark.filterwarnings(
    "ignore:Creating .*WeightUpdater which inherits:DeprecationWarning"
)  # TorchRL's own classes
def test_torchrl_ppo():
    from examples.torchrl_ppo import main

    assert main(frames=512) < 0.2
    assert main(frames=7680) > 0.6


def test_cleanrl_ppo():
    from examples.cleanrl_ppo import main

    assert main(updates=1) < 0.2
    assert main(updates=15) > 0.6
