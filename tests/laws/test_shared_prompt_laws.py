"""A prompt that is fed once says the same as one that every row feeds."""

import copy
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import FAMILIES, V, tiny_policy, with_exact_norms

from seqil import Trajectories, pack
from seqil.policy.shared_prompts import SharedPrompts
from seqil.testing.strategies import prompts, trajectories

every = pytest.mark.parametrize("family", FAMILIES)
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


@cache
def policy(family):
    return with_exact_norms(copy.deepcopy(tiny_policy(family)))


@st.composite
def batches(draw):
    """Walks, empty ones included, that begin with one of a few prompts of unequal lengths, in any order."""
    t = draw(trajectories(V, max_rows=6))
    some = draw(prompts(V, draw(st.integers(1, 3)), longest=5))
    chosen = draw(st.lists(st.sampled_from(some), min_size=len(t), max_size=len(t)))
    limits = {"max_length": t.max_length, "min_length": t.min_length}
    return Trajectories.from_actions(V, chosen, t.actions, lengths=t.lengths, imitate=t.imitate, **limits)


def both(made, t, cached):
    """Hidden states of all nodes [nodes, D], of rows apart and with shared prompts, in two forwards or as branches."""
    tree = pack(V, t)
    real = torch.arange(tree.tokens.shape[1]) < tree.lengths[:, None]
    trunk = replace(made.trunk, cached=cached)
    return made.tree_hidden(tree)[real], SharedPrompts.of(t).hidden(trunk, tree)[real]


@every
@given(t=batches(), cached=st.booleans())
def test_hidden_states_are_those_of_rows_apart(family, t, cached):
    apart, shared = both(policy(family), t, cached)
    torch.testing.assert_close(shared, apart, **CLOSE)


@every
@given(t=batches(), seed=st.integers(0, 9), cached=st.booleans())
def test_gradients_are_those_of_rows_apart(family, t, seed, cached):
    made = copy.deepcopy(policy(family)).requires_grad_(True)
    trunk = list(made.model.base_model.parameters())
    found = both(made, t, cached)
    weight = torch.randn(found[0].shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    apart, shared = (torch.autograd.grad((weight * hidden).sum(), trunk) for hidden in found)
    for a, b in zip(apart, shared, strict=True):
        torch.testing.assert_close(b, a, **CLOSE)


@given(t=batches(), data=st.data())
def test_the_order_of_the_rows_does_not_matter(t, data):
    order = torch.tensor(data.draw(st.permutations(range(len(t)))))
    shared, turned = SharedPrompts.of(t), SharedPrompts.of(t.select(order))
    assert torch.equal(shared.tokens, turned.tokens)
    assert torch.equal(shared.of_row[order], turned.of_row)
    assert torch.equal(shared.tokens[shared.of_row], t.prompts)


@given(t=batches())
def test_short_prompts_are_never_shared(t):
    assert SharedPrompts.where_worthwhile(t.repeat(1000)) is None


def samples(prompts=2, each=8, length=24, pushes=6):
    """`each` texts after each of some prompts, in turns."""
    g = torch.Generator().manual_seed(0)
    starts = torch.randint(0, 7, (prompts, length), generator=g).repeat(each, 1)
    return Trajectories.from_actions(V, starts, torch.randint(0, 6, (len(starts), pushes), generator=g))


@every
def test_values_and_laws_of_a_batch_are_those_of_its_rows(family):
    made, t = policy(family), samples()
    t.actions[1::2, 3] = V.backspace
    t = t.labelled(torch.zeros_like(t.actions))
    assert SharedPrompts.where_worthwhile(t) is not None
    values, laws = made.step_values(t), made.step_log_probs(t)
    for b in range(len(t)):
        alone = t.select(torch.tensor([b]))
        one = made.step_values(alone)
        for name in ("q", "v", "v_next"):
            torch.testing.assert_close(getattr(values, name)[b], getattr(one, name)[0], **CLOSE)
        torch.testing.assert_close(laws[b], made.step_log_probs(alone)[0], **CLOSE)


SAVED = {  # batches of rows without padding -> positions
    (2, 8, 24, 6): 2 * 24 + 16 * 6,
    (8, 3, 24, 6): 8 * 24 + 24 * 6,
    (1, 300, 16, 1): 16 + 300,
    (1, 300, 15, 1): 300 * 16,  # the prompt is short
    (2, 4, 24, 6): 8 * 30,  # few cells would be saved
    (32, 2, 16, 40): 64 * 56,  # a small part of the cells would be saved
}


@pytest.mark.parametrize("batch", SAVED)
def test_positions_are_the_cells_that_are_fed(batch):
    made, t, fed = policy("gpt2"), samples(*batch), []
    embedding = made.model.get_input_embeddings()
    hook = embedding.register_forward_hook(lambda module, inputs, output: fed.append(inputs[0].numel()))
    try:
        made.step_values(t)
    finally:
        hook.remove()
    assert made.positions(t) == sum(fed) == SAVED[batch]


@every
def test_layers_that_are_checkpointed_feed_a_prompt_once(family):
    """Values and gradients are those of layers that keep their activations."""
    made, t, fed = copy.deepcopy(policy(family)).requires_grad_(True), samples(), []
    expected = made.step_values(t).q
    wanted = torch.autograd.grad(expected.square().sum(), list(made.model.base_model.parameters()))
    enable = getattr(made.model, "activation_checkpointing_enable", None) or made.model.gradient_checkpointing_enable
    enable()
    made.train()
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    made.model.get_input_embeddings().register_forward_hook(lambda module, inputs, _: fed.append(inputs[0].numel()))
    found = made.step_values(t).q
    assert made.positions(t) == sum(fed) == 2 * 24 + 16 * 6
    torch.testing.assert_close(found, expected, **CLOSE)
    gradients = torch.autograd.grad(found.square().sum(), list(made.model.base_model.parameters()))
    for a, b in zip(wanted, gradients, strict=True):
        torch.testing.assert_close(b, a, **CLOSE)
