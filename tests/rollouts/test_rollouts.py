import copy

import pytest
import torch
from tiny_models import FAMILIES, SPECIAL, tiny_policy

from seqil import TokenPolicy, rollout
from seqil.decoding import contrastive_search, loop_guard, min_p, tabu, top_k, top_p
from seqil.errors import InvalidInputError
from seqil.models import products
from seqil.policy.cache import SlotCache
from seqil.rollouts import lanes, rollout_reference
from seqil.rollouts.decoder import GPT2Decoder, ModuleDecoder, decoder_of

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


@pytest.mark.parametrize(
    ("family", "rules"),
    [(family, rules) for family in FAMILIES for rules in RULES.values()] + [(family, []) for family in SPECIAL],
    ids=[f"{family}-{name}" for family in FAMILIES for name in RULES] + list(SPECIAL),
)
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


@pytest.mark.parametrize("family", ["gpt2", "large"])
def test_a_greedy_policy_may_delete(family):
    policy = copy.deepcopy(tiny_policy(family))
    policy.weight[policy.vocabulary.backspace] *= 4
    fast, slow = (drawn(sample, policy, temperature=0) for sample in (rollout, rollout_reference))
    assert torch.equal(fast.actions, slow.actions)
    assert bool((fast.actions == policy.vocabulary.backspace)[fast.inside].any())


class Delegate:
    """Stands before a policy, as what `torch.compile` returns does."""

    def __init__(self, policy):
        self.policy = policy

    def __getattr__(self, name):
        return getattr(self.policy, name)


@pytest.mark.parametrize("delegate", [lambda policy: policy, Delegate])
def test_a_head_of_ones_own_is_asked_for_the_whole_law(delegate):
    policy = copy.deepcopy(tiny_policy("large"))
    head = policy.head
    policy.head = lambda hidden: head(hidden) / 2
    policy = delegate(policy)
    fast, slow = drawn(rollout, policy, PROMPTS * 5), drawn(rollout_reference, policy, PROMPTS * 5)
    assert torch.equal(fast.actions, slow.actions)
    assert torch.allclose(fast.log_prob, slow.log_prob, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"temperature": 0.8, "min_length": 9}, {"batch_size": 3}])
def test_of_many_tokens_a_deletion_costs_one_block_of_the_head(options, monkeypatch):
    policy, again, heads = tiny_policy("large"), [], []
    some, head = TokenPolicy.logits_of, TokenPolicy.head
    monkeypatch.setattr(TokenPolicy, "logits_of", lambda *a: again.append(len(a[1])) or some(*a))
    slow_options = {name: value for name, value in options.items() if name != "batch_size"}
    slow = drawn(rollout_reference, policy, PROMPTS * 5, **slow_options)
    monkeypatch.setattr(TokenPolicy, "head", lambda *a: heads.append(len(a[1])) or head(*a))
    fast = drawn(rollout, policy, PROMPTS * 5, **options)
    assert torch.equal(fast.actions, slow.actions)
    assert torch.allclose(fast.log_prob, slow.log_prob, atol=1e-6)
    deletions = (fast.actions == policy.vocabulary.backspace) & fast.inside
    final = torch.arange(deletions.shape[1]) == fast.lengths[:, None] - 1  # the budget was spent with it
    assert sum(again) == int((deletions & ~final).sum())
    assert sum(again) > 20
    assert sum(heads) + sum(again) == int(fast.lengths.sum())


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


@pytest.mark.parametrize("rules", [RULES["none"], RULES["several"]], ids=["none", "several"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_rows_that_wait_are_sampled_as_if_they_had_not(family, rules):
    policy = tiny_policy(family)
    whole = drawn(rollout, policy, rules=rules)
    for batch_size in (1, 2, 4, 100):
        found = drawn(rollout, policy, rules=rules, batch_size=batch_size)
        assert torch.equal(found.actions, whole.actions)
        assert torch.allclose(found.log_prob, whole.log_prob, atol=1e-6)
    order = torch.tensor([4, 2, 5, 0, 3, 1])
    shuffled = drawn(rollout, policy, [PROMPTS[i] for i in order], rules=rules, streams=order, batch_size=3)
    assert torch.equal(shuffled.actions, whole.actions[order])
    with pytest.raises(InvalidInputError, match="batch_size=0: decode at least one row"):
        drawn(rollout, policy, batch_size=0)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_deletion_costs_no_forward(family, monkeypatch):
    policy, fed, read = copy.deepcopy(tiny_policy(family)), [], []
    head, v = policy.head, policy.vocabulary

    def delete_often(hidden):
        read.append(len(hidden))
        logits = head(hidden)
        return logits.index_copy(1, torch.tensor([v.backspace]), logits[:, : v.size].logsumexp(1, keepdim=True) + 0.3)

    policy.head = delete_often

    def counting(policy, rows):
        decoder = decoder_of(policy, rows)

        def decode(tokens, length, cache):
            fed.append(len(tokens))
            return decoder(tokens, length, cache)

        return decode

    monkeypatch.setattr(lanes, "decoder_of", counting)
    for batch_size in (None, 2):
        fed.clear()
        read.clear()
        t = drawn(rollout, policy, batch_size=batch_size, max_length=40, min_length=40)
        pushed = (t.actions != v.backspace) & t.inside
        final = torch.arange(t.actions.shape[1]) == t.lengths[:, None] - 1
        assert sum(fed) == len(t) + int((pushed & ~final).sum())  # one for each prompt, one for each token
        assert sum(read) == sum(fed)  # nor does it cost the head anything
        assert sum(fed) <= 0.6 * int(t.lengths.sum())


@pytest.mark.parametrize("least", [1, products._WORTHWHILE])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_gpt2_without_its_modules(dtype, tolerance, least, monkeypatch):
    monkeypatch.setattr(products, "_WORTHWHILE", least)
    monkeypatch.setattr(products, "_MKL_IS_SLOW", True)
    policy = copy.deepcopy(tiny_policy("gpt2")).to(dtype)
    fast, slow = decoder_of(policy, 3), ModuleDecoder(policy)
    assert (fast.blocks[0][1].packed is None) == (least > 1 or dtype != torch.float32 or products._OPS is None)
    assert isinstance(fast, GPT2Decoder)
    g = torch.Generator().manual_seed(0)
    caches, length = [SlotCache(2, 4, 32) for _ in range(2)], torch.ones(3, dtype=torch.int64)
    for _ in range(40):
        tokens = torch.randint(0, policy.vocabulary.size, (3,), generator=g)
        for cache in caches:
            cache.step(length - 1, int(length.max()))
        one, other = (decode(tokens, length, cache) for decode, cache in zip((fast, slow), caches, strict=True))
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance * float(other.abs().max()))
        length = (length + torch.randint(-1, 3, (3,), generator=g)).clamp(1, 32)


def test_a_gpt2_that_was_changed_keeps_its_modules():
    def hook(policy):
        policy.model.transformer.h[0].mlp.register_forward_hook(lambda module, inputs, output: output * 2)

    def other_activation(policy):
        policy.model.transformer.h[1].mlp.act = torch.nn.ReLU()

    def adapter(policy):
        policy.model.transformer.h[0].attn.c_attn = torch.nn.Sequential(policy.model.transformer.h[0].attn.c_attn)

    def own_forward(policy):
        block = policy.model.transformer.h[0]
        block.mlp.forward = lambda hidden: hidden * 0

    for change in (hook, other_activation, adapter, own_forward):
        policy = copy.deepcopy(tiny_policy("gpt2"))
        change(policy)
        assert isinstance(decoder_of(policy), ModuleDecoder)
        fast, slow = drawn(rollout, policy), drawn(rollout_reference, policy)
        assert torch.equal(fast.actions, slow.actions)
    assert isinstance(decoder_of(tiny_policy("llama")), ModuleDecoder)
