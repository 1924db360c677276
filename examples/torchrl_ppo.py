"""TorchRL's PPO on the Gymnasium environment, by `GymWrapper` and `Collector`: `python -m examples.torchrl_ppo`."""

import torch
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.collectors import Collector
from torchrl.envs import GymWrapper
from torchrl.modules import MaskedCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from examples.three_tokens import ACTIONS, make_env, make_vec, network, success_rate

BATCH = 512


class Logits(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = network(ACTIONS, gain=0.01)

    def forward(self, observation: Tensor, action_mask: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(observation), action_mask.bool()


def main(frames: int = 15_360, seed: int = 0) -> float:
    """Success rate of sampled actions after that many steps."""
    torch.manual_seed(seed)
    env = GymWrapper(make_vec(16), categorical_action_encoding=True)  # `action_mask` comes from the infos
    env.set_seed(seed)
    logits = Logits()
    actor = ProbabilisticActor(
        TensorDictModule(logits, in_keys=["observation", "action_mask"], out_keys=["logits", "mask"]),
        in_keys=["logits", "mask"],
        distribution_class=MaskedCategorical,
        return_log_prob=True,
    )
    critic = ValueOperator(network(1, gain=1.0), in_keys=["observation"])
    advantage = GAE(gamma=0.95, lmbda=0.95, value_network=critic, average_gae=True)
    loss = ClipPPOLoss(actor, critic, entropy_coeff=0.01)
    optimizer = torch.optim.Adam(loss.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=frames // BATCH)
    collector = Collector(
        env, actor, frames_per_batch=BATCH, total_frames=frames, auto_register_policy_transforms=False
    )
    for data in collector:
        for _ in range(8):
            advantage(data)
            for part in data.reshape(-1)[torch.randperm(data.numel())].split(64):
                losses = loss(part)
                optimizer.zero_grad()
                (losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]).backward()
                optimizer.step()
        schedule.step()

    @torch.no_grad()
    def act(observation, mask):
        scores, legal = logits(torch.from_numpy(observation), torch.from_numpy(mask))
        return int(MaskedCategorical(scores, mask=legal).sample())

    return success_rate(act, make_env())


if __name__ == "__main__":
    print(f"success: {main():.2f}")
