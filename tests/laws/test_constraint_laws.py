"""Rules about the standing text: they follow deletions, keep every text on a way to its end, and allow no less."""

import re
from functools import cache
from itertools import product

import regex
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from table_policy import TablePolicy
from tiny_models import tiny_policy
from transformers import NoBadWordsLogitsProcessor

from envs.tasks import Text
from seqil import Vocabulary, rollout, start
from seqil.decoding import Automaton, NamedRule, Standing, ban, grammar, min_p, processor, tabu
from seqil.mdp.memory import HISTORY, PREFIX, TRIED
from seqil.mdp.prefix import legal_actions, transition
from seqil.rollouts import rollout_reference
from seqil.testing.strategies import limits

SMALL = Vocabulary(4, 3)


@st.composite
def automata(draw, vocabulary=SMALL, most_states=4):
    states = range(draw(st.integers(1, most_states)))
    tokens = [t for t in range(vocabulary.size) if t != vocabulary.eos]
    moves = st.dictionaries(st.sampled_from(tokens), st.sampled_from(states), max_size=len(tokens))
    ends = draw(st.sets(st.sampled_from(states)))
    return Automaton(0, {state: draw(moves) for state in states}, frozenset(ends))


def language(automaton, tokens, max_length, min_length):
    """All texts of these lengths, by trying every one."""
    found = set()
    for length in range(min_length, max_length + 1):
        for text in product(tokens, repeat=length):
            state = 0
            for token in text:
                state = automaton.moves.get(state, {}).get(token) if state is not None else None
            if state is not None and state in automaton.ends:
                found.add(text)
    return found


@st.composite
def cases(draw):
    automaton, (max_length, min_length) = draw(automata()), draw(limits(3))
    texts = language(automaton, range(3), max_length, min_length)
    policy = TablePolicy(SMALL, draw(st.integers(0, 99)), draw(st.sampled_from([0.0, 2.0])), draw(st.booleans()))
    return automaton, texts, policy, {"max_length": max_length, "min_length": min_length, "max_actions": 12}


def going_on(texts, text):
    """Tokens that follow in a text of the language, and whether it may end."""
    n = len(text)
    return {one[n] for one in texts if len(one) > n and one[:n] == text}, text in texts


@settings(max_examples=30)
@given(cases(), st.integers(0, 99))
def test_the_law_under_a_grammar_is_the_policys_own_on_what_can_end(case, seed):
    automaton, texts, policy, options = case
    if not texts:
        return
    t = rollout_reference(
        policy, [[0], [1, 3]], rules=[grammar(automaton)], generator=torch.Generator().manual_seed(seed), **options
    )
    for row in range(2):
        state = start(SMALL, t.prompts[row : row + 1], t.max_length, t.min_length)
        for action, found in zip(t.actions[row, : t.lengths[row]], t.log_prob[row], strict=False):
            tokens, ends = going_on(texts, tuple(state.texts()[0]))
            allowed = [*tokens, *([SMALL.eos] if ends else []), SMALL.backspace]
            law = torch.full((SMALL.num_actions,), -torch.inf, dtype=torch.float64)
            law[allowed] = policy.log_probs(state)[0, allowed]
            torch.testing.assert_close(found.double(), law.log_softmax(0)[action], rtol=0, atol=1e-5)
            state = transition(SMALL, state, action[None])
        assert not t.ended[row] or tuple(state.texts(eos=False)[0]) in texts


def ways_to_the_end(texts, policy, state, seen=()):
    """Whether some actions lead to a text of the language from a state that remembers what was tried."""
    legal = legal_actions(SMALL, state, policy.backspace)[0]
    tokens, ends = going_on(texts, tuple(state.texts()[0]))
    if ends and legal[SMALL.eos]:
        return True
    if any(legal[token] for token in tokens):  # forward there is a way always: nothing was tried on it yet
        return True
    if not legal[SMALL.backspace]:
        return False
    return ways_to_the_end(texts, policy, transition(SMALL, state, torch.tensor([SMALL.backspace])))


@settings(max_examples=30)
@given(cases(), st.integers(0, 99), st.booleans())
def test_where_what_was_tried_is_forbidden_a_grammar_never_comes_to_a_dead_end(case, seed, by_rule):
    automaton, texts, policy, options = case
    if not texts:
        return
    policy.memory = PREFIX if by_rule else TRIED
    rules = [tabu(), grammar(automaton)] if by_rule else [grammar(automaton)]
    g = torch.Generator().manual_seed(seed)
    t = rollout_reference(policy, [[0]] * 3, rules=rules, generator=g, **options)
    for row in range(3):
        state = start(SMALL, t.prompts[row : row + 1], t.max_length, t.min_length, TRIED)
        for action, found in zip(t.actions[row, : t.lengths[row]], t.log_prob[row], strict=False):
            tokens, ends = going_on(texts, tuple(state.texts()[0]))
            legal = legal_actions(SMALL, state, policy.backspace)[0]
            allowed = [a for a in [*tokens, *([SMALL.eos] if ends else [])] if legal[a]]
            if legal[SMALL.backspace]:
                after = transition(SMALL, state, torch.tensor([SMALL.backspace]))
                allowed += [SMALL.backspace] if ways_to_the_end(texts, policy, after) else []
            law = torch.full((SMALL.num_actions,), -torch.inf, dtype=torch.float64)
            law[allowed] = policy.log_probs(state)[0, allowed]
            torch.testing.assert_close(found.double(), law.log_softmax(0)[action], rtol=0, atol=1e-5)
            state = transition(SMALL, state, action[None])


def often(boost):
    def warp(prefixes, rows, logits):
        return torch.cat([logits[:, :-1], logits[:, -1:] + boost], 1)

    return NamedRule("often", lambda policy: warp)


@cache
def zigzag():
    """Tokens go up and down in turn."""
    tokens = range(6)
    moves = {
        "start": {t: ("up", t) for t in tokens},
        **{("up", t): {u: ("down", u) for u in tokens if u < t} for t in tokens},
        **{("down", t): {u: ("up", u) for u in tokens if u > t} for t in tokens},
    }
    return Automaton("start", moves, frozenset(moves) - {"start"})


@settings(max_examples=8)
@given(
    st.sampled_from([PREFIX, TRIED, HISTORY]),
    st.lists(
        st.sampled_from(
            [grammar(zigzag()), ban([2, 1], [5]), processor("NoRepeatNGramLogitsProcessor", 2), min_p(0.1), often(1.5)]
        ),
        min_size=1,
        max_size=4,
        unique_by=str,
    ),
    st.integers(1, 3),
    st.integers(0, 999),
)
def test_rollouts_equal_the_reference(memory, rules, lanes, seed):
    policy = tiny_policy("gpt2")
    kept, policy.memory = policy.memory, memory
    try:
        options = {"max_length": 5, "min_length": 1, "max_actions": 24, "rules": rules}
        starts, g = [[0], [1, 2], [6, 3, 2], [5]], torch.Generator()
        slow = rollout_reference(policy, starts, generator=g.manual_seed(seed), **options)
        for batch in (None, lanes):
            fast = rollout(policy, starts, generator=g.manual_seed(seed), batch_size=batch, **options)
            assert torch.equal(fast.actions, slow.actions)
            torch.testing.assert_close(fast.log_prob, slow.log_prob, rtol=0, atol=1e-6)
    finally:
        policy.memory = kept


words = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3), min_size=1, max_size=3)


@given(words, st.lists(st.integers(0, 2), min_size=1, max_size=6), st.integers(1, 6))
def test_a_ban_is_that_of_transformers_where_nothing_was_deleted(sequences, text, cut):
    cut = min(cut, len(text))
    allowed = ban(*sequences).allows(TablePolicy(SMALL))(Standing(text[:cut], text[cut:], 9, 0))
    ids, scores = torch.tensor([text]), torch.zeros(1, 5)
    expected = NoBadWordsLogitsProcessor(sequences, SMALL.eos)(ids, scores)[0, :4].isfinite()
    assert torch.equal(allowed, expected)


@settings(max_examples=15)
@given(words, st.integers(0, 99))
def test_what_is_banned_never_stands(sequences, seed):
    policy = TablePolicy(SMALL, seed, 1.0)
    if {(token,) for token in range(3)} <= {tuple(ids) for ids in sequences}:
        return
    t = rollout_reference(policy, [[0, 1]] * 4, max_length=6, max_actions=20, rules=[ban(*sequences)])
    for row in range(4):
        state = start(SMALL, t.prompts[row : row + 1], t.max_length)
        for action in t.actions[row, : t.lengths[row]]:
            state = transition(SMALL, state, action[None])
            (text,) = state.texts(prompt=True)
            for ids in sequences:
                assert not any(text[i : i + len(ids)] == ids for i in range(max(0, 3 - len(ids)), len(text)))


@cache
def of_bytes(folder):
    (folder / "a.txt").write_text("the cat sat on the mat; 3 + 4 = 7. " * 9, encoding="utf-8")
    return Text(folder / "a.txt", prompt_length=4, max_length=12)


PATTERN = r"([a-c]|é)+( =[0-9]{1,3})?"


@given(text=st.text("abcé =019", max_size=8))
def test_a_regular_expression_allows_what_its_partial_matches_do(text, tmp_path_factory):
    task = of_bytes(tmp_path_factory.getbasetemp())
    v = task.vocabulary
    allows = grammar(PATTERN, reader=task).allows(TablePolicy(v))
    ids = list(text.encode())
    allowed = allows(Standing([0], ids, 40, 0)) if regex.fullmatch(PATTERN, text, partial=True) else None
    if allowed is None:
        return
    for character in "abcé =019x":
        first, *rest = character.encode()
        if not rest:
            assert bool(allowed[first]) == bool(regex.fullmatch(PATTERN, text + character, partial=True))
    assert bool(allowed[v.eos]) == bool(re.fullmatch(PATTERN, text))


@given(st.lists(st.sampled_from(["cat", "at", "é", "aé", "bb"]), min_size=1, max_size=3), st.text("abcté", max_size=9))
def test_a_word_is_banned_however_it_is_made_up(banned, text):
    v = Vocabulary(8, 7)
    spelled = [b"a", b"b", b"c", b"t", b"\xc3", b"\xa9", b"at"]

    class Reader:
        def decode(self, ids):
            return b"".join(spelled[i] for i in ids).decode(errors="replace")

        def pieces(self):
            return [*spelled, None]

    ids = [spelled.index(bytes([byte])) for byte in text.encode()]
    allowed = ban(*banned, reader=Reader()).allows(TablePolicy(v))(Standing([0], ids, 40, 0))
    for token, piece in enumerate(spelled):
        before, after = b"a" + text.encode(), b"a" + text.encode() + piece
        new = any(
            after[i : i + len(w.encode())] == w.encode() and i + len(w.encode()) > len(before)
            for w in banned
            for i in range(len(after))
        )
        assert bool(allowed[token]) != new
    assert bool(allowed[v.eos])
