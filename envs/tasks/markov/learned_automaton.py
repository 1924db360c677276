"""The law of one's own traces: an automaton that is learned from them, and what they hold beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqil import Prefixes, Vocabulary
from seqil.capacity import check_file
from seqil.errors import InvalidInputError, first_line
from seqil.errors.arguments import on_one_line

from ..base import counters
from ..base.requests import check_range, foreign_prompt
from ..base.sampled import CHUNK, Chunk, Ints, SampledTask, columns, with_splits
from .state_merging import Machine, merged
from .trace_alignment import Script, align, meant

_PROMPT = "eos alone"
_MOST_ROUNDS = 1000


class LearnedAutomaton(SampledTask):
    """Texts from a probabilistic automaton that is learned from traces: logs of anything, one event after another.

    - **Tokens**: the events that occur in the traces, in their order, and `eos`. **Prompt**: `eos`, the start token.
    - **Learning**: states of the traces' prefix tree are merged where they look alike (ALERGIA). Then, `rounds` times,
      transitions that are rare are left out, every trace is replaced by the nearest text of what remains (the fewest
      inserts, deletions and substitutions; of these the likeliest), and the automaton is learned anew.
    - **Text**: drawn from it. Where all traces have one length texts have it, too; else they end as it says, or after
      as many events as the longest trace has.
    - **Teacher**: exact for this law, which is that of the traces as far as the automaton is. A wrong token is skipped.
    - **First error**: the first token that has probability 0. **Success**: there is none, and `eos`.
    - **Confusions**: what the traces hold too much or in place of another event, as often as it stood there.
    - **Why**: mistakes that were made, of one's own making, with a judge: `--noise task` puts them in.

    After Carrasco & Oncina 1994, and arXiv 2206.07776 (by abstract).

    Args:
        path: a file of text, a trace in each line, its events separated by blanks.
        traces: the same as lists of events, instead of a file. An event is a str, and a str as a trace one of letters.
        rounds: of alignment, at most 1000; it ends where one changes nothing. 0: the traces as they are.
        rare: least probability of a transition that traces are aligned with.
        significance: of the tests that keep states apart; lower, and more are merged.

    Raises:
        InvalidInputError: no traces, both a file and lists, or something else than lists of events.
    """

    name = "learned_automaton"

    def __init__(
        self,
        path: str | Path | None = None,
        traces: Sequence[Sequence[str]] | None = None,
        rounds: int = 3,
        rare: float = 0.05,
        significance: float = 0.005,
    ) -> None:
        check_range(self.name, 0, _MOST_ROUNDS, rounds=rounds)
        check_range(self.name, 0, 0.5, rare=rare)
        check_range(self.name, 1e-300, 1, significance=significance)
        if (path is None) == (traces is None):
            raise InvalidInputError(f"{self.name}: give a path, or traces (--task-option path=FILE)")
        given = _checked(traces) if traces is not None else _read(Path(path or ""))
        if not any(given):
            raise InvalidInputError(f"{self.name}: there is no event in the traces; give some that have any")
        self.events = sorted({event for trace in given for event in trace})
        """What each token but `eos` is called."""
        eos = len(self.events)
        self.vocabulary = Vocabulary(size=eos + 1, eos=eos)
        ids = {event: i for i, event in enumerate(self.events)}
        seen = [[ids[event] for event in trace] for trace in given]
        lengths = {len(trace) for trace in seen}
        self.max_length = max(lengths)
        self.min_length = self.max_length if len(lengths) == 1 else 0
        self.machine: Machine = _learned(seen, eos, not self.min_length, rounds, rare, significance)
        """What was learned, as counts."""
        self.scripts: list[Script] = align(self.machine, seen)
        """How each trace differs from the nearest text of the automaton."""
        self._mistakes = _mistakes(self.machine, self.scripts)
        stay = np.arange(len(self.machine.after))[:, None]
        self._after: Ints = np.where(self.machine.after < 0, stay, self.machine.after)
        self._lists = self.machine.counts.tolist(), self._after.tolist()

    def chunk(self, seed: int, number: int) -> Chunk:
        """4096 texts."""
        n, eos = self.max_length, self.vocabulary.eos
        draws = counters.words(self.name, n, seed, number, shape=(CHUNK, n))
        texts, state, done = np.full((CHUNK, n), eos), np.zeros(CHUNK, np.int64), np.zeros(CHUNK, bool)
        for t in range(n):
            tokens = counters.choices(self.machine.counts[state], draws[:, t])
            texts[:, t] = np.where(done, eos, tokens)
            done |= tokens == eos
            state = self._after[state, tokens]
        splits = with_splits(self.name, texts, eos).splits
        return Chunk(np.concatenate([np.full((CHUNK, 1), eos), texts], 1), splits)

    def next_distribution(self, prefixes: Prefixes) -> Tensor:
        """The law of the state; `eos` at the horizon and after the end."""
        counts = torch.from_numpy(self.machine.counts).to(prefixes.tokens.device)[self._states(prefixes)[0]].double()
        return self.ended(counts / counts.sum(1, keepdim=True), prefixes)

    def first_error(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """The first token of probability 0, a premature `eos` among them."""
        if list(prompt) != [self.vocabulary.eos]:
            raise foreign_prompt(self.name, prompt, _PROMPT)
        counts, after = self._lists
        state = 0
        for i, token in enumerate(tokens):
            horizon = i == self.max_length and token == self.vocabulary.eos
            if not horizon and not counts[state][token]:
                return i
            state = after[state][token]
        return None

    def has_error(self, prefixes: Prefixes) -> Tensor:
        """Whether a token of the text has probability 0 there."""
        return self._states(prefixes)[1]

    def success(self, prompt: Sequence[int], tokens: Sequence[int]) -> bool:
        """No error, and `eos`."""
        return [*tokens[-1:]] == [self.vocabulary.eos] and self.first_error(prompt, tokens) is None

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """How often each token that is impossible there stood in the traces all the same."""
        states, _ = self._states(prefixes)
        weights = torch.from_numpy(self._mistakes).to(states.device)[states].float()
        return weights.masked_fill((self.next_distribution(prefixes) > 0) | prefixes.ended[:, None], 0)

    def decode(self, tokens: Sequence[int]) -> str:
        """The events; `eos` is not shown."""
        return " ".join(self.events[t] for t in tokens if t != self.vocabulary.eos)

    def _states(self, prefixes: Prefixes) -> tuple[Tensor, Tensor]:
        """State of the automaton, int64 [B], and whether the text holds an error, bool [B]."""
        known = (prefixes.prompt_length == 1) & (prefixes.tokens[:, 0] == self.vocabulary.eos)
        self.check_prompts(prefixes, known, _PROMPT)
        order, texts = columns(prefixes.tokens, prefixes.length)
        possible, after = (torch.from_numpy(x).to(order.device) for x in (self.machine.counts > 0, self._after))
        states, wrong = torch.zeros_like(order), torch.zeros_like(order, dtype=torch.bool)
        for t, tokens in enumerate(texts[1:]):
            now = states[: len(tokens)]
            horizon = (tokens == self.vocabulary.eos) & (t == self.max_length)
            wrong[: len(tokens)] |= ~possible[now, tokens] & ~horizon
            now[:] = after[now, tokens]
        back = order.argsort()
        return states[back], wrong[back]


def _learned(seen: list[list[int]], eos: int, ends: bool, rounds: int, rare: float, significance: float) -> Machine:
    traces, end = seen, [eos] if ends else []
    machine = merged([[*trace, *end] for trace in traces], eos + 1, significance)
    for _ in range(rounds):
        before, traces = traces, [meant(script) for script in align(machine.without(rare), traces)]
        if traces == before:
            break
        machine = merged([[*trace, *end] for trace in traces], eos + 1, significance)
    return machine


def _mistakes(machine: Machine, scripts: list[Script]) -> Ints:
    """How often a token stood where it was not meant, by the state it was written in: int64 [S, V]."""
    found = np.zeros_like(machine.counts)
    for script in scripts:
        state = 0
        for step in script:
            if step.seen is not None and step.seen != step.meant:
                found[state, step.seen] += 1
            if step.meant is not None:
                state = machine.after[state, step.meant]
    return found


def _checked(traces: Any) -> list[list[str]]:
    """Lists of events; what is ordered serves as a list."""
    if isinstance(traces, str) or not _ordered(traces):
        raise InvalidInputError(
            f"learned_automaton: traces={on_one_line(traces, 60)} is no list of traces; give a list of lists of "
            'events, [["open", "close"]] say, or a file by path'
        )
    found: list[list[str]] = []
    for number, trace in enumerate(traces):
        events = list(trace) if _ordered(trace) else [trace]
        wrong = [event for event in events if not isinstance(event, str) or not event]
        if wrong:
            raise InvalidInputError(
                f"learned_automaton: trace {number} holds {on_one_line(wrong[0], 60)}, which is no event; give a list "
                'of texts as a trace, ["open", "close"] say'
            )
        found.append([str(event) for event in events])
    return found


def _ordered(value: Any) -> bool:
    sized = isinstance(value, Iterable) and getattr(value, "shape", None) != ()
    return sized and not isinstance(value, bytes | bytearray | Mapping | Set)


def _read(path: Path) -> list[list[str]]:
    try:
        check_file(path)
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # `str.splitlines` cuts at U+2028, too
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{path} cannot be read as UTF-8 text ({first_line(error)}); give a file of traces, one in each line"
        ) from None
    return [line.split() for line in lines if line.strip()]
