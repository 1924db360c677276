"""A walk by values that a policy learns from how its own texts come out, and what else would do for as much.

python examples/learned_walk.py
"""

import sys
from collections.abc import Sequence

import numpy as np
import torch

from agents.behavior_cloning import BehaviorCloning
from agents.gail import OutcomeValues
from envs.tasks import Dyck
from seqil import TokenPolicy, Trajectories, rollout, train
from seqil.decoding import backspace_bias, judged_walk, min_p, value_walk
from seqil.metrics import cost
from seqil.models.from_scratch import small_gpt2
from seqil.selection import Ranking, best_of

TASK, NEVER, BATCH = Dyck(length=8), backspace_bias(-1e38), 64
LIMITS = {"max_length": TASK.max_length, "min_length": TASK.min_length}
Found = tuple[float, float]


def cloned(seed: int, steps: int) -> tuple[TokenPolicy, float]:
    """A small policy, and what its training cost in forward positions; it can delete, and was never shown how."""
    v = TASK.vocabulary
    policy = TokenPolicy(small_gpt2(v.size, v.eos, TASK.max_length + 3, 1, 32, 2, seed), v, backspace=True)
    agent = BehaviorCloning(policy, steps=steps, learning_rate=5e-3)
    data, generator = TASK.demonstrations(2000, "train", seed), torch.Generator().manual_seed(seed)
    for _ in train(agent, data, steps=steps, generator=generator, batch_size=BATCH):
        pass
    return policy, 3.0 * steps * policy.positions(data.select(slice(0, BATCH)))


def right(policy: TokenPolicy, rules: Sequence, texts: int, seed: int) -> Found:
    """Share of right texts, and cells fed per token that stands in the end; values have no cache of their own."""
    prompts = TASK.prompts(texts, "test", seed)
    own = torch.Generator().manual_seed(seed)
    found = rollout(policy, prompts, rules=rules, generator=own, max_actions=800, **LIMITS)
    wins = sum(map(bool, map(TASK.success, prompts, found.replay().texts())))
    return wins / texts, float(cost(found, rules).forwards.sum() / found.replay().generated.sum())


def best_judged(policy: TokenPolicy, values: OutcomeValues, k: int, texts: int, seed: int) -> Found:
    """The same of the best of `k` drawn texts, by the values at their ends; choosing reads every text once more."""
    prompts = TASK.prompts(texts, "test", seed)

    def at_the_end(policy: TokenPolicy, own: Trajectories) -> np.ndarray:
        return values(own.replay())[0].double().numpy()

    ranking, own = Ranking("learned values", at_the_end), torch.Generator().manual_seed(seed)
    chosen = best_of(policy, prompts, k, ranking, rules=[NEVER], generator=own, **LIMITS)
    return sum(map(bool, map(TASK.success, prompts, chosen.trajectories.replay().texts()))) / texts, 2.0 * k


def ways(seed: int, steps: int, updates: int, texts: int) -> dict[str, Found]:
    """Right texts and cells per token of each way; cloning for longer costs what cloning and values do together."""
    policy, before = cloned(seed, steps)
    values = OutcomeValues(policy)
    values.fit(TASK, torch.Generator().manual_seed(seed), steps=updates, texts=128)
    longer, _ = cloned(seed, round(steps * (1 + values.cost / before)))
    walk = value_walk(values, "outcomes")
    rules = {"drawn": [NEVER], "min-p": [NEVER, min_p(0.1)], "values, no step back": [walk, NEVER], "walk": [walk]}
    found = {name: right(policy, way, texts, seed) for name, way in rules.items()}
    found |= {f"best of {k}": best_judged(policy, values, k, texts, seed) for k in (2, 8, 18)}
    found["walk by the judge"] = right(policy, [judged_walk(reader=TASK)], texts, seed)
    found |= {f"cloned longer, {name}": right(longer, rules[name], texts, seed) for name in ("drawn", "min-p")}
    return found


def main(seeds: int = 3, steps: int = 60, updates: int = 150, texts: int = 500) -> list[dict[str, Found]]:
    """Print a row per way: right texts of each seed, and cells per token of the first."""
    found = [ways(seed, steps, updates, texts) for seed in range(seeds)]
    for name, (_, cells) in found[0].items():
        print(f"{name:24}" + "".join(f"{one[name][0]:7.3f}" for one in found) + f"   at {cells:.1f} cells per token")
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*map(int, sys.argv[1:]))
