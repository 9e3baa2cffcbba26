"""Moving MNIST, stochastic and deterministic (Denton & Fergus 2018, section 4.1)."""

import copy
import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from svg_pyro.data.base import ClipDataset
from svg_pyro.data.digits import SPLITS
from svg_pyro.errors import DataError
from svg_pyro.util.checks import check_whole

DIGIT_SIZE = 32
TOP_SPEED = 4
TEST_CLIPS = 5_000
TRAIN_CLIPS = 60_000


class MovingMNIST(ClipDataset):
    """Digits that move about a canvas and bounce off its edges, made on the fly.

    A digit of 32x32 pixels starts somewhere on the canvas, with a velocity of -4 to
    4 pixels a frame along each axis. Where it would leave the canvas it is put on the
    edge; there its velocity is redrawn, away from the edge along its normal and free
    along the other axis (stochastic), or reflected (deterministic). Digits are added
    and clipped.

    Parameters
    ----------
    digits : torch.Tensor
        uint8, shape ``(N, h, h)``, for example of `svg_pyro.data.digits.find_digits`.
    split : str
        "train": 60,000 clips, which are others in every epoch; "test": 5,000, the
        same for every epoch and a function of `seed` alone.
    n_frames : int
        Frames in a clip.
    num_digits : int
        Digits in a clip.
    deterministic : bool
        Reflect velocities instead of redrawing them.
    image_size : int
        Height and width of the canvas, above 32.
    seed : int
        Draws the digits and their motion, 0 or more.
    synchronised : bool
        All clips of an epoch move and bounce as clip 0 does; only their digits
        differ (the paper's Figure 6).
    positions : int, optional
        Along each axis a digit starts at 0 to ``positions - 1`` pixels. By default
        all that fit: 0 to 32 of a canvas of 64; the first code drew 0 to 31, which
        is 32.

    Raises
    ------
    DataError
        The split is unknown, a number is out of its range, or `digits` are not uint8
        images ``(N, h, h)``.
    """

    channels = 1

    def __init__(
        self,
        digits: torch.Tensor,
        split: str = "train",
        n_frames: int = 15,
        *,
        num_digits: int = 2,
        deterministic: bool = False,
        image_size: int = 64,
        seed: int = 0,
        synchronised: bool = False,
        positions: int | None = None,
    ) -> None:
        if split not in SPLITS:
            raise DataError(f"MovingMNIST: unknown split {split!r}; there are {SPLITS}")
        least = {
            "n_frames": (n_frames, 1),
            "num_digits": (num_digits, 1),
            "image_size": (image_size, DIGIT_SIZE + 1),
            "seed": (seed, 0),
        }
        for name, (value, low) in least.items():
            check_whole(name, value, least=low, error=DataError, where="MovingMNIST: ")
        if digits.dtype != torch.uint8 or digits.dim() != 3 or len(digits) == 0:
            raise DataError(
                f"MovingMNIST: digits are {digits.dtype} {tuple(digits.shape)}; give "
                "uint8 (N, h, h) with N at least 1"
            )
        self.digits, self.split, self.n_frames = digits, split, n_frames
        self.num_digits, self.deterministic = num_digits, deterministic
        self.image_size, self.seed = image_size, seed
        self.synchronised = synchronised
        self.positions = image_size - DIGIT_SIZE + 1 if positions is None else positions
        if not 1 <= self.positions <= image_size - DIGIT_SIZE + 1:
            raise DataError(
                f"MovingMNIST: positions is {positions}; give 1 to "
                f"{image_size - DIGIT_SIZE + 1}"
            )
        self._enlarge = _bilinear(digits.shape[1], DIGIT_SIZE)

    def __len__(self) -> int:
        return TRAIN_CLIPS if self.split == "train" else TEST_CLIPS

    def fingerprint(self) -> str:
        """A digest of the digits and of the clips' number and length."""
        digest = hashlib.sha256(self.digits.numpy().tobytes())
        digest.update(repr((len(self), self.n_frames)).encode())
        return digest.hexdigest()[:16]

    def clip(self, index: int, epoch: int = 0) -> torch.Tensor:
        """One clip: uint8, shape ``(T, 1, H, W)``, values 0 to 255."""
        return self.clip_with_bounces(index, epoch)["frames"]

    def clip_with_bounces(self, index: int, epoch: int = 0) -> dict[str, torch.Tensor]:
        """One clip, with where its digits were and when they bounced.

        Parameters
        ----------
        index : int
            The clip, ``0 <= index < len(self)``.
        epoch : int
            The pass over the data; of the test split all are the same.

        Returns
        -------
        dict
            "frames", uint8 ``(T, 1, H, W)``; "positions", int64 ``(T, D, 2)``, the
            top left corner (y, x) of each digit in pixels; "bounces", bool
            ``(T, D)``, whether the velocity by which the digit leaves frame t was
            drawn again (or reflected) there: what cannot be foreseen is seen in
            frame t + 1; "digits", int64 ``(D,)``, which of the images they are.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        rng, which = self._motion(index, epoch)
        paths, bounces = zip(*(self._path(rng) for _ in which), strict=True)
        frames = self._drawn_together(which, paths)
        bounced = np.zeros((self.n_frames, self.num_digits), bool)
        for d, times in enumerate(bounces):
            bounced[times, d] = True
        return {
            "frames": torch.from_numpy(frames[:, None]),
            "positions": torch.tensor(paths).transpose(0, 1),
            "bounces": torch.from_numpy(bounced),
            "digits": torch.tensor(which),
        }

    def other_futures(
        self, index: int, n_past: int, count: int, *, seed: int = 0
    ) -> torch.Tensor:
        """How else a clip might go on: draws from the process itself, given its past.

        The past tells the digits, their places and their velocities, but for a velocity
        that is drawn in the last frame of the past and first seen in the next one. No
        predictor knows more, so that its scores bound those of all.

        Parameters
        ----------
        index : int
            The clip, of the first epoch.
        n_past : int
            Frames of the past, ``1 <= n_past < n_frames``.
        count : int
            Futures to draw, 1 or more.
        seed : int
            Of the draws, 0 or more.

        Returns
        -------
        torch.Tensor
            uint8, ``(count, T - n_past, 1, H, W)``.

        Raises
        ------
        DataError
            A number is out of its range.
        """
        low = {"n_past": (n_past, 1), "count": (count, 1), "seed": (seed, 0)}
        for name, (value, least) in low.items():
            check_whole(
                name, value, least=least, error=DataError, where="MovingMNIST: "
            )
        if n_past >= self.n_frames:
            raise DataError(
                f"MovingMNIST: n_past is {n_past} in clips of {self.n_frames} frames; "
                "leave one to foretell"
            )
        motion, which = self._motion(index, 0)
        starts = []
        for _ in which:
            starts.append(copy.deepcopy(motion))
            self._path(motion)  # to where it draws the next digit
        futures = []
        for number in range(count):
            fork = n_past - 1, np.random.default_rng([seed, index, number])
            paths = [self._path(copy.deepcopy(start), fork)[0] for start in starts]
            futures.append(self._drawn_together(which, paths)[n_past:])
        return torch.from_numpy(np.stack(futures)[:, :, None])

    def _motion(self, index: int, epoch: int) -> tuple[np.random.Generator, list[int]]:
        """What draws a clip's motion, and the numbers of its digits."""
        rng = self._rng(index, epoch)
        which = self._choice(rng)
        if self.synchronised:
            rng = self._rng(0, epoch)
            self._choice(rng)  # clip 0 drew its digits before its motion
        return rng, which

    def _drawn_together(
        self, which: list[int], paths: Sequence[list[tuple[int, int]]]
    ) -> np.ndarray:
        """All digits along their paths: uint8 ``(T, H, W)``."""
        frames = self._drawn(which[0], paths[0])
        for number, path in zip(which[1:], paths[1:], strict=True):
            # Added without overflow: no more than what is left up to 255.
            frames += np.minimum(self._drawn(number, path), 255 - frames)
        return frames

    def _rng(self, index: int, epoch: int) -> np.random.Generator:
        number = SPLITS.index(self.split)
        epoch = epoch if self.split == "train" else 0
        return np.random.default_rng([self.seed, number, epoch, index])

    def _choice(self, rng: np.random.Generator) -> list[int]:
        """The numbers of the clip's digits."""
        chosen: list[int] = rng.integers(
            len(self.digits), size=self.num_digits
        ).tolist()
        return chosen

    def _drawn(self, number: int, path: list[tuple[int, int]]) -> np.ndarray:
        """One digit along its path: uint8 ``(T, H, W)``."""
        frames = np.zeros((self.n_frames, self.image_size, self.image_size), np.uint8)
        image = self._enlarge @ self.digits[number].numpy().astype(np.float32)
        image = (image @ self._enlarge.T + 0.5).astype(np.uint8)
        for t, (y, x) in enumerate(path):
            frames[t, y : y + DIGIT_SIZE, x : x + DIGIT_SIZE] = image
        return frames

    def _path(
        self,
        rng: np.random.Generator,
        fork: tuple[int, np.random.Generator] | None = None,
    ) -> tuple[list[tuple[int, int]], list[int]]:
        """Places (y, x) in each frame, and the frames in which one digit bounced.

        With a fork, a frame and another generator, velocities are drawn by that one
        from the frame on.
        """
        last = self.image_size - DIGIT_SIZE
        place = rng.integers(self.positions, size=2).tolist()
        speed = rng.integers(-TOP_SPEED, TOP_SPEED + 1, size=2).tolist()
        path: list[tuple[int, int]] = []
        bounces: list[int] = []
        for t in range(self.n_frames):
            if fork is not None and t == fork[0]:
                rng = fork[1]
            for axis in (0, 1):
                if 0 <= place[axis] <= last:
                    continue
                bounces.append(t)
                away = 1 if place[axis] < 0 else -1
                place[axis] = 0 if away == 1 else last
                if self.deterministic:
                    speed[axis] = -speed[axis]
                else:
                    speed[axis] = away * int(rng.integers(1, TOP_SPEED + 1))
                    speed[1 - axis] = int(rng.integers(-TOP_SPEED, TOP_SPEED + 1))
            path.append((place[0], place[1]))
            place = [place[0] + speed[0], place[1] + speed[1]]
        return path, bounces


def _bilinear(small: int, large: int) -> np.ndarray:
    """The matrix that enlarges `small` samples to `large`, corners not aligned.

    For 28 to 32 its entries are sixteenths, so that scaling pixels by it is exact in
    float32: the same pixels on every machine.
    """
    at = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
    distance = np.abs(at[:, None] - np.arange(small))
    result: np.ndarray = np.clip(1 - distance, 0, None).astype(np.float32)
    return result
