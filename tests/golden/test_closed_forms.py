"""Metrics and closed forms against numbers derived by hand, enumeration or simulation."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from envs.tasks.add_in_base import answer_to
from seqil import exact, metrics, statistics

CASES = json.loads((Path(__file__).parent / "closed_forms.json").read_text())


def case(name):
    return CASES[name]["input"], CASES[name]["expected"]


def close(a, b):
    np.testing.assert_allclose(np.asarray(a, dtype=float), np.asarray(b, dtype=float), rtol=0, atol=1e-10)


def test_step_errors_and_regret():
    i, e = case("markov_full_support")
    mu, P, Q, T = np.array(i["mu"]), np.array(i["P"]), np.array(i["Q"]), i["T"]
    rows = metrics.kl(torch.tensor(P), torch.tensor(Q).log()).numpy()
    close(rows, exact.kl_rows(P, Q))
    off, on = (exact.expected_errors(mu, law, rows, T) for law in (P, Q))
    close(off, e["off_step"])
    close(on, e["on_step"])
    regret, eps = np.cumsum(on), np.cumsum(off) / np.arange(1, T + 1)
    close(regret, e["R"])
    found = [metrics.excess_accumulated_error(r, s, t) for t, (r, s) in enumerate(zip(regret, eps, strict=True), 1)]
    close(found, e["ExAccErr_pct"])
    close(exact.sequence_kl(mu, P, Q, T), e["seq_kl_forward"])
    close(exact.sequence_kl(mu, Q, P, T), e["seq_kl_reverse"])
    texts = {"P": mu.copy(), "Q": mu.copy()}
    for name, law in (("P", P), ("Q", Q)):
        for _ in range(T):
            texts[name] = (texts[name].reshape(-1, 3, 1) * law[None]).reshape(-1)
    p, q = (torch.tensor(texts[k]) for k in ("P", "Q"))
    close(metrics.kl(p, q.log()), e["enumerated"]["kl_ab"])
    close(metrics.total_variation(p, q), e["enumerated"]["tv"])
    close(metrics.squared_hellinger(p, q), e["enumerated"]["hellinger2"])
    close(metrics.jensen_shannon(p, q), e["enumerated"]["js"])


def test_entropy_rate_of_two_states():
    a, b = 0.2, 0.05
    P = np.array([[1 - a, a], [b, 1 - b]])
    close(exact.stationary(P), [b / (a + b), a / (a + b)])
    h = [-(x * math.log(x) + (1 - x) * math.log(1 - x)) for x in (a, b)]
    close(exact.entropy_rate(P), (b * h[0] + a * h[1]) / (a + b))
    close(exact.stationary(np.eye(3)[[1, 2, 0]]), [1 / 3] * 3)
    close(exact.entropy_rate(np.eye(3)[[1, 2, 0]]), 0)


def test_survival_on_partial_support():
    i, e = case("survival_partial_support")
    mu, P, Q, T = np.array(i["mu"]), np.array(i["P"]), np.array(i["Q"]), i["T"]
    S = exact.survival(mu, P, Q, T)
    close(S, e["S"])
    close(1 - S[1:] / S[:-1], e["hazard"])
    close(exact.sequence_kl(mu, P, Q, T), e["seq_kl_forward"])
    assert exact.sequence_kl(mu, Q, P, T) == math.inf
    assert metrics.kl(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]).log()) == math.inf


def test_leak_and_recover():
    i, e = case("leak_recover_exponent")
    grid = np.array(i["grid"], dtype=float)
    close(exact.leak_recover(i["eps"], i["r_none"], grid), e["J_none"])
    close(exact.leak_recover(i["eps"], i["r"], grid), e["J_recover"])


def test_ever_deleted():
    i, e = case("backspace_closed_forms")
    close(metrics.ever_deleted(i["buried"]["beta"], i["buried"]["tail"]), e["buried_return"])
    close(metrics.ever_deleted([], 0.3), e["buried_return_const_beta_03"])
    close(metrics.ever_deleted([], 0.5), e["buried_return_const_beta_05"])
    i, e = case("detection_profile")
    close(metrics.ever_deleted(i["beta"], i["tail"]), e["ever_deleted"])
    # S = 1/3 whatever lies beyond a depth at which nothing is deleted
    close([metrics.ever_deleted([0.25, 0.0], tail) for tail in (0.0, 0.3, 0.5, 1.0)], [0.25] * 4)
    close(metrics.ever_deleted([0.25, 0.0, 1.0]), 0.25)


def test_what_is_finally_written():
    i, e = case("backspace_final_text_law")
    Q, beta, L = np.array(i["Q"]), np.array(i["beta"]), i["L"]
    close(exact.deletion_law(Q, beta, L), e["G_by_remaining"])
    kernels = exact.final_text_law(Q, beta, L)
    close(kernels[0], e["kernel_first_step"])
    close(kernels[-1], e["kernel_last_step"])
    close(exact.deletion_law(Q, beta, 4000)[-1], e["infinite"]["G"])
    for text, probability in e["most_likely"]:
        p = i["mu"][text[0]]
        for step, (s, x) in enumerate(pairwise(text)):
            p *= kernels[step, s, x]
        close(p, probability)


@pytest.mark.parametrize("mask", [True, False])
def test_noise_masked_and_imitated(mask):
    """What the population-optimal clone of noised demonstrations finally writes."""
    i, e = case("noise_then_backspace_consistency")
    P, u, eta = np.array(i["P"]), np.array(i["u"]), i["eta"]
    # States are pairs (s, x): the deletion probability of x depends on what stands before it.
    S = len(P)
    beta = eta * u / (eta * u + (1 - eta) * P) if mask else eta * u / (eta * u + P)
    write = P if mask else (1 - eta) * P + eta * u
    pairs = np.zeros((S * S, S * S))
    for s in range(S):
        for x in range(S):
            pairs[s * S + x, x * S : x * S + S] = (1 - beta[s, x]) * write[x]
    G = exact.deletion_law(pairs, beta.reshape(-1), 5000)[-1].reshape(S, S)
    law = write * (1 - G)
    law /= law.sum(1, keepdims=True)
    close(G, e["masked_G" if mask else "unmasked_G"])
    close(law, e["masked_P_eff" if mask else "unmasked_P_eff"])


def test_kaplan_meier():
    i, e = case("kaplan_meier")
    times, events = np.array(i["times"]), np.array(i["events"])
    first, survived = np.where(events == 1, times - 1, -1), np.where(events == 1, times - 1, times)
    curve, error = metrics.survival(first, survived)
    for t, at_risk, errors, S, _, variance in e["rows"]:
        close(curve[int(t) - 1], S)
        h = metrics.hazard(first, survived, int(t) - 1, int(t))
        assert (h.n, round(h.value * h.n)) == (at_risk, errors)
        if at_risk > errors:
            close(error[int(t) - 1] ** 2, variance)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_ngrams(n):
    i, e = case("ngram_diversity")
    expected = e[f"n={n}"]
    close(metrics.distinct(i["sequences"], n), expected["distinct"])
    close(np.nanmean(metrics.repetition(i["sequences"], n)), expected["seq_rep"])
    close(metrics.ngram_entropy(i["sequences"], n), expected["entropy"])


def test_interquartile_mean():
    i, e = case("statistics")
    close(statistics.interquartile_mean(np.array(i["runs_by_tasks"]).reshape(-1)), e["iqm"])


def test_arithmetic():
    _, e = case("add_or_sub_in_base")
    for question, answer in zip(e["questions"], e["answers"], strict=True):
        assert answer_to(question) == answer
