"""Losses and moves of policies of whole texts against what their definitions say, cell by cell."""

import math

import pytest
import torch

import seqil
from agents.revising.ice import ICE, corrupted
from agents.revising.masked import Masked, drawn_set
from seqil import Trajectories, Vocabulary
from seqil.mdp.edits import DELETE, INSERT, STOP, SUBSTITUTE
from seqil.randomness import seeded
from seqil.revision import EditPolicy, MaskedPolicy
from seqil.revision.draws import uniforms
from seqil.revision.edit_policy import Guide
from seqil.revision.whole_text import open_texts
from seqil.testing.agents import tiny_demonstrations, tiny_whole_text

V = Vocabulary(5, 4)


def lively(kind, **options):
    """An untrained policy in float64 whose laws are far from uniform, all its heads among them."""
    policy = tiny_whole_text(kind, **options).double().eval()
    with seeded(1), torch.no_grad():
        for name, value in policy.named_parameters():
            if name.startswith("model."):
                value.add_(torch.randn_like(value) * 0.1)
            else:
                value.normal_()
    return policy


def total(prefixes):
    """An attribute: the sum of a text's tokens."""
    return torch.tensor([float(sum(text)) for text in prefixes.texts(eos=False)], dtype=torch.float64)


def inside_cdf(law, uniform):
    """The first token at which the running sum of a law exceeds a number."""
    mass = 0.0
    for token, p in enumerate(law):
        mass += p
        if mass > uniform:
            return token
    return len(law) - 1


@pytest.mark.parametrize("least", [0, 4])
def test_quality_is_asked_whether_what_was_drawn_is_what_stood_there(least):
    """With one text at a time: a policy that draws, cells that are hidden, and the head's own logits on the result."""
    policy, seen = lively(MaskedPolicy, quality=True), {True: 0, False: 0}
    agent = Masked(policy, block=3, quality=True, steps=3)
    W = 4 + (least < 4)
    for call in range(6):
        agent.loss.calls.fill_(call)
        for text in ([1, 2, 0, 3], [3, 3, 0, 1]):
            data = Trajectories.from_actions(V, [[2]], [[*text, 4]], max_length=4, min_length=least)
            found = float(agent.loss.losses(data, None)["loss_quality"].detach())
            cells = [*text, 4][:W]
            chance = uniforms(data, 1 + 2 * W, call)
            hidden = drawn_set(chance[:, : 1 + W], torch.ones(1, W, dtype=torch.bool), 3, False)[0].tolist()
            state = data.replay()
            beyond = least < 4 and hidden[4]
            masked = torch.tensor([[h or (beyond and i > 4) for i, h in enumerate(hidden)]])
            laws = policy.conditionals(state, masked)[0].exp().tolist()
            drawn = [inside_cdf(laws[i], float(chance[0, 1 + W + i])) if h else cells[i] for i, h in enumerate(hidden)]
            end = drawn.index(4) if 4 in drawn else W
            fed = torch.tensor([[2, *drawn[:end], *[4] * (W - end)]])
            logits = policy.quality_head(policy.read(fed, torch.ones_like(fed, dtype=torch.bool))[0])[0, 1:, 0]
            terms = []
            for i, h in enumerate(hidden):
                if h and i <= end:
                    right = drawn[i] == cells[i]
                    seen[right] += 1
                    p = 1 / (1 + math.exp(-float(logits[i].detach())))
                    terms.append(-math.log(p if right else 1 - p))
            assert found == pytest.approx(sum(terms) / max(len(terms), 1), rel=1e-6)
    assert min(seen.values()) >= 3


def test_with_one_cell_at_a_time_the_expected_loss_is_pseudo_likelihood():
    """Each call has the term of one cell, all cells come as often, and their mean is what Besag's sum says."""
    policy, text, calls = lively(MaskedPolicy), [1, 3, 0, 2], 1200
    agent = Masked(policy, block=1, steps=3)
    data = Trajectories.from_actions(V, [[2]], [[*text, 4]], max_length=4, min_length=4)
    state, terms = data.replay(), []
    for cell, token in enumerate(text):
        masked = torch.arange(4)[None] == cell
        terms.append(-float(policy.conditionals(state, masked)[0, cell, token].detach()))
    assert max(terms) - min(terms) > 0.3
    found = []
    with torch.no_grad():
        for call in range(calls):
            agent.loss.calls.fill_(call)
            found.append(float(agent.loss.losses(data, None)["loss_masked"]))
    which = [min(range(4), key=lambda i: abs(terms[i] - loss)) for loss in found]
    assert all(found[k] == pytest.approx(terms[i], rel=1e-9) for k, i in enumerate(which))
    assert all(abs(which.count(i) / calls - 0.25) < 4 * (0.25 * 0.75 / calls) ** 0.5 for i in range(4))
    mean = sum(terms) / 4
    spread = (sum((term - mean) ** 2 for term in terms) / 4 / calls) ** 0.5
    assert sum(found) / calls == pytest.approx(mean, abs=4 * spread)


def test_edits_that_lower_the_attribute_are_learned_under_the_tag_that_says_so():
    policy = lively(EditPolicy)
    agent = ICE(policy, attribute=total, delta=2.5, tag=True, corruptions=3, steps=3)
    data = tiny_demonstrations(backspace=False)
    right, logs, tags = open_texts(data), [], []
    for column in uniforms(data, 3, 0).unbind(1):
        wrong, back = corrupted(policy.edits(6), right, column)
        for row in range(len(data)):
            gain = float(total(right)[row] - total(wrong)[row])
            if back[row] >= 0 and 0 < abs(gain) <= 2.5:
                tags.append("raise" if gain > 0 else "lower")
                row_tags = torch.full((len(data),), {"raise": 0, "lower": 1}[tags[-1]])
                logs.append(float(policy.log_probs(wrong, row_tags)[row, back[row]].detach()))
    assert min(tags.count("raise"), tags.count("lower")) >= 3
    found = agent.loss.losses(data, None)
    assert float(found["loss_edit"].detach()) == pytest.approx(-sum(logs) / len(logs), rel=1e-9)
    assert float(found["kept"]) == pytest.approx(len(logs) / (3 * len(data)))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_of_the_drawn_edits_the_scorer_has_the_best_made(temperature):
    policy, shown = lively(EditPolicy), []
    begun = seqil.begin_with(V, [[0], [1, 2], [3]], [[0, 3], [1, 0, 2], [2]], 4)

    def scorer(prefixes):
        """Scores of the candidates, which are written down."""
        scores = total(prefixes) - 0.1 * prefixes.ended.double()
        shown.append((prefixes.texts(eos=False), scores.reshape(3, -1)))
        return scores

    after, _, _ = policy.improve(begun, Guide(1, 12, scorer), torch.Generator().manual_seed(0), temperature)
    ((texts, scores),) = shown
    for row, text in enumerate(after.texts(eos=False)):
        assert scores[row].min() < scores[row].max()
        assert text == texts[12 * row + int(scores[row].argmax())]


def test_without_a_scorer_the_likeliest_of_the_drawn_edits_is_made():
    policy = lively(EditPolicy)
    begun = seqil.begin_with(V, [[0], [1, 2]], [[0, 3], [1, 0, 2]], 4)
    after, _, done = policy.improve(begun, Guide(1, 12), torch.Generator().manual_seed(0), 0)
    best = policy.edits(4).split(policy.log_probs(begun).argmax(1))
    assert [row[0] for row in done] == list(zip(*(part.tolist() for part in best), strict=True))
    assert torch.equal(seqil.revise(policy.edits(4), begun, policy.log_probs(begun).argmax(1)).tokens, after.tokens)


def test_each_edit_has_the_logit_of_its_own_cell_and_head():
    """An insert that of the cell before its place, a deletion and a substitution of their cell, `stop` of the prompt's
    last."""
    policy, size, prompt, text = lively(EditPolicy), V.size, [1, 3], [0, 2, 2]
    begun = seqil.begin_with(V, [prompt], [text], 4)
    fed = torch.tensor([[*prompt, *text]])
    with torch.no_grad():
        hidden, own = policy.read(fed, torch.ones_like(fed, dtype=torch.bool), policy.tags(torch.tensor([[0]])))
        heads, own = policy.heads(hidden)[0].tolist(), own[0].tolist()
        found = policy.log_probs(begun)[0]
    edits, first, logits = policy.edits(4), len(prompt), {}
    for action in seqil.legal_edits(edits, begun)[0].nonzero()[:, 0].tolist():
        kind, place, token = (int(part) for part in edits.split(torch.tensor(action)))
        table, at, column = {
            INSERT: (heads, place - 1, token),
            DELETE: (heads, place, size),
            SUBSTITUTE: (own, place, token),
            STOP: (heads, -1, size + 1),
        }[kind]
        logits[action] = table[first + at][column]
    assert len(logits) == 4 * 4 + 3 + 3 * 3 + 1
    law = torch.tensor(list(logits.values()), dtype=torch.float64).log_softmax(0)
    torch.testing.assert_close(found[list(logits)].double(), law, rtol=1e-6, atol=1e-6)
    assert (found.isfinite().sum()) == len(logits)


def test_where_a_text_may_stay_it_does_unless_a_candidate_is_better():
    policy = lively(EditPolicy)
    begun = seqil.begin_with(V, [[0], [1, 2], [3]], [[3, 3, 3, 3], [0], [2, 3]], 4)

    def run(stay, steps=1):
        guide = Guide(steps, 6, lambda prefixes: total(prefixes), stay)
        return policy.improve(begun, guide, torch.Generator().manual_seed(0), stop=False)

    (best, _, made), (kept, _, staying) = run(False), run(True)
    for row, before in enumerate(total(begun).tolist()):
        better = float(total(best)[row]) > before
        assert kept.texts()[row] == (best if better else begun).texts()[row]
        assert staying[row] == (made[row] if better else [])
    assert kept.texts()[0] == [3, 3, 3, 3]  # nothing sums to more
    assert total(run(True, 8)[0]).ge(total(begun)).all()
    with pytest.raises(seqil.errors.InvalidInputError, match="stay=True asks whether an edit is better; give a scorer"):
        Guide(3, stay=True)


def test_worth_is_a_sum_over_the_cells_of_the_text_alone():
    policy = lively(EditPolicy, worth=True)
    texts = [[0, 3, 1], [2], []]
    begun = seqil.begin_with(V, [[0], [1, 2], [3]], texts, 4)
    found = policy.worth(begun)
    for row, (prompt, text) in enumerate(zip([[0], [1, 2], [3]], texts, strict=True)):
        fed = torch.tensor([[*prompt, *text]])
        hidden, _ = policy.read(fed, torch.ones_like(fed, dtype=torch.bool))
        cells = policy.worth_head(hidden)[0, len(prompt) :, 0]
        assert float(found[row].detach()) == pytest.approx(float(cells.sum().detach()), abs=1e-9)
    stopped = seqil.revise(policy.edits(4), begun, torch.full((3,), policy.edits(4).stop))
    torch.testing.assert_close(policy.worth(stopped)[1], policy.worth(stopped.select([1]))[0])


def test_what_is_learned_of_the_attribute_chooses_and_is_paid_for():
    """Enough of it is learned to rank texts; every candidate is read, which the count of cells says."""
    policy = tiny_whole_text(EditPolicy, worth=True).double()
    agent = ICE(policy, attribute=total, worth=True, steps=150, learning_rate=1e-2)
    texts = [[*row, 4] for row in torch.randint(4, (64, 4), generator=torch.Generator().manual_seed(0)).tolist()]
    data = Trajectories.from_actions(V, [[2]] * 64, texts, max_length=4)
    with torch.random.fork_rng([]):
        losses = [agent.update(data)["loss_worth"] for _ in range(150)]
    assert losses[-1] < 0.05 * losses[0]
    alone = ICE(tiny_whole_text(EditPolicy), attribute=total, corruptions=3, steps=3)
    assert ICE(policy, attribute=total, corruptions=3, worth=True, steps=3).positions(data, None) == pytest.approx(
        alone.positions(data, None) * 4 / 3
    )
    begun = seqil.begin_with(V, [[2]] * 2, [[0, 1, 0, 0], [1, 1, 0]], 4)
    guide = policy.manner(None, steps=1, candidates=8, attribute="learned", stay=True)["guide"]
    after, fed, _ = policy.improve(begun, guide, torch.Generator().manual_seed(3), stop=False)
    assert total(after).gt(total(begun)).all()
    assert all(abs(int(cells) - 10 * n) <= 8 for cells, n in zip(fed, begun.length.tolist(), strict=True))
    ends = Guide(4, policy.edits(4).num_actions, lambda prefixes: total(prefixes) + 9 * prefixes.ended, stay=True)
    assert not policy.improve(begun, ends, temperature=0)[0].ended.any()
    own = policy.edits(4, 4)  # of texts of one length, which have as many substitutions as there are
    least = seqil.begin_with(V, [[2]], [[0, 1, 0, 0]], 4, 4)
    every = Guide(1, own.num_actions, lambda prefixes: -total(prefixes) + 9 * (prefixes.tokens == V.eos).any(1))
    changed, _, ((edit,),) = policy.improve(least, every, temperature=0, stop=False)
    assert edit[2] != V.eos
    assert (changed.tokens != least.tokens).sum() == 1
    with pytest.raises(seqil.errors.InvalidInputError, match="make it, and the agent, with worth=True"):
        tiny_whole_text(EditPolicy).worth(begun)
    with pytest.raises(seqil.errors.InvalidInputError, match="this policy has learned none"):
        tiny_whole_text(EditPolicy).manner(None, attribute="learned")
    with pytest.raises(seqil.errors.InvalidInputError, match="worth needs a policy with worth=True"):
        ICE(tiny_whole_text(EditPolicy), attribute=total, worth=True)
