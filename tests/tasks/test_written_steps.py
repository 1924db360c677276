"""Tasks whose texts hold the steps of a calculation: laws against Python's integers and against enumeration."""

import itertools
import re
from collections import Counter
from fractions import Fraction

import pytest
import torch

from envs.tasks import Chain, Chains, Countdown, Multiplication
from seqil import legal_actions, start, transition
from seqil.errors import InvalidInputError
from seqil.testing import check_task


@pytest.mark.parametrize(
    "task",
    [
        *(Chains(), Chains(1, 5), Chains(16, 1), Multiplication(), Multiplication(2), Multiplication(8)),
        *(Countdown(), Countdown(3, 9), Countdown(5, 20)),
    ],
)
def test_they_keep_the_contract(task):
    check_task(task)


def written(task, prompt, text):
    """The state after a text, which may break off anywhere."""
    state = start(task.vocabulary, [prompt], task.max_length)
    for token in text:
        state = transition(task.vocabulary, state, torch.tensor([token]))
    return state


# -- chains


def test_one_link_of_chains_is_chain():
    one, chain = Chains(1, 3), Chain(3)
    for first, *functions in itertools.product(range(10), *[range(10, 18)] * 3):
        assert one.answer([first, *functions]) == chain.answer([first, *functions])


def test_the_teacher_of_chains_follows_from_what_stands_at_every_prefix():
    """Two links of one function: every text of values and one function, row by row."""
    task = Chains(2, 1)
    v, f, g = task.vocabulary, 3, 6
    prompt, table, other = [7, 10 + f, 10 + g], task.table.tolist(), 12
    right = task.answer(prompt)

    def following(text):
        at = len(text)
        base = {0: 7, 1: 7}.get(at, text[0] if text else None)
        if at == 4 or base == other:
            return right[at]
        return table[f if at < 2 else g][base]

    for n in range(5):
        texts = list(itertools.product((0, 4, 5, 9, other), repeat=n))
        state = start(v, [prompt] * len(texts), task.max_length, task.min_length)
        for at in range(n):
            state = transition(v, state, torch.tensor([text[at] for text in texts]))
        found = task.next_distribution(state)
        assert found.argmax(1).tolist() == [following(text) for text in texts]
        assert (found.amax(1) == 1).all()


def test_a_wrong_guess_comes_to_light_and_makes_those_after_it_wrong():
    task = Chains(5, 3)
    v, table = task.vocabulary, task.table
    for prompt in task.prompts(20, "test", 0):
        right = task.answer(prompt)
        guess = (right[4] + 1) % 10
        state = written(task, prompt, [*right[:4], guess])
        while not state.ended.all():
            state = transition(v, state, task.next_distribution(state).argmax(1))
        text = state.texts()[0]
        links = [text[at : at + 4] for at in range(0, 20, 4)]
        assert [links[1][0] == links[1][-1], *(link[0] == link[-1] for link in links[2:])] == [False, True, True, True]
        assert links[1][1:] == right[5:8]
        value = guess
        for link, at in zip(links[2:], (7, 10, 13), strict=True):
            for function in prompt[at : at + 3]:
                value = table[function - 10, value]
            assert link[0] == value
        assert task.first_error(prompt, text) == 4
        assert not task.success(prompt, text)


# -- multiplication


def test_the_published_example():
    task = Multiplication()
    prompt = ["0123456789*=".index(c) for c in "9173*9433="]
    assert task.decode(task.answer(prompt)) == "17433+067841(132281)+0075111(1397921)+00075111=13945421"


@pytest.mark.parametrize("digits", [2, 3, 5, 8])
def test_products_against_python(digits):
    task = Multiplication(digits)
    for prompt in task.prompts(100, "train", 0):
        a, b = (int(x[::-1]) for x in task.decode(prompt)[:-1].split("*"))
        assert 10 ** (digits - 1) <= min(a, b) <= max(a, b) < 10**digits
        steps, result = task.decode(task.answer(prompt)).split("=")
        first, *rest, last = steps.split("+")
        assert int(result[::-1]) == a * b
        total = int(first[::-1])
        assert total == a * (b % 10)
        for shift, step in enumerate(rest, 1):
            product, upto = step.removesuffix(")").split("(")
            assert int(product[::-1]) == a * (b // 10**shift % 10) * 10**shift
            total += int(product[::-1])
            assert int(upto[::-1]) == total
        assert total + int(last[::-1]) == a * b


def test_both_orders_of_the_factors_are_in_one_split():
    task = Multiplication(2)
    splits = {}
    for split, n in {"train": 6000, "valid": 300, "test": 300}.items():
        for prompt in task.prompts(n, split, 0):
            assert splits.setdefault(frozenset((tuple(prompt[:2]), tuple(prompt[3:5]))), split) == split


@pytest.mark.parametrize("at", [2, 8, 15, 22, 30])
def test_a_wrong_digit_is_carried_to_the_result(at):
    task = Multiplication()
    v = task.vocabulary
    for prompt in task.prompts(10, "test", 0):
        right = task.answer(prompt)
        state = written(task, prompt, [*right[:at], (right[at] + 3) % 10])
        while not state.ended.all():
            state = transition(v, state, task.next_distribution(state).argmax(1))
        text = state.texts()[0]
        numbers, expected = ([int(d[::-1]) for d in re.findall(r"\d+", task.decode(x))] for x in (text, right))
        # first, product 1, sum 1, product 2, sum 2, product 3, result
        wrong = {2: 0, 8: 1, 15: 2, 22: 3, 30: 4}[at]
        for total, (before, product) in {2: (0, 1), 4: (2, 3), 6: (4, 5)}.items():
            if total != wrong:
                assert numbers[total] == numbers[before] + numbers[product]
        assert [i for i in (0, 1, 3, 5) if numbers[i] != expected[i]] == [wrong] * (wrong in (0, 1, 3, 5))
        assert numbers[6] != expected[6]
        assert task.first_error(prompt, text) == at


def test_where_a_sum_is_of_no_numbers_the_right_digit_is_given():
    task = Multiplication(2)
    prompt = task.prompts(1, "test", 0)[0]
    right = task.answer(prompt)
    state = written(task, prompt, [task.vocabulary.size - 2, *right[1:9]])
    assert task.next_distribution(state).argmax(1).tolist() == [right[9]]


# -- countdown


def every_text(limit, numbers):
    """All texts that keep the rules, with their last result, by trying all orders of all pairs with fractions."""
    if len(numbers) == 1:
        return {((), numbers[0])}
    found = set()
    for i, j in itertools.permutations(range(len(numbers)), 2):
        a, b = numbers[i], numbers[j]
        rest = [n for at, n in enumerate(numbers) if at not in (i, j)]
        for sign, result in zip("+-*/", (a + b, a - b, a * b, Fraction(a, b)), strict=True):
            if a >= b and result.denominator == 1 and 1 <= result <= limit:
                step = (a - 1, limit + "+-*/".index(sign), b - 1, int(result) - 1)
                found |= {((*step, *text), end) for text, end in every_text(limit, [*rest, int(result)])}
    return found


@pytest.mark.parametrize("given", [(3, 5, 7), (1, 1, 2), (4, 4, 4), (2, 9, 8), (2, 3, 4, 6)])
def test_countdown_by_enumeration(given):
    limit = 12
    task, texts = Countdown(len(given), limit), every_text(limit, given)
    by_target = Counter(end for _, end in texts)
    g = torch.Generator().manual_seed(0)
    for target in range(1, limit + 1):
        prompt = [*(n - 1 for n in given), target - 1]
        if target not in by_target:
            with pytest.raises(InvalidInputError, match=r"^countdown: prompt .* is not \d numbers and a target"):
                task.next_distribution(start(task.vocabulary, [prompt], task.max_length))
            continue
        right = [text for text, end in texts if end == target]
        assert task.solutions(prompt) == len(right)
        for text, end in sorted(texts)[:: max(1, len(texts) // 40)]:
            n = int(torch.randint(0, task.max_length, (1,), generator=g))
            assert law(task, prompt, text[:n]) == expected_law(task, right, texts, text[:n])
            errors = [k for k in range(task.max_length) if not any(r[: k + 1] == text[: k + 1] for r in right)]
            assert task.first_error(prompt, text) == (errors[0] if errors else None)
            assert task.success(prompt, [*text, task.vocabulary.eos]) is (end == target)
            assert task.first_violation(prompt, text) == (None if end == target else task.max_length - 1)
            broken = [*text[:n], (text[n] + 1) % task.vocabulary.size]
            kept = any(list(other[: n + 1]) == broken for other, _ in texts)
            assert (task.first_violation(prompt, broken) == n) is not kept or n == task.max_length - 1


def law(task, prompt, text):
    row = task.next_distribution(written(task, prompt, text))[0]
    return {token: pytest.approx(p) for token, p in enumerate(row.tolist()) if p}


def expected_law(task, right, texts, text):
    for choice in (right, [other for other, _ in texts]):
        following = Counter(other[len(text)] for other in choice if other[: len(text)] == text)
        if following:
            return {token: n / following.total() for token, n in following.items()}
    return None


def test_demonstrations_of_countdown_are_uniform_over_the_right_texts():
    """Counts of the right texts of each prompt against their enumeration."""
    task = Countdown(3, 6)
    prompts, t = task.prompts(40_000, "train", 0), task.demonstrations(40_000, "train", 0)
    seen = Counter(zip(map(tuple, prompts), map(tuple, t.actions[:, :-1].tolist()), strict=True))
    of_prompt = Counter(map(tuple, prompts))
    z = []
    for prompt, n in of_prompt.items():
        *given, target = (token + 1 for token in prompt)
        right = {text for text, end in every_text(6, given) if end == target}
        assert {text for p, text in seen if p == prompt} <= right
        if n > 60:
            z += [(seen[prompt, text] - n / len(right)) / (n / len(right) * (1 - 1 / len(right))) ** 0.5
                  for text in right if len(right) > 1]  # fmt: skip
    assert len(z) > 100
    assert max(map(abs, z)) < 5
    assert sum(x * x for x in z) / len(z) == pytest.approx(1, abs=0.2)


def test_a_broken_rule_ends_the_teaching_and_confusions_are_never_right():
    task = Countdown()
    v = task.vocabulary
    for prompt in task.prompts(10, "test", 0):
        wrong = written(task, prompt, [task.limit])
        legal = legal_actions(v, wrong)[:, : v.size].double()
        assert torch.equal(task.next_distribution(wrong), legal / legal.sum())
        state = start(v, [prompt], task.max_length, task.min_length)
        for _ in range(task.max_length):
            found, weights = task.next_distribution(state), task.confusions(state)
            assert not (found * weights).any()
            token = found.argmax(1)
            state = transition(v, state, token)
        assert task.first_error(prompt, state.texts()[0]) is None
        assert not task.confusions(state).any()


@pytest.mark.parametrize(
    ("make", "culprit"),
    [
        (lambda: Chains(0), "chains: links=0"),
        (lambda: Chains(2, 0), "chains: delay=0"),
        (lambda: Chains(2, 1).answer([3, 10]), r"prompt \[3, 10\] is not a value and 2 functions"),
        (lambda: Multiplication(1), r"multiplication: digits=1 must be in 2\.\.8"),
        (lambda: Multiplication(9), "digits=9"),
        (lambda: Multiplication().answer([1, 10, 2, 11]), "is not a product of two numbers of 4 digits"),
        (lambda: Countdown(6), r"countdown: numbers=6 must be in 2\.\.5"),
        (lambda: Countdown(limit=100), "limit=100"),
        (
            lambda: Countdown(2, 9).success([0, 1, 8], []),
            r"is not 2 numbers and a target that they reach, all in 1\.\.9",
        ),
    ],
)
def test_bad_options_and_prompts_are_named(make, culprit):
    with pytest.raises(InvalidInputError, match=culprit):
        make()
