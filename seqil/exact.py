"""Closed forms for tabular laws: what metrics estimate, computed exactly.

A tabular law is first-order: `initial` float64 [S] over the first symbol, `P` [S, S] with rows over the next one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInputError

Floats = NDArray[np.float64]


def kl_rows(P: Floats, Q: Floats) -> Floats:
    """`KL(P_s || Q_s)` of every row, infinite where `Q` lacks what `P` has: [S]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(P > 0, P * (np.log(P) - np.log(Q)), 0.0)
    return terms.sum(1)


def marginals(initial: Floats, P: Floats, T: int) -> Floats:
    """Law of the symbol before each of `T` steps: [T, S]."""
    laws = [np.asarray(initial, dtype=np.float64)]
    for _ in range(T - 1):
        laws.append(laws[-1] @ P)
    return np.stack(laws)


def stationary(P: Floats) -> Floats:
    """The law that a step leaves as it is: [S]. `P` must be irreducible, else there are several."""
    S = len(P)
    equations = np.vstack([P.T - np.eye(S), np.ones(S)])
    return np.linalg.lstsq(equations, np.eye(S + 1)[S], rcond=None)[0]


def entropy_rate(P: Floats) -> float:
    """Nats per step in the long run: the entropy of a row, averaged over the stationary law."""
    entropies = -np.where(P > 0, P * np.log(np.where(P > 0, P, 1)), 0).sum(1)
    return float(stationary(P) @ entropies)


def expected_errors(initial: Floats, law: Floats, errors: Floats, T: int) -> Floats:
    """Expected error of each of `T` steps when prefixes come from `law`: [T]; 0 * inf counts as 0.

    With `errors = kl_rows(teacher, student)` this is the off-policy step error for `law = teacher` and the
    on-policy one for `law = student` (Arora et al. 2022).
    """
    visited = marginals(initial, law, T)
    return np.where(visited > 0, visited * np.where(visited > 0, errors, 0), 0).sum(1)


def sequence_kl(initial: Floats, P: Floats, Q: Floats, T: int) -> float:
    """KL of whole texts of `T` steps by the chain rule; infinite on a support violation, never NaN."""
    return float(expected_errors(initial, P, kl_rows(P, Q), T).sum())


def survival(initial: Floats, teacher: Floats, student: Floats, T: int) -> Floats:
    """`S(t)`, t = 0 … T: chance that none of the student's first t steps is one that the teacher never takes."""
    valid = student * (teacher > 0)
    alive = [np.asarray(initial, dtype=np.float64)]
    for _ in range(T):
        alive.append(alive[-1] @ valid)
    return np.array([a.sum() for a in alive])


def leak_recover(leak: float, recover: float, horizons: Floats) -> Floats:
    """Expected steps in a bad state up to each horizon, of a chain that leaks into it and recovers at fixed rates."""
    total = leak + recover
    decay = 1 - total
    return leak / total * (horizons - decay * (1 - decay**horizons) / (1 - decay))


def deletion_law(Q: Floats, backspace: Floats, remaining: int) -> Floats:
    """`G[m, s]`: chance that symbol `s`, once written, is deleted before `m` more net tokens stand: [remaining + 1, S].

    `G[0] = 0` (generation stops there) and `G[m, s] = b_s / (1 - sum_x Q[s, x] G[m-1, x])`.

    Args:
        Q: [S, S], probability of writing x after s; rows sum to `1 - backspace`.
        backspace: [S], probability of deleting s.
        remaining: largest m.
    """
    if not np.allclose(Q.sum(1) + backspace, 1):
        raise InvalidInputError("rows of Q and the backspace must sum to 1")
    G = [np.zeros(len(Q))]
    for _ in range(remaining):
        G.append(backspace / (1 - Q @ G[-1]))
    return np.stack(G)


def final_text_law(Q: Floats, backspace: Floats, length: int) -> Floats:
    """What a backspacing policy finally writes: the kernel `[length, S, S]` of each net step (Doob's h-transform).

    With m tokens still to write, the next final token after s is x with probability proportional to
    `Q[s, x] (1 - G[m-1, x])`.
    """
    G = deletion_law(Q, backspace, length)
    kernels = [Q * (1 - G[m - 1]) for m in range(length, 0, -1)]
    return np.stack([kernel / kernel.sum(1, keepdims=True) for kernel in kernels])
