"""Metrics and closed forms against numbers derived by hand, enumeration or simulation."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from envs.tasks.answers.add_in_base import answer_to
from seqil import bootstrap, closed_forms, exact, growth, mauve, metrics, statistics

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
    close([metrics.accumulated_error(r, s) for r, s in zip(regret, eps, strict=True)], e["AccErr"])
    close(eps, e["eps"])
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
    close(metrics.chi_squared_to_mixture(p, q), e["enumerated"]["chi2_a_vs_mix"])
    close(metrics.kl(q, p.log()), e["enumerated"]["kl_ba"])


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
    close(exact.mean_survival(mu, P, Q), e["mean_valid_tokens"])
    hazard, law = exact.asymptotic_hazard(P, Q)
    close(hazard, e["asymptotic_hazard"])
    close(law, e["quasi_stationary"])


def test_leak_and_recover():
    i, e = case("leak_recover_exponent")
    grid = np.array(i["grid"], dtype=float)
    close(exact.leak_recover(i["eps"], i["r_none"], grid), e["J_none"])
    close(exact.leak_recover(i["eps"], i["r"], grid), e["J_recover"])
    small = np.array(i["small_grid"], dtype=float)
    for name, recover in (("none", i["r_none"]), ("recover", i["r"])):
        J = exact.leak_recover(i["eps"], recover, grid)
        close(growth.local_slopes(grid, J, scale=np.asarray), e[f"local_{name}"])
        close(growth.log_log_slope(grid, J, scale=np.asarray).value, e[f"slope_{name}"])
        on_small = growth.log_log_slope(small, exact.leak_recover(i["eps"], recover, small), scale=np.asarray)
        close(on_small.value, e[f"small_slope_{name}"])
    chain = np.array([[1 - i["eps"], i["eps"]], [i["r"], 1 - i["r"]]])
    close(exact.stationary(chain)[1], e["stationary_bad"])


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


def test_immediate_correction():
    i, e = case("backspace_closed_forms")
    writer = closed_forms.ImmediateCorrection(*(i["immediate"][k] for k in ("eps", "b", "f")))
    expected = e["immediate"]
    close(writer.deletion, expected["p_delete"])
    close(writer.hazard, expected["net_hazard"])
    close(writer.survival(i["immediate"]["n"]), expected["survival"])
    close(writer.actions_per_net_token, expected["actions_per_net_token"])
    close(1 / writer.actions_per_net_token, expected["net_tokens_per_action"])
    close(writer.precision, expected["precision"])
    close(writer.hit, expected["recall"])
    close(writer.hazard / writer.error, expected["hazard_reduction"])
    walk = i["random_walk"]
    close(closed_forms.hitting_actions(walk["q"], walk["n"]), e["hitting_actions"])
    far = [closed_forms.hitting_actions(walk["q"], n) for n in (1000, 1001)]
    close(far[1] - far[0], e["asymptotic_actions_per_token"])


def test_equal_cost():
    i, e = case("compute_matched")
    once = (1 - i["eps"]) ** i["n"]
    close(once, e["one_shot"])
    for tries, expected in e["best_of"].items():
        close(closed_forms.rejection(once, i["n"], int(tries)), [expected["success"], expected["actions"]])
    writer = closed_forms.ImmediateCorrection(i["eps"], i["b"], i["f"])
    close(writer.survival(i["n"]), e["backspace"]["success"])
    close(i["n"] * writer.actions_per_net_token, e["backspace"]["actions"])
    close(writer.actions_per_net_token, e["backspace"]["tries_equal_cost"])


def test_entropy_drift():
    i, e = case("entropy_rate_drift")
    mu, P, Q, T = np.array(i["mu"]), np.array(i["P"]), np.array(i["Q"]), i["T"]
    close(exact.expected_errors(mu, Q, exact.entropy_rows(Q), T), e["H_model_on_policy"])
    close(exact.expected_errors(mu, P, exact.entropy_rows(P, Q), T), e["CE_model_on_data"])
    close(exact.expected_errors(mu, P, exact.entropy_rows(P), T), e["H_teacher"])
    drift = exact.entropy_drift(mu, P, Q, T)
    close(drift, e["drift"])
    close(drift.mean(), e["ent_calibration_error"])
    close(np.polyfit(np.arange(T), drift, 1)[0], e["drift_slope_per_step"])


def test_projection_on_a_lower_order():
    i, e = case("misspecified_projection")
    one = np.array([[i["p_one_given"][str((a, b))] for b in (0, 1)] for a in (0, 1)])
    law = np.stack([1 - one, one], -1)
    pairs, student, lost = exact.order_projection(law)
    close(pairs, [[e["stationary_bigram"][str((a, b))] for b in (0, 1)] for a in (0, 1)])
    close(student, e["Q"])
    close(lost, e["conditional_mutual_information"])
    close(10 * lost, e["forward_kl_T10"])
    texts = {"teacher": pairs.copy(), "student": pairs.copy()}
    for T in range(1, 9):
        texts["teacher"] = texts["teacher"].reshape(-1, 2, 2)[..., None] * law
        texts["student"] = texts["student"].reshape(-1, 2)[..., None] * student
        if str(T) in e["hellinger2"]:
            p, q = (torch.tensor(texts[name].reshape(-1)) for name in ("teacher", "student"))
            close(metrics.squared_hellinger(p, q), e["hellinger2"][str(T)])
            close(metrics.kl(p, q.log()), T * lost)


@pytest.mark.parametrize("row", range(5))
def test_cloning_a_mixture_with_one_coin(row):
    i, e = case("misspecified_cloning")
    cloning = closed_forms.MisspecifiedCloning(i["T"][row], i["common"], i["other"], i["rare"])
    assert cloning.ratio() == pytest.approx(e["ratio"][row], abs=0.005)


def test_mauve_of_histograms():
    i, e = case("mauve_histograms")
    p, q = np.array(i["p"]), np.array(i["q"])

    def near(a, b):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)

    near(mauve.frontier_area(p, q, i["c"], i["m"]), e["mauve"])
    near(mauve.frontier_area(q, p, i["c"], i["m"]), e["mauve_swapped"])
    near(mauve.frontier_area(p, p, i["c"], i["m"]), e["mauve_identical"])
    near(mauve.frontier_integral(p, q), e["frontier_integral"])
    apart = np.array([1, 0]), np.array([0, 1])
    near(mauve.frontier_area(*apart, i["c"], 25), e["mauve_disjoint_25"])
    near(mauve.frontier_area(*apart, i["c"], 2501), e["mauve_disjoint_2501"])
    smoothed = (mauve.krichevsky_trofimov(np.array(i[k])) for k in ("counts_p", "counts_q"))
    near(mauve.frontier_area(*smoothed, i["c"], i["m"]), e["mauve_star"])


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
    expected = [exact.expected_actions(Q, beta, L, idle=True) @ i["mu"], exact.actions_per_final_token(Q, beta)]
    close(expected, [e["expected_actions"], e["infinite"]["actions_per_final_token"]])
    G = exact.deletion_law(Q, beta, 4000)[-1]
    close(exact.final_text_law(Q, beta, 4000)[0], e["infinite"]["P_eff"])
    close(Q * (1 - G) / (1 - beta - Q @ G)[:, None], e["infinite"]["P_eff"])
    teacher, mu = np.array(i["teacher_P"]), np.array(i["mu"])
    laws = {"masked": [Q / (1 - beta)[:, None]] * L, "final": kernels, "teacher": [teacher] * L}
    texts = {name: mu.copy() for name in laws}
    for name, steps in laws.items():
        for step in steps:
            texts[name] = (texts[name].reshape(-1, 3, 1) * step).reshape(-1)
    p = torch.tensor(texts["teacher"])
    for name in ("masked", "final"):
        q, distances = torch.tensor(texts[name]), e[f"teacher_vs_{name}"]
        close(
            [metrics.total_variation(p, q), metrics.kl(p, q.log())],
            [distances[k] for k in ("tv", "kl_teacher_student")],
        )


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
    if mask:
        close(exact.kl_rows(P, law), e["masked_row_KL_P_Peff"])


def test_kaplan_meier():
    i, e = case("kaplan_meier")
    times, events = np.array(i["times"]), np.array(i["events"])
    first, survived = np.where(events == 1, times - 1, -1), np.where(events == 1, times - 1, times)
    curve, error = metrics.survival(first, survived)
    for t, at_risk, errors, S, H, variance in e["rows"]:
        close(curve[int(t) - 1], S)
        close(metrics.cumulative_hazard(first, survived)[int(t) - 1], H)
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


def test_statistics():
    i, e = case("statistics")
    close(statistics.interquartile_mean(np.array(i["runs_by_tasks"]).reshape(-1)), e["iqm"])
    close(statistics.probability_of_improvement(i["x"], i["y"]), e["prob_improvement"])
    every = np.array(i["x"])[bootstrap.resamples(3, 0)].mean(1)
    close([every.mean(), every.std()], [e["bootstrap_mean"], e["bootstrap_std"]])
    interval = bootstrap.percentile(i["x"], "runs")
    close([interval.low, interval.high], e["bootstrap_ci95"])
    close(growth.log_log_slope(i["grid"], i["J_exact"], scale=np.asarray).value, e["slope_exact"])
    slope = growth.log_log_slope(i["grid"], i["J_noisy"], scale=np.asarray)
    close([slope.value, (slope.high - slope.value) / 2.7764451051977987], [e["slope_noisy"], e["slope_se"]])
    close([slope.low, slope.high], e["slope_ci95"])


def test_arithmetic():
    _, e = case("add_or_sub_in_base")
    for question, answer in zip(e["questions"], e["answers"], strict=True):
        assert answer_to(question) == answer
