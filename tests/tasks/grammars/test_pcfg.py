"""pcfg: documents by enumeration and by a JSON reader, the law within its bounds."""

import itertools
import json
import re
from functools import cache

import pytest
import torch
from sampled_texts import altered, every_text, trajectories

from envs.tasks.base.grammar import compile_grammar
from envs.tasks.grammars.pcfg import ALPHABET, PCFG
from seqil import metrics
from seqil.errors import InvalidInputError


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
