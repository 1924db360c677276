"""skrl: PPO on the vector environment."""

import pytest
import torch

from examples.three_tokens import ACTIONS, make_env, make_vec, network, success_rate

pytestmark = pytest.mark.clients
STEPS, ROWS = 64, 8


@pytest.fixture(autouse=True)
def _checks_of_distributions():
    """Importing skrl turns the argument checks of all torch distributions off."""
    before = torch.distributions.Distribution._validate_args
    yield
    torch.distributions.Distribution.set_default_validate_args(before)


def models(env):
    from skrl.models.torch import CategoricalMixin, DeterministicMixin, Model

    class Policy(CategoricalMixin, Model):
        def __init__(self):
            Model.__init__(self, observation_space=env.observation_space, action_space=env.action_space, device="cpu")
            CategoricalMixin.__init__(self)
            self.network = network(ACTIONS, gain=0.01)

        def compute(self, inputs, role):
            return self.network(inputs["observations"]), {}

    class Value(DeterministicMixin, Model):
        def __init__(self):
            Model.__init__(self, observation_space=env.observation_space, action_space=env.action_space, device="cpu")
            DeterministicMixin.__init__(self)
            self.network = network(1, gain=1.0)

        def compute(self, inputs, role):
            return self.network(inputs["observations"]), {}

    return {"policy": Policy(), "value": Value()}


def test_ppo_learns(tmp_path):
    from skrl.agents.torch.ppo import PPO, PPO_CFG
    from skrl.envs.wrappers.torch import wrap_env
    from skrl.memories.torch import RandomMemory
    from skrl.trainers.torch import SequentialTrainer

    torch.manual_seed(0)
    env = wrap_env(make_vec(ROWS))
    parts = models(env)
    settings = PPO_CFG(
        **{"rollouts": STEPS, "mini_batches": 8, "discount_factor": 0.95, "entropy_loss_scale": 0.01},
        experiment={"directory": str(tmp_path), "write_interval": 0, "checkpoint_interval": 0},
    )
    memory = RandomMemory(memory_size=STEPS, num_envs=ROWS, device="cpu")
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
    agent = PPO(models=parts, memory=memory, cfg=settings, device="cpu", **spaces)

    @torch.no_grad()
    def act(observation, mask):
        return int(parts["policy"].act({"observations": torch.from_numpy(observation)[None]})[0])

    before = success_rate(act, make_env(), 100)
    quiet = {"disable_progressbar": True, "headless": True, "close_environment_at_exit": False}
    SequentialTrainer(env=env, agents=agent, cfg={"timesteps": 30 * STEPS, **quiet}).train()
    assert before < 0.1
    assert success_rate(act, make_env(), 100) > 0.5
