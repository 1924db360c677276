"""Success against actions spent is read off one long sample, and rules are chosen on other items than are measured."""

from dataclasses import replace

import pytest
import torch
from small_studies import PLACE

from agents.behavior_cloning import BehaviorCloning, BehaviorCloningLoss
from benchmarks.compounding_error.running import budgets, measurement
from benchmarks.compounding_error.running.budgets import success_by_budget, truncated
from benchmarks.compounding_error.study import Decoding
from envs.tasks import Chain
from seqil import Chosen, ModelSettings, Settings, decoding, metrics, rollout
from seqil.errors import InvalidInputError
from seqil.runs.experiment import make_training

TASK = Chain(2)
EVEN = "success", lambda task, prompt, text: bool(text) and text[0] % 2 == 0
"""What an untrained model can be right in."""
PROMPTS = TASK.prompts(40, "test", 0)


@pytest.fixture(scope="module")
def policy():
    """One that deletes a quarter of the time."""
    model = ModelSettings(layers=1, width=16, heads=2)
    settings = Settings(task=Chosen("chain", {"delay": 2}), agent=Chosen("bc"), model=model)
    made = make_training(settings, TASK).policy
    with torch.no_grad():
        made.weight.mul_(30)
    return made


def sample(policy, most, rules=("backspace_bias=2",)):
    return rollout(
        policy, PROMPTS, max_length=3, min_length=3, max_actions=most, rules=list(map(decoding.parse, rules)),
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip


@pytest.mark.parametrize("rules", [(), ("backspace_bias=2",), ("tabu",), ("backspace_bias=2", "restart")])
@pytest.mark.parametrize("most", [1, 4, 7, 20])
def test_a_prefix_of_a_sample_is_the_sample_of_a_smaller_budget(policy, most, rules):
    cut, drawn = truncated(sample(policy, 20, rules), most), sample(policy, most, rules)
    for name in ("actions", "lengths", "ended", "imitate"):
        assert torch.equal(getattr(cut, name), getattr(drawn, name)), name
    assert torch.allclose(cut.log_prob, drawn.log_prob)
    assert cut.replay().texts() == drawn.replay().texts()


def test_success_at_a_budget_is_that_of_its_own_sample(policy, monkeypatch):
    monkeypatch.setattr(Chain, *EVEN)
    found = success_by_budget(TASK, whole := sample(policy, 40), whole.lengths, (4, 9, 40))
    for i, most in enumerate((4, 9, 40)):
        own = sample(policy, most)
        pairs = zip(metrics.prompt_lists(own), own.replay().texts(), strict=True)
        assert found["right"][i] == sum(
            TASK.success(p, t) for (p, t), done in zip(pairs, own.ended, strict=True) if done
        )
        assert found["ended"][i] == int(own.ended.sum())
        assert found["spent"][i] == pytest.approx(float(own.lengths.double().mean()))
    assert 0 < found["ended"][0] < found["ended"][2] <= found["n"] == 40


def test_rules_are_chosen_by_success_on_validation_items(policy, monkeypatch):
    monkeypatch.setattr(Chain, *EVEN)
    place = replace(PLACE, samples=20, max_actions=10, budgets=(4, 30))
    how = Decoding("bias", ("tabu",), candidates=(("backspace_bias=-9",), ("backspace_bias=9",)))
    best, choice = measurement.chosen(TASK, policy, how, place, 0)
    shares = []
    for bias in ("backspace_bias=-9", "backspace_bias=9"):
        found, _ = measurement.sampled(TASK, policy, Decoding("", (bias, "tabu")), TASK.prompts(300, "valid", 0), 10, 0)
        pairs = zip(metrics.prompt_lists(found), found.replay().texts(), strict=True)
        shares.append(sum(TASK.success(p, t) for (p, t), e in zip(pairs, found.ended, strict=True) if e) / len(found))
    assert choice == {"rules": ["backspace_bias=-9"], "valid": shares}
    assert shares[0] > shares[1] == 0  # who always deletes ends nothing
    assert best.rules == ("backspace_bias=-9", "tabu")
    with pytest.raises(InvalidInputError, match="measure on others"):
        measurement.chosen(TASK, policy, how, replace(place, split="valid"), 0)
    found = measurement.measured(TASK, policy, how, place, 1)
    assert (found["max_actions"], found["chosen"]) == (10, choice | {"valid": found["chosen"]["valid"]})
    assert found["by_budget"]["budgets"] == [4, 30]
    same = measurement.measured(TASK, policy, best, replace(place, budgets=()), 1)
    assert found["estimates"] == same["estimates"]  # the headline numbers know nothing of a longer sample
    assert budgets.headline(replace(place, max_actions=None), TASK) == 200


def test_who_restarts_deletes_all_or_nothing(policy):
    t = sample(policy, 40, ("backspace_bias=2", "restart"))
    pops = t.actions == TASK.vocabulary.backspace
    depth = torch.where(pops, -1, 1).mul(t.inside).cumsum(1)
    assert pops.sum() > 40
    goes_on = pops[:, :-1] & (depth[:, :-1] > 0) & t.inside[:, 1:]
    assert pops[:, 1:][goes_on].all()
    free = sample(policy, 40)
    pops = free.actions == TASK.vocabulary.backspace
    depth = torch.where(pops, -1, 1).mul(free.inside).cumsum(1)
    assert not pops[:, 1:][pops[:, :-1] & (depth[:, :-1] > 0) & free.inside[:, 1:]].all()


@torch.no_grad()
def test_a_smoothed_label_is_torchs(policy):
    demonstrations = TASK.demonstrations(6, "train", 0)
    loss = BehaviorCloningLoss(policy, smoothing=0.2).losses(demonstrations, None)["loss_behavior_cloning"]
    laws = policy.step_log_probs(demonstrations)
    each = []
    for row in range(6):
        for step in range(int(demonstrations.lengths[row])):
            law, taken = laws[row, step], demonstrations.actions[row, step]
            legal = law.isfinite()
            label = int(legal[:taken].sum())
            each.append(torch.nn.functional.cross_entropy(law[legal][None], torch.tensor([label]), label_smoothing=0.2))
    assert float(loss) == pytest.approx(float(torch.stack(each).mean()), rel=1e-5)
    plain = BehaviorCloningLoss(policy).losses(demonstrations, None)["loss_behavior_cloning"]
    almost = BehaviorCloningLoss(policy, smoothing=1e-7).losses(demonstrations, None)["loss_behavior_cloning"]
    assert float(almost) == pytest.approx(float(plain), rel=1e-4)
    with pytest.raises(InvalidInputError, match="smoothing=1"):
        BehaviorCloning(policy, smoothing=1.0)
