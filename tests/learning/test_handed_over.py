"""Functions and objects of users are looked at where they are handed over, and what they return where it is used."""

import gymnasium.vector
import pytest
import torch

from agents.behavior_cloning import BehaviorCloning
from envs import TextGenerationEnv, TextGenerationVectorEnv
from envs.wrappers import stable_baselines_vec_env
from seqil import Agent, DeletionStreamer, Trajectories, mistype, noise, rewards, rollout, train
from seqil.errors import InvalidInputError
from seqil.errors.arguments import check_function
from seqil.testing.agents import tiny_demonstrations, tiny_policy

V = tiny_policy().vocabulary

T = Trajectories.from_actions(V, [[0]] * 4, [[1, 2, 3, V.eos]] * 4, max_length=8)


class Bare(Agent):
    def __init__(self, policy):
        self.policy = policy


def g():
    return torch.Generator().manual_seed(0)


def noised(source):
    return mistype(V, T, 0.5, source, g())


def trained(agent=None, **options):
    return next(train(agent or BehaviorCloning(tiny_policy(), steps=1), T, generator=g(), **options))


def vectors(**options):
    return TextGenerationVectorEnv(V, num_envs=2, max_length=4, prompts=[[0]], **options)


def written(**options):
    return rollout(tiny_policy(), [[0]], **{"max_length": 4, "generator": g(), **options})


CASES = {
    "Noise: weights=3 is not a function of prefixes": lambda: noise.Noise(3),
    "Noise: burst='x' is not an int": lambda: noise.Noise(lambda prefixes: 1, "x"),
    "of_texts: judge=3 is not a function of prompt and reference and text": lambda: rewards.of_texts(3),
    "to_rows: log_probs=True, and nobody": lambda: tiny_demonstrations().to_rows(log_probs=True),
    "reader would do nothing: rows are ids": lambda: tiny_demonstrations().to_dataset(reader=print),
    "stable_baselines_vec_env: None is no vector": lambda: stable_baselines_vec_env(None),
    "confusions: weights=3 is not a function of prefixes": lambda: noise.confusions(3),
    "Noise: weights is not a function of prefixes (too many positional": lambda: noise.Noise(lambda: 1),
    "Noise: weights is not a function of prefixes (missing a required": lambda: noise.Noise(lambda a, b: 1),
    "<lambda> gave None; return a tensor": lambda: noised(noise.Noise(lambda prefixes: None)),
    "<lambda> gave [1]; return a tensor": lambda: noised(noise.Noise(lambda prefixes: [1])),
    "mistype: noise='uniform' is not a seqil.Noise": lambda: noised("uniform"),
    "mistype: trajectories=[[1]] is not a seqil.Trajectories": lambda: mistype(V, [[1]], 0.5, noise.uniform(V), g()),
    "Training: corrupt returned None; return seqil.Traj": lambda: trained(corrupt=lambda t, g: None),
    "texts of 4; return one for each": lambda: trained(corrupt=lambda t, g: t.select(slice(0, 1))),
    "Training: corrupt is not a function of demonstrations and a gen": lambda: trained(corrupt=lambda t: t),
    "Training: corrupt='x' is not a function": lambda: trained(corrupt="x"),
    "Training: sampling=3 is not a seqil.Sampling or None": lambda: trained(sampling=3),
    "Training: ranks=3 is not a seqil.Ranks or None": lambda: trained(ranks=3),
    "Training: agent=3 is not a seqil.Agent": lambda: trained(3),
    "Bare: its __init__ does not call that of Agent": lambda: trained(Bare(tiny_policy())),
    "rollout: watch=3 is not a function of row and action": lambda: written(watch=3),
    "rollout: watch is not a function of row and action": lambda: written(watch=lambda action: None),
    "streams=3 is not a tensor": lambda: written(streams=3),
    "unknown autoreset_mode 'same'; known: NEXT_STEP, SAME_STEP": lambda: vectors(autoreset_mode="same"),
    "unknown autoreset_mode 3; known": lambda: vectors(autoreset_mode=3),
    "unknown autoreset_mode None; known": lambda: vectors(autoreset_mode=None),
    "num_envs='2' is not an int": lambda: TextGenerationVectorEnv(V, num_envs="2", max_length=4, prompts=[[0]]),
    "seed='ab' is neither an int nor a list": lambda: vectors().reset(seed="ab"),
    "options=3 of a reset is not a mapping": lambda: vectors().reset(options=3),
    "options=4 of a reset is not a mapping": lambda: TextGenerationEnv(V, max_length=4, prompts=[[0]]).reset(options=4),
    "reward is not a function of prompt and text": lambda: vectors(reward=lambda text: 1.0),
    "step_reward is not a function of prompt and before and after": lambda: vectors(step_reward=lambda a, b: 1.0),
    "reader='gpt2' cannot decode ids; give a tokenizer or a task": lambda: T.to_dataset("text", "gpt2"),
    "DeletionStreamer: tokenizer=3 cannot decode ids": lambda: DeletionStreamer(3, 1, 2),
}


@pytest.mark.parametrize("said", CASES)
def test_what_cannot_be_used_is_one_line(said):
    if "reader" in said:
        pytest.importorskip("datasets")
    with pytest.raises(InvalidInputError) as refused:
        CASES[said]()
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_what_fails_inside_of_a_function_of_ones_own_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        trained(corrupt=lambda t, g: t.select(1 // 0))
    with pytest.raises(TypeError, match="unsupported operand"):
        noised(noise.Noise(lambda prefixes: prefixes.length + "x"))


@pytest.mark.parametrize("function", [print, lambda *a: a, lambda a, b=1: a, max, int])
def test_functions_that_can_be_called_so_are_taken(function):
    check_function("here", "it", function, "one")


@pytest.mark.parametrize("mode", [m for mode in gymnasium.vector.AutoresetMode for m in (mode, mode.name, mode.value)])
def test_a_mode_is_known_by_itself_its_name_and_its_value(mode):
    asked = getattr(mode, "name", mode)
    assert vectors(autoreset_mode=mode).autoreset_mode.name.replace("_", "") == asked.upper().replace("_", "")


def test_numbers_of_torch_are_numbers():
    same = [written(), written(max_length=torch.tensor(4), temperature=torch.tensor(1.0), max_actions=torch.tensor(16))]
    assert same[0].actions.tolist() == same[1].actions.tolist()
