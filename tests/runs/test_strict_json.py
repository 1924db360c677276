"""Every value comes back, in text that any reader of JSON takes."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqil import statistics
from seqil.errors import InvalidInputError
from seqil.runs import strict_json

plain = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(), st.text(),
                  st.sampled_from(["inf", "-inf", "nan", "float"]))  # fmt: skip
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.text(), st.just("float")), inner, max_size=3)
    ),
    max_leaves=12,
)


def same(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return isinstance(b, float) and (a == b or (math.isnan(a) and math.isnan(b)))
    return type(a) is type(b) and a == b


def no_constant(word):
    raise AssertionError(f"{word} is not strict JSON")


@given(values)
def test_values_come_back(value):
    try:
        text = strict_json.dumps(value)
    except InvalidInputError:
        assert "'float':" in repr(value)
        return
    json.loads(text, parse_constant=no_constant)
    assert same(value, strict_json.loads(text))


def test_infinite_estimates_and_arrays_survive():
    e = statistics.Estimate(math.inf, math.nan, math.inf, 3, "seeds")
    record = {"estimate": vars(e), "stored": e.to_json(), "curve": np.array([1.0, -np.inf]), "n": np.int64(3)}
    found = strict_json.loads(strict_json.dumps(record))
    assert same(found["curve"], [1.0, -math.inf])
    assert found["n"] == 3
    for name in ("estimate", "stored"):
        again = statistics.Estimate.of(found[name])
        assert (again.value, again.high, again.unit) == (math.inf, math.inf, "seeds")
        assert math.isnan(again.low)


def test_the_infinite_is_written_in_one_form_and_read_in_every_one():
    e = statistics.Estimate(math.inf, -math.inf, math.nan, 3, "seeds")
    written = json.loads(strict_json.dumps(e.to_json()))
    assert written == {
        **e.to_json(),
        **{k: {"float": x} for k, x in (("value", "inf"), ("low", "-inf"), ("high", "nan"))},
    }
    older = {**written, "value": "inf", "low": "-inf", "high": "nan"}
    for row in (written, older, strict_json.loads(json.dumps(written)), e.to_json()):
        assert repr(statistics.Estimate.of(row)) == repr(e)


def test_what_could_not_be_told_apart_is_refused():
    with pytest.raises(InvalidInputError, match="read as a number"):
        strict_json.dumps([{"float": "inf"}])
    for word in ("NaN", "[-Infinity]"):
        with pytest.raises(json.JSONDecodeError):
            strict_json.loads(word)
    with pytest.raises(TypeError):
        strict_json.dumps({1, 2})
