"""Closed forms of a few rates: what a correction or a memory is worth, what cloning costs where it cannot be right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError, on_one_line
from ..errors.arguments import check_count, check_fields, check_number, of_arrays
from ..errors.limits import check_memory


@dataclass(frozen=True)
class ImmediateCorrection:
    """A writer that errs at a rate and may delete the token just written, and no other.

    Attributes:
        error: chance that a token written is wrong.
        hit: chance that a wrong token is deleted at once.
        false: chance that a right one is.
    """

    error: float
    hit: float
    false: float

    def __post_init__(self) -> None:
        check_fields(self)
        for name, chance in vars(self).items():
            check_number("ImmediateCorrection", name, chance, 0, 1)

    @property
    def deletion(self) -> float:
        """Chance that a token written is deleted."""
        return self.error * self.hit + (1 - self.error) * self.false

    @property
    def hazard(self) -> float:
        """Errors per net token; compare with `error`, that without deletions."""
        return self.error * (1 - self.hit) / (1 - self.deletion)

    @property
    def actions_per_net_token(self) -> float:
        """Tokens and deletions per token that stands."""
        return (1 + self.deletion) / (1 - self.deletion)

    @property
    def precision(self) -> float:
        """Share of deletions that hit an error; the recall is `hit`."""
        return self.error * self.hit / self.deletion if self.deletion else math.nan

    @of_arrays
    def survival(self, length: int) -> float:
        """Chance that a text of that many net tokens is without error."""
        return (1 - self.hazard) ** check_count("survival", "length", length)


@of_arrays
def hitting_actions(backspace: float, length: int) -> float:
    """Expected actions until `length` tokens stand first, if each action is a deletion with a fixed chance below 1/2.

    A deletion of the empty text is an action without effect.
    """
    if not 0 <= backspace < 0.5 or not 0 <= length < math.inf:
        raise InvalidInputError(
            f"hitting_actions: backspace={backspace} must lie in [0, 1/2) and length={length} be at least 0"
        )
    q, p = backspace, 1 - backspace
    return length / (p - q) - q * (1 - (q / p) ** length) / (p - q) ** 2


@of_arrays
def rejection(success: float, length: int, tries: int) -> tuple[float, float]:
    """Success and expected actions of sampling whole texts until one is right, at most `tries` times.

    Args:
        success: chance that one text is right.
        length: actions per text.
        tries: at most.
    """
    if not 0 < success <= 1 or not 0 <= length < math.inf or tries < 1:
        raise InvalidInputError(
            f"rejection: success={success} must lie in (0, 1], length={length} be at least 0, tries={tries} at least 1"
        )
    any_right = 1 - (1 - success) ** tries
    return any_right, length * any_right / success


@dataclass(frozen=True)
class Guess:
    """A guess among equally likely tokens, one of them right, that is made again whenever it is deleted.

    Methods take the memory: `prefix`, which does not know what was deleted, or `tried`, which does not write it again.

    Attributes:
        choices: K, the tokens.
        detection: d, chance that a wrong one is deleted; a right one never is.
    """

    choices: int
    detection: float

    def __post_init__(self) -> None:
        check_fields(self)
        if self.choices < 1 or not 0 <= self.detection <= 1:
            raise InvalidInputError(
                f"choices={self.choices} must be at least 1 and detection={self.detection} must lie in 0..1"
            )

    def guesses(self, memory: str) -> float:
        """Expected guesses until one stands."""
        K, d = self.choices, self.detection
        if self._forgets(memory):
            return 1 / (1 - d * (K - 1) / K)
        return sum(d**j * (K - j) / K for j in range(K))

    def right(self, memory: str) -> float:
        """Chance that the one that stands is right."""
        if self._forgets(memory):
            return self.guesses(memory) / self.choices
        # (1 - d^K) / (K (1 - d)), as a sum, which has no pole at d = 1.
        return sum(self.detection**j for j in range(self.choices)) / self.choices

    def repetition(self, memory: str) -> float:
        """Chance that the guess after a deletion is the one that was deleted."""
        return 1 / self.choices if self._forgets(memory) else 0.0

    def _forgets(self, memory: str) -> bool:
        if not isinstance(memory, str) or memory not in ("prefix", "tried"):
            raise InvalidInputError(f"memory={on_one_line(memory, 60)} has no closed form here; known: prefix, tried")
        return memory == "prefix"


@dataclass(frozen=True)
class MisspecifiedCloning:
    """Log-loss cloning of a mixture by one coin, over T tokens.

    The teacher writes T tosses of a coin of chance `common`, but with probability `rare` of one of chance `other`; the
    student is one coin. Cloning takes the teacher's mean frequency, and its distance from the best coin grows with T
    without bound relative to that of the best: log-loss is no proxy for a misspecified class.

    Attributes:
        T: tokens.
        common, other: chances of the two coins.
        rare: weight of the other.
    """

    T: int
    common: float = 0.5
    other: float = 0.7
    rare: float = 0.01

    def __post_init__(self) -> None:
        check_fields(self)
        check_count("MisspecifiedCloning", "T", self.T, 1)
        for name in ("common", "other"):
            check_number("MisspecifiedCloning", name, getattr(self, name), 0, 1)
        check_memory(64 * self.T, f"the law of a count of {self.T:,}", "lower T")
        if not 0 < self.rare <= 0.5:
            raise InvalidInputError(f"rare={self.rare} must be above 0 and at most 1/2; exchange the coins")

    @property
    def cloned(self) -> float:
        """The chance of maximum likelihood."""
        return (1 - self.rare) * self.common + self.rare * self.other

    @of_arrays
    def total_variation(self, chance: float) -> float:
        """Between the laws of the teacher's and of the student's texts: that of their counts, which are sufficient."""
        from scipy import stats

        check_number("total_variation", "chance", chance, 0, 1)
        counts = np.arange(self.T + 1)
        common, other, student = (stats.binom.logpmf(counts, self.T, p) for p in (self.common, self.other, chance))
        teacher = np.logaddexp(math.log1p(-self.rare) + common, math.log(self.rare) + other)
        return float(np.abs(np.exp(teacher) - np.exp(student)).sum() / 2)

    def best(self) -> tuple[float, float]:
        """The chance of least total variation, and that distance.

        The distance has a kink wherever a count changes sides, so it is searched on a grid around `common` (finer than
        the width of a binomial law) and then refined.
        """
        from scipy import optimize

        width = math.sqrt(self.common * (1 - self.common) / self.T)
        lowest, highest = sorted((self.common, self.other))
        ends = max(1e-12, lowest - 3 * width), min(1 - 1e-12, max(highest, self.common + 3 * width))
        grid = np.unique(np.clip(np.concatenate([
            np.linspace(*ends, 41), self.common + np.linspace(-3, 3, 61) * width,
        ]), *ends))  # fmt: skip
        at = int(np.argmin([self.total_variation(p) for p in grid]))
        bounds = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
        found = optimize.minimize_scalar(
            self.total_variation, bounds=bounds, method="bounded", options={"xatol": 1e-12}
        )
        return float(found.x), float(found.fun)

    def ratio(self) -> float:
        """Total variation of the cloned coin over that of the best."""
        return self.total_variation(self.cloned) / self.best()[1]


@dataclass(frozen=True)
class NoisyExpert:
    """Imitation of a noisy expert, from its texts or at one's own states, where an error is for ever.

    Of the two actions at each of H places one is right. The expert takes it, but with probability `rate` tosses a coin;
    after an error nothing that it does says anything. The learner is a table: at each place it takes the action that it
    has seen more often there, and guesses between equals. It is to be right as the expert is without the noise. Offline
    that takes a number of texts that grows exponentially with H, online one that grows as H log H, after the separation
    of arXiv 2606.30923 (read as an abstract; this case is ours).

    Attributes:
        rate: in [0, 1].
    """

    rate: float

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 <= self.rate <= 1:
            raise InvalidInputError(f"rate={self.rate} of a noisy expert must lie in [0, 1]")

    @property
    def right(self) -> float:
        """Chance of the expert's right action."""
        return 1 - self.rate / 2

    @of_arrays
    def majority(self, labels: int) -> float:
        """Chance that the learner is right at a place of which it has seen that many labels."""
        from scipy import stats

        half, odd = divmod(check_count("majority", "labels", labels), 2)
        tie = 0.0 if odd else 0.5 * float(stats.binom.pmf(half, labels, self.right))
        return min(1.0, float(stats.binom.sf(half, labels, self.right)) + tie)

    @of_arrays
    def offline(self, texts: int, horizon: int) -> float:
        """Chance that the learner's text is right, cloned from whole texts of the expert.

        Those that have gone wrong leave the right path, so that ever fewer say what is right at later places.
        """
        check_count("offline", "horizon", horizon)
        check_memory(3 * 8 * check_count("offline", "texts", texts) ** 2, f"a table of {texts:,} texts", "lower texts")
        chances, table = np.ones(texts + 1), _table(self.right, texts)
        if horizon > _LONG:
            chances = np.linalg.matrix_power(table, horizon) @ chances
        else:
            for _ in range(horizon):
                chances = table @ chances
        return min(1.0, float(chances[texts]))

    @of_arrays
    def online(self, texts: int, horizon: int) -> float:
        """The same of as many texts that the learner writes up to one place each, where the expert says one label.

        The places are learned one after another, `texts // horizon` labels each (forward training, Ross & Bagnell
        2010): once the learner is right at those before, each of its texts reaches the next one.
        """
        check_count("online", "texts", texts)
        return self.majority(texts // check_count("online", "horizon", horizon, 1)) ** horizon


_LONG = 10_000  # horizons from which on squaring the table is quicker


@lru_cache(maxsize=1)
def _table(right: float, most: int) -> NDArray[np.float64]:
    """`_chosen` of 0 … most labels: [most + 1, most + 1]."""
    return _chosen(right, np.arange(most + 1)[:, None], most)


def _chosen(right: float, n: NDArray[np.int64], most: int) -> NDArray[np.float64]:
    """Chance that k of n labels are right, and that who goes by the majority then is: [N, most + 1], from [N, 1]."""
    from scipy import stats

    k = np.arange(most + 1)
    wins = np.where(2 * k > n, 1.0, np.where(2 * k == n, 0.5, 0.0))
    chosen: NDArray[np.float64] = stats.binom.pmf(k, n, right) * wins
    return chosen
