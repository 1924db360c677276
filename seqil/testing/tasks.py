"""Conformance of tasks."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from ..mdp.prefix import Prefixes, legal_actions
from ..mdp.task import SPLITS, Task
from ..mdp.trajectory import Trajectories
from ..mdp.vocabulary import Vocabulary
from .random_states import untouched

_N = 20
_TRIED = 64  # tokens of a teacher's support
Items = set[tuple[tuple[int, ...], tuple[int, ...]]]


def check_task(task: Task) -> None:
    """Prove that a task keeps the contract of `seqil.Task`; an AssertionError says in one line where it does not.

    Checked, on twenty items of each split, or what there is:

    - The attributes. Prompts are lists of at least one token, those of the demonstrations. The first items do not
      depend on how many are asked for, and are the same when asked for again; splits are disjoint, across seeds too; no
      global random state is touched. A split holds no less than `available` says.
    - Demonstrations end with `eos`, hold no backspace, obey the limits, and are without error and successful for the
      task's own judge.
    - The teacher's rows are float64 distributions over legal tokens, after errors too, and give every demonstrated
      token a positive probability. A row of law, confusions or `has_error` depends on its prefix alone, which stays as
      it is. Confusions are weights, of some wrong token.
    - `first_error` is the index of the first wrong token: the text before it is without error, whatever follows it is
      not, nor is it a success. What the teacher may write after a right text is none, and of altered texts that are no
      success it finds some. It and `success` leave their lists alone. `has_error` agrees. `success` is a bool or None,
      `decode` gives text.
    """
    _check_attributes(task)
    with untouched():
        items = {split: _check_split(task, split) for split in SPLITS}
    for a, b in combinations(SPLITS, 2):
        assert not items[a] & items[b], f"splits {a} and {b} share items"


def _check_attributes(task: Task) -> None:
    assert isinstance(task, Task), f"{task!r:.60} is not a seqil.Task"
    assert isinstance(task.name, str), f"name is {task.name!r}, not a str"
    assert task.name, "name is empty"
    assert isinstance(task.vocabulary, Vocabulary), f"vocabulary is a {type(task.vocabulary).__name__}"
    limits = task.min_length, task.max_length
    assert all(isinstance(x, int) for x in limits), f"min_length, max_length are {limits}, not int"
    assert 0 <= limits[0] <= limits[1], f"min_length={limits[0]} must lie between 0 and max_length={limits[1]}"
    for name in ("judged", "one_guess"):
        assert isinstance(getattr(task, name), bool), f"{name} is {getattr(task, name)!r}, not a bool"


def _check_split(task: Task, split: str) -> Items:
    there = task.available(split)
    sound = there is None or (isinstance(there, int) and there >= 0)
    assert sound, f"available says {there!r} of {split}; it must be a number of items, or None"
    n = task.at_most(_N, split)
    if not n:  # a task may have no items to hold out
        return set()
    t, prompts = task.demonstrations(n, split, 0), task.prompts(n, split, 0)
    assert isinstance(t, Trajectories), f"demonstrations are {type(t).__name__}, not Trajectories"
    shown = " ".join(repr(prompts).split())
    assert hasattr(prompts, "__len__"), f"prompts of {split} are {shown:.60}; give lists of ids"
    assert len(t) == len(prompts) == n, f"asked for {n} items of {split}, got {len(t)} and {len(prompts)} prompts"
    listed = isinstance(prompts, list) and all(isinstance(prompt, list) for prompt in prompts)
    listed = listed and all(type(token) is int for prompt in prompts for token in prompt)
    assert listed, f"prompts of {split} are {shown:.60}; give lists of ids"
    assert all(prompts), f"a prompt of {split} is empty; it needs at least one token"
    items = _items(t)
    assert [list(prompt) for prompt, _ in items] == prompts, f"prompts of {split} are not those of its demonstrations"
    _check_asking(task, split, n, items)
    _check_demonstrations(task, t, split)
    later = task.demonstrations(n, split, 1)
    whole = t.lengths - 1
    at = [*(whole.clamp(max=k) for k in range(3)), (7 * torch.arange(n) + n // 2) % t.lengths, whole]
    confused = {_check_laws(task, t, places) for places in at}
    assert confused != {False}, "confusions give no token a weight beside eos and the demonstrated one: no mistakes"
    _check_errors(task, _altered(t))
    return {*items, *_items(later)}


def _items(t: Trajectories) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    rows = zip(t.prompts.tolist(), t.prompt_lengths.tolist(), t.actions.tolist(), t.lengths.tolist(), strict=True)
    return [(tuple(prompt[:p]), tuple(text[:n])) for prompt, p, text, n in rows]


def _check_asking(task: Task, split: str, n: int, items: list[Any]) -> None:
    half = max(1, n // 2)
    assert task.prompts(half, split, 0) == [list(p) for p, _ in items[:half]], f"prompts of {split} depend on n"
    assert _items(task.demonstrations(half, split, 0)) == items[:half], f"demonstrations of {split} depend on n"
    assert _items(task.demonstrations(n, split, 0)) == items, f"{split} changes when asked for again"
    there = task.available(split)
    if there is not None and n < there <= 50 * _N:
        held = len(task.prompts(there, split, 0))
        assert held == there, f"available says {there} items of {split}, there are {held}"


def _check_demonstrations(task: Task, t: Trajectories, split: str) -> None:
    v = task.vocabulary
    assert (t.max_length, t.min_length) == (task.max_length, task.min_length), "length limits differ from the task's"
    assert bool(t.ended.all()), f"a demonstration of {split} does not end with eos"
    assert not bool(((t.actions == v.backspace) & t.inside).any()), f"a demonstration of {split} holds a backspace"
    for prompt, text in _items(t):
        assert _first_error(task, prompt, text) is None, f"first_error finds one in a demonstration of {split}"
        assert task.beyond_data or _verdict(task, prompt, text) is not False, (
            f"success is False for a demonstration of {split}"
        )
        assert isinstance(task.decode([*prompt, *text]), str), "decode does not give a str"
        assert isinstance(task.decode(list(text[:1])), str), "decode does not give a str for the beginning of a text"


def _verdict(task: Task, prompt: tuple[int, ...], text: tuple[int, ...]) -> bool | None:
    given = list(prompt), list(text)
    found = task.success(*given)
    assert given == (list(prompt), list(text)), "success changes the lists that it is given"
    assert found is None or isinstance(found, bool), f"success is {found!r}; it must be a bool or None"
    return found


def _first_error(task: Task, prompt: tuple[int, ...], text: tuple[int, ...]) -> int | None:
    given = list(prompt), list(text)
    found = task.first_error(*given)
    assert given == (list(prompt), list(text)), "first_error changes the lists that it is given"
    return found


def _beginnings(t: Trajectories, actions: Tensor, lengths: Tensor) -> Trajectories:
    return Trajectories.from_actions(
        t.vocabulary, t.prompts, actions, lengths=lengths, max_length=t.max_length, min_length=t.min_length
    )


def _check_laws(task: Task, t: Trajectories, at: Tensor) -> bool | None:
    """Of the token number `at` of each row, given what stands before it; whether its confusions are of wrong ones."""
    state, following = _beginnings(t, t.actions, at).replay(), t.actions.gather(1, at[:, None])
    law = _rows(task, state, "next_distribution")
    if law is not None:
        _check_distribution(law, state, task.vocabulary)
        assert bool((law.gather(1, following) > 0).all()), "next_distribution gives a demonstrated token probability 0"
        _check_support(task, state, law)
    weights = _rows(task, state, "confusions")
    if weights is None:
        return None
    assert weights.is_floating_point(), f"confusions are {weights.dtype}, not float"
    assert bool((weights >= 0).all() & weights.isfinite().all()), "confusions are not finite weights"
    wrong = weights.scatter(1, following, 0).index_fill(1, torch.tensor([task.vocabulary.eos]), 0)
    return bool(wrong.any())


def _check_support(task: Task, state: Prefixes, law: Tensor) -> None:
    """No token that the teacher may write after a right text is an error."""
    for row, (text, n) in enumerate(zip(state.texts(prompt=True), state.prompt_length.tolist(), strict=True)):
        prompt, written = tuple(text[:n]), tuple(text[n:])
        for token in law[row].nonzero().flatten().tolist()[:_TRIED] if task.judged else ():
            assert _first_error(task, prompt, (*written, token)) is None, (
                f"next_distribution gives token {token} probability {float(law[row, token]):.3g} after a right text, "
                "and first_error calls it an error"
            )


def _rows(task: Task, state: Prefixes, name: str) -> Tensor | None:
    """What the task says of each prefix, float or bool [B, …], if anything."""
    ask, kept = getattr(task, name), state.tokens.clone()
    found: Tensor | None = ask(state)
    assert torch.equal(kept, state.tokens), f"{name} changes the prefixes that it is asked about"
    last = state.select(torch.tensor([len(state) - 1]))
    if found is None:
        assert ask(last) is None, f"{name} is None for several prefixes and not for one of them alone"
        return None
    assert isinstance(found, Tensor), f"{name} is a {type(found).__name__}, not a tensor"
    if name != "has_error":
        expected = (len(state), task.vocabulary.size)
        assert found.shape == expected, f"{name} has shape {tuple(found.shape)}, not {expected}"
    alone = ask(last)
    assert alone is not None, f"{name} is None for some prefixes and not for others"
    assert torch.allclose(alone[0].double(), found[-1].double()), (
        f"{name} of a prefix depends on the others asked about"
    )
    return found


def _check_distribution(law: Tensor, state: Prefixes, v: Vocabulary) -> None:
    assert law.dtype == torch.float64, f"next_distribution is {law.dtype}, not float64"
    assert bool((law >= 0).all()), "next_distribution is negative somewhere"
    total = law.sum(1)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-9), "rows of next_distribution do not sum to 1"
    legal = legal_actions(v, state)[:, : v.size]
    assert not bool((law[~legal] > 0).any()), "next_distribution gives an illegal token a positive probability"


def _altered(t: Trajectories) -> Trajectories:
    """Beginnings of demonstrations, some whole, with one token altered."""
    v, rows = t.vocabulary, torch.arange(len(t))
    at = 7 * rows % (t.lengths - 1).clamp(min=1)
    other = (t.actions[rows, at] + 1 + rows) % v.size
    actions = t.actions.clone()
    actions[rows, at] = torch.where(other == v.eos, actions[rows, at], other)
    lengths = torch.where(rows % 4 == 0, t.lengths, at + 1 + 5 * rows % (t.lengths - at))
    return _beginnings(t, actions, lengths)


def _check_errors(task: Task, t: Trajectories) -> None:
    wrong, failed = [], 0
    for (prompt, text), ended in zip(_items(t), t.ended.tolist(), strict=True):
        first = _first_error(task, prompt, text)
        failed += ended and _verdict(task, prompt, text) is False
        wrong.append(first is not None)
        if first is not None:
            assert 0 <= first < len(text), f"first_error is {first} in a text of {len(text)} tokens"
            for n, expected in ((first, None), (first + 1, first)):
                found = _first_error(task, prompt, text[:n])
                assert found == expected, (
                    f"first_error is {first}, and {found} in the first {n} tokens of the same text"
                )
            assert not (ended and _verdict(task, prompt, text)), "a text with an error is a success"
    defined = type(task).first_error is not Task.first_error
    assert any(wrong) or not failed or not defined or not task.judged, (
        f"first_error finds none in {len(wrong)} altered texts, of which {failed} are no success"
    )
    state = t.replay()
    flags = _rows(task, state, "has_error")
    assert flags is not None, "has_error is None; it must be bool [B]"
    assert flags.dtype == torch.bool, f"has_error is {flags.dtype}, not bool"
    assert flags.tolist() == wrong, "has_error and first_error disagree"
    law = _rows(task, state, "next_distribution")
    if law is not None:
        _check_distribution(law[~state.ended], state.select(~state.ended), task.vocabulary)
