"""A new agent: cloning with label smoothing, in a loss and an update."""

import torch
from tensordict import TensorDict
from torchrl.objectives import LossModule

from seqil import Agent, Trajectories
from seqil.agent import batch


class SmoothLoss(LossModule):
    in_keys = [("demonstrations", "actions")]  # noqa: RUF012
    out_keys = ["loss_smooth"]  # noqa: RUF012

    def __init__(self, policy, smoothing):
        super().__init__()
        self.policy, self.smoothing = policy, smoothing

    def _forward_value_estimator_keys(self, **kwargs):
        pass

    def forward(self, tensordict):
        data = Trajectories.from_tensordict(self.policy.vocabulary, tensordict["demonstrations"])
        p = self.policy.step_values(data).log_prob[data.imitate].exp()
        return TensorDict({"loss_smooth": -torch.log((1 - self.smoothing) * p + self.smoothing).mean()})


class SmoothCloning(Agent):
    def __init__(self, policy, *, smoothing=0.01, **options):
        super().__init__(policy, SmoothLoss(policy, smoothing), **options)

    def update(self, demonstrations, rollouts=None):
        return self.descend(self.loss(batch(demonstrations)))
