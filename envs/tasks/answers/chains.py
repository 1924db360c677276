"""Chains of functions one after another: many guesses per text, each checked late and each the start of the next."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from seqil import Prefixes

from ..base import counters
from ..base.requests import check_range, foreign_prompt, split_of
from ..base.right_answer import Item, RightAnswerTask, mended_late
from .chain import FUNCTIONS, VALUES, Chain

_CHUNK = 1024


class Chains(RightAnswerTask):
    """Several guesses with the steps that check them: with two links of two, `7cabh` is answered by `363` and `808`.

    - **Tokens**, and the tables of the functions: those of `chain`, V = 19.
    - **Prompt**: a start and `links * delay` functions, uniform. **Text**: for each link its last value (the guess),
      then its `delay` values step by step, then, after all links, `eos`. A link starts from the guess of the one
      before it. With one link this is `chain`.
    - **Why**: a guess is a composition of `delay` functions, and shows to be wrong `delay` tokens later, when the last
      step differs from it. What follows builds on it: a wrong guess that is left standing makes the guesses after it
      wrong. Who is right about a guess with probability p has whole texts right with probability p^`links`: `links` is
      the horizon, `delay` how late an error shows and how much must be deleted to mend it.
    - **Teacher**: one-hot. After an error it goes on from the values that stand, right or wrong: a step applies its
      function to the value before it, a guess the functions of its link to the guess before it. So a wrong guess comes
      to light by the steps, and errors compound. Where the token that it goes on from is no value, it has what the
      right text has at that position.
    - **First error**: the first value that is not the right text's. **Success**: the right text.
    - **Confusions**: the other values.

    Args:
        links: guesses of a text.
        delay: functions of a link, and tokens between a guess and its check.
    """

    name = "chains"
    vocabulary = Chain.vocabulary

    def __init__(self, links: int = 8, delay: int = 3) -> None:
        check_range(self.name, 1, links=links, delay=delay)
        self.links, self.delay = links, delay
        self.max_length = self.min_length = links * (delay + 1)
        self.max_actions = mended_late(self.max_length)
        self.table = Chain().table
        """Int64 [8, 10]: value of a function at a value, as in `chain`."""

    def answer(self, prompt: Sequence[int]) -> list[int]:
        """Guess and steps of every link, `eos`."""
        start, functions = prompt[0], [f - VALUES for f in prompt[1:]]
        known = start < VALUES and all(0 <= f < FUNCTIONS for f in functions)
        if len(functions) != self.links * self.delay or not known:
            raise foreign_prompt(self.name, prompt, f"a value and {self.links * self.delay} functions")
        text = []
        for first in range(0, len(functions), self.delay):
            values = [start]
            for function in functions[first : first + self.delay]:
                values.append(int(self.table[function, values[-1]]))
            start = values[-1]
            text += [start, *values[1:]]
        return [*text, self.vocabulary.eos]

    def chunk(self, seed: int, number: int) -> list[Item]:
        """1024 items."""
        return _chunk(self.links, self.delay, seed, number)

    def after_error(self, prefixes: Prefixes, following: Tensor) -> Tensor:
        """One-hot on what follows from the values that stand."""
        tokens, prompt = prefixes.tokens, prefixes.prompt_length
        link, step = prefixes.generated // (self.delay + 1), prefixes.generated % (self.delay + 1)
        inside = link < self.links
        link = link.clamp(max=self.links - 1)
        guess = torch.where(link > 0, prompt + (link - 1) * (self.delay + 1), 0)  # a prompt begins with the start
        value = tokens.gather(1, torch.where(step < 2, guess, prefixes.length - 1)[:, None])[:, 0]
        known = inside & (value < VALUES) & ~prefixes.ended
        value = value.where(known, 0)
        table = torch.from_numpy(self.table).to(tokens.device)
        # A guess applies all functions of the link, a step its own.
        for at in range(self.delay):
            function = tokens.gather(1, (1 + link * self.delay + at)[:, None])[:, 0] - VALUES
            value = torch.where((step == 0) | (step == at + 1), table[function, value], value)
        return one_hot(torch.where(known, value, following), self.vocabulary.size).double()

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on the values that are not the teacher's; none at the end."""
        law = self.next_distribution(prefixes)[:, :VALUES]
        weights = (1 - law) * law.sum(1, keepdim=True)
        return torch.nn.functional.pad(weights, (0, self.vocabulary.size - VALUES)).float()

    def decode(self, tokens: Sequence[int]) -> str:
        """Digits and letters; `eos` is not shown."""
        return "".join("0123456789abcdefgh"[t] for t in tokens if t != self.vocabulary.eos)


@lru_cache(maxsize=64)
def _chunk(links: int, delay: int, seed: int, number: int) -> list[Item]:
    starts = counters.below(VALUES, "chains", "start", links, delay, seed, number, shape=(_CHUNK, 1))
    functions = counters.below(
        FUNCTIONS, "chains", "functions", links, delay, seed, number, shape=(_CHUNK, links * delay)
    )
    prompts = np.concatenate([starts, VALUES + functions], 1).tolist()
    return [Item(prompt, split_of("chains", " ".join(map(str, prompt)))) for prompt in prompts]
