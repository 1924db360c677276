"""The unlikelihood of a whole text after another prompt, by the policy's own laws; prompts that a task swaps."""

import math

import pytest
import torch
from built_in_agents import counted_on
from hypothesis import given
from hypothesis import strategies as st

import seqil
from agents.unlikelihood import log_complement
from agents.unlikelihood.mutual_exclusivity import ExclusivityLoss, MutualExclusivity, swap_of
from envs.tasks import Chain, Scan
from envs.tasks.grammars.scan import PRIMITIVES, commands, meaning
from seqil.errors import InvalidInputError
from seqil.revision.draws import uniforms
from seqil.testing.agents import tiny_demonstrations, tiny_policy

SCAN = Scan(copies=1)
COMMANDS = list(commands())


def test_the_loss_is_the_unlikelihood_of_texts_after_other_prompts():
    policy = tiny_policy(backspace=False).double().eval()
    data = tiny_demonstrations(backspace=False)
    found = ExclusivityLoss(policy, counted_on, 0.5).losses(data, None)["loss_exclusivity"]
    prompts = counted_on(data.prompts, uniforms(data, 2, 0))
    expected = []
    for prompt, own, text in zip(prompts.tolist(), data.prompts.tolist(), data.replay().texts(), strict=True):
        if prompt == own:
            continue
        log_p, state = 0.0, seqil.start(data.vocabulary, [prompt], data.max_length)
        for token in text:
            log_p += float(policy.log_probs(state)[0, token].detach())
            state = seqil.transition(data.vocabulary, state, torch.tensor([token]))
        expected.append(-math.log1p(-math.exp(log_p)))
    assert 0 < len(expected) < len(data)
    assert float(found.detach()) == pytest.approx(0.5 * sum(expected) / len(expected), rel=1e-9)


def test_a_text_that_is_certain_after_another_prompt_keeps_the_loss_finite():
    whole = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    found = log_complement(whole, torch.tensor([True, False]))
    found.backward()
    assert float(found.detach()) == pytest.approx(-math.log(1e-6), rel=1e-6)
    assert whole.grad.isfinite().all()


@given(
    words=st.sampled_from(COMMANDS), first=st.floats(0, 1, exclude_max=True), second=st.floats(0, 1, exclude_max=True)
)
def test_a_swapped_command_of_scan_means_something_else(words, first, second):
    prompt = SCAN.encode(" ".join(words))
    other = SCAN.swapped(torch.tensor([prompt]), torch.tensor([[first, second]], dtype=torch.float64))[0].tolist()
    if not {*PRIMITIVES} & {*words}:
        assert other == prompt
        return
    changed = {(a, b) for a, b in zip(prompt, other, strict=True) if a != b}
    assert len(changed) == 1
    old, new = (SCAN.words[token] for token in changed.pop())
    assert old in words
    assert new in SCAN.primitives
    assert SCAN.decode(other).split() == [new if word == old else word for word in words]
    assert SCAN.answer(other) != SCAN.answer(prompt)
    assert len(SCAN.answer(other)) == len(meaning(words)) + 1


def test_every_primitive_is_swapped_for_every_other():
    prompt = torch.tensor([SCAN.encode("walk and look")] * 400)
    chance = torch.rand(400, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = {SCAN.decode(row) for row in SCAN.swapped(prompt, chance).tolist()}
    others = SCAN.primitives
    assert found == {f"{w} and look" for w in others if w != "walk"} | {f"walk and {w}" for w in others if w != "look"}


def test_a_task_without_such_prompts_is_refused():
    assert swap_of(SCAN) == SCAN.swapped
    with pytest.raises(InvalidInputError, match="the task 'chain' has no `swapped`"):
        swap_of(Chain())
    with pytest.raises(InvalidInputError, match="alpha=-1"):
        MutualExclusivity(tiny_policy(), swap=counted_on, alpha=-1.0)
