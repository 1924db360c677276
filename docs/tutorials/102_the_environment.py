# %% [markdown]
# # 102: The environment
#
# Writing with a backspace as a reinforcement-learning environment: under Gymnasium, as many rows at once, under TorchRL, and
# with Stable-Baselines3. It takes some seconds; the last part is skipped where Stable-Baselines3 is not installed. Spaces,
# infos and arguments are listed on the page of the [environment](../environment.md).
#
# ## One environment
#
# Actions are the tokens and, with the largest number, the backspace. An observation is a row of cells: the prompt, the text,
# and `vocabulary.size` where nothing is written. `info["action_mask"]` says what is legal.

# %%
import gymnasium

import envs  # noqa: F401  # which makes the id known

env = gymnasium.make("seqil/TextGeneration-v0", task="sudoku4", render_mode="ansi")
observation, info = env.reset(seed=0)
env.action_space.seed(0)
print(env.action_space, observation.shape, "legal:", info["action_mask"])

over = False
while not over:
    action = env.action_space.sample(info["action_mask"])
    observation, reward, terminated, truncated, info = env.step(action)
    over = terminated or truncated
print("reward:", reward, "success:", info["success"], "characters on the screen:", len(env.render()))

# %% [markdown]
# A random writer deletes what it has written again and again and is truncated when its budget of actions is spent: expect a
# reward of 0. With `render_mode="human"` the text appears in the terminal as it is written.
#
# ## A reward of one's own
#
# `reward` is paid once, at the end. `step_reward` is paid at every action, for what it makes of the text: here a tenth for
# each cell that agrees with its clue, so that deleting it takes the tenth back. Ids of `sudoku4` are digits, 4 is a blank.

# %%
BLANK = 4


def agreement(prompt, tokens):
    return sum(clue == token for clue, token in zip(prompt, tokens, strict=False) if clue != BLANK) / 10


shaped = gymnasium.make(
    "seqil/TextGeneration-v0",
    task="sudoku4",
    step_reward=lambda prompt, before, after: agreement(prompt, after) - agreement(prompt, before),
)
_, info = shaped.reset(seed=99)
shaped.action_space.seed(99)
total = 0.0
for _ in range(20):
    _, reward, _, _, info = shaped.step(shaped.action_space.sample(info["action_mask"]))
    total += float(reward)
prompt, tokens = shaped.unwrapped.text()
print(f"sum of rewards {total:.1f}, agreement {agreement(prompt, tokens):.1f}")

# %% [markdown]
# The two numbers are equal, 0.2<!-- by docs/tutorials/102_the_environment.py --> with this seed, though two deletions took a
# tenth back: the rewards telescope. What shapes a task in this way changes no best policy.
#
# ## Many rows at once
#
# The vector environment is numpy in one process, equal to single environments bit by bit. A row that ends starts anew at the
# next step, as in Gymnasium itself. Its action space takes a mask per row, in a tuple.

# %%
rows = gymnasium.make_vec("seqil/TextGeneration-v0", num_envs=16, task="sudoku4")
_, info = rows.reset(seed=0)
rows.action_space.seed(0)
for _ in range(50):
    actions = rows.action_space.sample(tuple(info["action_mask"]))
    observations, rewards, terminated, truncated, info = rows.step(actions)
print(observations.shape, "tokens written:", info["length"] - info["prompt_length"])

# %% [markdown]
# ## TorchRL
#
# `TorchTextGenerationEnv` is an `EnvBase` whose tensors stay on their device. A `TokenPolicy` is a module that reads its
# observations and writes logits, so TorchRL's own actors and collectors take it.

# %%
import torch
from tensordict.nn import TensorDictModule
from torchrl.modules import MaskedCategorical, ProbabilisticActor

from envs import TorchTextGenerationEnv

torch_env = TorchTextGenerationEnv(task="sudoku4", batch_size=8)
uniform = TensorDictModule(
    lambda mask: (torch.zeros_like(mask, dtype=torch.float32), mask),
    in_keys=["action_mask"],
    out_keys=["logits", "mask"],
)
actor = ProbabilisticActor(uniform, in_keys=["logits", "mask"], distribution_class=MaskedCategorical)
with torch.random.fork_rng():
    torch.manual_seed(0)
    rollout = torch_env.rollout(40, actor, break_when_any_done=False)
print(rollout.batch_size, sorted(rollout["next"].keys()))

# %% [markdown]
# ## Stable-Baselines3
#
# Its policies begin with a linear layer, so the cells are shown as one-hot rows, and `MaskablePPO` of sb3-contrib finds
# `action_masks()` by itself. The task is the least that can be learned in seconds: after the token t write t + 1, t + 2 and
# t, modulo 3, and then the end. `pip install -e ".[clients]"` installs both. With one seed 0.85 of the texts were right after
# this short training, and 0.90 after 3 times as many steps<!-- by docs/tutorials/102_the_environment.py -->.

# %%
import importlib.util

STEPS = 6_000
success = None
if importlib.util.find_spec("sb3_contrib"):
    from sb3_contrib import MaskablePPO
    from stable_baselines3.common.env_util import make_vec_env

    from envs.wrappers import OneHotObservation

    PROMPTS = [[0], [1], [2]]
    SETTINGS = {"vocabulary": {"size": 4, "eos": 3}, "max_length": 3, "prompts": PROMPTS}

    def answer(prompt):
        return [(prompt[0] + 1) % 3, (prompt[0] + 2) % 3, prompt[0], 3]

    def reward(prompt, tokens):
        if list(tokens) == answer(prompt):
            return 1.0
        return sum(a == b for a, b in zip(tokens, answer(prompt), strict=False)) / 8

    def make():
        return OneHotObservation(gymnasium.make("seqil/TextGeneration-v0", reward=reward, **SETTINGS))

    options = {"n_steps": 128, "gamma": 0.95, "ent_coef": 0.01, "seed": 0, "device": "cpu"}
    model = MaskablePPO("MlpPolicy", make_vec_env(make, n_envs=4), learning_rate=2e-3, **options).learn(STEPS)

    right, env = 0, make()
    for episode in range(60):
        observation, info = env.reset(seed=episode)
        over = False
        while not over:
            action, _ = model.predict(observation, action_masks=info["action_mask"].astype(bool))
            observation, paid, terminated, truncated, info = env.step(int(action))
            over = terminated or truncated
        right += paid == 1.0
    success = right / 60
    print(f"MaskablePPO: {success:.2f} of the texts are right")

# %% [markdown]
# What each library needs, and what its test proves, stands in [other libraries](../clients.md).
