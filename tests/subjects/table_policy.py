"""A policy without a model: logits that are a fixed pseudo-random function of the prefix."""

import zlib

import torch

from seqil.mdp.prefix import legal_actions


class TablePolicy:
    def __init__(self, vocabulary, seed=0, deletes=0.0, backspace=True):
        self.vocabulary, self.seed, self.deletes, self.backspace = vocabulary, seed, deletes, backspace

    def log_probs(self, prefixes):
        rows = [self._logits(tuple(text)) for text in prefixes.texts(prompt=True)]
        legal = legal_actions(self.vocabulary, prefixes, self.backspace)
        return torch.stack(rows).masked_fill(~legal, -torch.inf).log_softmax(-1)

    def _logits(self, text):
        generator = torch.Generator().manual_seed(zlib.crc32(repr((self.seed, text)).encode()))
        logits = 2 * torch.randn(self.vocabulary.num_actions, generator=generator, dtype=torch.float64)
        logits[self.vocabulary.backspace] += self.deletes
        return logits
