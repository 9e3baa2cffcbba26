"""Training in little memory: the same gradients from chunks, and from recomputation."""

import dataclasses
import json

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO
from support.squares import Squares
from support.steady import SteadyGuide, frames_of, gradients, steady

from svg_pyro import SVG, ConfigError, TrainingConfig, TrainingError
from svg_pyro.commands.presets import RunPreset
from svg_pyro.commands.run_folder import RunOptions
from svg_pyro.commands.settings import RunRequest, plan
from svg_pyro.commands.train import training_parser
from svg_pyro.training.elbos import ELBOS
from svg_pyro.training.recompute import recomputed
from svg_pyro.training.step import LossAndGrads
from svg_pyro.training.trainer import Trainer

SHORT = TrainingConfig(steps=2, batch_size=6, n_frames=5, log_every=2, clip_norm=50.0)


@pytest.mark.parametrize("elbo", list(ELBOS))
@pytest.mark.parametrize("chunks", [2, 3, 6])
def test_chunks_give_the_gradient_of_the_whole_batch(tiny, elbo, chunks):
    svg = steady(dataclasses.replace(tiny, norm="group", observation="learned-sigma"))
    frames = frames_of(6)
    loss = ELBOS[elbo]().differentiable_loss(svg.model, svg.guide, frames) / (6 * 4)
    names, parameters = zip(*svg.named_parameters(), strict=True)
    want = dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))
    step = LossAndGrads(svg, ELBOS[elbo](), chunks)
    step(svg.model, svg.guide, frames)
    for name, value in gradients(svg).items():
        torch.testing.assert_close(value, want[name], rtol=1e-9, atol=1e-9, msg=name)
    nll, kl = step.terms
    assert nll.shape == kl.shape == (6,)


def test_terms_of_chunks_are_in_the_order_of_the_clips(tiny):
    svg = steady(dataclasses.replace(tiny, norm="group"))
    frames = frames_of(6) * torch.linspace(0.1, 1, 6)[:, None, None, None, None]
    whole, chunked = (LossAndGrads(svg, Trace_ELBO(), n) for n in (1, 3))
    for step in (whole, chunked):
        step(svg.model, svg.guide, frames)
    torch.testing.assert_close(chunked.terms, whole.terms, rtol=1e-9, atol=1e-9)
    assert whole.terms[0].unique().diff().min() > 0.1  # no two clips alike


def test_chunks_train_like_the_whole_batch(tiny, tmp_path):
    config = dataclasses.replace(tiny, norm="group")
    lines = []
    for chunks in (1, 2):
        pyro.clear_param_store()
        torch.manual_seed(1)
        svg = SVG(config, guide=SteadyGuide(config))
        training = dataclasses.replace(SHORT, steps=3, accumulate=chunks, log_every=1)
        trainer = Trainer(svg, Squares(), training, tmp_path / str(chunks))
        assert trainer.run()
        assert trainer.optimiser.step == 3
        lines.append([json.loads(s) for s in trainer.log_path.read_text().splitlines()])
    whole, chunked = ([line["nll"] for line in each] for each in lines)
    assert len(whole) == 3 and abs(whole[0] - whole[2]) > 1
    assert chunked == pytest.approx(whole, abs=0.02)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"accumulate": 0}, "accumulate is 0"),
        ({"batch_size": 10, "accumulate": 4}, "batch_size of 10 cannot be cut"),
        ({"batch_size": 3, "accumulate": 4}, "batch_size of 3 cannot be cut"),
    ],
)
def test_batches_that_cannot_be_cut(changes, words):
    with pytest.raises(ConfigError) as error:
        TrainingConfig(**changes)
    assert words in str(error.value) and "\n" not in str(error.value)


def twice(config, recompute, frames):
    """Gradients and buffers after two backward passes; the latents are seeded."""
    torch.manual_seed(3)
    svg = SVG(config).double().train()
    torch.manual_seed(4)
    step = LossAndGrads(svg, Trace_ELBO())
    for _ in range(2):
        if recompute:
            with recomputed(svg):
                step(svg.model, svg.guide, frames)
        else:
            step(svg.model, svg.guide, frames)
    return gradients(svg), dict(svg.named_buffers())


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("backbone", ["dcgan", "vgg"])
@pytest.mark.parametrize("pixel_skip", [True, False])
def test_recomputation_changes_neither_gradients_nor_statistics(
    tiny, backbone, norm, pixel_skip
):
    config = dataclasses.replace(
        tiny, backbone=backbone, norm=norm, pixel_skip=pixel_skip
    )
    frames = frames_of(2, 4)
    want, buffers = twice(config, False, frames)
    got, others = twice(config, True, frames)
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, rtol=1e-12, atol=1e-12, msg=name)
    assert buffers.keys() == others.keys() and bool(buffers) == (norm == "batch")
    for name, value in buffers.items():
        assert torch.equal(others[name], value), name
        if name.endswith("num_batches_tracked"):
            assert value == 2


def kept_bytes(svg, frames):
    """What the graph of one loss holds for its backward pass, weights aside."""
    weights = {p.untyped_storage().data_ptr() for p in svg.parameters()}
    held = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = ELBOS["trace"]().differentiable_loss(svg.model, svg.guide, frames)
    assert loss.requires_grad
    return sum(held.values())


@pytest.mark.parametrize("backbone, part", [("dcgan", 0.85), ("vgg", 0.37)])
def test_recomputation_keeps_less(tiny, backbone, part):
    svg = SVG(dataclasses.replace(tiny, backbone=backbone)).train()
    frames = torch.rand(2, 6, 1, 64, 64)
    whole = kept_bytes(svg, frames)
    with recomputed(svg):
        less = kept_bytes(svg, frames)
    assert less < part * whole
    assert kept_bytes(svg, frames) == whole  # the modules are as they were


@pytest.mark.parametrize("backbone", ["dcgan", "vgg"])
def test_futures_while_recomputation_is_on(tiny, backbone):
    """Validation draws pictures inside a training run; networks are copied for it."""
    svg = SVG(dataclasses.replace(tiny, backbone=backbone)).train()
    context, found = torch.rand(2, 2, 1, 64, 64), []
    for on in (False, True):
        with recomputed(svg, when=on):
            torch.manual_seed(5)
            found.append(svg.predict(context, 3, 2))
    assert torch.equal(*found)


def test_a_run_with_recomputation_is_bit_for_bit_the_same(tiny, tmp_path):
    ends = []
    for on in (False, True):
        pyro.clear_param_store()
        torch.manual_seed(0)
        svg = SVG(tiny)
        training = dataclasses.replace(SHORT, checkpoint_activations=on)
        Trainer(svg, Squares(), training, tmp_path / str(on)).run()
        ends.append(svg.state_dict())
    for name, value in ends[0].items():
        assert torch.equal(ends[1][name], value), name


def too_much(frames):
    return torch.empty(1 << 50)


def too_much_on_cuda(frames):
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate\n2 GiB")


@pytest.mark.parametrize("step", [too_much, too_much_on_cuda])
@pytest.mark.parametrize("saved", [True, False])
def test_out_of_memory_names_the_settings(tiny, tmp_path, step, saved):
    training = dataclasses.replace(SHORT, steps=3, save_every=1 if saved else 100)
    trainer = Trainer(SVG(tiny), Squares(), training, tmp_path)
    trainer._at_intervals = lambda bar: saved and trainer.save()
    one_step = trainer.svi.step

    def second_fails(frames, **options):
        if trainer.step == 1:
            return step(frames)
        return one_step(frames, **options)

    trainer.svi.step = second_fails
    with pytest.raises(TrainingError) as error:
        trainer.run()
    message = str(error.value)
    assert "out of memory on cpu at step 1" in message and "\n" not in message
    settings = "accumulate", "checkpoint_activations", "batch_size"
    assert error.value.advice == settings
    assert all(name in message for name in settings) and "--" not in message
    path = str(trainer.checkpoint_path)
    assert (path in message) == saved == trainer.checkpoint_path.exists()


def test_other_errors_are_left_alone(tiny, tmp_path):
    trainer = Trainer(SVG(tiny), Squares(), SHORT, tmp_path)
    trainer.svi.step = lambda frames, **options: torch.zeros(2) @ torch.zeros(3)
    with pytest.raises(RuntimeError, match="size") as error:
        trainer.run()
    assert not isinstance(error.value, TrainingError)


def test_a_run_goes_on_in_less_memory(tiny, tmp_path, capsys):
    Trainer(SVG(tiny), Squares(), SHORT, tmp_path).run()
    presets = {"small": RunPreset(tiny, SHORT, horizon=2)}
    flags = ["--out", str(tmp_path), "--resume", "--device", "cpu"]
    given = training_parser("smmnist").parse(
        [*flags, "--accumulate", "3", "--checkpoint-activations"]
    )
    request = RunRequest(
        "smmnist", given.make(RunOptions), presets, given.given(TrainingConfig)
    )
    assert plan(request).preset.training == dataclasses.replace(
        SHORT, accumulate=3, checkpoint_activations=True
    )
    capsys.readouterr()
