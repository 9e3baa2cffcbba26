"""Parts compared by training them: rows that are made once, and their table."""

import errno
import json
from pathlib import Path

import compare_parts
import pytest

from svg_pyro.commands import part_rows
from svg_pyro.commands.part_presets import ShortTraining, preset_of
from svg_pyro.commands.part_rows import add_row, read_rows, table_of
from svg_pyro.errors import ConfigError

TINY = (
    "--bundled-digits --steps 1 --width 2 --rnn-size 3 --batch-size 2 --clips 2 "
    "--num-samples 3 --particles 2 --likelihood-clips 1 --simulated-clips 2 "
    "--device cpu"
).split()


def run(out, *arguments):
    compare_parts.main([*TINY, "--out", str(out), *arguments])


@pytest.mark.slow
def test_each_training_is_a_row_that_is_made_once(tmp_path, capsys):
    parts = ["--part", "paper", "--part", "prior=mixture,observation=logistic"]
    data = ["--simulated-root", str(tmp_path / "push")]
    run(tmp_path, "--data", "digit", "push", *data, *parts)
    rows = read_rows(tmp_path / "rows.jsonl")
    want = [(data, part) for data in ("digit", "push") for part in parts[1::2]]
    assert [(row["data"], row["part"]) for row in rows] == want
    for row in rows:
        assert row["steps"] == 1 and row["seed"] == 0 and row["seconds"] > 0
        horizon = {"digit": 15, "push": 10}[row["data"]]
        assert len(row["coverage"]) == horizon
        assert 0 <= row["coverage_low"] <= row["coverage_high"] <= 1
        assert row["kl"] > 0 and row["crps"] > 0 and row["bits"] > 0
    before = (tmp_path / "rows.jsonl").read_text()
    # What is there is not made again; another seed is.
    run(tmp_path, "--data", "digit", "--seeds", "0", "1", "--part", "paper")
    rows = (tmp_path / "rows.jsonl").read_text()
    assert rows.startswith(before) and len(rows.splitlines()) == 5
    capsys.readouterr()
    run(tmp_path, "--table")
    lines = capsys.readouterr().out.splitlines()
    (found,) = [line for line in lines if line.startswith("digit  1      paper")]
    assert " ± " in found and len(lines) == 1 + 4 + 1


@pytest.mark.slow
def test_a_training_starts_from_what_fits_of_a_model(tmp_path):
    sizes = TINY.index("--width"), TINY.index("--batch-size")
    own = [*TINY[: sizes[0]], *TINY[sizes[1] :], "--out", str(tmp_path)]
    start = ["--data", "digit", "--init", "smmnist-1"]
    compare_parts.main([*own, *start, "--part", "observation=per-pixel"])
    (row,) = read_rows(tmp_path / "rows.jsonl")
    # Nearly as good as what it starts from, though its decoder has more channels.
    assert row["init"] == "smmnist-1" and row["psnr_best"] > 12


def test_a_table_has_means_over_seeds(tmp_path):
    row = {"data": "push", "steps": 5, "init": None, "part": "paper", "seed": 0}
    keys = (
        "bound bits kl crps_means crps spread_skill_means psnr_best psnr_mean "
        "coverage_low coverage_high coverage_means chi_square seconds"
    ).split()
    rows = [{**row, **dict.fromkeys(keys, value)} for value in (1.0, 3.0, None)]
    head, line = table_of(rows)
    assert line.split()[:4] == ["push", "5", "paper", "3"]
    assert line[head.index("KL") :].startswith("2.00 ± 1.41  ")
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert read_rows(path) == rows


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"data": "push"}', 30_000 * "[", "\udce9"]
)
def test_a_file_of_other_lines_is_no_file_of_rows(tmp_path, text):
    path = tmp_path / "rows.jsonl"
    path.write_text(text + "\n", "utf-8", "surrogateescape")
    with pytest.raises(ConfigError, match=r"rows.jsonl is no file of rows") as caught:
        read_rows(path)
    assert len(str(caught.value)) < 300


def test_a_row_on_a_full_disk_leaves_the_earlier_ones(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    path.write_text("")
    monkeypatch.setattr(part_rows, "_NEEDED", {"data"})
    add_row(path, {"data": "push"})

    def full(self, text, *_):
        with open(self, "w") as file:
            file.write(text[: len(text) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*rows.jsonl'"):
        add_row(path, {"data": "digit"})
    assert read_rows(path) == [{"data": "push"}]


@pytest.mark.parametrize("data", ["push", "digit"])
def test_the_paper_sees_vectors_and_true_frames_and_maps_are_a_part(data):
    short = ShortTraining(steps=30)
    paper = preset_of(data, "paper", short)
    assert (paper.model.dynamics, paper.model.warp) == ("vector", False)
    assert (paper.model.prior, paper.model.guide) == ("learned", "filtering")
    assert (paper.training.own_means, paper.training.kl_warmup) == (0, 0)
    assert paper.training.elbo == "trace"
    other = preset_of(data, "elbo=mean-field,prior=fixed", short)
    assert other.training.elbo == "mean-field" and other.model.prior == "fixed"
    maps = preset_of(data, "dynamics=maps", short)
    assert (maps.model.dynamics, maps.model.warp) == ("maps", True)
    assert maps.training.own_means > 0 and maps.training.own_means_start == 10


@pytest.mark.parametrize(
    "part, words",
    [
        ("flow", "--part is 'flow'; give paper, or KIND=NAME with a KIND of prior"),
        ("prior=", "--part is 'prior='; give paper"),
        ("prior=fixed,prior=flow", "give paper, or KIND=NAME"),
        ("prior=flwo", "prior is 'flwo'; choose one of"),
        ("elbo=trace-elbo", "elbo is 'trace-elbo'; choose trace or mean-field"),
        ("dynamics=map", "dynamics is 'map'"),
    ],
)
def test_parts_that_are_none_are_one_line(tmp_path, capsys, part, words):
    with pytest.raises(SystemExit) as status:
        run(tmp_path, "--part", part)
    line = capsys.readouterr().err.splitlines()[-1]
    assert status.value.code == 2 and line.startswith("error: ") and words in line
    assert not (tmp_path / "rows.jsonl").exists()
