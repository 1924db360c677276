"""Metrics of texts that a place asks for by name, beside those that every place has; `known_metrics` of studies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial

from seqil import TokenPolicy, Vocabulary
from seqil.errors import InvalidInputError, UnsupportedModelError, check_known
from seqil.metrics.entries import Metric, by_difference, by_ratio
from seqil.metrics.samples import Sample
from seqil.metrics.text_sets import hidden_features, mauve
from seqil.policy.saved.files import load_model
from seqil.revision.final_laws import final_log_probs
from seqil.runs import known_metrics
from seqil.statistics import Estimate, mean, ratio

from ..study import Place


def metrics(asked: Sequence[str] | None = None) -> tuple[Metric, ...]:
    """Those of every place, then those that are asked for; None: all of them.

    Raises:
        InvalidInputError: there is none of a name, or it is measured at every place.
    """
    for name in asked or ():
        if ":" in name or name in [one.name for one in known_metrics.metrics()]:
            raise InvalidInputError(
                f"a place asks for {name!r}: those that every place measures, one's own among them where they are "
                f"registered (entry point seqil.metrics), are not asked for; leave it out. It may ask for: "
                f"{', '.join(_ASKED)}"
            )
        check_known("metric", name, list(_ASKED), "; ")
    chosen = _ASKED if asked is None else asked
    return (*known_metrics.metrics(), *(_ASKED[name] for name in chosen))


def metric(name: str) -> Metric | None:
    """By its name; None of one that is not known here, such as that of a record from elsewhere."""
    return next((one for one in metrics() if one.name == name), None)


def of(place: Place) -> tuple[Metric, ...]:
    """Those of a place, ready to be computed there.

    Raises:
        InvalidInputError: there is none of a name, or it needs a model that the place does not name.
    """
    folder = place.settings.get("model")
    if folder is None and "mauve_hidden" in place.metrics:
        raise InvalidInputError(
            f"place {place.name!r}: mauve_hidden compares by a model that all arms begin from; name its folder as "
            "model among the settings of the place"
        )
    return tuple(
        replace(one, compute=partial(_mauve_hidden, str(folder))) if one.name == "mauve_hidden" else one
        for one in metrics(place.metrics)
    )


def _bits_per_byte(s: Sample) -> Estimate | None:
    """Over the bytes of what is decoded; the end of a text is paid for, its prompt is not."""
    if s.nll is None:
        return None
    sizes = [len(s.task.decode(text).encode()) for text in s.references]
    return ratio(s.nll * s.demonstrations.lengths.numpy() / math.log(2), sizes, "sequences")


def _final_nll(s: Sample) -> Estimate | None:
    try:
        found = final_log_probs(s.policy, s.demonstrations)
    except UnsupportedModelError:
        return None
    return mean(-found / s.demonstrations.lengths.numpy(), "sequences")


def _attribute(s: Sample) -> Estimate | None:
    found = s.task.attribute(s.rollouts.replay())
    return None if found is None else mean(found.cpu().numpy(), "texts")


def _mauve_hidden(folder: str, s: Sample) -> Estimate | None:
    if len(s.rollouts) != len(s.demonstrations):
        return None
    reader = _reader(folder, s.policy.vocabulary)
    return mean([mauve(s.texts, s.references, hidden_features(reader, s.prompts))], "samples")


@lru_cache(maxsize=1)
def _reader(folder: str, vocabulary: Vocabulary) -> TokenPolicy:
    reader = TokenPolicy(load_model(folder), vocabulary, backspace=False, dtype="bfloat16")
    reader.eval()
    return reader


_ASKED = {
    one.name: one
    for one in (
        Metric(
            "attribute",
            "Mean attribute of what was finally written; for tasks that have one, such as `potentials`.",
            _attribute,
            "of the task, standard scores of `potentials`",
            (),
            "higher",
            by_difference,
            "quality",
        ),
        Metric(
            "bits_per_byte",
            "Negative log-likelihood of the tokens of held-out texts, without the backspace, over their bytes.",
            _bits_per_byte,
            "bits per byte",
            (),
            "lower",
            by_ratio,
            "quality",
        ),
        Metric(
            "final_nll_per_token",
            "Negative log-likelihood of held-out texts under the exact law of what is finally written, plain samples "
            "without a budget of actions; for tasks that can be enumerated.",
            _final_nll,
            "nats per token",
            (),
            "lower",
            by_ratio,
            "quality",
        ),
        Metric(
            "mauve_hidden",
            "Closeness to the demonstrations by mean last hidden states of the model that all arms begin from; one "
            "number for the whole sample, without an interval.",
            lambda s: None,  # known where a place names a model
            "area, 0 to 1, for samples of one size",
            (),
            "higher",
            by_difference,
            "quality",
            scale="share",
        ),
    )
}
