"""Names in any script on any terminal: no UnicodeEncodeError after the work is done."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.evaluations import TINY, awake

import svg_pyro
from svg_pyro.commands.evaluate import evaluate
from svg_pyro.commands.generate import generate
from svg_pyro.commands.surprise import score_video

NAMES = ["Ελλάδα", "日本", "straße ☃", "نص"]
FEW = "--device cpu --num-samples 2 --horizon 2".split()


def streams(monkeypatch, encoding):
    """Strict streams of an encoding, as a terminal's may be; what was written."""
    buffer = io.BytesIO()
    for name in ("stdout", "stderr"):
        stream = io.TextIOWrapper(buffer, encoding, errors="strict", write_through=True)
        monkeypatch.setattr(sys, name, stream)
    return buffer


@pytest.fixture
def films(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("φιλμ").mkdir()
    svg_pyro.save(awake(TINY), "μοντέλο.pt")
    for name in NAMES:
        np.save(f"φιλμ/{name}.npy", np.zeros((6, 64, 64), np.uint8))
    Path("φιλμ/空.mp4").touch()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_generate_prints_every_name(films, monkeypatch, encoding):
    out = streams(monkeypatch, encoding)
    generate(["μοντέλο.pt", "φιλμ", "--shown", "0", "--out", "έξω", *FEW])
    text = out.getvalue().decode(encoding)
    assert text.count("futures in") == 4 and r"\u65e5\u672c" in text
    assert sorted(p.stem for p in Path("έξω").glob("*.npz")) == sorted(NAMES)
    with pytest.raises(SystemExit) as stop:
        generate(["μοντέλο.pt", "λείπει.npy"])
    assert stop.value.code == 2 and b"error: " in out.getvalue()


def test_surprise_prints_every_name(films, monkeypatch):
    out = streams(monkeypatch, "cp1252")
    score_video(["μοντέλο.pt", "φιλμ/日本.npy", "--out", "日", "--device", "cpu"])
    assert b"numbers in" in out.getvalue()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Glyph")
def test_evaluate_writes_every_name(films, monkeypatch):
    out = streams(monkeypatch, "cp1252")
    flags = "--data videos --clips 1 --particles 1 --likelihood-clips 1 --pictures 1"
    flags += " --protocol srvp --out αποτέλεσμα --test-data φιλμ"
    evaluate(["日本=μοντέλο.pt", *FEW, *flags.split()])
    assert rb"\u65e5\u672c" in out.getvalue()
    results = json.loads(Path("αποτέλεσμα/results.json").read_text("utf-8"))
    assert results["predictors"][0]["name"] == "日本"
    with open("αποτέλεσμα/curves.csv", encoding="utf-8") as file:
        assert any(row[0] == "日本" for row in csv.reader(file))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="names of bytes")
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_program_in_such_an_environment(films, environment):
    os.rename("φιλμ/نص.npy", b"\xcf\x86\xce\xb9\xce\xbb\xce\xbc/latin \xe9.npy")
    command = [sys.executable, "-m", "svg_pyro", "generate", "μοντέλο.pt", "φιλμ"]
    done = subprocess.run(
        [*command, *FEW, "--shown", "1", "--out", "out"],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"futures in") == 4
    assert len(list(Path("out").glob("*.npz"))) == 4
