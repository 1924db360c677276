"""A masked language model as a policy: cells drawn given the rest (GMLM, arXiv 2407.21046; PRISM, 2510.01384)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from ..errors import InvalidInputError
from ..errors.arguments import typed
from ..errors.asked import key_generator, mask_of
from ..mdp.prefix import Prefixes, Prompts, check_shown, pad_prompts, start
from ..mdp.task import Task
from ..mdp.vocabulary import Vocabulary
from ..models.modes import evaluating
from .canvases import canvas, laid, only_legal
from .resampling import Order, filled, resample
from .whole_text import WholeTextPolicy, Written, ended_trajectories

SWEEPS = 2
"""How often a text is drawn anew that was written without options."""


class MaskedPolicy(WholeTextPolicy):
    """`p(x_i | x_-S)` for the cells of a set S: one reading of the text with S masked.

    A text is laid out on W cells behind its prompt: `max_length` of them where all texts have that length, else one
    more, and cells behind `eos` hold `eos`. `eos` is illegal before `min_length` cells.

    Args:
        model: any Hugging Face masked language model; it is copied.
        vocabulary: the ids.
        quality: whether it has a head that says of every cell of a whole text how likely it is to be right (PRISM).
        mask: of `WholeTextPolicy`.
    """

    kind = "masked"

    @typed
    def __init__(
        self, model: nn.Module, vocabulary: Vocabulary, *, quality: bool = False, mask: int | None = None
    ) -> None:
        super().__init__(model, vocabulary, mask=mask)
        self.quality_head: nn.Linear | None = None
        if quality:
            self.quality_head = skip_init(nn.Linear, self.weight.shape[1], 1).to(self.weight)
            nn.init.zeros_(self.quality_head.weight)
            nn.init.zeros_(self.quality_head.bias)

    def conditionals(self, prefixes: Prefixes, masked: Tensor) -> Tensor:
        """Log-probabilities of every cell's token, given all cells that are not masked: float [B, W, V].

        Args:
            prefixes: texts; what lies beyond one that has not ended must be masked.
            masked: bool [B, W], the set S; of a cell outside it the row says what stood there if it were fed: nothing
                that is of use.

        Raises:
            InvalidInputError: no states, tokens of another vocabulary, or a mask of another kind or shape.
        """
        check_shown("conditionals", self.vocabulary, prefixes)
        masked = mask_of("conditionals", masked, len(prefixes), canvas(prefixes))
        cells, at, inside = self._laid_out(prefixes)
        rows = torch.arange(len(cells), device=cells.device)[:, None]
        fed = cells.clone()
        fed[rows, at] = torch.where(masked, self.vocabulary.size, cells[rows, at])
        _, logits = self.read(fed, inside)
        return only_legal(self.vocabulary, prefixes, logits[rows, at]).log_softmax(-1)

    def quality(self, prefixes: Prefixes) -> Tensor:
        """Logits of each cell's being right, given the whole text: float [B, W].

        Raises:
            InvalidInputError: a policy that was made without `quality`.
        """
        if self.quality_head is None:
            raise InvalidInputError("this policy has no head for quality; make it, and the agent, with quality=True")
        check_shown("quality", self.vocabulary, prefixes)
        cells, at, inside = self._laid_out(prefixes)
        hidden, logits = self.read(cells, inside)
        rows = torch.arange(len(cells), device=cells.device)[:, None]
        found: Tensor = self.quality_head(hidden)[..., 0].to(logits.dtype)[rows, at]
        return found

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
        block: int = 1,
        sweeps: int = SWEEPS,
        order: Order | None = None,
        at_once: int = 1,
    ) -> Written:
        """Fill an empty text, `at_once` cells of a reading and the surest first, then resample it in blocks.

        With as many cells at once as there are the text begins with a draw in one shot; without sweeps it is
        mask-predict that never goes back.
        """
        v, generator = self.vocabulary, key_generator("write", generator)
        cells, _ = pad_prompts(v, prompts)
        self.check_positions(cells.shape[1] + max_length)
        empty = start(v, cells, max_length, min_length).to(self.device)
        chosen: Order = order if order is not None else ("random" if self.quality_head is None else "quality")
        with evaluating(self):
            begun, fed = filled(self, empty, generator, temperature, at_once)
            found = resample(self, begun, block, sweeps, chosen, generator=generator, temperature=temperature)
            drafts = laid(v, begun, canvas(begun)).tolist()
        texts = ended_trajectories(found.prefixes.to("cpu"), v, cells.cpu())
        return Written(texts, (fed + found.forwards).cpu(), drafts, found.revisions)

    @typed
    def manner(
        self, task: Task, *, block: int = 1, sweeps: int = SWEEPS, order: str | None = None, at_once: int = 1
    ) -> dict[str, Any]:
        """Blocks, sweeps, their order, and the cells that are kept of one reading while the text is filled."""
        return {"block": block, "sweeps": sweeps, "order": order, "at_once": at_once}

    def _settings(self) -> dict[str, Any]:
        return {"quality": self.quality_head is not None}

    def _laid_out(self, prefixes: Prefixes) -> tuple[Tensor, Tensor, Tensor]:
        """Cells [B, C], where those behind the prompt are [B, W], and which of them are inside [B, C]."""
        p, v, W = prefixes, self.vocabulary, canvas(prefixes)
        at = p.prompt_length[:, None] + torch.arange(W, device=p.length.device)
        width = int(p.prompt_length.max()) + W
        cells = nn.functional.pad(p.tokens, (0, max(0, width - p.tokens.shape[1])), value=v.size)[:, :width]
        place = torch.arange(width, device=p.length.device)
        beyond = (place >= p.length[:, None]) & p.ended[:, None]
        return torch.where(beyond, v.eos, cells), at, place < p.prompt_length[:, None] + W
