"""An agent refuses a policy of the other kind when it is made, as does all that draws token by token."""

import pytest
import torch

import seqil
from agents.behavior_cloning import BehaviorCloning
from agents.dagger import DAgger
from agents.grpo import GRPO
from agents.revising.ice import ICE
from agents.revising.masked import Masked
from agents.revising.parallel import Parallel
from agents.sequence_match import SequenceMatch
from seqil.errors import InvalidInputError
from seqil.revision import EditPolicy, MaskedPolicy, ParallelPolicy
from seqil.rollouts.rollouts import rollout_reference
from seqil.testing.agents import tiny_policy, tiny_whole_text

WHOLE = {kind: tiny_whole_text(kind) for kind in (EditPolicy, MaskedPolicy, ParallelPolicy)}


class Bare(seqil.Agent):
    """Has no constructor of its own."""


TOKENWISE = [BehaviorCloning, SequenceMatch, GRPO, DAgger, Bare]


@pytest.mark.parametrize("policy", WHOLE.values(), ids=[kind.__name__ for kind in WHOLE])
@pytest.mark.parametrize("agent", TOKENWISE)
def test_an_agent_of_tokens_refuses_a_policy_of_whole_texts(agent, policy):
    name = type(policy).__name__
    for make in (lambda: agent(policy, **rest(agent)), lambda: agent(policy=policy, **rest(agent))):
        with pytest.raises(InvalidInputError, match=f"{agent.__name__} trains a TokenPolicy; {name} writes") as refused:
            make()
        assert "\n" not in str(refused.value)


def rest(agent):
    return {"loss": torch.nn.Identity()} if agent is Bare else {}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: ICE(p, attribute=lambda states: states.length), "ICE trains policies of the kind EditPolicy"),
        (lambda p: Masked(p), "Masked trains policies of the kind MaskedPolicy"),
        (lambda p: Parallel(p), "Parallel trains policies of the kind ParallelPolicy"),
    ],
)
def test_an_agent_of_whole_texts_refuses_a_policy_of_another_kind(make, said):
    others = [policy for kind, policy in WHOLE.items() if kind.__name__ not in said]
    for policy in (tiny_policy(), *others):
        with pytest.raises(InvalidInputError, match=f"{said}; {type(policy).__name__} is none"):
            make(policy)


@pytest.mark.parametrize("policy", WHOLE.values(), ids=[kind.__name__ for kind in WHOLE])
@pytest.mark.parametrize("draw", [seqil.rollout, rollout_reference])
def test_rollouts_are_of_policies_of_tokens(draw, policy):
    with pytest.raises(InvalidInputError, match=rf"{type(policy).__name__} writes whole texts.*policy\.write\("):
        draw(policy, [[0]], max_length=3)
