# %% [markdown]
# # 104: A task with an exact teacher
#
# A task says which prompts there are, what demonstrations look like, and whatever is known exactly: the law of the next token
# at every prefix, the first error of a text, and whether it is right. From that come exact regret, experts for DAgger and the
# metrics of the backspace. It takes about twenty seconds on one core, at sizes that only show how it goes.
#
# ## The law
#
# *Checksum*: the prompt is a digit r below 4, the text is four digits, uniform over those whose sum leaves r modulo 4. Three
# digits are free and the last is decided by all before it. So the teacher is uniform, and certain at the end.

# %%
import numpy as np
import torch
from torch.nn.functional import one_hot
from transformers import GPT2Config, GPT2LMHeadModel

from agents.behavior_cloning import BehaviorCloning
from agents.dagger import DAgger
from envs.tasks.base import counters
from envs.tasks.base.requests import check_range
from envs.tasks.base.sampled import CHUNK, SampledTask, with_splits
from seqil import TokenPolicy, Vocabulary, evaluation, experts, rollout, train
from seqil.testing import check_task

STEPS = 150
N = 300
BASE = 4


class Checksum(SampledTask):
    """Digits whose sum leaves the remainder that the prompt asks for."""

    name = "checksum"
    vocabulary = Vocabulary(size=BASE + 1, eos=BASE)

    def __init__(self, length=4):
        check_range(self.name, 2, length=length)
        self.max_length = self.min_length = length

    def chunk(self, seed, number):
        digits = counters.below(BASE, self.name, self.max_length, seed, number, shape=(CHUNK, self.max_length))
        remainder = digits.sum(1, keepdims=True) % BASE  # uniform, for the digits are
        return with_splits(self.name, np.concatenate([remainder, digits], 1), self.vocabulary.eos)

    def next_distribution(self, prefixes):
        prompt, tokens = prefixes.tokens[:, 0], prefixes.tokens[:, 1 : self.max_length]
        self.check_prompts(prefixes, (prefixes.prompt_length == 1) & (prompt < BASE), f"one digit below {BASE}")
        total = torch.where(tokens < BASE, tokens, 0).sum(1)
        decided = one_hot((prompt - total) % BASE, self.vocabulary.size).double()
        free = torch.tensor([1 / BASE] * BASE + [0], dtype=torch.float64, device=decided.device)
        last = prefixes.generated == self.max_length - 1
        return self.ended(torch.where(last[:, None], decided, free), prefixes)

    def first_error(self, prompt, tokens):
        for at, token in enumerate(tokens[: self.max_length]):
            last = at == self.max_length - 1
            if token >= BASE or (last and (sum(tokens[: at + 1]) - prompt[0]) % BASE):
                return at
        return None

    def success(self, prompt, tokens):
        return len(tokens) == self.max_length + 1 and self.first_error(prompt, tokens) is None


# %% [markdown]
# ## Proof
#
# `check_task` asks the task all that the library will rely on: that the same items come back, that splits are disjoint, that
# the teacher's rows sum to 1 and give nothing to what is illegal, that demonstrations are right and have no error. What is
# wrong is said in one sentence. Try it: let `first_error` return 0.

# %%
task = Checksum()
check_task(task)
texts = task.demonstrations(3, "train", 0)
print([(task.decode(p), task.decode(t)) for p, t in zip(texts.prompts.tolist(), texts.replay().texts(), strict=True)])

# %% [markdown]
# ## An expert for nothing
#
# A teacher is an expert: `experts.teacher(task)` says at every state of the learner what is right there, and deletes where an
# error stands. DAgger clones what it says at the states of its own rollouts; cloning sees the demonstrations alone, and has
# no backspace here, for nothing has shown it one.


# %%
def policy(backspace):
    v = task.vocabulary
    size = {"n_positions": 32, "n_layer": 2, "n_embd": 64, "n_head": 4, "bos_token_id": v.eos, "eos_token_id": v.eos}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TokenPolicy(GPT2LMHeadModel(GPT2Config(vocab_size=v.size, **size)), v, backspace=backspace)


demonstrations, held_out = task.demonstrations(1000, "train", 0), task.demonstrations(N, "test", 0)
limits = {"max_length": task.max_length, "min_length": task.min_length, "max_actions": task.budget()}
found = {}
for name, agent in {
    "cloning": BehaviorCloning(policy(False), steps=STEPS, learning_rate=5e-3),
    "DAgger": DAgger(policy(True), expert=experts.teacher(task), steps=STEPS, learning_rate=5e-3),
}.items():
    for _ in train(agent, demonstrations, generator=torch.Generator().manual_seed(0), batch_size=32):
        pass
    written = rollout(agent.policy, held_out.prompts, generator=torch.Generator().manual_seed(1), **limits)
    found[name] = evaluation(task, agent.policy, held_out, written)
    print(name, *(f"{metric}: {found[name][metric]}" for metric in ("success", "regret")), sep="\n    ")

# %% [markdown]
# ## What to expect
#
# `regret` is KL(teacher || student) in nats, summed over the policy's own texts: exact, where one usually has a loss on
# held-out data. A learner without any idea of the last digit has a success of 0.25 and a regret of at least log 4 = 1.39
# nats. After 150 updates both should be well beyond that, and DAgger above cloning, for a wrong digit that it sees it deletes.
#
# `seqil train --task my_task.py:Checksum --task-option length=5` takes the class from a file. What else tasks share, and how to
# keep one here, stands in the [guide](../../envs/tasks/README.md).
