"""Actions per second of rollouts with backspaces, against tokens per second of other loops.

Peers: Hugging Face's `generate` with its dynamic and its static cache, the hand-written loop of `lean`, and the
roofline, what the arithmetic and the bytes of a step would take at the rates that this machine reaches at best. Timed
is decoding from the first action on, without the reading of the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from seqil import rollout
from seqil.randomness import seeded

from ..subjects.lean import LeanGPT2
from ..subjects.measure import CPU, Ratio, Timed, clock, interleaved, ratio
from ..subjects.models import SMALL, Subject, deletions, raise_backspace, watched


@dataclass(frozen=True)
class Setting:
    """Rows, the context that they end with, how many actions of it are timed, and the share of deletions."""

    rows: int
    context: int
    actions: int
    deletions: float = 0.15


_SETTINGS = {
    "cpu": (
        Setting(1, 128, 64),
        Setting(8, 128, 64),
        Setting(64, 128, 64),
        Setting(64, 128, 64, deletions=0.5),
        Setting(64, 512, 32),
    ),
    "cuda": (Setting(1, 512, 256), Setting(64, 512, 256), Setting(256, 512, 256), Setting(256, 512, 256, 0.5)),
}


def measure(repetitions: int, device: torch.device = CPU) -> Iterator[Ratio]:
    """GPT-2 of 4 layers x 256, 512 tokens, float32 on a CPU and bfloat16 on CUDA."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    for setting in _SETTINGS[device.type]:
        yield from lines("4 x 256", Subject.of(SMALL, 1024, dtype, device), setting, repetitions)


def lines(model: str, subject: Subject, setting: Setting, repetitions: int) -> Iterator[Ratio]:
    """Ours against each peer, and the forwards of the trunk per action."""
    policy, prompts = subject.policy, subject.prompts(setting.rows, setting.context - setting.actions)
    raise_backspace(policy, setting.deletions)
    rolled = _Rollout(subject, prompts, setting.actions)
    ways: dict[str, Timed] = {
        "rollout": rolled,
        "generate": _Generate(subject, prompts, setting.actions, "dynamic"),
        "generate, static cache": _Generate(subject, prompts, setting.actions, "static"),
        "hand-written loop": _Lean(subject, prompts, setting.actions),
    }
    rates = dict(zip(ways, interleaved(list(ways.values()), repetitions), strict=True))
    where = f"{model}, {setting.rows} rows, context {setting.context}, {100 * rolled.deletions:.0f} % deletions"
    ours = rates.pop("rollout")
    for peer, found in rates.items():
        yield ratio(f"rollout / {peer}, {where}", "actions/s", ours, found)
    floor = [setting.rows / roofline(subject, setting)] * len(ours)
    yield ratio(f"rollout / roofline, {where}", "actions/s", ours, floor)
    if subject.model.device.type == "cpu":  # in lockstep every row is fed at every action
        rows = [rolled.forwards], [1.0]
        yield ratio(f"trunk rows per action, {where}", "rows", *rows, more_is_better=False)


class _Rollout:
    def __init__(self, subject: Subject, prompts: Tensor, actions: int) -> None:
        self.policy, self.prompts, self.actions = subject.policy, prompts, actions
        self.deletions = self.forwards = 0.0

    def __call__(self) -> float:
        new, g = self.actions, torch.Generator().manual_seed(0)
        with watched() as watch:
            t = rollout(self.policy, self.prompts, max_length=new, max_actions=new, min_length=new, generator=g)
        took = clock(self.prompts.device) - watch.began
        self.deletions, self.forwards = deletions(t), watch.rows / int(t.lengths.sum())
        return len(t) * new / took


class _Mark(LogitsProcessor):  # type: ignore[misc]  # transformers is not followed
    """Remembers when the first logits were there."""

    began = 0.0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.began = self.began or clock(scores.device)
        return scores


class _Generate:
    def __init__(self, subject: Subject, prompts: Tensor, new: int, kind: str) -> None:
        self.model, self.prompts = subject.model, prompts
        self.options = {
            "attention_mask": torch.ones_like(prompts),
            **{"do_sample": True, "top_k": 0, "max_new_tokens": new, "min_new_tokens": new},
            **{"pad_token_id": subject.policy.vocabulary.eos, "cache_implementation": kind},
            "disable_compile": prompts.device.type != "cuda",
        }

    def __call__(self) -> float:
        mark = _Mark()
        with seeded(0), torch.no_grad():
            out = self.model.generate(self.prompts, logits_processor=LogitsProcessorList([mark]), **self.options)
        tokens = int(out.shape[1] - self.prompts.shape[1]) * len(out)
        return tokens / (clock(self.prompts.device) - mark.began)


class _Lean:
    def __init__(self, subject: Subject, prompts: Tensor, new: int) -> None:
        self.loop, self.prompts, self.new = LeanGPT2(subject.model), prompts, new

    def __call__(self) -> float:
        began = self.loop.generate(self.prompts, self.new)[1]
        return len(self.prompts) * self.new / (clock(self.prompts.device) - began)


def roofline(subject: Subject, setting: Setting) -> float:
    """Seconds per step that are the least: the longer of its arithmetic and its bytes."""
    c, dtype, device = subject.model.config, subject.model.dtype, subject.model.device
    weights = 12 * c.n_layer * c.n_embd**2 + c.vocab_size * c.n_embd
    slots = setting.rows * setting.context * c.n_layer * c.n_embd
    operations, size = 2 * setting.rows * weights + 4 * slots, dtype.itemsize
    return float(max(operations / _operations(dtype, device), size * (weights + 2 * slots) / _bytes(device)))


@cache
def _operations(dtype: torch.dtype, device: torch.device) -> float:
    """Operations per second of a large product of matrices."""
    side = 8192 if device.type == "cuda" else 1024
    with seeded(0, device):
        a = torch.randn(side, side, device=device).to(dtype)
    return max(_rate(lambda: a @ a, 2.0 * side**3, 4, device) for _ in range(5))


@cache
def _bytes(device: torch.device) -> float:
    """Bytes per second of reading what no cache holds."""
    a = torch.zeros(2**30 if device.type == "cuda" else 2**26, device=device)
    return max(_rate(a.sum, 4.0 * len(a), 1, device) for _ in range(5))


def _rate(work: Callable[[], Tensor], units: float, times: int, device: torch.device) -> float:
    began = clock(device)
    for _ in range(times):
        work()
    return units * times / (clock(device) - began)
