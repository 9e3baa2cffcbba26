"""Whether a future's digit can still be named, by a classifier of true frames."""

import pytest
import torch

from svg_pyro.data import MovingMNIST
from svg_pyro.data.digits import load_scikit_digits, load_scikit_labels
from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation.candidates import Candidate, LastFrame
from svg_pyro.evaluation.paper.recognition import Recogniser, centred, recognition


@pytest.fixture(scope="module")
def recognise():
    return Recogniser(load_scikit_digits("train"), load_scikit_labels("train"))


def held_out(**options):
    return MovingMNIST(load_scikit_digits("test"), "test", 7, num_digits=1, **options)


def test_labels_go_with_their_images(recognise):
    """A classifier can only be right on new images if labels are in order."""
    digits, labels = load_scikit_digits("test"), load_scikit_labels("test")
    assert len(digits) == len(labels) == 300
    frames = torch.nn.functional.interpolate(digits[:, None].float() / 255, (32, 32))
    frames = torch.nn.functional.pad(frames[:, 0], (30, 2, 5, 27))
    assert (recognise(frames) == labels).double().mean() > 0.93


def test_a_window_is_the_same_wherever_the_digit_is():
    frame = torch.zeros(64, 64)
    frame[10:20, 12:17] = 1.0
    moved = frame.roll((30, 33), (0, 1))
    assert torch.equal(centred(frame), centred(moved))
    assert centred(frame[None].expand(3, -1, -1)).shape == (3, 20, 20)


class Changed(Candidate):
    """Repeats the last frame, of some samples upside down."""

    name, stochastic = "changed", True

    def futures(self, context, horizon, num_samples, chunk_size=None, *, actions=None):
        same = context[:, -1:].expand(-1, horizon, -1, -1, -1)
        yield torch.stack([same, torch.zeros_like(same)])


def test_shares_of_a_candidate_that_keeps_the_digit_in_one_of_two_samples(recognise):
    labels = load_scikit_labels("test")
    given = {"n_past": 3, "clips": 12, "num_samples": 2}
    kept = recognition(LastFrame(), held_out(), labels, recognise, **given)
    half = recognition(Changed(), held_out(), labels, recognise, **given)
    assert kept.clips == 12 and kept.truth.shape == (4,)
    assert (kept.truth > 0.8).all() and torch.equal(kept.best, kept.any_sample)
    # A black frame is one class for all: right by chance in few clips.
    assert (half.any_sample < kept.best / 2 + 0.15).all()


def test_two_digits_are_refused(recognise):
    data = MovingMNIST(load_scikit_digits("test"), "test", 7, num_digits=2)
    with pytest.raises(EvaluationError, match="cannot be told apart"):
        recognition(
            LastFrame(),
            data,
            load_scikit_labels("test"),
            recognise,
            n_past=3,
            clips=2,
            num_samples=1,
        )
