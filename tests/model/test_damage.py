"""A checkpoint that a bit has changed in, or a key is missing from, is refused."""

import dataclasses
import random
import resource
from pathlib import Path

import pytest
import torch

import svg_pyro
from svg_pyro import SVG, CheckpointError, ConfigError, SVGConfig


def refused(call):
    with pytest.raises(CheckpointError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 300, text
    return text


@pytest.fixture
def saved(tiny, tmp_path):
    torch.manual_seed(0)
    svg = SVG(tiny).eval()
    svg_pyro.save(svg, tmp_path / "model.pt")
    return tmp_path / "model.pt", svg


@pytest.mark.slow
def test_a_flipped_bit_is_refused_or_does_not_matter(saved, tmp_path):
    path, svg = saved
    good, rng, refusals = path.read_bytes(), random.Random(0), 0
    wanted = svg.state_dict()
    for _ in range(200):
        data = bytearray(good)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            loaded = svg_pyro.load(path)
        except CheckpointError as error:
            assert "\n" not in str(error) and len(str(error)) < 300
            refusals += 1
            continue
        assert loaded.config == svg.config
        for name, value in loaded.state_dict().items():
            assert torch.equal(value, wanted[name]), name
    assert refusals > 180  # the rest is padding


def test_the_damaged_part_is_named(saved):
    path, svg = saved
    weights = svg.encoder.head[0].weight.detach().numpy().tobytes()
    data = path.read_bytes()
    place = data.index(weights) + 9
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    assert "the checksum of" in refused(lambda: svg_pyro.load(path))


@pytest.mark.parametrize("key", ["format", "version", "config", "weights", "training"])
@pytest.mark.parametrize("value", ["missing", 7.5, "text", [1], {3: 4}])
def test_every_key_is_there_and_of_its_type(saved, key, value):
    path, _ = saved
    content = torch.load(path, weights_only=True)
    if key == "training" and value in ("missing", {3: 4}):
        return  # the state of a run is looked at when it is resumed
    if value == "missing":
        del content[key]
    else:
        content[key] = value
    torch.save(content, path)
    said = refused(lambda: svg_pyro.load(path))
    assert str(path) in said


@pytest.mark.parametrize("key", ["prior", "guide", "observation"])
def test_names_of_parts_are_text(saved, key):
    path, _ = saved
    content = torch.load(path, weights_only=True)
    torch.save({**content, key: 3}, path)
    assert f"its {key}" in refused(lambda: svg_pyro.load(path))


def test_weights_are_finite_dense_and_of_their_type(saved):
    path, _ = saved
    content = torch.load(path, weights_only=True)
    name = "posterior.loc.weight"
    right = content["weights"][name]

    def said(tensor):
        torch.save({**content, "weights": {**content["weights"], name: tensor}}, path)
        return refused(lambda: svg_pyro.load(path))

    wrong = right.clone()
    wrong[0, 0] = float("inf")
    assert f"{name} holds NaN or infinity" in said(wrong)
    assert "dense" in said(right.to_sparse())
    assert "dense" in said([1.0])
    assert "torch.int64, not torch.float32" in said(right.long())
    assert "complex" in said(right.to(torch.complex64))
    assert "more than are stored" in said(torch.zeros(1, 1).expand(2**20, 2**20))


@pytest.mark.parametrize(
    "field, value",
    [
        ("width", 2**40),
        ("rnn_size", 60_000),
        ("g_dim", 65_000),
        ("predictor_layers", 10**9),
        ("z_dim", True),
        ("image_size", 2.0),
        ("beta", float("nan")),
        ("prior", ["learned"]),
        ("dynamics", {"a": 1}),
        ("norm", None),
    ],
)
def test_a_configuration_asks_for_no_more_than_the_file_holds(saved, field, value):
    path, _ = saved
    content = torch.load(path, weights_only=True)
    content["config"][field] = value
    torch.save(content, path)
    limit = 500 * 2**20  # bytes more than now
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + limit, before[1]))
    try:
        refused(lambda: svg_pyro.load(path))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_sizes_of_a_configuration_are_bounded():
    with pytest.raises(ConfigError, match="width is 1099511627776; give 65536 or less"):
        SVGConfig(width=2**40)
    with pytest.raises(ConfigError, match="prior_layers is 65; give 64 or less"):
        SVGConfig(prior_layers=65)


def test_another_writer_of_the_same_name_does_not_matter(saved, tiny, monkeypatch):
    """One file is verified and loaded, even where its name gets another content."""
    path, svg = saved
    other = path.with_name("other.pt")
    svg_pyro.save(SVG(dataclasses.replace(tiny, z_dim=4)), other)
    from svg_pyro.model import checkpoint_file

    verify = checkpoint_file.verify_archive

    def replaced(file):
        verify(file)
        other.replace(path)

    monkeypatch.setattr(checkpoint_file, "verify_archive", replaced)
    assert svg_pyro.load(path).config == svg.config


def test_every_flipped_bit_of_a_folder_is_refused_or_does_not_matter(tiny, tmp_path):
    svg = SVG(tiny).eval()
    svg_pyro.save_pretrained(svg, tmp_path)
    rng, wanted = random.Random(1), svg.state_dict()
    for name, count in (("model.safetensors", 40), ("config.json", 60)):
        path = tmp_path / name
        good = path.read_bytes()
        for _ in range(count):
            data = bytearray(good)
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            path.write_bytes(data)
            try:
                loaded = svg_pyro.load(tmp_path)
            except CheckpointError as error:
                assert "\n" not in str(error) and len(str(error)) < 300
                continue
            assert name == "config.json" and loaded.config == svg.config
            assert torch.equal(
                loaded.encoder.head[0].weight, wanted["encoder.head.0.weight"]
            )
        path.write_bytes(good)


def test_a_changed_configuration_is_said_so(tiny, tmp_path):
    svg_pyro.save_pretrained(SVG(tiny), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"n_past": 2', '"n_past": 3'))
    assert "was changed after it was written" in refused(
        lambda: svg_pyro.load(tmp_path)
    )
