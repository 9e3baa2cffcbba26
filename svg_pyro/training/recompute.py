"""Training in little memory: activations computed twice, and what to do when it is out."""

import contextlib
import functools

from torch.utils.checkpoint import checkpoint


@contextlib.contextmanager
def recomputed(svg, when=True):
    """Let training keep only what the encoder's and the decoder's stages are given.

    What happens inside a stage is computed again in the backward pass. Gradients are
    the same, and so are BatchNorm's statistics. Nothing is sampled in a stage.

    Parameters
    ----------
    svg : SVG
    when : bool
        False does nothing.
    """
    stages = [*svg.encoder.stages, *svg.decoder.stages] if when else []
    for stage in stages:
        stage.forward = functools.partial(
            checkpoint, stage.forward, use_reentrant=False, preserve_rng_state=False,
            context_fn=functools.partial(_contexts, stage),
        )  # fmt: skip
    try:
        yield
    finally:
        for stage in stages:
            del stage.forward


def _contexts(stage):
    """Those of a forward pass and of its repetition."""
    return contextlib.nullcontext(), _SpareBuffers(stage)


class _SpareBuffers:
    """Give a module copies of its buffers: the second pass must not be counted."""

    def __init__(self, module):
        self.module = module
        self.kept = []

    def __enter__(self):
        for module in self.module.modules():
            for name, buffer in module.named_buffers(recurse=False):
                self.kept.append((module, name, buffer))
                setattr(module, name, buffer.clone())

    def __exit__(self, *exception):
        for module, name, buffer in self.kept:
            setattr(module, name, buffer)
        self.kept.clear()


def advice(config):
    """Flags by which a step needs less memory.

    Parameters
    ----------
    config : TrainingConfig
    """
    more = f"raise --accumulate (now {config.accumulate})"
    less = f"lower --batch-size (now {config.batch_size})"
    if config.checkpoint_activations:
        return f"{more} beside --checkpoint-activations, or {less}"
    return f"{more}, give --checkpoint-activations, or {less}"
