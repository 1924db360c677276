"""Odd calls of what `seqil` makes public: each is refused by a `SeqilError` in a line that names the argument."""

HEAD = """
import math, sys
import numpy as np
import torch
import seqil
from seqil import *
from seqil import bootstrap, closed_forms, divergences, exact, experts, mauve, noise, objectives, decoding, selection, metrics, statistics
from seqil.errors import SeqilError
from seqil.testing.agents import tiny_demonstrations, tiny_policy
from agents.behavior_cloning import BehaviorCloning
from agents.gail import GAIL
from agents.grpo import GRPO
from agents.on_policy_distillation import OnPolicyDistillation
from agents.scheduled_sampling import mix
from agents.sequence_match import SequenceMatch
from agents.slic import SLiC
from agents.unlikelihood import UnlikelihoodTraining
from agents.unlikelihood.mutual_exclusivity import MutualExclusivity
from envs.tasks import Automaton

policy, demonstrations = tiny_policy(), tiny_demonstrations()
task, v = Automaton(), policy.vocabulary
def g(): return torch.Generator().manual_seed(0)
def roll(**options): return rollout(policy, options.pop("prompts", [[0]]), **{"max_length": 3, "generator": g(), **options})
def learn(agent=BehaviorCloning, texts=demonstrations, **options):
    own = {k: options.pop(k) for k in list(options) if k in ("steps", "learning_rate", "gamma", "smoothing", "clip", "weight_decay", "backspace")}
    made = agent(policy, **{"steps": 2, **own})
    return list(Training(made, texts, **{"generator": g(), **options}).run(1))
def state(**changes):
    training = Training(BehaviorCloning(policy, steps=2), demonstrations, generator=g(), batch_size=4)
    training.load_state_dict({**training.state_dict(), **changes})
def fields(**changes):
    return demonstrations.to_tensordict().update(changes)
P, law = np.array([[.5, .5], [.2, .8]]), np.array([.5, .5])
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
    "steps=": [f"list(train(BehaviorCloning(policy), demonstrations, generator=g(), steps={x}))" for x in ("2.5", "float('nan')", "-1", "True", "'x'")],
    "state|Training": [f"state({x})" for x in ("step=-1", "step=float('nan')", "order='x'", "order=torch.arange(3)", "next=99", "generator=None", "training_positions=float('nan')", "buffer_cursor=-1", "buffer=3", "average={}", "agent=None", "agent={}", "made={'batch_size': 5}", "made=3")],
    "actions|lengths|imitate|prompts": [
        *(f"Trajectories.from_tensordict(v, fields({x}))" for x in ("actions=demonstrations.actions + 70", "actions=demonstrations.actions.float()", "lengths=demonstrations.lengths + 99", "imitate=demonstrations.actions", "prompts=demonstrations.prompts - 9")),
        "Trajectories.from_tensordict(Vocabulary(3, 2), fields())",
        "policy.step_values(Trajectories(v, demonstrations.prompts, demonstrations.actions + 50, demonstrations.lengths, demonstrations.imitate, demonstrations.ended, 9))",
    ],
    "labels|imitate": [*(f"demonstrations.labelled({x})" for x in ("None", "'x'", "3")), *(f"demonstrations.labelled(demonstrations.actions, {x})" for x in ("torch.full_like(demonstrations.actions, 2)", "torch.ones(2)", "'x'"))],
    "times|copies": [f"demonstrations.repeat({x})" for x in ("-1", "1.5", "None", "'x'", "True", "10**12")],
    "a=.* is not a float|a=.* beyond 64 bits": [f"BehaviorCloning(policy).{check}a={x})" for check in ("check_shares(", "check_least(0, ") for x in ("np.ones(2)", "'x'", "10**5000")],
    "5,000 digits": ["start(v, [[0]], 4, memory=10**5000)", "task.prompts(2, 10**5000, 0)", "objectives.check_gamma(10**5000)"],
    "columns|prompt_cells|steps": [f"demonstrations.to_tensordict({x})" for x in ("np.array([1, 2])", "torch.zeros(0)", "None, 'x'", "None, 2.5", "1.5")],
    "beyond 64 bits": [*(f"roll(max_length={x})" for x in ("10**5000", "-10**5000", "10**30")), "Vocabulary(10**5000, 0)", "decoding.top_k(-10**5000)", "learn(steps=-10**5000)", "learn(batch_size=-10**5000)", "learn(learning_rate=10**5000)"],
    "max_length|temperature": [*(f"roll(max_length={x})" for x in ("np.array([1, 2])", "torch.ones(2)", "torch.tensor(True)")), *(f"roll(temperature={x})" for x in ("np.ones(2)", "torch.ones(2)"))],
    "is not a Vocabulary|neither a Vocabulary": [f"start({x}, [[0]], 4)" for x in ("{'size': 5}", "np.array([1, 2])", "np.int64(2)", "torch.ones(2)")],
    "is not a TokenPolicy": ["rollout(task, [[0]], max_length=3)", "rollout(demonstrations, [[0]], max_length=3)", "selection.best_of(task, [[0]], 2, generator=g(), max_length=3)", "experts.policy(3)", "noise.model('x')"],
    "tensor": ["Vocabulary(size=torch.zeros(2, 2, 2), eos=4)", "Settings(task=torch.zeros(2, 2, 2))", "start(v, [[0]], 4, memory=torch.zeros(2, 2, 2))"],
    "is not a function of": ["GRPO(policy, reward=3)", "GRPO(policy, reward=lambda text: 1)", "GAIL(policy, reward=None)", "OnPolicyDistillation(policy, divergence=3)", "OnPolicyDistillation(policy, expert=3)", "UnlikelihoodTraining(policy, sequence=3)", "SLiC(policy, calibration=3)", "MutualExclusivity(policy, swap=3)"],
    "GiB, this machine has|lower": [
        "seqil.begin_with(v, [[0]], [[1]], 10**13)", "seqil.rollouts.rollout_reference(policy, [[0]], max_length=3, max_actions=10**13)",
        "metrics.backspaces(demonstrations, lambda p, t: None, 10**13)",
        *(f"selection.{x}(policy, [[0]], 10**9, generator=g(), max_length=64)" for x in ("best_of", "majority_vote")),
        "bootstrap.percentile([1.0] * 9, 'x', draws=10**8)", "bootstrap.resamples(10**9, 10**3)", "bootstrap.hierarchical([[1.0], [2.0]], lambda runs: 0.0, draws=10**9)",
        "task.demonstrations(10**9, 'train', 0)", "task.prompts(10**9, 'train', 0)", "demonstrations.to_tensordict(None, 10**12)",
        "mauve.divergence_frontier([1, 2], [2, 1], 10**12)",
        "seqil.generate(policy.model, torch.tensor([[0]]), num_return_sequences=10**11, max_new_tokens=3, do_sample=True)",
        *(f"exact.{x}, 10**11)" for x in ("marginals(law, P", "expected_errors(law, P, law", "entropy_drift(law, P, P", "survival(law, P, P")),
    ],
    "no law|do not fit|T=": ["exact.mean_survival(np.array([1, 2]), P, P)", "exact.kl_rows(P, [[2, 3], [4, 5]])", "exact.stationary([[2, 3], [4, 5]])", "exact.marginals([-1, 2], P, 3)", "exact.marginals([.5, .2, .3], P, 3)", "exact.marginals(law, P, 0)", "exact.marginals(law, P, 1.5)"],
    "rejection|hitting_actions": ["closed_forms.rejection(-1, 5, 5)", "closed_forms.rejection(.5, 5, 0)", "closed_forms.hitting_actions(2, 5)", "closed_forms.hitting_actions(.5, 5)"],
    "share|hits|n=|holm|NaN|geometric_mean": ["statistics.proportion(1.5, 5, 'x')", "statistics.proportion(3, math.inf, 'x')", "statistics.holm([-1, 2, math.nan])", "bootstrap.percentile([1.0, math.nan], 'x')", "statistics.geometric_mean([-1, 2], 'x')", "experts.intervention(experts.reference(v), start(v, [[0]], 3), math.nan)"],
    "hazard": ["metrics.hazard(np.array([5]), np.array([3]))", "metrics.hazard(np.array([3]), np.array([3]), begin=-1)"],
    "gamma|rate": ["objectives.returns(torch.ones(2, 2), 9)", "mix(policy, demonstrations, 1.5)", "mix(policy, demonstrations, math.nan)"],
    "interval": ["Estimate(5.0, 7.0, 1.0, 3, 'x')", "Estimate(5.0, 4.0, 6.0, -3, 'x')"],
    "average|learning_rate|microbatch": ["Settings(average=-1.0)", "Settings(learning_rate=math.nan)", "Settings(microbatch=-1)"],
    "split|n=|asked|token": ["task.at_most(-5, 'test')", "task.at_most(5, 'nope')", "task.available('nope')", "task.budget(math.nan, 3)", "task.decode([99])", "task.decode([None])"],
    "pack|is no rule|evaluation": ["pack(v, None)", "roll(rules='')", "evaluation(task, policy, demonstrations, None)"],
    "legal_actions: backspace": [f"{x}backspace={y})" for x in ("legal_actions(v, start(v, [[0]], 3), ", "demonstrations.legal_actions(") for y in ("np.ones(3)", "None", "1")],
    "max_length|is no TensorDict": ["Trajectories.from_tensordict(v, {})", "Trajectories.from_tensordict(v, [1])", "Trajectories.from_tensordict(v, fields().exclude('max_length'))"],
    "there is no action k|step_values: actions": ["policy.step_values(demonstrations).of(0)", *(f"policy.step_values(demonstrations, actions={x})" for x in ("3", "torch.zeros(2, 2).long()", "demonstrations.actions.float()", "demonstrations.actions[..., None, None]"))],
    "do not go together": ["metrics.total_variation(torch.ones(2, 2), torch.ones(3, 3))", "metrics.total_variation(torch.ones(2), torch.ones(3))", "metrics.squared_hellinger(torch.ones(2, 2), torch.ones(3, 3))"],
    "are no numbers": ["metrics.regret('x')", "metrics.regret([[1], [1, 2]])", "metrics.nats_per_token(None)", "statistics.ratio('ab', [1], 'x')", "statistics.holm(3)", "metrics.ever_deleted(None)"],
    "is not a seqil.StepValues": ["objectives.behavior_cloning(None)", "objectives.sequence_match(demonstrations, divergence=divergences.chi2())"],
    "is no Divergence": [f"objectives.{x}(policy.step_values(demonstrations), divergence='chi2', gamma=.9)" for x in ("sequence_match", "sequence_match_reference", "mixture_penalty")],
    "is not a seqil.Task": [f"{x}(3)" for x in ("experts.teacher", "seqil.rewards.success", "seqil.rewards.first_error", "seqil.rewards.teacher_likelihood")],
    "a first error|counts": ["metrics.risk_table([3], [3, 4])", "metrics.risk_table([0.5], [3.0])"],
    "histogram": ["mauve.frontier_integral([0, 0], [1, 2])", "mauve.frontier_area([1, -1], [1, 2])"],
    "prompts|orders|width": ["mauve.hidden_features(policy, 3)", "mauve.ngram_features(3.5)", "mauve.ngram_features((0,))", "mauve.ngram_features(width=0)"],
    "transformers refuses|do_sample": ["seqil.generate(policy.model, torch.tensor([[0]]), max_new_tokens='x')", "seqil.generate(policy.model, torch.tensor([[0]]), max_new_tokens=3, do_sample=np.ones(3))"],
    "num_return_sequences|attention_mask": ["seqil.generate(policy.model, torch.tensor([[0]]), max_new_tokens=3, do_sample=True, num_return_sequences=0)", "seqil.generate(policy.model, torch.tensor([[0]]), max_new_tokens=3, attention_mask=[[1]])"],
    "P is no law|leak|errors": ["exact.entropy_rows([[2.0, 3.0]])", "exact.leak_recover(2.0, .5, [1])", "exact.expected_errors(law, P, [1.0], 3)"],
    "tokens|prefixes": ["task.next_distribution(3)", "task.has_error([1])", "task.success([0, 1], None)", "task.first_error([0, 1], [[99]])"],
    "cost=|policy=": ["evaluation(task, policy, demonstrations, demonstrations, 3)", "evaluation(task, 3, demonstrations, demonstrations)"],
    "most|accept|score": ["selection.rejection(policy, [[0]], lambda p, t: True, 10**11, generator=g(), max_length=64)", "selection.rejection(policy, [[0]], 3, 2, generator=g(), max_length=3)", "selection.best_of(policy, [[0]], 2, lambda: 1, generator=g(), max_length=3)"],
    "answer": ["selection.majority_vote(policy, [[0]], 2, 3, generator=g(), max_length=3)"],
    "results|record|folder|file": [f"seqil.results({x})" for x in ("'nope'", "''", "None", "3")],
}  # fmt: skip
_ONE_BY_ONE = {
    "seqil.rewards.teacher_likelihood(task, math.nan)": "teacher_likelihood: least=nan",
    "seqil.rewards.latent(policy, [0])": "latent: spans=0",
    "seqil.rewards.latent(policy, 3.5)": "latent: spans=3.5",
    "experts.takeover(experts.reference(v), start(v, [[0]], 3), torch.ones(2).long())": "takeover: times have shape",
    "metrics.ever_deleted([.1], 2.0)": "ever_deleted: tail=2.0",
    "metrics.jensen_shannon(torch.ones(2) / 2, torch.ones(2) / 2, 2.0)": "jensen_shannon: beta=2.0",
    "metrics.rare_tokens(np.ones((2, 3)), -1.0)": "rare_tokens: below=-1.0",
    "metrics.negative_log_likelihood(policy, metrics.final_texts(demonstrations), batch_size=0)": "batch_size=0",
    "metrics.along(metrics.final_texts(demonstrations), metrics.surprisal, policy, batch_size=-1)": "batch_size=-1",
    "metrics.backspaces(demonstrations, lambda p, t: None, -1)": "backspaces: depths=-1",
    "metrics.by_position(np.ones(3))": "by_position: values have shape",
    "metrics.absorbing_regret(np.ones((2, 2)))": "absorbing_regret: a curve is",
    "statistics.interquartile_mean([])": "interquartile_mean: values have shape",
    "decoding.NamedRule('x', 3)": "NamedRule: begin=3 is not a function",
    "decoding.Automaton('a', {'a': 3})": "Automaton: moves are",
    "decoding.Automaton('a', 3)": "Automaton: moves are",
    "decoding.Automaton('a', {}, 3)": "ends a set of states",
    "decoding.grammar('a*', reader='automaton')": "grammar: reader='automaton' reads no text",
    "decoding.ban('x', reader=3)": "ban: reader=3 reads no text",
    "decoding.ban(b'x')": "ban: b'x' is neither",
    "decoding.parse(3)": "parse: rule=3 is not a str",
    "decoding.value_walk(lambda s: s, 3)": "value_walk: name=3",
    "metrics.cost(demonstrations, 3)": "cost: rules=3 are no rules",
    "closed_forms.ImmediateCorrection(2.0, .5, .5)": "ImmediateCorrection: error=2.0",
    "closed_forms.MisspecifiedCloning(0)": "MisspecifiedCloning: T=0",
    "closed_forms.MisspecifiedCloning(3, common=2.0)": "MisspecifiedCloning: common=2.0",
    "closed_forms.NoisyExpert('x')": "NoisyExpert: rate='x'",
    "closed_forms.NoisyExpert(.1).offline(3, -1)": "offline: horizon=-1",
    "closed_forms.NoisyExpert(.1).offline(10**9, 3)": "GiB, this machine has .* lower texts",
    "closed_forms.NoisyExpert(.1).majority(-1)": "majority: labels=-1",
    "closed_forms.NoisyExpert(.1).online(3, 0)": "online: horizon=0",
    "closed_forms.MisspecifiedCloning(3).total_variation(math.nan)": "total_variation: chance=nan",
    "objectives.weighted_likelihood(policy.step_values(demonstrations), torch.ones(2, 2))": "weight is .2, 2.; give one for each step",
    "seqil.StepValues(torch.ones(2, 3), torch.ones(2, 3), torch.ones(2, 3), torch.ones(2, 2), torch.ones(2, 3), torch.ones(2))": "StepValues: q .2, 3., .* do not go together",
}
CALLS = [(call, culprit) for culprit, calls in _CALLS.items() for call in calls] + [*_ONE_BY_ONE.items()]
