"""One kernel for GPT-2's activation, which transformers computes in eight operations, each with a tensor to keep."""

from __future__ import annotations

from torch import nn
from transformers.activations import GELUTanh, NewGELUActivation


def fuse_gelu(model: nn.Module) -> None:
    """Replace every `gelu_new` of the model by the fused kernel, the same function up to rounding."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is NewGELUActivation and unchanged(child):
                setattr(module, name, GELUTanh().train(child.training))


def unchanged(module: nn.Module) -> bool:
    """Whether calling it does what its class says: it has neither hooks nor a `forward` of its own."""
    return not module._forward_hooks and not module._forward_pre_hooks and "forward" not in vars(module)
