"""What a study is made of: arms, places, ways to sample, and what it asks of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from seqil.errors import InvalidInputError


@dataclass(frozen=True)
class Decoding:
    """One way to sample from a trained model.

    Attributes:
        name: for tables, put after the arm's.
        rules: of `seqil.decoding`, in order, as the command line writes them (a cell travels between processes).
        best_of: samples per prompt, of which the one with the largest mean log-probability is kept.
        temperature: of the softmax.
        detector: probability of a deletion by a planted detector of errors, which replaces the model's own; 0: none.
            For tasks with a judge.
        candidates: sets of rules put before `rules`, of which the one with the most success on validation items is
            taken, model by model; for tasks with a success.
        verifier: what ranks the samples of `best_of` instead, of `seqil.selection.RANKINGS`, or the task's `attribute`.
        writing: how a policy of whole texts writes, options of its `manner` by name.
        places: names of those that it is for; empty: all of the arm's.
    """

    name: str = ""
    rules: tuple[str, ...] = ()
    best_of: int = 1
    temperature: float = 1.0
    detector: float = 0.0
    candidates: tuple[tuple[str, ...], ...] = ()
    verifier: str = "likelihood"
    writing: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[str, ...] = ()

    @property
    def decisive(self) -> dict[str, Any]:
        """What decides the sample; an option that came later counts where it is used, so that older keys stay."""
        later = {"temperature": 1.0, "detector": 0.0, "candidates": (), "verifier": "likelihood", "writing": {}}
        own = {name: value for name, value in asdict(self).items() if name != "places"}
        return {name: value for name, value in own.items() if name not in later or value != later[name]}


WARM_START = Decoding("its warm start")
"""The plain sample of a model that has only cloned so far."""


@dataclass(frozen=True)
class Arm:
    """One trained model of the comparison.

    Attributes:
        name: for tables.
        settings: of `seqil.Settings` by flat names; an agent by its id, by its file as `my_agent.py:Mine`, or the class
            itself.
        decodings: how the model is sampled beside plainly; each is a row of its own and costs no training.
        stages: how often the model is measured while it learns, at equal distances from the end of its warm-up on; the
            first of them is a row of its own.
        places: names of those that it is for; empty: all.
        share: of the place's budget that it spends, with its schedule laid out for that.
    """

    name: str
    settings: dict[str, Any]
    decodings: tuple[Decoding, ...] = ()
    stages: int = 0
    places: tuple[str, ...] = ()
    share: float = 1.0

    def ways(self, place: Place) -> list[Decoding]:
        """The decodings that are for a place."""
        return [how for how in self.decodings if not how.places or place.name in how.places]

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the plain sample and of the other ones."""
        return (self.name, *(f"{self.name}, {other}" for other in self.others))

    @property
    def others(self) -> tuple[str, ...]:
        """What is measured beside the plain sample of the trained model."""
        return (*(decoding.name for decoding in self.decodings), *[WARM_START.name] * (self.stages > 0))


@dataclass(frozen=True)
class Place:
    """One task of the comparison.

    Attributes:
        name: of the task.
        settings: of `seqil.Settings` by flat names, common to all arms; a task as an agent in those of an `Arm`.
        budget: cost of training in forward positions (a trained position counts three), the same for all arms.
        samples: evaluation texts per seed; fewer where the test split has fewer.
        error: what an error is here, for captions.
        max_actions: of one evaluation text; None: the task's own budget.
        horizons: lengths at which the trained model is sampled once more, beside that of its training; for tasks with
            the option `horizon`. What is longer than the training texts is extrapolation.
        horizon_samples: texts at each of them.
        budgets: of actions per text, at each of which success is read off one long sample.
        split: of the prompts and texts that are measured on; `valid` where settings are chosen.
        realizable: whether the student can express the task's law.
        metrics: names of those of `running.asked_metrics` that are measured beside the ones of every place.
        pilot: updates of the short run that tells how many the budget pays for.
        needs: a file or folder without which nothing can be run, and what makes it; None: nothing of the kind.
    """

    name: str
    settings: dict[str, Any]
    budget: float
    samples: int
    error: str = "what the task's judge says is one"
    max_actions: int | None = None
    horizons: tuple[int, ...] = ()
    horizon_samples: int = 200
    budgets: tuple[int, ...] = ()
    split: str = "test"
    realizable: bool = True
    metrics: tuple[str, ...] = ()
    pilot: int = 40
    needs: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.name.isprintable() or {*self.name} & {*"/\\"} or self.name[0] == ".":
            raise InvalidInputError(f"place {self.name!r}: pictures are called so; leave out slashes and the like")


@dataclass(frozen=True)
class Hypothesis:
    """A statement that records decide.

    Attributes:
        statement: in a sentence.
        needs: the records that it takes, in words.
        claims: `(results, place)`, an `analysis.results.Results` and a `Place` -> what it comes to there, a list of
            `hypotheses.claims.Claim`; empty where nothing decides it.
    """

    statement: str
    needs: str
    claims: Callable[[Any, Place], list[Any]]


@dataclass(frozen=True)
class Section:
    """One part of a page.

    Attributes:
        anchor: in the address.
        title: its heading.
        body: `(results, drawings)`, a `Results` and SVG by name of the figure -> HTML, empty where there is nothing.
        figures: those that it needs beside the page's own, by name; each makes a figure of matplotlib.
    """

    anchor: str
    title: str
    body: Callable[[Any, dict[str, str]], str]
    figures: Mapping[str, Callable[[], Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Questions:
    """What a study asks beside "which arm is better", which every page answers.

    Attributes:
        hypotheses: judged from its records.
        remark: how they came about, a sentence or two above them.
        sections: further parts of its page.
    """

    hypotheses: tuple[Hypothesis, ...] = ()
    remark: str = ""
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True)
class Highlight:
    """A row of the main figure, which may bear other names on other tasks.

    Attributes:
        name: in the figure.
        rows: of the study; they look the same.
    """

    name: str
    rows: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """Every arm on every place with every seed.

    Attributes:
        name: on the command line.
        question: title of the page.
        arms: the first is what the others are compared with.
        places: the tasks.
        seeds: runs per arm and place.
        questions: its own; no other study's page shows them.
        highlights: the rows that the figure of success against actions spent is of; empty: all.
    """

    name: str
    question: str
    arms: tuple[Arm, ...]
    places: tuple[Place, ...]
    seeds: int
    questions: Questions = Questions()
    highlights: tuple[Highlight, ...] = ()

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of all arms and their decodings."""
        return tuple(row for arm in self.arms for row in arm.rows)

    @property
    def decodings(self) -> dict[str, Decoding]:
        """By the name of their row."""
        return {row: how for arm in self.arms for row, how in zip(arm.rows[1:], arm.decodings, strict=False)}

    def scaled(self, share: float) -> Study:
        """The same at a share of the budget."""
        return replace(self, places=tuple(replace(place, budget=share * place.budget) for place in self.places))
