# %% [markdown]
# # 103: An agent of one's own, with rollouts, against GAIL
#
# For who comes from imitation learning. An agent is a loss and an `Agent` that has it: some twenty lines. This one learns
# from its own rollouts too, and stands at the end beside cloning and GAIL after as many updates. About half a minute on one core;
# the task is small and there is one seed, so this shows how one compares, and is no comparison.
#
# ## The idea
#
# On `automaton` two tokens decide which may follow. An agent that knows only the demonstrations can still see which triples
# of tokens never occur in them. *Never seen* writes texts of its own, and makes the last token of such a triple less likely:
# the unlikelihood of Welleck et al. (2020), at the policy's own states, with the batch of data as the judge.

# %%
import time

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from agents.behavior_cloning import BehaviorCloning
from agents.gail import GAIL
from envs.tasks import Automaton
from seqil import Agent, Trajectories, TrajectoryLoss, evaluation, mistype, noise, objectives, rollout, train
from seqil import TokenPolicy as Policy

STEPS = 200
N = 300
task = Automaton(horizon=6)
v = task.vocabulary

# %% [markdown]
# ## The loss
#
# `losses` is handed demonstrations and rollouts, both `Trajectories`, and returns one number per name in `out_keys`.
# `step_values` is what the model says of every step: `values.log_prob` is log π(a|s), [B, T], and `values.mask` says which
# steps are there. Without rollouts the part that they would have added is 0, as the contract asks.
#
# The state before each action is the text that stands, which a deletion has changed; here that is kept by hand, row by row.


# %%
def triples(trajectories):
    """For every step the two tokens that stand before it and the token it writes; None where it writes none."""
    for prompt, row in zip(trajectories.prompts.tolist(), rows_of(trajectories), strict=True):
        text = [token for token in prompt if token != v.size]
        for action in row:
            yield (*text[-2:], action) if action != v.backspace else None
            text = text[:-1] if action == v.backspace else [*text, action]


def rows_of(trajectories):
    lengths = trajectories.lengths.tolist()
    return [row[:n] for row, n in zip(trajectories.actions.tolist(), lengths, strict=True)]


class NeverSeenLoss(TrajectoryLoss):
    """Cloning, and the unlikelihood of own triples that the data have not."""

    out_keys = ["loss_cloning", "loss_never_seen"]  # noqa: RUF012

    def __init__(self, policy, known, weight):
        super().__init__(policy)
        self.known, self.weight = known, weight

    def losses(self, demonstrations, rollouts):
        cloning, _ = objectives.behavior_cloning(self.policy.step_values(demonstrations))
        if rollouts is None:
            return {"loss_cloning": cloning, "loss_never_seen": 0 * cloning}
        values = self.policy.step_values(rollouts)
        strange = torch.zeros_like(values.mask)
        strange[values.mask] = torch.tensor([t is not None and t not in self.known for t in triples(rollouts)])
        missing = -torch.log1p(-values.log_prob[strange].exp().clamp(max=1 - 1e-6))
        return {"loss_cloning": cloning, "loss_never_seen": self.weight * missing.sum() / values.mask.sum()}


# %% [markdown]
# ## The agent
#
# `uses_rollouts` asks for trajectories of the policy itself; the loop collects them into a replay buffer. `warm_up` is the
# share of the updates, at the beginning, that only clone. `check_agent` proves the contract: that a step changes the policy,
# that a state can be saved and gone on from to the same bits, that what is not finite is refused, and more.


# %%
class NeverSeen(Agent):
    """Cloning that is told what never occurs."""

    uses_rollouts = True

    def __init__(self, policy, *, known=frozenset(), weight=1.0, warm_up=0.3, **options):
        super().__init__(policy, NeverSeenLoss(policy, known, weight), warm_up=warm_up, **options)


# %% [markdown]
# ## Against GAIL
#
# All have the same model, data, updates and mistakes in the data. The costs differ, and are said: `cost` counts positions
# that the model computed, a trained one counted as three, so GAIL's discriminator and critic are in it.

# %%
demonstrations = task.demonstrations(4000, "train", 0)
known = frozenset(t for t in triples(demonstrations) if t is not None)
mistakes = noise.uniform(v)
held_out = task.demonstrations(N, "test", 0)


def policy():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        size = {"n_positions": 64, "n_layer": 2, "n_embd": 64, "n_head": 4}
        return Policy(GPT2LMHeadModel(GPT2Config(vocab_size=v.size, bos_token_id=v.eos, eos_token_id=v.eos, **size)), v)


def corrupted(texts: Trajectories, generator: torch.Generator) -> Trajectories:
    return mistype(v, texts, 0.05, mistakes, generator)


ARMS = {
    "cloning": lambda p: BehaviorCloning(p, steps=STEPS, learning_rate=5e-3),
    "never seen": lambda p: NeverSeen(p, known=known, steps=STEPS, learning_rate=5e-3),
    "GAIL": lambda p: GAIL(p, steps=STEPS, learning_rate=5e-3),
}
found = {}
for name, make in ARMS.items():
    began, agent = time.perf_counter(), make(policy())
    generator = torch.Generator().manual_seed(0)
    for _, metrics in train(agent, demonstrations, generator=generator, batch_size=64, corrupt=corrupted):
        pass
    limits = {"max_length": task.max_length, "min_length": task.min_length, "max_actions": task.budget(None)}
    written = rollout(agent.policy, held_out.prompts, generator=torch.Generator().manual_seed(1), **limits)
    found[name] = evaluation(task, agent.policy, held_out, written)
    seconds, cost = time.perf_counter() - began, metrics["cost"] / 1e6
    print(f"{name:>10}: success {found[name]['success']}, cost {cost:.2f} M positions, {seconds:.0f} s")

# %% [markdown]
# ## What to expect
#
# Cloning and *never seen* at some 0.5 of right texts, not told apart with one seed and so few updates, and GAIL below both at
# several times their cost<!-- by tests/documentation/test_tutorials.py -->: a discriminator and a critic have to be learned first, and 200 updates are few for that. Whether
# *never seen* is worth anything is a question for a study with seeds. GAIL beside its warm start stands in
# [results](../results.md).
#
# `seqil train --agent my_agent.py:NeverSeen` takes the class from a file, and a study (see [105](105_a_study_of_ones_own.py))
# compares it at equal cost and with seeds, which is what a claim takes. How to keep an agent here stands in the
# [guide](../../agents/README.md).
