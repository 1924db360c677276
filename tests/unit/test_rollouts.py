import pytest
import torch
from tiny_models import tiny_policy

from seqil import rollout
from seqil.decoding import contrastive_search, loop_guard, min_p, tabu, top_k, top_p
from seqil.errors import InvalidInputError
from seqil.rollouts import rollout_reference

PROMPTS = [[0], [1, 2, 3], [2, 2], [0, 1], [5, 3], [4]]
LIMITS = {"max_length": 9, "max_actions": 40}
RULES = {
    "none": [],
    "top_k": [top_k(3)],
    "top_p": [top_p(0.7)],
    "min_p": [min_p(0.2)],
    "tabu": [tabu()],
    "loop_guard": [loop_guard(1)],
    "contrastive_search": [contrastive_search(4, 0.4)],
    "several": [loop_guard(2), tabu(), min_p(0.05), contrastive_search(3, 0.6)],
}


def drawn(sample, policy, prompts=PROMPTS, seed=1, **options):
    return sample(policy, prompts, generator=torch.Generator().manual_seed(seed), **LIMITS | options)


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_cached_rollout_equals_the_reference(family, rules):
    policy = tiny_policy(family)
    fast, slow = drawn(rollout, policy, rules=rules), drawn(rollout_reference, policy, rules=rules)
    assert torch.equal(fast.actions, slow.actions)
    assert torch.allclose(fast.log_prob, slow.log_prob, atol=1e-6)
    assert bool((fast.actions == policy.vocabulary.backspace)[fast.inside].any())
    assert len(set(fast.lengths.tolist())) > 1  # rows end at different times, so that some are dropped on the way
    for row, prompt in enumerate(PROMPTS):
        n = int(fast.lengths[row])
        alone = drawn(rollout, policy, [prompt], rules=rules, streams=torch.tensor([row]))
        assert alone.actions[0, : alone.lengths].tolist() == fast.actions[row, :n].tolist()


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_log_prob_is_that_of_the_model(family):
    policy = tiny_policy(family)
    t = drawn(rollout, policy)
    values = policy.step_values(t)
    assert torch.allclose(values.log_prob[t.inside], t.log_prob[t.inside].double(), atol=1e-6)


def test_streams_name_the_rows():
    policy = tiny_policy("gpt2")
    for sample in (rollout, rollout_reference):
        t = drawn(sample, policy, [[0]] * 4, streams=torch.tensor([7, 2**40, 7, 3]))
        assert torch.equal(t.actions[0], t.actions[2])
        assert len({tuple(row) for row in t.actions.tolist()}) == 3
        for wrong in (torch.tensor([1, 2]), torch.tensor([0.0] * 4)):
            with pytest.raises(InvalidInputError, match=r"streams must be int64 \[4\]"):
                drawn(sample, policy, [[0]] * 4, streams=wrong)
