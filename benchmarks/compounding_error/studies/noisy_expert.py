"""Offline and online imitation of a noisy expert over the horizon, on a lock, with the closed form beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from envs.tasks.base import counters
from envs.tasks.base.requests import check_range, split_of
from envs.tasks.base.right_answer import Item, RightAnswerTask
from seqil import Trajectories, Vocabulary
from seqil.theory.closed_forms import NoisyExpert

from ..analysis.results import Results, estimate
from ..analysis.tables import interval
from ..hypotheses.over_controls import wins
from ..page.markup import Drawings, note, table
from ..running.records import Record
from ..study import Arm, Decoding, Place, Questions, Section, Study

RATE = 0.2
HORIZONS = (8, 16, 32, 64, 128)
_TEXTS, _PROMPT, _LONGEST = 1000, 10, 1024
_CELLS_PER_PLACE, _LONGER = 6e4, 4


class Lock(RightAnswerTask):
    """`0 1 1 0 … </s>`: one sequence of bits that opens the lock, the same after every prompt.

    - **Tokens**: 0, 1 and `eos` (id 2). **Prompt**: ten bits, which say nothing. **Text**: `horizon` bits, then `eos`.
    - **Why**: an error is for ever, and nothing that is written after it says what would have been right.
    - **Teacher**: the bit of the lock; after an error both alike. **First error**: the first bit that is another one.
    - **Success**: all bits, and `eos`.
    - **Items**: with `noise` above 0 demonstrations are those of the teacher with that noise (`experts.noisy`), most of
      them wrong. Judge and teacher stay as they are.

    Args:
        horizon: bits per text.
        noise: chance that a bit of a demonstration is tossed.
    """

    name = "lock"
    vocabulary = Vocabulary(size=3, eos=2)

    def __init__(self, horizon: int = 16, noise: float = 0.0) -> None:
        check_range(self.name, 1, _LONGEST, horizon=horizon)
        check_range(self.name, 0, 1, noise=noise)
        self.max_length = self.min_length = horizon
        self.noise, self.bits = noise, counters.below(2, self.name, "bits", shape=(_LONGEST,))[:horizon]

    def answer(self, prompt: Sequence[int]) -> list[int]:
        """The bits of the lock."""
        return [*self.bits.tolist(), self.vocabulary.eos]

    def chunk(self, seed: int, number: int) -> list[Item]:
        """A thousand prompts."""
        drawn = counters.below(2, self.name, "prompts", seed, number, shape=(1000, _PROMPT)).tolist()
        return [Item(prompt, split_of(self.name, "".join(map(str, prompt)))) for prompt in drawn]

    def demonstrations(self, n: int, split: str, seed: int) -> Trajectories:
        """The right bits, with noise, and coins from the first error on."""
        prompts = self.prompts(n, split, seed)
        words = counters.words(self.name, "noise", split, seed, shape=(n, self.max_length, 2))
        coin = (words[..., 0] % np.uint64(2)).astype(np.int64)
        tossed = (words[..., 1] >> np.uint64(11)) / 2.0**53 < self.noise
        wrong = (tossed & (coin != self.bits)).astype(np.int64)
        lost = wrong.cumsum(1) - wrong > 0
        text = np.where(tossed | lost, coin, self.bits)
        texts = np.column_stack([text, np.full(n, self.vocabulary.eos)]).tolist()
        limits = self.max_length, self.min_length
        return Trajectories.from_actions(self.vocabulary, prompts, texts, max_length=limits[0], min_length=limits[1])


GREEDY = Decoding("greedy", temperature=0.0)
_EXPERT = {"expert": "teacher", "expert_noise": RATE, "warm_up": 0.25}


def _told(name: str, settings: dict[str, Any], **options: Any) -> Arm:
    settings = {"agent": "dagger", "agent_options": {**_EXPERT, **options}, **settings}
    return Arm(name, settings, (GREEDY,), places=tuple(f"lock-{horizon}" for horizon in HORIZONS))


def _longer(arm: Arm) -> Arm:
    return replace(arm, places=(*arm.places, f"lock-64-{_LONGER}x"))


_OWN: dict[str, Any] = {"sampling_temperature": 0.0}  # sampled, it would leave the path as often as who taught it
_PLAIN = {"backspace": False}
OFFLINE = Arm("cloning", {"agent": "bc", **_PLAIN}, (GREEDY,))
ONLINE = _longer(_told("DAgger, greedy rollouts", {**_PLAIN, **_OWN}, share=0.0))
MIXED = _told("DAgger", _PLAIN)
ONCE = _told("DAgger, switched once", _PLAIN, switch="once")
DELETING = _told("DAgger with a backspace, greedy rollouts", _OWN, share=0.0)


def _place(horizon: int, noise: float, times: int = 1) -> Place:
    settings = {
        **{"task": Lock, "task_options": {"horizon": horizon, "noise": noise}, "learning_rate": 6e-3, "width": 32},
        **{"demonstrations": _TEXTS, "noise": "none"},
    }
    name = f"lock-{horizon}" + ("" if noise else "-clean") + (f"-{times}x" if times > 1 else "")
    return Place(
        name, settings, times * _CELLS_PER_PLACE * horizon, samples=400, error="a bit that the lock does not have there"
    )


NOISY = tuple(_place(horizon, RATE) for horizon in HORIZONS)
CLEAN = _place(HORIZONS[-1], 0.0)
LONGER = _place(64, RATE, _LONGER)


def _measured(runs: Sequence[Record]) -> str:
    found = estimate(runs, "success") if runs else None
    return "–" if found is None else interval(found)


def beside_the_closed_form(results: Results, drawings: Drawings) -> str:
    """Success, greedy, over the horizon, beside that of a table with as many texts; the latter needs no record."""
    known = NoisyExpert(RATE)
    names = [f"{arm.name}, {GREEDY.name}" for arm in (OFFLINE, ONLINE, MIXED, ONCE)]
    rows = [["bits", "a table, offline", "a table, online", *names]]
    for horizon, place in zip(HORIZONS, NOISY, strict=True):
        exact = [f"{way(_TEXTS, horizon):.4f}" for way in (known.offline, known.online)]
        runs = results.runs(place)
        rows.append([str(horizon), *exact, *(_measured(runs.get(name, [])) for name in names)])
    text = (
        f"Share of right texts. The expert tosses a coin for {100 * RATE:g} % of its bits, and after an error for all. "
        f"A table takes at each place the bit that it has seen more often: offline in {_TEXTS:,} texts of the expert, "
        f"of which few are still right at late places; online in {_TEXTS:,} labels of the expert at places that it has "
        "reached itself. These two are exact; the others are trained models, which share what they learn among places."
    )
    return note(text) + table(rows)


NOISY_EXPERT = Study(
    "noisy-expert",
    "What does online imitation of a noisy expert gain over the horizon?",
    (
        OFFLINE,
        ONLINE,
        MIXED,
        ONCE,
        DELETING,
    ),
    (*NOISY, CLEAN, LONGER),
    3,
    Questions(
        tuple(
            wins(
                f"{arm.name}, {GREEDY.name}",
                f"{OFFLINE.name}, {GREEDY.name}",
                "success",
                "the expert's own texts alone",
            )
            for arm in (ONLINE, MIXED, ONCE)
        ),
        "Written down after a look at 16 and 64 bits, one seed. At one horizon the control has the noise taken out; "
        "what is trained four times as long was added after the others, when one seed had shown a gain there.",
        (Section("noisy", "A noisy expert, in closed form", beside_the_closed_form),),
    ),
)
