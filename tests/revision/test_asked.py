"""What policies of whole texts are asked for wrongly is named in one line, and global randomness is nobody's."""

import random
from functools import partial

import numpy as np
import pytest
import torch

import seqil
from seqil.errors import InvalidInputError, SeqilError
from seqil.revision import EditPolicy, MaskedPolicy, ParallelPolicy
from seqil.revision.draws import with_repetition
from seqil.revision.edit_policy import Guide
from seqil.revision.final_laws import filled_law, final_log_probs
from seqil.revision.making import small_bert
from seqil.revision.resampling import filled, resample
from seqil.testing.agents import tiny_whole_text
from seqil.theory.conditionals import MarkovConditionals, communicating, gibbs

EDITING, MASKED, PARALLEL = (tiny_whole_text(kind).eval() for kind in (EditPolicy, MaskedPolicy, ParallelPolicy))
POLICIES = {"edits": EDITING, "masked": MASKED, "parallel": PARALLEL}
V = EDITING.vocabulary
LARGER = seqil.Vocabulary(V.size + 4, V.size + 3)
OPEN = seqil.begin_with(V, [[0], [1]], [[0], [1, 0]], 4)
FOREIGN = seqil.begin_with(LARGER, [[0], [1]], [[V.size + 1], [1]], 4)
ENDED = seqil.revise(EDITING.edits(4), OPEN, torch.full((2,), EDITING.edits(4).stop))
each = pytest.mark.parametrize("name", POLICIES)


def told(call, said, kind=InvalidInputError):
    with pytest.raises(kind, match=said) as refused:
        call()
    assert "\n" not in str(refused.value)


@each
def test_without_a_generator_the_key_is_fixed(name):
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first, again = (POLICIES[name].write([[0], [1]], max_length=4).trajectories for _ in range(2))
    assert torch.equal(first.actions, again.actions)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]
    assert random.getstate() == states[2]


def test_to_improve_without_a_generator_is_to_have_a_fixed_key():
    before = torch.get_rng_state()
    first, again = (EDITING.improve(OPEN, Guide(3))[2] for _ in range(2))
    assert first == again
    assert torch.equal(torch.get_rng_state(), before)


@each
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"generator": 5}, "generator=5 is not a torch.Generator"),
        ({"generator": "0"}, "generator='0'"),
        ({"min_length": 9}, "min_length=9 must lie in"),
        ({"min_length": -1}, "min_length=-1"),
        ({"min_length": 0.5}, "min_length=0.5"),
        ({"max_length": 2.5}, "max_length=2.5 is not a whole number"),
        ({"max_length": None}, "max_length=None"),
        ({"max_length": 0}, "max_length=0"),
        ({"max_length": 10**12}, "positions"),
        ({"temperature": "1"}, "temperature='1'"),
        ({"temperature": -1.0}, "temperature=-1"),
        ({"prompts": None}, "prompts must be lists"),
        ({"prompts": [[99]]}, "prompt token 99"),
    ],
)
def test_a_text_that_cannot_be_written_is_refused(name, options, said):
    given = {"prompts": [[0]], "max_length": 4, **options}
    told(lambda: POLICIES[name].write(**given), said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scorer": 3}, "scorer=3 is not a function of prefixes"),
        ({"scorer": lambda: 0}, "is not a function of prefixes"),
        ({"steps": 2.5}, "steps=2.5 is not a whole number"),
        ({"steps": "3"}, "steps='3' is not an int"),
        ({"steps": True}, "steps=True"),
        ({"candidates": None}, "candidates=None"),
        ({"candidates": 0}, "0 candidates"),
    ],
)
def test_a_guide_of_something_else_is_refused(options, said):
    told(lambda: Guide(**options), said)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (lambda p: torch.full((len(p),), torch.nan), "returned NaN"),
        (lambda p: [float("nan")] * len(p), "returned NaN"),
        (lambda p: None, "returned None; return a tensor"),
        (lambda p: 1.0, r"returned 1\.0"),
        (lambda p: torch.zeros(1), r"returned \(1,\)"),
        (lambda p: torch.zeros(len(p), 1), "return a tensor of a number for each of"),
        (lambda p: torch.zeros(len(p), dtype=torch.complex64), "return a tensor of a number for each of"),
    ],
)
def test_a_scorer_that_says_no_number_is_refused(scores, said):
    told(lambda: EDITING.improve(OPEN, Guide(2, 3, scores)), said)


def test_a_scorer_may_say_any_numbers():
    for scores in (lambda p: p.generated, lambda p: [0.5] * len(p), lambda p: torch.full((len(p),), -torch.inf)):
        assert len(EDITING.improve(OPEN, Guide(2, 3, scores))[0]) == len(OPEN)


def test_more_candidates_than_edits_are_refused_with_their_number():
    most = EDITING.edits(4).num_actions
    EDITING.improve(OPEN, Guide(1, most))
    told(lambda: EDITING.improve(OPEN, Guide(1, most + 1)), f"candidates={most + 1}: a text has {most} edits")
    told(lambda: EDITING.write([[0]], max_length=4, guide=Guide(1, 10**5)), "candidates=100,000: a text has")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: EDITING.improve(None, Guide()), "prefixes=None is not a seqil.Prefixes"),
        (lambda: EDITING.improve(OPEN, None), "guide=None is not a Guide"),
        (lambda: EDITING.write([[0]], max_length=4, guide=3), "guide=3 is not a Guide"),
        (lambda: EDITING.improve(FOREIGN, Guide()), "the states are not over"),
        (lambda: EDITING.improve(OPEN, Guide(), 5), "generator=5"),
        (lambda: EDITING.improve(OPEN, Guide(), stop="no"), "stop='no'"),
        (lambda: EDITING.log_probs(None), "prefixes=None"),
        (lambda: EDITING.log_probs(FOREIGN), "the states are not over"),
        (lambda: EDITING.log_probs(OPEN, tags=torch.tensor([1])), r"tags have shape \(1,\)"),
        (lambda: EDITING.log_probs(OPEN, tags=torch.tensor([5, 0])), "hold 5"),
        (lambda: EDITING.log_probs(OPEN, tags=torch.tensor([-1, 0])), "hold -1"),
        (lambda: EDITING.log_probs(OPEN, tags=torch.tensor([1.0, 0.0])), "are no integers"),
        (lambda: EDITING.log_probs(OPEN, tags="raise"), "tags='raise'"),
        (lambda: MASKED.conditionals(ENDED, torch.ones(2, 5)), r"bool \[2, 5\].*float32"),
        (lambda: MASKED.conditionals(ENDED, torch.ones(2, 4) > 0), r"bool \[2, 5\].*\(2, 4\)"),
        (lambda: MASKED.conditionals(ENDED, None), "got None"),
        (lambda: MASKED.conditionals(None, torch.ones(2, 5) > 0), "prefixes=None"),
        (lambda: MASKED.conditionals(FOREIGN, torch.ones(2, 5) > 0), "they go from 0 to"),
        (lambda: PARALLEL.law(None), "prefixes=None"),
        (lambda: PARALLEL.law(FOREIGN), "the states are not over"),
        (lambda: PARALLEL.log_prob(OPEN), "text 0 has not ended; end it"),
        (lambda: PARALLEL.log_prob(None), "prefixes=None"),
        (lambda: PARALLEL.log_prob(ENDED, 3), r"the law is float \[2, 5"),
        (lambda: PARALLEL.log_prob(ENDED, PARALLEL.law(OPEN)[:1]), "the law is float"),
    ],
)
def test_states_masks_and_tags_that_are_none_are_named(call, said):
    told(call, said)


def test_tags_may_be_a_list():
    assert torch.equal(EDITING.log_probs(OPEN, [0, 1]), EDITING.log_probs(OPEN, torch.tensor([0, 1])))


@pytest.mark.parametrize("kind", [EditPolicy, MaskedPolicy, ParallelPolicy])
@pytest.mark.parametrize(
    ("options", "said"),
    [({"mask": 1.5}, "mask=1.5"), ({"mask": "0"}, "mask='0'"), ({"mask": 99}, "mask=99 is no row")],
)
def test_a_mask_that_is_no_row_is_refused(kind, options, said):
    told(lambda: kind(EDITING.model, V, **options), said)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: MaskedPolicy(EDITING.model, V, quality="yes"), "quality='yes' is not a bool"),
        (lambda: EditPolicy(EDITING.model, V, kinds=3), "kinds=3"),
        (lambda: EditPolicy(EDITING.model, None), "vocabulary=None"),
        (lambda: EditPolicy(None, V), "None"),
    ],
)
def test_a_policy_of_other_options_is_refused(call, said):
    told(call, said, SeqilError)


@each
@pytest.mark.parametrize("folder", [None, 3, b"there"])
def test_a_folder_that_is_none_is_named(name, folder):
    for act in (POLICIES[name].from_pretrained, POLICIES[name].save_pretrained):
        told(partial(act, folder), "folder=")


@each
def test_a_folder_that_cannot_be_written_is_named(name):
    for folder in ("/dev/null/x", "/proc/nowhere"):
        told(partial(POLICIES[name].save_pretrained, folder), f"cannot write {folder}.*choose another", SeqilError)
    told(partial(POLICIES[name].save_pretrained, ""), "is empty")


EXACT = MarkovConditionals(V, torch.full((V.size,) * 3, 1 / V.size, dtype=torch.float64))
WHOLE = seqil.Trajectories.from_actions(V, [[0, 1]], [[0, 1, V.eos]], max_length=2, min_length=2).replay()
EMPTY = seqil.start(V, [[0, 1]], 2, 2)
HIDDEN = torch.ones(1, 2, dtype=torch.bool)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: resample(EXACT, WHOLE, 1, 1, "quality"), "MarkovConditionals has no head for quality; take another"),
        (lambda: resample(MASKED, WHOLE, 1, 1, "quality"), "no head for quality"),
        (lambda: resample(EDITING, WHOLE, 1, 1), "policy=EditPolicy has no conditionals.*give a MaskedPolicy"),
        (
            lambda: resample(EXACT, WHOLE, 1, 10**9),
            r"1,000,000,000 sweeps would be .* readings of the policy.*lower sweeps",
        ),
        (lambda: resample(None, WHOLE, 1, 1), "policy=None has no conditionals of cells; give a MaskedPolicy"),
        (lambda: filled(PARALLEL, EMPTY), "filled: policy=ParallelPolicy has no conditionals"),
        (lambda: filled(None, EMPTY), "filled: policy=None has no conditionals"),
        (lambda: filled(EXACT, WHOLE), "filled: prompt 0 has 3 tokens behind it, to be lost; give prompts alone"),
        (lambda: filled(MASKED, seqil.begin_with(V, [[0], [1]], [[], [2]], 4)), "prompt 1 has 1 token behind it"),
        (lambda: filled_law(None, [0], 2), "filled_law: policy=None has no conditionals"),
        (lambda: filled_law(MASKED, [0], 0), "max_length=0: at least one token"),
        (lambda: filled_law(MASKED, [0], 2, sweeps=-1), "sweeps=-1"),
        (lambda: filled_law(MASKED, [0], 2.5), r"length=2\.5 is not a whole number"),
        (lambda: final_log_probs(None, None), "texts=None is not a seqil.Trajectories"),
        (lambda: final_log_probs(MASKED, WHOLE), r"is not a seqil\.Trajectories"),
    ],
)
def test_what_has_no_conditionals_and_what_they_cannot_be_asked_is_named(call, said):
    told(call, said)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: EXACT.conditionals(EMPTY, torch.ones(1, 3) > 0), r"bool \[1, 2\].*\(1, 3\)"),
        (lambda: EXACT.conditionals(EMPTY, torch.ones(1, 2)), r"bool \[1, 2\].*float32"),
        (lambda: EXACT.conditionals(None, HIDDEN), "prefixes=None"),
        (lambda: EXACT.conditionals(FOREIGN, HIDDEN), "they go from 0 to"),
        (lambda: EXACT.conditionals(seqil.start(V, [[0, 1], [0]], 2, 2), HIDDEN.expand(2, -1)),
         "prompt 1 has 1 token, the law looks back 2; give as many at least"),
        (lambda: EXACT.entropies(seqil.start(V, [[0]], 2, 2)), "prompt 0 has 1 token"),
        (lambda: EXACT.entropies(None), "prefixes=None"),
        (lambda: MarkovConditionals(LARGER, torch.ones(5, 5, dtype=torch.float64)), r"here of V=9; got \(5, 5\)"),
        (lambda: MarkovConditionals(V, torch.ones(5, 4)), r"got \(5, 4\)"),
        (lambda: MarkovConditionals(V, torch.ones(5)), r"got \(5,\)"),
        (lambda: MarkovConditionals(V, None), "got None"),
        (lambda: MarkovConditionals(None, torch.ones(5, 5)), "vocabulary=None"),
        (lambda: gibbs(np.ones((2, 2)), [[2]]), r"block \[2\] is no set of cells; give some of 0 to 1"),
        (lambda: gibbs(np.ones((2, 2)), [[-1]]), r"block \[-1\]"),
        (lambda: gibbs(np.ones((2, 2)), [[0, 0]]), "each of them once"),
        (lambda: gibbs(np.ones((2, 2)), [[0], []]), r"block \[\] is no set"),
        (lambda: gibbs(np.ones((2, 2)), []), r"blocks=\[\] are no lists of cells"),
        (lambda: gibbs(np.ones((2, 2)), [0, 1]), r"blocks=\[0, 1\] are no lists"),
        (lambda: gibbs(np.ones((2, 3)), [[0]]), r"a dimension for each cell; got \(2, 3\)"),
        (lambda: gibbs(None, [[0]]), "got None"),
        (lambda: gibbs(np.zeros((2, 2)), [[0]]), "negative or not finite, or none"),
        (lambda: gibbs(-np.ones((2, 2)), [[0]]), "negative"),
        (lambda: gibbs(np.ones((2,) * 24), [[0]]), r"a chain on 16,777,216 texts would take 8,388,608 GiB"),
        (lambda: communicating([[0, 1], [1, 1]], 0), r"block=0 must lie in 1\.\.2"),
        (lambda: communicating([[0, 1], [1, 1]], 3), "block=3"),
        (lambda: communicating([[0, 1], [1]], 1), "no one length"),
        (lambda: communicating([], 1), "give one text at least"),
        (lambda: communicating([[0, 1], [0, 1]], 1), "a text is given twice"),
        (lambda: communicating([[0, 1]], 1.5), r"block=1\.5 is not a whole number"),
    ],
)  # fmt: skip
def test_what_has_no_exact_conditionals_is_refused(call, said):
    told(call, said)


def test_a_text_of_more_edits_than_can_be_drawn_from_at_once_is_written():
    v = seqil.Vocabulary(30522, 0)
    policy = EditPolicy(small_bert(v, 320, 1, 16, 2, 0), v)
    assert policy.edits(275).num_actions > 2**24
    g = torch.Generator().manual_seed(0)
    written = policy.write([[5]], max_length=275, generator=g, guide=Guide(2, candidates=2))
    assert len(written.revisions[0]) == 2
    assert written.trajectories.ended.all()


@pytest.mark.parametrize("most", [5, 4])
def test_edits_are_drawn_as_often_as_their_weights_say(monkeypatch, most):
    """By torch itself, and where it has too many of them by sums."""
    monkeypatch.setattr("seqil.revision.draws._MOST_DRAWN_FROM", most)
    weights, n = torch.tensor([[0.0, 0.1, 0.2, 0.0, 0.7], [0.5, 0.0, 0.0, 0.5, 0.0]]), 4000
    found = with_repetition(3 * weights, n, torch.Generator().manual_seed(0))
    assert found.shape == (2, n)
    for row, law in zip(found, weights, strict=True):
        counted = torch.bincount(row, minlength=5) / n
        assert ((counted - law).abs() <= 4 * (law * (1 - law) / n).sqrt()).all()
    assert abs(float((found[:, 1:] == found[:, :-1]).double().mean()) - 0.52) < 0.04


def test_the_least_of_all_uniforms_draws_no_edit_that_is_illegal(monkeypatch):
    monkeypatch.setattr("seqil.revision.draws._MOST_DRAWN_FROM", 2)
    monkeypatch.setattr(torch, "rand", lambda *size, dtype, **_: torch.zeros(*size, dtype=dtype))
    assert with_repetition(torch.tensor([[0.0, 0.25, 0.75], [0.5, 0.5, 0.0]]), 1, torch.Generator()).tolist() == [
        [1],
        [0],
    ]
