"""The training loop, as a generator: the caller logs, saves and stops."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, cast

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils import _pytree as pytree
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer

from ..errors import CheckpointError, InvalidInputError, first_line
from ..errors.arguments import check_function, typed
from ..errors.limits import check_room, within_budget
from ..mdp.trajectory import Trajectories
from ..policy.token_policy import TokenPolicy
from ..randomness import draw_seed, seeded
from .accumulation import Division
from .agent import Agent
from .loop.collecting import Sampling as Sampling
from .loop.foreign import check_state, digest_of, made_of
from .processes import Ranks

Corruption = Callable[[Trajectories, torch.Generator], Trajectories]
"""What is done to every batch of demonstrations: `mistype` with its arguments bound, say."""


def train(
    agent: Agent,
    demonstrations: Trajectories,
    *,
    generator: torch.Generator,
    steps: int | None = None,
    **options: Any,
) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield `(step, metrics)` after every update; see `Training` for options and metrics.

    >>> for step, metrics in train(agent, demonstrations, steps=1000, generator=generator):  # doctest: +SKIP
    ...     print(step, metrics["loss"])
    """
    yield from Training(agent, demonstrations, generator=generator, **options).run(steps)


class Training:
    """One training run and all of its state.

    Its state can be taken while a step is under way, by another thread that holds `unchanging`: it is that of the last
    complete step then, since weights change at the end of a step alone, where the optimizer takes the lock. (Where an
    update is several passes, from the end of the first of them on.)

    Metrics of each step are those of the agent's update and the running totals `training_positions` (cells of the
    prefix trees that were trained on), `rollout_positions` (cells that sampling fed to the model) and `cost`: forward
    positions, a trained one counted as three because the backward pass costs twice the forward pass.

    Args:
        agent: what learns.
        demonstrations: the data.
        generator: a CPU generator, the only source of randomness: data order, corruption, rollouts, dropout.
        batch_size: demonstrations per update; of rollouts from the buffer the agent's `rollout_share` of that.
        corrupt: what is done to each batch of demonstrations, afresh; it returns as many.
        sampling: how rollouts are collected while the agent needs them.
        average: decay of an exponential moving average of the weights, 0.999 say; None: no average.
        microbatch: demonstrations (with their rollouts) that are differentiated at once; None: all of the batch. Loss
            and gradient are those of the batch, the memory that of a microbatch. Where there is dropout its masks are
            others.
        ranks: the processes that share this run, each of which makes the same `Training`; None: this one alone. Each
            takes every so-many-th row of every batch and of every collection of rollouts. But for rounding and dropout
            their number changes nothing.

    Raises:
        InvalidInputError: bad settings, or demonstrations over another vocabulary than the policy's.
    """

    @typed
    def __init__(
        self,
        agent: Agent,
        demonstrations: Trajectories,
        *,
        generator: torch.Generator,
        batch_size: int = 32,
        corrupt: Corruption | None = None,
        sampling: Sampling | None = None,
        average: float | None = None,
        microbatch: int | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        agent.check_made()
        if corrupt is not None:
            check_function("Training", "corrupt", corrupt, "demonstrations", "a generator")
        if batch_size < 1 or not len(demonstrations):
            raise InvalidInputError(f"cannot train on {len(demonstrations)} demonstrations in batches of {batch_size}")
        demonstrations.check_vocabulary(agent.policy.vocabulary)
        if average is not None and not 0 <= average < 1:
            raise InvalidInputError(f"average={average} must lie in [0, 1); 0.999 say")
        if agent.undropped and sampling is not None and sampling.temperature != 1:
            raise InvalidInputError(
                f"{type(agent).__name__} compares the policy with the law that wrote its rollouts; leave the sampling "
                f"temperature at 1, not {sampling.temperature}"
            )
        self.agent, self.generator, self.corrupt = agent, generator, corrupt
        self.demonstrations, self.ranks = demonstrations, ranks
        self.batch_size = min(batch_size, len(demonstrations))
        self.sampling = sampling or Sampling()
        check_room(self._budget, demonstrations.min_length)
        agent.divide(Division(microbatch, ranks))
        if ranks is not None:
            fewest = min(self.batch_size, self.sampling.rows)
            if fewest < ranks.size:
                raise InvalidInputError(
                    f"{ranks.size} ranks cannot share batches of {self.batch_size} and collections of "
                    f"{self.sampling.rows} rollouts; start fewer, or take larger ones"
                )
            ranks.make_equal(agent.loss)
        self.step = self.rollout_positions = 0
        self.training_positions = 0.0
        self._order, self._next = torch.zeros(0, dtype=torch.int64), 0
        self._buffer_seed = draw_seed(generator)
        self._buffer_generator = torch.Generator().manual_seed(self._buffer_seed)
        self._buffer = TensorDictReplayBuffer(
            storage=LazyTensorStorage(self.sampling.capacity), generator=self._buffer_generator
        )
        self._kept_buffer: dict[str, Tensor] | None = None
        self.unchanging = threading.RLock()
        self._under_way: dict[str, Any] | None = None
        self._decay, self._average = average, None
        if average is not None:
            self._average = AveragedModel(agent.policy, multi_avg_fn=get_ema_multi_avg_fn(average))

    @property
    def policy(self) -> TokenPolicy:
        """What to sample from and to save: the averaged policy, or the agent's own if there is no average."""
        return self.agent.policy if self._average is None else cast(TokenPolicy, self._average.module)

    @typed
    def run(self, steps: int | None = None) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield `(step, metrics)`, steps counted from 1, up to `steps` (None: the agent's own number).

        Raises:
            InvalidInputError: a number of steps that is none.
        """
        if steps is not None and steps < 0:
            raise InvalidInputError(f"Training.run: steps={steps} must not be negative")
        return self._run(self.agent.steps if steps is None else steps)

    def _run(self, last: int) -> Iterator[tuple[int, dict[str, float]]]:
        device = self.agent.policy.weight.device
        while self.step < last:
            self._under_way = self._small_state()
            with self._locking():
                metrics = self._update(device)
                self._under_way = None
            yield self.step, {**metrics, **self.costs()}

    def _update(self, device: torch.device) -> dict[str, float]:
        data = self._next_demonstrations().to(device)
        own = self._next_rollouts(data) if self.agent.needs_rollouts else None
        self.agent.policy.train()
        positions = sum(self.agent.positions(*part) for part in self.agent.parts(data, own))
        seed = draw_seed(self.generator)
        if self.ranks is not None:
            positions = self.ranks.agreed(positions, self.generator)
        self.training_positions += positions
        with seeded(seed, device):
            metrics = self.agent.update(data, own)
        self.step += 1
        if self._average is not None:
            self._average.update_parameters(self.agent.policy)
        return metrics

    @contextmanager
    def _locking(self) -> Iterator[None]:
        """From the first change of weights on, nobody takes the state until the step is complete."""
        held: list[bool] = []

        def take(*_: Any) -> None:
            if not held:
                held.append(self.unchanging.acquire())

        hook = self.agent.optimizer.register_step_pre_hook(take)
        try:
            yield
        finally:
            hook.remove()
            if held:
                self.unchanging.release()

    def costs(self) -> dict[str, float]:
        """Running totals of what training has cost."""
        return {
            "training_positions": self.training_positions,
            "rollout_positions": self.rollout_positions,
            "cost": 3 * self.training_positions + self.rollout_positions,
        }

    def _next_demonstrations(self) -> Trajectories:
        if self._next + self.batch_size > len(self._order):
            self._order, self._next = torch.randperm(len(self.demonstrations), generator=self.generator), 0
        rows = self._order[self._next : self._next + self.batch_size]
        self._next += self.batch_size
        chosen = self.demonstrations.select(rows)
        return chosen if self.corrupt is None else _corrupted(self.corrupt(chosen, self.generator), len(chosen))

    def _next_rollouts(self, data: Trajectories) -> Trajectories:
        if self.agent.fresh:
            return self._sample(data.repeat(self.agent.samples))
        if len(self._buffer) == 0 or self.step % self.sampling.every == 0:
            rows = torch.randint(len(self.demonstrations), (self.sampling.rows,), generator=self.generator)
            own = self._sample(self.demonstrations.select(rows).to(data.actions.device)).to("cpu")
            self._fill(own.to_tensordict(self.demonstrations.prompts.shape[1], self._budget))
            self._kept_buffer = None
        sample = self._buffer.sample(max(1, round(self.batch_size * self.agent.rollout_share))).exclude("index")
        return Trajectories.from_tensordict(data.vocabulary, sample).to(data.actions.device)

    def _fill(self, rows: TensorDictBase) -> None:
        logger = logging.getLogger("torchrl")  # tells of its storage
        level = logger.level
        logger.setLevel(max(level, logging.WARNING))
        try:
            self._buffer.extend(rows)
        finally:
            logger.setLevel(level)

    @property
    def _budget(self) -> int:
        return within_budget(self.sampling.max_actions, self.demonstrations.max_length)

    def _sample(self, demonstrations: Trajectories) -> Trajectories:
        """One rollout from the prompt of each demonstration, labelled by the agent; of those of ranks, all."""
        own, fed = self._written(demonstrations)
        self.rollout_positions += fed
        return self.agent.label(own, demonstrations, self.generator)

    def _written(self, demonstrations: Trajectories) -> tuple[Trajectories, int]:
        if self.ranks is None:
            return self._rollout(demonstrations, None)
        names, cells = torch.arange(len(demonstrations))[self.ranks.rows], demonstrations.prompts.shape[1]
        own, fed = self._rollout(demonstrations.select(self.ranks.rows), names)
        rows = self.ranks.gathered(own.to_tensordict(cells, self._budget), len(demonstrations))
        fed = int(self.ranks.sum(torch.tensor(fed)))
        return Trajectories.from_tensordict(demonstrations.vocabulary, rows), fed

    def _rollout(self, demonstrations: Trajectories, streams: Tensor | None) -> tuple[Trajectories, int]:
        return self.agent.collect(
            demonstrations,
            max_length=demonstrations.max_length,
            max_actions=self._budget,
            min_length=demonstrations.min_length,
            generator=self.generator,
            temperature=self.sampling.temperature,
            streams=streams,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what comes next; a nested dict of tensors and plain values, copied."""
        small = self._small_state() if self._under_way is None else self._under_way
        agent = self.agent.state_dict()
        agent["loss"] = {**agent["loss"], **small["loss_buffers"]}
        average = None if self._average is None else self._average.state_dict()
        state = {"agent": agent, "average": average, **small}
        kept = {key: value for key, value in state.items() if key != "loss_buffers"}
        return _copied({**kept, "made": self._made})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, bit by bit, as the run that `state_dict` was taken from, whatever this one has done before.

        Raises:
            CheckpointError: the state is of a run that was made otherwise, or of none; nothing has changed.
        """
        check_state(state, self._made, len(self.demonstrations), self.sampling.capacity, fresh=self.agent.fresh)
        before = self.state_dict()
        try:
            self._load(_copied(state))
        except Exception as error:  # of torch, in any place
            self._load(before)
            raise CheckpointError(
                f"Training: the state does not fit {type(self.agent).__name__} ({first_line(error)})"
            ) from None

    def _load(self, state: dict[str, Any]) -> None:
        self.agent.load_state_dict(state["agent"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self._buffer.empty()
        self._kept_buffer, self._under_way = None, None
        if state["buffer"] is not None:
            self._fill(TensorDict(state["buffer"], batch_size=[len(state["buffer"]["lengths"])]))
            self._buffer.writer._cursor = state["buffer_cursor"]
        self._buffer_generator.set_state(state["buffer_generator"])
        self.generator.set_state(state["generator"])
        self._order, self._next, self.step = state["order"], state["next"], state["step"]
        self.training_positions = state["training_positions"]
        self.rollout_positions = state["rollout_positions"]

    @cached_property
    def _digest(self) -> str:
        return digest_of(self.demonstrations)

    @property
    def _made(self) -> dict[str, Any]:
        return made_of(self.agent, self._digest, self.batch_size, self._decay, self.sampling)

    def _small_state(self) -> dict[str, Any]:
        """What a step changes before it changes weights; copies, and tensors that are never written into."""
        if self._kept_buffer is None and len(self._buffer):
            stored = self._buffer[:].exclude("index")
            self._kept_buffer = {str(key): value.clone() for key, value in stored.items()}
        return {
            "buffer": self._kept_buffer,
            "buffer_cursor": int(self._buffer.writer._cursor) if len(self._buffer) else 0,
            "buffer_generator": self._buffer_generator.get_state(),
            "generator": self.generator.get_state(),
            "order": self._order,
            "next": self._next,
            "step": self.step,
            "training_positions": self.training_positions,
            "rollout_positions": self.rollout_positions,
            "loss_buffers": {name: buffer.clone() for name, buffer in self._loss_buffers()},
        }

    def _loss_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Those of a discriminator, say, that its forward pass writes into."""
        kept = self.agent.loss.state_dict().keys()
        return ((name, buffer) for name, buffer in self.agent.loss.named_buffers() if name in kept)


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = pytree.tree_map_only(Tensor, lambda tensor: tensor.detach().clone(), state)
    return copied


def _corrupted(found: Any, number: int) -> Trajectories:
    if not isinstance(found, Trajectories):
        raise InvalidInputError(f"Training: corrupt returned {found!r:.60}; return seqil.Trajectories")
    if len(found) != number:
        raise InvalidInputError(f"Training: corrupt made {len(found)} texts of {number}; return one for each")
    return found
