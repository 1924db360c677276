"""The MDP in which what was deleted from a prefix is not written there again, and that in which all is remembered."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.dagger import DAgger
from seqil import Trajectories, Vocabulary, experts, legal_actions, pack, start, transition
from seqil.errors import InvalidInputError
from seqil.mdp.bans import Bans, legal_along, states_before
from seqil.mdp.memory import HISTORY, PREFIX, TRIED, Memory
from seqil.testing.agents import tiny_policy
from tests.subjects.list_model import RememberingRow, cases, limits, prompts, vocabularies

BOTH = Memory("both", forbids=True, rewinds=False)
walks = st.lists(st.lists(st.integers(0, 59), min_size=4, max_size=4), max_size=16)
tried_cases = cases(row=RememberingRow, max_steps=20)


def stacks(tried) -> list:
    """What the tensors say, by the number of generated tokens."""
    found = []
    for tokens, places in zip(tried.tokens.tolist(), tried.places.tolist(), strict=True):
        pairs = [(p, t) for p, t in zip(places, tokens, strict=True) if p >= 0]
        assert places[len(pairs) :] == [-1] * (len(places) - len(pairs))
        assert pairs == sorted(pairs, key=lambda pair: pair[0])
        found.append(sorted(pairs))
    return found


def expected_stacks(rows) -> list:
    return [sorted((place, token) for place, tokens in enumerate(r.tried) for token in tokens) for r in rows]


def histories(history) -> list:
    return [row[:n] for row, n in zip(history.cells.tolist(), history.length.tolist(), strict=True)]


@given(st.data(), vocabularies(), st.integers(1, 4), limits(4), walks, st.booleans())
def test_transition_and_legality_equal_the_list_model(data, v, B, limit, walk, only_legal):
    starts = data.draw(prompts(v, B))
    model = [RememberingRow(p, *limit) for p in starts]
    state = start(v, starts, *limit, memory=BOTH)
    for choices in walk:
        for backspace in (True, False):
            legal = legal_actions(v, state, backspace)
            assert [set(r.nonzero()[:, 0].tolist()) for r in legal] == [r.legal(v, backspace) for r in model]
        assert legal_actions(v, state).any(1).all()
        assert state.texts() == [r.text for r in model]
        assert stacks(state.tried) == expected_stacks(model)
        assert histories(state.history) == [r.prompt + r.done for r in model]
        actions = [c % v.num_actions for c in choices[:B]]
        if only_legal:
            actions = [sorted(r.legal(v))[c % len(r.legal(v))] for r, c in zip(model, choices, strict=False)]
        model = [r.take(v, a) for r, a in zip(model, actions, strict=True)]
        state = transition(v, state, torch.tensor(actions))
        chosen = data.draw(st.lists(st.integers(0, B - 1), min_size=1, max_size=3))
        assert stacks(state.select(torch.tensor(chosen)).tried) == expected_stacks([model[c] for c in chosen])


@given(tried_cases)
def test_legality_along_trajectories_equals_the_list_model(case):
    t = case.trajectories
    bans = Bans.of(t)
    bans.check(t)
    for backspace in (True, False):
        found = legal_along(t, backspace, TRIED)
        for b, rows in enumerate(case.states):
            for step in range(t.actions.shape[1]):
                row = rows[min(step, len(rows) - 1)]
                assert set(found[b, step].nonzero()[:, 0].tolist()) == row.legal(case.v, backspace)
    assert torch.equal(legal_along(t, True, PREFIX), t.legal_actions())
    at_states = {(b, time) for b, time in zip(bans.row.tolist(), bans.time.tolist(), strict=True)}
    expected = {
        (b, time) for b, rows in enumerate(case.states) for time, row in enumerate(rows)
        if not row.ended and row.tried[len(row.text)] and time and len(rows[time - 1].text) > len(row.text)
    }  # fmt: skip
    assert at_states == expected


@given(st.data(), tried_cases)
def test_states_of_trajectories_equal_transitions(data, case):
    t, all_states = case.trajectories, case.states
    rows = torch.tensor(data.draw(st.lists(st.integers(0, len(t) - 1), min_size=1, max_size=4)))
    steps = torch.tensor([data.draw(st.integers(0, int(t.lengths[b]))) for b in rows])
    found = states_before(t, rows, steps, BOTH)
    wanted = [all_states[b][s] for b, s in zip(rows.tolist(), steps.tolist(), strict=True)]
    assert found.texts() == [r.text for r in wanted]
    assert found.ended.tolist() == [r.ended for r in wanted]
    assert stacks(found.tried) == expected_stacks(wanted)
    assert histories(found.history) == [r.prompt + r.done for r in wanted]
    assert states_before(t, rows, steps, TRIED).history is None
    assert states_before(t, rows, steps, HISTORY).tried is None


@given(tried_cases)
def test_no_prefix_is_entered_twice_while_those_before_it_stand(case):
    for rows in case.states:
        entered, forgotten = [set()], False  # by depth: children that were entered since their parent was
        for before, after in pairwise(rows):
            if len(after.text) > len(before.text):
                if forgotten and not before.text:
                    entered, forgotten = [set()], False
                assert after.text[-1] not in entered[-1]
                entered[-1].add(after.text[-1])
                entered.append(set())
            else:
                entered.pop()
                forgotten = forgotten or not (after.text or after.tried[0])


@settings(max_examples=50)
@given(st.data(), st.integers(2, 3), limits(3), st.booleans())
def test_every_policy_ends_without_a_budget(data, size, limit, deletes):
    """At most two actions per text; where nothing but the prompt's continuations is legal, until all were tried."""
    v, (max_length, min_length) = Vocabulary(size, size - 1), limit
    texts = sum((size - 1) ** depth for depth in range(max_length + 1))
    row, random = RememberingRow([0], max_length, min_length), data.draw(st.randoms(use_true_random=False))
    for taken in range(2 * texts + 1):
        if row.ended or (taken and not row.text and not row.tried[0]):
            return
        legal = sorted(row.legal(v))
        row = row.take(v, legal[-1] if deletes and legal[-1] == v.size else random.choice(legal))
    raise AssertionError("a prefix was entered twice")


@given(cases(max_steps=20))
def test_history_is_a_chain(case):
    t = case.trajectories
    v, chain = t.vocabulary, pack(t.vocabulary, t, HISTORY)
    for b, actions in enumerate(case.actions):
        n = len(case.prompts[b]) + len(actions)
        assert chain.tokens[b, :n].tolist() == case.prompts[b] + actions
        assert chain.depth[b, :n].tolist() == list(range(n))
        assert chain.parent[b, :n].tolist() == list(range(-1, n - 1))
        assert int(chain.lengths[b]) == n
        at = [len(case.prompts[b]) - 1 + min(k, len(actions)) for k in range(t.actions.shape[1] + 1)]
        assert chain.node_at[b].tolist() == at
        assert torch.equal(chain.visible()[b, :n, :n], torch.ones(n, n, dtype=torch.bool).tril())
        assert (chain.tokens[b, n:] == v.size).all()


def test_a_token_that_is_written_again_is_named():
    v = Vocabulary(4, 3)
    B = v.backspace
    t = Trajectories.from_actions(v, [[0], [0]], [[1, B, 2, 3], [2, 1, B, 1]])
    with pytest.raises(InvalidInputError, match=r"row 1, step 3: action 1 is illegal: it was deleted from there"):
        Bans.of(t).check(t)
    again = Trajectories.from_actions(v, [[0]], [[0, 1, B, B, 2, 1]])  # below another token it is new
    Bans.of(again).check(again)


def test_unknown_memories_are_refused():
    with pytest.raises(InvalidInputError, match="unknown memory 'all'; known: prefix, tried, history"):
        Memory.of("all")


def test_an_expert_whose_token_was_tried_has_nothing_to_say():
    policy = tiny_policy(memory="tried").eval()
    v, B = policy.vocabulary, policy.vocabulary.backspace
    wanted = Trajectories.from_actions(v, [[0]], [[1, 2, 3, 4]], max_length=5)
    own = Trajectories.from_actions(v, [[0]], [[1, 2, B, 0, B, 3, 1]], max_length=5)  # 2 is deleted: out of reach
    law = experts.laws(experts.reference(v), own, wanted, memory=TRIED)
    said = [law[0, t].argmax().item() if law[0, t].any() else None for t in range(7)]
    assert said == [1, 2, 3, None, B, None, B]
    labelled = DAgger(policy).label(own, wanted, torch.Generator().manual_seed(0))
    assert labelled.imitate[0].tolist() == [s is not None for s in said]
    assert [int(a) for a, s in zip(labelled.labels[0], said, strict=True) if s is not None] == [1, 2, 3, B, B]
    assert bool(policy.step_values(labelled).log_prob.isfinite().all())


def test_a_teacher_teaches_what_is_left():
    v = Vocabulary(4, 3)
    own = Trajectories.from_actions(v, [[0]], [[1, v.backspace, 2]], max_length=2)
    teacher = lambda states, references: torch.tensor([[0.5, 0.3, 0.2, 0, 0]]).double().expand(len(states), -1)  # noqa: E731
    law = experts.laws(teacher, own, Trajectories.from_actions(v, [[0]], [[3]], max_length=2), memory=TRIED)
    torch.testing.assert_close(law[0, 2], torch.tensor([5, 0, 2, 0, 0]).double() / 7)


def test_a_label_that_was_tried_is_named():
    policy = tiny_policy(memory="tried").eval()
    v, B = policy.vocabulary, policy.vocabulary.backspace
    own = Trajectories.from_actions(v, [[0]], [[1, B, 2]], max_length=3)
    labels = torch.tensor([[1, B, 1]])
    with pytest.raises(InvalidInputError, match="row 0, step 2: action 1 is illegal"):
        policy.step_values(own.labelled(labels))
    policy.step_values(own.labelled(labels, torch.tensor([[True, True, False]])))
