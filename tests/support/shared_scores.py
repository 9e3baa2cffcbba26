"""What two gloo processes do for the tests of evaluations that they share."""

import contextlib
import dataclasses
from unittest import mock

import torch
from support.evaluations import SMALL, TINY, FakeLpips, awake, evaluation

from svg_pyro import Ensemble
from svg_pyro.evaluation import EnsembleCandidate, runner
from svg_pyro.util import distributed

# Batches of 2, 2 and 1 clips: the last one leaves the second process without any.
SETTINGS = dataclasses.replace(SMALL, calibration_samples=4, intervals="noisy")
STOPS = (2, 4)


def shared(out, fvd):
    """An evaluation of all that there is to sum up, the same in every process."""
    torch.manual_seed(5)
    svgs = awake(TINY), awake(TINY)
    others = [EnsembleCandidate("both", Ensemble(svgs))]
    return evaluation(
        svgs[0], out, SETTINGS, others=others, lpips=FakeLpips(), fvd_network=fvd
    )


@contextlib.contextmanager
def stopping(after, rank=0):
    """A signal to one of the processes, when it has scored some batches."""
    left = [after if distributed.rank() == rank else 10**6]

    class Stopping(runner.Interrupts):
        @property
        def requested(self):
            left[0] -= 1
            return left[0] < 0

        @requested.setter
        def requested(self, value):
            pass

    with mock.patch.object(runner, "Interrupts", Stopping):
        yield


def state_of(out):
    return torch.load(out / runner.STATE, weights_only=True)


def their_evaluations(root, fvd):
    assert shared(root / "whole", fvd).run()
    for stop in STOPS:
        with stopping(stop, rank=1):
            parts = shared(root / f"stopped by two {stop}", fvd)
            assert not parts.run() and not parts.done
        again = shared(root / f"stopped by one {stop}", fvd)
        again.resume()
        assert again.run()
