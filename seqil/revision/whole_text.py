"""What policies of whole texts have in common: a masked language model, its cells, its files."""

from __future__ import annotations

import copy
import inspect
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..durable import naming, read_tensors
from ..errors import CheckpointError, InvalidInputError, UnsupportedModelError, counted, first_line
from ..errors.arguments import typed
from ..mdp.memory import PREFIX
from ..mdp.prefix import Prefixes, Prompts
from ..mdp.rendering import revised
from ..mdp.task import Task
from ..mdp.trajectory import Trajectories
from ..mdp.vocabulary import Vocabulary
from ..models.head_rows import name_of
from ..models.products import quick_products
from ..models.silence import silently
from ..policy.given.descriptions import json_object
from ..policy.saved import seals
from ..policy.saved.files import load_model
from ..randomness import seeded

_HEADS = "heads.safetensors"


@dataclass(frozen=True, eq=False)
class Written:
    """Texts that were drawn, and what that took.

    Attributes:
        trajectories: the final texts, without what was taken back on the way; a row that did not stop is not ended.
        forwards: int64 [B], cells that were fed to the model, the prompt's among them.
        drafts: per row, the tokens that were edited first; cells behind the end may hold `eos`.
        revisions: per row, what was done to it in order: (kind, place, token) of single edits, see `seqil.mdp.edits`.
    """

    trajectories: Trajectories
    forwards: Tensor
    drafts: list[list[int]]
    revisions: list[list[tuple[int, int, int]]]

    def told(self, row: int) -> list[tuple[int, bool]]:
        """Every token that ever stood, where it stood, and whether it was taken away: `rendering.written` of edits."""
        *_, last = self.course(row)
        return last

    def course(self, row: int) -> Iterator[list[tuple[int, bool]]]:
        """The same at first, and after each edit."""
        eos, draft = self.trajectories.vocabulary.eos, [(token, False) for token in self.drafts[row]]
        for tokens in accumulate(self.revisions[row], lambda before, edit: revised(before, *edit), initial=draft):
            yield [(token, gone) for token, gone in tokens if token != eos]


class WholeTextPolicy(nn.Module):
    """A masked language model that is fed a whole text, prompt and all, and says something of every cell.

    The input table has a row for a mask, of id `vocabulary.size`; a model of no more rows than tokens gains it.

    Args:
        model: any Hugging Face masked language model; it is copied.
        vocabulary: the ids.
        mask: the token of the model's own whose row the mask begins with; None: the mean of the rows of tokens.

    Raises:
        UnsupportedModelError: not a masked language model that takes embeddings and an attention mask.
        InvalidInputError: fewer rows than tokens, or a mask that is no row.
    """

    kind: ClassVar[str]
    autoregressive = False
    backspace = False
    memory = PREFIX
    counting = False

    @typed
    def __init__(self, model: nn.Module, vocabulary: Vocabulary, *, mask: int | None = None) -> None:
        super().__init__()
        config = getattr(model, "config", None)
        if config is None or not hasattr(model, "get_output_embeddings") or getattr(config, "is_decoder", False):
            raise UnsupportedModelError(f"{name_of(model)} is no Hugging Face masked LM; pass a …ForMaskedLM")
        self.vocabulary = Vocabulary.of(vocabulary)
        self.model: Any = copy.deepcopy(model)
        self._give_mask(mask)
        self._prove()

    @classmethod
    def room(cls, cells: int, **options: Any) -> int:
        """Cells that are fed behind a prompt for a text of so many, with these options of the constructor."""
        return cells

    @property
    def weight(self) -> Tensor:
        """The input table, [more than V, D]."""
        table: Tensor = self.model.get_input_embeddings().weight
        return table

    @property
    def device(self) -> torch.device:
        """Of the weights."""
        return self.weight.device

    @property
    def max_positions(self) -> int | None:
        """Most cells that the model can be fed; None if it has no such limit."""
        said: int | None = getattr(self.model.config, "max_position_embeddings", None)
        if said is None:
            return None
        named = ((name.rpartition(".")[2], module) for name, module in self.model.named_modules())
        padded = [m.padding_idx for name, m in named if name == "position_embeddings" and isinstance(m, nn.Embedding)]
        return said if not padded or padded[0] is None else said - padded[0] - 1  # RoBERTa's begin behind padding

    def check_positions(self, cells: int) -> None:
        """Refuse more cells than the model has positions."""
        if self.max_positions is not None and cells > self.max_positions:
            raise InvalidInputError(
                f"prompt and text take {counted(cells, 'position')}, {name_of(self.model)} has {self.max_positions}; "
                "shorten the prompt or max_length"
            )

    def positions(self, trajectories: Trajectories) -> int:
        """Cells that one reading of all rows feeds."""
        return int((trajectories.prompt_lengths + trajectories.lengths).sum())

    @abstractmethod
    def write(
        self,
        prompts: Prompts,
        *,
        max_length: int,
        min_length: int = 0,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Written:
        """Draw a text for each prompt, the way that this policy is meant to be drawn from.

        Args:
            prompts: B id lists, or int64 [B, P] right-padded with `vocabulary.size`.
            max_length, min_length: as for `seqil.start`.
            generator: on the CPU; None: a fixed key, so that equal calls write equal texts. torch's own is untouched.
            temperature: of what is drawn; 0: the likeliest.

        Raises:
            InvalidInputError: prompts, limits or a generator that are none, or more cells than the model has positions.
        """

    def manner(self, task: Task) -> dict[str, Any]:
        """Arguments of `write` beside those that all policies take, from values that a file can hold.

        Args:
            task: that texts are written for.
        """
        return {}

    def read(self, cells: Tensor, inside: Tensor, shift: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What the model says of cells: last hidden states [B, C, D] and the logits of its own head, [B, C, V].

        Args:
            cells: int64 [B, C], tokens or the mask; those outside are not read.
            inside: bool [B, C], with a cell at least in each row.
            shift: [B, 1, D], added to every embedded cell.
        """
        self.check_positions(cells.shape[1])
        embedded = self.model.get_input_embeddings()(torch.where(inside, cells, 0))
        with quick_products(cells.numel(), self.weight.shape[1]):
            out = self.model(
                inputs_embeds=embedded if shift is None else embedded + shift,
                attention_mask=inside.long(),
                output_hidden_states=True,
            )
        logits = out.logits[..., : self.vocabulary.size]
        return out.hidden_states[-1], logits.to(torch.promote_types(logits.dtype, torch.float32))

    @typed
    def save_pretrained(self, folder: str | Path, tokenizer: Any = None) -> None:
        """Write a Hugging Face checkpoint of the masked model, the heads beside it, and `seqil.json`.

        Raises:
            InvalidInputError: what is no name of a folder.
            UnwrittenError: the folder cannot be written, by name.
        """
        if not str(folder):
            raise InvalidInputError("save_pretrained: the name of the folder is empty; '.' is the working directory")
        with naming(Path(folder), "free some space, or choose another folder"):
            self._save(Path(folder), tokenizer)

    def _save(self, folder: Path, tokenizer: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)  # transformers only logs that it cannot
        with silently():
            self.model.save_pretrained(folder)
        heads = {name: value.detach().cpu().contiguous() for name, value in self._heads().items()}
        if heads:
            save_file(heads, folder / _HEADS)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
        seals.write_sealed(folder, {"vocabulary": self.vocabulary.to_json(), "kind": self.kind, **self._settings()})

    @classmethod
    @typed
    def from_pretrained(
        cls, folder: str | Path, vocabulary: Vocabulary | None = None, *, verify: bool = True
    ) -> WholeTextPolicy:
        """Load what `save_pretrained` of the same class wrote.

        Raises:
            CheckpointError: nothing of the kind is there, it is damaged, or was saved with another vocabulary.
        """
        path = Path(folder) / seals.SETTINGS
        if not path.exists():
            raise CheckpointError(f"{path} is missing; {folder} was not written by {cls.__name__}")
        said = json_object(path)
        try:
            saved, kind = Vocabulary.of(said["vocabulary"]), said["kind"]
        except (ValueError, KeyError, TypeError, InvalidInputError) as error:
            raise CheckpointError(f"{path} is damaged or of another kind ({first_line(error)}); restore it") from None
        if kind != cls.kind:
            raise CheckpointError(f"{folder} holds a policy of kind {kind!r}; {cls.__name__} reads {cls.kind!r}")
        if vocabulary is not None and vocabulary != saved:
            raise CheckpointError(f"{folder} was saved with {saved}, not with {vocabulary}; use its own vocabulary")
        if verify:
            seals.check(Path(folder), said)
        own = {key: value for key, value in said.items() if key not in ("vocabulary", "kind", "sha256", "bytes")}
        if strange := own.keys() - inspect.signature(cls).parameters.keys():
            raise CheckpointError(f"{path} is damaged: a {cls.__name__} has no {sorted(strange)[0]!r}; restore it")
        heads = _read_heads(Path(folder) / _HEADS)
        policy = cls(load_model(folder, masked=True), saved, **own)
        policy._take_heads(Path(folder), heads)
        return policy

    def _settings(self) -> dict[str, Any]:
        """Arguments of the constructor that are no weights."""
        return {}

    def _heads(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.state_dict().items() if not name.startswith("model.")}

    def _take_heads(self, folder: Path, found: dict[str, Tensor]) -> None:
        own = {name: tuple(value.shape) for name, value in self._heads().items()}
        shapes = {name: tuple(value.shape) for name, value in found.items()}
        if shapes != own:
            raise CheckpointError(f"{folder / _HEADS} holds {shapes or 'nothing'}, not {own}; restore it")
        self.load_state_dict(found, strict=False)

    def _give_mask(self, mask: int | None) -> None:
        V, rows = self.vocabulary.size, len(self.weight)
        if rows < V:
            raise InvalidInputError(f"{name_of(self.model)} has {rows} rows, too few for {self.vocabulary}")
        if mask is not None and not 0 <= mask < rows:
            raise InvalidInputError(f"mask={mask} is no row of {name_of(self.model)}; it has {rows}")
        if rows == V:
            with seeded(0):
                self.model.resize_token_embeddings(V + 1, mean_resizing=False)
        if rows == V or mask is not None:
            with torch.no_grad():
                self.weight[V] = self.weight[:V].mean(0) if mask is None else self.weight[mask]

    @torch.no_grad()
    def _prove(self) -> None:
        """Small forwards, with and without padding, and with another last token."""
        with torch.autocast(self.device.type, enabled=False):
            self._read_small_texts()

    def _read_small_texts(self) -> None:
        cells = torch.tensor([[0, self.vocabulary.size, 0]], device=self.device)
        other = torch.tensor([[0, self.vocabulary.size, 1]], device=self.device)
        whole = torch.ones(1, 3, dtype=torch.bool, device=self.device)
        mode = self.training
        self.eval()
        try:
            short = self.read(cells[:, :2], torch.ones(1, 2, dtype=torch.bool, device=self.device))[1]
            inside = torch.tensor([[True, True, False]], device=self.device)
            padded = self.read(cells, inside)[1][:, :2]
            first, changed = (self.read(x, whole)[1][:, 0] for x in (cells, other))
        except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
            raise UnsupportedModelError(
                f"{name_of(self.model)} does not take embeddings and an attention mask "
                f"({type(error).__name__}: {first_line(error)}); use a masked LM that does, BERT say"
            ) from None
        finally:
            self.train(mode)
        tolerance = 1e-3 if self.weight.dtype in (torch.float32, torch.float64) else 5e-2
        if not torch.allclose(short, padded, rtol=tolerance, atol=tolerance * float(short.abs().max() + 1)):
            raise UnsupportedModelError(f"{name_of(self.model)} reads its padding: it ignores the attention mask")
        if torch.equal(first, changed):
            raise UnsupportedModelError(f"{name_of(self.model)} sees nothing behind a cell: it is causal, no masked LM")


def _read_heads(file: Path) -> dict[str, Tensor]:
    """What stands in the file, nothing where there is none."""
    return read_tensors(file) if file.exists() else {}


def open_texts(trajectories: Trajectories) -> Prefixes:
    """Final texts as states that can still be revised: without `eos`."""
    final, v = trajectories.replay(), trajectories.vocabulary
    length = final.length - final.ended.long()
    cells = torch.arange(final.tokens.shape[1], device=length.device)
    tokens = torch.where(cells < length[:, None], final.tokens, v.size)
    return replace(final, tokens=tokens, length=length, ended=torch.zeros_like(final.ended))


def ended_trajectories(prefixes: Prefixes, vocabulary: Vocabulary, prompts: Tensor) -> Trajectories:
    """Texts that stand, as trajectories that wrote them without a deletion."""
    p = prefixes
    return Trajectories.from_actions(vocabulary, prompts, p.texts(), max_length=p.max_length, min_length=p.min_length)
