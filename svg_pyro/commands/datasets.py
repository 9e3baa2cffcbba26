"""The data sets by name: their flags, and the one place where each is built.

Training and testing share these classes. Where a data set's files come from (a folder,
a download, a simulation) is in `svg_pyro.commands.sources`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from svg_pyro.commands.fields import option
from svg_pyro.config import SVGConfig
from svg_pyro.data import KTH, BairPush, ClipDataset, MovingMNIST, VideoFolder
from svg_pyro.data.batches import Batch, clips_of
from svg_pyro.data.robots.kinds import robot_clips_class
from svg_pyro.data.videos.decode import FITS
from svg_pyro.data.videos.kth import DRAWS
from svg_pyro.data.videos.kth_files import ACTIONS
from svg_pyro.data.videos.layouts import LAYOUTS

FRAMES = "runs/frames"  # where decoded frames are kept


@dataclass(frozen=True)
class ClipRequest:
    """The clips that a command asks a data set for.

    Attributes
    ----------
    split : str
        "train" or "test".
    n_frames : int
        Frames in a clip.
    model : SVGConfig
        Gives the size of the frames, and for own videos their channels.
    seed : int
        Of what is random in the clips.
    cache : str or Path or None
        Folder of what is prepared once: decoded frames, and the index of BAIR's
        records, which without it is made again each time.
    """

    split: str
    n_frames: int
    model: SVGConfig
    seed: int = 0
    cache: str | Path | None = None


@dataclass(frozen=True)
class DataOptions:
    """Flags of a data set's clips; each data set has a class of its own."""

    # Name of the data set, as `DATA_OPTIONS` has it.
    kind: ClassVar[str] = ""
    # Fields that a resumed run must share with the run that it resumes.
    fixed: ClassVar[tuple[str, ...]] = ()
    # What is done to every frame and cannot be chosen.
    preprocessing: ClassVar[Mapping[str, Any]] = {}

    def what_is_trained_on(self) -> dict[str, Any]:
        """The data set and its options, as a checkpoint stores them."""
        values = {name: getattr(self, name) for name in self.fixed}
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        return {"kind": self.kind, **self.preprocessing, **values}


@dataclass(frozen=True)
class BairOptions(DataOptions):
    """BAIR robot pushing, for training and testing.

    Attributes
    ----------
    camera : str
        Which of the two cameras films the arm.
    simulated_root : str
        Folder in which simulated clips are kept, a folder for each camera.
    actions : bool
        Let the model see the robot's actions: it then predicts what a plan leads to.
    """

    kind: ClassVar[str] = "bair"
    fixed: ClassVar[tuple[str, ...]] = ("camera", "actions")

    camera: str = option("aux1", choices=("aux1", "main"))
    simulated_root: str = option("data/simulated_push", metavar="DIR")
    actions: bool = False

    @property
    def simulated(self) -> Path:
        """Folder of the simulated clips of this camera."""
        return Path(self.simulated_root) / self.camera

    def clips(self, request: ClipRequest, root: str | Path) -> ClipDataset:
        """The clips of TFRecords below the folder `root`."""
        return BairPush(
            root,
            request.split,
            request.n_frames,
            camera=self.camera,
            seed=request.seed,
            cache=request.cache,
            actions=self.actions or request.model.action_dim > 0,
        )


@dataclass(frozen=True)
class DigitOptions(DataOptions):
    """Moving MNIST, for training and testing.

    Attributes
    ----------
    bundled_digits : bool
        Take scikit-learn's digits, and do not look for MNIST.
    num_digits : int
        Digits in a clip.
    deterministic : bool
        The edges reflect the digits; without it an edge sends a digit off in a
        direction and with a speed that are drawn again.
    """

    kind: ClassVar[str] = "smmnist"
    fixed: ClassVar[tuple[str, ...]] = ("num_digits", "deterministic", "bundled_digits")

    bundled_digits: bool = False
    num_digits: int = option(2, least=1)
    deterministic: bool = False

    def clips(
        self,
        request: ClipRequest,
        load_digits: Callable[[str], Tensor],
        *,
        synchronised: bool = False,
    ) -> MovingMNIST:
        """Clips of the digits that ``load_digits(split)`` gives.

        Parameters
        ----------
        request : ClipRequest
            Split, length, size and seed.
        load_digits : callable
            Gives uint8 images ``(N, h, h)``.
        synchronised : bool
            Let the digits of all clips move alike.
        """
        return MovingMNIST(
            load_digits(request.split),
            request.split,
            request.n_frames,
            num_digits=self.num_digits,
            deterministic=self.deterministic,
            image_size=request.model.image_size,
            seed=request.seed,
            synchronised=synchronised,
        )

    @property
    def motion(self) -> str:
        """Words for how the digits move."""
        return "deterministic" if self.deterministic else "stochastic"


@dataclass(frozen=True)
class KTHOptions(DataOptions):
    """KTH actions, for training and testing.

    Attributes
    ----------
    actions : tuple of str
        What the persons do: of boxing, handclapping, handwaving, jogging, running and
        walking.
    draw : str
        How often an interval is seen in training: by its "length", or, as in the first
        code, each "class" alike.
    """

    kind: ClassVar[str] = "kth"
    fixed: ClassVar[tuple[str, ...]] = ("actions", "draw")
    preprocessing: ClassVar[Mapping[str, Any]] = {"fit": "stretch", "stride": 1}

    actions: tuple[str, ...] = option(ACTIONS, choices=ACTIONS, metavar="ACTION")
    draw: str = option("length", choices=DRAWS)

    def clips(self, request: ClipRequest, root: str | Path) -> ClipDataset:
        """The clips of the .avi files below the folder `root`."""
        return KTH(
            root,
            request.split,
            request.n_frames,
            image_size=request.model.image_size,
            cache=request.cache or FRAMES,
            seed=request.seed,
            actions=self.actions,
            draw=self.draw,
        )


@dataclass(frozen=True)
class VideoOptions(DataOptions):
    """A user's own videos, for training and testing.

    Attributes
    ----------
    test_data : str or None
        Other videos to test on; without them a folder that has "train" and "test" in it
        is divided so, and of another one a tenth of the videos is kept for testing.
    stride : int
        Frames of a video from one frame of a clip to the next.
    fit : str
        How a frame becomes a square: "crop" (its centre), "letterbox" (with black
        edges) or "stretch".
    layout : str or None
        Axes of .npy and .npz arrays: n counts videos, t frames, c colour channels, h
        rows and w columns; without it their shapes decide.
    min_frames : int or None
        Also train on videos that are shorter than a clip, if they have so many frames;
        without it they are left out.
    """

    kind: ClassVar[str] = "videos"
    fixed: ClassVar[tuple[str, ...]] = ("stride", "fit", "layout", "min_frames")

    test_data: str | None = option(None, metavar="DIR")
    stride: int = option(1, least=1)
    fit: str = option("crop", choices=FITS)
    layout: str | None = option(None, choices=LAYOUTS)
    min_frames: int | None = option(None, least=2)

    def clips(self, request: ClipRequest, root: str | Path) -> ClipDataset:
        """The clips of the videos below the folder `root`."""
        return VideoFolder(
            root,
            request.split,
            request.n_frames,
            image_size=request.model.image_size,
            channels=request.model.channels,
            cache=request.cache or FRAMES,
            stride=self.stride,
            min_frames=self.min_frames if request.split == "train" else None,
            fit=self.fit,
            layout=self.layout,
            seed=request.seed,
            test_path=self.test_data,
        )


@dataclass(frozen=True)
class RobotOptions(DataOptions):
    """Recordings of robots, for training and testing.

    Attributes
    ----------
    camera : str or None
        Whose pictures are read: its name or the last part of it, or several with
        commas between them, of which each is a video of its own; without it the first.
    stride : int
        Frames of a video from one frame of a clip to the next.
    fit : str
        How a frame becomes a square: "crop" (its centre), "letterbox" (with black
        edges) or "stretch".
    actions : bool
        Let the model see the robot's actions: it then predicts what a plan leads to.
    """

    kind: ClassVar[str] = "lerobot"
    fixed: ClassVar[tuple[str, ...]] = ("camera", "stride", "fit", "actions")

    camera: str | None = None
    stride: int = option(1, least=1)
    fit: str = option("crop", choices=FITS)
    actions: bool = False

    def clips(self, request: ClipRequest, root: str | Path) -> ClipDataset:
        """The clips of a LeRobot data set, or of HDF5 files, in `root`."""
        return robot_clips_class(root)(
            root,
            request.split,
            request.n_frames,
            camera=self.camera.split(",") if self.camera else None,
            image_size=request.model.image_size,
            channels=request.model.channels,
            cache=request.cache or FRAMES,
            stride=self.stride,
            fit=self.fit,
            seed=request.seed,
            actions=self.actions or request.model.action_dim > 0,
        )


DATA_OPTIONS: dict[str, type[DataOptions]] = {
    "bair": BairOptions,
    "smmnist": DigitOptions,
    "kth": KTHOptions,
    "videos": VideoOptions,
    "lerobot": RobotOptions,
}


def first_clips(data: ClipDataset, count: int) -> Batch:
    """The first clips of a data set: at most `count`."""
    return clips_of(data, range(min(count, len(data))))
