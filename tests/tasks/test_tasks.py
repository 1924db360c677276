"""The tasks: laws against brute force, splits, and what is refused."""

import itertools
import json
from collections import Counter

import pytest
import torch

from envs.tasks import HMM, PCFG, Automaton, Chain, Dyck, NGram, PyDoc
from envs.tasks.answers.add_in_base import AddInBase, answer_to, in_base
from envs.tasks.answers.add_in_base import encode as encode_question
from seqil import Task, Trajectories, experts, start, transition
from seqil.errors import InvalidInputError
from seqil.runs import plugins
from seqil.testing import check_task

MADE = [Automaton, AddInBase, Chain, Dyck, HMM, NGram, PCFG, PyDoc]


@pytest.mark.parametrize("make", MADE)
def test_tasks_keep_the_contract(make):
    check_task(make())


# -- automaton


def test_automaton_tables():
    task = Automaton()
    allowed = (task.law > 0).sum(-1)[:15, :15]
    assert (allowed == 3).all()
    assert (torch.from_numpy(task.successors)[:15].sum(1) == 6).all()
    torch.testing.assert_close(task.law[:15, :15].sum(-1), torch.ones(15, 15, dtype=torch.float64))
    assert task.law[task.law > 0].min() >= 2 / 23
    assert not task.law[..., 15].any()


def test_automaton_demonstrations_follow_the_law():
    task = Automaton()
    t = task.demonstrations(3000, "train", 0)
    cells = torch.cat([t.prompts, t.actions[:, :-1]], 1)
    counts = torch.zeros(15, 15, 15, dtype=torch.float64)
    a, b, c = (cells[:, i : i + 64].flatten() for i in range(3))
    counts.index_put_((a, b, c), torch.ones(len(a), dtype=torch.float64), accumulate=True)
    n = counts.sum(-1, keepdim=True)
    p = task.law[:15, :15, :15]
    inside = (n > 200).expand_as(p) & (p > 0)
    z = (counts - n * p)[inside] / (n * p * (1 - p)).sqrt()[inside]
    assert not counts[p == 0].any()
    assert z.abs().max() < 5
    assert z.square().mean() == pytest.approx(1, abs=0.15)


def test_automaton_first_error_by_brute_force():
    task = Automaton(horizon=6)
    g = torch.Generator().manual_seed(0)
    law = task.law
    for row in torch.randint(0, 15, (200, 8), generator=g).tolist():
        expected = next((i for i in range(6) if law[row[i], row[i + 1], row[i + 2]] == 0), None)
        assert task.first_error(row[:2], row[2:]) == expected
    prompt, text = task.prompts(1, "test", 0)[0], task.demonstrations(1, "test", 0).actions[0].tolist()
    assert task.success(prompt, text)
    assert not task.success(prompt, text[:-1])
    assert task.first_error(prompt, [*text[:3], 15]) == 3


def test_automaton_judges_many_prefixes_as_each():
    task, g = Automaton(horizon=5), torch.Generator().manual_seed(0)
    v = task.vocabulary
    demonstrated = task.demonstrations(200, "train", 0)
    actions = demonstrated.actions[:, :5].clone()
    typos = torch.rand(actions.shape, generator=g) < 0.1
    actions[typos] = torch.randint(0, 15, (int(typos.sum()),), generator=g)
    texts = [row[: i % 6] + [v.eos] * (i % 4 == 0) for i, row in enumerate(actions.tolist())]
    prompts = [[1, v.eos, 2][: i % 3 + (i % 3 == 1)] + row for i, row in enumerate(demonstrated.prompts.tolist())]
    prefixes = Trajectories.from_actions(v, prompts, texts, max_length=5).replay()
    found = task.has_error(prefixes)
    assert torch.equal(found, Task.has_error(task, prefixes))
    assert 0.2 < found.double().mean() < 0.8
    law = experts.teacher(task)(prefixes, prefixes)
    assert torch.equal(law[:, v.backspace] == 1, found & ~prefixes.ended)


def test_automaton_confusions_are_wrong_only_to_who_remembers_two():
    task = Automaton()
    p = start(task.vocabulary, task.prompts(50, "train", 0), 64, 64)
    law, confusions = task.next_distribution(p), task.confusions(p)
    assert (confusions.sum(1) == 3).all()
    assert not (confusions * law).any()


# -- addition


def test_addition_against_python():
    task = AddInBase(3, 8)
    t = task.demonstrations(500, "train", 0)
    for prompt, answer in zip(task.prompts(500, "train", 0), t.replay().texts(eos=False), strict=True):
        words = task.decode(prompt).removesuffix("?").replace(",", "").split()
        base, p, sign, q = int(words[2]), words[5], words[6], words[7]
        right = int(p, base) + int(q, base) * (1 if sign == "+" else -1)
        assert int(task.decode(answer), base) == right
        assert task.decode(answer) == in_base(right, base)
        assert len(answer) <= task.max_length


@pytest.mark.parametrize(("number", "base", "digits"), [(0, 2, "0"), (-10, 16, "-a"), (255, 16, "ff"), (8, 2, "1000")])
def test_in_base(number, base, digits):
    assert in_base(number, base) == digits


def test_addition_teacher_leads_to_success():
    task = AddInBase()
    prompts = task.prompts(20, "test", 0)
    state = start(task.vocabulary, prompts, task.max_length)
    for _ in range(task.max_length + 1):
        state = transition(task.vocabulary, state, task.next_distribution(state).argmax(1))
    for prompt, text in zip(prompts, state.texts(), strict=True):
        assert task.success(prompt, text)
        assert task.decode(text) == answer_to(task.decode(prompt))
        assert task.first_error(prompt, text) is None
        assert task.first_error(prompt, [task.vocabulary.eos]) == 0
        assert task.first_error(prompt, [*text, task.vocabulary.eos]) == len(text)


def test_the_teacher_of_addition_is_uniform_after_an_error():
    task = AddInBase()
    p = start(task.vocabulary, task.prompts(5, "test", 0), task.max_length)
    wrong = transition(task.vocabulary, p, torch.full((5,), task.vocabulary.eos))
    assert (task.next_distribution(wrong) == 1 / task.vocabulary.size).all()


# -- chain


def chains(table, delay):
    """Last value of every chain, by brute force: int64 [functions, …, functions, start]."""
    last = torch.arange(10)
    for _ in range(delay):
        last = torch.as_tensor(table)[:, last].movedim(0, -2)
    return last


def test_chain_functions_take_five_values_twice():
    for row in Chain().table.tolist():
        assert sorted(Counter(row).values()) == [2] * 5


def test_chain_items_are_all_starts_and_functions():
    task = Chain(delay=1)
    found = {split: {tuple(p) for p in task.prompts(1500, split, 0)} for split in ("train", "valid", "test")}
    assert set.union(*found.values()) == set(itertools.product(range(10), range(10, 18)))
    assert sum(map(len, found.values())) == 80


def test_chain_answers_by_brute_force():
    task = Chain(delay=3)
    last = chains(task.table, 3)
    for first, *functions in itertools.product(range(10), *[range(8)] * 3):
        guess, *steps, eos = task.answer([first, *(10 + f for f in functions)])
        assert guess == steps[-1] == last[(*functions, first)]
        assert steps == [chains(task.table, k)[(*functions[:k], first)] for k in (1, 2, 3)]
        assert eos == 18


@pytest.mark.parametrize(("known", "right"), [(0, 0.116), (1, 0.218), (2, 0.308), (3, 0.387)])
def test_chain_guess_by_who_composes_the_last_functions(known, right):
    table = torch.from_numpy(Chain().table)
    unknown = torch.nn.functional.one_hot(table, 10).double().mean(0).matrix_power(4 - known).mean(0)
    counted = torch.nn.functional.one_hot(chains(table, 4), 10).double().flatten(0, 3 - known)
    law = counted.mean([0, -2]).reshape(-1, 10)  # of the guess, per last functions
    composed = chains(table, known).reshape(-1, 10)
    expected = torch.stack([torch.zeros(10).double().index_add(0, row, unknown) for row in composed])
    torch.testing.assert_close(law, expected)
    assert law.square().sum(1).mean().item() == pytest.approx(right, abs=5e-4)


def test_chain_teacher_goes_on_with_the_right_steps_after_an_error():
    task = Chain()
    v, prompts = task.vocabulary, task.prompts(20, "test", 0)
    rights = torch.tensor([task.answer(prompt) for prompt in prompts])
    for guess in (rights[:, 0], (rights[:, 0] + 1) % 10):
        state = transition(v, start(v, prompts, task.max_length, task.min_length), guess)
        for at in range(1, task.max_length + 2):
            law = task.next_distribution(state)
            assert torch.equal(law, torch.nn.functional.one_hot(rights[:, min(at, task.max_length)], v.size).double())
            state = transition(v, state, law.argmax(1))
        wrong = (guess != rights[:, 0]).tolist()
        for prompt, text, error in zip(prompts, state.texts(), wrong, strict=True):
            assert task.success(prompt, text) is not error
            assert task.first_error(prompt, text) == (0 if error else None)
    early = transition(v, start(v, prompts, task.max_length), torch.full((20,), v.eos))
    assert (task.next_distribution(early)[:, v.eos] == 1).all()


def test_chain_confusions_are_the_other_values():
    task = Chain()
    state = start(task.vocabulary, task.prompts(50, "train", 0), task.max_length, task.min_length)
    law, confusions = task.next_distribution(state), task.confusions(state)
    assert (confusions.sum(1) == 9).all()
    assert not confusions[:, 10:].any()
    assert not (confusions * law).any()


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("n", [0, -1])
def test_fewer_items_than_one_are_refused(make, n):
    for ask in (make().prompts, make().demonstrations):
        with pytest.raises(InvalidInputError, match=f"^{n} items were asked for; ask for at least one$"):
            ask(n, "train", 0)


FOREIGN = [
    *((Automaton(), prompt) for prompt in ([3], [3, 15])),
    *((Dyck(), prompt) for prompt in ([3], [6], [0, 1])),
    *((HMM(), prompt) for prompt in ([23], [3, 23])),
    *((PCFG(), prompt) for prompt in ([1], [23], [0, 5])),
    *((Chain(), prompt) for prompt in ([3], [3, 10, 10, 10, 9], [10] * 5)),
    (AddInBase(), [3]),
    *((AddInBase(), encode_question(f"In base {rest}")) for rest in (
        *("7, what is 35 + 26", "7, what is 38 + 26?", "1, what is 0 + 0?", ", what is 0 + 0?", "7, what is 35 +26?"),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("task", "prompt"), FOREIGN)
def test_a_prompt_that_is_not_of_the_task_is_refused(task, prompt):
    state = start(task.vocabulary, [task.prompts(1, "train", 0)[0], prompt], task.max_length)
    written = transition(task.vocabulary, state, torch.tensor([1, 1]))
    whole = [1] * task.max_length + [task.vocabulary.eos]
    for ask, *what in (
        *((task.success, prompt, whole), (task.first_error, prompt, [1])),
        *((task.next_distribution, state), (task.confusions, state), (task.next_distribution, written)),
        (task.has_error, written),
    ):
        with pytest.raises(InvalidInputError, match=rf"^{task.name}: prompt .* is not ") as refused:
            ask(*what)
        assert len(str(refused.value).splitlines()) == 1
        assert str(prompt) in str(refused.value)


@pytest.mark.parametrize("prompt", [[3], [3, 15], [15, 3]])
def test_a_prompt_without_a_context_is_refused(prompt):
    task = NGram()
    state = start(task.vocabulary, [[1, 2], prompt], task.max_length)
    with pytest.raises(InvalidInputError, match=r"^ngram: prompt .* is not 2 tokens or more") as refused:
        task.next_distribution(state)
    assert str(prompt) in str(refused.value)


def test_a_split_that_is_too_small_or_unknown_is_named():
    with pytest.raises(InvalidInputError, match=r"100000 items were asked for, the test split has \d+ windows"):
        PyDoc().prompts(100_000, "test", 0)
    for task in (make() for make in MADE):
        with pytest.raises(InvalidInputError, match="unknown split 'all'"):
            task.prompts(1, "all", 0)


@pytest.mark.parametrize(
    ("make", "culprit"),
    [
        (lambda: Automaton(0), "horizon=0"),
        (lambda: AddInBase(5, 4), "low=5, high=4"),
        (lambda: Chain(0), "delay=0"),
        (lambda: Dyck(kinds=7), r"kinds=7 must be in 1\.\.6"),
        (lambda: Dyck(length=2), "length=2 must be at least 4"),
        (lambda: Dyck(length=33), "length=33 must be even"),
        (lambda: HMM(0), "horizon=0"),
        (lambda: NGram(0), "order=0"),
        (lambda: NGram(horizon=0), "horizon=0"),
        (lambda: NGram(size=65), r"size=65 must be in 3\.\.64"),
        (lambda: NGram(concentration=float("nan")), "concentration=nan"),
        (lambda: NGram(3, 32), "order=3 and size=32 make 29791 contexts, more than 4096"),
        (lambda: PCFG(depth=9), "depth=9"),
        (lambda: PCFG(shortest=0), "shortest=0"),
        (lambda: PCFG(shortest=16, longest=19), r"longest=19 must be at least shortest \+ 4"),
        (lambda: Chain(2).answer([3, 10]), r"prompt \[3, 10\] is not a value and 2 functions"),
        (lambda: Chain(1).answer([3, 9]), r"prompt \[3, 9\] is not a value and 1 functions"),
        (lambda: PyDoc(0), "=0"),
    ],
)
def test_bad_options_are_named(make, culprit):
    with pytest.raises(InvalidInputError, match=culprit):
        make()


def test_seeds_and_sizes():
    task = Automaton(horizon=8)
    few, many, other = (task.demonstrations(n, "train", s).actions for n, s in ((5, 0), (9, 0), (9, 1)))
    assert torch.equal(few, many[:5])
    assert not torch.equal(many, other)
    assert Counter(map(json.dumps, many.tolist())).most_common(1)[0][1] == 1
    assert isinstance(task.demonstrations(2, "valid", 3), Trajectories)


@pytest.mark.parametrize(("n", "share"), [(2000, 0.72), (8000, 0.94), (50_000, 1)])
def test_texts_of_chain_that_occur_in_training_under_other_prompts(n, share):
    task = Chain()
    seen = {tuple(row) for row in task.demonstrations(n, "train", 0).actions.tolist()}
    asked = [tuple(row) for row in task.demonstrations(2000, "test", 0).actions.tolist()]
    assert sum(text in seen for text in asked) / len(asked) == pytest.approx(share, abs=0.006)


def test_every_task_is_to_be_had_by_its_name():
    import envs.tasks

    registered = {
        plugins.load("tasks", plugin.name) for plugin in plugins.registered("tasks") if plugin.package == "seqil"
    }
    assert registered == {getattr(envs.tasks, name) for name in envs.tasks.__all__}
    assert set(envs.tasks.__all__) <= set(dir(envs.tasks))
    with pytest.raises(AttributeError, match=r"module 'envs\.tasks' has no attribute 'Nothing'"):
        envs.tasks.Nothing  # noqa: B018
