"""A new agent: cloning to which a step counts less the better it is predicted. A loss makes it an agent."""

from seqil import Agent, TrajectoryLoss, objectives


class FocalLoss(TrajectoryLoss):
    out_keys = ["loss_focal"]  # noqa: RUF012

    def __init__(self, policy, focus):
        super().__init__(policy)
        self.focus = focus

    def losses(self, demonstrations, rollouts):
        values = self.policy.step_values(demonstrations)
        missed = 1 - values.log_prob.detach().exp()
        return {"loss_focal": objectives.weighted_likelihood(values, values.imitate * missed**self.focus)}


class FocalCloning(Agent):
    def __init__(self, policy, *, focus=1.0, **options):
        super().__init__(policy, FocalLoss(policy, focus), **options)
