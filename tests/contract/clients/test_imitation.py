"""imitation: BC and GAIL on our demonstrations; its BC and ours agree."""

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from agents.behavior_cloning import BehaviorCloning
from envs.wrappers import OneHotObservation
from examples.episodes import play
from examples.three_tokens import ACTIONS, PROMPTS, VOCABULARY, answer, demonstrations, make_env, success_rate
from seqil import Prefixes, TokenPolicy, Trajectories, legal_actions, start, train, transition
from seqil.randomness import seeded
from seqil.statistics import mean

pytestmark = [
    pytest.mark.clients,
    # imitation logs the norm of its weights with their graph.
    pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True to a scalar:UserWarning"),
]
LENGTH, HORIZON = 3, 6
SEEDS = range(4)


@pytest.fixture
def logger(tmp_path):
    from imitation.util.logger import configure

    logger = configure(tmp_path, ["csv"])
    yield logger
    logger.close()


def episodes(env, trajectories: Trajectories) -> list:
    from imitation.data.types import Trajectory

    return [
        Trajectory(obs=e.observations, acts=e.actions, infos=None, terminal=bool(e.terminations[-1]))
        for e in play(env, trajectories)
    ]


def behavior_cloning(env, data: Trajectories, seed: int, logger, **options):
    from imitation.algorithms.bc import BC
    from imitation.data.rollout import flatten_trajectories

    torch.manual_seed(seed)
    return BC(
        observation_space=env.observation_space,
        action_space=env.action_space,
        demonstrations=flatten_trajectories(episodes(env, data)),
        rng=np.random.default_rng(seed),
        custom_logger=logger,
        device="cpu",
        **options,
    )


def test_bc_learns(logger):
    env = make_env()
    cloned = behavior_cloning(env, demonstrations(60), 0, logger)

    def act(observation, mask):
        return int(cloned.policy.predict(observation, deterministic=True)[0])

    assert success_rate(act, env, 60) < 0.1
    cloned.train(n_epochs=100, progress_bar=False, log_interval=10**9)
    assert success_rate(act, env, 60) > 0.9


def test_gail_learns_with_a_fixed_horizon(logger):
    from imitation.algorithms.adversarial.gail import GAIL
    from imitation.data.types import Trajectory
    from imitation.rewards.reward_nets import BasicRewardNet
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    def make():
        return OneHotObservation(make_env(fixed_horizon=True, max_actions=HORIZON))

    env, expert = make(), []
    for prompt in PROMPTS * 20:
        actions = answer(prompt) + [VOCABULARY.eos] * (HORIZON - LENGTH - 1)
        first, _ = env.reset(options={"prompt": prompt})
        seen = [first, *(env.step(action)[0] for action in actions)]
        expert.append(Trajectory(obs=np.stack(seen), acts=np.array(actions), infos=None, terminal=False))
    torch.manual_seed(0)
    venv = DummyVecEnv([make] * 8)
    options = {"n_steps": 64, "batch_size": 64, "learning_rate": 1e-3, "gamma": 0.95, "ent_coef": 0.01}
    learner = PPO("MlpPolicy", venv, seed=0, device="cpu", **options)
    gail = GAIL(
        demonstrations=expert,
        demo_batch_size=256,
        venv=venv,
        gen_algo=learner,
        reward_net=BasicRewardNet(venv.observation_space, venv.action_space),
        n_disc_updates_per_round=16,
        custom_logger=logger,
    )

    def act(observation, mask):
        return int(learner.predict(observation)[0])

    assert success_rate(act, env, 60) < 0.1
    gail.train(10_240)
    assert success_rate(act, env, 60) > 0.4


# -- its behavior cloning and ours -------------------------------------------------------------------


WEIGHTS = torch.rand(VOCABULARY.size, LENGTH + 2, ACTIONS, generator=torch.Generator().manual_seed(0)) + 0.1


def teacher(p: Prefixes) -> Tensor:
    """Log-probabilities that depend on the last token and on how many were written; deletions included."""
    weights = WEIGHTS[p.tokens[torch.arange(len(p)), p.length - 1], p.generated] * legal_actions(VOCABULARY, p)
    return (weights / weights.sum(-1, keepdim=True)).log()


def draw(n: int, seed: int) -> Trajectories:
    """The teacher's own trajectories, twelve actions at most."""
    g = torch.Generator().manual_seed(seed)
    prompts = torch.randint(3, (n, 1), generator=g)
    p, actions, lengths = start(VOCABULARY, prompts, LENGTH), [], torch.zeros(n, dtype=torch.int64)
    for _ in range(12):
        lengths += ~p.ended
        actions.append(torch.multinomial(teacher(p).exp(), 1, generator=g)[:, 0])
        p = transition(VOCABULARY, p, actions[-1])
    return Trajectories.from_actions(VOCABULARY, prompts, torch.stack(actions, 1), lengths=lengths, max_length=LENGTH)


@torch.no_grad()
def nll(log_probs, data: Trajectories) -> float:
    """Nats per action, among the legal ones."""
    p, total = start(VOCABULARY, data.prompts, LENGTH), 0.0
    for actions, inside in zip(data.actions.T, data.inside.T, strict=True):
        law = log_probs(p).masked_fill(~legal_actions(VOCABULARY, p), -torch.inf).log_softmax(-1)
        taken = torch.where(inside, actions, VOCABULARY.eos)
        total -= float(law[torch.arange(len(p)), taken][inside].double().sum())
        p = transition(VOCABULARY, p, taken)
    return total / int(data.lengths.sum())


def ours(data: Trajectories, seed: int):
    config = GPT2Config(
        **{"vocab_size": VOCABULARY.size, "n_positions": 8, "n_layer": 1, "n_embd": 32, "n_head": 2},
        **{"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 3, "eos_token_id": 3},
    )
    with seeded(seed):
        policy = TokenPolicy(GPT2LMHeadModel(config), VOCABULARY)
    agent = BehaviorCloning(policy, steps=500, learning_rate=3e-3)
    for _ in train(agent, data, generator=torch.Generator().manual_seed(seed), batch_size=64):
        pass
    return policy.eval().log_probs


def theirs(data: Trajectories, seed: int, logger):
    options = {"batch_size": 256, "ent_weight": 0.0, "optimizer_kwargs": {"lr": 1e-3}}
    cloned = behavior_cloning(OneHotObservation(make_env()), data, seed, logger, **options)
    cloned.train(n_epochs=30, progress_bar=False, log_interval=10**9)

    def log_probs(p: Prefixes) -> Tensor:
        cells = torch.nn.functional.OneHotObservation(p.tokens, ACTIONS).flatten(1).float()
        each = [cloned.policy.evaluate_actions(cells, torch.full((len(p),), a))[1] for a in range(ACTIONS)]
        return torch.stack(each, 1)

    return log_probs


def test_its_cloning_and_ours_agree(logger):
    """Both imitate the same 1,000 trajectories of a stochastic teacher with deletions, four times anew.

    Ours is a GPT-2 over the tokens, theirs a feed-forward network over one-hot cells; the teacher's law is a function
    of the state that both can represent. Compared is the likelihood of 4,000 unseen trajectories given that actions
    are legal (our policy masks illegal ones, theirs has no masks). They agree if the 95 % interval of the difference
    over seeds holds zero; it must be narrow, and both must come near the teacher's own likelihood.
    """
    unseen = draw(4000, seed=99)
    floor = nll(teacher, unseen)
    pairs = [
        (nll(ours(data, seed), unseen), nll(theirs(data, seed, logger), unseen))
        for seed, data in ((seed, draw(1000, seed)) for seed in SEEDS)
    ]
    difference = mean([a - b for a, b in pairs], "seeds")
    assert difference.low <= 0 <= difference.high, difference
    assert difference.high - difference.low < 0.01
    for values in zip(*pairs, strict=True):
        assert 0 < mean(values, "seeds").value - floor < 0.02
