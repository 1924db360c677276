"""Tree, cache and plain forward say the same of every state, whatever was written and deleted on the way."""

import copy
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from tensordict import TensorDict
from tiny_models import with_exact_norms
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from seqil import TokenPolicy, Vocabulary, legal_actions, rollout, start, transition
from seqil.errors import NonFiniteError
from seqil.models.masks import additive
from seqil.policy.cache import SlotCache
from seqil.randomness import seeded
from seqil.rollouts import rollout_reference
from seqil.testing.strategies import trajectories

V = Vocabulary(size=5, eos=4)
FAMILIES = {
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=5, n_positions=16, n_embd=16, n_layer=2, n_head=2, bos_token_id=4, eos_token_id=4)
    ),
    "llama": lambda: LlamaForCausalLM(
        LlamaConfig(
            vocab_size=5, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=16, bos_token_id=4, eos_token_id=4,
        )
    ),
}  # fmt: skip
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
every = pytest.mark.parametrize("family", FAMILIES)


@cache
def policy(family, dtype=torch.float64, backspace=True):
    with seeded(0), torch.no_grad():
        made = TokenPolicy(with_exact_norms(FAMILIES[family]()).to(dtype), V, backspace=backspace).eval()
        for p in made.parameters():
            p.add_(torch.randn(p.shape, dtype=torch.float64).to(dtype) * 0.1)
    return made.requires_grad_(False)


def plain(made, t):
    """Logits [B, T + 1, A] of every state of every row, illegal actions at -inf, by plain forwards."""
    state, found = start(V, t.prompts, t.max_length, t.min_length), []
    for step in range(t.actions.shape[1] + 1):
        said = {"observation": state.tokens, "action_mask": legal_actions(V, state, made.backspace)}
        found.append(made(TensorDict(said, len(t)))["logits"])
        if step < t.actions.shape[1]:
            actions = torch.where(t.inside[:, step], t.actions[:, step], V.size)
            moved = transition(V, state, actions)
            state = type(state)(
                *(
                    torch.where(t.inside[:, step].reshape(-1, *[1] * (a.dim() - 1)), b, a)
                    for a, b in zip(
                        (state.tokens, state.length, state.prompt_length, state.ended),
                        (moved.tokens, moved.length, moved.prompt_length, moved.ended),
                        strict=True,
                    )
                ),
                state.max_length,
                state.min_length,
            )
    return torch.stack(found, 1)


def cached(made, t):
    """Logits [B, T, A] before every action, illegal ones included, with the cache."""
    state = start(V, t.prompts, t.max_length, t.min_length)
    cells, length = state.tokens.clone(), state.length.clone()
    store, dtype = SlotCache(2, *cells.shape), made.weight.dtype
    prefix = int(length.max()) - 1
    if prefix:
        store.prefill(slice(0, len(cells)), prefix)
        at = torch.arange(prefix)
        mask = additive(at[None] <= at[:, None], dtype).expand(len(cells), 1, -1, -1)
        made.hidden(cells[:, :prefix], at.expand(len(cells), -1), mask, store)
    found = []
    for step in range(t.actions.shape[1]):
        top, extent = length - 1, int(length.max())
        store.step(top, extent)
        hidden = made.hidden(cells.gather(1, top[:, None]), top[:, None], store.mask(length, dtype), store)
        found.append(made.head(hidden[:, 0]))
        action, inside = t.actions[:, step], t.inside[:, step]
        push, pop = inside & (action != V.backspace), inside & (action == V.backspace)
        cells[push, length[push]] = action[push]
        length = length + push.long() - pop.long()
    return torch.stack(found, 1) if found else torch.empty(len(cells), 0, V.num_actions, dtype=dtype)


@every
@pytest.mark.parametrize("dtype", TOLERANCE)
@given(t=trajectories(V))
def test_tree_cache_and_plain_forward_agree(family, dtype, t):
    made, close = policy(family, dtype), {"rtol": 0, "atol": TOLERANCE[dtype]}
    expected, T = plain(made, t), t.actions.shape[1]
    values, inside = made.step_values(t), t.inside
    v = expected.logsumexp(-1)
    q = expected[:, :T].gather(2, torch.where(inside, t.actions, 0)[..., None])[..., 0]
    torch.testing.assert_close(values.q[inside], q[inside], **close)
    torch.testing.assert_close(values.v[inside], v[:, :T][inside], **close)
    torch.testing.assert_close(values.v_next[inside], v[:, 1:][inside], **close)
    assert not values.q[~inside].any()
    assert not values.v[~inside].any()
    assert not values.v_next[~inside].any()
    legal = expected[:, :T].isfinite() & inside[..., None]
    torch.testing.assert_close(cached(made, t)[legal], expected[:, :T][legal], **close)


@every
@given(t=trajectories(V, backspace=False))
def test_without_a_backspace_its_row_does_not_count(family, t):
    made = policy(family, backspace=False)
    expected, values = plain(made, t), made.step_values(t)
    T = t.actions.shape[1]
    torch.testing.assert_close(values.v[t.inside], expected[:, :T].logsumexp(-1)[t.inside], rtol=0, atol=1e-12)
    assert bool((expected[..., V.backspace] == -torch.inf).all())


@every
@given(t=trajectories(V))
def test_values_of_a_row_do_not_depend_on_its_batch_mates(family, t):
    made = policy(family)
    together = made.step_values(t)
    for b in range(len(t)):
        one = t.select(torch.tensor([b]))
        alone, n = made.step_values(one), int(one.lengths)
        torch.testing.assert_close(alone.q[0, :n], together.q[b, :n], rtol=0, atol=1e-12)
        torch.testing.assert_close(alone.v_next[0, :n], together.v_next[b, :n], rtol=0, atol=1e-12)


@every
def test_gradients_of_the_values(family):
    made = copy.deepcopy(policy(family)).requires_grad_(True)
    t = rollout(made, [[0], [1, 2]], max_length=3, max_actions=8, generator=torch.Generator().manual_seed(4))
    names = [n for n, p in made.named_parameters() if p.numel() <= 16 * 16]
    parameters = dict(made.named_parameters())

    def values(*given):
        weights = {f"policy.{n}": g for n, g in zip(names, given, strict=True)}
        found = torch.func.functional_call(_Values(made), weights, (t,))
        return found.q, found.v, found.v_next

    chosen = tuple(parameters[n].detach().clone().requires_grad_() for n in names)
    assert torch.autograd.gradcheck(values, chosen, fast_mode=True, atol=1e-6)


class _Values(torch.nn.Module):
    def __init__(self, policy):
        super().__init__()
        self.policy = policy

    def forward(self, t):
        return self.policy.step_values(t)


@every
@settings(max_examples=20)
@given(t=trajectories(V))
def test_rollouts_equal_the_reference_bit_by_bit(family, t):
    made, limits = policy(family), {"max_length": t.max_length, "min_length": t.min_length, "max_actions": 15}
    fast = rollout(made, t.prompts, generator=torch.Generator().manual_seed(len(t)), **limits)
    slow = rollout_reference(made, t.prompts, generator=torch.Generator().manual_seed(len(t)), **limits)
    assert torch.equal(fast.actions, slow.actions)
    assert torch.equal(fast.lengths, slow.lengths)
    torch.testing.assert_close(fast.log_prob, slow.log_prob, rtol=0, atol=1e-6)
    said = made.step_values(fast).log_prob
    torch.testing.assert_close(fast.log_prob[fast.inside].double(), said[fast.inside], rtol=0, atol=1e-6)
    fewer = rollout(made, t.prompts[:1], generator=torch.Generator().manual_seed(len(t)), **limits)
    n = int(fast.lengths[0])
    assert fewer.actions[0, :n].tolist() == fast.actions[0, :n].tolist()
    assert int(fewer.lengths[0]) == n


@every
def test_a_model_that_always_deletes_writes_one_token_in_turn(family):
    made = copy.deepcopy(policy(family))
    head = made.head
    made.head = lambda h: head(h).index_fill(-1, torch.tensor([V.backspace]), 1e4)
    t = rollout(made, [[0], [1, 2, 3]], max_length=5, min_length=1, max_actions=11)
    assert (t.actions[:, 1::2] == V.backspace).all()
    assert (t.actions[:, ::2] < V.size).all()
    assert t.lengths.tolist() == [11, 11]
    assert not t.ended.any()
    final = t.replay()
    assert final.length.tolist() == [2, 4]
    assert final.texts(prompt=True)[1][:3] == [1, 2, 3]


@every
def test_greedy_takes_the_largest_logit(family):
    made = policy(family)
    t = rollout(made, [[0], [3, 1]], max_length=4, max_actions=9, temperature=0)
    best = plain(made, t).argmax(-1)[:, : t.actions.shape[1]]
    assert torch.equal(best[t.inside], t.actions[t.inside])


@every
def test_broken_weights_are_named(family):
    made = copy.deepcopy(policy(family))
    made.model.get_output_embeddings().weight.fill_(torch.nan)
    with pytest.raises(NonFiniteError, match="logits of row 0 at action 0 are not finite"):
        rollout(made, [[0]], max_length=3)


@every
def test_bfloat16_rollouts_and_values(family):
    made = policy(family, torch.bfloat16)
    t = rollout(made, [[0], [1, 2]], max_length=5, max_actions=20, generator=torch.Generator().manual_seed(0))
    values = made.step_values(t)
    assert values.q.dtype == torch.float32
    assert bool(values.q.isfinite().all())
    torch.testing.assert_close(values.log_prob[t.inside], t.log_prob[t.inside], rtol=0, atol=0.1)
