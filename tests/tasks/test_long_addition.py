"""Addition of long numbers against Python's integers; the law of one right answer against a row-by-row one."""

import re
from collections import Counter

import pytest
import torch

from envs.tasks import LongAddition
from seqil import start, transition
from seqil.errors import InvalidInputError
from seqil.testing import check_task


def operands(task, prompt):
    return [int(digits) for digits in re.fullmatch(r"(\d+)\+(\d+)=", task.decode(prompt)).groups()]


@pytest.mark.parametrize("options", [{}, {"reverse": True}, {"low": 32, "high": 32}])
def test_it_keeps_the_contract(options):
    check_task(LongAddition(**options))


@pytest.mark.parametrize("reverse", [False, True])
def test_sums_against_python(reverse):
    task = LongAddition(3, 32, reverse)
    prompts, t = task.prompts(500, "train", 0), task.demonstrations(500, "train", 0)
    for prompt, text in zip(prompts, t.replay().texts(eos=False), strict=True):
        digits = task.decode(text)
        assert (digits[::-1] if reverse else digits) == str(sum(operands(task, prompt)))
        assert len(text) <= task.max_length


def test_operands_are_uniform_over_the_numbers_of_a_uniform_length():
    task = LongAddition(3, 6)
    prompts = task.prompts(6000, "train", 0)
    pairs = [task.decode(prompt)[:-1].split("+") for prompt in prompts]
    assert all(len(a) == len(b) and "0" not in (a[0], b[0]) for a, b in pairs)
    lengths = Counter(len(a) for a, _ in pairs)
    assert all(abs(lengths[n] - 1500) < 5 * 34 for n in (3, 4, 5, 6))
    for place, first in ((0, 1), (1, 0), (2, 0)):
        seen = Counter(int(number[place]) for pair in pairs for number in pair)
        share = 1 / (10 - first)
        assert set(seen) == set(range(first, 10))
        assert all(abs(n - 12000 * share) < 5 * (12000 * share) ** 0.5 for n in seen.values())


def test_both_orders_of_the_operands_are_in_one_split():
    task = LongAddition(3, 3)
    sizes = {"train": 18_000, "valid": 1000, "test": 1000}
    splits = {split: {tuple(operands(task, p)) for p in task.prompts(n, split, 0)} for split, n in sizes.items()}
    swapped = {name: {(b, a) for a, b in pairs} for name, pairs in splits.items()}
    assert not splits["train"] & (swapped["valid"] | swapped["test"])
    assert not splits["valid"] & swapped["test"]
    assert splits["train"] & swapped["train"]
    reverse = LongAddition(3, 3, reverse=True)
    assert reverse.prompts(50, "test", 0) == task.prompts(50, "test", 0)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_law_is_the_right_digit_of_the_position_row_by_row(reverse):
    task, g = LongAddition(3, 5, reverse), torch.Generator().manual_seed(0)
    v, prompts = task.vocabulary, task.prompts(60, "test", 0)
    state = start(v, prompts, task.max_length + 3)
    for _ in range(task.max_length + 4):
        law = task.next_distribution(state)
        for row, (prompt, text) in enumerate(zip(prompts, state.texts(), strict=True)):
            right = task.answer(prompt)
            following = v.eos if v.eos in text else (right + [v.eos] * 20)[len(text)]
            assert law[row].tolist() == [float(token == following) for token in range(v.size)]
            assert (task.first_error(prompt, text) is None) == (text == right[: len(text)])
        guess = torch.randint(0, v.size, (60,), generator=g)
        state = transition(v, state, torch.where(torch.rand(60, generator=g) < 0.1, guess, law.argmax(1)))
    outcomes = {task.success(p, x) for p, x in zip(prompts, state.texts(), strict=True)}
    assert outcomes == {True, False}


def test_confusions_are_a_carry_too_many_or_too_few():
    task = LongAddition(reverse=True)
    state = start(task.vocabulary, task.prompts(50, "train", 0), task.max_length)
    weights = task.confusions(state)
    for prompt, row in zip(task.prompts(50, "train", 0), weights, strict=True):
        last = sum(operands(task, prompt)) % 10
        assert set(row.nonzero()[:, 0].tolist()) == {(last + 1) % 10, (last - 1) % 10}
    whole = task.demonstrations(50, "train", 0).replay()
    assert not task.confusions(whole).any()


@pytest.mark.parametrize("prompt", ["12+34", "12=34=", "+34=", "12+34=5", "1" * 9 + "+1=", "1+2+3="])
def test_a_prompt_that_is_no_sum_is_refused(prompt):
    task = LongAddition()
    ids = ["0123456789+=".index(character) for character in prompt]
    for ask in (task.answer, lambda p: task.success(p, [1]), lambda p: task.first_error(p, [1])):
        with pytest.raises(InvalidInputError, match=r"^long_addition: prompt .* is not a sum of two numbers"):
            ask(ids)
    with pytest.raises(InvalidInputError, match=r"^long_addition: prompt .* is not a sum of two numbers"):
        task.next_distribution(start(task.vocabulary, [ids], task.max_length))
    with pytest.raises(InvalidInputError, match="is not a sum"):
        task.answer([1, 12, 10, 2, 11])


@pytest.mark.parametrize(("low", "high"), [(2, 5), (6, 5), (3, 33)])
def test_bad_lengths_are_named(low, high):
    with pytest.raises(InvalidInputError, match=f"long_addition: low={low}, high={high} must"):
        LongAddition(low, high)
