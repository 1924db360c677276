"""The prefix MDP as a TorchRL environment; tensors stay on their device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torch.nn.functional import pad
from torchrl.data import Binary, Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from seqil import Prefixes, Task, TokenPolicy, Trajectories, Vocabulary, legal_actions, rollout, start, transition
from seqil.errors import InvalidInputError
from seqil.mdp.bans import states_before
from seqil.mdp.memory import PREFIX, History, Memory, Tried
from seqil.mdp.prefix import check_actions

from .episodes import Episodes, Reward
from .transitions import Transitions

_OF_STATE = ("tokens", "length", "prompt_length", "ended")
_OF_EPISODE = ("taken", "illegal", "success")


class TorchTextGenerationEnv(EnvBase):  # type: ignore[misc]  # torchrl is untyped
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
        seed: int = 0,
    ) -> None:
        size = torch.Size([batch_size] if isinstance(batch_size, int) else batch_size)
        super().__init__(device=device, batch_size=size)
        self._rules = Episodes(
            *(1, vocabulary, max_length, min_length, max_actions, prompts, task),
            *(max_prompt_length, reward, backspace, fixed_horizon, memory),
        )
        rules, rows = self._rules, size.numel()
        v = self.vocabulary = rules.vocabulary
        P = rules.width - rules.max_length - 1
        padded = [p + [v.size] * (P - len(p)) for p in rules.prompts]
        self._prompts = torch.tensor(padded, device=self.device)
        self._generator = torch.Generator()
        self._set_seed(seed)
        self._state = self._start(self._prompts[:1].expand(rows, -1))
        self._taken, self._illegal = (torch.zeros(rows, dtype=torch.int64, device=self.device) for _ in range(2))
        self._success = torch.zeros(rows, dtype=torch.bool, device=self.device)
        shape = (*size, 1)
        self.observation_spec = Composite(
            observation=Bounded(
                0, rules.memory.empty(v.size), (*size, rules.observed.shape[1]), self.device, torch.int64
            ),
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
        rules = self._rules
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
        if len(trajectories) != len(self._state):
            raise InvalidInputError(f"{len(trajectories)} trajectories for {len(self._state)} rows of the environment")
        steps = self._rules.max_actions if self._rules.fixed_horizon else trajectories.actions.shape[1]
        return self._replayed(trajectories, steps)

    def _replayed(self, trajectories: Trajectories, steps: int) -> TensorDict:
        t = trajectories.to(self.device)
        found = Transitions.of(t, self._rules, steps)
        before, after = found.cells()
        length, ended = t.prompt_lengths + found.after[:, -1], found.ends[:, -1]
        self._state = self._reached(t, replace(self._start(t.prompts), length=length, ended=ended), after[:, -1])
        self._taken, self._illegal = found.step[:, -1] + 1, torch.zeros_like(length)
        reward, self._success = self._judged(torch.logical_or(*self._ends()))
        return found.to_tensordict(self.batch_size, before, after, reward, self._success)

    def _reached(self, t: Trajectories, state: Prefixes, observed: Tensor) -> Prefixes:
        """The state in full, of which the last observation is that."""
        rules = self._rules
        if rules.memory == PREFIX:
            return replace(state, tokens=observed.clone())
        final = states_before(t, torch.arange(len(t), device=self.device), t.lengths, rules.memory)
        parts = _tensors(state)
        parts["tokens"][:, : final.tokens.shape[1]] = final.tokens
        for name, found in _tensors(final).items():
            if name not in _OF_STATE:
                whole = parts[name]
                parts[name] = pad(found, (0, whole.shape[1] - found.shape[1]), value=-1) if found.dim() == 2 else found
        return _with(state, parts)

    def _reset(self, tensordict: TensorDictBase | None = None, **options: Any) -> TensorDictBase:
        if options:
            raise InvalidInputError(f"unknown reset option {next(iter(options))!r}; give TensorDict(prompt=…) instead")
        rows = len(self._state)
        mask, prompt = (None if tensordict is None else tensordict.get(key, None) for key in ("_reset", "prompt"))
        again = torch.ones(rows, dtype=torch.bool, device=self.device) if mask is None else mask.reshape(rows)
        if prompt is None:
            drawn = torch.randint(len(self._prompts), (rows,), generator=self._generator)
            prompt = self._prompts[drawn.to(self.device)]
        self._state = _chosen(again, self._start(prompt.reshape(rows, -1).to(self.device)), self._state)
        self._taken, self._illegal, self._success = (x * ~again for x in (self._taken, self._illegal, self._success))
        return self._observed()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        rules, rows = self._rules, len(self._state)
        actions = check_actions(tensordict["action"].reshape(rows), rows, rules.num_actions)
        running = ~torch.logical_or(*self._ends())
        legal = self._legal().gather(1, actions[:, None])[:, 0]
        self._state = _chosen(running, transition(self.vocabulary, self._state, actions), self._state)
        self._taken = self._taken + running.long()
        self._illegal = self._illegal + (~legal & running).long()
        reward, success = self._judged(torch.logical_or(*self._ends()) & running)
        self._success = self._success | success
        return self._observed().set("reward", reward.reshape(*self.batch_size, 1))

    def get_extra_state(self) -> dict[str, Any]:
        """What `state_dict` holds: where every row is, and the generator of the prompts."""
        state = self._state
        return {
            **{name: part.clone() for name, part in _tensors(state).items()},
            **{name: getattr(self, f"_{name}").clone() for name in _OF_EPISODE},
            "generator": self._generator.get_state(),
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Go on from there: `observation` is that of the saved state at the next step."""
        own = _tensors(self._state)
        for name, part in own.items():
            shape = state[name].shape if name in state else None
            if shape != part.shape:
                raise InvalidInputError(
                    f"the state has {name} of shape {shape and tuple(shape)}, the environment {tuple(part.shape)}; "
                    "make both with the same settings and rows"
                )
        self._state = _with(self._state, {name: state[name].to(self.device) for name in own})
        for name in _OF_EPISODE:
            setattr(self, f"_{name}", state[name].to(self.device))
        self._generator.set_state(state["generator"])

    def _set_seed(self, seed: int | None) -> None:
        self._generator.manual_seed(0 if seed is None else seed)

    def _start(self, prompts: Tensor) -> Prefixes:
        room = self._prompts.shape[1] - prompts.shape[1]
        if room < 0:
            raise InvalidInputError(
                f"the prompts have {prompts.shape[1]} cells, at most {self._prompts.shape[1]} fit; "
                "raise max_prompt_length"
            )
        cells = pad(prompts, (0, room), value=self.vocabulary.size)
        cells[:, 0] = torch.where(cells[:, 0] == self.vocabulary.size, self.vocabulary.eos, cells[:, 0])
        rules = self._rules
        begun = start(self.vocabulary, cells, rules.max_length, rules.min_length, rules.memory)
        # With room for all that a row can do, so that shapes stay as they are.
        if begun.tried is not None:
            begun = replace(begun, tried=Tried.nothing(len(cells), rules.max_actions // 2 + 1, self.device))
        if begun.history is not None:
            width = rules.observed.shape[1] + 1
            history = pad(begun.tokens[:, : cells.shape[1]], (0, width - cells.shape[1]), value=self.vocabulary.size)
            begun = replace(begun, history=History(history, begun.history.length))
        return begun

    def _ends(self) -> tuple[Tensor, Tensor]:
        """Which rows have terminated and which were truncated: bool [rows] each."""
        terminated = self._state.ended & (not self._rules.fixed_horizon)
        return terminated, ~terminated & (self._taken >= self._rules.max_actions)

    def _legal(self) -> Tensor:
        return legal_actions(self.vocabulary, self._state, self._rules.backspace)[:, : self._rules.num_actions]

    def _judged(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Reward and success of the states of some rows (bool [all rows]), 0 elsewhere: float32 and bool [all rows]."""
        reward, success = torch.zeros(len(rows), device=self.device), torch.zeros_like(rows)
        if self._rules.task is not None or self._rules.reward is not None:
            for row in rows.nonzero()[:, 0].tolist():
                reward[row], success[row] = self._judge(row)
        return reward, success

    def _judge(self, row: int) -> tuple[float, bool]:
        cells, at = self._state.tokens[row].tolist(), int(self._state.prompt_length[row])
        prompt, tokens = cells[:at], cells[at : int(self._state.length[row])]
        task, reward = self._rules.task, self._rules.reward
        success = task is not None and bool(task.success(prompt, tokens))
        return (float(success) if reward is None else float(reward(prompt, tokens))), success

    def _seen(self) -> Tensor:
        """What is observed of the states: int64 [rows, cells], fresh."""
        history = self._state.history
        if history is None:
            return self._state.tokens.clone()
        cells = history.cells[:, :-1]
        beyond = torch.arange(cells.shape[1], device=self.device) >= history.length[:, None]
        return cells.masked_fill(beyond, self._rules.memory.empty(self.vocabulary.size))

    def _observed(self) -> TensorDict:
        size, (terminated, truncated) = self.batch_size, self._ends()
        columns = {
            "illegal": self._illegal,
            "success": self._success,
            "done": terminated | truncated,
            "terminated": terminated,
            "truncated": truncated,
        }
        return TensorDict(
            {
                "observation": self._seen().reshape(*size, -1),
                "action_mask": self._legal().reshape(*size, -1),
                **{key: column.reshape(*size, 1).clone() for key, column in columns.items()},
            },
            batch_size=size,
            device=self.device,
        )


def _tensors(state: Prefixes) -> dict[str, Tensor]:
    """All of a state, by name."""
    parts = {name: getattr(state, name) for name in _OF_STATE}
    if state.tried is not None:
        parts |= {"tried_tokens": state.tried.tokens, "tried_places": state.tried.places}
    if state.history is not None:
        parts |= {"history_cells": state.history.cells, "history_length": state.history.length}
    return parts


def _with(state: Prefixes, parts: Mapping[str, Tensor]) -> Prefixes:
    """A state that holds these tensors."""
    tokens, length, prompt_length, ended = (parts[name] for name in _OF_STATE)
    state = replace(state, tokens=tokens, length=length, prompt_length=prompt_length, ended=ended)
    if state.tried is not None:
        state = replace(state, tried=Tried(parts["tried_tokens"], parts["tried_places"]))
    if state.history is not None:
        state = replace(state, history=History(parts["history_cells"], parts["history_length"]))
    return state


def _chosen(rows: Tensor, these: Prefixes, others: Prefixes) -> Prefixes:
    """These states where `rows` is true, the others elsewhere."""
    there = _tensors(others)
    return _with(
        these,
        {
            name: torch.where(rows if part.dim() == 1 else rows[:, None], part, there[name])
            for name, part in _tensors(these).items()
        },
    )
