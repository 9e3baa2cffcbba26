"""Files of the first code: read in every form, refused where they are anything else."""

import io
import os
import pickle
import random
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pyro import poutine
from support import official_writer
from support.official_writer import FORMS, MODELS, SEEN

import svg_pyro
from svg_pyro import SVG, CheckpointError, ConfigError, SVGConfig
from svg_pyro.model.official import PARTS
from svg_pyro.model.official_pickle import read_content, tensors_of

OPTIONS = {"n_past": 2, "beta": 1e-4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files that a process of their own has written, and what it has computed."""
    folder = tmp_path_factory.mktemp("official")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    writer = [sys.executable, official_writer.__file__, str(folder)]
    subprocess.run(writer, check=True, env=environment, timeout=300)
    return folder


def close(got, want):
    assert got.shape == want.shape
    assert (got - want).abs().max() < 1e-10


@pytest.mark.slow
def test_each_form_is_written_as_its_version_did(folder):
    old, later, latest = (
        (folder / f"dcgan-lp-{form}.pth").read_bytes()
        for form in ("0.3.1", "0.4", "zip")
    )
    assert b"torch._utils\n_rebuild_tensor\n" in old and b"\nVariable\n" in old
    assert b"_rebuild_tensor_v2" in later and b"_rebuild_parameter" not in later
    for legacy in (old, later):
        assert b"_get_thnn_function_backend" in legacy
        assert b"the source that PyTorch keeps" in legacy
        assert b"num_batches_tracked" not in legacy and b"__builtin__\nset" in legacy
    assert latest.startswith(b"PK") and b"_rebuild_parameter" in latest
    assert "models" not in sys.modules


@pytest.mark.parametrize("name", MODELS)
def test_all_forms_give_one_model(folder, name):
    models = [svg_pyro.load_official(folder / f"{name}-{form}.pth") for form in FORMS]
    assert not any(svg.training for svg in models)
    backbone, size, channels, learned, last_frame_skip = MODELS[name]
    want = SVGConfig(
        image_size=size,
        channels=channels,
        backbone=backbone,
        width=2,
        g_dim=5,
        z_dim=2,
        rnn_size=6,
        posterior_layers=2,
        n_past=SEEN,
        beta=1e-3,
        last_frame_skip=last_frame_skip,
        prior="learned" if learned else "fixed",
        skip_from="before_context",
        posterior_start=2,
        batch_norm="time",
        generation_norm="batch" if learned else "running",
        context_latents="sample" if learned else "mean",
    )
    for svg in models:
        assert svg.config == want
        for key, value in svg.state_dict().items():
            assert torch.equal(value, models[0].state_dict()[key]), key


@pytest.mark.parametrize("name", MODELS)
def test_results_are_those_of_the_first_code(folder, name):
    svg = svg_pyro.load(folder / f"{name}-0.3.1.pth").double()
    known = torch.load(folder / f"{name}.answers", weights_only=True)
    x, noise = known["frames"], known["noise"]
    with torch.no_grad():
        h, skips = svg.encoder(x[:, 0])
        close(h, known["h"])
        prepared = svg.decoder.prepare(x[:, 0], skips)
        close(svg.decoder(h.flip(1), prepared), known["decoded"])
        z = {"z": noise[:, : SEEN - 1]}
        for t in range(SEEN + 1, x.shape[1] + 1):
            z[f"z_{t}"] = noise[:, t - 2 : t - 1]
        context = x[:, :SEEN]
        future = poutine.condition(svg.model, z)(context, x.shape[1] - SEEN)
        close(future, known["futures"][:, SEEN - 1 :])
        svg.train()
        q = poutine.trace(svg.guide).get_trace(x).nodes["z"]["fn"]
        z = {"z": q.mean + noise * q.variance.sqrt()}
        trace = poutine.trace(poutine.condition(svg.model, z)).get_trace(x)
    scored, p = trace.nodes["x"], trace.nodes["z"]["fn"]
    mse = (scored["fn"].mean - scored["value"]).square().mean((0, 2, 3, 4)).sum()
    close(mse, known["mse"])
    kl = torch.distributions.kl_divergence(q, p).sum() / len(x)
    close(kl, known["kl"])


def test_what_is_exported_is_for_the_first_code_and_comes_back(folder, tmp_path):
    for name in MODELS:
        svg = svg_pyro.load(folder / f"{name}-zip.pth")
        svg_pyro.export_official(svg, tmp_path / "out.pth")
        back = svg_pyro.load(tmp_path / "out.pth")
        assert back.config == svg.config
        for key, value in svg.state_dict().items():
            assert torch.equal(value, back.state_dict()[key])


def test_exported_names_are_those_of_the_first_codes_modules(folder, tmp_path):
    for name in MODELS:
        svg = svg_pyro.load(folder / f"{name}-zip.pth")
        svg_pyro.export_official(svg, tmp_path / "out.pth")
        exported = torch.load(tmp_path / "out.pth", weights_only=True)
        written = read_content(folder / f"{name}-zip.pth")
        assert exported.keys() == written.keys()
        for part in exported.keys() - {"opt"}:
            names = [key for key, _ in tensors_of(written[part])]
            assert sorted(names) == sorted(exported[part])


@pytest.mark.parametrize(
    "changes",
    [
        {"skip_from": "context"},
        {"posterior_start": 1},
        {"pixel_skip": True},
        {"norm": "group"},
        {"observation": "learned-sigma"},
        {"prior": "none"},
    ],
    ids=str,
)
def test_what_the_first_code_cannot_do_is_not_exported(changes, tiny, tmp_path):
    config = replace(tiny, posterior_start=2, skip_from="before_context")
    with pytest.raises(ConfigError, match=next(iter(changes))) as error:
        svg_pyro.export_official(SVG(replace(config, **changes)), tmp_path / "no.pth")
    assert "\n" not in str(error.value) and not (tmp_path / "no.pth").exists()


class Call:
    """Pickled, it calls a function when it is read by an ordinary unpickler."""

    def __init__(self, function, *given):
        self.call = function, given

    def __reduce__(self):
        return self.call


def hostile(content, form, path):
    """A file in PyTorch's containers, with `content` as its pickle."""
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        return
    file = io.BytesIO()
    for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, content, []):
        pickle.dump(value, file, protocol=2)
    path.write_bytes(file.getvalue())


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize(
    "function, name",
    [(os.system, "system"), (eval, "eval"), (torch.load, "load"), (getattr, "getattr")],
)
def test_other_names_are_refused_and_nothing_is_run(form, function, name, tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "bad.pth"
    call = Call(function, f"touch {mark}")
    hostile({"frame_predictor": call, "opt": "models.lstm"}, form, path)
    for load in (svg_pyro.load_official, svg_pyro.load):
        with pytest.raises(CheckpointError, match=name) as error:
            load(path)
        assert "nothing was run" in str(error.value) and "\n" not in str(error.value)
        assert len(str(error.value)) < 300 + len(str(path))
    assert not mark.exists()


@pytest.mark.parametrize(
    "content, words",
    [
        ({}, "it has no encoder"),
        ([], "no dict of modules"),
        (dict.fromkeys((*PARTS, "opt"), 0), "it is no module"),
        (dict.fromkeys((*PARTS, "opt"), OPTIONS), "n_past is no tensor"),
        ({**{part: {} for part in PARTS}, "opt": 0}, "its opt is no set of options"),
        ({**{part: {} for part in PARTS}, "opt": {}}, "its opt has no n_past"),
        ({**{part: {} for part in PARTS}, "opt": OPTIONS}, "its encoder has 0 tensors"),
    ],
)
def test_other_content_is_one_line(content, words, tmp_path):
    hostile(content, "legacy", tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=words) as error:
        svg_pyro.load_official(tmp_path / "odd.pth")
    assert "\n" not in str(error.value)


def test_missing_and_misshaped_tensors_are_named(folder, tmp_path):
    content = torch.load(
        folder / "dcgan-lp-states.pth", weights_only=False
    )  # written by this test's own process
    content["posterior"]["mu_net.weight"] = torch.zeros(2, 7)
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"posterior\.loc\.weight, \(2, 7\)"):
        svg_pyro.load(tmp_path / "odd.pth")
    del content["posterior"]["mu_net.weight"]
    content["decoder"]["more"] = torch.zeros(3)
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"lacks posterior.*decoder: more"):
        svg_pyro.load(tmp_path / "odd.pth")
    content["posterior"]["mu_net.weight"] = torch.zeros(2, 6, dtype=torch.int64)
    del content["decoder"]["more"]
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"of another type: mu_net\.weight"):
        svg_pyro.load(tmp_path / "odd.pth")


def outcome(path, load=svg_pyro.load_official):
    """None, or the error's line."""
    try:
        load(path)
    except CheckpointError as error:
        line = str(error)
        assert "\n" not in line and len(line) < 300 + len(str(path))
        assert "weights_only" not in line
        return line
    return None


@pytest.mark.parametrize("form", ["0.3.1", "1.x", "zip"])
def test_damaged_files_are_one_line(folder, form, tmp_path):
    data = (folder / f"dcgan-lp-{form}.pth").read_bytes()
    path, chance = tmp_path / "damaged.pth", random.Random(0)
    for _ in range(10):
        path.write_bytes(data[: chance.randrange(len(data))])
        assert outcome(path) is not None
        assert outcome(path, svg_pyro.load) is not None
    with zipfile.ZipFile(folder / "dcgan-lp-zip.pth") as archive:
        pickled = archive.getinfo(
            next(n for n in archive.namelist() if "data.pkl" in n)
        )
    # In the pickle, where a byte can mean anything; flips of weights are weights in
    # the older container, which has no checksum.
    for _ in range(40):
        place, flipped = (
            chance.randrange(min(len(data), pickled.file_size)),
            bytearray(data),
        )
        flipped[place] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        if outcome(path) is None and form == "zip":
            svg, want = (svg_pyro.load(p) for p in (path, folder / "dcgan-lp-zip.pth"))
            for key, value in svg.state_dict().items():
                assert torch.equal(value, want.state_dict()[key])
    assert outcome(tmp_path / "none.pth") is not None


def test_a_view_beyond_its_storage_is_refused(folder, tmp_path):
    data = (folder / "dcgan-lp-1.x.pth").read_bytes()
    # The shape of the posterior's embedding, (6, 5), in the pickle's bytes.
    changed = data.replace(b"K\x06K\x05\x86", b"K\x06K\x7f\x86", 1)
    assert changed != data
    (tmp_path / "odd.pth").write_bytes(changed)
    assert outcome(tmp_path / "odd.pth") is not None
