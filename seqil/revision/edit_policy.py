"""A policy of edits over any masked language model (ICE, Padmakumar et al., arXiv 2303.04562)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from ..errors import InvalidInputError
from ..errors.arguments import check_fields, check_function, check_temperature, on_one_line, typed
from ..errors.asked import key_generator, scores_of, tags_of
from ..errors.limits import check_lengths
from ..mdp.edits import KINDS, Edits, begin_with, legal_edits, revise
from ..mdp.prefix import Prefixes, Prompts, check_states, pad_prompts
from ..mdp.task import Task
from ..mdp.vocabulary import Vocabulary
from ..models.modes import evaluating
from .draws import with_repetition
from .whole_text import WholeTextPolicy, Written, ended_trajectories

Scorer = Callable[[Prefixes], Tensor]
"""K states -> a number of each text that is to be raised: float [K]. One that feeds a model has `forwards`, too, as a
rule has: lengths of texts -> the cells that it feeds for each."""
TAGS = ("raise", "lower")
_LEARNED = "learned"


@dataclass(frozen=True)
class Guide:
    """How single edits are chosen.

    Attributes:
        steps: edits per text.
        candidates: edits drawn at each step, of which the best by `scorer` is made; 1: the drawn one.
        scorer: exact or learned (`EditPolicy.worth`); None: the likeliest of the drawn ones.
        stay: whether a text stays as it is, and goes on, where the scorer finds no candidate better.

    Raises:
        InvalidInputError: what are no such numbers, or no function of states.
    """

    steps: int = 20
    candidates: int = 1
    scorer: Scorer | None = None
    stay: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.scorer is not None:
            check_function("Guide", "scorer", self.scorer, "prefixes")
        if self.stay and self.scorer is None:
            raise InvalidInputError("Guide: stay=True asks whether an edit is better; give a scorer, the task's say")
        if self.steps < 0 or self.candidates < 1:
            raise InvalidInputError(f"{self.steps} steps of {self.candidates} candidates; give 0 or more of at least 1")


def scorer(task: Task) -> Scorer:
    """The task's own attribute.

    Raises:
        InvalidInputError: it has none.
    """
    if type(task).attribute is Task.attribute:
        raise InvalidInputError(
            f"the task {task.name!r} has no attribute to be raised; use potentials, or one's own task"
        )

    def attribute(prefixes: Prefixes) -> Tensor:
        found = task.attribute(prefixes)
        assert found is not None
        return found

    return attribute


class EditPolicy(WholeTextPolicy):
    """`pi(e|x)` over the legal edits of `seqil.Edits`, by one reading of the text.

    Logits of a substitution are the model's own at its cell; inserts, deletions and `stop` are linear heads: a deletion
    on the state of its cell, an insert on that of the cell before it, `stop` on that of the last cell of the prompt.

    Args:
        encoder: any Hugging Face masked language model; it is copied.
        vocabulary: the ids.
        kinds: of edits.
        worth: whether it has a head that estimates an attribute of a text, a sum over its cells.
        mask: of `WholeTextPolicy`.
    """

    kind = "edits"

    @typed
    def __init__(
        self,
        encoder: nn.Module,
        vocabulary: Vocabulary,
        *,
        kinds: Sequence[str] = KINDS,
        worth: bool = False,
        mask: int | None = None,
    ) -> None:
        super().__init__(encoder, vocabulary, mask=mask)
        self.kinds = Edits(self.vocabulary, 1, cast(Any, kinds)).kinds
        width = self.weight.shape[1]
        self.heads = skip_init(nn.Linear, width, self.vocabulary.size + 2).to(self.weight)  # inserts, a deletion, stop
        self.tags = skip_init(nn.Embedding, len(TAGS), width).to(self.weight)
        nn.init.zeros_(self.heads.weight)
        nn.init.zeros_(self.heads.bias)
        nn.init.zeros_(self.tags.weight)
        self.worth_head: nn.Linear | None = None
        if worth:
            self.worth_head = skip_init(nn.Linear, width, 1).to(self.weight)
            nn.init.zeros_(self.worth_head.weight)
            nn.init.zeros_(self.worth_head.bias)

    def edits(self, max_length: int, min_length: int = 0) -> Edits:
        """The alphabet of texts of this length; where all have one length, of substitutions alone, if it has them."""
        fixed = min_length == max_length and "substitute" in self.kinds
        return Edits(self.vocabulary, max_length, ("substitute",) if fixed else self.kinds)

    def log_probs(self, prefixes: Prefixes, tags: Tensor | None = None) -> Tensor:
        """Log-probabilities of all edits: float [B, A], illegal ones -inf.

        Args:
            prefixes: texts that are being revised.
            tags: int64 [B], places in `TAGS`; None: `raise`.

        Raises:
            InvalidInputError: no states, states of another vocabulary, or tags that are none.
        """
        check_states("log_probs", self.vocabulary, prefixes)
        p, edits = prefixes, self.edits(prefixes.max_length, prefixes.min_length)
        width = int(p.length.max())
        inside = torch.arange(width, device=p.length.device) < p.length[:, None]
        tags = tags_of("log_probs", tags, p.length, TAGS)
        hidden, own = self.read(p.tokens[:, :width], inside, self.tags(tags)[:, None])
        heads = self.heads(hidden).to(own.dtype)
        W, V = edits.max_length, self.vocabulary.size
        place = p.prompt_length[:, None] + torch.arange(W, device=p.length.device)
        rows = torch.arange(len(p), device=place.device)[:, None]
        here, before = (at.clamp(max=width - 1) for at in (place, place - 1))
        blocks = (heads[rows, before, :V].flatten(1), heads[rows, here, V], own[rows, here].flatten(1),
                  heads[rows[:, 0], p.prompt_length - 1, V + 1][:, None])  # fmt: skip
        return torch.cat(blocks, 1).masked_fill(~legal_edits(edits, p), -torch.inf).log_softmax(-1)

    def worth(self, prefixes: Prefixes) -> Tensor:
        """An estimate of the attribute that `ICE(worth=True)` has learned: float [B], a sum over the cells of the text.

        A sum goes on beyond what was shown, as the attribute of a text does that has more of what raises it.

        Raises:
            InvalidInputError: no states, states of another vocabulary, or a policy that was made without `worth`.
        """
        check_states("worth", self.vocabulary, prefixes)
        if self.worth_head is None:
            raise InvalidInputError("this policy has no head for worth; make it, and the agent, with worth=True")
        p = prefixes
        ends = (p.length - p.ended.long())[:, None]  # it has learned of texts that have not stopped
        place = torch.arange(int(ends.max()), device=ends.device)
        hidden, logits = self.read(p.tokens[:, : len(place)], place < ends)
        text = (place >= p.prompt_length[:, None]) & (place < ends)
        found: Tensor = torch.where(text, self.worth_head(hidden)[..., 0].to(logits.dtype), 0).sum(1)
        return found

    @typed
    @torch.no_grad()
    def improve(
        self,
        prefixes: Prefixes,
        guide: Guide,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        stop: bool = True,
    ) -> tuple[Prefixes, Tensor, list[list[tuple[int, int, int]]]]:
        """Edit texts step by step.

        Args:
            prefixes: where to begin.
            guide: how.
            generator: on the CPU; None: a fixed key.
            temperature: of the softmax; 0: the likeliest edit, and with several candidates the likeliest of them all.
            stop: whether a text may stop of itself.

        Returns:
            The texts, as they stand; cells that were fed, int64 [B]; the edits of each row, in order.

        Raises:
            InvalidInputError: no states or guide, states of another vocabulary, more candidates than edits, or what a
                scorer returned that are no numbers.
        """
        check_temperature(temperature)
        check_states("improve", self.vocabulary, prefixes)
        if not isinstance(guide, Guide):
            raise InvalidInputError(
                f"improve: guide={on_one_line(guide, 60)} is not a Guide; give Guide(steps=20), say"
            )
        generator = key_generator("improve", generator)
        edits, states = self.edits(prefixes.max_length, prefixes.min_length), prefixes
        if guide.candidates > edits.num_actions:
            raise InvalidInputError(
                f"candidates={guide.candidates:,}: a text has {edits.num_actions:,} edits; give as many at most"
            )
        forwards = torch.zeros_like(states.length)
        done: list[list[tuple[int, int, int]]] = [[] for _ in range(len(states))]
        with evaluating(self):
            for _ in range(guide.steps):
                running = ~states.ended
                if not bool(running.any()):
                    break
                laws = self.log_probs(states)
                if not stop:
                    laws = self._going_on(laws)
                chosen, better, fed = self._chosen(states, laws, guide, generator, temperature)
                forwards += torch.where(running, states.length + fed, 0)
                for row, kind, place, token in _parts(edits, chosen, running & better):
                    done[row].append((kind, place, token))
                states = _where(better, revise(edits, states, torch.where(running, chosen, edits.stop)), states)
        return states, forwards, done

    @typed
    def write(
        self,
        prompts: Prompts,
        *,
        max_length: int,
        min_length: int = 0,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        guide: Guide | None = None,
    ) -> Written:
        """Begin with tokens at random, of any legal length, edit them, and stop."""
        v, generator = self.vocabulary, key_generator("write", generator)
        check_lengths(max_length, min_length)
        cells, _ = pad_prompts(v, prompts)
        self.check_positions(cells.shape[1] + max_length)
        guide = Guide() if guide is None else guide
        lengths = torch.randint(min_length, max_length + 1, (len(cells),), generator=generator).tolist()
        drawn = (torch.randint(v.size - 1, (n,), generator=generator).tolist() for n in lengths)
        texts = [[token + (token >= v.eos) for token in row] for row in drawn]
        begun = begin_with(v, cells.cpu(), texts, max_length, min_length).to(self.device)
        states, forwards, done = self.improve(begun, guide, generator, temperature)
        edits = self.edits(max_length, min_length)
        stopped = revise(edits, states, torch.full_like(states.length, edits.stop))
        return Written(ended_trajectories(stopped.to("cpu"), v, cells.cpu()), forwards.cpu(), texts, done)

    @typed
    def manner(
        self,
        task: Task,
        *,
        steps: int = 20,
        candidates: int = 1,
        attribute: bool | str = False,
        stay: bool = False,
    ) -> dict[str, Any]:
        """Edits per text and candidates of each, of which the task's `attribute` may choose, or the one `learned`."""
        if attribute not in (True, False, _LEARNED):
            raise InvalidInputError(f"attribute={attribute!r} must be true, the task's own, false, or {_LEARNED!r}")
        chooses = self._learned_scorer() if attribute == _LEARNED else scorer(task) if attribute else None
        return {"guide": Guide(steps, candidates, chooses, stay)}

    def _settings(self) -> dict[str, Any]:
        return {"kinds": list(self.kinds), "worth": self.worth_head is not None}

    def _learned_scorer(self) -> Scorer:
        if self.worth_head is None:
            raise InvalidInputError(
                f"attribute={_LEARNED!r}: this policy has learned none; train it with --agent-option worth=true"
            )
        return Worth(self)

    def _going_on(self, laws: Tensor) -> Tensor:
        """Without `stop`, where something else is legal."""
        others = (laws[:, :-1] > -torch.inf).any(1)
        return torch.cat([laws[:, :-1], laws[:, -1:].masked_fill(others[:, None], -torch.inf)], 1)

    def _chosen(
        self, states: Prefixes, laws: Tensor, guide: Guide, generator: torch.Generator, temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One edit per row, int64 [B]; whether it is made, bool [B]; the cells that choosing it has fed, int64 [B]."""
        made, free = torch.ones_like(states.ended), torch.zeros_like(states.length)
        k = guide.candidates
        if temperature == 0:
            drawn = laws.topk(k).indices
        else:
            drawn = with_repetition((laws / temperature).softmax(-1).cpu(), k, generator).to(laws.device)
        if k == 1 and not guide.stay:
            return drawn[:, 0], made, free
        if guide.scorer is None:
            return drawn.gather(1, laws.gather(1, drawn).argmax(1, keepdim=True))[:, 0], made, free
        rows = torch.arange(len(states), device=drawn.device).repeat_interleave(k)
        edits = self.edits(states.max_length, states.min_length)
        after = revise(edits, states.select(rows), drawn.flatten())
        scores = scores_of(guide.scorer(after), len(after)).double().reshape(-1, k).to(drawn.device)
        scores = scores.masked_fill(laws.gather(1, drawn) == -torch.inf, -torch.inf)  # fewer edits than candidates
        if guide.stay:  # to stop changes nothing: what a model estimates of it differs by rounding alone
            scores = scores.masked_fill(drawn == edits.stop, -torch.inf)
        best = scores.max(1)
        feeds = getattr(guide.scorer, "forwards", torch.zeros_like)
        fed = feeds(after.length).reshape(-1, k).sum(1)
        if guide.stay:
            made = best.values > scores_of(guide.scorer(states), len(states)).to(drawn.device)
            fed = fed + feeds(states.length)
        return drawn.gather(1, best.indices[:, None])[:, 0], made, fed


@dataclass(frozen=True)
class Worth:
    """The attribute as a policy has learned it: a scorer that feeds each text to its model.

    Attributes:
        policy: that was made, and trained, with `worth`.
    """

    policy: EditPolicy

    def __call__(self, prefixes: Prefixes) -> Tensor:
        """Of K states: float [K]."""
        return self.policy.worth(prefixes)

    def forwards(self, lengths: Tensor) -> Tensor:
        """All cells of each text."""
        return lengths


def _where(which: Tensor, one: Prefixes, other: Prefixes) -> Prefixes:
    """Some rows of the one, the rest of the other."""
    tokens = torch.where(which[:, None], one.tokens, other.tokens)
    length, ended = (torch.where(which, getattr(one, x), getattr(other, x)) for x in ("length", "ended"))
    return replace(one, tokens=tokens, length=length, ended=ended)


def _parts(edits: Edits, actions: Tensor, running: Tensor) -> list[tuple[int, int, int, int]]:
    """Row, kind, place and token of the edits of the rows that run."""
    parts = zip(*(part.tolist() for part in edits.split(actions)), running.tolist(), strict=True)
    return [(row, kind, place, token) for row, (kind, place, token, on) in enumerate(parts) if on]
