"""A new agent: cloning with label smoothing. A loss makes it an agent; `seqil.train` does the rest."""

import torch

from seqil import Agent, TrajectoryLoss


class SmoothLoss(TrajectoryLoss):
    out_keys = ["loss_smooth"]  # noqa: RUF012

    def __init__(self, policy, smoothing):
        super().__init__(policy)
        self.smoothing = smoothing

    def losses(self, demonstrations, rollouts):
        p = self.policy.step_values(demonstrations).log_prob[demonstrations.imitate].exp()
        return {"loss_smooth": -torch.log((1 - self.smoothing) * p + self.smoothing).mean()}


class SmoothCloning(Agent):
    def __init__(self, policy, *, smoothing=0.01, **options):
        super().__init__(policy, SmoothLoss(policy, smoothing), **options)
