"""LPIPS and FVD with random weights, against their formulas written out."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import linalg
from support.features import Moving, script
from torch import nn

from svg_pyro.errors import EvaluationError
from svg_pyro.metrics import Curves, Fvd, Lpips, frechet_distance
from svg_pyro.metrics.lpips import _read

# Convolutions by layer number: in, out, kernel, stride, padding; of torchvision's nets.
ALEX = {
    0: (3, 64, 11, 4, 2),
    3: (64, 192, 5, 1, 2),
    6: (192, 384, 3, 1, 1),
    8: (384, 256, 3, 1, 1),
    10: (256, 256, 3, 1, 1),
}
VGG_OUT = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, 17: 512, 19: 512}
VGG_OUT |= {21: 512, 24: 512, 26: 512, 28: 512}
VGG = {
    i: (before, out, 3, 1, 1)
    for i, (before, out) in zip(VGG_OUT, pairwise([3, *VGG_OUT.values()]), strict=True)
}
# Pooling comes before these convolutions; outputs after these are compared.
NETS = {
    "alex": (ALEX, (3, 2), {3, 6}, (0, 3, 6, 8, 10)),
    "vgg": (VGG, (2, 2), {5, 10, 17, 24}, (2, 7, 14, 21, 28)),
}


def random_weights(net, folder, prefix="features."):
    """Files with weights drawn at random, and the weights."""
    convolutions, _, _, compared = NETS[net]
    generator = torch.Generator().manual_seed(0)

    def draw(*shape, scale):
        return torch.randn(shape, generator=generator) * scale

    state = {}
    for i, (before, out, kernel, _, _) in convolutions.items():
        scale = (2 / (before * kernel**2)) ** 0.5
        state[f"{prefix}{i}.weight"] = draw(out, before, kernel, kernel, scale=scale)
        state[f"{prefix}{i}.bias"] = draw(out, scale=0.1)
    heads = {
        f"lin{k}.model.1.weight": draw(1, convolutions[i][1], 1, 1, scale=1).abs()
        for k, i in enumerate(compared)
    }
    paths = folder / f"{net}.pth", folder / f"{net}_heads.pth"
    rest = {"classifier.1.weight": torch.zeros(2, 2)} if prefix else {}
    torch.save(state | rest, paths[0])
    torch.save(heads, paths[1])
    return paths, state, heads


def direct_lpips(x, y, net, state, heads):
    """One pair of RGB frames, in float64."""
    convolutions, (pool, stride), pooled, compared = NETS[net]
    shift = torch.tensor([-0.030, -0.088, -0.188]).double().view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).double().view(1, 3, 1, 1)
    pair = (torch.stack([x, y]).double() * 2 - 1 - shift) / scale
    total, heads = 0, iter(heads.values())
    for i, (_, _, _, step, padding) in convolutions.items():
        if i in pooled:
            pair = F.max_pool2d(pair, pool, stride)
        weight, bias = (state[f"features.{i}.{n}"].double() for n in ("weight", "bias"))
        pair = F.conv2d(pair, weight, bias, step, padding).clamp(min=0)
        if i in compared:
            unit = pair / (pair.square().sum(1, keepdim=True).sqrt() + 1e-10)
            weighted = next(heads).double()[0] * (unit[0] - unit[1]).square()
            total += weighted.sum(0).mean().item()
    return total


@pytest.fixture(scope="module")
def alex(tmp_path_factory):
    return random_weights("alex", tmp_path_factory.mktemp("alex"))


@pytest.mark.parametrize("net", NETS)
def test_lpips_against_its_formula(net, tmp_path):
    paths, state, heads = random_weights(net, tmp_path)
    lpips = Lpips(*paths, net=net)
    truth, samples = torch.rand(2, 2, 3, 36, 40), torch.rand(2, 2, 2, 3, 36, 40)
    got = lpips.against(truth, chunk=3)(samples)
    assert got.shape == (2, 2, 2)
    for n, b, t in np.ndindex(2, 2, 2):
        want = direct_lpips(samples[n, b, t], truth[b, t], net, state, heads)
        assert got[n, b, t].item() == pytest.approx(want, rel=1e-4)
    torch.testing.assert_close(lpips(samples[1], truth), got[1])
    assert lpips(truth, truth).abs().max() == 0


def test_grey_frames_are_taken_as_colour(alex):
    lpips = Lpips(*alex[0])
    x, y = torch.rand(2, 1, 32, 32)
    colour = lpips(x.expand(3, -1, -1), y.expand(3, -1, -1))
    torch.testing.assert_close(lpips(x, y), colour)


def test_backbone_without_its_prefix(alex, tmp_path):
    bare = random_weights("alex", tmp_path, prefix="")[0]
    x, y = torch.rand(2, 3, 40, 40)
    assert torch.equal(Lpips(*bare)(x, y), Lpips(*alex[0])(x, y))


def test_lpips_on_every_device(alex, device):
    x, y = torch.rand(2, 4, 3, 40, 40)
    got = Lpips(*alex[0], device=device)(x.to(device), y.to(device))
    torch.testing.assert_close(got.cpu(), Lpips(*alex[0])(x, y), rtol=1e-2, atol=1e-4)


def test_lpips_chooses_its_own_sample_under_srvp(alex):
    lpips = Lpips(*alex[0])
    truth, samples = torch.rand(2, 2, 1, 32, 32), torch.rand(3, 2, 2, 1, 32, 32)
    curves = Curves(["srvp"], {"lpips": lpips.against})
    curves.update(truth, samples.split(2))
    want = lpips.against(truth)(samples).mean(-1).amin(0)
    got = curves.curves("srvp", "lpips").mean(-1).float()
    torch.testing.assert_close(got, want)


def test_random_state_is_left_alone(alex):
    before = torch.get_rng_state()
    Lpips(*alex[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_files_that_lpips_cannot_use(alex, tmp_path):
    backbone, heads = alex[0]
    broken = tmp_path / "broken.pth"
    broken.write_bytes(backbone.read_bytes()[:5000])
    other = tmp_path / "other.pth"
    torch.save([1, 2], other)
    cases = [
        ((None, heads), "needs the weights of torchvision's alexnet: None is no file"),
        ((tmp_path / "no.pth", heads), "no.pth is no file; give its path"),
        ((backbone, None), "needs the linear heads of 'alex'"),
        ((broken, heads), "cannot be read"),
        ((other, heads), "holds no state dict"),
        ((heads, heads), "holds no weights of torchvision's alexnet"),
        ((backbone, backbone), r"has no lin0.model.1.weight of 64 values"),
        ((backbone, heads, "vgg"), "holds no weights of torchvision's vgg16"),
        ((backbone, heads, "squeeze"), "give 'alex' or 'vgg'"),
    ]
    for arguments, message in cases:
        with pytest.raises(EvaluationError, match=message) as caught:
            Lpips(*arguments[:2], net=(*arguments, "alex")[2])
        assert "\n" not in str(caught.value)


def test_frames_that_lpips_cannot_use(alex):
    lpips = Lpips(*alex[0])
    for shape in ((2, 40, 40), (3, 30, 40)):
        with pytest.raises(EvaluationError, match="1 or 3 channels and at least 31"):
            lpips(torch.rand(shape), torch.rand(shape))
    lpips(torch.rand(3, 31, 31), torch.rand(3, 31, 31))
    with pytest.raises(EvaluationError, match="do not fit"):
        lpips(torch.rand(3, 32, 32), torch.rand(2, 3, 32, 32))
    with pytest.raises(EvaluationError, match="hold NaN"):
        lpips(torch.full((3, 32, 32), torch.nan), torch.rand(3, 32, 32))


class Switched(nn.Module):
    """With the switches of the I3D that is commonly used."""

    def forward(
        self,
        x,
        rescale: bool = True,
        resize: bool = True,
        return_features: bool = False,
    ):
        if rescale or resize or not return_features:
            raise ValueError("not as features of prepared videos")
        return x.mean((2, 3, 4))


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    return script(Moving(), tmp_path_factory.mktemp("i3d") / "moving.pt")


def direct_frechet(a, b):
    """As the TensorFlow code has it, by a general matrix root."""
    means, covariances = zip(*((x.mean(0), np.cov(x.T)) for x in (a, b)), strict=True)
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    apart = ((means[0] - means[1]) ** 2).sum()
    return apart + np.trace(covariances[0] + covariances[1] - 2 * root)


def fed(path, truth, prediction, sizes, **options):
    fvd = Fvd(path, size=32, **options)
    for parts in zip(truth.split(sizes), prediction.split(sizes), strict=True):
        fvd.update(*parts)
    return fvd


def test_fvd_against_the_direct_formula(moving, device):
    truth = torch.rand(10, 4, 3, 16, 16)
    prediction = (truth.roll(1, 0) * 0.8 + 0.1 * torch.rand(truth.shape)).clamp(0, 1)
    features = []
    for videos in (truth, prediction):
        frames = F.interpolate(videos.flatten(0, 1), (32, 32), mode="bilinear")
        frames = frames.view(10, 4, 3, 32, 32).transpose(1, 2)
        features.append(Moving()(2 * frames - 1).double().numpy())
    want = direct_frechet(*features)
    fvd = fed(moving, truth, prediction, [1, 4, 5], device=device)
    assert fvd.value() == pytest.approx(want, rel=1e-4)
    assert fed(moving, truth, truth, 5).value() == pytest.approx(0, abs=1e-9)


def test_the_switches_of_the_common_file(tmp_path):
    path = script(Switched(), tmp_path / "switched.pt")
    fvd = fed(path, torch.rand(4, 3, 1, 8, 8), torch.rand(4, 3, 1, 8, 8), 2)
    assert fvd.value() > 0


def test_an_interrupted_fvd_goes_on(moving, tmp_path):
    truth, prediction = torch.rand(2, 6, 4, 1, 8, 8)
    half = fed(moving, truth[:3], prediction[:3], 3)
    torch.save(half.state_dict(), tmp_path / "state.pt")
    resumed = Fvd(moving, size=32)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    resumed.update(truth[3:], prediction[3:])
    assert resumed.value() == fed(moving, truth, prediction, 3).value()


def test_frechet_distance_in_closed_form():
    """Covariances that commute: ||m - n||^2 + sum (sqrt a - sqrt b)^2, singular too."""
    basis = torch.linalg.qr(torch.randn(6, 6).double()).Q
    a, b = torch.rand(2, 6).double()
    a[0] = b[0] = b[1] = 0
    mean_a, mean_b = torch.randn(2, 6).double()
    covariances = [basis * v @ basis.T for v in (a, b)]
    got = frechet_distance(mean_a, covariances[0], mean_b, covariances[1])
    want = (mean_a - mean_b).square().sum() + (a.sqrt() - b.sqrt()).square().sum()
    assert got == pytest.approx(want.item(), rel=1e-6)


def test_frechet_distance_of_covariances_that_do_not_commute():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 30, 5)) @ rng.normal(size=(2, 5, 5))
    moments = [torch.from_numpy(v) for x in (a, b) for v in (x.mean(0), np.cov(x.T))]
    assert frechet_distance(*moments) == pytest.approx(direct_frechet(a, b), rel=1e-9)


def test_what_fvd_cannot_use(moving, tmp_path):
    other = tmp_path / "other.pt"
    other.write_bytes(b"no script")
    for path, message in (
        (None, "None is no file"),
        (tmp_path / "no.pt", "no.pt is no file; give its path"),
        (other, "other.pt is none"),
    ):
        with pytest.raises(EvaluationError, match=message) as caught:
            Fvd(path)
        assert "\n" not in str(caught.value)
    fvd = Fvd(moving, size=32)
    fvd.update(torch.rand(1, 3, 1, 8, 8), torch.rand(1, 3, 1, 8, 8))
    with pytest.raises(EvaluationError, match="1 videos has no covariance"):
        fvd.value()
    with pytest.raises(EvaluationError, match="do not fit"):
        fvd.update(torch.rand(1, 3, 1, 8, 8), torch.rand(1, 4, 1, 8, 8))
    with pytest.raises(EvaluationError, match="hold NaN"):
        fvd.update(torch.rand(1, 3, 1, 8, 8), torch.rand(1, 3, 1, 8, 8) / 0 * 0)


class Strided(nn.Module):
    """As an I3D, it cannot pool the time of clips that are too short."""

    def forward(self, x):
        return nn.functional.avg_pool3d(x, [8, 4, 4]).flatten(2).mean(2)


def test_clips_too_short_for_the_network_are_refused_before_predicting(tmp_path):
    fvd = Fvd(script(Strided(), tmp_path / "strided.pt"), size=32)
    fvd.check_length(8)
    with pytest.raises(EvaluationError, match="clips of 7 frames do not fit") as caught:
        fvd.check_length(7)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert fvd.true.count == 0


def test_a_file_of_other_things_is_said_without_pytorchs_advice(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "heads.pt")
    with pytest.raises(EvaluationError, match="other things than tensors") as caught:
        _read(tmp_path / "heads.pt", "heads")
    assert "weights_only" not in str(caught.value)


def flipped(path, place):
    data = bytearray(path.read_bytes())
    data[place(data)] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_in_weights_of_a_metric_is_refused(tmp_path):
    path = tmp_path / "heads.pt"
    weight = torch.rand(9)
    torch.save({"lin0": weight}, path)
    raw = weight.numpy().tobytes()
    assert torch.equal(_read(path, "heads")["lin0"], weight)
    flipped(path, lambda data: data.index(raw) + 5)
    assert not torch.equal(torch.load(path, weights_only=True)["lin0"], weight)
    with pytest.raises(EvaluationError, match=r"the checksum of .* is wrong"):
        _read(path, "heads")
    torch.save({"lin0": weight}, path, _use_new_zipfile_serialization=False)
    assert torch.equal(_read(path, "heads")["lin0"], weight)  # it has no checksums


def test_a_flipped_bit_in_a_network_for_fvd_is_refused(tmp_path):
    class Weighted(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(9))

        def forward(self, x):
            return x.mean((2, 3, 4)) * self.weight[:3]

    network = Weighted()
    path = script(network, tmp_path / "network.pt")
    Fvd(path)
    raw = network.weight.detach().numpy().tobytes()
    flipped(path, lambda data: data.index(raw) + 5)
    with pytest.raises(EvaluationError, match=r"the checksum of .* is wrong"):
        Fvd(path)
