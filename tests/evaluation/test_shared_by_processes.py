"""Evaluations that two processes share: equal to one process's, to the last digit."""

import pytest
import torch
from support.features import Moving, script
from support.group import in_two_processes
from support.shared_scores import STOPS, shared, state_of, stopping, their_evaluations

pytestmark = pytest.mark.slow


def equal(a, b):
    """Whether two states are the same, bit by bit; NaN is equal to NaN."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        return all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, torch.Tensor):
        return torch.equal(a.nan_to_num(), b.nan_to_num())
    return a == b


def test_two_processes_find_what_one_finds_also_when_the_other_resumes(tmp_path):
    fvd = script(Moving(), tmp_path / "moving.pt")
    for stop in STOPS:
        with stopping(stop):
            assert not shared(tmp_path / f"stopped by one {stop}", fvd).run()
    in_two_processes(their_evaluations, tmp_path, fvd)
    one = shared(tmp_path / "one", fvd)
    assert one.run()
    want = state_of(one.out)
    scored = want["scorers"]
    assert [s["done"] for s in scored] == [5] * 3
    assert {"totals", "held_out", "calibration", "fvd"} <= scored[0].keys()
    assert "spread" in scored[1] and scored[0]["chosen"]
    assert equal(state_of(tmp_path / "whole"), want)
    for stop in STOPS:
        out = tmp_path / f"stopped by two {stop}"
        assert not equal(state_of(out), want)
        again = shared(out, fvd)
        again.resume()
        assert again.run()
        assert equal(state_of(out), want)
        assert equal(state_of(tmp_path / f"stopped by one {stop}"), want)
