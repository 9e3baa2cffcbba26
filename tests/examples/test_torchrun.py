"""``torchrun`` with examples as a user calls it: trainings, with kills, and scores."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import evaluate
import pytest
import torch
import train_bair
from support.evaluations import TINY, awake
from support.group import RANKS, environment
from support.places import EXAMPLES

import svg_pyro

EXAMPLE = EXAMPLES / "train_bair.py"

FLAGS = (
    "--device cpu --width 4 --g-dim 8 --z-dim 3 --rnn-size 12 --batch-size 4 "
    "--n-frames 4 --horizon 3 --num-samples 3 --test-clips 4 --pictures 0 "
    "--log-every 2 --validate-every 1000 --save-every 2 --clip-norm 50 "
    "--steps 100000 --simulated-clips 4 --workers 1"
).split()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="asks ps for child processes"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Where the first run that needs the simulated clips makes them."""
    return tmp_path_factory.mktemp("push")


def torchrun(*arguments, options=(), example=EXAMPLE):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc_per_node={RANKS}",
        *options,
        example,
        *arguments,
    ]
    return subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment(0)},
    )


def children(process):
    """The processes that torchrun has started."""
    command = ["ps", "-o", "pid=,args=", "--ppid", str(process.pid)]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return sorted(int(line.split()[0]) for line in lines if EXAMPLE.name in line)


def until_saved(out, process):
    while process.poll() is None and not (out / "checkpoint.pt").exists():
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()[1]


def test_a_signal_to_torchrun_saves_and_leaves(tmp_path, data):
    out = tmp_path / "run"
    process = torchrun(*FLAGS, "--simulated-root", data, "--out", out)
    until_saved(out, process)
    process.send_signal(signal.SIGTERM)
    printed, err = process.communicate(timeout=60)
    # Had the second process a say, each line would be there twice.
    first, second, third, last = printed.splitlines()
    assert first.startswith("preset small, 2 processes on cpu, 100000 steps"), err
    assert "simulated robot-pushing clips stand in" in second
    assert third == "4 training clips; 4 others are scored"
    stopped = re.fullmatch(r"stopped at step (\d+); .* --resume goes on", last)
    state = torch.load(out / "checkpoint.pt", weights_only=True)["training"]
    assert state["step"] == int(stopped[1])


def test_a_kill_ends_the_job_and_one_process_goes_on(tmp_path, data, capsys):
    out = tmp_path / "run"
    process = torchrun(*FLAGS, "--simulated-root", data, "--out", out)
    until_saved(out, process)
    os.kill(children(process)[1], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    ours = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(ours) <= 1 and all("lost contact" in line for line in ours)
    svg_pyro.load(out / "checkpoint.pt")
    state = torch.load(out / "checkpoint.pt", weights_only=True)["training"]
    steps = state["step"] + 2
    train_bair.main(
        f"--simulated-root {data} --simulated-clips 4 --out {out} --resume "
        f"--device cpu --steps {steps} --horizon 3 --num-samples 2 --test-clips 4 "
        "--pictures 0".split()
    )
    assert json.loads((out / "results.json").read_text())["step"] == steps
    assert f"{steps} steps" in capsys.readouterr().out


def test_a_restart_by_torchrun_goes_on_from_the_last_checkpoint(tmp_path, data):
    out = tmp_path / "run"
    flags = [*FLAGS, "--workers", "0", "--steps", "12", "--simulated-root", data]
    process = torchrun(*flags, "--out", out, options=["--max-restarts=1"])
    until_saved(out, process)
    os.kill(children(process)[1], signal.SIGKILL)
    printed, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert "preset small" in printed and "preset of the resumed run" in printed
    lines = (out / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(steps) and steps[-1] == 12  # none lost, none twice
    assert (
        torch.load(out / "checkpoint.pt", weights_only=True)["training"]["step"] == 12
    )


def test_an_evaluation_is_shared_and_its_results_are_those_of_one_process(
    tmp_path, capsys
):
    checkpoint = tmp_path / "lp.pt"
    svg_pyro.save(awake(TINY), checkpoint)
    flags = (
        f"{checkpoint} --device cpu --threads 1 --clips 3 --num-samples 2 --horizon 3 "
        "--particles 1 2 --likelihood-clips 2 --pictures 0 --batch-size 1 "
        "--protocol svg --data smmnist --bundled-digits --out"
    ).split()
    process = torchrun(*flags, tmp_path / "two", example=EXAMPLES / "evaluate.py")
    printed, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    evaluate.main([*flags, str(tmp_path / "one")])
    alone = capsys.readouterr().out
    swapped = printed.replace("2 processes on cpu", "device cpu")
    swapped = swapped.replace(str(tmp_path / "two"), str(tmp_path / "one"))
    assert swapped == alone  # each line once, the same scores
    for name in ("results.json", "curves.csv"):
        found, want = (
            (tmp_path / folder / name).read_text() for folder in ("two", "one")
        )
        assert found == want
    assert (tmp_path / "two" / "report.html").exists()
