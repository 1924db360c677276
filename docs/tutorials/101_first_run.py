# %% [markdown]
# # 101: The first run
#
# Train a small policy that may delete, read what it writes, and measure it beside one that may not. It takes about half a
# minute on one core: the task and the model are tiny, so the numbers show how things work and are no result.
#
# The task is `automaton`: texts of numbers in which two tokens decide which may follow, so that every error can be named.
# What a task is, what it counts as an error and who its teacher is stands in [its guide](../../envs/tasks/README.md).
#
# Each line in quotes below is a command. On a terminal type it after `seqil`; here the function of that name does the same
# in this process.

# %%
import shlex
import shutil

from seqil.cli import app

STEPS = 300
N = 300


def seqil(line):
    print("$ seqil", line)
    app(shlex.split(line), standalone_mode=False)


shutil.rmtree("runs/101", ignore_errors=True)

# %% [markdown]
# ## Train
#
# `bc` is behavior cloning. Before each update five tokens in a hundred are mistyped and deleted again, and the wrong ones are
# left out of the loss: the policy learns to delete an error, and not to make it. With `--no-backspace` the same command is
# maximum likelihood on clean texts. A run is a folder with its settings, a line of metrics per ten steps and checkpoints.

# %%
SAME = f"--task-option horizon=12 --steps {STEPS} --batch-size 64 --learning-rate 5e-3"
seqil(f"train --agent bc {SAME} --out runs/101/cloning")
seqil(f"train --agent bc --no-backspace {SAME} --out runs/101/likelihood")

# %% [markdown]
# ## Read
#
# The prompt ends at `[|]`, and what was deleted stands between `[-` and `-]`; on a terminal it is struck out in red instead.
# You should see a deletion in every second text or so, and most of them should be of a wrong token. The last line says what
# a token of the final text cost: each deletion spends an action, and so does the token it takes away.

# %%
seqil("sample runs/101/cloning -n 6")

# %% [markdown]
# ## Measure
#
# Every number has its unit, which way is better, and an interval. `success` is the share of texts that are right as a whole;
# after 300 steps expect about 0.7<!-- by docs/tutorials/101_first_run.py --> for both, which is far from 1 because the training was short. `hazard` is the rate of
# first errors per token. Which metrics there are, and what is easily misread, stands in [metrics](../concepts/metrics.md).

# %%
seqil(f"evaluate runs/101/cloning -n {N}")

# %% [markdown]
# ## Compare
#
# `inspect` puts runs side by side: where their settings differ, how they learned, what they cost, what they wrote after the
# same prompts, and whether the difference between them is more than chance. With `--page FILE` it writes the same as one
# page that loads nothing.

# %%
seqil(f"inspect runs/101/cloning runs/101/likelihood -n {N} --page runs/101/inspection.html")

# %% [markdown]
# ## Next
#
# - `seqil train --help` lists the settings, `seqil list agents` the agents: try `--agent sequence_match`, the default.
# - `seqil train --out runs/101/cloning --resume --steps 600` goes on where the run ended.
# - The same from Python, with an agent of your own: [103](103_an_agent_of_ones_own.py). Sampling with rules, streaming and
#   constraints: [202](202_sample_stream_constrain.py). The task as an environment: [102](102_the_environment.py).
