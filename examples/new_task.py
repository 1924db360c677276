"""A new task: sort letters. One right answer gives demonstrations, teacher and judge; `Task` asks for them singly."""

from envs.tasks.base import counters
from envs.tasks.base.requests import split_of
from envs.tasks.base.right_answer import Item, RightAnswerTask
from seqil import Vocabulary

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Sorting(RightAnswerTask):
    """Letters, answered in alphabetical order."""

    name = "sorting"
    vocabulary = Vocabulary(size=27, eos=26)

    def __init__(self, length=6):
        self.max_length = self.min_length = length

    def answer(self, prompt):
        return [*sorted(prompt), self.vocabulary.eos]

    def chunk(self, seed, number):
        prompts = counters.below(26, self.name, seed, number, shape=(1000, self.max_length)).tolist()
        return [Item(prompt, split_of(self.name, self.decode(prompt))) for prompt in prompts]

    def decode(self, tokens):
        return "".join(LETTERS[token] for token in tokens if token != self.vocabulary.eos)
