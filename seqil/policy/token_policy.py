"""A Hugging Face causal language model as a policy over tokens and backspace; its logits are soft Q-values."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor, nn

from ..durable import naming
from ..errors import CheckpointError, InvalidInputError, UnsupportedModelError, counted
from ..errors.arguments import typed
from ..mdp.bans import Bans, legal_along
from ..mdp.memory import PREFIX, Memory
from ..mdp.prefix import Prefixes, legal_actions
from ..mdp.trajectory import Trajectories
from ..mdp.tree import PrefixTree, pack
from ..mdp.vocabulary import Vocabulary
from ..models.adapters import MERGED, bare
from ..models.head_rows import MEMORY, Choice, behind_tokens, give_backspace, name_of, refuse_foreign_rows, rows_of
from ..models.modes import evaluating
from ..models.precision import DType, computed, uncast
from .activations import fuse_gelu
from .language_model import LanguageModel
from .over_trajectories import positions, tree_and_hidden, tree_hidden
from .refusals import refuse_no_model, refuse_other_logits, refuse_stateful, refusing
from .saved.files import Saved
from .values import StepValues, asked_of, step_values


class TokenPolicy(LanguageModel):
    """`pi(a|s) = softmax l(a|s)` over the legal actions, with `l` the logits of a causal language model.

    Head row `vocabulary.size` is the backspace. The head gains that row if it has none; it starts as the mean of the
    token rows, so that a pretrained model is barely disturbed: `pi(backspace) <= 1 / (V + 1)` where every action is
    legal (where few are, as at `max_length`, its share is larger). A row that the model's config marks as the backspace
    is kept as it is; of one that is there unmarked `backspace_row` says. Rows beyond it are ignored. The
    backspace is only ever an action: it is never fed to the model, but under the memory `history`, where the model
    reads every action in order, at positions that are time.

    Of a model with adapters of `peft` the adapters are trained, and a head row of the backspace beside the frozen head.
    The policy starts in the mode of the model, training or evaluation.

    As a TensorDictModule it reads `observation` (int64 [B, C] cells, empty = V) and `action_mask` (bool [B, A])
    and writes `logits` (float32 [B, A], illegal actions at -inf), which TorchRL's `MaskedCategorical` and
    `ProbabilisticActor` take as they are.

    Args:
        model: any Hugging Face causal LM; it is copied, not modified.
        vocabulary: the ids.
        backspace: whether the policy may delete.
        memory: what its state holds beside the text that stands, see `seqil.mdp.memory`: `prefix`, `tried` or
            `history`.
        backspace_row: "keep" or "mean", for a head with more rows than tokens: whether the one behind the tokens was
            trained as a backspace, or is padding and becomes their mean.
        dtype: of computation, float32 or bfloat16; the latter by autocast. None: that of the weights.
        tried_term: whether the memory `tried` has a learned part, too: a `TriedTerm`.

    Raises:
        UnsupportedModelError: a model whose state cannot be rewound (linear attention, state space,
            rotary frequencies that follow the length), which a prefix tree does not describe, or which scales or caps
            the logits of its head (checked by small forwards).
        InvalidInputError: a head with fewer rows than the vocabulary has tokens, with far more, or with a row behind
            them of which nobody says what it is.
        NonFiniteError: a model whose logits are NaN or infinite.
    """

    @typed
    def __init__(
        self,
        model: nn.Module,
        vocabulary: Vocabulary,
        backspace: bool = True,
        memory: Memory | str = PREFIX,
        *,
        backspace_row: Choice = None,
        dtype: DType = None,
        tried_term: bool = False,
    ) -> None:
        super().__init__()
        refuse_no_model(model)
        refuse_stateful(bare(model)[0])
        self._adopt(copy.deepcopy(model), Vocabulary.of(vocabulary), backspace, memory, dtype, tried_term)
        fuse_gelu(self.model)
        self._prove(backspace_row)

    @classmethod
    @typed
    def wrap(
        cls,
        model: nn.Module,
        vocabulary: Vocabulary,
        backspace: bool = True,
        memory: Memory | str = PREFIX,
        *,
        backspace_row: Choice = None,
        dtype: DType = None,
        tried_term: bool = False,
    ) -> TokenPolicy:
        """As the constructor, of a model that the caller owns: neither copied nor reset, but for a row of its head."""
        refuse_no_model(model)
        refuse_stateful(bare(model)[0])
        policy = cls.__new__(cls)
        TensorDictModuleBase.__init__(policy)
        policy._adopt(model, Vocabulary.of(vocabulary), backspace, memory, dtype, tried_term)
        policy._prove(backspace_row)
        return policy

    def merged(self) -> TokenPolicy:
        """A copy whose adapters have become part of its weights; of a policy without adapters, a copy."""
        if not self.adapted:
            return copy.deepcopy(self)
        model = copy.deepcopy(self.adapted[0]).merge_and_unload().requires_grad_(True)
        setattr(model, MERGED, True)
        if self.row is not None:
            choice: Choice = "mean" if rows_of(model) > self.vocabulary.size else None
            give_backspace(model, self.vocabulary.size, choice, self.row.detach())
        found = TokenPolicy.wrap(
            *(model, self.vocabulary, self.backspace, self.memory),
            dtype=self.computation,
            tried_term=self.tried_term is not None,
        )
        found.tried_term = copy.deepcopy(self.tried_term)
        return found

    def _prove(self, choice: Choice) -> None:
        refuse_foreign_rows(self.model, self.vocabulary.size)
        if self.row is not None:
            held = behind_tokens(self.model, self.vocabulary.size, choice)
            if held is not None:
                self.row.data = held.to(self.row.dtype)
        elif self.backspace:
            give_backspace(self.model, self.vocabulary.size, choice)
        elif choice is not None:
            raise InvalidInputError(f"backspace_row={choice!r} is of no use to a policy without a backspace")
        self.remember(self.memory)
        with evaluating(self.model), refusing(self.model), uncast(self):  # 16 bits of a deep model hide what is wrong
            refuse_other_logits(self.model, self.vocabulary, self.tree_hidden, self.head)

    def remember(self, memory: Memory | str) -> TokenPolicy:
        """Change the memory of this policy, and return it: its weights are the same under all of them.

        Raises:
            InvalidInputError: an unknown one, any but `prefix` without a backspace, one that feeds the backspace to a
                model without a row for it, or another than `tried` for a policy that has learned of what was tried.
        """
        chosen = Memory.of(memory)
        if not self.backspace and chosen != Memory.of(PREFIX):
            raise InvalidInputError(f"memory={chosen} would do nothing without a backspace to delete by; leave it out")
        rows = len(self.model.get_input_embeddings().weight)
        if self.backspace and not chosen.rewinds and rows < self.vocabulary.num_actions:
            raise InvalidInputError(
                f"the memory {chosen} feeds the backspace, id {self.vocabulary.backspace}, for which the input "
                f"table of {name_of(self.model)} has no row; resize_token_embeddings, or choose another memory"
            )
        if self.tried_term is not None and not chosen.forbids:
            raise InvalidInputError(f"tried_term is a part of the memory tried, not of {chosen}; leave one of them out")
        self.memory = chosen
        if self.backspace:
            setattr(self.model.config, MEMORY, chosen.name)
        return self

    # -- what it says of states and trajectories ---------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write `logits`, with illegal actions at -inf. Leading batch dimensions may be any.

        Raises:
            UnsupportedModelError: a policy with a `tried_term`, for what was tried stands in no observation.
        """
        if self.tried_term is not None:
            raise UnsupportedModelError(
                "tried_term reads what was tried, which no observation holds; sample with seqil.rollout"
            )
        cells, legal = (tensordict[key] for key in self.in_keys)
        flat = cells.reshape(-1, cells.shape[-1])
        logits = self._logits(flat, (flat != self.memory.empty(self.vocabulary.size)).sum(-1))
        legal = nn.functional.pad(legal.bool(), (0, self.vocabulary.num_actions - legal.shape[-1]), value=False)
        logits = logits.reshape(*cells.shape[:-1], -1).masked_fill(~legal, -torch.inf)
        return tensordict.set(self.out_keys[0], logits)

    @typed
    def log_probs(self, prefixes: Prefixes) -> Tensor:
        """Log-probabilities of all actions at any states: float [B, A], illegal ones -inf.

        The slow way, one plain forward over each prefix: the reference that trees and caches are tested against. What
        is legal is the state's to say (see `seqil.start`); a state that holds no history is read as if it had been
        written without a deletion.
        """
        fed = prefixes if self.memory.rewinds or prefixes.history is None else prefixes.history
        self.check_positions(int(fed.length.max()))
        legal = legal_actions(self.vocabulary, prefixes, self.backspace)
        shift = None
        if self.tried_term is not None and prefixes.tried is not None:
            shift = self.tried_term(self.weight, *prefixes.tried.here(prefixes.generated), len(prefixes))
        logits = self._logits(fed.cells, fed.length, shift)
        return logits.masked_fill(~legal, -torch.inf).log_softmax(-1)

    @typed
    @computed
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
        trajectories.check_vocabulary(self.vocabulary)
        actions = trajectories.labels if actions is None else asked_of(trajectories, actions)
        if not counted and bool((trajectories.inside & (trajectories.actions == self.vocabulary.backspace)).any()):
            raise InvalidInputError("the trajectories contain backspaces, which this policy is not to take")
        if self.counting or not len(trajectories):
            asked = trajectories.actions if actions is None else actions
            return StepValues.unread(trajectories, asked, torch.promote_types(self.weight.dtype, torch.float32))
        tree, hidden = self._read(trajectories)
        bans = self._bans(trajectories, tree, actions)
        head = None if self.fused else self.head
        shift = None if self.tried_term is None else partial(self.tried_term, self.weight)
        return step_values(hidden, self.weight, self.bias, tree, trajectories, counted, actions, bans, head, shift)

    @typed
    def step_log_probs(self, trajectories: Trajectories) -> Tensor:
        """Log-probabilities of all actions at the state before each step: [B, T, A], illegal ones -inf.

        For losses that compare whole laws; where a few actions suffice, `step_values` needs far less memory. Cells
        beyond the end of a row hold the law of its last state.
        """
        t = trajectories
        legal = legal_along(t, self.backspace, self.memory)
        if self.counting or not len(t):
            dtype = torch.promote_types(self.weight.dtype, torch.float32)
            return torch.zeros(legal.shape, dtype=dtype, device=legal.device).masked_fill(~legal, -torch.inf)
        tree, hidden = self._read(t)
        rows = torch.arange(len(t), device=hidden.device)[:, None]
        states = hidden[rows, tree.node_at[:, :-1]]
        if self.tried_term is not None:
            row, step, token = Bans.of(t, tree).at_steps(t)
            B, T, _ = states.shape
            states = states + self.tried_term(self.weight, row * T + step, token, B * T).view_as(states)
        return self.head(states).masked_fill(~legal, -torch.inf).log_softmax(-1)

    @typed
    def positions(self, trajectories: Trajectories) -> int:
        """Cells that `step_values` and `step_log_probs` feed: the prefix trees, a prompt that is shared once."""
        return positions(self.trunk, trajectories, self.memory)

    @typed
    def pack(self, trajectories: Trajectories) -> PrefixTree:
        """The trajectories as the model reads them: `seqil.pack` under the memory of the policy."""
        return pack(self.vocabulary, trajectories, self.memory)

    @typed
    def tree_hidden(self, tree: PrefixTree) -> Tensor:
        """Last hidden state of every node, prompts of each row included: [B, N, D]."""
        self.check_positions(int(tree.depth.max()) + 1)
        return tree_hidden(self.trunk, tree)

    @typed
    def check_positions(self, cells: int) -> None:
        """Refuse a prefix of more cells than the model has positions."""
        if self.max_positions is not None and cells > self.max_positions:
            raise InvalidInputError(
                f"prompt and {'text' if self.memory.rewinds else 'actions'} take {counted(cells, 'position')}, "
                f"{name_of(self.model)} has {self.max_positions}; shorten the prompt or "
                f"{'max_length' if self.memory.rewinds else 'max_actions'}"
            )

    # -- files -------------------------------------------------------------------------------------

    @typed
    def save_pretrained(self, folder: str | Path, tokenizer: Any = None) -> None:
        """Write an ordinary Hugging Face checkpoint (safetensors) and `seqil.json` beside it.

        Its `generate` is that of the model without a backspace, and writes no id beyond the vocabulary. Loaded with
        `trust_remote_code=True`, `generate` deletes: it is `seqil.generate` then.

        Args:
            folder: where to; files of the same names are overwritten.
            tokenizer: is written too, with `<|backspace|>` as the special token of id V. None: the one in the folder
                that the model was loaded from, if it has this vocabulary.
        """
        if not str(folder):
            raise InvalidInputError("save_pretrained: the name of the folder is empty; '.' is the working directory")
        with naming(Path(folder), "free some space, or choose another folder"):
            found = Saved(self.vocabulary, self.backspace, self.memory, self.tried_term is not None)
            found.write(self, Path(folder), tokenizer)

    @classmethod
    @typed
    def from_pretrained(
        cls, folder: str | Path, vocabulary: Vocabulary | None = None, *, dtype: DType = None, verify: bool = True
    ) -> TokenPolicy:
        """Load what `save_pretrained` wrote; `vocabulary`, if given, must be the one it was saved with.

        A folder without `seqil.json` is a plain language model: load it with transformers and pass it to TokenPolicy.
        A file that is not the one that was written is refused, but for `verify=False`; `seqil seal FOLDER` accepts
        what was edited on purpose.
        """
        saved = Saved.read(Path(folder), verify)
        if vocabulary is not None and vocabulary != saved.vocabulary:
            raise CheckpointError(
                f"{folder} was saved with {saved.vocabulary}, not with {vocabulary}; use its own vocabulary"
            )
        policy = cls.__new__(cls)
        TensorDictModuleBase.__init__(policy)
        policy._adopt(
            saved.load(Path(folder)), saved.vocabulary, saved.backspace, saved.memory, dtype, saved.tried_term
        )
        fuse_gelu(policy.model)
        if policy.tried_term is not None:
            policy.tried_term.load_state_dict(saved.term(Path(folder), policy.tried_term.state_dict()))
        if policy.row is not None:
            policy.row.data = saved.row(Path(folder))
        return policy

    # -- construction ------------------------------------------------------------------------------

    def _read(self, trajectories: Trajectories) -> tuple[PrefixTree, Tensor]:
        if not self.memory.rewinds:
            self.check_positions(int((trajectories.prompt_lengths + trajectories.lengths).max()))
        return tree_and_hidden(self.trunk, trajectories, self.memory)

    def _bans(self, trajectories: Trajectories, tree: PrefixTree, actions: Tensor | None) -> Bans | None:
        """What was tried, where that is forbidden; trajectories that write it again are refused, and such labels."""
        if not self.memory.forbids:
            return None
        bans = Bans.of(trajectories, tree if self.memory.rewinds else None)
        bans.check(trajectories)
        if trajectories.labels is not None and actions is trajectories.labels:
            bans.check(trajectories, actions, trajectories.imitate)
        return bans
