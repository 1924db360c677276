"""Odd calls of what `seqil` makes public: each is refused by a `SeqilError` in a line that names the argument."""

HEAD = """
import math, sys
import torch
import seqil
from seqil import *
from seqil import divergences, noise, decoding, selection, metrics
from seqil.errors import SeqilError
from seqil.testing.agents import tiny_demonstrations, tiny_policy
from agents.behavior_cloning import BehaviorCloning
from agents.sequence_match import SequenceMatch
from envs.tasks import Automaton

policy, demonstrations = tiny_policy(), tiny_demonstrations()
task, v = Automaton(), policy.vocabulary
def g(): return torch.Generator().manual_seed(0)
def roll(**options): return rollout(policy, options.pop("prompts", [[0]]), **{"max_length": 3, "generator": g(), **options})
def learn(agent=BehaviorCloning, texts=demonstrations, **options):
    own = {k: options.pop(k) for k in list(options) if k in ("steps", "learning_rate", "gamma", "smoothing", "clip", "weight_decay", "backspace")}
    made = agent(policy, **{"steps": 2, **own})
    return list(Training(made, texts, **{"generator": g(), **options}).run(1))
def attempt(call):
    try:
        found = call()
    except SeqilError as error:
        print("seqil:", " ".join(str(error).splitlines()), file=sys.stderr)
        sys.exit(2)
    print("accepted", type(found))
"""

_NO_COUNT = ('"3"', "1.5", "-1", "None", "True", "[1]", "float('nan')", "float('inf')")
_CALLS = {
    "max_length": [f"roll(max_length={x})" for x in (*_NO_COUNT, "0")],
    "max_actions": [f"roll(max_actions={x})" for x in ('"3"', "1.5", "-1", "[1]", "float('nan')", "float('inf')", "True", "0")],
    "min_length": [f"roll(min_length={x})" for x in ('"3"', "1.5", "-1", "None", "float('nan')", "9")],
    "temperature": [f"roll(temperature={x})" for x in ('"1"', "-1", "None", "float('nan')", "float('inf')", "[1]", "1j")],
    "prompt": [f"roll(prompts={x})" for x in ("[]", "None", "3", "'abc'", "[[0.5]]", "[['a']]", "[[99]]", "[[-1]]", "[None]", "torch.zeros(2, 2)", "{}")],
    "rule": [f"roll(rules={x})" for x in ("['tabu']", "[3]", "3", "[None]", "[decoding.top_k]")],
    "generator": [f"roll(generator={x})" for x in ("0", "'x'", "torch.manual_seed")],
    "size|vocabulary|eos|Vocabulary": [
        *(f"Vocabulary(size={x}, eos=0)" for x in ('"3"', "1.5", "-1", "0", "None", "True", "[3]", "float('nan')")),
        *(f"Vocabulary(size=3, eos={x})" for x in ('"0"', "1.5", "-1", "3", "None", "True", "[0]")),
    ],
    "backspace": [f"TokenPolicy(policy.model, v, backspace={x})" for x in ('"no"', "1", "None", "[]")],
    "model|vocabulary|Vocabulary|memory": [
        *(f"TokenPolicy({x}, v)" for x in ("None", "3", "'gpt2'", "[]")),
        *(f"TokenPolicy(policy.model, {x})" for x in ("None", "3", "'x'")),
        *(f"TokenPolicy(policy.model, v, memory={x})" for x in ("3", "'x'", "[]")),
    ],
    "folder|name|seqil.json": ["policy.save_pretrained('')", "policy.save_pretrained(None)", "policy.save_pretrained(3)", "TokenPolicy.from_pretrained('')", "TokenPolicy.from_pretrained(None)", "TokenPolicy.from_pretrained(3)", "TokenPolicy.from_pretrained('nope')"],
    "steps": [f"learn(steps={x})" for x in (*_NO_COUNT, "0")],
    "learning_rate": [f"learn(learning_rate={x})" for x in ('"1"', "-1", "0", "None", "float('nan')", "float('inf')", "[1]")],
    "gamma": [f"learn(gamma={x})" for x in ('"1"', "-1", "0", "2", "None", "float('nan')", "[1]")],
    "smoothing": [f"learn(smoothing={x})" for x in ('"1"', "-1", "2", "None", "float('nan')")],
    "clip": [f"learn(clip={x})" for x in ('"1"', "-1", "0", "float('nan')", "[1]")],
    "weight_decay": [f"learn(weight_decay={x})" for x in ('"1"', "-1", "None", "float('nan')", "[1]")],
    "batch_size|batches": [f"learn(batch_size={x})" for x in (*_NO_COUNT, "0")],
    "average": [f"learn(average={x})" for x in ('"1"', "-1", "1", "float('nan')", "[1]", "True")],
    "corrupt": [f"learn(corrupt={x})" for x in ("3", "'x'", "[1]")],
    "sampling|Sampling": [f"learn(sampling={x})" for x in ("3", "'x'", "{}")],
    "generator|Generator": [f"learn(generator={x})" for x in ("None", "0", "'x'")],
    "demonstrations|Trajectories|vocabulary": [f"learn(texts={x})" for x in ("None", "3", "[]", "[[1, 2]]", "'x'", "task.demonstrations(3, 'train', 0)", "demonstrations.select(slice(0, 0))")],
    "policy|TokenPolicy": [f"BehaviorCloning({x}, steps=2)" for x in ("None", "3", "policy.model", "'x'", "[]")],
    "every": [f"Sampling(every={x})" for x in ('"1"', "1.5", "0", "-1", "None", "True", "float('nan')")],
    "rows": [f"Sampling(rows={x})" for x in ('"1"', "1.5", "0", "None")],
    "capacity": [f"Sampling(capacity={x})" for x in ('"1"', "1.5", "0", "None")],
    "Sampling|max_actions": [f"Sampling(max_actions={x})" for x in ('"1"', "1.5", "0", "float('nan')", "float('inf')", "[1]")],
    "Sampling|temperature": [f"Sampling(temperature={x})" for x in ('"1"', "-1", "float('nan')", "float('inf')", "None")],
    "number|n=|demonstrations|items": [f"task.demonstrations({x}, 'train', 0)" for x in ('"1"', "1.5", "-1", "None", "float('nan')", "[1]")],
    "split": [f"task.demonstrations(2, {x}, 0)" for x in ("'x'", "None", "3", "''", "[]")],
    "seed": [f"task.demonstrations(2, 'train', {x})" for x in ('"1"', "1.5", "None", "float('nan')", "[1]")],
    "horizon": [f"Automaton(horizon={x})" for x in ('"1"', "1.5", "-1", "0", "None", "True", "float('nan')", "[1]")],
    "k=|top_k": [f"decoding.top_k({x})" for x in ('"1"', "1.5", "0", "-1", "None", "True", "float('nan')", "[1]", "float('inf')")],
    "p=|top_p": [f"decoding.top_p({x})" for x in ('"1"', "0", "-1", "2", "None", "True", "float('nan')", "[1]")],
    "p=|min_p": [f"decoding.min_p({x})" for x in ('"1"', "-1", "2", "None", "float('nan')", "[1]")],
    "b=|backspace_bias": [f"decoding.backspace_bias({x})" for x in ('"1"', "None", "float('nan')", "float('inf')", "[1]", "True")],
    "most|loop_guard": [f"decoding.loop_guard({x})" for x in ('"1"', "1.5", "-1", "None", "[1]")],
    "contrastive|alpha|k=": [f"decoding.contrastive_search({x})" for x in ("0, .5", "2, 2", "2, None", "'2', .5", "2, float('nan')", "1.5, .5")],
    "rate": [f"mistype(v, demonstrations, {x}, noise.uniform(v), g())" for x in ('"1"', "-1", "1", "2", "None", "float('nan')", "[1]")],
    "alpha": [f"divergences.chi2_mixture({x})" for x in ('"1"', "0", "-1", "None", "float('nan')", "float('inf')", "[1]")],
    "unknown|divergence": [f"SequenceMatch(policy, steps=2, divergence={x})" for x in ("'chi2'", "3", "divergences.chi2_mixture", "[]")],
    "rollout_share|beta|warm_up": [f"SequenceMatch(policy, steps=2, {n}={x})" for n in ("rollout_share", "beta", "warm_up") for x in ('"1"', "-1", "2", "None", "float('nan')", "[1]")],
    "Trajectories|action|prompts|lengths|token": [
        *(f"Trajectories.from_actions(v, [[0]], {x})" for x in ("None", "3", "'x'", "[[99]]", "[[-1]]", "[[0.5]]", "torch.zeros(1, 2)", "[[0], [1]]", "[['a']]")),
        *(f"Trajectories.from_actions({x}, [[0]], [[1]])" for x in ("None", "3", "'x'")),
        *(f"Trajectories.from_actions(v, {x}, [[1]])" for x in ("None", "3", "[[99]]", "[['a']]", "[]")),
        "Trajectories.cat([])", "Trajectories.cat([demonstrations, None])", "Trajectories.cat(3)",
    ],
    "setting": [f"Settings.of({x})" for x in ("None", "3", "[1]", "'x'", "{3: 1}", "{'nope': 1}", "{None: 1}")],
    "select|prompt|start|budget|length": [
        *(f"start(v, {x}, max_length=3)" for x in ("None", "3", "[[99]]", "[['a']]", "[]", "'abc'")),
        *(f"start(v, [[0]], max_length={x})" for x in ('"3"', "1.5", "-1", "None", "float('nan')", "10**12", "True")),
    ],
    "action|token": [f"transition(v, start(v, [[0]], max_length=3), {x})" for x in ("None", "'x'", "torch.tensor([99])", "torch.tensor([-1])", "torch.tensor([.5])", "torch.tensor([1, 2])", "[1.5]")],
    "Estimate": [f"Estimate.of({x})" for x in ("None", "3", "{}", "'x'", "{'value': 'x'}", "[]")],
    "prompt|text|complete": [f"complete(policy, task, {x}, max_length=3, generator=g())" for x in ("None", "3", "[3]", "[None]")],
    "results|record|folder|file": [f"seqil.results({x})" for x in ("'nope'", "''", "None", "3")],
}  # fmt: skip
CALLS = [(call, culprit) for culprit, calls in _CALLS.items() for call in calls]
