"""Decoding as policies: rules that reshape the law of the next action before it is sampled.

`rollout(policy, prompts, rules=[tabu(), min_p(0.05)], ...)` applies them in that order, after the temperature (the
order of transformers' `generate`), to the legal actions, of which the backspace is one. Whatever a rule does, an
action at -inf stays there, and where a rule would leave no action at all the row keeps what it had. So an earlier
rule wins over a later one: those that forbid come before those that choose. `grammar` and `ban` are about the text that
stands: wherever they stand in the list, they come before all others, and nothing is done that they do not allow.
Greedy decoding is `temperature=0`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from ..errors import InvalidInputError
from ..errors.arguments import check_count, on_one_line
from ..mdp.prefix import Prefixes
from ..mdp.vocabulary import Vocabulary
from . import processors
from .constrained import banned
from .constrained.automata import Automaton, Following
from .constrained.patterns import automaton_of
from .constrained.spelling import check_reader, pieces
from .contrastive import Contrast
from .named_rules import NamedRule
from .walking import judged_walk

_MOST_LOGIT = 1e38  # of float32


def top_k(k: int) -> NamedRule:
    """Only the `k` most probable actions, and those as probable as the last of them (Fan et al. 2018)."""
    k = check_count("top_k", "k", k, 1)
    return _processed(f"top_k({k})", TopKLogitsWarper(k))


def top_p(p: float) -> NamedRule:
    """Only the most probable actions, as few as reach probability `p` together (Holtzman et al. 2020)."""
    p = _share("top_p", "p", p)
    if p == 0:
        raise InvalidInputError("top_p: p=0 leaves nothing; use temperature=0 for greedy decoding")
    return _processed(f"top_p({p})", TopPLogitsWarper(p))


def min_p(p: float) -> NamedRule:
    """Only actions at least `p` times as probable as the most probable one (Nguyen et al. 2024)."""
    p = _share("min_p", "p", p)
    return _processed(f"min_p({p})", MinPLogitsWarper(p))


def tabu() -> NamedRule:
    """The memory `tried` at sampling time, for a policy that was trained without it (see `seqil.mdp.memory`).

    A prefix forbids every token that was deleted from it since it was last reached by writing its own last token.
    Deleting that token, too, lifts the ban; returning by a deletion does not. Where nothing else is legal, which is so
    at a prompt alone, what was deleted from there is forgotten. It is a matter of what is legal, so that its place
    among the rules does not matter.
    """
    return NamedRule("tabu()", lambda policy: lambda prefixes, rows, logits: logits, forbids=True)


def backspace_bias(b: float) -> NamedRule:
    """`b` is added to the logit of the backspace, before the softmax: the odds of a deletion are `exp(b)` times theirs.

    A policy is made to doubt more, or less, without training: the control of every claim that an objective taught it
    to. Like every rule it comes after the temperature, so `b` is not divided by it. A rule that chooses (`top_k`,
    `top_p`, `min_p`) and stands behind it judges the shifted law; one that stands before it judges the policy's own,
    and a backspace that it has dropped stays dropped.
    """
    b = _finite("backspace_bias", "b", b)
    if abs(b) > _MOST_LOGIT:
        raise InvalidInputError(f"backspace_bias: b={b:g} is more than a logit holds; give one in [-1e38, 1e38]")
    return NamedRule(f"backspace_bias({b:g})", lambda policy: partial(_shifted, policy.vocabulary.backspace, b))


def restart() -> NamedRule:
    """Whoever deletes a token deletes the whole text: the policy's own doubt makes it start again.

    The control of a policy that is said to delete as much as is wrong and no more. A deletion is one action, as ever.
    """
    return NamedRule("restart()", lambda policy: _Restart(policy.vocabulary))


def loop_guard(most: int) -> NamedRule:
    """At most `most` tokens are ever deleted at any one position of the text; the next one stands. 0: no deletions.

    As the first rule it makes every policy end: after `(2 most + 1) max_length + 1` actions at the latest. (A count
    that starts anew with each new prefix would allow exponentially many.) Not where what was tried is forbidden (by
    `tabu`, or by the memory): there a deletion may be all that is legal, and legality goes before rules.
    """
    most = check_count("loop_guard", "most", most, 0)
    return NamedRule(f"loop_guard({most})", lambda policy: _LoopGuard(most, policy.vocabulary))


def contrastive_search(k: int, alpha: float) -> NamedRule:
    """Take the action that is probable and leads to a state unlike those before it (Su et al. 2022).

    Of the `k` most probable actions, the one with the largest `(1 - alpha) p(a|s) - alpha max_j cos(h_a, h_j)`, where
    `h_a` is the last hidden state of the text that `a` leads to and `h_j` are those of the shorter prefixes of that
    text, prompt included (similarity 0 if there are none). After a backspace that text is the parent prefix: its own
    last state is judged against the earlier ones, as when it was written. The rule judges texts, not ways to them,
    and it is deterministic: a policy that deletes what it has just written does so again. Put `tabu` or `loop_guard`
    before it.

    It needs a model, not a table, and computes the whole prefix again with its candidates: `length + k` positions per
    action beside the rollout's one.
    """
    k, alpha = check_count("contrastive_search", "k", k, 1), _share("contrastive_search", "alpha", alpha)
    name = f"contrastive_search({k}, {alpha})"
    return NamedRule(name, lambda policy: Contrast(policy, k, alpha), lambda length: length + k)


def grammar(pattern: str | Automaton, *, reader: Any = None) -> NamedRule:
    """Only texts of a regular language: from every text there is a way to one that may end within its lengths.

    The state after a deletion is that of the shorter text. Where what was tried is forbidden, a deletion is left out
    that would leave nothing to write. The prompt is not read. A text that spends its budget of actions is unfinished.

    Args:
        pattern: a regular expression, as of `re.fullmatch`, over the text that continues the prompt, a blank at its
            beginning included; or an `Automaton` over tokens.
        reader: the tokenizer or the task whose text the expression is about.

    Raises:
        InvalidInputError: no regular expression, or none of these tokens; in a rollout, no text of its lengths.
    """
    if not isinstance(pattern, str | Automaton):
        raise InvalidInputError(f"grammar: {pattern!r:.40} is neither a regular expression nor an Automaton")
    check_reader("grammar", reader)
    name = f"grammar({pattern if isinstance(pattern, str) else 'an automaton'})"

    def follow(policy: Any) -> Following:
        v = policy.vocabulary
        made = automaton_of(pattern, pieces(reader, v.size, v.eos)) if isinstance(pattern, str) else pattern
        return Following(name, made, v.size, v.eos)

    return NamedRule.constraint(name, follow)


def ban(*words: str | Sequence[int], reader: Any = None) -> NamedRule:
    """Texts in which none of these words or sequences of tokens is ever completed, though it may begin in the prompt.

    A word is forbidden however tokens make it up, inside of longer words too; letters count as they are written.

    Args:
        words: texts, or lists of ids.
        reader: the tokenizer or the task that texts are of.
    """
    texts, sequences = [word for word in words if isinstance(word, str)], [w for w in words if not isinstance(w, str)]
    if not words or "" in texts:
        raise InvalidInputError("ban: give at least one word or list of ids, none of them empty")
    for ids in sequences:
        listed = isinstance(ids, Sequence) and not isinstance(ids, bytes)
        if not listed or not ids or any(isinstance(i, bool) or not isinstance(i, int) for i in ids):
            raise InvalidInputError(f"ban: {on_one_line(ids, 40)} is neither a text nor a list of ids")

    check_reader("ban", reader)

    end = getattr(reader if callable(reader) else getattr(reader, "tokenizer", None), "eos_token", None)
    for word in texts if end else []:
        if str(end) in word:
            raise InvalidInputError(f"ban: {word!r} spells the end of a text, which is no word of it; see min_length")

    def without(policy: Any) -> Callable[[Any], Tensor]:
        v = policy.vocabulary
        for token in (token for ids in sequences for token in ids):
            if not 0 <= token < v.size or token == v.eos:
                raise InvalidInputError(f"ban: {token} is no token of a text; it has 0..{v.size - 1} but for {v.eos}")
        parts: list[Callable[[Any], Tensor]] = [banned.Sequences(sequences, v.size)]
        return banned.both([*parts, banned.Words(texts, pieces(reader, v.size, v.eos))] if texts else parts)

    return NamedRule.constraint(f"ban({', '.join(map(repr, words))})", without)


def processor(one: str | LogitsProcessor, *arguments: Any) -> NamedRule:
    """A logits processor of transformers, shown the text that stands, prompt included, after every action.

    Its scores are log-probabilities of the legal actions after the temperature, the backspace the last of them (as in
    beam search, not the raw numbers of a head, which a rule knows up to a constant).

    Args:
        one: a processor or a list of them, or the name of its class in transformers.
        arguments: of that class.

    Raises:
        InvalidInputError: in a rollout, a processor that fails, or whose scores depend on more than the text: on
            earlier calls, on chance or on the row. It could not follow deletions.
    """
    made = processors.made(one, arguments) if isinstance(one, str) else one
    if not callable(made) or (arguments and not isinstance(one, str)):
        raise InvalidInputError(f"processor: {one!r:.40} is no logits processor; arguments go with the name of a class")
    kinds = ", ".join(type(part).__name__ for part in (made if isinstance(made, list) else [made]))
    name = f"processor({', '.join([kinds, *map(repr, arguments)])})"
    return NamedRule(name, lambda policy: processors.Processed(policy, made, name))


_BUILT_IN: tuple[Callable[..., NamedRule], ...] = (
    *(top_k, top_p, min_p, backspace_bias, tabu, restart, loop_guard, contrastive_search),
    *(grammar, ban, processor, judged_walk),
)
RULES: dict[str, Callable[..., NamedRule]] = {make.__name__: make for make in _BUILT_IN}


def _processed(name: str, processor: LogitsProcessor) -> NamedRule:
    """A processor of transformers that looks at nothing but the logits."""
    return NamedRule(name, lambda policy: lambda prefixes, rows, logits: processor(prefixes.tokens, logits))


def _shifted(action: int, by: float, prefixes: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
    shifted = logits.clone()
    shifted[:, action] += by
    return shifted


class _Moves:
    """What was done to each row between two calls, read off its prefix."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int]] = {}

    def __call__(self, prefixes: Prefixes, rows: Tensor) -> Iterator[tuple[int, int, int | None]]:
        """Per row: its name, how many tokens it has generated, and the token that it has just deleted."""
        top = prefixes.tokens.gather(1, prefixes.length[:, None] - 1)[:, 0]
        for row, depth, token in zip(rows.tolist(), prefixes.generated.tolist(), top.tolist(), strict=True):
            last_depth, last_token = self._last.get(row, (0, token))
            self._last[row] = depth, token
            yield row, depth, last_token if depth < last_depth else None


class _Restart:
    def __init__(self, vocabulary: Vocabulary) -> None:
        self.backspace, self._moves = vocabulary.backspace, _Moves()

    def __call__(self, prefixes: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
        at_it = [deleted is not None and depth > 0 for _, depth, deleted in self._moves(prefixes, rows)]
        forced = torch.tensor(at_it, device=logits.device)[:, None].expand_as(logits).clone()
        forced[:, self.backspace] = False
        return logits.masked_fill(forced, -torch.inf)


class _LoopGuard:
    def __init__(self, most: int, vocabulary: Vocabulary) -> None:
        self.most, self.backspace = most, vocabulary.backspace
        self._moves = _Moves()
        self._deletions: Counter[tuple[int, int]] = Counter()  # per (row, position of the deleted token)

    def __call__(self, prefixes: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
        stands = []
        for row, depth, deleted in self._moves(prefixes, rows):
            self._deletions[row, depth] += deleted is not None
            stands.append(self._deletions[row, depth - 1] >= self.most)
        guarded = logits.clone()
        guarded[torch.tensor(stands, device=logits.device), self.backspace] = -torch.inf
        return guarded


def _finite(rule: str, name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:  # of an integer
        number = math.inf
    if not math.isfinite(number):
        raise InvalidInputError(f"{rule}: {name}={on_one_line(value, 40)} must be a finite number")
    return number


def _share(rule: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidInputError(f"{rule}: {name}={on_one_line(value, 40)} must be a number in [0, 1]")
    return float(value)
