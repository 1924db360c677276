"""Every face of the environment is `seqil.transition`."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqil
from envs import TextGenerationEnv

V = seqil.Vocabulary(size=4, eos=3)


@given(
    actions=st.lists(st.integers(0, 4), max_size=14),
    prompt=st.lists(st.integers(0, 3), min_size=1, max_size=2),
    limits=st.integers(1, 3).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    backspace=st.booleans(),
)
def test_the_environment_is_transition(actions, prompt, limits, backspace):
    max_length, min_length = limits
    env = TextGenerationEnv(
        V, max_length=max_length, min_length=min_length, prompts=[prompt], backspace=backspace, fixed_horizon=True,
        max_actions=100,
    )  # fmt: skip
    state = seqil.start(V, [prompt], max_length, min_length)
    observation, info = env.reset()
    illegal, legal = 0, [True] * V.num_actions
    for action in [None, *actions]:
        if action is not None:
            if not backspace and action == V.backspace:
                continue
            illegal += int(not legal[action])
            state = seqil.transition(V, state, torch.tensor([action]))
            observation, _, _, _, info = env.step(action)
        legal = seqil.legal_actions(V, state, backspace)[0].tolist()
        assert observation.tolist() == state.tokens[0].tolist()
        assert info["action_mask"].astype(bool).tolist() == legal[: env.action_space.n]
        assert info["length"] == state.length[0]
        assert info["illegal"] == illegal
        assert np.array_equal(env.action_masks(), info["action_mask"].astype(bool))
