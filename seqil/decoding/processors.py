"""Logits processors of transformers as rules that follow deletions."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import LogitsProcessor

from ..errors import InvalidInputError, first_line, suggested
from ..mdp.prefix import Prefixes
from .interface import Policy

_PROBES = 6  # lengths of the texts that a processor is tried on
_SAME = 1e-4


def made(name: str, arguments: Sequence[Any]) -> LogitsProcessor:
    """The processor of transformers of this name, of these arguments.

    Raises:
        InvalidInputError: there is none, or it takes others.
    """
    kind = getattr(transformers, name, None) if name.isidentifier() else None
    if not (inspect.isclass(kind) and issubclass(kind, LogitsProcessor)):
        known = [one for one in dir(transformers) if one.endswith(("LogitsProcessor", "LogitsWarper"))]
        raise InvalidInputError(f"transformers has no logits processor {name!r}{suggested(name, known)}")
    try:
        return kind(*arguments)
    except Exception as error:  # what they raise is theirs to say
        raise InvalidInputError(f"{name} of {list(arguments)}: {first_line(error)}") from None


class Processed:
    """The warp of a processor: it is shown the text that stands, prompt included, and log-probabilities.

    Rows of one length are shown together, for it knows nothing of padding.
    """

    def __init__(self, policy: Policy, processor: Any, name: str) -> None:
        self.processor, self.name = processor, name
        self._prove(policy)

    def __call__(self, prefixes: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
        """What the processor makes of each row."""
        log_probs, found = logits.log_softmax(-1), logits.clone()
        for length in prefixes.length.unique().tolist():
            there = prefixes.length == length
            found[there] = self._made(prefixes.tokens[there, :length], log_probs[there])
        return found

    def _made(self, ids: Tensor, scores: Tensor) -> Tensor:
        try:
            made: Tensor = self.processor(ids, scores.clone())
        except Exception as error:  # a processor may be anybody's
            raise InvalidInputError(f"{self.name} fails: {type(error).__name__}: {first_line(error)}") from None
        if not isinstance(made, Tensor) or made.shape != scores.shape:
            raise InvalidInputError(f"{self.name} does not return scores of the shape that it was given")
        return made.to(scores.dtype)

    def _prove(self, policy: Policy) -> None:
        """What follows deletions is a function of the text and of the scores alone.

        Raises:
            InvalidInputError: it remembers, draws at random, or asks which row of a batch it looks at.
        """
        v, device = policy.vocabulary, getattr(policy, "device", "cpu")
        g = torch.Generator().manual_seed(0)
        texts = [torch.randint(v.size, (3, n), generator=g).to(device) for n in range(1, _PROBES + 1)]
        scores = [torch.randn(3, v.num_actions, generator=g).log_softmax(-1).to(device) for _ in texts]
        state = torch.get_rng_state()
        try:
            first = [self._made(*pair) for pair in zip(texts, scores, strict=True)]
            again = [self._made(*pair) for pair in reversed([*zip(texts, scores, strict=True)])]
            alone = [
                torch.cat([self._made(text[[row]], score[[row]]) for row in (2, 1, 0)]).flip(0)
                for text, score in zip(texts, scores, strict=True)
            ]
        finally:
            torch.set_rng_state(state)
        for what, other in (("what came before", again[::-1]), ("the other rows", alone)):
            if not all(_alike(one, two) for one, two in zip(first, other, strict=True)):
                raise InvalidInputError(
                    f"{self.name} depends on {what}, not on the text and its scores alone, so that it cannot follow "
                    "deletions; write a rule with a state of its own, see seqil/decoding/README.md"
                )


def _alike(one: Tensor, two: Tensor) -> bool:
    return torch.allclose(one, two, rtol=_SAME, atol=_SAME, equal_nan=True)
