"""Something odd in place of each argument of sound calls: refused in one line, or it means something."""

import ast
import contextlib
import io
import os
import signal
import traceback
import warnings
from pathlib import Path

import torch

from .misuse import HEAD

WORLD = """
from agents.gail import OutcomeValues
from agents.revising.edit_dagger import EditDAgger
from agents.revising.ice import ICE
from agents.slic.beam_search import beams
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel
from envs import *
from envs import tasks
from seqil import closed_forms, comparison, enumeration, metrics, rewards, revision
from seqil.rollouts import rollout_reference
from seqil.revision import edit_policy
from seqil.theory import conditionals, tabular_editing, walks

def began(env):
    env.reset(seed=0)
    return env

class Tok:
    eos_token_id = 4
    def decode(self, ids, **options): return "".join(map(str, ids))
    def get_vocab(self): return {str(i): i for i in range(5)}

tok, edits = Tok(), seqil.Edits(v, 4)
pre, traj = start(v, [[0], [0, 1]], max_length=4), demonstrations
ended = transition(v, seqil.begin_with(v, [[0], [1]], [[1], [2]], 4), torch.tensor([v.eos, v.eos]))
longer = transition(v, seqil.begin_with(v, [[0], [1]], [[1, 2], [2, 1]], 4), torch.tensor([v.eos, v.eos]))
roll2, tree, sv = rollout(policy, [[0], [1]], max_length=4, generator=g()), policy.pack(traj), policy.step_values(traj)
div, est, texts = divergences.chi2_mixture(.5), Estimate(.5, .4, .6, 9, "x"), [[0, 1, 1], [1, 1, 0]]
F, I, S = np.array([.5, .3, .2]), np.array([3, 2, 1]), np.array([3, 3, 3])
pt, tt = torch.tensor([[.5, .5], [.3, .7]]), task.demonstrations(4, "test", 0)
shape = dict(n_embd=16, n_layer=1, n_head=2, n_positions=256)
tp = TokenPolicy(GPT2LMHeadModel(GPT2Config(vocab_size=task.vocabulary.size, **shape)), task.vocabulary)
tr = rollout(tp, tt.prompts, max_length=task.max_length, min_length=task.min_length, generator=g())
PT = enumeration.prefix_table(tiny_policy(), [0], max_length=2)
shape = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
enc = BertForMaskedLM(BertConfig(vocab_size=8, max_position_embeddings=64, **shape))
EP, MP, PP = revision.EditPolicy(enc, v, worth=True), revision.MaskedPolicy(enc, v), revision.ParallelPolicy(enc, v)
"""

ODD = (
    "None", "3", "-1", "2.5", "float('nan')", "float('inf')", "10**30", "True", "'x'", "''", "b'x'", "[]", "[1, 'a']",
    "[[1, 2], [3]]", "{}", "object()", "torch.zeros(2, 2)", "torch.zeros(0)", "np.ones(3)", "np.array(['a'])",
    "lambda: 1",
)  # fmt: skip
LIMIT = 20


class _TooLong(BaseException):
    """Of no error that anybody catches."""


def _stop(signum, frame):
    raise _TooLong


def sound_calls():
    """Those of the file beside this one."""
    lines = Path(__file__).with_name("sound_calls.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def spoilt(call):
    """The call, with something odd in place of one argument after another."""
    parsed = ast.parse(call, mode="eval").body
    for place in (*range(len(parsed.args)), *parsed.keywords):
        for odd in ODD:
            spoilt_one = ast.parse(call, mode="eval").body
            value = ast.parse(odd, mode="eval").body
            if isinstance(place, int):
                spoilt_one.args[place] = value
            else:
                next(k for k in spoilt_one.keywords if k.arg == place.arg).value = value
            yield ast.unparse(spoilt_one)


def world():
    """The names that the calls use."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(HEAD + WORLD, found)
    return found


def findings(place, stride=1, offset=0):
    """`(kind, what happened)` of every `stride`-th spoilt call, and of every sound one that does not work."""
    with torch.random.fork_rng([]):  # dropout draws, and so does `generate`
        yield from _findings(place, stride, offset)


def _findings(place, stride, offset):
    names, number = world(), 0
    place.mkdir(parents=True, exist_ok=True)
    before, cwd = signal.signal(signal.SIGALRM, _stop), Path.cwd()
    os.chdir(place)  # `""` and `"x"` may be taken for folders
    try:
        for call in sound_calls():
            kind, what = _judged(call, names)
            if kind != "accepted":
                yield "no sound call", what
            for one in spoilt(call):
                number += 1
                if number % stride == offset % stride:
                    kind, what = _judged(one, names)
                    yield ("fine" if kind == "accepted" else kind), what
        if left := sorted(path.name for path in place.iterdir()):
            yield "written", f"the calls left {left}"
    finally:
        os.chdir(cwd)
        signal.signal(signal.SIGALRM, before)


def _judged(call, names):
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            signal.alarm(LIMIT)
            eval(call, names)
    except _TooLong:
        return "hang", call
    except names["SeqilError"] as error:
        return ("fine" if len(str(error).splitlines()) == 1 else "several lines"), f"{call}: {error}"
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return "error from inside", f"{call}: {error!r:.100} ({Path(last.filename).name}, line {last.lineno})"
    finally:
        signal.alarm(0)
    return "accepted", call
