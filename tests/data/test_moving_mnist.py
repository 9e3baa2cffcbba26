"""Moving MNIST: its rule of motion, its bounces, and where its digits come from."""

import gzip
import hashlib
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image
from support.places import SHARED

from svg_pyro.data import MovingMNIST, digits
from svg_pyro.errors import DataError

MNIST = SHARED / "data" / "mnist"
LAST = 64 - 32


@pytest.fixture(scope="module")
def images():
    """Five digits of random pixels, none of them 0: their places can be read off."""
    rng = np.random.default_rng(3)
    return torch.from_numpy(rng.integers(1, 256, (5, 28, 28), np.uint8))


def drawn(digit, y, x):
    """Oracle: a digit, enlarged by float64 interpolation, on an empty canvas."""
    at = np.clip((np.arange(32) + 0.5) * 28 / 32 - 0.5, 0, 27)
    low = np.floor(at).astype(int)
    high, part = np.minimum(low + 1, 27), at - np.floor(at)
    d = digit.numpy().astype(float)
    d = d[low] * (1 - part)[:, None] + d[high] * part[:, None]
    d = d[:, low] * (1 - part) + d[:, high] * part
    canvas = np.zeros((64, 64))
    canvas[y : y + 32, x : x + 32] = np.floor(d + 0.5)
    return canvas


@pytest.mark.parametrize("num_digits", [1, 2, 3])
@pytest.mark.parametrize("deterministic", [False, True])
def test_frames_are_the_digits_at_their_positions(images, num_digits, deterministic):
    data = MovingMNIST(
        images, "train", 6, num_digits=num_digits, deterministic=deterministic
    )
    for index in range(4):
        got = data.clip_with_bounces(index, epoch=1)
        rng = np.random.default_rng([0, 0, 1, index])
        which = rng.integers(5, size=num_digits)
        for t, places in enumerate(got["positions"].tolist()):
            placed = zip(which, places, strict=True)
            want = sum(drawn(images[n], y, x) for n, (y, x) in placed)
            assert np.array_equal(got["frames"][t, 0].numpy(), np.minimum(want, 255))
        assert torch.equal(data.clip(index, 1), got["frames"])


def steps_of(data, clips):
    """(position, step, bounced here) of every digit and frame but the last."""
    for index in range(clips):
        got = data.clip_with_bounces(index)
        places, bounces = got["positions"].numpy(), got["bounces"].numpy()
        steps = np.diff(places, axis=0)
        for d in range(places.shape[1]):
            for t in range(len(steps)):
                yield index, d, t, places[t, d], steps[t, d], bounces[t, d]


def test_motion_is_straight_between_bounces_and_stays_on_the_canvas(images):
    data = MovingMNIST(images, "test", 60, num_digits=2)
    before = {}
    for index, d, _, place, step, bounced in steps_of(data, 20):
        assert (place >= 0).all() and (place <= LAST).all()
        assert (np.abs(step) <= 4).all()
        after = place + step
        # A step that ends on an edge may have been cut short by it.
        inside = (after > 0) & (after < LAST)
        if not bounced and (index, d) in before:
            assert (step == before[index, d])[inside].all()
        before[index, d] = step
        if bounced:
            assert ((place == 0) | (place == LAST)).any()


def test_a_redrawn_speed_leads_away_and_is_uniform(images):
    """After bounces, chi-square of the normal speed (1..4) and the free one (-4..4)."""
    data = MovingMNIST(images[:1], "train", 100, num_digits=1, seed=7)
    normal, free = [], []
    for _, _, _, place, step, bounced in steps_of(data, 300):
        at_edge = (place == 0) | (place == LAST)
        if not bounced or at_edge.all():
            continue
        axis = int(at_edge.argmax())
        inward = 1 if place[axis] == 0 else -1
        other = place[1 - axis]
        normal.append(step[axis] * inward)
        if 4 <= other <= LAST - 4:  # where no step can be cut short
            free.append(step[1 - axis])
    # A digit that runs along an edge, or stops there, touches it but does not bounce.
    assert min(normal) >= 1 and max(normal) == 4
    for values, choices in ((normal, range(1, 5)), (free, range(-4, 5))):
        counts = np.array([np.sum(np.array(values) == c) for c in choices])
        expected = counts.sum() / len(counts)
        assert expected > 100
        # 99.99 % quantiles of chi-square with 3 and 8 degrees of freedom.
        limit = {4: 21.1, 9: 31.8}[len(counts)]
        assert ((counts - expected) ** 2 / expected).sum() < limit


def test_deterministic_digits_keep_their_speed(images):
    """Reflection: |step| along an axis is constant but where an edge cut it short."""
    data = MovingMNIST(images, "test", 80, num_digits=1, deterministic=True)
    for index in range(10):
        got = data.clip_with_bounces(index)
        places = got["positions"][:, 0].numpy()
        steps = np.abs(np.diff(places, axis=0))
        assert got["bounces"].any()
        for axis in range(2):
            cut = np.isin(places[1:, axis], (0, LAST))
            assert len(set(steps[~cut, axis])) <= 1


def test_stochastic_futures_of_one_past_differ_and_deterministic_do_not():
    one = torch.full((1, 28, 28), 255, dtype=torch.uint8)
    seen = {}
    for deterministic in (False, True):
        data = MovingMNIST(one, "train", 30, num_digits=1, deterministic=deterministic)
        turns = set()
        for index in range(400):
            got = data.clip_with_bounces(index)
            steps = np.diff(got["positions"][:, 0].numpy(), axis=0)
            for t in np.flatnonzero(got["bounces"][1:-1, 0].numpy()) + 1:
                turns.add((tuple(steps[t - 2]) if t > 1 else None, tuple(steps[t])))
        seen[deterministic] = len(turns)
    assert seen[False] > 3 * seen[True]


@pytest.mark.parametrize("num_digits", [1, 2])
def test_other_futures_are_the_process_given_its_past(images, num_digits):
    data = MovingMNIST(images, "test", 12, num_digits=num_digits)
    parted = 0
    for index in range(40):
        clip = data.clip_with_bounces(index)
        drawn = data.other_futures(index, 5, 8, seed=2)
        assert drawn.shape == (8, 7, 1, 64, 64) and drawn.dtype == torch.uint8
        # Until a velocity is drawn again, and is seen in the frame after, all are true.
        bounced = clip["bounces"][4:].any(-1).nonzero().flatten().tolist()
        alike = bounced[0] if bounced else 7
        truth = clip["frames"][5:]
        assert (drawn[:, :alike] == truth[:alike]).all()
        parted += alike < 7 and len(drawn.flatten(1).unique(dim=0)) > 1
    assert parted > 10
    assert torch.equal(drawn, data.other_futures(39, 5, 8, seed=2))
    assert torch.equal(drawn[:3], data.other_futures(39, 5, 3, seed=2))


def test_other_futures_of_deterministic_digits_are_the_true_one(images):
    data = MovingMNIST(images, "test", 30, num_digits=2, deterministic=True)
    for index in range(5):
        drawn = data.other_futures(index, 3, 2)
        assert (drawn == data.clip(index)[3:]).all()


def test_other_futures_go_where_a_bounce_may_lead(images):
    """After a bounce in the last frame of the past all velocities are there."""
    data = MovingMNIST(images, "test", 6, num_digits=1)
    index = next(i for i in range(500) if data.clip_with_bounces(i)["bounces"][4].any())
    drawn = data.other_futures(index, 5, 400)[:, 0, 0]
    places = {
        (int(lit.any(1).nonzero()[0]), int(lit.any(0).nonzero()[0]))
        for lit in drawn > 0
    }
    at = data.clip_with_bounces(index)["positions"][4, 0].tolist()
    moves = {(y - at[0], x - at[1]) for y, x in places}
    # 4 speeds away from the edge by 9 along it, but for those that a corner stops.
    assert 16 <= len(moves) <= 36
    assert {abs(n) for move in moves for n in move} == set(range(5))


@pytest.mark.parametrize(
    "numbers, words",
    [
        ((0, 1), "n_past is 0; give"),
        ((12, 1), "n_past is 12 in clips of 12 frames"),
        ((5, 0), "count is 0; give"),
    ],
)
def test_other_futures_of_wrong_numbers(images, numbers, words):
    with pytest.raises(DataError, match=words):
        MovingMNIST(images, "test", 12).other_futures(0, *numbers)


def test_a_clip_is_a_function_of_seed_epoch_and_index(images):
    data = MovingMNIST(images)
    assert torch.equal(data.clip(5, 2), MovingMNIST(images).clip(5, 2))
    assert torch.equal(pickle.loads(pickle.dumps(data)).clip(5, 2), data.clip(5, 2))
    for other in (
        data.clip(6, 2),
        data.clip(5, 3),
        MovingMNIST(images, seed=1).clip(5, 2),
        MovingMNIST(images, "test").clip(5, 2),
    ):
        assert not torch.equal(other, data.clip(5, 2))
    # A longer clip goes on from a shorter one.
    longer = MovingMNIST(images, n_frames=25, num_digits=1).clip(5)
    assert torch.equal(
        longer[:10], MovingMNIST(images, n_frames=10, num_digits=1).clip(5)
    )


def test_the_test_set_is_fixed(images):
    data = MovingMNIST(images, "test", 30)
    assert len(data) == 5000 and len(MovingMNIST(images)) == 60_000
    assert torch.equal(data.clip(4999, 0), data.clip(4999, 8))
    with pytest.raises(IndexError):
        data.clip(5000)
    check = hashlib.sha256()
    for index in (0, 1, 4999):
        check.update(data.clip(index).numpy().tobytes())
    # Written down once: papers cite such a set by its seed.
    assert check.hexdigest()[:16] == "12909962ca09001c"


def test_synchronised_clips_move_alike_and_show_their_own_digits(images):
    options = dict(split="train", n_frames=40, num_digits=2, seed=5)
    alike = MovingMNIST(images, synchronised=True, **options)
    apart = MovingMNIST(images, **options)
    first = apart.clip_with_bounces(0, 3)
    assert first["bounces"].any()
    for index in range(6):
        got, own = (data.clip_with_bounces(index, 3) for data in (alike, apart))
        assert torch.equal(got["positions"], first["positions"])
        assert torch.equal(got["bounces"], first["bounces"])
        assert torch.equal(own["positions"], first["positions"]) == (index == 0)
        which = np.random.default_rng([5, 0, 3, index]).integers(5, size=2)
        places = first["positions"][-1].tolist()
        placed = zip(which, places, strict=True)
        want = sum(drawn(images[n], y, x) for n, (y, x) in placed)
        assert np.array_equal(got["frames"][-1, 0].numpy(), np.minimum(want, 255))
    other = alike.clip_with_bounces(0, 4)["positions"]
    assert not torch.equal(other, first["positions"])


@pytest.mark.parametrize(
    "options, words",
    [
        ({"split": "valid"}, "unknown split 'valid'"),
        ({"n_frames": 0}, "n_frames is 0"),
        ({"num_digits": 0}, "num_digits is 0"),
        ({"image_size": 32}, "image_size is 32; give a whole number of 33"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_values(images, options, words):
    with pytest.raises(DataError, match=words):
        MovingMNIST(images, **options)
    with pytest.raises(DataError, match="give uint8"):
        MovingMNIST(images.float())
    with pytest.raises(DataError, match="N at least 1"):
        MovingMNIST(images[:0])


def idx(count):
    """An IDX file of images, and its pixels."""
    pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
    header = np.array([0x803, count, 28, 28], ">u4").tobytes()
    return header + pixels.tobytes(), pixels


@pytest.fixture
def published(monkeypatch):
    """Small IDX files whose md5 are taken for those of MNIST."""
    files = {split: idx(count) for split, count in (("train", 4), ("test", 2))}
    names = {s: name for s, (name, _) in digits._FILES.items()}
    sums = {s: hashlib.md5(data).hexdigest() for s, (data, _) in files.items()}
    monkeypatch.setattr(digits, "_FILES", {s: (names[s], sums[s]) for s in files})
    return {names[s]: data for s, (data, _) in files.items()}, files["test"][1]


@pytest.mark.parametrize("folder", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_wherever_they_lie(tmp_path, published, folder, packed):
    files, pixels = published
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = tmp_path / folder / (name + ".gz" * packed)
        path.write_bytes(gzip.compress(data) if packed else data)
    load, words = digits.find_digits(tmp_path)
    assert np.array_equal(load("test").numpy(), pixels) and len(load("train")) == 4
    assert words == f"the digits are MNIST in {tmp_path}"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ["dotted", "in a folder of its name"])
def test_idx_files_as_7_zip_unpacks_them(tmp_path, published, form, packed):
    files, pixels = published
    for name, data in files.items():
        path = tmp_path / name / name
        if form == "dotted":
            path = tmp_path / name.replace("-idx3", ".idx3")
        path = path.with_name(path.name + ".gz" * packed)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(data) if packed else data)
    load, _ = digits.find_digits(tmp_path)
    assert np.array_equal(load("test").numpy(), pixels) and len(load("train")) == 4


def test_no_more_is_unpacked_than_mnist_has(tmp_path, published):
    """200 MB of zeros in 200 KB."""
    files, _ = published
    for name in files:
        path = tmp_path / f"{name}.gz"
        with gzip.open(path, "wb") as file:
            for _ in range(200):
                file.write(bytes(10**6))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="the file is damaged or another one"):
            digits.load_mnist(tmp_path, "train")
        assert tracemalloc.get_traced_memory()[1] < 110e6
    finally:
        tracemalloc.stop()


def test_files_that_are_there_are_not_fetched(tmp_path, published, monkeypatch):
    files, pixels = published
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    for name, data in files.items():
        (tmp_path / "MNIST" / "raw" / name).write_bytes(data)
    monkeypatch.setattr("torchvision.datasets.MNIST", None)
    load, words = digits.find_digits(download_to=tmp_path)
    assert np.array_equal(load("test").numpy(), pixels)
    assert words == f"the digits are MNIST in {tmp_path}"


def test_wrong_idx_files(tmp_path, published):
    files, _ = published
    with pytest.raises(DataError, match="holds no train-images-idx3-ubyte"):
        digits.find_digits(tmp_path)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte: md5 is .* MNIST's is"
    ):
        digits.load_mnist(tmp_path, "train")
    for name in files:
        (tmp_path / name).unlink()
        (tmp_path / f"{name}.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match=r"cannot be read .*fetch it again"):
        digits.load_mnist(tmp_path, "test")
    with pytest.raises(DataError, match="unknown split 'valid'"):
        digits.load_mnist(tmp_path, "valid")


def test_without_a_network_other_digits_stand_in(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError("no route to host")

    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setattr("socket.getaddrinfo", refused)
    load, words = digits.find_digits(download_to=tmp_path / "mnist")
    assert "\n" not in words and "scikit-learn's 1,797 handwritten digits" in words
    train, test = load("train"), load("test")
    assert len(train) == 1497 and len(test) == 300
    for images in (train, test):
        assert images.shape[1:] == (28, 28) and images.dtype == torch.uint8
        assert (images.flatten(1).amax(1) == 255).all()
        assert not images[:, :3].any() and not images[:, :, -3:].any()
    assert not {i.numpy().tobytes() for i in train} & {
        i.numpy().tobytes() for i in test
    }


def test_bundled_digits_look_like_themselves():
    """Shrunk back to 8x8 they are scikit-learn's own images."""
    from sklearn.datasets import load_digits

    own = load_digits().images[::6][:40]
    for image, want in zip(digits.load_scikit_digits("test")[:40], own, strict=True):
        middle = Image.fromarray(image[3:25, 3:25].numpy()).resize((8, 8), Image.BOX)
        assert np.corrcoef(np.asarray(middle).ravel(), want.ravel())[0, 1] > 0.9


@pytest.mark.skipif(not MNIST.exists(), reason="needs the MNIST files")
def test_real_mnist():
    load, _ = digits.find_digits(MNIST)
    train, test = load("train"), load("test")
    assert train.shape == (60_000, 28, 28) and test.shape == (10_000, 28, 28)
    # Means of MNIST's pixels, known as 0.1307 and 0.1325.
    assert train.float().mean().item() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert test.float().mean().item() / 255 == pytest.approx(0.1325, abs=5e-5)


def test_digits_may_be_placed_as_in_the_first_code(images):
    """It draws 0 to 31, where 0 to 32 fit: all else is the same draw."""
    data = MovingMNIST(images, n_frames=1, num_digits=1, positions=32)
    places = torch.cat(
        [data.clip_with_bounces(i)["positions"].flatten() for i in range(400)]
    )
    assert set(places.tolist()) == set(range(32))  # P(one missing) < 32 e**-25
    for positions in (0, 34):
        with pytest.raises(DataError, match=f"positions is {positions}; give 1 to 33"):
            MovingMNIST(images, positions=positions)
