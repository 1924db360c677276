"""Under every memory: cache = plain forward, values along trajectories = rollouts = states one by one, batch = rows."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import LARGE, V, tiny_policy

from seqil import Trajectories, rollout, start, transition
from seqil.decoding import NamedRule, min_p, tabu
from seqil.errors import InvalidInputError
from seqil.mdp.bans import Bans, states_before
from seqil.mdp.memory import HISTORY, MEMORIES, PREFIX, TRIED, Memory
from seqil.rollouts import rollout_reference
from seqil.rollouts.cuda_graphs import HostReads
from seqil.rollouts.lockstep import Lockstep
from seqil.rollouts.sampler import Sampler
from seqil.testing.strategies import limits, prompts

BOTH = Memory("both", forbids=True, rewinds=False)
every = pytest.mark.parametrize("memory", [TRIED, HISTORY, BOTH], ids=str)


def remembering(family, memory, deletes=1.0):
    """A policy of this memory that deletes often; its row of the backspace is read only where it is fed."""
    policy = copy.deepcopy(tiny_policy(family))
    policy.memory = memory
    head, v = policy.head, policy.vocabulary
    if deletes:
        bump = torch.nn.functional.one_hot(torch.tensor(v.backspace), v.num_actions) * deletes
        policy.head = lambda hidden: head(hidden) + bump
    return policy


@st.composite
def tasks(draw, longest_text=6):
    rows, (max_length, min_length) = draw(st.integers(1, 4)), draw(limits(longest_text))
    options = {
        "max_length": max_length,
        "min_length": min_length,
        "max_actions": draw(st.integers(1, 30)),
        "temperature": draw(st.sampled_from([1.0, 0.7, 0.0])),
    }
    return draw(prompts(V, rows, longest=4)), options, draw(st.integers(0, 2**31))


class Watched(Lockstep):
    def step(self, extent):
        with HostReads() as reads:
            super().step(extent)
        assert not reads.found


def in_lockstep(policy, starts, *, max_length, max_actions, min_length, generator, temperature, lanes):
    initial = start(policy.vocabulary, starts, max_length, min_length, policy.memory)
    sampler = Sampler(generator, temperature, torch.arange(len(initial)))
    with torch.no_grad():
        return Watched(policy, initial, sampler, max_actions, lanes).run()


def same(t, other):
    assert torch.equal(t.lengths, other.lengths)
    assert torch.equal(t.actions, other.actions)
    torch.testing.assert_close(t.log_prob, other.log_prob, rtol=0, atol=1e-6)


@every
@pytest.mark.parametrize("family", ["gpt2", "llama", "narrow"])
@settings(max_examples=6)
@given(task=tasks(), lanes=st.integers(1, 4))
def test_rollouts_equal_the_reference(family, memory, task, lanes):
    (starts, options, seed), policy = task, remembering(family, memory)
    expected, found = (
        sample(policy, starts, generator=torch.Generator().manual_seed(seed), **options)
        for sample in (rollout_reference, rollout)
    )
    same(found, expected)
    fewer = rollout(policy, starts, generator=torch.Generator().manual_seed(seed), batch_size=lanes, **options)
    same(fewer, expected)
    actions, log_prob, lengths = in_lockstep(
        policy, starts, generator=torch.Generator().manual_seed(seed), lanes=min(lanes, len(starts)), **options
    )
    T = expected.actions.shape[1]
    assert torch.equal(lengths, expected.lengths)
    assert torch.equal(actions[:, :T], expected.actions)
    torch.testing.assert_close(log_prob[:, :T], expected.log_prob, rtol=0, atol=1e-6)


def by_states(policy, t, row):
    """Log-probabilities [T + 1, A] of a row, state by state, from plain forwards."""
    v, found = policy.vocabulary, []
    state = start(v, t.prompts[row : row + 1], t.max_length, t.min_length, policy.memory)
    for action in t.actions[row, : t.lengths[row]]:
        found.append(policy.log_probs(state))
        state = transition(v, state, action[None])
    return torch.cat([*found, policy.log_probs(state)])


def often(boost):
    """A rule that makes deletions frequent, so that the states behind them are seen."""

    def warp(prefixes, rows, logits):
        bumped = logits.clone()
        bumped[:, -1] += boost
        return bumped

    return NamedRule("often", lambda policy: warp)


@every
@settings(max_examples=8)
@given(task=tasks())
def test_values_laws_and_states_agree(memory, task):
    (starts, options, seed), policy = task, remembering("gpt2", memory, deletes=0)
    generator = torch.Generator().manual_seed(seed)
    t = rollout(policy, starts, generator=generator, rules=[often(2)], **options | {"temperature": 1.0})
    values, laws, close = policy.step_values(t), policy.step_log_probs(t), {"rtol": 0, "atol": 1e-12}
    final = policy.log_probs(states_before(t, torch.arange(len(t)), t.lengths, memory))
    for row in range(len(t)):
        expected, n = by_states(policy, t, row), int(t.lengths[row])
        torch.testing.assert_close(laws[row, :n], expected[:-1], **close)
        torch.testing.assert_close(final[row], expected[-1], **close)
        taken = expected[:-1].gather(1, t.actions[row, :n, None])[:, 0]
        torch.testing.assert_close(values.log_prob[row, :n], taken, **close)
        torch.testing.assert_close(values.v_next[row, : n - 1], values.v[row, 1:n], rtol=0, atol=0)
        alone = policy.step_values(t.select(torch.tensor([row])))
        torch.testing.assert_close(alone.v_next[0, :n], values.v_next[row, :n], **close)


@settings(max_examples=15)
@given(task=tasks())
def test_v_of_a_last_state_that_was_deleted_to(task):
    """The final V of a row that was cut is that of the same row with one more action."""
    (starts, options, seed), policy = task, remembering("gpt2", TRIED, deletes=0)
    generator = torch.Generator().manual_seed(seed)
    t = rollout(policy, starts, generator=generator, rules=[often(2)], **options | {"temperature": 1.0})
    values, rows = policy.step_values(t), torch.arange(len(t))
    cut = policy.step_values(t.until(rows, t.lengths - 1))
    for row, n in enumerate(t.lengths.tolist()):
        if n > 1:
            torch.testing.assert_close(cut.v_next[row, n - 2], values.v[row, n - 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gap", [10.0, 60.0, 300.0])
def test_with_nearly_all_the_mass_tried(dtype, gap):
    """Tokens 2 and 3 hold all but e^-gap of every law; both are deleted again and again."""
    policy = peaked(gap, dtype)
    generator = torch.Generator().manual_seed(0)
    t = rollout(policy, [[0], [1]] * 20, max_length=3, max_actions=40, generator=generator)
    slow = rollout_reference(policy, [[0], [1]] * 20, max_length=3, max_actions=40, generator=generator.manual_seed(0))
    bans, close = Bans.of(t), {"rtol": 0, "atol": 1e-5 if dtype == torch.float32 else 1e-12}
    per_state = torch.zeros(len(t), t.actions.shape[1] + 1).index_put((bans.row, bans.time), torch.ones(()), True)
    assert int((per_state >= 2).sum()) > 20
    assert torch.equal(t.actions, slow.actions)
    values, inside = policy.step_values(t), t.inside
    laws = policy.step_log_probs(t)
    exact = policy_in(policy, torch.float64).step_log_probs(t).gather(2, t.actions[..., None])[..., 0]
    expected = exact if dtype == torch.float64 else exact.float()
    torch.testing.assert_close(values.log_prob[inside], expected[inside], **close)
    torch.testing.assert_close(laws.gather(2, t.actions[..., None])[..., 0][inside], expected[inside], **close)
    torch.testing.assert_close(t.log_prob[inside], exact.float()[inside], rtol=0, atol=1e-5)
    assert float(t.log_prob[inside].min()) > -20  # what is left is a law again


def peaked(gap, dtype):
    """Weights of the last layer norm are 0, so that a hidden state is its bias and a logit a product with that."""
    policy = copy.deepcopy(tiny_policy("gpt2")).to(dtype)
    policy.memory, norm = TRIED, policy.model.transformer.ln_f
    with torch.no_grad():
        norm.weight.zero_()
        norm.bias.zero_()[0] = 1.0
        logits = torch.tensor([0.3, 0.1, gap, gap + 1, 0.0, -0.5, -2.0, 1.0])
        policy.model.get_output_embeddings().weight[:, 0] = logits.to(dtype)
    return policy


def policy_in(policy, dtype):
    return copy.deepcopy(policy).to(dtype)


def test_gradients_of_the_values_under_tried():
    made = copy.deepcopy(tiny_policy("gpt2")).requires_grad_(True)
    made.memory, v = TRIED, V
    B = v.backspace
    # All tokens of the prefix [0, 0] but eos are tried, and those of the prompt, which are forgotten.
    walk = [0, *[x for k in range(6) for x in (k, B)], B, *[x for k in range(1, 6) for x in (k, B)], 3]
    t = Trajectories.from_actions(v, [[0], [1]], [walk, [0, B, 1, B, 2, 1, 6]], max_length=4, min_length=1)
    weight = made.weight.detach().clone().requires_grad_()
    name = "policy.model.transformer.wte.weight"
    parameters = dict(made.named_parameters())
    assert name[len("policy.") :] in parameters

    class Values(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.policy = made

        def forward(self, t):
            values = self.policy.step_values(t)
            return values.q, values.v, values.v_next

    both = (name, "policy.model.lm_head.weight")

    def values(given):
        return torch.func.functional_call(Values(), dict.fromkeys(both, given), (t,))

    assert torch.autograd.gradcheck(values, (weight,), fast_mode=True, atol=1e-6)


@pytest.mark.parametrize("family", ["large", "large, biased"])
@pytest.mark.parametrize("poor", [False, True])
def test_of_many_actions_one_block_loses_a_token(family, poor, monkeypatch):
    """As the reference; `poor`: the law that is left is always computed anew."""
    monkeypatch.setattr("seqil.rollouts.lanes._LEAST", 2.0 if poor else 1e-20)
    policy, v = remembering(family, TRIED, deletes=0), LARGE
    with torch.no_grad():
        policy.weight.mul_(1.6)  # few tokens hold most of a law, so that it matters what is left of a block
        policy.weight[v.backspace] += policy.weight[:40].mean(0)
    options = {"max_length": 4, "min_length": 1, "max_actions": 30}
    generator = torch.Generator().manual_seed(3)
    prompts = [[k % 12] for k in range(48)]
    t = rollout(policy, prompts, generator=generator, **options)
    slow = rollout_reference(policy, prompts, generator=generator.manual_seed(3), **options)
    assert len(Bans.of(t).row) > 40
    same(t, slow)
    torch.testing.assert_close(
        t.log_prob[t.inside], policy.step_values(t).log_prob[t.inside].float(), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("rules", [[tabu()], [min_p(0.1), tabu()], [tabu(), min_p(0.1)]], ids=str)
def test_tabu_is_tried_at_sampling_time(rules):
    plain, policy = remembering("gpt2", PREFIX), remembering("gpt2", TRIED)
    options = {"max_length": 5, "max_actions": 40}
    starts, generator = [[0], [1, 2], [3]] * 4, torch.Generator()
    found = rollout(plain, starts, rules=rules, generator=generator.manual_seed(1), **options)
    wanted = rollout(
        policy, starts, rules=[r for r in rules if r != tabu()], generator=generator.manual_seed(1), **options
    )
    same(found, wanted)
    same(found, rollout_reference(plain, starts, rules=rules, generator=generator.manual_seed(1), **options))
    assert len(Bans.of(found).row)
    Bans.of(found).check(found)
    free = rollout(plain, starts, generator=generator.manual_seed(1), **options)
    assert not torch.equal(free.actions, found.actions)


@pytest.mark.parametrize("memory", MEMORIES)
def test_files_say_the_memory(memory, tmp_path):
    policy = copy.deepcopy(tiny_policy("gpt2"))
    policy.memory = Memory.of(memory)
    policy.save_pretrained(tmp_path)
    assert type(policy).from_pretrained(tmp_path).memory == MEMORIES[memory]


def test_a_history_needs_positions_for_every_action():
    policy = remembering("gpt2", HISTORY)
    with pytest.raises(InvalidInputError, match=r"prompt and actions take 65 positions, .* or max_actions"):
        rollout(policy, [[0]], max_length=5, max_actions=65)
    assert rollout(policy, [[0]], max_length=5, max_actions=64).lengths[0] > 0
