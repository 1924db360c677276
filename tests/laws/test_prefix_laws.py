import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from seqil import legal_actions, start, transition
from seqil.mdp.prefix import Prefixes
from tests.subjects.list_model import Row, limits, prompts, vocabularies

walks = st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), max_size=14)


def rows_of(prefixes: Prefixes, v) -> list:
    """What a record says, cell by cell; everything beyond the text must be empty."""
    cells = prefixes.tokens.tolist()
    found = []
    for row, length, prompt, ended in zip(
        cells, prefixes.length.tolist(), prefixes.prompt_length.tolist(), prefixes.ended.tolist(), strict=True
    ):
        assert row[length:] == [v.size] * (len(row) - length)
        found.append((row[:length], prompt, ended))
    return found


def said(rows: list) -> list:
    return [(r.cells, len(r.prompt), r.ended) for r in rows]


@given(st.data(), vocabularies(), st.integers(1, 4), limits(), walks)
def test_transition_and_legality_equal_the_list_model(data, v, B, limit, walk):
    max_length, min_length = limit
    starts = data.draw(prompts(v, B))
    model = [Row(p, max_length, min_length) for p in starts]
    state = start(v, starts, max_length, min_length)
    for choices in [*walk, [0] * 4]:
        assert rows_of(state, v) == said(model)
        for backspace in (True, False):
            legal = legal_actions(v, state, backspace)
            assert [set(r.nonzero()[:, 0].tolist()) for r in legal] == [r.legal(v, backspace) for r in model]
        assert legal_actions(v, state).any(1).all()  # a policy that may delete is never without an action
        actions = [c % v.num_actions for c in choices[:B]]
        model = [r.take(v, a) for r, a in zip(model, actions, strict=True)]
        state = transition(v, state, torch.tensor(actions))
        assert state.generated.tolist() == [len(r.text) for r in model]
        assert state.texts(eos=False) == [r.text[: len(r.text) - r.ended] for r in model]


@given(st.data(), vocabularies(), st.integers(2, 4), limits(), walks)
def test_a_batch_is_its_rows(data, v, B, limit, walk):
    starts = data.draw(prompts(v, B))
    batch, singles = start(v, starts, *limit), [start(v, [p], *limit) for p in starts]
    for choices in walk:
        actions = torch.tensor([c % v.num_actions for c in choices[:B]])
        batch = transition(v, batch, actions)
        singles = [transition(v, s, actions[b : b + 1]) for b, s in enumerate(singles)]
        assert rows_of(batch, v) == [rows_of(s, v)[0] for s in singles]
        legal = torch.cat([legal_actions(v, s) for s in singles])
        assert torch.equal(legal_actions(v, batch), legal)
        chosen = data.draw(st.lists(st.integers(0, B - 1), min_size=1))
        assert rows_of(batch.select(torch.tensor(chosen)), v) == [rows_of(batch, v)[b] for b in chosen]


@given(st.data(), vocabularies(), st.integers(1, 4), limits(), walks)
def test_a_backspace_undoes_any_push_but_eos(data, v, B, limit, walk):
    state = start(v, data.draw(prompts(v, B)), *limit)
    for choices in walk:
        actions = torch.tensor([c % v.num_actions for c in choices[:B]])
        pushed = transition(v, state, actions)
        back = transition(v, pushed, torch.full((B,), v.backspace))
        undone = (pushed.length > state.length) & (actions != v.eos)
        for b in undone.nonzero()[:, 0].tolist():
            assert rows_of(back, v)[b] == rows_of(state, v)[b]
        forever = pushed.ended
        assert torch.equal(back.tokens[forever], pushed.tokens[forever])
        assert torch.equal(back.ended, pushed.ended)
        state = pushed


@settings(max_examples=30, stateful_step_count=25)
class Persistence(RuleBasedStateMachine):
    """No operation changes a record that was made earlier: all of them are kept and looked at again and again."""

    made = Bundle("made")

    @initialize(target=made, data=st.data(), v=vocabularies(), limit=limits())
    def begin(self, data, v, limit):
        self.v, self.records = v, []
        starts = data.draw(prompts(v, 3))
        return self.record(start(v, starts, *limit), [Row(p, *limit) for p in starts])

    def record(self, state, model):
        self.records.append((state, model, [state.tokens.tolist(), state.length.tolist(), state.ended.tolist()]))
        return state, model

    @rule(target=made, old=made, choices=st.lists(st.integers(0, 4), min_size=3, max_size=3))
    def step(self, old, choices):
        state, model = old
        actions = [c % self.v.num_actions for c in choices[: len(model)]]
        new = transition(self.v, state, torch.tensor(actions))
        return self.record(new, [r.take(self.v, a) for r, a in zip(model, actions, strict=True)])

    @rule(target=made, old=made, chosen=st.lists(st.integers(0, 2), min_size=1, max_size=3))
    def select(self, old, chosen):
        state, model = old
        chosen = [c % len(model) for c in chosen]
        return self.record(state.select(torch.tensor(chosen)), [model[c] for c in chosen])

    @rule(target=made, old=made)
    def view(self, old):
        """A slice shares memory with its record; stepping from it must not show."""
        state, model = old
        return self.record(state.select(slice(0, 1)), model[:1])

    @rule(old=made)
    def look(self, old):
        legal_actions(self.v, old[0])
        old[0].texts(prompt=True)

    @invariant()
    def unchanged(self):
        for state, model, was in getattr(self, "records", ()):
            assert [state.tokens.tolist(), state.length.tolist(), state.ended.tolist()] == was
            assert rows_of(state, self.v) == said(model)


TestPersistence = Persistence.TestCase


@given(vocabularies(), limits())
def test_an_eos_inside_a_prompt_is_an_ordinary_cell(v, limit):
    state = start(v, [[v.eos], [v.eos, v.eos]], *limit)
    assert not state.ended.any()
    other = (v.eos + 1) % v.size
    after = transition(v, state, torch.full((2,), other))
    assert after.texts(prompt=True) == [[v.eos, other], [v.eos, v.eos, other]]
    assert not legal_actions(v, state)[:, v.backspace].any()
