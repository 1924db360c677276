"""DAgger for edits, row by row in plain Python."""

import pytest
import torch

import seqil
from agents.revising.edit_dagger import EditDAgger, at_random, chosen
from seqil import Trajectories, Vocabulary
from seqil.errors import InvalidInputError
from seqil.learning.training import Training
from seqil.mdp.edits import KINDS
from seqil.randomness import seeded
from seqil.revision import EditPolicy
from seqil.revision.draws import uniforms
from seqil.revision.edit_experts import edit_distances, edit_towards
from seqil.testing.agents import tiny_demonstrations, tiny_whole_text

V = Vocabulary(5, 4)


def lively():
    """An untrained policy in float64 whose laws are far from uniform."""
    policy = tiny_whole_text(EditPolicy).double().eval()
    with seeded(1), torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return policy


def inside_cdf(law, uniform):
    """The first edit at which the running sum of a law exceeds a share of it."""
    mass, whole = 0.0, sum(law)
    for edit, p in enumerate(law):
        mass += p
        if mass > uniform * whole:
            return edit
    return len(law) - 1


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@torch.no_grad()
def test_the_loss_is_the_expert_s_word_on_texts_that_edits_led_to(share):
    policy, states, steps = lively(), 3, 4
    agent = EditDAgger(policy, edits=steps, states=states, steps=9)
    agent.loss.share = share
    terms, met = [], set()
    data = Trajectories.from_actions(V, [[2]] * 3, [[1, 3, 4], [0, 2, 2, 4], [4]], max_length=3)
    agent.loss.calls.fill_(7)
    edits = policy.edits(3)
    expert = edit_towards(edits)
    for row in range(3):
        one = data.select([row])
        right = one.replay()
        chance = uniforms(data, 4 + 2 * steps + states, 7)[row].tolist()
        length = int(chance[0] * 4)
        text = [int(c * 4) for c in chance[1 : 1 + length]]
        way = [seqil.begin_with(V, [[2]], [text], 3)]
        for step in range(steps):
            who, which = chance[4 + 2 * step : 6 + 2 * step]
            said = expert(way[-1], right)[0].tolist()
            if not (who < share and sum(said) > 0):
                said = policy.log_probs(way[-1])[0].exp().tolist()
            stands = way[-1].ended[0]
            action = edits.stop if stands else inside_cdf(said, which)
            way.append(seqil.revise(edits, way[-1], torch.tensor([action])))
        running = [state for state in way if not state.ended[0]]
        for which in chance[4 + 2 * steps :]:
            state = running[int(which * len(running))]
            met.add((row, *state.texts()[0]))
            law, log_p = expert(state, right)[0], policy.log_probs(state)[0].double()
            terms.append(-float(torch.where(law > 0, law * log_p, 0).sum()))
    found = agent.loss.losses(data, None)
    assert float(found["loss_correction"]) == pytest.approx(sum(terms) / len(terms), rel=1e-9)
    assert len(met) >= 4


@torch.no_grad()
def test_the_expert_alone_goes_the_shortest_way_and_arrives():
    policy, data = lively(), tiny_demonstrations(backspace=False)
    agent = EditDAgger(policy, steps=9)  # as many edits as any text can need
    assert float(agent.loss.losses(data, None)["reached"]) == 1
    right, edits = data.replay(), policy.edits(6)
    states = at_random(edits, right, uniforms(data, 7, 0))
    left = None
    for step in range(8):
        pairs = zip(states.texts(eos=False), right.texts(eos=False), strict=True)
        now = [float(edit_distances(KINDS, torch.tensor([a]), torch.tensor([b]))[0, -1, -1]) for a, b in pairs]
        if left is not None:
            assert now == [max(0.0, n - 1) for n in left]
        chance = torch.full((len(data), 2), step / 8, dtype=torch.float64)
        agent.loss.share = 1.0
        left, states = now, agent.loss._edited(edits, edit_towards(edits), states, right, chance)
    assert max(left) == 0
    agent.loss.share = 0.0
    assert float(agent.loss.losses(data, None)["reached"]) < 0.5


def test_texts_begin_with_any_legal_length_and_any_token_but_the_end():
    right = seqil.begin_with(V, [[2, 1], [3]], [[0], [0]], 3, 1)
    edits, seen = seqil.Edits(V, 3), set()
    chance = torch.rand(400, 2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for some in chance:
        begun = at_random(edits, right, some)
        assert [row[: len(prompt)] for row, prompt in zip(begun.texts(prompt=True), ([2, 1], [3]), strict=True)] == [
            [2, 1],
            [3],
        ]
        seen |= {tuple(text) for text in begun.texts()}
    assert seen == {(a,) for a in range(4)} | {(a, b) for a in range(4) for b in range(4)} | {
        (a, b, c) for a in range(4) for b in range(4) for c in range(4)
    }


def test_texts_are_chosen_alike_among_those_that_have_not_stopped():
    edits = seqil.Edits(V, 2)
    first = seqil.begin_with(V, [[0], [1]], [[1], [2]], 2)
    second = seqil.revise(edits, first, torch.tensor([edits.stop, edits.insert(0, 3)]))
    which = torch.linspace(0, 0.99, 10, dtype=torch.float64).expand(2, -1)
    found, of = chosen([first, second], which)
    assert of.tolist() == [0] * 10 + [1] * 10
    assert found.texts() == [[1]] * 10 + [[2]] * 5 + [[3, 2]] * 5
    assert not bool(found.ended.any())


def test_it_learns_to_reach_from_wherever_it_comes_to():
    """One answer to each of four prompts; before training next to none is reached, afterwards nearly all."""
    texts = [[1, 1, 4], [3, 0, 4], [2, 4], [0, 3, 4]]
    data = Trajectories.from_actions(V, [[0], [1], [2], [3]] * 8, texts * 8, max_length=2)
    policy = tiny_whole_text(EditPolicy)
    agent = EditDAgger(policy, steps=250, learning_rate=1e-2)
    shares, reached = [], 0.0
    training = Training(agent, data, generator=torch.Generator().manual_seed(0), batch_size=32)
    for _, metrics in training.run():
        shares.append(agent.loss.share)
        reached = metrics["reached"]
    assert shares[::62][:3] == pytest.approx([1.0, 0.504, 0.008])
    assert set(shares[125:]) == {0.0}
    written = policy.write([[0], [1], [2], [3]] * 25, max_length=2)
    right = [text == texts[i % 4] for i, text in enumerate(written.trajectories.replay().texts())]
    assert sum(right) > 75
    assert reached > 0.7


@pytest.mark.parametrize(
    ("options", "message"),
    [({"edits": 0}, "EditDAgger: edits=0 must be at least 1"), ({"states": 0}, "EditDAgger: states=0"),
     ({"anneal": 1.5}, "EditDAgger: anneal=1.5"), ({"warm_up": 0.5}, "has no warm-up, for it does not clone")],
)  # fmt: skip
def test_bad_options_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        EditDAgger(tiny_whole_text(EditPolicy), **options)


def test_a_demonstration_that_was_cut_is_refused():
    cut = Trajectories.from_actions(V, [[0]], [[1, 2]], max_length=3)
    with pytest.raises(InvalidInputError, match="a demonstration was cut before its eos"):
        EditDAgger(tiny_whole_text(EditPolicy), steps=3).update(cut)
