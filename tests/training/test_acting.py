"""Training with actions: batches carry them, and the checkpoint their scale."""

import pytest
import torch

import svg_pyro
from svg_pyro import SVG, SVGConfig
from svg_pyro.config import TrainingConfig
from svg_pyro.data import ClipDataset
from svg_pyro.data.batches import batch_of, clips_of
from svg_pyro.errors import DataError
from svg_pyro.training.terms import held_out_terms
from svg_pyro.training.trainer import Trainer
from svg_pyro.training.validation import Validation

CONFIG = SVGConfig(
    channels=1, width=2, g_dim=4, z_dim=2, rnn_size=6, norm="group", action_dim=2
)


class Squares(ClipDataset):
    """A square that each action moves: what comes next is known from it alone."""

    n_frames, channels, image_size, action_dim = 4, 1, 64, 2

    def __init__(self, change=None):
        self.change = change

    def __len__(self):
        return 6

    def actions(self, index, epoch=0):
        generator = torch.Generator().manual_seed(index)
        actions = torch.randint(-9, 10, (3, 2), generator=generator).float()
        actions[:, 1] = 5.0  # never changes
        return actions if self.change is None else self.change(actions)

    def clip(self, index, epoch=0):
        frames = torch.zeros(4, 1, 64, 64, dtype=torch.uint8)
        x = 28
        moves = [0, *Squares().actions(index)[:, 0].long().tolist()]
        for t, move in enumerate(moves):
            x += move
            frames[t, :, 28:36, max(0, x) : max(0, x + 8)] = 255
        return frames


def trainer_in(folder, steps=3, **options):
    torch.manual_seed(0)
    config = TrainingConfig(
        steps=steps, batch_size=2, n_frames=4, save_every=2, log_every=1, **options
    )
    clips = clips_of(Squares(), range(2))
    held_out = Validation(clips.frames, actions=clips.actions)
    return Trainer(SVG(CONFIG), Squares(), config, folder, validation=held_out)


def test_a_batch_holds_the_actions_of_its_clips():
    batch = batch_of(Squares(), 4, 1, seed=3)
    for row, index in zip(batch.actions, batch.indices, strict=True):
        assert torch.equal(row, Squares().actions(index))
    assert torch.equal(batch.first(2).actions, batch.actions[:2])


def test_the_scale_of_actions_is_the_training_set_s_and_is_kept(tmp_path):
    trainer = trainer_in(tmp_path)
    rows = torch.cat([Squares().actions(i) for i in range(6)]).double()
    want_mean, want_std = rows.mean(0), rows.std(0, correction=0)
    want_std[1] = 1.0
    trainer.run()
    for svg in (trainer.svg, svg_pyro.load(tmp_path / "checkpoint.pt")):
        torch.testing.assert_close(svg.action_mean.double(), want_mean)
        torch.testing.assert_close(svg.action_std.double(), want_std)


@pytest.mark.parametrize("own_means", [0.0, 1.0])
def test_a_resumed_run_with_actions_is_the_same(tmp_path, own_means):
    options = {"own_means": own_means, "own_means_start": 0, "own_means_ramp": 1}
    whole = trainer_in(tmp_path / "whole", 4, **options)
    whole.run()
    trainer_in(tmp_path / "parts", 2, **options).run()
    rest = trainer_in(tmp_path / "parts", 4, **options)
    rest.resume()
    rest.run()
    for name, weight in whole.svg.state_dict().items():
        assert torch.equal(weight, rest.svg.state_dict()[name]), name


def test_chunks_of_a_batch_keep_their_actions(tmp_path):
    """With a deterministic predictor two chunks have the gradient of the whole."""
    gradients = []
    for accumulate in (1, 2):
        trainer = trainer_in(tmp_path / str(accumulate), accumulate=accumulate)
        trainer.svi.optim.zero_grad = lambda: None
        torch.manual_seed(0)
        trainer._one_step(*batch_of(Squares(), 2, 0))
        head = trainer.svg.frame_predictor.recurrent.embed.weight
        gradients.append(head.grad[:, 4:6].clone())
    # Latents are drawn in another order, so that only the size agrees.
    assert gradients[0].norm() > 0
    assert 0.3 < gradients[0].norm() / gradients[1].norm() < 3


def test_held_out_terms_depend_on_the_actions():
    torch.manual_seed(0)
    svg, clips = SVG(CONFIG), clips_of(Squares(), range(4))
    elbo = svg_pyro.training.elbos.ELBOS["trace"]()
    one = held_out_terms(svg, elbo, clips.frames, actions=clips.actions)
    two = held_out_terms(svg, elbo, clips.frames, actions=clips.actions + 9)
    assert one != two


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda a: a[:2], r"float32 \(2, 2\)"),
        (lambda a: a.long(), r"int64 \(3, 2\)"),
        (lambda a: a * float("nan"), "not finite"),
        (lambda a: a.numpy(), "a ndarray"),
    ],
)
def test_actions_that_break_the_contract_are_named(change, words):
    with pytest.raises(DataError, match=words) as caught:
        batch_of(Squares(change), 2, 0)
    assert "Squares: the actions of clip" in str(caught.value)


def test_a_model_and_data_of_other_actions_do_not_fit(tmp_path):
    config = TrainingConfig(steps=1, batch_size=2, n_frames=4)
    with pytest.raises(DataError, match="action_dim is 2, the model's 0"):
        Trainer(
            SVG(SVGConfig(channels=1, width=2, g_dim=4, z_dim=2, rnn_size=6)),
            Squares(),
            config,
            tmp_path,
        )
