"""A policy that says all cells of a text at once (Query-CTC, arXiv 2403.02249; NAR-EM, 2006.16378; by abstract)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss, pad
from torch.nn.utils import skip_init

from ..errors import InvalidInputError
from ..errors.arguments import on_one_line, typed
from ..errors.asked import key_generator
from ..mdp.prefix import Prefixes, Prompts, check_states, pad_prompts, start
from ..mdp.trajectory import Trajectories
from ..mdp.vocabulary import Vocabulary
from ..models.modes import evaluating
from .canvases import canvas, laid, only_legal, put
from .resampling import sampled
from .whole_text import WholeTextPolicy, Written, ended_trajectories

_NEVER = -1e4  # nats: a gradient of `ctc_loss` at an infinity is NaN


class ParallelPolicy(WholeTextPolicy):
    """`prod_i q_i(a_i | prompt)`: the cells of a text, each on its own, by one reading of the prompt and of queries.

    The queries are masks behind the prompt, as many as the W cells of a text (see `MaskedPolicy`) and `queries` times
    that. With one per cell each says its own token, up to `eos`. With more of them repeats are collapsed and blanks are
    dropped (connectionist temporal classification, Graves et al. 2006), and there is no `eos`: a text that is shorter
    than `min_length` then, or longer than `max_length`, is unfinished.

    Args:
        model: any Hugging Face masked language model; it is copied.
        vocabulary: the ids.
        queries: per cell of the text; 1, or at least 2, so that every text fits with its blanks.
        mask: of `WholeTextPolicy`.
    """

    kind = "parallel"

    @typed
    def __init__(self, model: nn.Module, vocabulary: Vocabulary, *, queries: int = 1, mask: int | None = None) -> None:
        _check(queries)
        super().__init__(model, vocabulary, mask=mask)
        self.queries = queries
        self.blank = skip_init(nn.Linear, self.weight.shape[1], 1).to(self.weight)
        nn.init.zeros_(self.blank.weight)
        nn.init.zeros_(self.blank.bias)

    @classmethod
    def room(cls, cells: int, **options: Any) -> int:
        """Queries for so many cells."""
        queries = options.get("queries", 1)
        _check(queries)
        return int(queries * cells)

    @property
    def collapses(self) -> bool:
        """Whether repeats are collapsed and blanks dropped."""
        return self.queries > 1

    def law(self, prefixes: Prefixes) -> Tensor:
        """Log-probabilities of each query's token, given the prompt alone: float [B, Q, V + 1], the last the blank.

        Raises:
            InvalidInputError: no states, or states of another vocabulary.
        """
        check_states("law", self.vocabulary, prefixes)
        p, v = prefixes, self.vocabulary
        at = p.prompt_length[:, None] + torch.arange(self.queries * canvas(p), device=p.length.device)
        width = int(at.max()) + 1
        cells = pad(p.tokens, (0, max(0, width - p.tokens.shape[1])), value=v.size)[:, :width]
        place = torch.arange(width, device=at.device)
        hidden, logits = self.read(
            torch.where(place < p.prompt_length[:, None], cells, v.size), place <= at[:, -1, None]
        )
        rows = torch.arange(len(cells), device=at.device)[:, None]
        own, blank = logits[rows, at], self.blank(hidden[rows, at]).to(logits.dtype)
        if not self.collapses:
            return torch.cat([only_legal(v, p, own), blank.fill_(-torch.inf)], -1).log_softmax(-1)
        eos = torch.arange(v.size, device=at.device) == v.eos
        return torch.cat([own.masked_fill(eos, -torch.inf), blank], -1).log_softmax(-1)

    def log_prob(self, texts: Prefixes, law: Tensor | None = None) -> Tensor:
        """Log-probability of ended texts, all that is drawn and read as one summed up: float [B].

        Args:
            texts: B of them.
            law: of their prompts, as `law` gives it; None: it is read.

        Raises:
            InvalidInputError: no states, (but on CUDA) texts that have not ended, or the law of other prompts.
        """
        check_states("log_prob", self.vocabulary, texts)
        if not texts.ended.is_cuda and not bool(texts.ended.all()):
            row = int((~texts.ended).nonzero()[0])
            raise InvalidInputError(f"log_prob: text {row} has not ended; end it by eos first")
        law = self.law(texts) if law is None else law
        shape = (len(texts), self.queries * canvas(texts), self.vocabulary.size + 1)
        if not isinstance(law, Tensor) or law.shape != shape:
            got = tuple(law.shape) if isinstance(law, Tensor) else on_one_line(law, 60)
            raise InvalidInputError(f"log_prob: the law is float {list(shape)}, as law(texts) gives it; got {got}")
        cells = laid(self.vocabulary, texts, canvas(texts))
        if self.collapses:
            return -ctc_loss(
                law.clamp(min=_NEVER).transpose(0, 1),
                cells,
                torch.full((len(cells),), law.shape[1], device=law.device),
                texts.generated - 1,
                blank=self.vocabulary.size,
                reduction="none",
            )
        written = torch.arange(cells.shape[1], device=cells.device) < texts.generated[:, None]
        return torch.where(written, law.gather(2, cells[..., None])[..., 0].clamp(min=_NEVER), 0).sum(1)

    def positions(self, trajectories: Trajectories) -> int:
        """Prompts and their queries."""
        t = trajectories
        W = canvas(start(t.vocabulary, t.prompts[:1], t.max_length, t.min_length))
        return int(t.prompt_lengths.sum()) + len(t) * self.queries * W

    @typed
    @torch.no_grad()
    def write(
        self,
        prompts: Prompts,
        *,
        max_length: int,
        min_length: int = 0,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Written:
        """Draw all cells at once."""
        v, generator = self.vocabulary, key_generator("write", generator)
        cells, _ = pad_prompts(v, prompts)
        self.check_positions(cells.shape[1] + self.queries * max_length)
        empty = start(v, cells, max_length, min_length).to(self.device)
        with evaluating(self):
            law = self.law(empty)
        drawn = sampled(law, generator, temperature)
        fed = (empty.prompt_length + law.shape[1]).cpu()
        if not self.collapses:
            texts = ended_trajectories(put(v, empty, drawn).to("cpu"), v, cells.cpu())
        else:
            texts = _finished(v, cells.cpu(), collapsed(drawn, v.size), max_length, min_length)
        drafts = texts.replay().texts()
        return Written(texts, fed, drafts, [[] for _ in drafts])

    def _settings(self) -> dict[str, Any]:
        return {"queries": self.queries}


def collapsed(drawn: Tensor, blank: int) -> list[list[int]]:
    """What is read of draws [B, Q]: repeats as one, then without blanks."""
    before = pad(drawn[:, :-1], (1, 0), value=blank)
    kept = (drawn != blank) & (drawn != before)
    return [row[k].tolist() for row, k in zip(drawn, kept, strict=True)]


def _finished(v: Vocabulary, prompts: Tensor, texts: list[list[int]], most: int, least: int) -> Trajectories:
    """Texts, ended where they have a legal length, cut where they are too long."""
    actions = [text[:most] + [v.eos] * (least <= len(text) <= most) for text in texts]
    return Trajectories.from_actions(v, prompts, actions, max_length=most, min_length=least)


def _check(queries: int) -> None:
    if not isinstance(queries, int) or queries < 1:
        raise InvalidInputError(f"queries={queries!r} is no number of queries per cell; give 1, or 2 for collapsing")
