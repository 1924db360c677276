"""Conformance of agents."""

from __future__ import annotations

import copy
import inspect
import math
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import torch
from tensordict import TensorDict
from transformers import GPT2Config, GPT2LMHeadModel

from ..errors import InvalidInputError, NonFiniteError
from ..learning.accumulation import batch
from ..learning.agent import Agent
from ..learning.noise import mistype, uniform
from ..learning.training import Sampling, Training
from ..mdp.memory import PREFIX, Memory
from ..mdp.trajectory import Trajectories
from ..mdp.vocabulary import Vocabulary
from ..policy.token_policy import TokenPolicy
from ..randomness import seeded
from ..revision import WholeTextPolicy
from ..revision.making import small_bert
from ..rollouts.rollouts import rollout
from ..runs.checkpoint import RunFolder
from .losses import check_loss, check_use_of_rollouts
from .random_states import untouched

_LENGTH = 6
_UPDATES = 3


def check_agent(
    make_agent: Callable[[Any], Agent],
    memory: Memory | str = PREFIX,
    make_policy: Callable[[], Any] | None = None,
) -> None:
    """Prove that an agent keeps the contract of `seqil.Agent`; an AssertionError says in one line where it does not.

    Checked, on a tiny GPT-2, before and after updates:

    - The loss is a TorchRL LossModule that has the policy's parameters. Its outputs are its `out_keys`, finite scalars,
      some named `loss_*`, the same whatever the padding and the order of the rows. It reads its `in_keys`, and rollouts
      where they are there; it changes neither these nor its parameters; `set_keys` is obeyed. Without rollouts, what
      they add is zero; it depends on them only in an agent that asks for them, and does where it asks.
    - The agent trains the policy that it was given. An update counts itself, changes the policy, and returns finite
      floats, among them `loss`, the sum of all `loss_*`, every output of the loss after the warm-up, `grad_norm` and
      `learning_rate`. No rollouts are asked for during the warm-up, and `end_warm_up` is called once. What is not
      finite raises NonFiniteError and leaves the parameters alone. `label` keeps prompts and actions. `choices` are
      options.
    - A loss that says `divides_by = "counts"` is that of a batch when it is added up over its parts.
    - `state_dict`, written to a checkpoint and read again, resumes bit by bit; no global random state is touched;
      `seqil.train` runs it.

    Args:
        make_agent: from a fresh policy to the agent, as `lambda policy: SequenceMatch(policy, steps=6)`; up to six
            updates are made.
        memory: of the policy.
        make_policy: what makes a fresh policy, always the same: for agents that train one of whole texts, `partial(
            tiny_whole_text, EditPolicy)`. Their rollouts are texts that the policy writes; all else is as above.
    """
    make_policy = make_policy or partial(tiny_policy, memory=memory)
    with seeded(0):
        policy = make_policy()
        agent = make_agent(policy)
        assert isinstance(agent, Agent), f"{type(agent).__name__} does not subclass seqil.Agent"
        _check_made(agent)
        assert agent.policy is policy, "agent.policy is not the policy that the agent was given"
        _check_options(agent)
        check_loss(agent, _data(agent))
        asked = _check_updates(agent)
        check_loss(agent, _data(agent))
        check_use_of_rollouts(agent, _data(agent), asked)
        _check_refusal(agent)
        _check_resume(lambda: make_agent(make_policy()))
        _check_training(lambda: make_agent(make_policy()))


def tiny_policy(backspace: bool = True, memory: Memory | str = PREFIX) -> TokenPolicy:
    """A GPT-2 of 1 layer and width 16 over five tokens, always the same."""
    vocabulary, memory = Vocabulary(size=5, eos=4), Memory.of(memory)
    config = GPT2Config(
        vocab_size=5, n_positions=16 if memory.rewinds else 32, n_layer=1, n_embd=16, n_head=2, resid_pdrop=0.1,
        bos_token_id=4, eos_token_id=4,
    )  # fmt: skip
    with seeded(0):
        return TokenPolicy(GPT2LMHeadModel(config), vocabulary, backspace=backspace, memory=memory)


def tiny_whole_text(policy_class: type[WholeTextPolicy], **options: Any) -> WholeTextPolicy:
    """A policy over a BERT of 1 layer and width 16 over five tokens, always the same."""
    vocabulary = Vocabulary(size=5, eos=4)
    with seeded(0):
        return policy_class(small_bert(vocabulary, 16, 1, 16, 2, 0, dropout=0.1), vocabulary, **options)


def tiny_demonstrations(rows: int = 8, backspace: bool = True, memory: Memory | str = PREFIX) -> Trajectories:
    """Counting texts of ragged lengths, with a few mistakes deleted if there is a backspace."""
    v = Vocabulary(size=5, eos=4)
    texts = [[(i + k) % 4 for k in range(1 + i % _LENGTH)] + [v.eos] for i in range(rows)]
    clean = Trajectories.from_actions(v, [[i % 4] for i in range(rows)], texts, max_length=_LENGTH)
    if not backspace:
        return clean
    return mistype(v, clean, 0.3, uniform(v), torch.Generator().manual_seed(0), memory=memory)


def _check_made(agent: Agent) -> None:
    try:
        agent.check_made()
    except InvalidInputError as error:
        raise AssertionError(str(error)) from None


def _check_options(agent: Agent) -> None:
    known = {name for cls in type(agent).__mro__ for name in inspect.signature(cls).parameters}
    for option, values in agent.choices.items():
        assert option in known, f"choices name {option!r}, which is no option of {type(agent).__name__}"
        assert all(isinstance(name, str) for name in values), f"choices of {option} are not all named by a str"
    assert min(agent.samples, agent.passes) >= 1, f"samples={agent.samples} and passes={agent.passes} must be positive"
    assert agent.rollout_share > 0, f"rollout_share={agent.rollout_share} must be positive"


def _check_updates(agent: Agent) -> bool:
    """Whether rollouts were asked for."""
    before, asked, cloned = copy.deepcopy(agent.policy.state_dict()), False, True
    with mock.patch.object(agent, "end_warm_up", wraps=agent.end_warm_up) as ended:
        for k in range(2 * _UPDATES):
            needs, warming = agent.needs_rollouts, agent.warming
            assert not (needs and warming), "rollouts are asked for during the warm-up, which only clones"
            rollouts = _rollouts(agent) if needs else None
            cells = agent.positions(_demonstrations(agent), rollouts)
            assert 0 < cells < math.inf, f"positions are {cells}; an update trains on some"
            _check_metrics(agent, agent.update(_demonstrations(agent), rollouts), warming)
            assert agent.updates == k + 1, f"after {k + 1} updates agent.updates is {agent.updates}"
            asked, cloned = asked or needs, cloned and warming
    assert ended.call_count == (not cloned), (
        f"end_warm_up was called {ended.call_count} times; once is right: an update of one's own calls it before the "
        "first that does more than clone"
    )
    changed = any(not torch.equal(before[k], x) for k, x in agent.policy.state_dict().items())
    assert changed, "update left every parameter of agent.policy as it was"
    return asked


def _check_metrics(agent: Agent, metrics: dict[str, float], warming: bool) -> None:
    assert isinstance(metrics, dict), f"update returned {metrics!r:.60}, not a dict of metrics"
    for name, value in metrics.items():
        sound = isinstance(value, float) and math.isfinite(value)
        assert sound, f"metric {name} is {value!r}; it must be a finite float"
    expected = {"loss", "grad_norm", "learning_rate", *(() if warming else map(str, agent.loss.out_keys))}
    assert expected <= set(metrics), f"update returned no {min(expected - set(metrics))}"
    parts = sum(value for name, value in metrics.items() if name.startswith("loss_"))
    assert math.isclose(metrics["loss"], parts, rel_tol=1e-4, abs_tol=1e-5), "loss is not the sum of all loss_*"


def _check_refusal(agent: Agent) -> None:
    demonstrations, rollouts = _demonstrations(agent), _rollouts(agent) if agent.needs_rollouts else None
    with torch.no_grad():
        agent.policy.weight[1, 0] = math.nan
    before = [p.detach().clone() for p in agent.loss.parameters()]
    try:
        agent.update(demonstrations, rollouts)
    except NonFiniteError:
        same = all(
            torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(agent.loss.parameters(), before, strict=True)
        )
        assert same, "an update whose loss is not finite changes parameters before it is refused"
    else:
        raise AssertionError("an update whose loss is not finite is no NonFiniteError")


def _check_resume(make_agent: Callable[[], Agent]) -> None:
    one, other = make_agent(), make_agent()
    for k in range(_UPDATES):
        _seeded_update(one, k)
    other.load_state_dict(_through_a_file(one))
    for k in range(_UPDATES, 2 * _UPDATES):
        _seeded_update(one, k)
        _seeded_update(other, k)
    same = all(torch.equal(a, b) for a, b in zip(one.loss.parameters(), other.loss.parameters(), strict=True))
    assert same, "training resumed from state_dict differs from training undisturbed; put all state into state_dict"


def _through_a_file(agent: Agent) -> Any:
    with tempfile.TemporaryDirectory() as path, RunFolder(path).writing() as folder:
        try:
            folder.save(1, agent.policy, agent.state_dict())
        except (TypeError, ValueError) as error:
            raise AssertionError(f"state_dict does not fit into a checkpoint: {error}") from error
        return folder.load()[1]


def _check_training(make_agent: Callable[[], Agent]) -> None:
    with untouched():
        agent, g = make_agent(), torch.Generator().manual_seed(0)
        training = Training(agent, _demonstrations(agent), generator=g, batch_size=4, sampling=Sampling(1, 4))
        for _ in training.run(2 * _UPDATES):
            pass


def _seeded_update(agent: Agent, seed: int) -> None:
    with seeded(seed):
        agent.policy.train()
        agent.update(_demonstrations(agent), _rollouts(agent) if agent.needs_rollouts else None)


def _demonstrations(agent: Agent) -> Trajectories:
    return tiny_demonstrations(backspace=agent.policy.backspace, memory=agent.policy.memory)


def _rollouts(agent: Agent) -> Trajectories:
    """From the prompts of the demonstrations, as a fresh agent has them."""
    data = _demonstrations(agent).repeat(agent.samples)
    g = torch.Generator().manual_seed(0)
    if isinstance(agent.policy, WholeTextPolicy):
        own = agent.policy.write(data.prompts, max_length=_LENGTH, generator=g).trajectories
    else:
        own = rollout(agent.policy, data.prompts, max_length=_LENGTH, generator=g, rules=agent.rules(data))
    kept = agent.label(own, data, g)
    assert isinstance(kept, Trajectories), f"label returned {kept!r:.60}, not Trajectories"
    for name in ("prompts", "actions", "lengths"):
        assert torch.equal(getattr(kept, name), getattr(own, name)), f"label changes the {name} of its rollouts"
    return kept


def _data(agent: Agent) -> TensorDict:
    return batch(_demonstrations(agent), _rollouts(agent))
