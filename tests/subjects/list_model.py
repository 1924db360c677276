"""The token MDP once more, in plain Python lists, and Hypothesis strategies of small cases of it."""

from dataclasses import dataclass, field

import torch
from hypothesis import strategies as st

from seqil import Trajectories, Vocabulary
from seqil.testing.strategies import limits, prompts, vocabularies


@dataclass
class Row:
    """One state: `prompt` and `text` (generated), and the limits."""

    prompt: list
    max_length: int
    min_length: int = 0
    text: list = field(default_factory=list)
    ended: bool = False

    def legal(self, v: Vocabulary, backspace: bool = True) -> set:
        if self.ended:
            return {v.eos}
        n = len(self.text)
        tokens = {t for t in range(v.size) if t != v.eos} if n < self.max_length else set()
        eos = {v.eos} if n >= self.min_length else set()
        return tokens | eos | ({v.size} if backspace and n > 0 else set())

    def take(self, v: Vocabulary, action: int) -> "Row":
        """The next state; an illegal action and eos after the end change nothing."""
        if self.ended or action not in self.legal(v):
            return self.copy()
        new = self.copy()
        if action == v.size:
            del new.text[-1]
        else:
            new.text.append(action)
            new.ended = action == v.eos
        return new

    def copy(self) -> "Row":
        return Row(self.prompt, self.max_length, self.min_length, list(self.text), self.ended)

    @property
    def cells(self) -> list:
        return self.prompt + self.text


@dataclass
class RememberingRow(Row):
    """A state that knows what was deleted on the way to it, and all that was done."""

    tried: list = field(default_factory=lambda: [set()])  # by the number of generated tokens
    done: list = field(default_factory=list)

    def legal(self, v: Vocabulary, backspace: bool = True) -> set:
        return super().legal(v, backspace) - self.tried[len(self.text)]

    def take(self, v: Vocabulary, action: int) -> "RememberingRow":
        new = super().take(v, action)
        if self.ended or action not in self.legal(v):
            return new
        new.done.append(action)
        if action == v.size:
            new.tried.pop()
            new.tried[-1].add(self.text[-1])
            if not new.legal(v):
                new.tried[-1] = set()
        else:
            new.tried.append(set())
        return new

    def copy(self) -> "RememberingRow":
        tried = [set(tokens) for tokens in self.tried]
        return RememberingRow(
            self.prompt, self.max_length, self.min_length, list(self.text), self.ended, tried, list(self.done)
        )


@dataclass
class Case:
    """A batch of trajectories as lists. `states[b][t]` is the state of row b before action t."""

    v: Vocabulary
    prompts: list
    actions: list
    max_length: int
    min_length: int
    imitate: list

    row: type = Row

    @property
    def states(self) -> list:
        all_rows = []
        for prompt, actions in zip(self.prompts, self.actions, strict=True):
            rows = [self.row(prompt, self.max_length, self.min_length)]
            for action in actions:
                rows.append(rows[-1].take(self.v, action))
            all_rows.append(rows)
        return all_rows

    @property
    def trajectories(self) -> Trajectories:
        width = max(map(len, self.actions))
        imitate = torch.tensor([m + [True] * (width - len(m)) for m in self.imitate], dtype=torch.bool)
        return Trajectories.from_actions(
            self.v,
            self.prompts,
            self.actions,
            max_length=self.max_length,
            min_length=self.min_length,
            imitate=imitate.reshape(len(self.actions), width),
        )

    def rows(self, chosen: list) -> "Case":
        def pick(x):
            return [x[i] for i in chosen]

        return Case(
            self.v,
            pick(self.prompts),
            pick(self.actions),
            self.max_length,
            self.min_length,
            pick(self.imitate),
            self.row,
        )


@st.composite
def cases(draw, vocabulary=None, max_rows: int = 4, max_steps: int = 12, backspace: bool = True, row: type = Row):
    """Legal trajectories; choices are made modulo the legal actions, so that shrinking leads to short plain rows."""
    v = vocabulary or draw(vocabularies())
    max_length, min_length = draw(limits())
    rows = draw(st.integers(1, max_rows))
    starts = draw(prompts(v, rows))
    actions = []
    for prompt in starts:
        state, taken = row(prompt, max_length, min_length), []
        for choice in draw(st.lists(st.integers(0, 59), max_size=max_steps)):
            legal = sorted(state.legal(v, backspace))
            if not legal:
                break
            taken.append(legal[choice % len(legal)])
            state = state.take(v, taken[-1])
            if state.ended:
                break
        actions.append(taken)
    imitate = [draw(st.lists(st.booleans(), min_size=len(a), max_size=len(a))) for a in actions]
    return Case(v, starts, actions, max_length, min_length, imitate, row)
