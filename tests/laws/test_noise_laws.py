"""Noise: what it may write, where, and that nothing of it remains."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from seqil import Trajectories, Vocabulary, mistype, noise, start
from seqil.mdp.bans import Bans
from seqil.testing.agents import tiny_policy
from tests.subjects.list_model import RememberingRow, Row, cases


def noised(case, rate, burst, mask, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return mistype(case.v, case.trajectories, rate, noise.uniform(case.v, burst), generator, mask)


knobs = {"rate": st.sampled_from([0.2, 0.6]), "burst": st.integers(1, 3), "mask": st.booleans(),
         "seed": st.integers(0, 3)}  # fmt: skip


@given(cases(max_steps=6), st.fixed_dictionaries(knobs))
def test_replaying_gives_the_clean_text(case, knob):
    found, clean = noised(case, **knob).replay(), case.trajectories.replay()
    assert found.texts() == clean.texts()
    assert torch.equal(found.ended, clean.ended)


@given(cases(max_steps=6, backspace=False), st.fixed_dictionaries(knobs))
def test_mistakes_are_whole_bursts_before_a_genuine_token(case, knob):
    """Parse the noised rows back: wrong tokens, as many deletions, then the genuine action."""
    v, result = case.v, noised(case, **knob)
    for b, clean in enumerate(case.actions):
        row = result.actions[b, : result.lengths[b]].tolist()
        marks = result.imitate[b, : result.lengths[b]].tolist()
        at, state = 0, Row(case.prompts[b], case.max_length, case.min_length)
        for step, genuine in enumerate(clean):
            while burst := mistake(v, row, at, knob["burst"], case, state):
                assert row[at] != genuine
                assert v.eos not in row[at : at + burst]
                assert marks[at : at + 2 * burst] == [not knob["mask"]] * burst + [True] * burst
                at += 2 * burst
            assert row[at] == genuine
            assert marks[at] == case.imitate[b][step]
            state = state.take(v, genuine)
            at += 1
        assert at == len(row)


def mistake(v: Vocabulary, row: list, at: int, burst: int, case, state: Row) -> int:
    """Length of the burst that starts here: as long as asked for, or as the room allows; 0 if there is none."""
    n = min(burst, case.max_length - len(state.text))
    tokens, deletions = row[at : at + n], row[at + n : at + 2 * n]
    return n if n and v.size not in tokens and deletions == [v.size] * n else 0


@given(cases(max_steps=6), st.fixed_dictionaries(knobs))
def test_equal_seeds_give_equal_bytes(case, knob):
    one, other = noised(case, **knob), noised(case, **knob)
    assert torch.equal(one.actions, other.actions)
    assert torch.equal(one.imitate, other.imitate)


@given(cases(max_steps=6), st.integers(0, 2))
def test_a_token_without_weight_is_never_written(case, banned):
    v = case.v
    assume(banned < v.size)

    def weights(prefixes):
        found = torch.ones(len(prefixes), v.size)
        found[:, banned] = 0
        return found

    result = mistype(v, case.trajectories, 0.6, noise.Noise(weights, 2), torch.Generator().manual_seed(0))
    assert (result.actions == banned).sum() == (case.trajectories.actions == banned).sum()


V = Vocabulary(5, 4)
LONG = Trajectories.from_actions(V, [[0]] * 400, [[1, 2, 3, 1, 2, 3, 1, 2, 4]] * 400, max_length=8)


def test_the_rate_is_the_share_of_mistakes():
    """A try succeeds with probability .2, again and again: mistakes per token are .2 / .8, where there is room."""
    result = mistype(V, LONG, 0.2, noise.uniform(V), torch.Generator().manual_seed(0))
    mistakes = int((result.inside & ~result.imitate).sum())
    tokens = 400 * 8  # no room is left before eos
    assert abs(mistakes / tokens - 0.25) < 4 * (0.25 * 1.25 / tokens) ** 0.5


def test_different_seeds_differ():
    one, other = (mistype(V, LONG, 0.2, noise.uniform(V), torch.Generator().manual_seed(s)) for s in (0, 1))
    assert one.actions.shape != other.actions.shape or not torch.equal(one.actions, other.actions)


def test_the_models_own_mistakes_follow_the_model():
    """Wrong first tokens are drawn from pi without eos and the genuine token."""
    policy = tiny_policy().eval()
    clean = Trajectories.from_actions(V, [[0]] * 4000, [[1, 4]] * 4000, max_length=1)
    result = mistype(V, clean, 0.5, noise.model(policy), torch.Generator().manual_seed(0))
    drawn = result.actions[result.inside & ~result.imitate]
    p = policy.log_probs(start(V, [[0]], max_length=1))[0, : V.size].detach().exp()
    p[[1, 4]] = 0
    p /= p.sum()
    share = torch.bincount(drawn, minlength=V.size) / len(drawn)
    assert (share - p).abs().max() < 4 * 0.5 / len(drawn) ** 0.5
    assert share[1] == share[4] == 0


@given(cases(max_steps=10, row=RememberingRow), st.fixed_dictionaries(knobs))
def test_where_what_was_tried_is_forbidden_no_mistake_is_made_twice(case, knob):
    generator, clean = torch.Generator().manual_seed(knob["seed"]), case.trajectories
    source = noise.uniform(case.v, knob["burst"])
    result = mistype(case.v, clean, knob["rate"], source, generator, knob["mask"], memory="tried")
    Bans.of(result).check(result)
    assert result.replay().texts() == clean.replay().texts()


def test_mistakes_without_replacement_follow_the_weights():
    """The first and the second mistake at a prefix, by weights 1, 2, 4 of the tokens 1, 2, 3."""
    v = Vocabulary(6, 5)
    clean = Trajectories.from_actions(v, [[0]] * 6000, [[0, 5]] * 6000, max_length=1)
    given = torch.tensor([9.0, 1, 2, 4, 0, 9])
    source = noise.Noise(lambda prefixes: given.expand(len(prefixes), -1))
    result = mistype(v, clean, 0.9, source, torch.Generator().manual_seed(0), memory="tried")
    first = (
        torch.bincount(result.actions[result.actions[:, 0] != 0, 0], minlength=6) / (result.actions[:, 0] != 0).sum()
    )
    torch.testing.assert_close(first[1:4], torch.tensor([1, 2, 4]) / 7, rtol=0, atol=0.025)
    second = result.actions[(result.actions[:, 0] == 3) & (result.actions[:, 2] != 0), 2]
    assert float((second == 2).float().mean()) == pytest.approx(2 / 3, abs=0.04)
    mistakes = (result.actions == v.backspace) & result.inside
    assert int(mistakes.sum(1).max()) == 3  # then nothing is left
