"""Texts with the statistics of docstrings and a teacher: a Kneser-Ney law fitted on `pydoc`."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from seqil import Prefixes
from seqil.errors import InvalidInputError

from ..base import counters
from ..base.kneser_ney import KneserNey
from ..base.markov import contexts
from ..base.requests import check_range, split_of
from ..base.sampled import CHUNK, Chunk, Ints, SampledTask, with_splits
from .pydoc import Docstrings, PyDoc, encode, snapshot


class PyDocKN(SampledTask, Docstrings):
    """Draws from an interpolated Kneser-Ney law of the characters of docstrings.

    - **Tokens**: those of `pydoc`: newline, the 95 printable ASCII characters, and `eos`, V = 97.
    - **Law**: `KneserNey.fit` on the docstrings of the train split of `pydoc`, 1.2 million characters. The next
      character depends on the last `order - 1`; every character has a positive probability everywhere. At order 5
      the entropy is 1.19 nats per character; docstrings of the test modules cost 1.39.
    - **Prompt**: `order - 1` characters at a uniform place in these docstrings, then draws from the law. **Text**:
      `max_length` draws, then `eos`. Items are split by the hash of prompt and text.
    - **Teacher**: exact everywhere, the law of the last characters; `eos` comes only at the horizon.
    - **First error**: none, since no character is impossible; `judged` is False. `first_unknown_word` is a proxy, as
      in `pydoc`, but here the teacher itself writes such words, 90 % of its texts have one: compare with its rate.
    - **Success**, **confusions**: none.
    - **Size**: a table of 119 078 contexts, 91 MB, at order 5; fitted once per process, in less than a second.

    Args:
        prompt_length: characters of the prompt, at least `order - 1`.
        max_length: characters of the continuation, at least 1.
        order: of the law, 2 to 6.
    """

    name = "pydoc_kn"

    def __init__(self, prompt_length: int = 32, max_length: int = 96, order: int = 5) -> None:
        check_range(self.name, 2, 6, order=order)
        check_range(self.name, 1, max_length=max_length)
        if prompt_length < order - 1:
            raise InvalidInputError(f"pydoc_kn: prompt_length={prompt_length} must be at least order - 1 = {order - 1}")
        self.order, self.prompt_tokens = order, prompt_length
        self.max_length = self.min_length = max_length
        self.model = _fitted(order)

    def chunk(self, seed: int, number: int) -> Chunk:
        """4096 texts."""
        return _chunk(self.order, self.prompt_tokens + self.max_length, seed, number)

    def next_distribution(self, prefixes: Prefixes) -> Tensor:
        """The row of the last characters; `eos` with certainty at the horizon and after the end."""
        before = contexts(self, prefixes, self.order - 1)
        law = torch.from_numpy(self.model.law[self.model.rows(before.cpu().numpy())])
        return self.ended(pad(law, (0, 1)).to(before.device), prefixes)


@lru_cache(maxsize=1)
def _documents() -> list[Ints]:
    """The docstrings of the train split."""
    return [np.array(encode(text)) for module, text in snapshot() if split_of(PyDoc.name, module) == "train"]


@lru_cache(maxsize=2)
def _fitted(order: int) -> KneserNey:
    return KneserNey.fit(_documents(), PyDoc.vocabulary.eos, order)


@lru_cache(maxsize=16)
def _chunk(order: int, width: int, seed: int, number: int) -> Chunk:
    model, size = _fitted(order), PyDoc.vocabulary.eos
    draws = counters.words("pydoc_kn", order, width, seed, number, shape=(CHUNK, width - order + 2))
    starts = np.concatenate([np.lib.stride_tricks.sliding_window_view(ids, order - 1) for ids in _documents()])
    texts = np.empty((CHUNK, width), dtype=np.int64)
    texts[:, : order - 1] = starts[draws[:, 0] % np.uint64(len(starts))]
    for at in range(order - 1, width):
        upto = model.law[model.rows(texts[:, at - order + 1 : at])].cumsum(1)
        point = (draws[:, at - order + 2] >> np.uint64(11)) / 2**53 * upto[:, -1]
        texts[:, at] = (upto <= point[:, None]).sum(1).clip(max=size - 1)
    return with_splits("pydoc_kn", texts, eos=size)
