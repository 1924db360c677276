"""The TorchRL environment under TorchRL's own checker, and against the vector environment."""

import copy

import numpy as np
import pytest
import torch
from small_environments import SETTINGS, V, agree, every
from tensordict import TensorDict
from torchrl.envs.utils import check_env_specs

import envs
from envs.tasks import Automaton
from seqil import TokenPolicy
from seqil.errors import InvalidInputError
from seqil.testing.agents import tiny_policy


@every
@pytest.mark.parametrize("size", [[], [3], [2, 2]])
def test_torchrl_finds_no_fault(settings, size):
    check_env_specs(envs.TorchTextGenerationEnv(V, batch_size=size, **settings))


@every
def test_the_torchrl_environment_is_the_vector_one(settings):
    settings = {**settings, "prompts": settings["prompts"][:1]}
    ours = envs.TorchTextGenerationEnv(V, batch_size=[3], **settings)
    theirs = envs.TextGenerationVectorEnv(V, num_envs=3, autoreset_mode="Disabled", **settings)
    state, (observation, info) = ours.reset(), theirs.reset(seed=0)
    random = np.random.default_rng(1)
    for _ in range(60):
        assert (state["observation"].numpy() == observation).all()
        assert (state["action_mask"].numpy() == info["action_mask"]).all()
        assert (state["illegal"][:, 0].numpy() == info["illegal"]).all()
        actions = random.integers(0, theirs.single_action_space.n, 3)
        state = ours.step(state.set("action", torch.from_numpy(actions)))["next"]
        observation, reward, terminated, truncated, info = theirs.step(actions)
        assert (state["reward"][:, 0].numpy() == reward).all()
        assert (state["terminated"][:, 0].numpy() == terminated).all()
        assert (state["truncated"][:, 0].numpy() == truncated).all()
        over = terminated | truncated
        if over.any():
            state = ours.reset(state.set("_reset", torch.from_numpy(over)[:, None]))
            observation, fresh = theirs.reset(options={"reset_mask": over})
            info = {k: np.where(over.reshape(-1, *[1] * (v.ndim - 1)), fresh[k], v) for k, v in info.items()}


@every
def test_a_torchrl_row_that_is_over_stays_as_it_is(settings):
    env = envs.TorchTextGenerationEnv(V, batch_size=[3], reward=lambda prompt, tokens: 1.0 + len(tokens), **settings)
    alone = envs.TextGenerationEnv(V, reward=lambda prompt, tokens: 1.0 + len(tokens), **settings)
    state, random = env.reset(), np.random.default_rng(0)
    faces = [copy.deepcopy(alone) for _ in range(3)]
    prompts = [[t for t in row if t != 5] for row in state["observation"].tolist()]
    last = [(*f.reset(options={"prompt": p}), False, False) for f, p in zip(faces, prompts, strict=True)]
    for _ in range(20):
        actions = random.integers(0, alone.action_space.n, 3)
        state = env.step(state.set("action", torch.from_numpy(actions)))["next"]
        for row, (face, action) in enumerate(zip(faces, actions, strict=True)):
            over, reward = any(last[row][2:]), 0.0
            if not over:
                observation, reward, terminated, truncated, info = face.step(action)
                last[row] = observation, info, terminated, truncated
            observation, info, terminated, truncated = last[row]
            found = {key: state[key][row].numpy() for key in state.keys()}  # noqa: SIM118
            assert agree(found["observation"], observation)
            assert found["reward"] == reward
            assert (found["action_mask"] == info["action_mask"]).all()
            assert found["illegal"] == info["illegal"]
            assert (found["terminated"], found["truncated"]) == (terminated, truncated)
            assert found["done"] == (terminated or truncated)
    assert state["done"].all()


def test_success_stays_once_a_torchrl_row_is_over():
    task = Automaton(horizon=2)
    env = envs.TorchTextGenerationEnv(task.vocabulary, max_length=2, min_length=2, task=task, batch_size=[2])
    prompts = torch.tensor(task.prompts(2, "test", 0))
    right = task.demonstrations(2, "test", 0).actions
    state = env.reset(TensorDict({"prompt": prompts}, [2]))
    assert torch.equal(state["observation"][:, :2], prompts)
    paid = []
    for step in (0, 1, 2, 2, 2):
        state = env.step(state.set("action", right[:, step]))["next"]
        paid.append((state["reward"].flatten().tolist(), state["success"].flatten().tolist()))
    assert paid == [([0, 0], [False] * 2)] * 2 + [([1, 1], [True] * 2)] + [([0, 0], [True] * 2)] * 2
    assert not env.reset()["success"].any()


def test_prompts_of_a_torchrl_reset():
    env = envs.TorchTextGenerationEnv(V, batch_size=[2, 2], **SETTINGS["plain"])
    prompts = torch.tensor([[[3], [2]], [[1], [0]]])
    assert torch.equal(env.reset(TensorDict({"prompt": prompts}, [2, 2]))["observation"][..., :2],
                       torch.nn.functional.pad(prompts, (0, 1), value=5))  # fmt: skip
    for wrong, culprit in ((prompts + 6, "out of range"), (prompts.expand(2, 2, 3), "at most 2 fit"),
                           (prompts.float(), "int64")):  # fmt: skip
        with pytest.raises(InvalidInputError, match=culprit):
            env.reset(TensorDict({"prompt": wrong}, [2, 2]))
    with pytest.raises(InvalidInputError, match="unknown reset option 'prompt'"):
        env.reset(prompt=[3])


@pytest.mark.parametrize("backspace", [True, False])
def test_a_torchrl_action_out_of_range_is_refused(backspace):
    env = envs.TorchTextGenerationEnv(V, batch_size=[2], **{**SETTINGS["plain"], "backspace": backspace})
    state = env.reset()
    for action in (torch.tensor([0, 5 + backspace]), torch.tensor([-1, 0]), torch.tensor([0.0, 1.0])):
        with pytest.raises(InvalidInputError, match="action"):
            env.step(state.clone().set("action", action))
    found = env.step(state.set("action", torch.tensor([1, 1])))["next"]
    assert not found["illegal"].any()


def test_a_token_policy_acts_in_the_torchrl_environment():
    from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential
    from torch.distributions import Categorical

    policy = tiny_policy().eval()
    actor = ProbabilisticTensorDictSequential(
        policy, ProbabilisticTensorDictModule(["logits"], ["action"], distribution_class=Categorical)
    )
    env = envs.TorchTextGenerationEnv(policy.vocabulary, batch_size=[4], max_length=5, prompts=[[0, 1]])
    with torch.no_grad():
        run = env.rollout(12, actor, break_when_any_done=False)
    assert not run["next", "illegal"].any()
    assert isinstance(policy, TokenPolicy)
