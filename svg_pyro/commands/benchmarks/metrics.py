"""What it takes to score the samples of a test set, by each protocol."""

import torch

from svg_pyro.commands.benchmarks.tables import Row, rate
from svg_pyro.metrics import PROTOCOLS, Protocol

CLIPS, FRAMES, AT_ONCE = 20, 28, 10
IMAGES = 100 * CLIPS * FRAMES


def scoring(repeats: int) -> list[Row]:
    """Rows of the seconds of one core for 56,000 grey images of 64x64 pixels.

    They are 100 samples of 20 clips' 28 frames, ten samples at a time.
    """
    generator = torch.Generator().manual_seed(0)
    shape = CLIPS, FRAMES, 1, 64, 64
    truth = torch.rand(shape, generator=generator)
    samples = torch.rand(AT_ONCE, *shape, generator=generator)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [
            _row(protocol, truth, samples, repeats) for protocol in PROTOCOLS.values()
        ]
    finally:
        torch.set_num_threads(threads)


def _row(
    protocol: Protocol, truth: torch.Tensor, samples: torch.Tensor, repeats: int
) -> Row:
    count = samples.shape[:3].numel()
    images_a_second = rate(
        lambda i: protocol.score(truth, samples), count, repeats=repeats
    )
    return {
        "protocol": protocol.name,
        "images": str(IMAGES),
        "core-seconds": IMAGES / images_a_second,
    }
