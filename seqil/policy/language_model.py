"""The language model inside a policy: its layers, its head, and how it is read by positions and masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from tensordict.nn import TensorDictModuleBase
from torch import Tensor, nn

from ..errors import UnsupportedModelError
from ..mdp.memory import Memory
from ..mdp.vocabulary import Vocabulary
from ..models.adapters import bare
from ..models.precision import DType, autocast_dtype, computation_of, computed
from ..models.products import Affine, quick_products
from ..models.windows import Windows
from .activations import unchanged
from .cache import KeyCache
from .tried_term import TriedTerm
from .trunk import Trunk

if TYPE_CHECKING:
    from transformers import PreTrainedModel


_WIDE = torch.float32, torch.float64


class LanguageModel(TensorDictModuleBase):  # type: ignore[misc]  # tensordict is untyped
    """What `TokenPolicy` is made of.

    Attributes:
        model: the causal language model; adapters are modules of its layers.
        adapted: the `PeftModel` around it, in a tuple, or ().
        row: head row of the backspace, [D], where that of the model is frozen below adapters; else None.
        computation: dtype of autocast, or None.
        tried_term: what it has learned of tokens that were tried, under the memory `tried`; or None.
        counting: whether `step_values` and `step_log_probs` give zeros in place of reading anything, since the caller
            only counts steps; see `seqil.learning.accumulation`.
    """

    model: PreTrainedModel
    vocabulary: Vocabulary
    backspace: bool
    memory: Memory
    row: nn.Parameter | None
    tried_term: TriedTerm | None
    autoregressive = True
    counting = False

    def __setattr__(self, name: str, value: Any) -> None:
        """A model that is put in place of another may wear adapters; `forward` is not what training calls."""
        if name == "forward":
            raise UnsupportedModelError(
                "another forward of a policy changes nothing of its training, which does not call it; for mixed "
                "precision give it dtype='bfloat16', or prepare the loss: agent.loss = accelerator.prepare(agent.loss)"
            )
        if name != "model" or not isinstance(value, nn.Module):
            super().__setattr__(name, value)
            return
        model, adapted = bare(value)
        super().__setattr__("model", model)
        self.adapted = () if adapted is None else (adapted,)
        row = None
        if adapted is not None and self.backspace:
            table, V = self.weight.detach(), self.vocabulary.size
            held = table[V] if len(table) > V else table[:V].double().mean(0)
            row = nn.Parameter(held.float().clone())
        self.row = row

    def _adopt(
        self,
        model: nn.Module,
        vocabulary: Vocabulary,
        backspace: bool,
        memory: Memory | str,
        dtype: DType,
        tried_term: bool = False,
    ) -> None:
        self.vocabulary, self.backspace, self.memory = vocabulary, bool(backspace), Memory.of(memory)
        self.in_keys, self.out_keys = ["observation", "action_mask"], ["logits"]
        self.model, self.computation = model, computation_of(dtype)
        self.training = model.training
        self.tried_term = TriedTerm(self.weight.shape[1]).to(self.weight) if tried_term else None

    @property
    def fused(self) -> bool:
        """Whether the head is no more than its matrix."""
        return self.row is None and plain_linear(self.model.get_output_embeddings())

    @property
    def weight(self) -> Tensor:
        """Head matrix [at least V, D]; row i belongs to action i. With a `row`, that is the backspace."""
        weight: Tensor = self.model.get_output_embeddings().weight
        return weight

    @property
    def bias(self) -> Tensor | None:
        """Head bias [at least V], or None."""
        return getattr(self.model.get_output_embeddings(), "bias", None)

    @property
    def device(self) -> torch.device:
        """Of the head."""
        return self.weight.device

    @property
    def mask_dtype(self) -> torch.dtype:
        """Of additive masks: that in which attention is computed."""
        return self.computation or autocast_dtype(self.device) or self.weight.dtype

    @property
    def max_positions(self) -> int | None:
        """Most cells of a prefix that the model can hold; None if it has no such limit."""
        config = self.model.config.get_text_config()
        said = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
        return said if said and said > 0 else None  # XLNet says -1

    @property
    def trunk(self) -> Trunk:
        """The layers below the head, as trees are read by them."""
        checkpointed = any(getattr(module, "gradient_checkpointing", False) for module in self.model.modules())
        layers = self.model.config.get_text_config().num_hidden_layers
        return Trunk(self.hidden, self.mask_dtype, layers, cached=not checkpointed)

    @computed
    def hidden(self, tokens: Tensor, positions: Tensor, mask: Tensor, cache: KeyCache | None = None) -> Tensor:
        """Last hidden states of the trunk: [B, N, D].

        Args:
            tokens: int64 [B, N]; empty cells may hold `vocabulary.size`, which is the backspace where it is fed.
            positions: int64 [B, N].
            mask: additive [B, 1, N, keys] in `mask_dtype`.
            cache: write and read keys there, else see only these tokens.
        """
        ids = torch.where(tokens == self.vocabulary.size, 0, tokens) if self.memory.rewinds else tokens
        with quick_products(tokens.numel(), self.weight.shape[1]):
            out = self.model.base_model(
                input_ids=ids,
                position_ids=positions,
                attention_mask=self._windowed(mask, positions, cache),
                past_key_values=cache,
                use_cache=cache is not None,
            )
        hidden: Tensor = out.last_hidden_state
        return hidden

    def _windowed(self, mask: Tensor, positions: Tensor, cache: KeyCache | None) -> Tensor | dict[str, Tensor]:
        windows = Windows.of(self.model)
        if windows is None:
            return mask
        return windows.masks(mask, positions, positions if cache is None else cache.key_positions(positions))

    @computed
    def head(self, hidden: Tensor) -> Tensor:
        """Logits of all actions, [..., D] -> [..., A], float32 at least; -inf for a backspace that the policy lacks."""
        head, V = self.model.get_output_embeddings(), self.vocabulary.size
        n = V + (self.backspace and self.row is None)
        if plain_linear(head):
            weight, bias = head.weight, head.bias
            if n < weight.shape[0]:
                weight, bias = weight[:n], None if bias is None else bias[:n]
            logits = nn.functional.linear(hidden, weight, bias)
        else:
            logits = head(hidden)[..., :n]
        if self.row is not None:
            logits = torch.cat([logits, (hidden.to(self.row.dtype) @ self.row)[..., None].to(logits.dtype)], -1)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return logits if self.backspace else nn.functional.pad(logits, (0, 1), value=-torch.inf)

    def steady_head(self, rows: int = 1) -> Callable[[Tensor], Tensor]:
        """`head` of so many rows at most in a loop in which the model does not change, inside `computing`: nothing is
        looked up again.
        """
        if getattr(self.head, "__func__", None) is not LanguageModel.head or not self.fused:
            return self.head
        n = self.vocabulary.size + self.backspace
        product = Affine(self.weight[:n], None if self.bias is None else self.bias[:n], rows)

        def steady(hidden: Tensor) -> Tensor:
            logits = product(hidden)
            if logits.dtype not in _WIDE:
                logits = logits.float()
            return logits if self.backspace else nn.functional.pad(logits, (0, 1), value=-torch.inf)

        return steady

    @computed
    def _logits(self, cells: Tensor, length: Tensor, shift: Tensor | None = None) -> Tensor:
        """Of the last of each row's cells, by a plain forward: [B, A], `shift` [B, D] added to its hidden state."""
        real = torch.arange(cells.shape[1], device=cells.device) < length[:, None]
        ids = torch.where(real, cells, 0)
        width = int(length.max())
        out = self.model.base_model(
            input_ids=ids[:, :width], attention_mask=real[:, :width].long(), use_cache=False
        ).last_hidden_state
        hidden = out[torch.arange(len(cells), device=cells.device), length - 1]
        return self.head(hidden if shift is None else hidden + shift)

    @computed
    def logits_of(self, hidden: Tensor, actions: Tensor) -> Tensor:
        """Some columns of `head`: hidden [n, D], int64 [n, K] -> [n, K]; -inf for ids beyond the actions, too."""
        last = self.vocabulary.size + self.backspace - 1
        if not self.fused:
            logits = self.head(hidden).gather(1, actions.clamp(max=last))
            return logits.masked_fill_(actions > last, -torch.inf)
        there, bias = actions.clamp(max=last), self.bias
        logits = (self.weight[there] @ hidden[:, :, None])[..., 0]
        if bias is not None:
            logits = logits + bias[there]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return logits.masked_fill_(actions > last, -torch.inf)


def plain_linear(head: nn.Module) -> bool:
    """Whether it is a linear layer without adapters, hooks or other changes."""
    return type(head) is nn.Linear and unchanged(head)
