# %% [markdown]
# # 202: Sample, stream, constrain
#
# What one can do with a policy once it is trained: complete prompts, watch it write, choose how it decodes, forbid what shall
# not be said, and keep the best of several texts. It takes about twenty seconds on one core. The text is two lines that
# repeat, so that a tiny model learns them: what it writes is no sign of what it could do on more.

# %%
from pathlib import Path

import torch

from envs.tasks import Text
from seqil import DeletionStreamer, Settings, complete, decoding, rollout, selection
from seqil.runs.experiment import make_training

STEPS = 120
Path("runs").mkdir(exist_ok=True)
Path("runs/202.txt").write_text(
    "It was a bright cold day in April, and the clocks were striking thirteen.\n"
    "It was the best of times, it was the worst of times, it was the age of wisdom.\n" * 40
)
options = {"path": "runs/202.txt", "prompt_length": 8, "max_length": 48}
settings = Settings.of(
    {"task": "text", "task_options": options, "agent": "bc", "steps": STEPS, "demonstrations": 60}
    | {"batch_size": 16, "learning_rate": 5e-3}
)
task = Text(**options)
training = make_training(settings, task)
for step, metrics in training.run():
    if step % 40 == 0:
        print(step, round(metrics["loss"], 3))
policy, v = training.policy, task.vocabulary

# %% [markdown]
# ## Text in, text out
#
# `complete` takes prompts as text and gives what stands in the end. A generator is the only source of randomness.

# %%
g = torch.Generator().manual_seed(0)
print(complete(policy, ["It was a bright", "it was the w"], task, max_length=40, generator=g, temperature=0.7))

# %% [markdown]
# ## As it is written
#
# `watch` is called after every action, and a `DeletionStreamer` shows it. On a terminal deleted text is struck out where it
# stands; elsewhere each deleted character is followed by a `⌫`. The command is
# `seqil sample RUN --prompt "It was a bright" --stream`.

# %%
prompt = task.encode("It was a bright")
streamer = DeletionStreamer(task, v.backspace, v.eos)
streamer.put(prompt)
written = rollout(policy, [prompt], max_length=40, generator=g, watch=lambda row, action: streamer.put([action]))
streamer.end()

# %% [markdown]
# ## Rules
#
# Rules reshape the law of the next action, in the order given, after the temperature. `tabu` never writes again what was just
# deleted; `min_p` drops what has a small share of the likeliest's chance; `backspace_bias` makes deletions likelier, or rarer,
# without training. Each has a cost that is counted.

# %%
limits = {"max_length": 40, "generator": g}
for rules in ([], [decoding.min_p(0.1)], [decoding.tabu(), decoding.backspace_bias(2.0)]):
    texts = rollout(policy, [prompt] * 16, rules=rules, **limits)
    deletions = int((texts.inside & (texts.actions == v.backspace)).sum())
    print([str(rule) for rule in rules], "deletions in 16 texts:", deletions)

# %% [markdown]
# ## A constraint of one's own
#
# A rule is any function of the prefixes and the logits. This one forbids the letter `w`; a grammar, a list of words or a
# checker of brackets has the same form, and may look at the whole text by `prefixes.texts()`. What it puts at minus infinity
# stays there; where nothing would be left, the row keeps what it had.


# %%
def without(token):
    def warp(prefixes, rows, logits):
        changed = logits.clone()
        changed[:, token] = -torch.inf
        return changed

    return decoding.NamedRule(f"without({token})", lambda policy: warp)


(letter,) = task.encode("w")
constrained = rollout(policy, [prompt] * 8, rules=[without(letter)], **limits).replay().texts(eos=False)
print(sorted({task.decode(text) for text in constrained})[:3])
assert not any(letter in text for text in constrained)

# %% [markdown]
# ## The best of several
#
# `best_of` draws k texts per prompt and keeps one, by likelihood or by a score of your own; `rejection` and `majority_vote`
# are beside it. What all draws cost is in the result, so that a decoding can be compared at equal cost.

# %%
kept = selection.best_of(policy, [prompt], 8, lambda prompt, text: -len(text), **limits)
print(
    task.decode(kept.trajectories.replay().texts(eos=False)[0]), "| actions of all draws:", int(kept.cost.actions.sum())
)

# %% [markdown]
# All rules with their arguments: `seqil list rules`. A rule from a file: `seqil sample RUN --rule my_rules.py:without=3`. How to
# write one and prove it stands in the [guide](../../seqil/decoding/README.md).
