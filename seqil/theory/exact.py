"""Closed forms for tabular laws: what metrics estimate, computed exactly.

A tabular law is first-order: `initial` float64 [S] over the first symbol, `P` [S, S] with rows over the next one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..errors.arguments import check_count, check_number, of_arrays
from ..errors.limits import check_memory
from ..statistics.estimates import numbers

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_DUST = 1e-4  # what float32 leaves of a sum


def law_of(where: str, name: str, given: Any) -> Floats:
    """A law, or one in each row: float64 of the shape of what is given.

    Raises:
        InvalidInputError: what are no numbers, a negative one, or rows that do not sum to one.
    """
    law = numbers(where, given)
    if not law.ndim or not (law >= 0).all() or not np.allclose(law.sum(-1), 1, atol=_DUST):
        raise InvalidInputError(f"{where}: {name} is no law; give numbers that are not negative, rows that sum to 1")
    return law


def _check_steps(where: str, T: int, symbols: int, least: int) -> None:
    check_count(where, "T", T, least)
    check_memory(T * (128 + 16 * symbols), f"laws of {T:,} steps over {symbols:,} symbols", "ask for fewer steps")


@of_arrays
def kl_rows(P: Floats, Q: Floats) -> Floats:
    """`KL(P_s || Q_s)` of every row, infinite where `Q` lacks what `P` has: [S]."""
    return _kl_rows(law_of("kl_rows", "P", P), law_of("kl_rows", "Q", Q))


def _kl_rows(P: Floats, Q: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(P > 0, P * (np.log(P) - np.log(Q)), 0.0)
    divergences: Floats = terms.sum(1)
    return divergences


@of_arrays
def marginals(initial: Floats, P: Floats, T: int) -> Floats:
    """Law of the symbol before each of `T` steps: [T, S]."""
    laws, P = [law_of("marginals", "initial", initial)], law_of("marginals", "P", P)
    _check_steps("marginals", T, len(P), 1)
    if laws[0].shape != P.shape[:1] or P.ndim != 2 or len(set(P.shape)) > 1:
        raise InvalidInputError(f"marginals: initial {laws[0].shape} and P {P.shape} do not fit; give [S] and [S, S]")
    for _ in range(T - 1):
        laws.append(laws[-1] @ P)
    return np.stack(laws)


@of_arrays
def stationary(P: Floats) -> Floats:
    """The law that a step leaves as it is: [S]. `P` must be irreducible, else there are several."""
    P = law_of("stationary", "P", P)
    S = len(P)
    equations = np.vstack([P.T - np.eye(S), np.ones(S)])
    law: Floats = np.linalg.lstsq(equations, np.eye(S + 1)[S], rcond=None)[0]
    return law


@of_arrays
def expected_errors(initial: Floats, law: Floats, errors: Floats, T: int) -> Floats:
    """Expected error of each of `T` steps when prefixes come from `law`: [T]; 0 * inf counts as 0.

    With `errors = kl_rows(teacher, student)` this is the off-policy step error for `law = teacher` and the
    on-policy one for `law = student` (Arora et al. 2022).
    """
    visited = marginals(initial, law, T)
    if errors.shape != visited.shape[1:]:
        raise InvalidInputError(f"expected_errors: errors {[*errors.shape]} do not fit; give [{visited.shape[1]}]")
    regret: Floats = np.where(visited > 0, visited * np.where(visited > 0, errors, 0), 0).sum(1)
    return regret


@of_arrays
def sequence_kl(initial: Floats, P: Floats, Q: Floats, T: int) -> float:
    """KL of whole texts of `T` steps by the chain rule; infinite on a support violation, never NaN."""
    return float(expected_errors(initial, P, kl_rows(P, Q), T).sum())


@of_arrays
def survival(initial: Floats, teacher: Floats, student: Floats, T: int) -> Floats:
    """`S(t)`, t = 0 … T: chance that none of the student's first t steps is one that the teacher never takes."""
    valid = law_of("survival", "student", student) * (law_of("survival", "teacher", teacher) > 0)
    alive = [law_of("survival", "initial", initial)]
    _check_steps("survival", T, len(valid), 0)
    for _ in range(T):
        alive.append(alive[-1] @ valid)
    return np.array([a.sum() for a in alive])


@of_arrays
def asymptotic_hazard(teacher: Floats, student: Floats) -> tuple[float, Floats]:
    """Hazard of the student far along, given no error so far, and the law of the symbol there (quasi-stationary, [S]).

    One minus the spectral radius of the student on the teacher's support, and its left Perron vector.
    """
    where = "asymptotic_hazard"
    radius, law = _perron(law_of(where, "student", student) * (law_of(where, "teacher", teacher) > 0))
    return 1 - radius, law


@of_arrays
def mean_survival(initial: Floats, teacher: Floats, student: Floats) -> float:
    """Expected number of the student's steps before its first error, of a text without end."""
    where = "mean_survival"
    valid = law_of(where, "student", student) * (law_of(where, "teacher", teacher) > 0)
    return float(law_of(where, "initial", initial) @ np.linalg.solve(np.eye(len(valid)) - valid, valid.sum(1)))


@of_arrays
def entropy_rows(P: Floats, Q: Floats | None = None) -> Floats:
    """`-sum_x P[s, x] log Q[s, x]`, [S]: cross entropy, or with `Q = P`, the default, entropy of every row."""
    P = law_of("entropy_rows", "P", P)
    Q = None if Q is None else law_of("entropy_rows", "Q", Q)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropies: Floats = -np.where(P > 0, P * np.log(P if Q is None else Q), 0.0).sum(1)
    return entropies


@of_arrays
def entropy_rate(P: Floats) -> float:
    """Nats per step in the long run: the entropy of a row, averaged over the stationary law."""
    return float(stationary(P) @ entropy_rows(P))


@of_arrays
def entropy_drift(initial: Floats, teacher: Floats, student: Floats, T: int) -> Floats:
    """Entropy of the student along its own texts minus its log-loss on the teacher's, by step: [T].

    Zero for a calibrated student (Braverman et al. 2020); its mean is the entropy calibration error (Cao et al. 2025).
    """
    own = expected_errors(initial, student, entropy_rows(student), T)
    return own - expected_errors(initial, teacher, entropy_rows(teacher, student), T)


@of_arrays
def order_projection(law: Floats) -> tuple[Floats, Floats, float]:
    """The first-order student of maximum likelihood of a stationary second-order teacher.

    Args:
        law: [V, V, V], probability of the last index after the first two.

    Returns:
        The teacher's stationary law of pairs [V, V], the student [V, V], and what it loses per token in nats:
        `I(X_t; X_{t-2} | X_{t-1})`, so that the KL of texts is that many times their length.
    """
    V = len(law)
    chain = np.zeros((V, V, V, V))
    a, b, c = np.indices(law.shape)
    chain[a, b, b, c] = law
    pairs = stationary(chain.reshape(V * V, V * V)).reshape(V, V)
    joint = pairs[..., None] * law
    student = joint.sum(0) / joint.sum((0, 2))[:, None]
    lost = _kl_rows(law.reshape(V * V, V), np.tile(student, (V, 1)))
    return pairs, student, float(pairs.reshape(-1) @ lost)


@of_arrays
def leak_recover(leak: float, recover: float, horizons: Floats) -> Floats:
    """Expected steps in a bad state up to each horizon, of a chain that leaks into it and recovers at fixed rates."""
    for name, rate in {"leak": leak, "recover": recover}.items():
        check_number("leak_recover", name, rate, 0, 1)
    total = leak + recover
    decay = 1 - total
    return leak / total * (horizons - decay * (1 - decay**horizons) / (1 - decay))


@of_arrays
def deletion_law(
    Q: Floats, backspace: Floats, remaining: int, after: Ints | None = None, at_end: Floats | None = None
) -> Floats:
    """`G[m, s]`: chance that state `s`, once written, is deleted before `m` more net tokens stand: [remaining + 1, S].

    `G[m, s] = b_s / (1 - sum_x Q[s, x] G[m-1, after[s, x]])`.

    Args:
        Q: [S, V], probability of writing x in state s; rows sum to `1 - backspace`.
        backspace: [S], probability of deleting s.
        remaining: largest m.
        after: int [S, V], state after x is written in s, for a student that remembers more than the last symbol;
            None: x itself.
        at_end: [S], `G[0]`, probability of a deletion instead of the end where the text is full; None: 0, generation
            stops there.
    """
    _check_steps("deletion_law", remaining, len(Q), 0)
    if not np.allclose(Q.sum(1) + backspace, 1):
        raise InvalidInputError("rows of Q and the backspace must sum to 1")
    after = np.broadcast_to(np.arange(Q.shape[1]), Q.shape) if after is None else after
    G = [np.zeros(len(Q)) if at_end is None else np.asarray(at_end, dtype=np.float64)]
    for _ in range(remaining):
        G.append(backspace / (1 - (Q * G[-1][after]).sum(1)))
    return np.stack(G)


@of_arrays
def final_text_law(
    Q: Floats, backspace: Floats, length: int, after: Ints | None = None, at_end: Floats | None = None
) -> Floats:
    """What a backspacing policy finally writes: the kernel `[length, S, V]` of each net step (Doob's h-transform).

    With m tokens still to write, the next final token in state s is x with probability proportional to
    `Q[s, x] (1 - G[m-1, after[s, x]])`. Arguments as of `deletion_law`. For a budget of actions, and for students of
    whole prefixes, see `enumeration`.
    """
    after = np.broadcast_to(np.arange(Q.shape[1]), Q.shape) if after is None else after
    G = deletion_law(Q, backspace, length, after, at_end)
    kernels = [Q * (1 - G[m - 1][after]) for m in range(length, 0, -1)]
    return np.stack([kernel / kernel.sum(1, keepdims=True) for kernel in kernels])


@of_arrays
def expected_actions(Q: Floats, backspace: Floats, length: int, idle: bool = False) -> Floats:
    """Actions until `length` net tokens stand after a root that cannot be deleted, deletions included: [S], per root.

    Args:
        Q, backspace: as of `deletion_law`.
        length: net tokens.
        idle: whether a deletion of the root is an action without effect; else the policy never takes it.
    """
    G, cost = deletion_law(Q, backspace, length), np.zeros(len(Q))
    for m in range(1, length):
        cost = (1 + Q @ cost) / (1 - Q @ G[m - 1])
    actions: Floats = ((1.0 if idle else 1 - backspace) + Q @ cost) / (1 - backspace - Q @ G[length - 1])
    return actions


@of_arrays
def actions_per_final_token(Q: Floats, backspace: Floats, remaining: int = 4000) -> float:
    """Actions per net token of a text without end.

    Args:
        Q, backspace: as of `deletion_law`.
        remaining: net tokens after which what is still standing counts as final.
    """
    G = deletion_law(Q, backspace, remaining)[-1]
    loops = Q * G / (1 - Q @ G)[:, None]  # expected visits to tokens that are deleted again, per final token
    each = np.linalg.solve(np.eye(len(Q)) - loops, 1 + loops.sum(1))
    kernel = Q * (1 - G)
    return float(stationary(kernel / kernel.sum(1, keepdims=True)) @ each)


def _perron(M: Floats) -> tuple[float, Floats]:
    """Spectral radius of a non-negative matrix and its left eigenvector, which sums to 1."""
    values, vectors = np.linalg.eig(M.T)
    top = int(values.real.argmax())
    vector = np.abs(vectors[:, top].real)
    return float(values[top].real), vector / vector.sum()
