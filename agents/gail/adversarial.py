"""GAIL: the policy is rewarded for steps that a discriminator takes for the data's (Ho & Ermon, NeurIPS 2016)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from tensordict import TensorDict
from tensordict.nn import ProbabilisticTensorDictModule, TensorDictModule
from torch import Tensor
from torchrl.modules import MaskedCategorical
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value.functional import generalized_advantage_estimate

from seqil import Agent, TokenPolicy, Trajectories, TrajectoryLoss, objectives
from seqil.errors import InvalidInputError
from seqil.learning.accumulation import Division
from seqil.learning.whole_batch import centre_and_spread, mean, share
from seqil.metrics.distances import SMOOTHING, reverse_kl
from seqil.policy.refusals import refuse_wrapped

from .discriminator import REWARDS, Discriminator, LogitReward, TreeHead, airl

_PPO = ("loss_objective", "loss_critic", "loss_entropy", "entropy", "kl_approx", "clip_fraction")


class GAILLoss(TrajectoryLoss):
    """Both players of `min over pi of max over D`, each with its own parameters.

    - `loss_discriminator`: cross-entropy of demonstrated and own steps; signs and options in `agents.discriminator`.
    - `loss_objective`, `loss_critic`, `loss_entropy`: PPO's clipped surrogate, value regression and entropy bonus, by
      TorchRL's `ClipPPOLoss` on the steps of the rollouts (Schulman et al. 2017). The reward of a
      step is `reward(h)`, a constant; advantages are generalised ones (Schulman et al. 2016), with their mean taken off
      and, where it exceeds 1, divided by their spread over the batch: a discriminator that knows nothing yet is not
      amplified. They follow the present discriminator and critic at every pass over the same rollouts, as
      Andrychowicz et al. (2021) recommend for the critic's part.
    - `loss_kl`: `kl` times `KL(pi || cloned)` at the states of the rollouts.

    Where sequences differ in length, the sign of the reward matters (Kostrikov et al. 2019): the absorbing
    state after `eos` pays 0, so that rewards above 0 pay for never ending, writing and deleting included, and rewards
    below 0 for ending at once. `airl` takes both signs, and pays 0 where both sides do the same. A row that ran out of
    budget has not ended: its last state is worth what the critic says.
    """

    out_keys = ["loss_discriminator", *_PPO, "loss_kl", "accuracy_data", "accuracy_rollouts", "reward"]  # noqa: RUF012
    divides_by = "values"

    def __init__(
        self,
        policy: TokenPolicy,
        discriminator: Discriminator,
        reward: LogitReward,
        *,
        gamma: float,
        trace: float,
        entropy: float,
        kl: float,
    ) -> None:
        super().__init__(policy)
        objectives.check_gamma(gamma, undiscounted=True)
        self.reward, self.gamma, self.trace, self.kl = reward, gamma, trace, kl
        self.discriminator, self.critic = discriminator, TreeHead(policy, 1)
        self.cloned = copy.deepcopy(policy).requires_grad_(False).eval()
        law = ProbabilisticTensorDictModule(
            in_keys=["logits", "mask"], out_keys=["action"], distribution_class=MaskedCategorical, return_log_prob=True
        )
        value = TensorDictModule(self.critic.head, in_keys=["hidden"], out_keys=["state_value"])
        self.ppo = ClipPPOLoss(law, value, entropy_coeff=float(entropy), functional=False)

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Without rollouts nothing is learned."""
        if rollouts is None:
            return dict.fromkeys(self.out_keys, self.policy.weight.sum() * 0)
        loss, data, own = self.discriminator.loss(demonstrations, rollouts)
        reward = self.reward(own)
        steps = self.steps(rollouts, reward)
        found = self.ppo(steps)
        return {
            "loss_discriminator": loss,
            **{key: found[key] * share(steps["action"].to(loss)) for key in _PPO},
            "loss_kl": self._kl(rollouts, steps["logits"]),
            "accuracy_data": mean((data > 0)[demonstrations.imitate].to(loss)),
            "accuracy_rollouts": mean((own < 0)[rollouts.inside].to(loss)),
            "reward": mean(reward[rollouts.inside]),
        }

    def steps(self, rollouts: Trajectories, reward: Tensor) -> TensorDict:
        """What `ClipPPOLoss` reads, S steps without their padding: a TensorDict of batch size [].

        Keys: `logits` and `mask` [S, A], `hidden` [S, D], `action` and `action_log_prob` [S], `advantage` and
        `value_target` [S, 1].
        """
        t = rollouts
        if t.log_prob is None:
            raise InvalidInputError("the rollouts lack log_prob, which PPO's ratio needs; make them by seqil.rollout")
        inside, hidden = t.inside, self.critic.hidden(t)
        advantage, target = self.advantages(t, reward, self.critic.head(hidden)[..., 0].detach())
        centre, spread = centre_and_spread(advantage[inside])
        log_probs = self.policy.step_log_probs(t)[inside]
        return TensorDict({
            "logits": log_probs,
            "mask": log_probs > -torch.inf,
            "hidden": hidden[:, :-1][inside],
            "action": t.actions[inside],
            "action_log_prob": t.log_prob[inside],
            "advantage": ((advantage[inside] - centre) / spread.clamp(min=1))[:, None],
            "value_target": target[inside][:, None],
        })  # fmt: skip

    def advantages(self, rollouts: Trajectories, reward: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Generalised advantages and value targets: two [B, T], from rewards [B, T] and values of states [B, T + 1]."""
        t, step = rollouts, torch.arange(rollouts.actions.shape[1], device=reward.device)
        done = step >= t.lengths[:, None] - 1  # a padded step is a sequence of its own: nothing leaks out of it
        terminated = done & t.ended[:, None]
        found = generalized_advantage_estimate(
            self.gamma, self.trace, *(x[..., None] for x in (value[:, :-1], value[:, 1:], reward, done, terminated))
        )
        return found[0][..., 0], found[1][..., 0]

    def _kl(self, rollouts: Trajectories, log_probs: Tensor) -> Tensor:
        if not self.kl:
            return log_probs.new_zeros(())
        with torch.no_grad():
            p = self.cloned.step_log_probs(rollouts)[rollouts.inside].exp()
        return self.kl * mean(reverse_kl(p, log_probs, SMOOTHING))


class GAIL(Agent):
    """Clones first; then plays against a discriminator, on rollouts of the present policy, by PPO.

    Each update makes `passes` steps of both players on one batch of demonstrations and rollouts. The tick-list of
    Orsini et al. (2021), "What Matters for Adversarial Imitation Learning?":

    - reward form: a value, `airl` by default, for the reason that `GAILLoss` gives;
    - regularisation of the discriminator: label smoothing, gradient penalty, spectral norm, and `weight_decay` of
      `Agent`; they find that plain ones often do as well as those that bound its slope;
    - its learning rate: the full one, the policy's is `pace` times that;
    - its data: rollouts of the present policy, no buffer of older ones;
    - absorbing states: see `GAILLoss`; tokens need no normalisation;
    - cloning first: yes, and the transformers of discriminator and critic start where it ends;
    - the algorithm: PPO; they find off-policy ones more frugal with steps of the environment, which cost little here.

    The pull to the cloned policy (`kl`) and the slow `pace` are what keeps it stable with small batches: ours.

    Args:
        policy: what is trained.
        reward: `airl`, `gail` or `fairl` of `agents.discriminator`, or any function of the logits.
        gamma: discount per action, in (0, 1].
        trace: decay of the advantages, lambda, in [0, 1].
        passes: over the same rollouts, per update.
        entropy: weight of the entropy bonus.
        kl: weight of the divergence from the cloned policy.
        smoothing: of the discriminator's labels, below .5.
        penalty: of the discriminator's gradient in embedding space.
        spectral: whether the discriminator's matrices have spectral norm 1.
        relativistic: whether the discriminator judges the data's steps against the policy's, pair by pair.
        warm_up: share of the steps that only clone.
        pace: learning rate of the policy after them, over that of discriminator and critic.
        options: of `Agent`.
    """

    uses_rollouts = fresh = undropped = True
    loss: GAILLoss
    choices = {"reward": REWARDS}  # noqa: RUF012

    def __init__(
        self,
        policy: TokenPolicy,
        *,
        reward: LogitReward = airl,
        gamma: float = 0.95,
        trace: float = 0.95,
        passes: int = 2,
        entropy: float = 0.0,
        kl: float = 0.3,
        smoothing: float = 0.1,
        penalty: float = 0.0,
        spectral: bool = False,
        relativistic: bool = False,
        warm_up: float = 0.5,
        pace: float = 0.03,
        **options: Any,
    ) -> None:
        refuse_wrapped(policy)
        self.check_shares(trace=trace, smoothing=smoothing)
        if smoothing >= 0.5:
            raise InvalidInputError(f"GAIL: smoothing={smoothing} must be below 0.5, where both sides look alike")
        self.check_least(1, passes=passes)
        self.check_least(0, entropy=entropy, kl=kl, penalty=penalty)
        discriminator = Discriminator(
            policy, smoothing=smoothing, penalty=penalty, spectral=spectral, relativistic=relativistic
        )
        loss = GAILLoss(policy, discriminator, reward, gamma=gamma, trace=trace, entropy=entropy, kl=kl)
        super().__init__(policy, loss, warm_up=warm_up, pace=pace, **options)
        self.passes = passes

    def divide(self, division: Division) -> None:
        """Refused where pairs of steps are judged: those of two parts would never meet."""
        super().divide(division)
        if self.loss.discriminator.relativistic and not division.whole:
            raise InvalidInputError(
                "GAIL: relativistic=True judges every step of the data against every one of the policy, so that parts "
                "of a batch do not add up to it; leave it out, or train on one process"
            )

    def end_warm_up(self) -> None:
        """Everyone begins where cloning ended, with a discriminator that cannot tell and a critic that expects 0."""
        self.loss.cloned.load_state_dict(self.policy.state_dict())
        for player in (self.loss.discriminator, self.loss.critic):
            player.start_from(self.policy)

    def positions(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> float:
        """Three networks train on the rollouts; a gradient penalty is a backward pass that is itself differentiated."""
        if rollouts is None:
            return self.policy.positions(demonstrations)
        data = demonstrations.positions * (3 if self.loss.discriminator.penalty else 1)
        own = self.policy.positions(rollouts) * (1 + (1 / 3 if self.loss.kl else 0)) + 2 * rollouts.positions
        return self.passes * (data + own)
