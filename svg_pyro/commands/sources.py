"""Where a data set's files come from: a folder, a download, a simulation.

`TRAINING_DATA` has, for each data set, what a training command does before it trains.
What a checkpoint is tested on is in `svg_pyro.commands.held_out_data`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svg_pyro.commands.datasets import (
    BairOptions,
    ClipRequest,
    DataOptions,
    DigitOptions,
    KTHOptions,
    RobotOptions,
    VideoOptions,
)
from svg_pyro.commands.fields import option
from svg_pyro.commands.settings import Run
from svg_pyro.data import (
    ClipDataset,
    download_bair,
    download_kth,
    find_digits,
    make_simulated_push,
)
from svg_pyro.data.augmented import Augmented
from svg_pyro.data.bair.dataset import verify
from svg_pyro.data.download.published import BAIR_URL, KTH_URL

MakeClips = Callable[[str, int], ClipDataset]


@dataclass(frozen=True)
class BairFiles:
    """Where the clips of robot pushing are read from.

    Attributes
    ----------
    data_root : str or None
        Folder of softmotion30_44k; without it simulated clips stand in.
    download : bool
        Fetch the data set (30 GB) to `data_root` first.
    url : str
        Address of the data set's archive.
    verify : bool
        Check every record's CRC first.
    simulated_clips : int
        Simulated clips to train on.
    """

    data_root: str | None = option(None, metavar="DIR")
    download: bool = False
    url: str = option(BAIR_URL, metavar="URL")
    verify: bool = False
    simulated_clips: int = option(640, least=1)


@dataclass(frozen=True)
class DigitFiles:
    """Where the digits are read from.

    Attributes
    ----------
    data_root : str or None
        Folder of MNIST's IDX files; without it data/mnist, or fetched there.
    """

    data_root: str | None = option(None, metavar="DIR")


@dataclass(frozen=True)
class KTHFiles:
    """Where the videos of KTH are read from.

    Attributes
    ----------
    data_root : str
        Folder of the .avi files, and of 00sequences.txt.
    download : bool
        Fetch what of the data set is not in `data_root` (1.1 GB) first.
    url : str
        Address below which the archives lie.
    cache : str or None
        Folder of decoded frames; without it "frames", beside the run's folder.
    """

    data_root: str = option("data/kth", metavar="DIR")
    download: bool = False
    url: str = option(KTH_URL, metavar="URL")
    cache: str | None = option(None, metavar="DIR")


@dataclass(frozen=True)
class VideoFiles:
    """Where a user's own videos are read from.

    Attributes
    ----------
    dir : str
        A folder of videos, or a file of several.
    cache : str or None
        Folder of decoded frames; without it "frames", beside the run's folder.
    augment : bool
        Mirror the clips that are trained on, and change their colours, at random: few
        scenes are not learnt by heart.
    """

    dir: str = option(metavar="DIR", kind="positional")
    cache: str | None = option(None, metavar="DIR")
    augment: bool = True


@dataclass(frozen=True)
class RobotFiles:
    """Where the recordings of a robot are read from.

    Attributes
    ----------
    root : str
        A LeRobot data set (the folder that holds meta/info.json), or a folder of HDF5
        files, or one such file.
    cache : str or None
        Folder of decoded frames; without it "frames", beside the run's folder.
    """

    root: str = option(metavar="ROOT", kind="positional")
    cache: str | None = option(None, metavar="DIR")


@dataclass(frozen=True)
class TrainingData:
    """What a training command knows of its data set.

    Attributes
    ----------
    description : str
        Head of the command's help.
    options, files : type
        Dataclasses of its flags: of the clips, and of where they come from.
    prepare : callable
        ``prepare(options, files, run)`` sees that the files are there and gives
        ``make_clips(split, n_frames)``.
    """

    description: str
    options: type[DataOptions]
    files: type[Any]
    prepare: Callable[[Any, Any, Run], MakeClips]


def _bair(options: BairOptions, files: BairFiles, run: Run) -> MakeClips:
    root: str | Path
    if files.download:
        root = download_bair(files.data_root or "data/bair", files.url)
    elif files.data_root is not None:
        root = files.data_root
    else:
        # A folder for each number of clips: another run may be reading its own.
        clips = files.simulated_clips
        usual = clips == BairFiles.simulated_clips
        root = options.simulated
        root = root if usual else root.with_name(f"{root.name}-{clips}")
        print(
            "no --data-root: simulated robot-pushing clips stand in for BAIR, "
            f"kept in {root}"
        )
        root = make_simulated_push(
            root,
            n_train=clips,
            n_test=run.options.test_clips,
            camera=options.camera,
        )
    if files.verify:
        print(f"the CRCs of {verify(root)} records are right")

    def make_clips(split: str, n_frames: int) -> ClipDataset:
        return options.clips(_request(run, split, n_frames, run.out / "index"), root)

    return make_clips


def _smmnist(options: DigitOptions, files: DigitFiles, run: Run) -> MakeClips:
    load_digits, words = find_digits(files.data_root, bundled=options.bundled_digits)
    print(words)

    def make_clips(split: str, n_frames: int) -> ClipDataset:
        return options.clips(_request(run, split, n_frames, None), load_digits)

    return make_clips


def _kth(options: KTHOptions, files: KTHFiles, run: Run) -> MakeClips:
    if files.download:
        download_kth(files.data_root, files.url, options.actions)
    cache = files.cache or run.out.parent / "frames"

    def make_clips(split: str, n_frames: int) -> ClipDataset:
        return options.clips(_request(run, split, n_frames, cache), files.data_root)

    return make_clips


def _videos(options: VideoOptions, files: VideoFiles, run: Run) -> MakeClips:
    cache = files.cache or run.out.parent / "frames"

    def make_clips(split: str, n_frames: int) -> ClipDataset:
        clips = options.clips(_request(run, split, n_frames, cache), files.dir)
        if split == "train" and files.augment:
            return Augmented(clips, run.preset.training.seed)
        return clips

    return make_clips


def _lerobot(options: RobotOptions, files: RobotFiles, run: Run) -> MakeClips:
    cache = files.cache or run.out.parent / "frames"

    def make_clips(split: str, n_frames: int) -> ClipDataset:
        return options.clips(_request(run, split, n_frames, cache), files.root)

    return make_clips


def _request(
    run: Run, split: str, n_frames: int, cache: str | Path | None
) -> ClipRequest:
    preset = run.preset
    return ClipRequest(split, n_frames, preset.model, preset.training.seed, cache)


TRAINING_DATA = {
    "bair": TrainingData(
        "Train SVG on robot-pushing video, sample its futures, and show them.\n\n"
        "With --data-root the BAIR robot-pushing TFRecords are read; without it,\n"
        "simulated pushing clips are made once and stand in for them.",
        BairOptions,
        BairFiles,
        _bair,
    ),
    "smmnist": TrainingData(
        "Train SVG on Moving MNIST, sample its futures, and show them.\n\n"
        "The digits are MNIST, from --data-root or fetched (11 MB) where the network\n"
        "allows; else scikit-learn's bundled handwritten digits stand in for them.",
        DigitOptions,
        DigitFiles,
        _smmnist,
    ),
    "kth": TrainingData(
        "Train SVG on videos of people who walk, jog, run, box, wave and clap (KTH)."
        "\n\n"
        "Reads the published files where they lie; --download fetches them (1.1 GB).",
        KTHOptions,
        KTHFiles,
        _kth,
    ),
    "videos": TrainingData(
        "Train SVG on your own videos, sample their futures, and show them.\n\n"
        "DIR is searched for mp4, avi, mov, webm, mkv and gif files, folders of\n"
        "images, and .npy or .npz arrays. A tenth of the videos is kept for testing.",
        VideoOptions,
        VideoFiles,
        _videos,
    ),
    "lerobot": TrainingData(
        "Train SVG on recordings of a robot, sample their futures, and show them.\n\n"
        "ROOT is a LeRobot data set (versions 2.0, 2.1 and 3.0), or HDF5 files as\n"
        "robomimic and ALOHA write them. A tenth of the episodes is kept for testing.",
        RobotOptions,
        RobotFiles,
        _lerobot,
    ),
}
