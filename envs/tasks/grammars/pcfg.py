"""Documents of a JSON-like grammar: their brackets, keys and ends follow from a stack."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqil import Prefixes, Vocabulary
from seqil.errors import InvalidInputError

from ..base import counters
from ..base.grammar import NEVER, Grammar, Table, compile_grammar
from ..base.requests import check_range, foreign_prompt
from ..base.sampled import CHUNK, Chunk, Ints, SampledTask, columns, with_splits

ALPHABET = '{}[]:,"abcde012345-.tfn'
EOS = len(ALPHABET)
GRAMMAR: Grammar = {
    "value": [
        *((14, "{ pairs }"), (14, "[ items ]"), (24, '" letters "'), (28, "natural"), (8, "- natural")),
        *((5, "t"), (4, "f"), (3, "n")),
    ],
    "pairs": [(1, ""), (9, "pair more_pairs")],
    "more_pairs": [(9, ""), (11, ", pair more_pairs")],
    "pair": [(1, '" letters " : value')],
    "items": [(1, ""), (9, "value more_items")],
    "more_items": [(9, ""), (11, ", value more_items")],
    "letters": [(3, ""), (7, "letter letters")],
    "letter": [(5, "a"), (4, "b"), (3, "c"), (2, "d"), (1, "e")],
    "natural": [(1, "0 fraction"), (4, "positive digits fraction")],
    "fraction": [(4, ""), (1, ". digit digits")],
    "digits": [(3, ""), (2, "digit digits")],
    "positive": [(5, "1"), (4, "2"), (3, "3"), (2, "4"), (1, "5")],
    "digit": [(1, "0"), (1, "positive")],
}
"""Of the text after the first token, which is `{` or `[`, left are `pairs }` or `items ]`."""
_OBJECT, _ARRAY = (ALPHABET.index(token) for token in "{[")
_STARTS = {_OBJECT: ("pairs", "}"), _ARRAY: ("items", "]")}
_PROMPT = "{ or [, one token"
_SPARE = 4


class PCFG(SampledTask):
    """Documents of nested objects, arrays, strings and numbers, as in JSON: `{"ab":[1,-20.5,t],"":{}}`.

    - **Tokens**: the characters of `ALPHABET` and `eos` (id 23), V = 24; `t`, `f`, `n` are JSON's true, false, null.
    - **Law**: `GRAMMAR`, which is LL(1): what may come next follows from the stack of what is still to be read. A
      nonterminal's right-hand sides have the probabilities written there, and at most `depth` brackets are open.
    - **Prompt**: the first bracket, `{` or `[` alike. **Text**: the rest of the document, then `eos`.
    - **Length**: in `shortest … longest`. The bounds are of the law: a token that leaves no way to end the document
      within `longest` tokens has probability 0, and so has one that ends it before `shortest`; the others at that
      prefix share its mass. So nothing is cut off, the law is exact at every prefix, and it sums to 1 over the texts.
      (It is not the grammar's law given the length, which would favour from the start what becomes short.)
    - **Teacher**: exact. A wrong token is skipped; where no way is left to end in time, the bound is ignored.
    - **First error**: the first token of probability 0, a premature `eos` among them. **Success**: a whole document.
    - **Confusions**: the tokens that may follow the last one somewhere, but not here: a bracket of the other kind, say.

    Args:
        depth: most open brackets, 1 to 8.
        shortest: fewest tokens of the text, without `eos`; short documents repeat, and splits should not share any.
        longest: most tokens of the text, without `eos`; at least `shortest` + 4.
    """

    name = "pcfg"
    vocabulary = Vocabulary(size=EOS + 1, eos=EOS)

    def __init__(self, depth: int = 6, shortest: int = 16, longest: int = 128) -> None:
        check_range(self.name, 1, 8, depth=depth)
        check_range(self.name, 1, shortest=shortest)
        if longest < shortest + _SPARE:
            raise InvalidInputError(f"pcfg: longest={longest} must be at least shortest + {_SPARE}")
        self.depth, self.shortest, self.max_length = depth, shortest, longest
        self.table = table(depth)
        self._lists = self.table.need.tolist(), self.table.after.tolist()

    def chunk(self, seed: int, number: int) -> Chunk:
        """4096 documents."""
        return _chunk(self.depth, self.shortest, self.max_length, seed, number)

    def next_distribution(self, prefixes: Prefixes) -> Tensor:
        """The grammar's law within the bounds; `eos` after the document, at the horizon and after the end."""
        states, written = self._read(prefixes)[0].cpu().numpy(), prefixes.generated.cpu().numpy()[:, None]
        weights = bounded(self.table, states, written, self.shortest, self.max_length)
        law = torch.from_numpy(weights / weights.sum(1, keepdims=True))
        return self.ended(law.to(prefixes.tokens.device), prefixes)

    def first_error(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """The first token that is wrong, that leaves no way to end in time, or that ends too soon."""
        if len(prompt) != 1 or prompt[0] not in _STARTS:
            raise foreign_prompt(self.name, prompt, _PROMPT)
        needs, after = self._lists
        state = 1 + (prompt[0] == _ARRAY)
        for i, token in enumerate(tokens):
            need = needs[state][token]
            if need >= self.max_length - i or (need == 0 and i + 1 < self.shortest):
                return i
            state = after[state][token]
        return None

    def has_error(self, prefixes: Prefixes) -> Tensor:
        """Whether a token of the text has probability 0 there."""
        return self._read(prefixes)[1]

    def success(self, prompt: Sequence[int], tokens: Sequence[int]) -> bool:
        """A whole document of a length within the bounds, and `eos`."""
        return [*tokens[-1:]] == [EOS] and self.first_error(prompt, tokens) is None

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on the tokens that the grammar allows after the last one, but not here."""
        rows = torch.arange(len(prefixes), device=prefixes.tokens.device)
        last = prefixes.tokens[rows, prefixes.length - 1]
        follows = torch.from_numpy(_follows(self.depth)).to(last.device)[last]
        return (follows & (self.next_distribution(prefixes) == 0)).float()

    def decode(self, tokens: Sequence[int]) -> str:
        """The characters; `eos` is not shown."""
        return "".join(ALPHABET[t] for t in tokens if t != EOS)

    def _read(self, prefixes: Prefixes) -> tuple[Tensor, Tensor]:
        """State of the table, int64 [B], and whether the text holds an error, bool [B]."""
        first = prefixes.tokens[:, 0]
        known = (prefixes.prompt_length == 1) & ((first == _OBJECT) | (first == _ARRAY))
        self.check_prompts(prefixes, known, _PROMPT)
        order, texts = columns(prefixes.tokens, prefixes.length)
        needs, after = (torch.from_numpy(x).to(order.device) for x in (self.table.need, self.table.after))
        states = 1 + (texts[0] == _ARRAY).long()
        wrong = torch.zeros_like(states, dtype=torch.bool)
        for i, tokens in enumerate(texts[1:]):
            now = states[: len(tokens)]
            need = needs[now, tokens]
            wrong[: len(tokens)] |= (need >= self.max_length - i) | ((need == 0) & (i + 1 < self.shortest))
            now[:] = after[now, tokens]
        back = order.argsort()
        return states[back], wrong[back]


@lru_cache(maxsize=8)
def table(depth: int) -> Table:
    """The grammar as a table over all of the vocabulary; states 1 and 2 follow `{` and `[`."""
    made = compile_grammar(GRAMMAR, ALPHABET, [*_STARTS.values()], closing="}]", depth=depth)
    size = len(made.weights)
    weights, after, need = (np.pad(x, ((0, 0), (0, 1))) for x in (made.weights, made.after, made.need))
    weights[0, EOS] = 1
    after[:, EOS] = np.arange(size)
    need[:, EOS] = NEVER
    need[0, EOS] = -1  # it takes no room
    return Table(weights, after, need)


def bounded(table: Table, states: Ints, written: Ints | int, shortest: int, longest: int) -> Ints:
    """Weights [N, V] of the tokens after `written` of them; without the bounds where no token keeps them."""
    need = table.need[states]
    weights = table.weights[states]
    within = (need < longest - written) & ((need != 0) | (written + 1 >= shortest))
    kept = np.where(within, weights, 0)
    return np.where(kept.any(1, keepdims=True), kept, weights)


@lru_cache(maxsize=8)
def _follows(depth: int) -> NDArray[np.bool_]:
    """Whether a token may follow another somewhere: [V + 1, V]."""
    made = table(depth)
    follows = np.zeros((EOS + 2, EOS + 1), dtype=bool)
    for token in range(EOS):
        states = made.after[made.weights[:, token] > 0, token]
        follows[token, :EOS] = (made.weights[states, :EOS] > 0).any(0)
    return follows


@lru_cache(maxsize=64)
def _chunk(depth: int, shortest: int, longest: int, seed: int, number: int) -> Chunk:
    made = table(depth)
    draws = counters.words("pcfg", depth, shortest, longest, seed, number, shape=(CHUNK, 1 + longest))
    texts = np.full(draws.shape, EOS)
    state = 1 + (draws[:, 0] % np.uint64(2)).astype(np.int64)
    texts[:, 0] = np.array([*_STARTS])[state - 1]
    rows = np.arange(CHUNK)
    for written in range(longest):
        now = state[rows]
        texts[rows, 1 + written] = counters.choices(
            bounded(made, now, written, shortest, longest), draws[rows, 1 + written]
        )
        state[rows] = made.after[now, texts[rows, 1 + written]]
        rows = rows[state[rows] > 0]
    return with_splits("pcfg", texts, eos=EOS)
