"""An exported step of generation against SVG.step."""

import dataclasses
import io

import pytest
import torch
from support.futures import awake

from svg_pyro import ConfigError, FramesError
from svg_pyro.model.export import export_step, memory_of


def state_of(svg):
    torch.manual_seed(1)
    frames = torch.rand(2, 3, 1, 64, 64).double()
    state = svg.start(frames[:, 0])
    for t in (1, 2):
        state = svg.step(state, frames[:, t])
    return state


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"prior": "two-scale", "last_frame_skip": True, "observation": "logistic"},
        {"prior": "fixed"},
        {"prior": "none"},
    ],
    ids=str,
)
def test_the_program_imagines_what_step_does(tiny, changes):
    svg = awake(dataclasses.replace(tiny, width=2), **changes)
    state = state_of(svg)
    file = io.BytesIO()
    torch.export.save(export_step(svg, state), file)
    file.seek(0)
    step, memory = torch.export.load(file).module(), memory_of(state)
    for _ in range(3):
        noise = torch.randn(2, 1, 3).double()
        z = None
        if svg.prior is not None:
            with torch.no_grad():
                base = svg.prior(state.h, state.prior)[0].base_dist
            z = (base.loc + base.scale * noise).squeeze(1)
        state = svg.step(state, z=z)
        memory = step(*memory, noise)
        torch.testing.assert_close(
            memory[0].squeeze(1), state.frame, rtol=1e-10, atol=1e-12
        )
    assert svg.training


def test_what_cannot_be_exported_is_one_line(tiny):
    svg = awake(tiny, prior="mixture")
    with pytest.raises(ConfigError, match="not an independent Gaussian"):
        export_step(svg, state_of(svg))
    with pytest.raises(FramesError, match="has seen one frame"):
        export_step(svg, svg.start(torch.rand(1, 1, 64, 64).double()))
