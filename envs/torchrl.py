"""The prefix MDP and that of edits as TorchRL environments; tensors stay on their device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torch.nn.functional import pad

from seqil import Prefixes, Task, TokenPolicy, Trajectories, Vocabulary, begin_with, revise, rollout
from seqil.errors import InvalidInputError
from seqil.errors.arguments import check_count, check_kind, on_one_line
from seqil.mdp.bans import states_before
from seqil.mdp.edits import KINDS, are_legal, legal_edits, legal_factors
from seqil.mdp.memory import PREFIX, Memory

from .constructors import checked_arguments
from .episodes import Episodes, Reward, StepReward
from .revisions import Revision, RevisionEpisodes, WithEdits
from .torch_episodes import OF_STATE, TorchEpisodes, tensors, with_tensors
from .transitions import Transitions


class TorchTextGenerationEnv(TorchEpisodes):
    """`seqil.transition` as `EnvBase`: `observation` int64 [*B, P + L + 1], `action_mask` bool [*B, actions].

    A policy should sample from `MaskedCategorical` (TorchRL) on `action_mask`, as `TokenPolicy` does with
    `ProbabilisticActor(policy, in_keys=["logits"], distribution_class=Categorical)`; an illegal action changes nothing
    and spends budget. A row that is over stays as it is, with reward 0, until it is reset. `reset` starts at drawn
    prompts, or at `TensorDict(prompt=…)`, int64 [*B, at most P] right-padded with `vocabulary.size`.

    Args:
        vocabulary: the ids, or `{"size": …, "eos": …}`; None: the task's.
        batch_size: rows, `[B]` or an integer.
        device: of all tensors.
        seed: of the prompts.
        settings: of `TextGenerationEnv`.

    Raises:
        InvalidInputError: bad settings, actions or prompts.
    """

    @checked_arguments
    def __init__(
        self,
        vocabulary: Vocabulary | Mapping[str, int] | None = None,
        *,
        max_length: int | None = None,
        batch_size: int | Sequence[int] = (1,),
        device: torch.device | str = "cpu",
        min_length: int | None = None,
        max_actions: int | None = None,
        prompts: Sequence[Sequence[int]] | None = None,
        task: Task | str | None = None,
        max_prompt_length: int | None = None,
        reward: Reward | None = None,
        backspace: bool = True,
        fixed_horizon: bool = False,
        memory: Memory | str = PREFIX,
        step_reward: StepReward | None = None,
        seed: int = 0,
    ) -> None:
        rules = Episodes(
            *(1, vocabulary, max_length, min_length, max_actions, prompts, task),
            *(max_prompt_length, reward, backspace, fixed_horizon, memory, step_reward),
        )
        super().__init__(rules, batch_size, device, seed)

    def fused_rollout(
        self, max_steps: int, policy: TokenPolicy, *, tensordict: TensorDictBase | None = None, **options: Any
    ) -> TensorDict:
        """What `rollout(max_steps, actor, break_when_any_done=False, break_when_all_done=True)` returns, but faster.

        `actor` is the policy as a `ProbabilisticActor`. The actions are those of `seqil.rollout`, which keeps keys and
        values and spends no forward on a deletion; states are rebuilt from them.

        Args:
            max_steps: most actions per row; T is the number that the longest row takes.
            policy: over the vocabulary of the environment.
            tensordict: as of `reset`, with a `prompt`; None: drawn prompts.
            options: of `seqil.rollout`: `generator`, `temperature`, `rules`, `streams`, `batch_size`.

        Returns:
            A TensorDict of batch size [*B, T] as `replay` describes it.

        Raises:
            InvalidInputError: another vocabulary, a policy that deletes where the environment has no backspace, or
                what `seqil.rollout` refuses.
        """
        rules, max_steps = self._episodes, check_count("fused_rollout", "max_steps", max_steps, 1)
        if not hasattr(policy, "vocabulary") or not hasattr(policy, "memory"):
            raise InvalidInputError(f"fused_rollout: policy={on_one_line(policy, 60)} is not a TokenPolicy")
        if policy.vocabulary != self.vocabulary:
            raise InvalidInputError(f"the policy is over {policy.vocabulary}, the environment over {self.vocabulary}")
        if policy.backspace and not rules.backspace:
            raise InvalidInputError("the policy deletes, the environment has no backspace; use backspace=True")
        if policy.memory != rules.memory:
            raise InvalidInputError(
                f"the policy has the memory {policy.memory}, the environment {rules.memory}; make them equal"
            )
        self.reset(tensordict)
        begun = self._state.tokens
        steps = min(max_steps, rules.max_actions)
        t = rollout(
            *(policy, begun[:, : self._prompts.shape[1]]),
            max_length=rules.max_length,
            min_length=rules.min_length,
            max_actions=steps,
            **options,
        )
        return self._replayed(t, steps if rules.fixed_horizon else t.actions.shape[1])

    def replay(self, trajectories: Trajectories) -> TensorDict:
        """What `rollout` would have recorded had these actions been taken: of demonstrations, say.

        The environment is left in the states after the last actions. With a fixed horizon rows that have ended go on
        to the end of their budget.

        Returns:
            A TensorDict of batch size [*B, T] with the keys and dtypes of a rollout: `observation` int64 [*B, T, P +
            L + 1], `action_mask` bool [*B, T, actions], `action` int64 [*B, T], `illegal` int64, `success`, `done`,
            `terminated`, `truncated` bool [*B, T, 1], the same, without `action`, under `next`, with `reward` float32
            [*B, T, 1]; and `action_log_prob` float32 [*B, T] if the trajectories have it. The last step of a row that
            is over is repeated, as TorchRL does while it waits for other rows.

        Raises:
            InvalidInputError: another number of rows than the environment's, another vocabulary or other limits, or a
                row that is not over and shorter than others.
        """
        check_kind("replay", "trajectories", trajectories, Trajectories)
        if len(trajectories) != len(self._state):
            raise InvalidInputError(f"{len(trajectories)} trajectories for {len(self._state)} rows of the environment")
        steps = self._episodes.max_actions if self._episodes.fixed_horizon else trajectories.actions.shape[1]
        return self._replayed(trajectories, steps)

    def _replayed(self, trajectories: Trajectories, steps: int) -> TensorDict:
        if self._episodes.step_reward is not None:
            raise InvalidInputError("step_reward is paid action by action; use rollout, or leave it out here")
        t = trajectories.to(self.device)
        found = Transitions.of(t, self._episodes, steps)
        before, after = found.cells()
        length, ended = t.prompt_lengths + found.after[:, -1], found.ends[:, -1]
        self._state = self._reached(t, replace(self._start(t.prompts), length=length, ended=ended), after[:, -1])
        self._taken, self._illegal = found.step[:, -1] + 1, torch.zeros_like(length)
        reward, self._success = self._judged(torch.logical_or(*self._ends()))
        return found.to_tensordict(self.batch_size, before, after, reward, self._success)

    def _reached(self, t: Trajectories, state: Prefixes, observed: Tensor) -> Prefixes:
        """The state in full, of which the last observation is that."""
        rules = self._episodes
        if rules.memory == PREFIX:
            return replace(state, tokens=observed.clone())
        final = states_before(t, torch.arange(len(t), device=self.device), t.lengths, rules.memory)
        parts = tensors(state)
        parts["tokens"][:, : final.tokens.shape[1]] = final.tokens
        for name, found in tensors(final).items():
            if name not in OF_STATE:
                whole = parts[name]
                parts[name] = pad(found, (0, whole.shape[1] - found.shape[1]), value=-1) if found.dim() == 2 else found
        return with_tensors(state, parts)


class TorchTextRevisionEnv(WithEdits, TorchEpisodes):
    """`seqil.revise` as `EnvBase`: the observation of `TorchTextGenerationEnv`, the actions of `TextRevisionEnv`.

    `reset` starts at drawn prompts, or at `TensorDict(prompt=…)`; drafts and noise stand behind either.

    Args:
        vocabulary: the ids, or `{"size": …, "eos": …}`; None: the task's.
        batch_size, device: as of `TorchTextGenerationEnv`.
        seed: of prompts and noise.
        settings: of `TextRevisionEnv`.

    Raises:
        InvalidInputError: bad settings, actions or prompts.
    """

    @checked_arguments
    def __init__(
        self,
        vocabulary: Vocabulary | Mapping[str, int] | None = None,
        *,
        max_length: int | None = None,
        batch_size: int | Sequence[int] = (1,),
        device: torch.device | str = "cpu",
        min_length: int | None = None,
        max_actions: int | None = None,
        start: str = "empty",
        prompts: Sequence[Sequence[int]] | None = None,
        task: Task | str | None = None,
        max_prompt_length: int | None = None,
        reward: Reward | None = None,
        kinds: Sequence[str] | str = KINDS,
        positions: str = "any",
        drafts: Sequence[Sequence[int]] | None = None,
        mistakes: float | None = None,
        fixed_horizon: bool = False,
        seed: int = 0,
    ) -> None:
        rules = RevisionEpisodes(
            *(1, Revision(start, kinds, positions, drafts, mistakes), vocabulary, max_length, min_length, max_actions),
            *(prompts, task, max_prompt_length, reward, fixed_horizon),
        )
        super().__init__(rules, batch_size, device, seed)

    def _checked(self, actions: Tensor) -> Tensor:
        factors, rows = self._episodes.factors, len(self._state)
        if factors is None:
            return super()._checked(actions)
        found, most = actions.reshape(rows, len(factors)), torch.tensor(factors, device=actions.device)
        if bool(((found < 0) | (found >= most)).any()):
            raise InvalidInputError(f"an action is out of range of {factors}")
        return self._episodes.edits.join(*found.unbind(1))

    def _moved(self, actions: Tensor) -> tuple[Tensor, Prefixes]:
        edits = self._episodes.edits
        return are_legal(edits, self._state, actions), revise(edits, self._state, actions)

    def _legal(self) -> Tensor:
        legal = legal_edits if self._episodes.factors is None else legal_factors
        return legal(self._episodes.edits, self._state)

    def _prepared(self, state: Prefixes, items: Tensor | None) -> Prefixes:
        rules = self._episodes
        if rules.start == "empty":
            return state
        prompts = state.texts(prompt=True)
        chosen = map(rules.item_of, prompts) if items is None else items.tolist()
        texts = [rules.draft(item, self._below) if rules.drafts else self._noise() for item in chosen]
        begun = begin_with(self.vocabulary, prompts, texts, rules.max_length, rules.min_length)
        tokens = pad(begun.tokens, (0, state.tokens.shape[1] - begun.tokens.shape[1]), value=self.vocabulary.size)
        return replace(state, tokens=tokens.to(self.device), length=begun.length.to(self.device))

    def _below(self, limit: int) -> int:
        return int(torch.randint(limit, (), generator=self._generator))

    def _noise(self) -> list[int]:
        """Any tokens but `eos`, any number of them that is legal."""
        rules, v = self._episodes, self.vocabulary
        length = int(torch.randint(rules.min_length, rules.max_length + 1, (), generator=self._generator))
        tokens = torch.randint(v.size - 1, (length,), generator=self._generator).tolist()
        return [token + (token >= v.eos) for token in tokens]
