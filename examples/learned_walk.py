"""A walk by values that a policy learns from how its own texts come out, against samples that feed as many cells.

python examples/learned_walk.py
"""

import sys

import numpy as np
import torch

from agents.behavior_cloning import BehaviorCloning
from agents.gail import OutcomeValues
from envs.tasks import Dyck
from seqil import TokenPolicy, Trajectories, rollout, train
from seqil.decoding import backspace_bias, judged_walk, value_walk
from seqil.metrics import cost
from seqil.models.from_scratch import small_gpt2
from seqil.selection import Ranking, best_of

TASK, NEVER = Dyck(length=8), backspace_bias(-1e38)


def cloned(seed: int, steps: int) -> TokenPolicy:
    """A small policy that has not learned the task to its end; it can delete, and was never shown how."""
    v = TASK.vocabulary
    policy = TokenPolicy(small_gpt2(v.size, v.eos, TASK.max_length + 3, 1, 32, 2, seed), v, backspace=True)
    agent = BehaviorCloning(policy, steps=steps, learning_rate=5e-3)
    data, generator = TASK.demonstrations(2000, "train", seed), torch.Generator().manual_seed(seed)
    for _ in train(agent, data, steps=steps, generator=generator, batch_size=64):
        pass
    return policy


def right(policy: TokenPolicy, rule, texts: int, seed: int) -> tuple[float, float]:
    """Share of right texts, and cells fed per token that stands in the end."""
    prompts = TASK.prompts(texts, "test", seed)
    limits = {"max_length": TASK.max_length, "min_length": TASK.min_length, "max_actions": 800}
    found = rollout(policy, prompts, rules=[rule], generator=torch.Generator().manual_seed(seed), **limits)
    wins = sum(map(bool, map(TASK.success, prompts, found.replay().texts())))
    return wins / texts, float(cost(found, [rule]).forwards.sum() / found.replay().generated.sum())


def best_judged(policy: TokenPolicy, values: OutcomeValues, k: int, texts: int, seed: int) -> tuple[float, float]:
    """The same of the best of `k` drawn texts, by the values at their ends; choosing reads every text once more."""
    prompts = TASK.prompts(texts, "test", seed)
    limits = {"max_length": TASK.max_length, "min_length": TASK.min_length}

    def at_the_end(policy: TokenPolicy, own: Trajectories) -> np.ndarray:
        return values(own.replay())[0].double().numpy()

    ranking = Ranking("learned values", at_the_end)
    chosen = best_of(
        policy, prompts, k, ranking, rules=[NEVER], generator=torch.Generator().manual_seed(seed), **limits
    )
    wins = sum(map(bool, map(TASK.success, prompts, chosen.trajectories.replay().texts())))
    return wins / texts, 2.0 * k


def main(seeds: int = 3, steps: int = 60, updates: int = 150, texts: int = 500) -> list[list[tuple[float, float]]]:
    """Print a row per seed: right texts and cells per token of each way."""
    names, found = ("drawn", "walk by learned values", "best of 18 by them", "walk by the judge"), []
    print("seed  " + "  ".join(f"{name:>24}" for name in names))
    for seed in range(seeds):
        policy = cloned(seed, steps)
        values = OutcomeValues(policy)
        values.fit(TASK, torch.Generator().manual_seed(seed), steps=updates, texts=128)
        ways = NEVER, value_walk(values, "outcomes"), judged_walk(reader=TASK)
        drawn, walked, judged = (right(policy, rule, texts, seed) for rule in ways)
        found.append([drawn, walked, best_judged(policy, values, 18, texts, seed), judged])
        print(f"{seed:4}  " + "  ".join(f"{f'{share:.3f} at {cells:.1f}':>24}" for share, cells in found[-1]))
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*map(int, sys.argv[1:]))
