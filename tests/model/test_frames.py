"""Bad frames end in one line, from every entry point."""

import pytest
import torch

from svg_pyro import SVG, FramesError

GOOD = torch.rand(2, 3, 1, 64, 64)


def spoiled(value, index):
    frames = GOOD.clone()
    frames[index] = value
    return frames


BAD = {
    "4 dimensions": GOOD[0],
    "give a torch tensor": GOOD.numpy(),
    "(3, 64, 64) (C, H, W)": torch.rand(2, 3, 3, 64, 64),
    "(1, 32, 32) (C, H, W)": torch.rand(2, 3, 1, 32, 32),
    "torch.uint8": (GOOD * 255).to(torch.uint8),
    "from -0.5": spoiled(-0.5, (1, 2, 0, 3, 3)),
    "to 255": GOOD * 0 + 255,
    "not finite, first in clip 1, frame 2": spoiled(torch.nan, (1, 2, 0, 3, 3)),
    "not finite, first in clip 0, frame 1": spoiled(torch.inf, (0, 1, 0, 0, 0)),
    "2 clips of 0 frames": GOOD[:, :0],
    "0 clips of 3 frames": GOOD[:0],
}


@pytest.fixture(scope="module")
def svg():
    from svg_pyro import SVGConfig

    return SVG(SVGConfig(channels=1, width=4, g_dim=8, z_dim=3, rnn_size=12))


@pytest.mark.parametrize("words", BAD)
@pytest.mark.parametrize("entry", ["model", "guide", "predict", "reconstruct"])
def test_bad_frames(svg, entry, words):
    arguments = (2,) if entry == "predict" else ()
    with pytest.raises(FramesError) as error:
        getattr(svg, entry)(BAD[words], *arguments)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("entry", ["model", "guide", "reconstruct"])
def test_a_single_frame_cannot_be_scored(svg, entry):
    with pytest.raises(FramesError, match="at least 1 clip of 2 frames"):
        getattr(svg, entry)(GOOD[:, :1])


def test_a_single_frame_is_context_enough(svg):
    assert svg.predict(GOOD[:, :1], 2, 1).shape == (1, 2, 2, 1, 64, 64)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"horizon": 0}, "horizon is 0"),
        ({"horizon": -1}, "horizon is -1"),
        ({"horizon": 2.0}, "horizon is 2.0"),
        ({"horizon": 2, "num_samples": 0}, "num_samples is 0"),
        ({"horizon": 2, "chunk_size": 0}, "chunk_size is 0"),
    ],
)
def test_bad_counts(svg, arguments, words):
    with pytest.raises(FramesError, match=words):
        svg.predict(GOOD, **arguments)


def test_edges_of_the_range_are_allowed(svg):
    svg.reconstruct(torch.zeros(1, 2, 1, 64, 64))
    svg.reconstruct(torch.ones(1, 2, 1, 64, 64))
