"""A Hugging Face causal language model as a policy over tokens and backspace; its logits are soft Q-values."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor, nn

from .activations import fuse_gelu
from .cache import SlotCache, additive
from .errors import CheckpointError, InvalidInputError, NonFiniteError, UnsupportedModelError, first_line
from .prefix import Prefixes, legal_actions
from .shared_prompts import SharedPrompts
from .trajectory import Trajectories
from .tree import PrefixTree, pack
from .values import StepValues, step_values
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SETTINGS = "seqil.json"


class TokenPolicy(TensorDictModuleBase):
    """`pi(a|s) = softmax l(a|s)` over the legal actions, with `l` the logits of a causal language model.

    Head row `vocabulary.size` is the backspace. The head gains that row if it has none; it starts as the mean of the
    token rows, so that a pretrained model is barely disturbed: `pi(backspace) <= 1 / (V + 1)` where every action is
    legal (where few are, as at `max_length`, its share is larger). Rows beyond it (of a padded head) are ignored. The
    backspace is only ever an action: it is never fed to the model.

    The policy starts in the mode of the model, training or evaluation.

    As a TensorDictModule it reads `observation` (int64 [B, C] cells, empty = V) and `action_mask` (bool [B, A])
    and writes `logits` (float32 [B, A], illegal actions at -inf), which TorchRL's `MaskedCategorical` and
    `ProbabilisticActor` take as they are.

    Args:
        model: any Hugging Face causal LM; it is copied, not modified.
        vocabulary: the ids.
        backspace: whether the policy may delete.

    Raises:
        UnsupportedModelError: a model whose state cannot be rewound (sliding window, linear attention, state space,
            rotary frequencies that follow the length), which a prefix tree does not describe, or which scales or caps
            the logits of its head (checked by small forwards).
        InvalidInputError: a head smaller than the vocabulary.
        NonFiniteError: a model whose logits are NaN or infinite.
    """

    model: PreTrainedModel

    def __init__(self, model: nn.Module, vocabulary: Vocabulary, backspace: bool = True) -> None:
        super().__init__()
        _refuse_stateful(model)
        self.vocabulary = Vocabulary.of(vocabulary)
        self.backspace = bool(backspace)
        self.in_keys, self.out_keys = ["observation", "action_mask"], ["logits"]
        self.model = copy.deepcopy(model)
        fuse_gelu(self.model)
        self.training = model.training
        if self._head_rows() < self.vocabulary.size:
            raise InvalidInputError(
                f"the head of {_name(model)} has {self._head_rows()} rows, the vocabulary {self.vocabulary.size} "
                "tokens; resize_token_embeddings, or give the vocabulary of this model"
            )
        if self.backspace:
            self._add_backspace_row()
        with evaluating(self.model):
            _refuse_unlike_tree(self)
            _refuse_reshaped_logits(self)

    # -- the model ---------------------------------------------------------------------------------

    @property
    def weight(self) -> Tensor:
        """Head matrix [at least A, D]; row i belongs to action i."""
        return self.model.get_output_embeddings().weight

    @property
    def bias(self) -> Tensor | None:
        """Head bias [at least A], or None."""
        return getattr(self.model.get_output_embeddings(), "bias", None)

    @property
    def max_positions(self) -> int | None:
        """Most cells of a prefix that the model can hold; None if it has no such limit."""
        config = self.model.config.get_text_config()
        return getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)

    def hidden(self, tokens: Tensor, positions: Tensor, mask: Tensor, cache: SlotCache | None = None) -> Tensor:
        """Last hidden states of the trunk: [B, N, D].

        Args:
            tokens: int64 [B, N]; empty cells may hold `vocabulary.size`.
            positions: int64 [B, N].
            mask: additive [B, 1, N, keys] in the dtype of the model.
            cache: write and read keys there, else see only these tokens.
        """
        ids = torch.where(tokens == self.vocabulary.size, 0, tokens)
        out = self.model.base_model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return out.last_hidden_state

    def head(self, hidden: Tensor) -> Tensor:
        """Logits of all actions, [..., D] -> [..., A], float32 at least; -inf for a backspace that the policy lacks."""
        head, n = self.model.get_output_embeddings(), self.vocabulary.size + self.backspace
        weight, bias = head.weight, getattr(head, "bias", None)
        if n < weight.shape[0]:
            weight, bias = weight[:n], None if bias is None else bias[:n]
        logits = nn.functional.linear(hidden, weight, bias)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return logits if self.backspace else nn.functional.pad(logits, (0, 1), value=-torch.inf)

    def logits_of(self, hidden: Tensor, actions: Tensor) -> Tensor:
        """Some columns of `head`: hidden [n, D], int64 [n, K] -> [n, K]; -inf for ids beyond the actions, too."""
        last = self.vocabulary.size + self.backspace - 1
        there, bias = actions.clamp(max=last), self.bias
        logits = (self.weight[there] @ hidden[:, :, None])[..., 0]
        if bias is not None:
            logits = logits + bias[there]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return logits.masked_fill_(actions > last, -torch.inf)

    # -- what it says of states and trajectories ---------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write `logits`, with illegal actions at -inf. Leading batch dimensions may be any."""
        cells, legal = (tensordict[key] for key in self.in_keys)
        flat = cells.reshape(-1, cells.shape[-1])
        logits = self._logits(flat, (flat != self.vocabulary.size).sum(-1))
        legal = nn.functional.pad(legal.bool(), (0, self.vocabulary.num_actions - legal.shape[-1]), value=False)
        logits = logits.reshape(*cells.shape[:-1], -1).masked_fill(~legal, -torch.inf)
        return tensordict.set(self.out_keys[0], logits)

    def log_probs(self, prefixes: Prefixes) -> Tensor:
        """Log-probabilities of all actions at any states: float [B, A], illegal ones -inf.

        The slow way, one plain forward over each prefix: the reference that trees and caches are tested against.
        """
        self.check_positions(int(prefixes.length.max()))
        legal = legal_actions(self.vocabulary, prefixes, self.backspace)
        logits = self._logits(prefixes.tokens, prefixes.length)
        return logits.masked_fill(~legal, -torch.inf).log_softmax(-1)

    def step_values(
        self, trajectories: Trajectories, *, actions: Tensor | None = None, backspace: bool | None = None
    ) -> StepValues:
        """q, V and V of the next state for every step of trajectories, by one forward over their prefix tree.

        Long prompts that several rows begin with are fed once, see `SharedPrompts.where_worthwhile`.

        Args:
            trajectories: over the vocabulary of the policy.
            actions: int64 [B, T] or [B, T, K], legal actions whose q is wanted; None: the labels of the trajectories,
                or, where they have none, the actions that were taken.
            backspace: whether `V` counts the deletion; None: if the policy has one. False gives the likelihood of
                tokens, given that none is deleted.
        """
        counted = self.backspace if backspace is None else backspace and self.backspace
        actions = trajectories.labels if actions is None else actions
        trajectories.check_vocabulary(self.vocabulary)
        if not counted and bool((trajectories.inside & (trajectories.actions == self.vocabulary.backspace)).any()):
            raise InvalidInputError("the trajectories contain backspaces, which this policy is not to take")
        tree, hidden = self._tree_and_hidden(trajectories)
        return step_values(hidden, self.weight, self.bias, tree, trajectories, counted, actions)

    def step_log_probs(self, trajectories: Trajectories) -> Tensor:
        """Log-probabilities of all actions at the state before each step: [B, T, A], illegal ones -inf.

        For losses that compare whole laws; where a few actions suffice, `step_values` needs far less memory. Cells
        beyond the end of a row hold the law of its last state.
        """
        t = trajectories
        tree, hidden = self._tree_and_hidden(t)
        rows = torch.arange(len(t), device=hidden.device)[:, None]
        logits = self.head(hidden[rows, tree.node_at[:, :-1]])
        legal = t.legal_actions(self.backspace)
        return logits.masked_fill(~legal, -torch.inf).log_softmax(-1)

    def positions(self, trajectories: Trajectories) -> int:
        """Cells that `step_values` and `step_log_probs` feed: the prefix trees, a prompt that is shared once."""
        shared = self._shared(trajectories)
        if shared is None:
            return trajectories.positions
        return int(shared.lengths.sum() + trajectories.pushes.sum())

    def tree_hidden(self, tree: PrefixTree) -> Tensor:
        """Last hidden state of every node, prompts of each row included: [B, N, D]."""
        self.check_positions(int(tree.depth.max()) + 1)
        mask = additive(tree.visible(), self.weight.dtype)[:, None]
        return self.hidden(tree.tokens, tree.depth, mask)

    def check_positions(self, cells: int) -> None:
        """Refuse a prefix of more cells than the model has positions."""
        if self.max_positions is not None and cells > self.max_positions:
            raise InvalidInputError(
                f"prompt and text take {cells} positions, {_name(self.model)} has {self.max_positions}; "
                "shorten the prompt or max_length"
            )

    # -- files -------------------------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path) -> None:
        """Write an ordinary Hugging Face checkpoint (safetensors) and `seqil.json` beside it."""
        folder = Path(folder)
        self.model.save_pretrained(folder)
        settings = {"vocabulary": self.vocabulary.to_json(), "backspace": self.backspace}
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path, vocabulary: Vocabulary | None = None) -> TokenPolicy:
        """Load what `save_pretrained` wrote; `vocabulary`, if given, must be the one it was saved with.

        A folder without `seqil.json` is a plain language model: load it with transformers and pass it to TokenPolicy.
        """
        path = Path(folder) / SETTINGS
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            saved, backspace = Vocabulary.of(settings["vocabulary"]), bool(settings["backspace"])
        except FileNotFoundError:
            raise CheckpointError(
                f"{path} is missing; {folder} was not written by TokenPolicy.save_pretrained"
            ) from None
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, InvalidInputError) as error:
            raise CheckpointError(f"{path} is damaged ({error}); restore it or save the policy again") from None
        if vocabulary is not None and vocabulary != saved:
            raise CheckpointError(f"{folder} was saved with {saved}, not with {vocabulary}; use its own vocabulary")
        model = load_model(folder)
        fuse_gelu(model)
        policy = cls.__new__(cls)
        TensorDictModuleBase.__init__(policy)
        policy.vocabulary, policy.backspace, policy.model = saved, backspace, model
        policy.training = model.training
        policy.in_keys, policy.out_keys = ["observation", "action_mask"], ["logits"]
        if policy._head_rows() < (saved.num_actions if backspace else saved.size):
            raise CheckpointError(f"{folder}: the head has {policy._head_rows()} rows, too few for {saved}")
        return policy

    # -- construction ------------------------------------------------------------------------------

    def _tree_and_hidden(self, trajectories: Trajectories) -> tuple[PrefixTree, Tensor]:
        tree, shared = pack(self.vocabulary, trajectories), self._shared(trajectories)
        return tree, self.tree_hidden(tree) if shared is None else shared.hidden(self, tree)

    def _shared(self, trajectories: Trajectories) -> SharedPrompts | None:
        shared = SharedPrompts.where_worthwhile(trajectories)
        # Layers that are checkpointed refuse a cache.
        if shared and any(getattr(module, "gradient_checkpointing", False) for module in self.model.modules()):
            return None
        return shared

    def _logits(self, cells: Tensor, length: Tensor) -> Tensor:
        real = torch.arange(cells.shape[1], device=cells.device) < length[:, None]
        ids = torch.where(real, cells, 0)
        width = int(length.max())
        out = self.model.base_model(
            input_ids=ids[:, :width], attention_mask=real[:, :width].long(), use_cache=False
        ).last_hidden_state
        return self.head(out[torch.arange(len(cells), device=cells.device), length - 1])

    def _head_rows(self) -> int:
        head = self.model.get_output_embeddings()
        if not isinstance(head, nn.Linear):
            raise UnsupportedModelError(
                f"{_name(self.model)} has no linear output head; pass a causal LM (…ForCausalLM)"
            )
        return head.weight.shape[0]

    @torch.no_grad()
    def _add_backspace_row(self) -> None:
        V = self.vocabulary.size
        if self._head_rows() == V:
            with torch.random.fork_rng(devices=_cuda_devices(self.weight)):
                self.model.resize_token_embeddings(V + 1, mean_resizing=False)
        tables = [self.weight, self.model.get_input_embeddings().weight]
        if self.bias is not None:
            tables.append(self.bias)
        for table in tables:
            if len(table) > V:
                table[V] = table[:V].to(torch.float64).mean(0).to(table.dtype)


@contextmanager
def evaluating(policy: nn.Module) -> Iterator[None]:
    """Without dropout; afterwards every module is in the mode that it was in."""
    modes = {module: module.training for module in policy.modules()} if isinstance(policy, nn.Module) else {}
    for module in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def load_model(folder: str | Path) -> PreTrainedModel:
    """The Hugging Face causal LM of a local folder; safetensors only, nothing is unpickled, downloaded or run.

    Raises:
        CheckpointError: no such folder, no model in it, a damaged one, or one that brings its own code.
    """
    from transformers import AutoModelForCausalLM

    if not (Path(folder) / "config.json").exists():
        raise CheckpointError(f"model {str(folder)!r} is not a folder with a Hugging Face model (no config.json)")
    try:
        return AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except Exception as error:  # whatever a file may hold breaks transformers anywhere
        raise CheckpointError(f"model {str(folder)!r} cannot be loaded: {first_line(error)}") from None


def _name(model: nn.Module) -> str:
    return f"{type(model).__name__} ({getattr(getattr(model, 'config', None), 'model_type', 'unknown type')})"


def _cuda_devices(tensor: Tensor) -> list[torch.device]:
    return [tensor.device] if tensor.device.type == "cuda" else []


def _refuse_stateful(model: Any) -> None:
    """A backspace rewinds by position: refuse by name what carries a state that is not indexed by position."""
    if not hasattr(model, "config") or not hasattr(model, "get_output_embeddings"):
        raise UnsupportedModelError(f"{type(model).__name__} is not a Hugging Face causal LM; pass a …ForCausalLM")
    config = model.config.get_text_config()
    layers: Sequence[str] = getattr(config, "layer_types", None) or getattr(config, "attention_layers", None) or ()
    other = sorted({str(kind) for kind in layers} - {"full_attention", "global"})
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    ropes = sorted(rope for rope in _rope_types(model) if rope == "longrope" or "dynamic" in rope)
    reason = (
        "it is an encoder-decoder" if getattr(config, "is_encoder_decoder", False)
        else f"its layers are of type {', '.join(other)}" if other
        else f"it attends to a sliding window of {window}" if window and not layers
        else f"its rotary frequencies ({', '.join(ropes)}) follow the length of the batch" if ropes
        else "its state is recurrent" if getattr(model, "_is_stateful", False)
        else None
    )  # fmt: skip
    if reason:
        raise UnsupportedModelError(
            f"{_name(model)} cannot be rewound by a backspace: {reason}; use a model with full causal attention"
        )


def _rope_types(model: nn.Module) -> set[str]:
    """Kinds of the rotary embeddings, which have one, or one per type of layer."""
    found: set[str] = set()
    for module in model.modules():
        kind = getattr(module, "rope_type", ())
        found |= {kind} if isinstance(kind, str) else set(dict(kind).values())
    return found


@torch.no_grad()
def _refuse_unlike_tree(policy: TokenPolicy) -> None:
    """Compare a small tree, read through mask and positions, with plain forwards of the whole model."""
    v, model, device = policy.vocabulary, policy.model, policy.weight.device
    a, b, c = ((v.eos + k) % v.size for k in (1, 2, 3))
    a, b, c = (x if x != v.eos else (x + 1) % v.size for x in (a, b, c))
    walk = [a, b, v.backspace, c, v.backspace, v.backspace, c]  # ends at the prefix [a, c]
    tree = pack(
        v, Trajectories.from_actions(v, torch.tensor([[a]], device=device), torch.tensor([walk], device=device))
    )
    try:
        hidden = policy.hidden(tree.tokens, tree.depth, additive(tree.visible(), policy.weight.dtype)[:, None])
        ours = policy.head(hidden[0, tree.node_at[0, -1]])[: v.size]
        theirs = model(input_ids=torch.tensor([[a, c]], device=device), use_cache=False).logits[0, -1, : v.size]
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise UnsupportedModelError(
            f"{_name(model)} does not take position ids and a 4D attention mask "
            f"({type(error).__name__}: {first_line(error)}); use a model that does, GPT-2 or Llama say"
        ) from None
    if not theirs.isfinite().all():
        raise NonFiniteError(f"the logits of {_name(model)} are not finite; its weights are damaged: load sound ones")
    tolerance = 1e-3 if policy.weight.dtype in (torch.float32, torch.float64) else 5e-2
    if not torch.allclose(ours, theirs.to(ours.dtype), rtol=tolerance, atol=tolerance * float(theirs.abs().max() + 1)):
        raise UnsupportedModelError(
            f"{_name(model)} gives other logits when its prefixes are packed into a tree (off by "
            f"{float((ours - theirs).abs().max()):.2g}): it scales its logits, or ignores position ids or the mask"
        )


@torch.no_grad()
def _refuse_reshaped_logits(policy: TokenPolicy) -> None:
    """Put known logits in the place of the head's and see whether the model hands them on as they are."""
    head = policy.model.get_output_embeddings()
    known = torch.linspace(-100, 100, len(policy.weight), dtype=policy.weight.dtype, device=policy.weight.device)
    hook = head.register_forward_hook(lambda module, inputs, output: known.expand_as(output))
    try:
        found = policy.model(input_ids=torch.tensor([[0]], device=known.device), use_cache=False).logits[0, -1]
    finally:
        hook.remove()
    if not torch.allclose(found.double(), known.double(), rtol=1e-3):
        raise UnsupportedModelError(
            f"{_name(policy.model)} scales or caps the logits of its head, which a policy would not; "
            "use a model that hands them on as they are, GPT-2 or Llama say"
        )
