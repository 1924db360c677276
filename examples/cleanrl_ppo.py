"""PPO in one loop, in the manner of CleanRL, on the vector environment: `python -m examples.cleanrl_ppo`."""

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from examples.three_tokens import ACTIONS, make_env, make_vec, network, success_rate

STEPS, ROWS = 32, 16
GAMMA, LAMBDA, CLIP, ENTROPY = 0.95, 0.95, 0.2, 0.01


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.actor, self.critic = network(ACTIONS, gain=0.01), network(1, gain=1.0)

    def law(self, observations: Tensor, masks: Tensor) -> Categorical:
        return Categorical(logits=self.actor(observations).masked_fill(masks == 0, -1e9))

    def value(self, observations: Tensor) -> Tensor:
        return self.critic(observations)[..., 0]


def main(updates: int = 30, seed: int = 0) -> float:
    """Success rate of sampled actions after that many updates of `STEPS * ROWS` steps."""
    torch.manual_seed(seed)
    envs = make_vec(ROWS)
    agent = Agent()
    optimizer = torch.optim.Adam(agent.parameters())
    observation, info = envs.reset(seed=seed)
    state = torch.from_numpy(observation), torch.from_numpy(info["action_mask"])
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - update / updates)
        state, steps = collect(agent, envs, state)
        improve(agent, optimizer, steps)

    @torch.no_grad()
    def act(observation: np.ndarray, mask: np.ndarray) -> int:
        return int(agent.law(torch.from_numpy(observation), torch.from_numpy(mask)).sample())

    return success_rate(act, make_env())


@torch.no_grad()
def collect(
    agent: Agent, envs: gym.vector.VectorEnv, state: tuple[Tensor, Tensor]
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, ...]]:
    """`STEPS` steps of all rows, flat: observations, masks, actions, log-probabilities, advantages, returns."""
    seen, values, rewards, overs = [], [], [], []
    for _ in range(STEPS):
        law = agent.law(*state)
        actions = law.sample()
        seen.append((*state, actions, law.log_prob(actions)))
        values.append(agent.value(state[0]))
        observation, reward, terminated, truncated, info = envs.step(actions.numpy())
        rewards.append(torch.from_numpy(reward).float())
        overs.append(torch.from_numpy(terminated | truncated).float())
        state = torch.from_numpy(observation), torch.from_numpy(info["action_mask"])
    advantages = []
    following, advantage = agent.value(state[0]), torch.zeros(ROWS)
    for value, reward, over in zip(reversed(values), reversed(rewards), reversed(overs), strict=True):
        delta = reward + GAMMA * following * (1 - over) - value
        advantage = delta + GAMMA * LAMBDA * (1 - over) * advantage
        advantages.append(advantage)
        following = value
    parts = [torch.cat(part) for part in zip(*seen, strict=True)]
    gains = torch.cat(advantages[::-1])
    return state, (*parts, gains, gains + torch.cat(values))


def improve(agent: Agent, optimizer: torch.optim.Optimizer, steps: tuple[Tensor, ...]) -> None:
    """Eight epochs of the clipped objective (Schulman et al. 2017)."""
    for rows in torch.cat([torch.randperm(STEPS * ROWS) for _ in range(8)]).split(64):
        observations, masks, actions, before, gains, returns = (part[rows] for part in steps)
        law = agent.law(observations, masks)
        ratio = (law.log_prob(actions) - before).exp()
        gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        clipped = torch.min(ratio * gains, ratio.clamp(1 - CLIP, 1 + CLIP) * gains)
        error = (agent.value(observations) - returns).square()
        loss = error.mean() / 2 - clipped.mean() - ENTROPY * law.entropy().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
        optimizer.step()


if __name__ == "__main__":
    print(f"success: {main():.2f}")
