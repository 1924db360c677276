"""Every sentence of a task's contract has a class that breaks it, and `check_task` says so."""

import numpy as np
import pytest
import torch

from envs.tasks import Automaton
from seqil import Trajectories
from seqil.testing import check_task


class Small(Automaton):
    """Twelve steps."""

    def __init__(self):
        super().__init__(horizon=12)

    def altered(self, t, actions):
        return Trajectories.from_actions(
            self.vocabulary, t.prompts, actions, lengths=t.lengths, max_length=t.max_length, min_length=t.min_length
        )


class Overlapping(Small):
    def demonstrations(self, n, split, seed):
        return super().demonstrations(n, "train", seed)

    def prompts(self, n, split, seed):
        return super().prompts(n, "train", seed)


class OverlappingAcrossSeeds(Small):
    """What one seed trains on tests another."""

    def turned(self, split, seed):
        splits = ("train", "valid", "test")
        return splits[(splits.index(split) + seed) % 3]

    def demonstrations(self, n, split, seed):
        return super().demonstrations(n, self.turned(split, seed), 0)

    def prompts(self, n, split, seed):
        return super().prompts(n, self.turned(split, seed), 0)


class Growing(Small):
    """Its first prompt depends on how many are asked for."""

    def prompts(self, n, split, seed):
        found = super().prompts(n + 1, split, seed)
        return found[1:] if n < 20 else found[:-1]


class GrowingTexts(Small):
    def demonstrations(self, n, split, seed):
        t = super().demonstrations(n + 1, split, seed)
        return t.select(slice(1, None) if n < 20 else slice(-1))

    def prompts(self, n, split, seed):
        return super().prompts(n, split, seed) if n == 20 else super().prompts(20, split, seed)[:n]


class Unstable(Small):
    asked = 0

    def demonstrations(self, n, split, seed):
        self.asked += 1
        t = super().demonstrations(n, split, seed)
        return self.altered(t, t.actions) if self.asked != 3 else super().demonstrations(n, split, seed + 5)


class Mismatched(Small):
    def prompts(self, n, split, seed):
        return super().prompts(n, split, seed)[::-1]


class Promptless(Small):
    def prompts(self, n, split, seed):
        return [[]] * n


class Short(Small):
    def demonstrations(self, n, split, seed):
        return super().demonstrations(n - 1, split, seed)


class Lists(Small):
    def demonstrations(self, n, split, seed):
        return super().demonstrations(n, split, seed).actions.tolist()


class Boastful(Small):
    """Has less than it says."""

    def available(self, split):
        return 30

    def prompts(self, n, split, seed):
        return super().prompts(min(n, 25), split, seed)


class Endless(Small):
    def demonstrations(self, n, split, seed):
        t = super().demonstrations(n, split, seed)
        return Trajectories.from_actions(
            t.vocabulary, t.prompts, t.actions[:, :-1], max_length=t.max_length, min_length=t.min_length
        )


class Deleting(Small):
    def demonstrations(self, n, split, seed):
        t = super().demonstrations(n, split, seed)
        pair = torch.tensor([[0, t.vocabulary.backspace]]).expand(n, 2)
        return Trajectories.from_actions(
            t.vocabulary, t.prompts, torch.cat([pair, t.actions], 1), max_length=t.max_length, min_length=t.min_length
        )


class Loose(Small):
    """Its demonstrations have room for more than the task has."""

    def demonstrations(self, n, split, seed):
        t = super().demonstrations(n, split, seed)
        return Trajectories.from_actions(t.vocabulary, t.prompts, t.actions, max_length=20, min_length=t.min_length)


class Gambler(Small):
    def prompts(self, n, split, seed):
        np.random.random()
        return super().prompts(n, split, seed)


class Harsh(Small):
    def first_error(self, prompt, tokens):
        return 0 if tokens else None


class Off(Small):
    """Off by one."""

    def first_error(self, prompt, tokens):
        found = super().first_error(prompt, tokens)
        return None if found is None else found + 1


class Last(Small):
    """Finds the last wrong token."""

    def first_error(self, prompt, tokens):
        found = super().first_error(prompt, tokens)
        return None if found is None else len(tokens) - 1


class Lenient(Small):
    def has_error(self, prefixes):
        return torch.zeros(len(prefixes), dtype=torch.bool)


class Counting(Small):
    def has_error(self, prefixes):
        return super().has_error(prefixes).long()


class Pessimist(Small):
    def success(self, prompt, tokens):
        return False


class Optimist(Small):
    def success(self, prompt, tokens):
        return True


class Grader(Small):
    def success(self, prompt, tokens):
        return 0.5


class Mute(Small):
    def decode(self, tokens):
        return list(tokens)


class Teacher(Small):
    """What `change` makes of the law of its prefixes."""

    def change(self, law, prefixes):
        return law

    def next_distribution(self, prefixes):
        return self.change(super().next_distribution(prefixes), prefixes)


class Unsure(Teacher):
    def change(self, law, prefixes):
        return law / 2


class Single(Teacher):
    def change(self, law, prefixes):
        return law.float()


class Negative(Teacher):
    def change(self, law, prefixes):
        law[:, 0] -= 2
        law[:, 1] += 2
        return law


class Flat(Teacher):
    def change(self, law, prefixes):
        return law[0]


class Greedy(Teacher):
    """Gives what a demonstration may do late a probability of zero."""

    def change(self, law, prefixes):
        late = prefixes.generated == 7
        law[late] = torch.nn.functional.one_hot(law[late].argmin(1), law.shape[1]).double()
        return law


class Lawless(Teacher):
    """Ends whenever it likes."""

    def change(self, law, prefixes):
        law = law * 0.9
        law[:, self.vocabulary.eos] += 0.1
        return law


class Sociable(Teacher):
    def change(self, law, prefixes):
        return law * 0.5 + law.mean(0) * 0.5


class Fickle(Teacher):
    def change(self, law, prefixes):
        return law if len(prefixes) > 1 else None


class Scribbler(Teacher):
    def change(self, law, prefixes):
        prefixes.tokens[:, 0] = 0
        return law


class Confused(Small):
    def confusions(self, prefixes):
        return -torch.ones(len(prefixes), self.vocabulary.size)


class Whole(Small):
    def confusions(self, prefixes):
        return torch.ones(len(prefixes), self.vocabulary.size, dtype=torch.int64)


class Narrow(Small):
    def confusions(self, prefixes):
        return torch.ones(len(prefixes), 2)


@pytest.mark.parametrize(
    ("cls", "complaint"),
    [
        (Overlapping, "splits train and valid share items"),
        (OverlappingAcrossSeeds, "share items"),
        (Growing, "prompts of train depend on n"),
        (GrowingTexts, "demonstrations of train depend on n"),
        (Unstable, "train changes when asked for again"),
        (Mismatched, "are not those of its demonstrations"),
        (Promptless, "a prompt of train is empty"),
        (Short, "asked for 20 items of train, got 19"),
        (Lists, "demonstrations are list, not Trajectories"),
        (Boastful, "available says 30 items of train, there are 25"),
        (Endless, "does not end with eos"),
        (Deleting, "holds a backspace"),
        (Loose, "length limits differ"),
        (Gambler, "global random state of numpy was changed"),
        (Harsh, "first_error finds one in a demonstration"),
        (Off, "first_error is"),
        (Last, "first_error is .* in the first"),
        (Lenient, "has_error and first_error disagree"),
        (Counting, r"has_error is torch\.int64, not bool"),
        (Pessimist, "success is False for a demonstration"),
        (Optimist, "a text with an error is a success"),
        (Grader, r"success is 0\.5"),
        (Mute, "decode does not give a str"),
        (Unsure, "do not sum to 1"),
        (Single, r"next_distribution is torch\.float32, not float64"),
        (Negative, "next_distribution is negative"),
        (Flat, "next_distribution has shape"),
        (Greedy, "gives a demonstrated token probability 0"),
        (Lawless, "gives an illegal token a positive probability"),
        (Sociable, "next_distribution of a prefix depends on the others"),
        (Fickle, "next_distribution is None for some prefixes"),
        (Scribbler, "next_distribution changes the prefixes"),
        (Confused, "confusions are not finite weights"),
        (Whole, r"confusions are torch\.int64, not float"),
        (Narrow, "confusions has shape"),
    ],
)
def test_a_broken_task_is_found(cls, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_task(cls())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": ""}, "name is empty"),
        ({"name": 3}, "name is 3, not a str"),
        ({"vocabulary": 16}, "vocabulary is a int"),
        ({"max_length": 12.0}, "not int"),
        ({"min_length": 13}, "min_length=13 must lie between 0 and max_length=12"),
        ({"judged": None}, "judged is None"),
        ({"one_guess": 1}, "one_guess is 1, not a bool"),
    ],
)
def test_a_broken_attribute_is_found(change, complaint):
    task = Small()
    vars(task).update(change)
    with pytest.raises(AssertionError, match=complaint):
        check_task(task)


def test_what_the_broken_ones_are_made_of_is_sound():
    check_task(Small())
    check_task(Teacher())
