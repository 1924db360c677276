"""The Kneser-Ney law against a slow implementation with dictionaries, and draws against the law."""

import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from envs.tasks import PyDocKN
from envs.tasks.base.kneser_ney import KneserNey
from envs.tasks.base.requests import split_of
from envs.tasks.corpora.pydoc import PyDoc, encode, snapshot
from seqil import start, transition
from seqil.errors import InvalidInputError
from seqil.testing import check_task


@pytest.fixture(scope="module")
def task():
    return PyDocKN()


class Slow:
    """The same law, one probability at a time."""

    def __init__(self, documents, size, order):
        self.size, self.order = size, order
        grams = [tuple(d[i : i + order]) for d in documents for i in range(len(d) - order + 1)]
        self.counts = {order: Counter(grams)}
        for k in range(order - 1, 0, -1):
            before = defaultdict(set)
            for gram in self.counts[k + 1]:
                before[gram[1:]].add(gram[0])
            self.counts[k] = {gram: len(tokens) for gram, tokens in before.items()}
        self.discount = {}
        self.total, self.kinds = Counter(), Counter()
        for k, counts in self.counts.items():
            values = Counter(counts.values())
            self.discount[k] = values[1] / max(values[1] + 2 * values[2], 1)
            for gram, count in counts.items():
                self.total[gram[:-1]] += count
                self.kinds[gram[:-1]] += 1

    def probability(self, context, x):
        k = len(context) + 1
        below = self.probability(context[1:], x) if context else 1 / self.size
        if not self.total[context]:
            return below
        D = self.discount[k]
        kept = max(self.counts[k].get((*context, x), 0) - D, 0)
        return (kept + D * self.kinds[context] * below) / self.total[context]

    def row(self, context):
        return [self.probability(tuple(context), x) for x in range(self.size)]


@pytest.mark.parametrize("order", [2, 3, 4])
def test_every_context_of_a_small_corpus(order):
    rng = np.random.default_rng(order)
    documents = [rng.geometric(0.4, n).clip(max=4) for n in (40, 3, 1, 60, 25)]  # 0 never occurs
    fast, slow = KneserNey.fit(documents, 5, order), Slow([d.tolist() for d in documents], 5, order)
    contexts = list(itertools.product(range(5), repeat=order - 1))
    rows = fast.law[fast.rows(np.array(contexts))]
    np.testing.assert_allclose(rows, [slow.row(c) for c in contexts], atol=1e-14)
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-14)
    assert len(fast.contexts[-1]) < len(contexts)


def test_a_corpus_counted_by_hand():
    # aab aab: pairs aa 2, ab 2, ba 1; one of two pairs seen once and twice each: D = 1 / (1 + 2 * 2) = 1/5.
    # Before a: a, b; before b: a. D_1 = 1 / (1 + 2 * 1) = 1/3, so P_1(a) = (2 - 1/3 + 2/3 * 1/2) / 3 = 2/3.
    law = KneserNey.fit([np.array([0, 0, 1, 0, 0, 1])], 2, 2)
    after_a, after_b = law.law[law.rows(np.array([[0], [1]]))]
    np.testing.assert_allclose(after_a, [(1.8 + 0.4 * 2 / 3) / 4, (1.8 + 0.4 / 3) / 4])
    np.testing.assert_allclose(after_b, [0.8 + 0.2 * 2 / 3, 0.2 / 3])


def test_docstrings_against_the_slow_law():
    documents = [encode(text) for _, text in snapshot()[:40]]
    fast = KneserNey.fit([np.array(d) for d in documents], 96, 5)
    slow = Slow(documents, 96, 5)
    rng = np.random.default_rng(0)
    seen = [d[i : i + 4] for d in documents for i in rng.integers(0, len(d) - 4, 2)]
    contexts = np.concatenate([seen, rng.integers(0, 96, (40, 4))])
    np.testing.assert_allclose(fast.law[fast.rows(contexts)], [slow.row(c) for c in contexts.tolist()], atol=1e-13)


def test_it_keeps_the_contract(task):
    check_task(task)
    assert not task.judged


def test_the_law_is_of_the_train_modules_and_positive_everywhere(task):
    model = task.model
    assert model.law.min() > 0
    np.testing.assert_allclose(model.law.sum(1), 1, atol=1e-12)
    texts = [encode(text) for module, text in snapshot() if split_of("pydoc", module) == "train"]
    seen = {tuple(ids[i : i + 5]) for ids in texts for i in range(len(ids) - 4)}
    assert len(model.contexts[4]) == len({gram[:-1] for gram in seen})
    assert model.law.shape == (sum(map(len, model.contexts)), 96)


def test_next_distribution_reads_the_last_characters(task):
    v = task.vocabulary
    prompts = [encode("    The string"), encode("ring")]
    state = start(v, prompts, 96, 96)
    for token in encode(" of"):
        law = task.next_distribution(state)
        torch.testing.assert_close(law[0], law[1], rtol=0, atol=0)
        state = transition(v, state, torch.tensor([token, token]))
    expected = task.model.law[task.model.rows(np.array([encode("g of")]))][0]
    assert task.next_distribution(state)[0].tolist() == [*expected, 0]
    assert task.next_distribution(state)[0].argmax() == encode(" ")[0]


def test_demonstrations_follow_the_law(task):
    n = 600
    t = task.demonstrations(n, "train", 0)
    taken, expected, variance = (torch.zeros(96, dtype=torch.float64) for _ in range(3))
    surprise, entropy, spread = 0.0, 0.0, 0.0
    for at in range(0, 96, 3):
        p = task.next_distribution(t.before(torch.arange(n), torch.full((n,), at)))[:, :96]
        taken += t.actions[:, at].bincount(minlength=96)
        expected += p.sum(0)
        variance += (p * (1 - p)).sum(0)
        surprise -= p.gather(1, t.actions[:, at : at + 1]).log().sum().item()
        h = -(p * p.log()).sum(1)
        entropy += h.sum().item()
        spread += ((p * p.log().square()).sum(1) - h.square()).sum().item()
    z = ((taken - expected) / variance.sqrt())[variance > 10]
    assert len(z) > 30
    assert z.abs().max() < 4.5
    assert 0.4 < z.square().mean() < 1.8
    assert abs(surprise - entropy) < 4 * spread**0.5


def test_prompts_begin_at_places_of_the_train_docstrings(task):
    text = "\0".join(text for module, text in snapshot() if split_of("pydoc", module) == "train")
    assert all(task.decode(prompt[:4]) in text for prompt in task.prompts(200, "train", 0))
    assert {len(prompt) for prompt in task.prompts(200, "train", 0)} == {32}


def test_unknown_words_are_the_proxy(task):
    assert task.words == PyDoc().words
    prompt, tokens = encode("Return the fo"), encode("rmat of the zzyqx string")
    assert task.decode(tokens[: task.first_unknown_word(prompt, tokens) + 1]).endswith("zzyqx")
    assert task.first_error(prompt, tokens) is None
    assert task.success(prompt, tokens) is None


def test_another_order_and_lengths():
    task = PyDocKN(prompt_length=1, max_length=8, order=2)
    check_task(task)
    state = start(task.vocabulary, [encode("q"), encode("Seq")], 8, 8)
    law = task.next_distribution(state)
    assert torch.equal(law[0], law[1])
    assert law[0].argmax() == encode("u")[0]


def test_what_cannot_be_is_named(task):
    for options, culprit in (
        ({"order": 1}, "order=1 must be in 2..6"),
        ({"order": 7}, "order=7 must be in 2..6"),
        ({"max_length": 0}, "max_length=0 must be at least 1"),
        ({"prompt_length": 3}, "prompt_length=3 must be at least order - 1 = 4"),
    ):
        with pytest.raises(InvalidInputError, match=f"^pydoc_kn: {culprit}"):
            PyDocKN(**options)
    for prompt in ([1, 2, 3], [1, 2, 96, 3]):
        with pytest.raises(InvalidInputError, match=r"^pydoc_kn: prompt .* is not 4 tokens or more"):
            task.next_distribution(start(task.vocabulary, [[1, 2, 3, 4], prompt], 96, 96))
