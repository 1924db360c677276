"""What every agent is: a policy, a loss, and one step of the optimizer that it owns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.objectives import LossModule

from ..decoding.interface import Rule
from ..errors import InvalidInputError, NonFiniteError
from ..errors.arguments import check_kind, typed_widely
from ..mdp.task import Task
from ..mdp.trajectory import Trajectories
from ..models.precision import train_in_float32
from ..policy.refusals import refuse_untrainable, refuse_wrapped, with_its_policy
from ..policy.token_policy import TokenPolicy
from ..rollouts.rollouts import rollout
from .accumulation import Division, Loss, Part, backpropagate, summed
from .loss import TrajectoryLoss, cloned, wrapped_loss


class Agent:
    """A policy and what one step of learning does to it; `seqil.train` does the rest.

    Most agents are a loss: they override nothing else. Others say how rollouts are made (`fresh`, `samples`, `rules`)
    and labelled (`label`), or what an update is.

    Args:
        policy: what is trained, of `policy_class`; the agent does not copy it. Weights of 16 bits become float32: see
            `seqil.models`.
        loss: a TrajectoryLoss, or any TorchRL LossModule over that policy that reads what `batch` writes; its outputs
            named `loss_*` sum to what is minimised.
        steps: number of updates that the schedules (learning rate, and an agent's own) are laid out for.
        learning_rate: peak of AdamW; 5 % of the steps rise linearly to it, the rest fall to a tenth along a cosine.
        clip: largest norm of the gradient.
        weight_decay: of AdamW.
        warm_up: share of the steps, at the beginning, that only clone the demonstrations.
        pace: factor of the policy's learning rate after the warm-up. Other networks of the loss (a soft Q, a
            discriminator) learn at the full rate, and their gradient is clipped by itself.
    """

    policy: TokenPolicy
    loss: LossModule
    """A module that wraps it may be put in its place: it is what updates call then, and `loss` stays what it wraps."""
    uses_rollouts = False
    """Whether updates after the warm-up want trajectories of the policy itself."""
    fresh = False
    """Whether rollouts must come from the present policy: row `i` of them then starts from the prompt of
    demonstration `i // samples` of the same update. Else they are drawn from a replay buffer."""
    samples = 1
    """Rollouts per prompt, where they are fresh."""
    rollout_share = 1.0
    """Rollouts per demonstration of an update, where they come from the buffer."""
    undropped = False
    """Whether updates after the warm-up are made without dropout: those that compare the policy with the law that its
    rollouts were sampled from."""
    passes = 1
    """Steps of the optimizer on the same data per update, once the warm-up is over."""
    division = Division()
    """How the rows of an update are divided over microbatches and ranks; `Training` sets it."""
    policy_class: ClassVar[type[Any]] = TokenPolicy
    """What it trains: `TokenPolicy`, or a policy of whole texts (`seqil.revision`)."""
    policy_options: ClassVar[tuple[str, ...]] = ()
    """Options of the agent that its policy is made with, too."""
    from_task: ClassVar[Mapping[str, Callable[[Task, Any], Any]]] = {}
    """Options that settings need not hold, for `(task, policy)` makes them: option -> maker."""
    choices: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Values of the constructor's options by name, for settings that fit into a file: option -> name -> value."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = with_its_policy(typed_widely(cls.__init__))  # type: ignore[method-assign]

    @with_its_policy
    @typed_widely
    def __init__(
        self,
        policy: Any,
        loss: LossModule,
        *,
        steps: int = 1000,
        learning_rate: float = 2e-3,
        clip: float = 1.0,
        weight_decay: float = 0.0,
        warm_up: float = 0.0,
        pace: float = 1.0,
    ) -> None:
        for name, value in {"steps": steps, "learning_rate": learning_rate, "clip": clip, "pace": pace}.items():
            if not 0 < value < math.inf:
                raise InvalidInputError(f"{type(self).__name__}: {name}={value} must be positive and finite")
        if steps % 1:
            raise InvalidInputError(f"{type(self).__name__}: steps={steps} is not a whole number")
        if not 0 <= weight_decay < math.inf:
            raise InvalidInputError(f"{type(self).__name__}: weight_decay={weight_decay} must not be negative")
        self.check_shares(warm_up=warm_up)
        train_in_float32(policy, loss)
        self.policy, self.loss = policy, loss
        refuse_untrainable(type(self).__name__, policy)
        self.steps, self.clip, self.warm_up, self.updates = steps, clip, warm_up, 0
        own = [p for p in policy.parameters() if p.requires_grad]
        others = [p for p in loss.parameters() if p.requires_grad and all(p is not q for q in own)]
        groups: list[list[Tensor]] = [own, others] if others else [own]
        self._paces = partial(_rate, steps, warm_up, pace), partial(_rate, steps, warm_up, 1.0)
        self.optimizer = torch.optim.AdamW(
            [{"params": group} for group in groups], lr=learning_rate, weight_decay=weight_decay, fused=True
        )

    def check_made(self) -> None:
        """Refuse an agent whose constructor has not called this one, or that says something odd of its rollouts.

        Raises:
            InvalidInputError: naming its class.
        """
        if not {"policy", "loss", "updates", "_optimizer"} <= vars(self).keys():
            name = type(self).__name__
            raise InvalidInputError(
                f"{name}: its __init__ does not call that of Agent; end it with super().__init__(policy, loss, …), or "
                "with the arguments of the agent that it derives from"
            )
        for name, (wanted, fits) in _SAID.items():
            value = getattr(self, name)
            if not fits(value):
                raise InvalidInputError(f"{type(self).__name__}: {name}={value!r:.60} is not {wanted}")

    def __getstate__(self) -> dict[str, Any]:
        """Without the schedule, which torch ties to the optimizer that it was made for."""
        schedule = {k: v for k, v in self.schedule.state_dict().items() if k != "lr_lambdas"}
        return {**{k: v for k, v in vars(self).items() if k != "schedule"}, "schedule": schedule}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({k: v for k, v in state.items() if k != "schedule"})
        rates = [group["lr"] for group in self.optimizer.param_groups]
        self.optimizer = self.optimizer
        self.schedule.load_state_dict({**state["schedule"], "lr_lambdas": [None] * len(rates)})
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def __setattr__(self, name: str, value: Any) -> None:
        """Wrappers are honoured around the loss, and refused around the policy."""
        if name == "policy":
            refuse_wrapped(value)
            if value is not getattr(self, "policy", value):
                raise InvalidInputError(
                    f"{type(self).__name__}: loss and optimizer hold the first policy; make an agent of the other one"
                )
        if name == "loss":
            self._door = value
            value = wrapped_loss(value, getattr(self, "loss", None))
        super().__setattr__(name, value)

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What steps the parameters; another one is scheduled as the first was, its rates taken as peaks."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        if not hasattr(optimizer, "_optimizer_step_pre_hooks"):
            raise InvalidInputError(
                f"{type(self).__name__}: {type(optimizer).__name__} is no optimizer of torch, or wraps one; give the "
                "one inside"
            )
        first, others = self._paces
        paces: list[Callable[[int], float]] = [first, *[others] * (len(optimizer.param_groups) - 1)]
        self._optimizer = optimizer
        self.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, paces)

    def check_shares(self, **shares: float) -> None:
        """Refuse an option of the constructor that is no share: outside [0, 1]."""
        for name, value in shares.items():
            check_kind(type(self).__name__, name, value, float)
            if not 0 <= value <= 1:
                raise InvalidInputError(f"{type(self).__name__}: {name}={value} must lie in [0, 1]")

    def refuse_warm_up(self) -> None:
        """For agents that have nothing to clone first."""
        if self.warm_up:
            raise InvalidInputError(f"{type(self).__name__} has no warm-up, for it does not clone; leave out warm_up")

    def check_least(self, least: float, **values: float) -> None:
        """Refuse options of the constructor that are below `least`, or not finite."""
        for name, value in values.items():
            check_kind(type(self).__name__, name, value, float)
            if not least <= value < math.inf:
                raise InvalidInputError(f"{type(self).__name__}: {name}={value} must be at least {least}, and finite")

    @property
    def warming(self) -> bool:
        """Whether the next update only clones."""
        return self.updates < self.warm_up * self.steps

    @property
    def needs_rollouts(self) -> bool:
        """Whether the next `update` wants trajectories of the policy itself."""
        return self.uses_rollouts and not self.warming

    def rules(self, demonstrations: Trajectories) -> Sequence[Rule]:
        """Decoding rules of the rollouts, one row per demonstration (or `samples` of them)."""
        return ()

    def collect(self, demonstrations: Trajectories, **how: Any) -> tuple[Trajectories, int]:
        """A rollout from the prompt of each demonstration, and the cells that they fed; `how` is as for `rollout`."""
        own = rollout(self.policy, demonstrations.prompts, rules=self.rules(demonstrations), **how)
        return own, int((own.prompt_lengths - 1 + own.lengths).sum())

    def label(self, rollouts: Trajectories, demonstrations: Trajectories, generator: torch.Generator) -> Trajectories:
        """What is kept of new rollouts: with labels, say. Row `i` of both has the same prompt."""
        return rollouts

    def end_warm_up(self) -> None:
        """Called once, before the first update that does more than clone."""

    def update(self, demonstrations: Trajectories, rollouts: Trajectories | None = None) -> dict[str, float]:
        """Take one step of the optimizer (or `passes`) and return the metrics of the last.

        `rollouts` is given when `needs_rollouts` was true.
        """
        if self.warming:
            return self._cloned(demonstrations)
        if self.updates == math.ceil(self.warm_up * self.steps):
            self.end_warm_up()
        if self.undropped:
            self.policy.eval()
        for _ in range(self.passes - 1):
            self._step(self._door, demonstrations, rollouts)
        return self._counted(self._step(self._door, demonstrations, rollouts))

    def _cloned(self, demonstrations: Trajectories) -> dict[str, float]:
        if not isinstance(self.loss, TrajectoryLoss):
            return self._counted(self._step(self._cloning, demonstrations, None))
        self.loss.only_cloning = True
        try:
            return self._counted(self._step(self._door, demonstrations, None))
        finally:
            self.loss.only_cloning = False

    def _cloning(self, data: TensorDictBase) -> dict[str, Tensor]:
        if self._door is not self.loss:
            raise InvalidInputError(
                f"{type(self).__name__}: what wraps the loss cannot wrap the warm-up of a loss that is no "
                "TrajectoryLoss; leave out warm_up, or the wrapper"
            )
        demonstrations = Trajectories.from_tensordict(self.policy.vocabulary, data["demonstrations"])
        return {"loss_behavior_cloning": cloned(self.policy, demonstrations)}

    def positions(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> float:
        """Cells that one update trains on; a forward without a backward counts a third of one."""
        return sum(self.policy.positions(part) for part in (demonstrations, rollouts) if part is not None)

    def divide(self, division: Division) -> None:
        """Divide the rows of the next updates so; refused where the loss of parts is not that of the whole."""
        division.check(type(self).__name__, getattr(self.loss, "divides_by", None))
        if not division.whole and hasattr(self._door, "_orig_mod"):
            raise InvalidInputError(
                f"{type(self).__name__}: a compiled loss does not hear of the other parts of its batch; leave out "
                "microbatch and ranks, or torch.compile"
            )
        self.division = division

    def parts(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> list[Part]:
        """What of an update this process differentiates at once: all of it, or microbatches of its share."""
        if self.division.whole:
            return [(demonstrations, rollouts)]
        return self.division.parts(demonstrations, rollouts, self.samples if self.fresh else None)

    def descend(self, losses: TensorDictBase | Mapping[str, Tensor]) -> dict[str, float]:
        """Backpropagate the sum of `loss_*`, clip, step; return every output and `loss`, `grad_norm`, `learning_rate`.

        For an `update` that computes a loss of its own, of the whole batch.

        Raises:
            NonFiniteError: loss or gradient is NaN or infinite; the parameters are untouched.
            InvalidInputError: the batch was to be divided.
        """
        if not self.division.whole:
            raise InvalidInputError(
                f"{type(self).__name__} computes a loss of its own for the whole batch, which cannot be divided; "
                "leave out microbatch, and train on one process"
            )
        self.optimizer.zero_grad()
        backpropagate(losses, self.updates)
        return self._counted(self._stepped(losses))

    def _step(self, loss: Loss, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, float]:
        self.optimizer.zero_grad()
        parts = self.parts(demonstrations, rollouts)
        return self._stepped(self.division.differentiated(loss, self.loss, parts, self.updates))

    def _counted(self, metrics: dict[str, float]) -> dict[str, float]:
        self.schedule.step()
        self.updates += 1
        return metrics

    def _stepped(self, losses: TensorDictBase | Mapping[str, Tensor]) -> dict[str, float]:
        groups = [group["params"] for group in self.optimizer.param_groups]
        norms = [torch.nn.utils.clip_grad_norm_(parameters, self.clip) for parameters in groups]
        if not all(bool(norm.isfinite()) for norm in norms):
            raise NonFiniteError(f"the gradient is not finite at update {self.updates}; lower the learning rate")
        rate = self.optimizer.param_groups[0]["lr"]
        self.optimizer.step()
        torch.clear_autocast_cache()  # of an autocast around the whole of training: it holds the weights from before
        metrics = {str(key): float(value.detach()) for key, value in losses.items()}
        return {"loss": float(summed(losses).detach()), **metrics, "grad_norm": float(norms[0]), "learning_rate": rate}

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the next update: weights, optimizer, schedule and their counter."""
        return {
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": {k: v for k, v in self.schedule.state_dict().items() if k != "lr_lambdas"},
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        lambdas = [None] * len(self.optimizer.param_groups)
        self.schedule.load_state_dict({**state["schedule"], "lr_lambdas": lambdas})
        self.updates = state["updates"]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


_SAID: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("uses_rollouts", "fresh", "undropped"), ("a bool", lambda value: isinstance(value, bool))),
    **dict.fromkeys(("samples", "passes"), ("a whole number of at least 1", _is_count)),
    "rollout_share": ("a positive number", lambda value: isinstance(value, int | float) and 0 < value < math.inf),
}
"""What a class may say of the rollouts and updates of its agents."""


def _rate(steps: int, warm_up: float, pace: float, update: int) -> float:
    """Share of the peak: a line up, a cosine down, and behind the warm-up `pace` times that."""
    rise, factor = max(1, steps // 20), 1.0 if update < warm_up * steps else pace
    if update < rise:
        return (update + 1) / rise * factor
    return (0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, (update - rise) / max(1, steps - rise))))) * factor
