"""Hypothesis strategies of small vocabularies, prompts, limits and legal trajectories."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from ..mdp.prefix import legal_actions, start, transition
from ..mdp.trajectory import Trajectories
from ..mdp.vocabulary import Vocabulary


@st.composite
def vocabularies(draw: Any, smallest: int = 2, largest: int = 4) -> Vocabulary:
    """Vocabularies of `smallest` to `largest` tokens, `eos` any of them."""
    size = draw(st.integers(smallest, largest))
    return Vocabulary(size, draw(st.integers(0, size - 1)))


def prompts(vocabulary: Vocabulary, rows: int, longest: int = 3) -> st.SearchStrategy[list[list[int]]]:
    """That many prompts of 1 to `longest` tokens, `eos` among them."""
    prompt = st.lists(st.integers(0, vocabulary.size - 1), min_size=1, max_size=longest)
    return st.lists(prompt, min_size=rows, max_size=rows)


@st.composite
def limits(draw: Any, longest: int = 6) -> tuple[int, int]:
    """`(max_length, min_length)`."""
    max_length = draw(st.integers(1, longest))
    return max_length, draw(st.integers(0, max_length))


@st.composite
def trajectories(
    draw: Any,
    vocabulary: Vocabulary | None = None,
    *,
    max_rows: int = 4,
    max_actions: int = 12,
    longest: int = 6,
    backspace: bool = True,
) -> Trajectories:
    """Batches of legal walks of 0 to `max_actions` actions, ended or not, with any of them marked for imitation.

    Args:
        draw: supplied by Hypothesis.
        vocabulary: None: any small one.
        max_rows: most rows of a batch.
        max_actions: most actions of a row.
        longest: largest `max_length`.
        backspace: whether deletions occur.
    """
    v = vocabulary or draw(vocabularies())
    max_length, min_length = draw(limits(longest))
    starts = draw(prompts(v, draw(st.integers(1, max_rows))))
    actions = []
    for prompt in starts:
        state, taken = start(v, [prompt], max_length, min_length), []
        # Choices modulo the legal actions shrink towards short plain rows.
        for choice in draw(st.lists(st.integers(0, 59), max_size=max_actions)):
            legal = legal_actions(v, state, backspace)[0].nonzero()[:, 0]
            if bool(state.ended) or not len(legal):
                break
            action = legal[choice % len(legal)]
            taken.append(int(action))
            state = transition(v, state, action[None])
        actions.append(taken)
    width = max(map(len, actions))
    marks = [draw(st.lists(st.booleans(), min_size=width, max_size=width)) for _ in actions]
    imitate = torch.tensor(marks, dtype=torch.bool).reshape(len(marks), width)
    return Trajectories.from_actions(v, starts, actions, max_length=max_length, min_length=min_length, imitate=imitate)
