# %% [markdown]
# # 105: A study of one's own
#
# A comparison takes more than two runs: equal cost of training, several seeds, the same prompts for all, and a test. A study
# is that, in one short file. This page reads best as a notebook, for its results are a pandas frame. It takes about a minute
# on one core, and what it finds is about a toy of 8 tokens: read it for the form.
#
# ## The file
#
# Arms are what is trained, places are tasks at a budget, decodings are further ways to sample from the same weights. The
# budget counts positions that the model computes, a trained one counted as three, and is the same for all arms. The second arm
# has the same loss without the mistakes in its data: the control of the claim that they help.

# %%
import shutil
import subprocess
import sys
from pathlib import Path

from seqil import comparison, results

BUDGET = 3e5
FOLDER = Path("runs/105")
shutil.rmtree(FOLDER, ignore_errors=True)
FOLDER.mkdir(parents=True)
(FOLDER / "my_study.toml").write_text(f"""
question = "Do deleted mistakes help cloning on eight tokens?"
seeds = 3
arms = [
    {{name = "mistakes", settings = {{agent = "bc"}}, decodings = [{{name = "min-p .1", rules = ["min_p=0.1"]}}]}},
    {{name = "no mistakes", settings = {{agent = "bc", noise = "none"}}}},
]

[[places]]
name = "automaton"
budget = {BUDGET}
samples = 200
settings = {{task = "automaton", task_options = {{horizon = 8}}, demonstrations = 2000, width = 32, learning_rate = 2e-2}}
""")

# %% [markdown]
# ## Run it
#
# On a terminal: `python -m benchmarks.compounding_error run --study runs/105/my_study.toml --out runs/105`. A run that was
# interrupted goes on where it was; `status` says what is missing. Beside its records it writes `table.md` and `report.html`,
# the page with all figures and the texts step by step.

# %%
OPTIONS = ["--study", str(FOLDER / "my_study.toml"), "--out", str(FOLDER)]
subprocess.run([sys.executable, "-m", "benchmarks.compounding_error", "run", *OPTIONS], check=True)

# %% [markdown]
# ## The frame
#
# One row per number, with its interval, unit and cost. From here it is pandas.

# %%
frame = results(FOLDER)
print(frame.columns.tolist())
shown = frame[frame.metric.isin(["success", "hazard", "actions_per_net_token"])]
print(shown.pivot_table("value", ["arm", "decoding"], "metric", "mean").round(3))

# %% [markdown]
# ## The test
#
# Runs of a seed share data order, prompts and random numbers, so arms are compared in pairs: the interval of the difference
# says more than two intervals side by side. With three seeds it is wide, and an honest answer is often "undecided".

# %%
success = frame[(frame.metric == "success") & (frame.decoding == "")].pivot(index="seed", columns="arm", values="value")
difference = comparison.paired_difference(success["mistakes"].to_numpy(), success["no mistakes"].to_numpy())
print("difference of success:", difference.effect, f"p = {difference.p:.3f}")

# %% [markdown]
# ## Next
#
# Agents and tasks of your own are named by their file, `agent = "my_agent.py:Mine"`. What a claimed win must name beside
# itself stands in the [guide to studies](../../benchmarks/compounding_error/studies/README.md), and all committed studies in
# [results](../results.md).
