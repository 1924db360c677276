"""What is measured of a sample, in float64. One name for all of it; the modules below say how.

- `step_errors`: distances between the teacher's and the student's law of one step, and what they add up to.
- `horizon`: those laws before every token of a text: step errors, entropies, likelihoods by position.
- `distances`: between the laws of whole texts.
- `survival`: time to the first error, with censoring. `growth`: how errors grow with the horizon.
- `deletions`: how errors are found and deleted. `costs`: what sampling took.
- `diversity`, `mauve`: texts without a teacher.
"""

from .costs import Cost, cost, flops, forward_flops
from .deletions import Backspaces, backspaces, error_depth, ever_deleted
from .distances import sequence_distances, text_log_probs
from .diversity import distinct, exact_matches, ngram_entropy, repetition
from .growth import TwoRates, local_slopes, log_log_slope, quadratic, two_rates, weibull_shape
from .horizon import (
    RARE,
    Steps,
    along,
    by_position,
    entropy,
    entropy_drift,
    final_texts,
    forbidden,
    nats_per_token,
    negative_log_likelihood,
    rare_tokens,
    regret,
    reverse_step_error,
    step_error,
    surprisal,
    taught,
    teacher_negative_log_likelihood,
    teacher_surprisal,
)
from .mauve import mauve
from .step_errors import (
    accumulated_error,
    chi_squared_to_mixture,
    excess_accumulated_error,
    jensen_shannon,
    kl,
    squared_hellinger,
    token_log_probs,
    total_variation,
)
from .survival import (
    Floats,
    Ints,
    Judge,
    absorbing_regret,
    absorbing_regret_error,
    cumulative_hazard,
    first_errors,
    hazard,
    prompt_lists,
    risk_table,
    survival,
)

__all__ = [
    "RARE",
    "Backspaces",
    "Cost",
    "Floats",
    "Ints",
    "Judge",
    "Steps",
    "TwoRates",
    "absorbing_regret",
    "absorbing_regret_error",
    "accumulated_error",
    "along",
    "backspaces",
    "by_position",
    "chi_squared_to_mixture",
    "cost",
    "cumulative_hazard",
    "distinct",
    "entropy",
    "entropy_drift",
    "error_depth",
    "ever_deleted",
    "exact_matches",
    "excess_accumulated_error",
    "final_texts",
    "first_errors",
    "flops",
    "forbidden",
    "forward_flops",
    "hazard",
    "jensen_shannon",
    "kl",
    "local_slopes",
    "log_log_slope",
    "mauve",
    "nats_per_token",
    "negative_log_likelihood",
    "ngram_entropy",
    "prompt_lists",
    "quadratic",
    "rare_tokens",
    "regret",
    "repetition",
    "reverse_step_error",
    "risk_table",
    "sequence_distances",
    "squared_hellinger",
    "step_error",
    "surprisal",
    "survival",
    "taught",
    "teacher_negative_log_likelihood",
    "teacher_surprisal",
    "text_log_probs",
    "token_log_probs",
    "total_variation",
    "two_rates",
    "weibull_shape",
]
