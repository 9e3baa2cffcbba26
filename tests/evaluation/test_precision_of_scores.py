"""How the networks of an evaluation are computed, and that a resume compares it."""

import dataclasses

import pytest
import torch
from support.evaluations import SMALL, TINY, awake, evaluation, stored_results

import svg_pyro
from svg_pyro.commands.evaluate import evaluate
from svg_pyro.errors import ConfigError, EvaluationError
from svg_pyro.evaluation import load_candidates
from svg_pyro.evaluation.loading import joined
from svg_pyro.evaluation.runner import STATE
from svg_pyro.model.sampler import Sampler

CPU = torch.device("cpu")
FEW = (
    "--device cpu --clips 2 --num-samples 3 --horizon 3 --particles 1 2 --pictures 0 "
    "--likelihood-clips 1 --protocol svg --data smmnist --bundled-digits"
).split()


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    svg_pyro.save(awake(TINY), "lp.pt")
    svg_pyro.save(awake(TINY), "other.pt")
    return "lp.pt"


@pytest.mark.parametrize("noisy", [False, True])
def test_bfloat16_reaches_futures_and_likelihood_and_nothing_else(checkpoint, noisy):
    exact = load_candidates([checkpoint], CPU)[0]
    low = load_candidates([checkpoint], CPU, precision="bf16")[0]
    frames = torch.rand(2, 4, 1, 64, 64)
    found = []
    for candidate in (exact, low):
        torch.manual_seed(0)
        if noisy:
            futures = [d.means for d in candidate.noisy_futures(frames[:, :2], 2, 2)]
        else:
            futures = [*candidate.futures(frames[:, :2], 2, 2)]
        torch.manual_seed(0)
        weights = candidate.likelihood(frames, 2).log_weights
        found.append((torch.cat(futures).float(), weights))
    (futures, weights), (low_futures, low_weights) = found
    # An untrained model of large weights: a few pixels differ by much.
    assert 0 < (futures - low_futures).abs().mean() < 0.1
    assert 0 < (weights - low_weights).abs().max() < 0.1 * weights.abs().max()
    assert not torch.is_autocast_enabled("cpu")


def test_compiled_networks_give_the_same_scores(checkpoint, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda forward, **options: forward)
    plain = load_candidates([checkpoint], CPU)[0]
    compiled = load_candidates([checkpoint], CPU, compiled=True)[0]
    assert plain.sampler is None and isinstance(compiled.sampler, Sampler)
    context = torch.rand(2, 2, 1, 64, 64)
    results = []
    for candidate in (plain, compiled):
        torch.manual_seed(0)
        results.append(torch.cat([*candidate.futures(context, 3, 4, 2)]))
    torch.testing.assert_close(*results, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_command_takes_them_and_stores_them(checkpoint, monkeypatch, capsys):
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    evaluate([checkpoint, *FEW, "--threads", "1", "--precision", "tf32", "--out", "a"])
    assert threads == [1]
    out = capsys.readouterr().out
    assert "only NVIDIA's GPUs have TF32" in out
    with pytest.raises(SystemExit):
        evaluate([checkpoint, *FEW, "--threads", "1", "--out", "a", "--resume"])
    assert "precision was 'tf32', now it is 'float32'" in capsys.readouterr().err


def test_an_evaluation_of_before_is_resumed_as_float32(tmp_path):
    svg = awake(TINY)
    run = evaluation(svg, tmp_path)
    assert run.run()
    want = stored_results(run)
    path = tmp_path / STATE
    state = torch.load(path, weights_only=True)
    for key in ("precision", "compile", "threads"):
        del state["about"][key]
    torch.save(state, path)
    again = evaluation(svg, tmp_path)
    again.resume()
    assert again.done and stored_results(again) == want
    other = evaluation(svg, tmp_path, dataclasses.replace(SMALL, compile=True))
    with pytest.raises(EvaluationError, match="compile was False, now it is True"):
        other.resume()


def test_what_cannot_be_is_refused_in_one_line(checkpoint):
    with pytest.raises(ConfigError, match="precision is 'half'"):
        dataclasses.replace(SMALL, precision="half")
    with pytest.raises(EvaluationError, match="threads is 0"):
        dataclasses.replace(SMALL, threads=0)
    both = load_candidates([checkpoint, "other.pt"], CPU, precision="bf16")
    with pytest.raises(EvaluationError, match="an ensemble is computed in float32"):
        joined(both)
