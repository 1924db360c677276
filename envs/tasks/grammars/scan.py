"""SCAN: commands and the actions that they mean, with splits that ask for what was never shown (Lake & Baroni 2018)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from seqil import Prefixes, Vocabulary
from seqil.errors import check_known

from ..base import counters
from ..base.requests import check_range, foreign_prompt, split_of
from ..base.right_answer import Item, RightAnswerTask, mended_late

Split = Literal["jump", "around_right", "length", "simple"]
SPLITS = ("jump", "around_right", "length", "simple")
PRIMITIVES = ("walk", "look", "run", "jump")
_WORDS = ("turn", "left", "right", "opposite", "around", "twice", "thrice", "and", "after")
_TURNS = {"left": "I_TURN_LEFT", "right": "I_TURN_RIGHT"}
_TIMES = {"twice": 2, "thrice": 3}
_ACTION = "I_"
_LONGEST, _LONG, _CHUNK = 48, 22, 1000
_SHARE = 9  # others to each `jump`, so that it is a tenth
Words = tuple[str, ...]


class Scan(RightAnswerTask):
    """`jump twice after walk left`, answered by `I_TURN_LEFT I_WALK I_JUMP I_JUMP`.

    - **Tokens**: 13 words, 6 actions and `eos`, V = 20; `copies` of the primitives and their actions before `eos`.
    - **Prompt**: a command of the grammar, of which there are 20,910. **Text**: its actions, 48 at most, then `eos`.
    - **Splits**: of what is held out, the test split has all. `jump`: the 7,706 commands with `jump` but `jump` itself,
      which is repeated until it is a tenth of the 14,670 others. `around_right`: the 5,685 with `around right`.
      `length`: the 3,920 of more than 22 actions. `simple`: a twentieth by the hash. A twentieth of the
      commands that are left, by the hash, is the valid split; `jump` alone is never in it.
    - **Why**: the grammar is simple and the error of a learner systematic: what it never saw it misreads each time.
    - **Teacher**: one-hot. After an error it goes on with the right action of that position; `eos` beyond the last.
    - **First error**: the first action that is not the right one. **Success**: all actions and `eos`.
    - **Confusions**: the other actions.
    - **Items**: each command once, in an order of the seed.

    Splits are those of Lake & Baroni 2018 but for `around_right`, where Loula et al. 2018 leave more out of the test.
    Copies of primitives are an augmentation of Jiang et al. 2022 (arXiv 2211.15578, by abstract): every command of the
    training split is there once more with `walk_1` for `walk`, and so on, which means actions of its own.

    Args:
        split: what is held out.
        copies: of each primitive, in the training split alone.
    """

    name = "scan"
    max_length = _LONGEST
    max_actions = mended_late(_LONGEST)

    def __init__(self, split: Split = "jump", copies: int = 0) -> None:
        check_known("split", split, SPLITS)
        check_range(self.name, 0, 1000, copies=copies)
        self.split, self.copies = split, copies
        self.primitives = [
            word + suffix for suffix in ("", *(f"_{i + 1}" for i in range(copies))) for word in PRIMITIVES
        ]
        """Words that mean one action."""
        self.words = [*self.primitives, *_WORDS, *_TURNS.values(), *map(action, self.primitives)]
        """What each token but `eos` is called."""
        self.vocabulary = Vocabulary(size=len(self.words) + 1, eos=len(self.words))
        self._ids = {word: i for i, word in enumerate(self.words)}

    def available(self, split: str) -> int:
        """Commands of a split, `jump` as often as it is repeated."""
        return Counter(item.split for item in _items(self.split, self.copies))[split]

    def answer(self, prompt: Sequence[int]) -> list[int]:
        """The actions of a command and `eos`."""
        return [*(self._ids[word] for word in meaning(self._command(prompt))), self.vocabulary.eos]

    def chunk(self, seed: int, number: int) -> list[Item]:
        """A thousand items in the order of the seed, which is gone through again after the last."""
        items, order = _items(self.split, self.copies), _order(self.split, self.copies, seed)
        at = number % -(-len(order) // _CHUNK) * _CHUNK
        return [Item([self._ids[w] for w in items[i].words], items[i].split) for i in order[at : at + _CHUNK]]

    def after_error(self, prefixes: Prefixes, following: Tensor) -> Tensor:
        """One-hot on the right action of the position."""
        return one_hot(following, self.vocabulary.size).double()

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on every action but the teacher's; none at the end."""
        v = self.vocabulary
        actions = torch.tensor([word.startswith(_ACTION) for word in self.words] + [False])
        following = self.following(prefixes)
        others = actions.to(following.device) & (torch.arange(v.size, device=following.device) != following[:, None])
        return (others & (following != v.eos)[:, None]).float()

    def swapped(self, prompts: Tensor, chance: Tensor) -> Tensor:
        """Commands with one of their primitives, wherever it stands, in place of which another one is written.

        Args:
            prompts: int64 [B, P].
            chance: in [0, 1), [B, 2]: which is replaced, and by which other one.

        Returns:
            [B, P]; a command without a primitive is left as it is.
        """
        K = len(self.primitives)
        there = (prompts[..., None] == torch.arange(K, device=prompts.device)).any(1)
        number = (chance[:, 0] * there.sum(1)).long()
        old = (there.long().cumsum(1) <= number[:, None]).sum(1)
        new = (old + 1 + (chance[:, 1] * (K - 1)).long()) % K
        return torch.where((prompts == old[:, None]) & there.any(1, keepdim=True), new[:, None], prompts)

    def decode(self, tokens: Sequence[int]) -> str:
        """Words and actions; `eos` is not shown."""
        return " ".join(self.words[t] for t in tokens if t != self.vocabulary.eos)

    def _command(self, prompt: Sequence[int]) -> list[str]:
        words = [self.words[t] if t < len(self.words) else "" for t in prompt]
        if tuple(word.partition("_")[0] for word in words) not in commands():
            raise foreign_prompt(self.name, prompt, "a command of SCAN")
        return words


class _Command(NamedTuple):
    words: Words
    split: str


def meaning(command: Sequence[str]) -> list[str]:
    """The actions of a command: a homomorphism, which follows the last operator of the words."""
    words = list(command)
    for joint, order in (("and", 1), ("after", -1)):
        if joint in words:
            at = words.index(joint)
            return [act for part in (words[:at], words[at + 1 :])[::order] for act in meaning(part)]
    if words[-1] in _TIMES:
        return meaning(words[:-1]) * _TIMES[words[-1]]
    done = [] if words[0] == "turn" else [action(words[0])]
    if len(words) == 1:
        return done
    turn = [_TURNS[words[-1]]]
    return {"opposite": turn * 2 + done, "around": (turn + done) * 4}.get(words[1], turn + done)


def action(primitive: str) -> str:
    """What a primitive means: `I_WALK` for `walk`."""
    return _ACTION + primitive.upper()


@lru_cache(maxsize=1)
def commands() -> dict[Words, None]:
    """All commands of the grammar, in order."""
    directions = [(d,) for d in _TURNS]
    plain = [*((u,) for u in PRIMITIVES), *((u, *d) for u in (*PRIMITIVES, "turn") for d in directions)]
    turned = [(u, how, *d) for u in (*PRIMITIVES, "turn") for how in ("opposite", "around") for d in directions]
    verbs = [*plain, *turned]
    sentences = [*verbs, *((*v, n) for v in verbs for n in _TIMES)]
    return dict.fromkeys([*sentences, *((*a, j, *b) for a in sentences for j in ("and", "after") for b in sentences)])


@lru_cache(maxsize=16)
def _items(split: str, copies: int) -> list[_Command]:
    """Commands with their splits, those that are repeated or copied too."""
    items = [_Command(words, _split_of(split, words)) for words in commands()]
    shown = [item for item in items if item.split == "train"]
    if split == "jump":
        kept = len(items) - sum(item.split == "test" for item in items) - 1
        items += [_Command(("jump",), "train")] * (kept // _SHARE - 1)
    copied = [_Command(_copied(words, i + 1), "train") for i in range(copies) for words, _ in shown]
    return items + copied


@lru_cache(maxsize=16)
def _order(split: str, copies: int, seed: int) -> list[int]:
    order: list[int] = counters.shuffled(len(_items(split, copies)), "scan", split, copies, seed).tolist()
    return order


def _split_of(split: str, words: Words) -> str:
    if _held_out(split, words):
        return "test"
    drawn = split_of("scan", " ".join(words))
    alone = split == "jump" and words == ("jump",)
    return "train" if alone or (drawn == "test" and split != "simple") else drawn


def _held_out(split: str, words: Words) -> bool:
    match split:
        case "jump":
            return "jump" in words and len(words) > 1
        case "around_right":
            return ("around", "right") in pairwise(words)
        case "length":
            return len(meaning(words)) > _LONG
        case _:
            return False


def _copied(words: Words, number: int) -> Words:
    return tuple(f"{word}_{number}" if word in PRIMITIVES else word for word in words)
