"""LoRA on the trunk with a backspace row of its own: trained, saved, reloaded, merged; and what wrappers hide."""

import warnings

import pytest
import torch
import transformers
from small_llama import V, demonstrations, generator, llama

from agents.behavior_cloning import BehaviorCloning
from agents.sequence_match import SequenceMatch
from seqil import TokenPolicy, Trajectories, rollout, train
from seqil.errors import InvalidInputError, UnsupportedModelError
from seqil.policy import evaluating
from seqil.randomness import seeded
from seqil.runs.experiment import make_policy
from seqil.runs.settings import ModelSettings, Settings

peft = pytest.importorskip("peft", reason="needs the extra `peft`")


def adapted(model=None, **options):
    options = {"r": 4, "target_modules": ["q_proj"], "init_lora_weights": False, **options}
    with seeded(0):
        return peft.get_peft_model(llama() if model is None else model, peft.LoraConfig(**options))


def values(policy):
    with evaluating(policy), torch.no_grad():
        return policy.step_values(demonstrations())


def same(a, b, tolerance=1e-6):
    torch.testing.assert_close(values(a).q, values(b).q, rtol=0, atol=tolerance)
    torch.testing.assert_close(values(a).v, values(b).v, rtol=0, atol=tolerance)


@pytest.mark.parametrize("agent", [BehaviorCloning, SequenceMatch])
def test_adapters_and_the_row_are_trained_and_nothing_else(agent, tmp_path):
    policy = TokenPolicy(adapted(), V)
    before = {name: p.detach().clone() for name, p in policy.named_parameters()}
    for _ in train(agent(policy, steps=4), demonstrations(), generator=generator()):
        pass
    moved = {name for name, p in policy.named_parameters() if not torch.equal(p, before[name])}
    assert "row" in moved
    assert moved == {name for name in before if "lora_" in name or name == "row"}
    assert policy.weight.shape == (V.size, 16)
    policy.save_pretrained(tmp_path)
    again = TokenPolicy.from_pretrained(tmp_path, V)
    same(policy, again)
    assert {n for n, p in again.named_parameters() if p.requires_grad} == moved
    same(policy, policy.merged(), 1e-5)
    assert not policy.merged().adapted
    policy.merged().save_pretrained(tmp_path / "merged")
    same(policy, TokenPolicy.from_pretrained(tmp_path / "merged"), 1e-5)


def test_adapters_of_a_model_in_a_folder_leave_it_there(tmp_path):
    plain = TokenPolicy(llama(), V)
    with torch.no_grad():
        plain.weight[V.backspace] += 1
    plain.save_pretrained(tmp_path / "lm")
    policy = TokenPolicy.from_pretrained(tmp_path / "lm")
    policy.model = adapted(policy.model)
    torch.testing.assert_close(policy.row.detach(), plain.weight[V.backspace].detach())
    policy.save_pretrained(tmp_path / "lora")
    assert not list((tmp_path / "lora").glob("model*"))
    assert not (tmp_path / "lora" / "base").exists()
    same(policy, TokenPolicy.from_pretrained(tmp_path / "lora"))


def test_a_folder_is_known_from_any_working_directory(tmp_path, monkeypatch):
    llama().save_pretrained(tmp_path / "lm")
    monkeypatch.chdir(tmp_path)
    policy = make_policy(Settings(model=ModelSettings(path="lm", lora=2)), V, 8)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    policy.save_pretrained("lora")
    assert not (tmp_path / "elsewhere" / "lora" / "base").exists()
    same(policy, TokenPolicy.from_pretrained("lora"))


@pytest.mark.parametrize("saved_before", [False, True])
def test_adapters_on_a_model_that_was_trained_since_bring_it_along(saved_before, tmp_path):
    """The folder that it came from holds other weights by then, though it bears the same name."""
    TokenPolicy(llama(), V).save_pretrained(tmp_path / "lm")
    policy = TokenPolicy.from_pretrained(tmp_path / "lm")
    if saved_before:
        policy.model = adapted(policy.model)
        policy.save_pretrained(tmp_path / "before")
        assert not (tmp_path / "before" / "base").exists()
        policy.model.requires_grad_(True)
    for _ in train(BehaviorCloning(policy, steps=3), demonstrations(), generator=generator()):
        pass
    if not saved_before:
        policy.model = adapted(policy.model)
    policy.save_pretrained(tmp_path / "lora")
    again = TokenPolicy.from_pretrained(tmp_path / "lora")
    same(policy, again)
    again.save_pretrained(tmp_path / "more")
    same(policy, TokenPolicy.from_pretrained(tmp_path / "more"))


def test_a_folder_of_fewer_bits_holds_the_weights_that_were_read_from_it(tmp_path):
    llama().bfloat16().save_pretrained(tmp_path / "lm")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "lm")
    policy = TokenPolicy(adapted(model), V)
    BehaviorCloning(policy)  # makes it float32
    policy.save_pretrained(tmp_path / "lora")
    assert not (tmp_path / "lora" / "base").exists()


def test_new_adapters_go_on_from_old_ones_and_keep_their_backspace(tmp_path):
    """A checkpoint of adapters as the model of a run with adapters of its own: nothing of it is lost."""
    old = TokenPolicy(adapted(), V)
    with torch.no_grad():
        old.row += torch.linspace(-1, 1, len(old.row))
    old.save_pretrained(tmp_path / "old")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        settings = Settings(model=ModelSettings(path=str(tmp_path / "old"), lora=2))
        new = make_policy(settings, V, 8)
        same(old, new, 1e-5)
        for _ in train(BehaviorCloning(new, steps=3), demonstrations(), generator=generator()):
            pass
        new.save_pretrained(tmp_path / "new")
        same(new, TokenPolicy.from_pretrained(tmp_path / "new"))
    assert not warned
    assert (values(new).q - values(old).q).abs().max() > 1e-3
    without = make_policy(Settings(model=ModelSettings(path=str(tmp_path / "old"), backspace=False)), V, 8)
    plain = Trajectories.from_actions(V, [[0]] * 4, [[1, 2, 3, 27]] * 4, max_length=8)
    with torch.no_grad(), evaluating(old), evaluating(without):
        torch.testing.assert_close(
            without.step_values(plain).log_prob, old.step_values(plain, backspace=False).log_prob, rtol=0, atol=1e-5
        )


def test_rollouts_are_those_of_the_merged_policy():
    policy = TokenPolicy(adapted(), V).eval()
    ours, merged = (rollout(p, [[0], [1, 2]], max_length=8, generator=generator()) for p in (policy, policy.merged()))
    assert torch.equal(ours.actions, merged.actions)
    torch.testing.assert_close(
        policy.step_values(ours).log_prob[ours.inside], ours.log_prob[ours.inside], rtol=0, atol=1e-5
    )


def test_adapters_of_the_head_are_called():
    policy = TokenPolicy(adapted(target_modules=["lm_head"]), V)
    before = [p.detach().clone() for n, p in policy.named_parameters() if "lora_" in n]
    for _ in train(BehaviorCloning(policy, steps=3), demonstrations(), generator=generator()):
        pass
    after = [p for n, p in policy.named_parameters() if "lora_" in n]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    same(policy, policy.merged(), 1e-5)


def test_a_hook_on_the_head_is_honoured():
    policy = TokenPolicy(llama(), V)
    plain = values(policy)
    policy.model.lm_head.register_forward_hook(lambda module, inputs, output: 2 * output)
    torch.testing.assert_close(values(policy).q, 2 * plain.q)
    t = rollout(policy, [[0]], max_length=8, generator=generator())
    torch.testing.assert_close(policy.step_values(t).log_prob[t.inside], t.log_prob[t.inside], rtol=0, atol=1e-5)


def test_values_of_a_head_that_is_called_have_the_gradient_of_its_matrix():
    fused, called = TokenPolicy(llama(), V), TokenPolicy(llama(), V)
    called.model.lm_head.register_forward_hook(lambda module, inputs, output: output)
    assert fused.fused
    assert not called.fused
    grads = []
    for policy in (fused, called):
        found = policy.step_values(demonstrations())
        (found.q.square().sum() + found.v.sum()).backward()
        grads.append([p.grad for p in policy.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_wrap_neither_copies_nor_resets():
    model = llama()
    policy = TokenPolicy.wrap(model, V)
    assert policy.model is model
    with torch.no_grad():
        policy.weight[V.backspace] += 1
    again = TokenPolicy.wrap(model, V)
    assert again.weight is policy.weight
    same(policy, again)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wrappers_that_would_be_bypassed_are_refused_by_name():
    policy = TokenPolicy(llama(), V)
    with pytest.raises(UnsupportedModelError, match="DataParallel works through the forward"):
        policy.model = torch.nn.DataParallel(policy.model)
    with pytest.raises(UnsupportedModelError, match="OptimizedModule works through the forward"):
        TokenPolicy(torch.compile(llama()), V)
    prompt = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    with pytest.raises(UnsupportedModelError, match="PROMPT_TUNING"), seeded(0):
        TokenPolicy(peft.get_peft_model(llama(), prompt), V)


def test_a_padded_head_asks_below_adapters_too():
    with pytest.raises(InvalidInputError, match="say whether row 28"):
        TokenPolicy(adapted(llama(vocab_size=64)), V)
    padded = llama(vocab_size=64)
    kept = TokenPolicy(adapted(padded), V, backspace_row="keep")
    assert torch.equal(kept.row, padded.lm_head.weight[28])
