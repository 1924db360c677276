"""The prefix MDP as a TorchRL environment; tensors stay on their device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from seqil import Prefixes, Vocabulary, legal_actions, start, transition

from .episodes import Episodes, Reward


class TorchTextGenerationEnv(EnvBase):
    """`seqil.transition` as `EnvBase`: `observation` int64 [*B, P + L + 1], `action_mask` bool [*B, actions].

    A policy should sample from `MaskedCategorical` (TorchRL) on `action_mask`, as `TokenPolicy` does with
    `ProbabilisticActor(policy, in_keys=["logits"], distribution_class=Categorical)`; an illegal action changes nothing
    and spends budget.

    Args:
        vocabulary: the ids, or `{"size": …, "eos": …}`.
        batch_size: rows, `[B]` or an integer.
        device: of all tensors.
        seed: of the prompts.
        settings: of `TextGenerationEnv`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary | Mapping[str, int],
        *,
        max_length: int,
        batch_size: int | Sequence[int] = (1,),
        device: torch.device | str = "cpu",
        min_length: int = 0,
        max_actions: int | None = None,
        prompts: Sequence[Sequence[int]] | None = None,
        task: Any = None,
        max_prompt_length: int | None = None,
        reward: Reward | None = None,
        backspace: bool = True,
        fixed_horizon: bool = False,
        seed: int = 0,
    ) -> None:
        size = torch.Size([batch_size] if isinstance(batch_size, int) else batch_size)
        super().__init__(device=device, batch_size=size)
        self._rules = Episodes(
            *(1, vocabulary, max_length, min_length, max_actions, prompts, task),
            *(max_prompt_length, reward, backspace, fixed_horizon),
        )
        rules, rows = self._rules, size.numel()
        v = self.vocabulary = rules.vocabulary
        P = rules.width - max_length - 1
        padded = [p + [v.size] * (P - len(p)) for p in rules.prompts]
        self._prompts = torch.tensor(padded, device=self.device)
        self._generator = torch.Generator()
        self._set_seed(seed)
        self._state: Prefixes = start(v, self._prompts[:1].expand(rows, -1), max_length, min_length)
        self._taken, self._illegal = (torch.zeros(rows, dtype=torch.int64, device=self.device) for _ in range(2))
        shape = (*size, 1)
        self.observation_spec = Composite(
            observation=Bounded(0, v.size, (*size, rules.width), self.device, torch.int64),
            action_mask=Binary(rules.num_actions, (*size, rules.num_actions), self.device, torch.bool),
            illegal=Unbounded(shape, self.device, torch.int64),
            success=Binary(1, shape, self.device, torch.bool),
            shape=size,
            device=self.device,
        )
        self.action_spec = Categorical(rules.num_actions, size, self.device, torch.int64)
        self.reward_spec = Unbounded(shape, self.device, torch.float32)
        done = Binary(1, shape, self.device, torch.bool)
        self.done_spec = Composite(
            done=done, terminated=done.clone(), truncated=done.clone(), shape=size, device=self.device
        )

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        rows = len(self._state)
        mask = tensordict.get("_reset", None) if tensordict is not None else None
        again = torch.ones(rows, dtype=torch.bool, device=self.device) if mask is None else mask.reshape(rows)
        drawn = torch.randint(len(self._prompts), (rows,), generator=self._generator).to(self.device)
        fresh = start(self.vocabulary, self._prompts[drawn], self._rules.max_length, self._rules.min_length)
        old = self._state
        self._state = replace(
            fresh,
            tokens=torch.where(again[:, None], _padded(fresh.tokens, self._rules.width, self.vocabulary), old.tokens)
            if mask is not None
            else _padded(fresh.tokens, self._rules.width, self.vocabulary),
            length=torch.where(again, fresh.length, old.length),
            prompt_length=torch.where(again, fresh.prompt_length, old.prompt_length),
            ended=torch.where(again, fresh.ended, old.ended),
        )
        self._taken, self._illegal = self._taken * ~again, self._illegal * ~again
        over = torch.zeros(rows, dtype=torch.bool, device=self.device)
        return self._observed(over).update(self._done(over, over))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        rules, rows = self._rules, len(self._state)
        actions = tensordict["action"].reshape(rows)
        legal = self._legal().gather(1, actions[:, None])[:, 0]
        moved = transition(self.vocabulary, self._state, actions)
        self._state, self._taken = moved, self._taken + 1
        self._illegal = self._illegal + (~legal).long()
        ended = moved.ended & (not rules.fixed_horizon)
        truncated = ~ended & (self._taken >= rules.max_actions)
        over = ended | truncated
        reward = torch.zeros(rows, device=self.device)
        success = torch.zeros_like(over)
        if rules.task is not None or rules.reward is not None:
            for row in over.nonzero()[:, 0].tolist():
                reward[row], success[row] = self._judge(row)
        found = self._observed(success).update(self._done(ended, truncated))
        return found.set("reward", reward.reshape(*self.batch_size, 1))

    def _set_seed(self, seed: int | None) -> None:
        self._generator.manual_seed(0 if seed is None else seed)

    def _legal(self) -> Tensor:
        return legal_actions(self.vocabulary, self._state, self._rules.backspace)[:, : self._rules.num_actions]

    def _judge(self, row: int) -> tuple[float, bool]:
        cells, at = self._state.tokens[row].tolist(), int(self._state.prompt_length[row])
        prompt, tokens = cells[:at], cells[at : int(self._state.length[row])]
        task, reward = self._rules.task, self._rules.reward
        success = task is not None and bool(task.success(prompt, tokens))
        return (float(success) if reward is None else float(reward(prompt, tokens))), success

    def _observed(self, success: Tensor) -> TensorDict:
        size = self.batch_size
        return TensorDict(
            {
                "observation": self._state.tokens.reshape(*size, -1).clone(),
                "action_mask": self._legal().reshape(*size, -1),
                "illegal": self._illegal.reshape(*size, 1).clone(),
                "success": success.reshape(*size, 1),
            },
            batch_size=size,
            device=self.device,
        )

    def _done(self, terminated: Tensor, truncated: Tensor) -> dict[str, Tensor]:
        shape = (*self.batch_size, 1)
        found = {"done": terminated | truncated, "terminated": terminated, "truncated": truncated}
        return {key: value.reshape(shape).clone() for key, value in found.items()}


def _padded(tokens: Tensor, width: int, vocabulary: Vocabulary) -> Tensor:
    return torch.nn.functional.pad(tokens, (0, width - tokens.shape[1]), value=vocabulary.size)
