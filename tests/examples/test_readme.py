"""The README's Python runs as it stands, but for the size of the model."""

import re

from support.places import ROOT

from svg_pyro import SVGConfig

README = ROOT / "README.md"


def test_the_code_of_the_readme(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert len(blocks) == 6
    monkeypatch.chdir(tmp_path)
    preset = SVGConfig.preset.__func__

    def small(cls, name, **changes):
        changes = {"backbone": "dcgan", "width": 4, "rnn_size": 12, **changes}
        return preset(cls, name, **changes)

    monkeypatch.setattr(SVGConfig, "preset", classmethod(small))
    names = {}
    for block in blocks:
        exec(block, names)
    assert names["clip"]["bounces"].shape == (30, 1)
    assert names["futures"].shape == (20, 4, 28, 3, 64, 64)
    assert names["means"].shape == (4, 11, 3, 64, 64)
    assert names["guided"].frames.shape == (32, 4, 10, 3, 64, 64)
    svg = names["svg"]
    assert type(svg.prior).__name__ == "MarkovPrior"
    svg.reconstruct(names["frames"])


def test_the_readme_names_what_there_is():
    text = README.read_text()
    root = README.parent
    for path in re.findall(r"python (examples/\w+\.py)", text):
        assert (root / path).exists(), path
    if (root / ".ci" / "run").exists():
        (line,) = re.findall(r'pip install "\.\[test\]" && (.*)', text)
        assert line in (root / ".ci" / "run").read_text()
