"""Tasks drawn from a law: the law against enumeration and closed forms, draws and errors against the law."""

import itertools
import json
import re
from fractions import Fraction
from functools import cache
from math import comb, lgamma, log

import numpy as np
import pytest
import torch

from envs.tasks.automaton import Automaton
from envs.tasks.dyck import Dyck, odds
from envs.tasks.grammar import compile_grammar
from envs.tasks.hmm import HMM
from envs.tasks.ngram import NGram
from envs.tasks.pcfg import ALPHABET, PCFG
from seqil import Trajectories, exact, experts, metrics, start
from seqil.errors import InvalidInputError

TASKS = [Automaton(), Dyck(), HMM(), NGram(), PCFG()]
JUDGED = [task for task in TASKS if task.judged]


def trajectories(task, prompts, texts):
    return Trajectories.from_actions(task.vocabulary, prompts, texts, max_length=task.max_length)


def laws(task, t):
    """The teacher's law before every action: float64 [actions, V]."""
    return task.next_distribution(t.before(*t.inside.nonzero(as_tuple=True)))


def taken(task, t):
    """Probability of every action: float64 [B, T], 1 in padding."""
    p = torch.ones(t.actions.shape, dtype=torch.float64)
    p[t.inside] = laws(task, t).gather(1, t.actions[t.inside][:, None])[:, 0]
    return p


def probabilities(task, prompt, texts):
    return taken(task, trajectories(task, [prompt] * len(texts), texts)).prod(1)


def every_text(task, prompt):
    """All texts of positive probability with it, found by following the law."""
    v = task.vocabulary
    found, texts, share = {}, [[]], torch.ones(1, dtype=torch.float64)
    while texts:
        law = task.next_distribution(trajectories(task, [prompt] * len(texts), texts).replay()) * share[:, None]
        for row, token in (law > 0).nonzero().tolist():
            if token == v.eos:
                found[tuple(texts[row])] = float(law[row, token])
        law[:, v.eos] = 0
        where = (law > 0).nonzero(as_tuple=True)
        texts = [[*texts[row], token] for row, token in zip(*(x.tolist() for x in where), strict=True)]
        share = law[where]
    return found


def altered(task, n, seed):
    """Demonstrations of which about half of the rows have wrong tokens, cut anywhere, some with a premature eos."""
    g, v = torch.Generator().manual_seed(seed), task.vocabulary
    t = task.demonstrations(n, "train", seed)
    actions = t.actions.clone()
    typos = (torch.rand(actions.shape, generator=g) < 0.02) & (actions < v.eos)
    actions[typos] = torch.randint(0, v.eos, (int(typos.sum()),), generator=g)
    texts = []
    for i, (row, k) in enumerate(zip(actions.tolist(), t.lengths.tolist(), strict=True)):
        cut = k if i % 5 == 0 else 1 + (i * 7) % k
        texts.append(row[:cut] + [v.eos] * (i % 7 == 0 and row[cut - 1] != v.eos))
    return trajectories(task, task.prompts(n, "train", seed), texts)


# -- all of them


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_draws_follow_the_law(task):
    """Counts against their expectation, by token, by probability, and by these and position: all are near N(0, 1)."""
    t = task.demonstrations(1000, "train", 3)
    p = laws(task, t)
    hit = torch.nn.functional.one_hot(t.actions[t.inside], task.vocabulary.size).double()
    step = t.inside.nonzero()[:, 1, None].expand_as(p)
    token = torch.arange(p.shape[1]).expand_as(p)
    for group in (token, (p * 50).long(), 16 * (p * 5).long() + step // 5, (token + 1) * 7919 % 97 + 97 * (step % 8)):
        excess, variance = torch.zeros(2, int(group.max()) + 1, dtype=torch.float64)
        excess.index_add_(0, group.flatten(), (hit - p).flatten())
        variance.index_add_(0, group.flatten(), (p * (1 - p)).flatten())
        z = (excess / variance.sqrt())[variance > 20]
        assert len(z) >= 4
        assert z.abs().max() < 4.5
    assert not hit[p == 0].any()


@pytest.mark.parametrize("task", JUDGED, ids=lambda task: task.name)
def test_the_first_error_is_the_first_token_of_probability_zero(task):
    t = altered(task, 400, seed=1)
    impossible = (taken(task, t) == 0).tolist()
    expected = [row.index(True) if True in row else None for row in impossible]
    texts = t.replay().texts()
    prompts = metrics.prompt_lists(t)
    assert [task.first_error(*both) for both in zip(prompts, texts, strict=True)] == expected
    wrong = [error is not None for error in expected]
    assert 0.2 < sum(wrong) / len(wrong) < 0.8
    final = t.replay()
    assert task.has_error(final).tolist() == wrong
    whole = [text[-1] == task.vocabulary.eos and not w for text, w in zip(texts, wrong, strict=True)]
    assert [task.success(*both) for both in zip(prompts, texts, strict=True)] == whole
    assert any(whole)
    expert = experts.teacher(task)(final, final)
    assert torch.equal(expert[:, task.vocabulary.backspace] == 1, task.has_error(final) & ~final.ended)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_law_is_one_at_every_prefix_after_errors_too(task):
    final = altered(task, 400, seed=2).replay()
    law = task.next_distribution(final)
    torch.testing.assert_close(law.sum(1), torch.ones(len(final), dtype=torch.float64))
    assert (law >= 0).all()
    assert (law[final.ended | (final.generated >= task.max_length)][:, task.vocabulary.eos] == 1).all()
    # Rows are judged apart: alone, the same law.
    for row in range(0, 400, 80):
        assert torch.equal(task.next_distribution(final.select(torch.tensor([row])))[0], law[row])


@pytest.mark.parametrize("task", JUDGED, ids=lambda task: task.name)
def test_confusions_are_wrong(task):
    t = task.demonstrations(50, "train", 0)
    before = t.before(*t.inside.nonzero(as_tuple=True))
    confusions = task.confusions(before)
    assert not (confusions * task.next_distribution(before)).any()
    assert not confusions[:, task.vocabulary.eos].any()
    assert (confusions.sum(1) > 0).double().mean() > 0.4


def test_texts_that_are_too_few_for_three_splits_are_refused():
    task = NGram(order=1, size=3, horizon=1)
    with pytest.raises(InvalidInputError, match=r"^ngram: none of the first 4096 texts is of the test split"):
        task.demonstrations(1, "test", 0)


# -- ngram


def test_ngram_rows():
    for task in (NGram(), NGram(order=1, size=32, concentration=0.05), NGram(order=3, size=16, concentration=20.0)):
        assert task.law.min() >= 1e-3
        assert task.law.shape == ((task.vocabulary.size - 1) ** task.order, task.vocabulary.size - 1)
        millionths = task.law * 1e6
        torch.testing.assert_close(millionths, millionths.round(), atol=1e-8, rtol=0)
        assert (millionths.round().sum(1) == 10**6).all()


@pytest.mark.parametrize("concentration", [0.1, 0.5, 2.0])
def test_ngram_rows_are_dirichlet_draws(concentration):
    task = NGram(order=2, size=33, concentration=concentration)
    n = 32
    shares = (task.law - 1e-3) / (1 - n * 1e-3)
    for power, moment in (
        (2, (concentration + 1) / (n * concentration + 1) / n),
        (3, (concentration + 1) * (concentration + 2) / (n * concentration + 1) / (n * concentration + 2) / n),
    ):
        found = shares.pow(power).mean(1)
        assert abs(found.mean() - moment) < 4 * found.std() / len(found) ** 0.5
    assert abs(shares.mean(0) - 1 / n).max() < 4.5 * shares.std() / len(shares) ** 0.5


def test_ngram_closed_forms_against_enumeration():
    teacher, student = (NGram(order=2, size=4, horizon=4, concentration=c) for c in (0.5, 1.0))
    texts = [list(text) for text in itertools.product(range(3), repeat=4)]
    kl, entropies, last = 0.0, [], torch.zeros(3, 3, dtype=torch.float64)
    for prompt in itertools.product(range(3), repeat=2):
        p, q = (probabilities(task, list(prompt), [[*text, 3] for text in texts]) for task in (teacher, student))
        assert float(p.sum()) == pytest.approx(1, abs=1e-12)
        kl += float((p * (p / q).log()).sum()) / 9
        by_length = [p.reshape(3**k, -1).sum(1) for k in range(5)]
        entropies.append([-float((x * x.log()).sum()) for x in by_length])
        last += p.reshape(9, 3, 3).sum(0) / 9
    (initial, P), (_, Q) = teacher.chain(), student.chain()
    assert exact.sequence_kl(initial, P, Q, 4) == pytest.approx(kl, abs=1e-12)
    np.testing.assert_allclose(exact.marginals(initial, P, 5)[4], last.numpy().ravel(), atol=1e-12)
    steps = np.diff(np.mean(entropies, 0))  # of token t given the tokens before it
    rows = exact.kl_rows(P, np.where(P > 0, 1 / 3, 0))
    np.testing.assert_allclose(exact.expected_errors(initial, P, log(3) - rows, 4), steps, atol=1e-12)


def test_ngram_entropy_rate_is_where_the_entropy_of_a_step_tends_to():
    task = NGram()
    initial, P = task.chain()
    far = exact.marginals(initial, P, 200)[-1]
    np.testing.assert_allclose(exact.stationary(P), far, atol=1e-12)
    rows = -(task.law * task.law.log()).sum(1).numpy()
    assert exact.entropy_rate(P) == pytest.approx(far @ rows, abs=1e-12)
    nll = -taken(task, task.demonstrations(2000, "train", 0)).log()[:, 8:64].mean(1)
    assert abs(nll.mean() - exact.entropy_rate(P)) < 4 * nll.std() / len(nll) ** 0.5


def test_ngram_has_no_errors():
    task = NGram()
    final = altered(task, 20, seed=0).replay()
    assert not task.judged
    assert not task.has_error(final).any()
    assert task.first_error([1, 2], [3, 15]) is task.success([1, 2], [3, 15]) is task.confusions(final) is None


# -- hmm


def brute_force(task, text):
    """Probability of a text of 4 tokens and each next one, by a sum over the 8^5 hidden paths."""
    paths = torch.cartesian_prod(*[torch.arange(8)] * 5)
    A, E = torch.from_numpy(task.transition), torch.from_numpy(task.emission)
    p = torch.full((len(paths),), 1 / 8, dtype=torch.float64)
    for t in range(4):
        p = p * E[paths[:, t], text[t]] * A[paths[:, t], paths[:, t + 1]]
    return p @ E[paths[:, 4]]


def test_hmm_filter_against_the_sum_over_hidden_paths():
    task = HMM(horizon=8)
    g = torch.Generator().manual_seed(0)
    texts = [*torch.randint(0, 23, (25, 4), generator=g).tolist()]
    texts += [row[:4] for row in torch.cat([*_whole(task, 25)], 1).tolist()]
    possible = 0
    for text in texts:
        joint = brute_force(task, text)
        state = trajectories(task, [text[:1]], [text[1:]]).replay()
        assert bool(task.has_error(state)) == (task.first_error(text[:1], text[1:]) is not None) == (joint.sum() == 0)
        if joint.sum() > 0:
            possible += 1
            torch.testing.assert_close(task.next_distribution(state)[0, :23], joint / joint.sum())
    assert 25 < possible < 50


def _whole(task, n):
    t = task.demonstrations(n, "train", 0)
    return t.prompts, t.actions


def test_hmm_tables():
    task = HMM()
    assert (task.transition.sum(0) == 1).all()  # so that the uniform law is stationary
    assert ((task.emission > 0).sum(1) == 12).all()
    assert (task.emission > 0).any(0).all()
    for state in range(8):
        assert ((task.emission[state] > 0) & (task.emission[(state + 1) % 8] > 0)).sum() == (9 if state < 7 else 10)
    assert {*np.rint(48 * task.emission).ravel().tolist()} == {0, 3, 4, 5}


def test_hmm_filter_starts_anew_after_an_error():
    task = HMM()
    prompt = task.demonstrations(1, "train", 0).actions[0, :10].tolist()
    token = next(x for x in range(23) if task.first_error(prompt, [x]) == 0)
    wrong, alone = trajectories(task, [prompt], [[token]]), start(task.vocabulary, [[token]], 64)
    assert torch.equal(task.next_distribution(wrong.replay()), task.next_distribution(alone))


def test_hmm_prompts_may_hold_what_no_path_explains():
    task, g = HMM(horizon=4), torch.Generator().manual_seed(0)
    ids = torch.randint(0, 23, (300, 12), generator=g).tolist()
    final = trajectories(task, [x[:10] for x in ids], [x[10:] for x in ids]).replay()
    expected = []
    for text in ids:
        states, errors = np.ones(8), []
        for k, token in enumerate(text):
            states = (states @ task.transition > 0) * task.emission[:, token]
            if not states.any():
                errors.append(k)
                states = task.emission[:, token]
        expected.append(next((k - 10 for k in errors if k >= 10), None))
    assert [task.first_error(x[:10], x[10:]) for x in ids] == expected
    assert task.has_error(final).tolist() == [error is not None for error in expected]
    assert {*expected} == {None, 0, 1}


def test_hmm_what_is_possible_stays_so_however_unlikely():
    task = HMM(horizon=2000)
    shared = (task.emission[:-1] == 3 / 48) & (task.emission[1:] == 5 / 48)
    state, token = np.argwhere(shared)[0].tolist()
    only = np.flatnonzero(
        (task.emission[state] > 0) & (task.emission[state + 1] == 0) & (task.emission[state - 6] == 0)
    )
    final = trajectories(task, [[token]], [[token] * 1500]).replay()
    assert task.first_error([token], [token] * 1500 + only[:1].tolist()) is None
    assert 1e-204 < task.next_distribution(final)[0, only[0]] < 1e-50


def test_hmm_window_is_a_dial_of_misspecification():
    """The numbers of the docstring: who forgets all but the last tokens starts the filter at them."""
    task = HMM()
    t = task.demonstrations(20_000, "train", 0)
    text = torch.cat([t.prompts, t.actions[:, :32]], 1)
    law = task.next_distribution(start(task.vocabulary, text, 64))
    for window, nats, impossible in (
        *((1, 0.34, 0.12), (2, 0.18, 0.07), (4, 0.062, 0.025), (8, 0.010, 0.005), (16, 0.0004, 0.0002)),
    ):
        short = task.next_distribution(start(task.vocabulary, text[:, -window:], 64))
        assert metrics.kl(law, short.log()).mean().item() == pytest.approx(nats, rel=0.08 if window < 16 else 0.3)
        assert short[law == 0].sum().item() / len(text) == pytest.approx(impossible, rel=0.08 if window < 16 else 0.3)
    assert (law[:, :23] == 0).sum(1).double().mean().item() == pytest.approx(4, abs=0.3)


# -- dyck


def balanced(word):
    """By deleting matching pairs."""
    while len(word) != len(word := word.replace("()", "").replace("[]", "")):
        pass
    return not word


def catalan(n):
    return comb(2 * n, n) // (n + 1)


def test_dyck_words_by_enumeration():
    task = Dyck(kinds=2, length=8)
    words = [word for word in itertools.product(range(4), repeat=8) if balanced(task.decode(word))]
    assert len(words) == 2**4 * catalan(4)
    found = {(first, *text): p / 2 for first in (0, 1) for text, p in every_text(task, [first]).items()}
    assert found.keys() == set(words)
    np.testing.assert_allclose([*found.values()], 1 / len(words), rtol=1e-12)


def test_dyck_judge_by_enumeration():
    task = Dyck(kinds=2, length=6)
    words = [word for word in itertools.product(range(4), repeat=6) if word[0] < 2]
    right = [balanced(task.decode(word)) for word in words]
    assert [task.success(word[:1], [*word[1:], 4]) for word in words] == right
    assert [task.first_error(word[:1], [*word[1:], 4]) is None for word in words] == right
    begun = {word[:k] for word, good in zip(words, right, strict=True) if good for k in range(7)}
    for word in words:
        expected = next((k - 2 for k in range(2, 7) if word[:k] not in begun), None)
        assert task.first_error(word[:1], word[1:]) == expected
    assert task.first_error([0], [2, 4]) == 1


def test_dyck_odds_against_counting():
    @cache
    def ways(height, left):
        if height < 0 or height > left:
            return 0
        return 1 if left == 0 else ways(height + 1, left - 1) + ways(height - 1, left - 1)

    for left in range(1, 65):
        for height in range(left % 2, left + 1, 2):
            up, down = odds(np.int64(height), np.int64(left))
            assert Fraction(int(up), int(up + down)) == Fraction(ways(height + 1, left - 1), ways(height, left))
    assert ways(0, 64) == catalan(32)


@pytest.mark.parametrize(("kinds", "length"), [(1, 64), (2, 32), (6, 512)])
def test_dyck_words_are_uniform(kinds, length):
    task, n = Dyck(kinds, length), length // 2
    t = task.demonstrations(8, "train", 0)
    found = taken(task, t).log().sum(1) - log(kinds)
    count = lgamma(2 * n + 1) - 2 * lgamma(n + 1) - log(n + 1) + n * log(kinds)
    torch.testing.assert_close(found, torch.full_like(found, -count), rtol=1e-11, atol=0)
    assert count == pytest.approx(log(catalan(n) * kinds**n), rel=1e-12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(", [9 / 28, 9 / 28, 10 / 28, 0]),  # the law: 9 of the 14 words of one kind go on with a second bracket
        ("[(", [2 / 9, 2 / 9, 5 / 9, 0]),
        ("(]", [0.5, 0.5, 0, 0]),
        ("[(]", [0.3, 0.3, 0, 0.4]),
        ("())", [0.5, 0.5, 0, 0]),
        ("[((((", [0, 0, 1, 0]),
        ("[(((((", [0, 0, 1, 0]),
    ],
)
def test_dyck_goes_on_after_an_error(text, expected):
    task = Dyck(kinds=2, length=8)
    ids = ["([)]".index(bracket) for bracket in text]
    law = task.next_distribution(trajectories(task, [ids[:1]], [ids[1:]]).replay())[0]
    torch.testing.assert_close(law, torch.tensor([*expected, 0], dtype=torch.float64))


# -- pcfg


def is_document(text, depth):
    """By Python's reader of JSON; that it knows more strings and no bound on the nesting is seen to before."""
    bare = re.sub(r'"[^"]*"', lambda string: '""' if re.fullmatch('"[a-e]*"', string[0]) else "?", text)
    try:
        json.loads(bare.replace("t", "true").replace("f", "false").replace("n", "null"))
    except ValueError:
        return False
    return max(itertools.accumulate((c in "{[") - (c in "}]") for c in bare)) <= depth


def values(n, depth):
    """All values of n tokens, as texts, written down from the grammar's description."""
    return [*containers(n, depth), *strings(n), *numbers(n), *("tfn" if n == 1 else "")]


def containers(n, depth):
    if depth == 0:
        return []
    return [f"[{x}]" for x in lists(n - 2, depth - 1, values)] + [f"{{{x}}}" for x in lists(n - 2, depth - 1, pairs)]


def lists(n, depth, item):
    """Items with commas between them, n tokens in all."""
    if n < 1:
        return [""] if n == 0 else []
    found = list(item(n, depth))
    for k in range(1, n - 1):  # of the first
        found += [f"{x},{y}" for x in item(k, depth) for y in lists(n - k - 1, depth, item)]
    return found


def pairs(n, depth):
    return [f"{key}:{x}" for k in range(2, n - 1) for key in strings(k) for x in values(n - k - 1, depth)]


def strings(n):
    return [f'"{"".join(x)}"' for x in itertools.product("abcde", repeat=n - 2)] if n > 1 else []


@cache
def numbers(n):
    found = []
    for characters in itertools.product("012345-.", repeat=n):
        text = "".join(characters)
        try:
            json.loads(text)
        except ValueError:
            continue
        found.append(text)
    return found


@pytest.fixture(scope="module")
def small():
    """A small grammar, all its texts with their probabilities, and all that should be there."""
    task = PCFG(depth=2, shortest=2, longest=6)
    found = {}
    for first in (0, 2):
        found |= {task.decode([first, *text]): p / 2 for text, p in every_text(task, [first]).items()}
    expected = {text for n in range(3, 8) for text in containers(n, 2)}
    return task, found, expected


def test_pcfg_texts_by_enumeration(small):
    _, found, expected = small
    assert found.keys() == expected
    assert sum(found.values()) == pytest.approx(1, abs=1e-12)


def test_pcfg_law_is_that_of_the_grammar_shared_among_what_fits(small):
    """Without bounds that matter, and then with them, at every prefix of the small one."""
    task, _, expected = small
    free = PCFG(depth=2, shortest=1, longest=200)
    begun = {}
    for text in expected:
        for k in range(1, len(text)):
            begun.setdefault(text[:k], set()).add(text[k])
    prefixes = sorted(begun)[:: len(begun) // 3000]
    ids = [[ALPHABET.index(c) for c in text] for text in prefixes]
    law, grammar = (
        task.next_distribution(trajectories(task, [x[:1] for x in ids], [x[1:] for x in ids]).replay())
        for task in (task, free)
    )
    allowed = torch.zeros_like(law)
    for row, text in enumerate(prefixes):
        allowed[row, [ALPHABET.index(c) for c in begun[text]]] = 1
    shared = grammar * allowed
    torch.testing.assert_close(law, shared / shared.sum(1, keepdim=True))
    assert (allowed.sum(1) < (grammar > 0).sum(1)).double().mean() > 0.3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[", {"]": 0.1, "{": 0.126, "[": 0.126, '"': 0.216, "0": 0.0504, "1": 0.0672, "-": 0.072, "t": 0.045}),
        ('{"', {'"': 0.3, "a": 0.7 / 3, "e": 0.7 / 15}),
        ('{""', {":": 1}),
        ('{"":1', {",": 0.6 * 0.8 * 0.55, "}": 0.6 * 0.8 * 0.45, ".": 0.6 * 0.2, "0": 0.2, "5": 0.4 / 30}),
        ("[0", {",": 0.8 * 0.55, "]": 0.8 * 0.45, ".": 0.2}),
        ("[[[[[[", {"{": 0, "[": 0, "]": 0.1, '"': 0.3, "t": 0.9 * 5 / 72}),
        ("[]", {}),
    ],
)
def test_pcfg_law_by_hand(text, expected):
    task = PCFG(shortest=1)
    ids = [ALPHABET.index(c) for c in text]
    law = task.next_distribution(trajectories(task, [ids[:1]], [ids[1:]]).replay())[0]
    for token, p in expected.items():
        assert law[ALPHABET.index(token)] == pytest.approx(p, abs=1e-12)
    assert law[task.vocabulary.eos] == (not expected)


def test_pcfg_judge_against_a_json_reader():
    task = PCFG(depth=3, shortest=4, longest=40)
    t = altered(task, 3000, seed=5)
    right = 0
    for prompt, text in zip(metrics.prompt_lists(t), t.replay().texts(), strict=True):
        document = text[-1] == task.vocabulary.eos and is_document(task.decode([*prompt, *text]), depth=3)
        assert task.success(prompt, text) == (document and 5 <= len(text) <= 41)
        right += document
    assert 100 < right < 2000
    for text, expected in {'"":[[]]}': True, '"":[[[]]]}': False, "}": False, '"a":1}': True}.items():
        assert task.success([0], [*map(ALPHABET.index, text), task.vocabulary.eos]) == expected
    for end, error in (("1]", None), ("11]", 39), ("[]", 38), ("1,", 39)):
        ids = [ALPHABET.index(c) for c in "1," * 19 + end]
        assert task.first_error([2], ids) == error
        assert bool(task.has_error(trajectories(task, [[2]], [ids[:40]]).replay())) == (error is not None)


@pytest.mark.parametrize(("shortest", "longest"), [(1, 5), (16, 20), (16, 128)])
def test_pcfg_never_comes_to_where_nothing_fits(shortest, longest):
    task = PCFG(depth=6, shortest=shortest, longest=longest)
    need, after = (torch.from_numpy(x) for x in (task.table.need, task.table.after))
    reached = torch.zeros(len(need), dtype=torch.bool)
    reached[1:3] = True
    for written in range(longest):
        kept = (need < longest - written) & ((need != 0) | (written + 1 >= shortest)) & reached[:, None]
        assert bool(kept.any(1)[reached].all())
        reached = torch.zeros_like(reached).index_fill_(0, after[kept], True)
        reached[0] = False
    assert not reached.any()


def test_pcfg_documents_hardly_repeat():
    t = PCFG().demonstrations(8000, "train", 0)
    assert len({*map(tuple, t.actions.tolist())}) == 8000


def test_a_grammar_that_is_not_ll1_is_refused():
    grammar = {"text": [(1, "a b"), (1, "a c")]}
    with pytest.raises(InvalidInputError, match="not LL"):
        compile_grammar(grammar, "abc", [("text",)], closing="", depth=1)
