"""Tasks drawn from a law: draws and errors against the law."""

import pytest
import torch
from sampled_texts import altered, laws, taken

from envs.tasks import HMM, PCFG, Automaton, Dyck, NGram
from seqil import experts, metrics
from seqil.errors import InvalidInputError

TASKS = [Automaton(), Dyck(), HMM(), NGram(), PCFG()]
JUDGED = [task for task in TASKS if task.judged]


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
