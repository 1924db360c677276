import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqil import Trajectories, start, transition
from seqil.errors import InvalidInputError
from tests.subjects.list_model import Row, cases, limits, prompts, vocabularies


def contents(t: Trajectories) -> list:
    """Everything that a record says, without its padding."""
    rows = zip(t.prompts.tolist(), t.actions.tolist(), t.lengths.tolist(), t.imitate.tolist(), strict=True)
    found = []
    for (prompt, actions, n, imitate), ended in zip(rows, t.ended.tolist(), strict=True):
        assert actions[n:] == [t.vocabulary.size] * (len(actions) - n)
        assert not any(imitate[n:])
        found.append(([c for c in prompt if c != t.vocabulary.size], actions[:n], imitate[:n], ended))
    return found


def log_probs(t: Trajectories) -> list:
    return [row[:n] for row, n in zip(t.log_prob.tolist(), t.lengths.tolist(), strict=True)]


@given(cases())
def test_a_record_holds_what_was_given(case):
    t = case.trajectories
    ended = [rows[-1].ended for rows in case.states]
    assert contents(t) == list(zip(case.prompts, case.actions, case.imitate, ended, strict=True))
    assert (t.max_length, t.min_length, len(t)) == (case.max_length, case.min_length, len(case.actions))


@given(cases())
def test_replay_equals_the_list_model_and_transition(case):
    t = case.trajectories
    final = t.replay()
    rows = [states[-1] for states in case.states]
    assert final.texts(prompt=True) == [r.cells for r in rows]
    assert final.length.tolist() == [len(r.cells) for r in rows]
    assert final.ended.tolist() == [r.ended for r in rows]
    for b, row in enumerate(t.actions.tolist()):
        state = start(case.v, [case.prompts[b]], case.max_length, case.min_length)
        for action in row[: int(t.lengths[b])]:
            state = transition(case.v, state, torch.tensor([action]))
        n = int(state.length)
        assert torch.equal(final.tokens[b, :n], state.tokens[0, :n])
        assert bool((final.tokens[b, n:] == case.v.size).all())


@given(cases())
def test_without_a_limit_the_longest_text_is_the_limit(case):
    v, width = case.v, max(map(len, case.actions))
    held = [len(s.text) - s.ended for states in case.states for s in states]
    given = [row + [v.size] * (width - len(row)) for row in case.actions]
    t = Trajectories.from_actions(
        v, case.prompts, torch.tensor(given).long().reshape(len(given), width), lengths=[len(r) for r in case.actions]
    )
    assert t.max_length == max(1, *held)
    assert [row[1] for row in contents(t)] == case.actions


@given(st.data(), vocabularies(), limits(), st.integers(1, 3))
def test_exactly_the_illegal_sequences_are_refused_by_row_and_step(data, v, limit, B):
    starts = data.draw(prompts(v, B))
    ids = st.lists(st.integers(-1, v.size + 1), max_size=8) | st.lists(st.sampled_from([0, 1, v.size]), max_size=8)
    actions = data.draw(st.lists(ids, min_size=B, max_size=B))
    first = None
    for b in range(B):
        state = Row(starts[b], *limit)
        for step, action in enumerate(actions[b]):
            if first is None and (state.ended or action not in state.legal(v)):
                first = (b, step, action)
            state = state.take(v, action)
    width = max(map(len, actions))
    padded = torch.tensor([row + [-7] * (width - len(row)) for row in actions]).long().reshape(B, width)
    for form, lengths in ((actions, None), (padded, torch.tensor([len(row) for row in actions]))):
        options = {"max_length": limit[0], "min_length": limit[1], "lengths": lengths}
        if first is None:
            Trajectories.from_actions(v, starts, form, **options)
        else:
            b, step, action = first
            with pytest.raises(InvalidInputError, match=f"^row {b}, step {step}: action {re.escape(str(action))} is"):
                Trajectories.from_actions(v, starts, form, **options)


@given(cases(), st.data())
def test_round_trips(case, data):
    t = case.trajectories
    everything, B = contents(t), len(t)
    chosen = data.draw(st.lists(st.integers(0, B - 1), min_size=1, max_size=5))
    keep = torch.zeros(B, dtype=torch.bool).index_fill(0, torch.tensor(chosen), True)
    assert contents(t.select(torch.tensor(chosen))) == [everything[b] for b in chosen]
    assert contents(t.select(keep)) == [everything[b] for b in sorted(set(chosen))]
    assert contents(t.select(slice(1, None))) == everything[1:]
    wider = t.to_tensordict(t.prompts.shape[1] + 2, t.actions.shape[1] + 3)
    for stored, expected in (
        (t.to_tensordict(), everything),
        (wider, everything),
        (wider[torch.tensor(chosen)], [everything[b] for b in chosen]),
    ):
        back = Trajectories.from_tensordict(case.v, stored)
        assert contents(back) == expected
        assert (back.max_length, back.min_length, back.vocabulary) == (t.max_length, t.min_length, t.vocabulary)
    joined = Trajectories.cat([t, t.select(torch.tensor(chosen)), t])
    assert contents(joined) == everything + [everything[b] for b in chosen] + everything
    assert contents(t) == everything


@given(cases(), st.data())
def test_log_probabilities_travel_with_their_steps(case, data):
    plain = case.trajectories
    log_prob = -torch.arange(plain.actions.numel()).float().reshape(plain.actions.shape)
    t = Trajectories.from_actions(
        case.v, case.prompts, case.actions, max_length=case.max_length, min_length=case.min_length, log_prob=log_prob
    )
    chosen = torch.tensor(data.draw(st.lists(st.integers(0, len(t) - 1), min_size=1)))
    part = t.select(chosen)
    assert log_probs(part) == [log_probs(t)[b] for b in chosen.tolist()]
    assert log_probs(Trajectories.cat([part, t])) == log_probs(part) + log_probs(t)
    assert log_probs(Trajectories.from_tensordict(case.v, t.to_tensordict())) == log_probs(t)
    assert Trajectories.cat([t, plain]).log_prob is None


@given(cases(max_rows=3), st.data())
def test_a_row_does_not_depend_on_its_batch_mates(case, data):
    t = case.trajectories
    for b in range(len(t)):
        alone = case.rows([b]).trajectories
        assert contents(alone) == [contents(t)[b]]
        assert alone.replay().texts() == [t.replay().texts()[b]]
