"""Experts say what should be done at any state, the states of a learner's own mistakes among them.

An expert is a function of K states and of the K final texts that their rows were to write (the demonstrations' own, for
those whose expert is the reference answer), to a law over actions, float64 [K, A]. With a backspace, an expert deletes
as long as something wrong stands: that is what makes its corrections demonstrations of a deletion.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from ..decoding.interface import Policy, Warp
from ..decoding.named_rules import NamedRule
from ..errors import InvalidInputError
from ..errors.arguments import check_number, typed_widely
from ..errors.indices import whole_of
from ..mdp.bans import states_before
from ..mdp.memory import PREFIX, Memory
from ..mdp.prefix import Prefixes, legal_actions, start
from ..mdp.task import Task
from ..mdp.trajectory import Trajectories
from ..mdp.vocabulary import Vocabulary
from ..models.modes import evaluating
from ..policy.token_policy import TokenPolicy
from ..revision.edit_experts import edit_towards as edit_towards

Expert = Callable[[Prefixes, Prefixes], Tensor]
"""(states, references), K rows each -> law over actions, float64 [K, A], zero where an action is illegal."""


@typed_widely
def reference(vocabulary: Vocabulary, backspace: bool = True) -> Expert:
    """The demonstration itself: its next token; a deletion wherever the prefix has left it.

    Without a backspace: the token that the demonstration has at this position, `eos` beyond its end.
    """

    def law(states: Prefixes, references: Prefixes) -> Tensor:
        if not bool(references.ended.all()):
            raise InvalidInputError("a demonstration was cut before its eos; the reference expert needs whole ones")
        width = max(states.tokens.shape[1], references.tokens.shape[1]) + 1
        done, wanted = (
            pad(p.tokens, (0, width - p.tokens.shape[1]), value=vocabulary.size) for p in (states, references)
        )
        beyond = torch.arange(width, device=done.device) >= states.length[:, None]
        left = ~((done == wanted) | beyond).all(1)
        action = wanted.gather(1, states.length[:, None])[:, 0]
        if backspace:
            action = torch.where(left, vocabulary.backspace, action)
        else:
            full = states.generated >= states.max_length
            action = torch.where(full | (action == vocabulary.size), vocabulary.eos, action)
        return _certain(vocabulary, torch.where(states.ended, vocabulary.eos, action))

    return law


@typed_widely
def teacher(task: Task, backspace: bool = True) -> Expert:
    """The exact teacher of a task: its law of the next token, `eos` where no more fits; a deletion wherever an error
    stands.
    """
    v = task.vocabulary

    no_teacher = InvalidInputError(f"the task {task.name!r} has no exact teacher; use the reference as expert")
    if not has_teacher(task):
        raise no_teacher

    def law(states: Prefixes, references: Prefixes) -> Tensor:
        tokens = task.next_distribution(states)
        if tokens is None:
            raise no_teacher
        actions = pad(tokens.double(), (0, 1))
        actions[states.generated >= states.max_length] = _certain(v, torch.tensor(v.eos)).to(actions)
        if backspace:
            at = task.has_error(states).to(actions.device) & ~states.ended
            actions[at] = _certain(v, torch.tensor(v.backspace)).to(actions)
        return actions

    return law


@typed_widely
def has_teacher(task: Task) -> bool:
    """Whether the task says the law of the first token after its first prompt."""
    first = start(task.vocabulary, task.prompts(1, "train", 0), task.max_length, task.min_length)
    return task.next_distribution(first) is not None


@typed_widely
def policy(expert: TokenPolicy) -> Expert:
    """Another policy, without dropout."""

    @torch.no_grad()
    def law(states: Prefixes, references: Prefixes) -> Tensor:
        with evaluating(expert):
            return expert.log_probs(states).double().exp()

    return law


@typed_widely
def noisy(vocabulary: Vocabulary, expert: Expert, rate: float, backspace: bool = True) -> Expert:
    """An expert that with probability `rate` does anything that is legal, all alike, and else what it would have done.

    Where it has nothing to say, the noisy one has nothing to say. The learner is to do as well as the
    expert without the noise: the model of arXiv 2606.30923 (read as an abstract).

    Args:
        vocabulary: the ids.
        expert: who.
        rate: in [0, 1].
        backspace: whether a deletion may be among what is done at random.
    """
    if not 0 <= rate <= 1:
        raise InvalidInputError(f"rate={rate} of a noisy expert must lie in [0, 1]")

    def law(states: Prefixes, references: Prefixes) -> Tensor:
        said = _untried(expert(states, references), states)
        legal = legal_actions(vocabulary, states, backspace).to(said)
        mixed = (1 - rate) * said + rate * legal / legal.sum(-1, keepdim=True)
        return torch.where(said.sum(-1, keepdim=True) > 0, mixed, said)

    return law


def by_reference(task: Task, learner: TokenPolicy) -> Expert:
    """The demonstration of the same prompt, and a deletion wherever it was left."""
    return reference(learner.vocabulary, learner.backspace)


def by_teacher(task: Task, learner: TokenPolicy) -> Expert:
    """The exact teacher of the task, and a deletion wherever an error stands."""
    return teacher(task, learner.backspace)


EXPERTS: dict[str, Callable[[Task, TokenPolicy], Expert]] = {"reference": by_reference, "teacher": by_teacher}
"""The built-in ones by name, for settings: (task, learner) -> expert. Others register theirs as `seqil.experts`."""


@typed_widely
def laws(
    expert: Expert,
    trajectories: Trajectories,
    demonstrations: Trajectories,
    backspace: bool = True,
    memory: Memory = PREFIX,
) -> Tensor:
    """What the expert says before every step: float64 [B, T, A]; zero in padding. Row `i` of both belong together.

    Under a memory that forbids what was tried it is the expert's law of what is left; zero where nothing is: where all
    that the expert would do there was deleted (the reference's next token, say) it has nothing to say.

    Raises:
        InvalidInputError: it deletes, and the learner has no `backspace`.
    """
    rows, steps = trajectories.inside.nonzero(as_tuple=True)
    if not len(rows):
        return trajectories.actions.new_zeros(*trajectories.actions.shape, trajectories.vocabulary.num_actions).double()
    states = states_before(trajectories, rows, steps, memory)
    found = _untried(expert(states, demonstrations.replay().select(rows)), states)
    if not backspace and bool(found[:, trajectories.vocabulary.backspace].any()):
        raise InvalidInputError("the expert deletes, which the policy cannot; give it an expert without a backspace")
    whole = found.new_zeros(*trajectories.actions.shape, found.shape[1])
    return whole.index_put((rows, steps), found)


@typed_widely
def intervention(expert: Expert, references: Prefixes, share: float) -> NamedRule:
    """A decoding rule: at every step the expert acts in the policy's stead with probability `share`.

    Args:
        expert: who.
        references: final texts that the rows of the rollout are to write.
        share: in [0, 1].
    """
    share = check_number("intervention", "share", share, 0, 1)

    def mixture(states: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
        own = logits.double().softmax(-1)
        guided = _untried(expert(states, references.select(rows)).to(own), states)
        return (share * guided + (1 - share) * own).log().to(logits)

    return NamedRule(f"intervention({share:g})", lambda policy: mixture)


@typed_widely
def takeover(expert: Expert, references: Prefixes, times: Tensor) -> NamedRule:
    """A decoding rule: from one action of each row on the expert acts in the policy's stead, wherever it says anything.

    Args:
        expert: who.
        references: final texts that the rows of the rollout are to write.
        times: int64 [B], how many actions the policy takes before.
    """

    times = whole_of("takeover", "times", times)
    if times.shape != (len(references),):
        raise InvalidInputError(f"takeover: times have shape {[*times.shape]}; give one for each of the references")

    def begin(policy: Policy) -> Warp:
        done = torch.zeros_like(times)

        def warp(states: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
            acting = (done[rows] >= times[rows]).nonzero()[:, 0]
            done[rows] += 1
            if len(acting):
                here = states.select(acting)
                said = _untried(expert(here, references.select(rows[acting])), here).to(logits)
                logits[acting] = torch.where(said.sum(-1, keepdim=True) > 0, said.log(), logits[acting])
            return logits

        return warp

    return NamedRule("takeover", begin)


def _untried(law: Tensor, states: Prefixes) -> Tensor:
    """A law [K, A] less what was tried at its states; zero where nothing is left."""
    if states.tried is None:
        return law
    left = law * states.tried.barred(torch.ones_like(law, dtype=torch.bool), states.generated)
    total = left.sum(-1, keepdim=True)
    return torch.where(total > 0, left / total, 0)


def _certain(vocabulary: Vocabulary, actions: Tensor) -> Tensor:
    return one_hot(actions, vocabulary.num_actions).double()
