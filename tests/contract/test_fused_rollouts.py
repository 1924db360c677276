"""`fused_rollout` and `replay` give, key by key and bit by bit, what TorchRL's `rollout` records of these actions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential
from torch.distributions import Categorical

import envs
from envs.tasks import Automaton
from seqil import Trajectories, Vocabulary
from seqil.errors import InvalidInputError
from seqil.testing.agents import tiny_policy

V = Vocabulary(5, 4)
SETTINGS = {
    "plain": {"max_length": 4, "prompts": [[0, 1], [2], [4, 4]]},
    "no backspace": {"max_length": 4, "prompts": [[0]], "backspace": False},
    "fixed horizon": {"max_length": 3, "prompts": [[0], [1, 2]], "fixed_horizon": True, "max_actions": 7},
    "min length": {"max_length": 3, "min_length": 2, "prompts": [[3], [1, 2]], "max_actions": 5},
    "wider": {"max_length": 2, "prompts": [[0]], "max_prompt_length": 4},
    "tried": {"max_length": 3, "min_length": 1, "prompts": [[3], [1, 2]], "memory": "tried"},
    "history": {"max_length": 3, "prompts": [[3], [1, 2]], "memory": "history", "max_prompt_length": 3},
    "history, fixed horizon": {
        "max_length": 3,
        "prompts": [[0], [1, 2]],
        "fixed_horizon": True,
        "max_actions": 9,
        "memory": "history",
    },
    "tried, fixed horizon": {
        "max_length": 2,
        "prompts": [[0]],
        "fixed_horizon": True,
        "max_actions": 9,
        "memory": "tried",
    },
}
every = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)


def paid(prompt, tokens):
    return 10.0 * len(prompt) + len(tokens)


def played(env, steps, prompt, actions):
    """TorchRL's own rollout of these actions, int64 [*B, T]."""
    at = iter(actions.unbind(-1))
    return env.rollout(
        steps,
        lambda tensordict: tensordict.set("action", next(at)),
        break_when_any_done=False,
        break_when_all_done=True,
        auto_reset=False,
        tensordict=env.reset(TensorDict({"prompt": prompt}, env.batch_size, env.device)).exclude("prompt"),
    )


def assert_equal(found, expected):
    assert found.batch_size == expected.batch_size
    assert found.names == expected.names
    assert found.device == expected.device
    found = found.exclude("action_log_prob")
    keys = set(expected.keys(include_nested=True, leaves_only=True))
    assert set(found.keys(include_nested=True, leaves_only=True)) == keys
    for key in keys:
        assert found[key].dtype == expected[key].dtype, key
        assert torch.equal(found[key], expected[key]), key


@every
@pytest.mark.parametrize("size", [[], [6], [2, 3]])
@pytest.mark.parametrize("steps", [1, 3, 100])
def test_a_fused_rollout_is_torchrls(settings, size, steps):
    env, twin = (envs.TorchTextGenerationEnv(V, batch_size=size, reward=paid, seed=7, **settings) for _ in range(2))
    policy = tiny_policy(settings.get("backspace", True), settings.get("memory", "prefix")).eval()
    for seed in range(3):
        found = env.fused_rollout(steps, policy, generator=torch.Generator().manual_seed(seed))
        drawn = twin.reset()["observation"]
        cells = env._prompts.shape[1]
        assert torch.equal(found["observation"].select(len(size), 0), drawn)
        assert_equal(found, played(twin, steps, drawn[..., :cells].clamp(max=V.size), found["action"]))
        same = env.action_spec.zero()
        assert_equal(*(e.step(e._observed().set("action", same)).unsqueeze(-1) for e in (env, twin)))


@every
@settings(max_examples=25)
@given(data=st.data())
def test_a_replay_is_torchrls_rollout(settings, data):
    env = envs.TorchTextGenerationEnv(V, batch_size=[3], reward=paid, **settings)
    state, taken = env.reset(), []
    prompt = env._state.tokens[:, : env._prompts.shape[1]]
    while not state["done"].all():
        legal = [row.nonzero()[:, 0] for row in state["action_mask"]]
        taken.append(torch.stack([a[data.draw(st.integers(0, 59)) % len(a)] for a in legal]))
        state = env.step(state.set("action", taken[-1]))["next"]
    actions = torch.stack(taken, 1)
    expected = played(env, len(taken), prompt, actions)
    ends = actions == V.eos
    lengths = torch.where(ends.any(1), ends.long().argmax(1) + 1, actions.shape[1])
    limits = {"max_length": settings["max_length"], "min_length": settings.get("min_length", 0)}
    t = Trajectories.from_actions(V, prompt, actions, lengths=lengths, **limits)
    assert_equal(env.replay(t), expected)


def test_success_is_that_of_the_task():
    task = Automaton(horizon=2)
    env = envs.TorchTextGenerationEnv(task.vocabulary, max_length=2, min_length=2, task=task, batch_size=[4])
    right = task.demonstrations(4, "test", 0)
    wrong = right.actions.clone()
    wrong[0, 1] ^= 1
    t = Trajectories.from_actions(task.vocabulary, right.prompts, wrong, max_length=2, min_length=2)
    found = env.replay(t)
    assert_equal(found, played(env, 3, right.prompts, wrong))
    assert found["next", "reward"][:, -1, 0].tolist() == [0, 1, 1, 1]
    assert found["next", "success"][:, -1, 0].tolist() == [False, True, True, True]


def test_log_probabilities_are_those_of_the_actor():
    policy = tiny_policy().eval()
    actor = ProbabilisticTensorDictSequential(
        policy,
        ProbabilisticTensorDictModule(["logits"], ["action"], distribution_class=Categorical, return_log_prob=True),
    )
    env = envs.TorchTextGenerationEnv(V, max_length=4, prompts=[[0, 1], [2]], batch_size=[8])
    found = env.fused_rollout(12, policy, generator=torch.Generator().manual_seed(0))
    said = actor.log_prob(found.clone())
    assert found["action_log_prob"].shape == said.shape
    torch.testing.assert_close(found["action_log_prob"], said)


def test_nothing_that_was_returned_is_kept_or_shared():
    env = envs.TorchTextGenerationEnv(V, max_length=4, prompts=[[0, 1]], batch_size=[3])
    found = env.fused_rollout(12, tiny_policy().eval())
    before = env._observed().clone()
    leaves = list(found.values(include_nested=True, leaves_only=True))
    assert len({leaf.data_ptr() for leaf in leaves}) == len(leaves)
    for leaf in leaves:
        leaf.zero_()
    assert (env._observed() == before).all()


def trajectories(actions, **options):
    return Trajectories.from_actions(options.pop("v", V), [[0]] * len(actions), actions, max_length=3, **options)


@pytest.mark.parametrize(
    ("t", "culprit"),
    [
        (lambda: trajectories([[1, 4]]), "1 trajectories for 2 rows"),
        (lambda: trajectories([[1, 4]] * 2, v=Vocabulary(6, 4)), "the trajectories are over"),
        (lambda: trajectories([[1, 4]] * 2, min_length=1), "min_length=1, the environment 0"),
        (lambda: trajectories([[1, 4], [1]]), "row 1 stops after 1 of 2 actions"),
        (lambda: trajectories([[], []]), "row 0 stops after 0 of 0 actions"),
        (lambda: trajectories([[1, 5] * 4] * 2), "have 8 actions, the environment allows 6"),
    ],
)
def test_trajectories_of_another_environment_are_refused(t, culprit):
    env = envs.TorchTextGenerationEnv(V, max_length=3, max_actions=6, prompts=[[0]], batch_size=[2])
    with pytest.raises(InvalidInputError, match=culprit):
        env.replay(t())


def test_backspaces_are_refused_where_there_are_none():
    env = envs.TorchTextGenerationEnv(V, max_length=3, prompts=[[0]], batch_size=[1], backspace=False)
    with pytest.raises(InvalidInputError, match="contain backspaces"):
        env.replay(trajectories([[1, 5, 4]]))
    with pytest.raises(InvalidInputError, match="the policy deletes"):
        env.fused_rollout(3, tiny_policy())
    other = envs.TorchTextGenerationEnv(Vocabulary(6, 4), max_length=3, prompts=[[0]], batch_size=[1])
    with pytest.raises(InvalidInputError, match="the policy is over"):
        other.fused_rollout(3, tiny_policy())
