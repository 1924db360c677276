"""Texts of a fixed horizon whose next token depends on the last few: a table says how, and what is an error."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seqil import Prefixes

from .requests import check_range, foreign_prompt
from .sampled import SampledTask


class MarkovTask(SampledTask):
    """Give the law as a table, and say how texts are drawn from it; teacher and judge follow.

    - **Text**: `horizon` tokens, then `eos`.
    - **Teacher**: the law of the last tokens, whatever they are: after an error it goes on as if there were none.
    - **First error**: the first token that those before it do not allow; a premature `eos` is one. **Success**: there
      is none, and `eos` at the horizon.

    Args:
        law: float64 [V, …, V], the probability of the last index after the others, as many as the order of the law;
            rows after `eos` are zero, and so is its column.
        horizon: tokens per text.
    """

    def __init__(self, law: Tensor, horizon: int) -> None:
        check_range(self.name, 1, horizon=horizon)
        self.max_length = self.min_length = horizon
        self.law = law
        self.order = self.prompt_tokens = law.dim() - 1
        self._allowed = (law > 0).tolist()

    def next_distribution(self, prefixes: Prefixes) -> Tensor:
        """The law of the last tokens; `eos` with certainty at the horizon and after the end."""
        return self.ended(self.rows(prefixes), prefixes)

    def first_error(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """The first token that the law gives probability 0."""
        if len(prompt) < self.order or self.vocabulary.eos in prompt[-self.order :]:
            raise foreign_prompt(self.name, prompt, _prompt(self.order))
        text = [*prompt, *tokens]
        for i in range(len(prompt), len(text)):
            if text[i] == self.vocabulary.eos and i - len(prompt) == self.max_length:
                return None
            allowed = self._allowed
            for token in text[i - self.order : i + 1]:
                allowed = allowed[token]
            if not allowed:
                return i - len(prompt)
        return None

    def has_error(self, prefixes: Prefixes) -> Tensor:
        """Whether the law forbids a token of the text."""
        self.contexts(prefixes)
        cells = prefixes.tokens.clamp(max=self.vocabulary.eos)
        forbidden = (self.law == 0).to(cells.device)[cells.unfold(1, self.order + 1, 1).unbind(-1)]
        at = torch.arange(self.order, cells.shape[1], device=cells.device)
        first = prefixes.prompt_length[:, None]
        whole = (at - first == self.max_length) & (cells[:, self.order :] == self.vocabulary.eos)
        return (forbidden & ~whole & (at >= first) & (at < prefixes.length[:, None])).any(1)

    def success(self, prompt: Sequence[int], tokens: Sequence[int]) -> bool:
        """No error, and `eos` at the horizon."""
        whole = len(tokens) == self.max_length + 1 and tokens[-1] == self.vocabulary.eos
        return self.first_error(prompt, tokens) is None and whole

    def rows(self, prefixes: Prefixes) -> Tensor:
        """The table's rows of the last tokens, whether or not the text is at its end: float64 [B, V]."""
        return self.law.to(prefixes.tokens.device)[self.contexts(prefixes).unbind(1)]

    def contexts(self, prefixes: Prefixes) -> Tensor:
        """The last tokens of each prefix: int64 [B, order]."""
        return contexts(self, prefixes, self.order)


def contexts(task: SampledTask, prefixes: Prefixes, order: int) -> Tensor:
    """The last `order` tokens before the end of each prefix, int64 [B, order].

    Raises:
        InvalidInputError: a prompt of fewer tokens, or with `eos` among its last `order`.
    """
    cells = _before(prefixes, prefixes.prompt_length, order)
    known = (prefixes.prompt_length >= order) & (cells != task.vocabulary.eos).all(1)
    task.check_prompts(prefixes, known, _prompt(order))
    return _before(prefixes, prefixes.length - prefixes.ended.long(), order)


def _before(prefixes: Prefixes, end: Tensor, order: int) -> Tensor:
    back = torch.arange(-order, 0, device=end.device)
    return prefixes.tokens.gather(1, (end[:, None] + back).clamp(min=0))


def _prompt(order: int) -> str:
    return f"{order} tokens or more, none of the last {order} eos"
