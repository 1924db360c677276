"""Reproducible properties, and a guard on the global random states."""

import os
import random

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

# The models are tiny: a second thread only waits for the first. Commands that tests start inherit the variable.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,  # the machines that run this differ too much for timed assertions
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", settings.get_profile("ci"), derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_runtest_setup(item):
    """Tests marked gpu are skipped, and say so, where there is nothing to run them on."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")


@pytest.fixture(autouse=True)
def _global_random_states(request):
    """No test leaves the global random states changed; third-party clients may, and are put back."""
    before = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
    yield
    legacy, inner = np.random.get_state(legacy=False), before[1]["state"]
    unchanged = {
        "random": before[0] == random.getstate(),
        "numpy.random": legacy["state"]["pos"] == inner["pos"] and (legacy["state"]["key"] == inner["key"]).all(),
        "torch": torch.equal(before[2], torch.get_rng_state()),
    }
    random.setstate(before[0])
    np.random.set_state(before[1])
    torch.set_rng_state(before[2])
    of_others = {"contract", "documentation"} & set(request.node.path.parts) or request.node.get_closest_marker(
        "clients"
    )
    if not of_others:
        assert all(unchanged.values()), f"the test changed the global random state of {unchanged}"
