"""What waits for the device is noticed, and what does not is left alone."""

import pytest
import torch

from seqil.rollouts.cuda_graphs import HostReads

X, MASK, ROWS = torch.arange(6.0), torch.arange(6) > 2, torch.tensor([0, 3])


def assign(index):
    X.clone()[index] = 0.0


ASKING = {
    "item": lambda: X.sum().item(),
    "bool": lambda: bool(MASK.any()),
    "nonzero": MASK.nonzero,
    "masked_select": lambda: X.masked_select(MASK),
    "index by a mask": lambda: X[MASK],
    "assignment by a mask": lambda: X.clone().index_put((MASK,), torch.ones(3)),
    "equal": lambda: torch.equal(X, X),
    "unique": lambda: torch.unique(X),
    "repeat_interleave": lambda: X.repeat_interleave(ROWS.repeat(3)),
    "copy": lambda: X.to("meta"),
}
SILENT = {
    "index": lambda: X[ROWS],
    "assignment": lambda: assign(ROWS),
    "assignment by a slice": lambda: assign(slice(2)),
    "where": lambda: torch.where(MASK, X, 0),
    "masked_fill": lambda: X.masked_fill(MASK, 0),
    "cast": lambda: X.to(torch.float64),
    "searchsorted": lambda: torch.searchsorted(X, X),
    "scaled_dot_product_attention": lambda: torch.nn.functional.scaled_dot_product_attention(*[X.view(1, 1, 3, 2)] * 3),
}


@pytest.mark.parametrize("work", ASKING.values(), ids=ASKING)
def test_questions(work):
    with HostReads() as reads:
        work()
    assert reads.found


@pytest.mark.parametrize("work", SILENT.values(), ids=SILENT)
def test_silence(work):
    with HostReads() as reads:
        work()
    assert not reads.found
