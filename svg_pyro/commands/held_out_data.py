"""What a checkpoint is tested on: the data that was given, else the training's."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from svg_pyro.commands.datasets import (
    DATA_OPTIONS,
    FRAMES,
    BairOptions,
    ClipRequest,
    DataOptions,
    DigitOptions,
    KTHOptions,
    RobotOptions,
    VideoOptions,
)
from svg_pyro.commands.fields import flag_of, option
from svg_pyro.commands.parser import Flags, Parser
from svg_pyro.commands.trained_on import agreed, as_trained, trained_on
from svg_pyro.config import SVGConfig
from svg_pyro.data import (
    ArrayClips,
    ClipDataset,
    find_digits,
    make_simulated_push,
)
from svg_pyro.data.videos.layouts import LAYOUTS
from svg_pyro.errors import ConfigError
from svg_pyro.evaluation import Candidate


@dataclass(frozen=True)
class EvaluationData:
    """What a checkpoint is tested on.

    Attributes
    ----------
    data : str or None
        The data set; without it the one that the checkpoints were trained on, or bair
        where they do not say.
    data_root : str or None
        Folder of the data set; without it bair is the simulated stand-in, smmnist looks
        in data/mnist, and kth in data/kth. Of smmnist and kth it may be a file of
        finished clips: mnist_test_seq.npy, or a test set that SRVP's code made.
    layout : str or None
        Axes of such a file and of the arrays of videos: n counts videos, t frames, c
        colour channels, h rows and w columns; without it their shapes decide.
    data_seed : int
        Seed of smmnist's clips: the training's.
    cache : str
        Folder of decoded frames.
    """

    data: str | None = option(None, choices=tuple(DATA_OPTIONS))
    data_root: str | None = option(None, metavar="DIR")
    layout: str | None = option(None, choices=LAYOUTS)
    data_seed: int = option(0, least=0)
    cache: str = option(FRAMES, metavar="DIR")


# Flags of several data sets, each of which refuses a value that it does not know.
_SHARED = ("camera",)


def add_test_data(parser: Parser) -> None:
    """Add the flags that choose a test set, and those of every data set."""
    parser.add_fields(EvaluationData, title="data")
    seen = {"layout"}
    for name, options in DATA_OPTIONS.items():
        names = [field.name for field in dataclasses.fields(options)]
        # The checkpoint knows whether it takes a robot's actions; and KTH's are others.
        unasked = [] if name == "kth" else ["actions"]
        shared = [field for field in names if field in seen and field not in unasked]
        parser.add_fields(
            options,
            title=f"data {name}",
            choices=dict.fromkeys(_SHARED),
            leave_out=[*shared, *unasked],
            note=f"Takes {', '.join(map(flag_of, shared))} too." if shared else None,
        )
        seen.update(set(names) - set(unasked))


@dataclass(frozen=True)
class TestData:
    """What is tested on, before it is opened.

    Attributes
    ----------
    kind : str
        The data set.
    files : EvaluationData
        Where it lies.
    options : DataOptions
        Its settings: those given, else those of the training.
    """

    __test__ = False  # no test, whatever a test runner makes of the name

    kind: str
    files: EvaluationData
    options: DataOptions


def find_test_data(flags: Flags, candidates: Sequence[Candidate]) -> TestData:
    """The data that the flags ask for, and where they do not, the training's.

    Prints what is as in training, and what was given in its place.

    Parameters
    ----------
    flags : Flags
        Of a parser with `add_test_data`.
    candidates : sequence of Candidate
        Models of checkpoints.

    Raises
    ------
    EvaluationError
        If nothing is given and they were trained in different ways.
    """
    given = flags.given(EvaluationData)
    known = [trained_on(c.path) for c in candidates if c.path and c.config]
    known = [stored for stored in known if stored]
    kind = given.get("data") or agreed(known, ("kind",)).get("kind", "bair")
    cls = DATA_OPTIONS[kind]
    others = {str(s["kind"]) for s in known if s["kind"] != kind}
    if others:
        print(f"--data {kind} takes the place of the training's {', '.join(others)}")
    alike = [stored for stored in known if stored["kind"] == kind]
    not_given = [name for name in cls.fixed if name not in flags.given(cls)]
    stored = {**(alike[0] if alike else {}), **agreed(alike, not_given)}
    options = as_trained(flags, cls, stored)
    return TestData(kind, flags.make(EvaluationData), options)


def find_test_set(
    data: TestData, model: SVGConfig, n_frames: int
) -> tuple[ClipDataset, str]:
    """The test set that was asked for, and words that name it.

    Parameters
    ----------
    data : TestData
        Of `find_test_data`.
    model : SVGConfig
        Gives the size (and for own videos the channels) of the frames.
    n_frames : int
        Frames in a clip.

    Raises
    ------
    ConfigError
        If own videos are asked for, and no folder of them is given.
    DataError
        If the data set is not there, or has no clips of this length.
    """
    request = ClipRequest("test", n_frames, model)
    return TEST_SETS[data.kind](data.files, data.options, request)


def _test_bair(
    data: EvaluationData, options: BairOptions, request: ClipRequest
) -> tuple[ClipDataset, str]:
    if data.data_root is not None:
        words = f"BAIR robot pushing in {data.data_root}, test"
        return options.clips(request, data.data_root), words
    root = options.simulated
    # Those of a training run are taken as they are: asking for another number of clips
    # would make them again.
    if not any(root.glob("*/test/*.tfrecords")):
        root = make_simulated_push(root, camera=options.camera)
    words = f"simulated robot pushing in {root} (no --data-root), test"
    return options.clips(request, root), words


def _test_smmnist(
    data: EvaluationData, options: DigitOptions, request: ClipRequest
) -> tuple[ClipDataset, str]:
    if data.data_root is not None and Path(data.data_root).is_file():
        return _clips_in_file(data.data_root, data.layout, "Moving MNIST", request)
    load_digits, words = find_digits(data.data_root, bundled=options.bundled_digits)
    clips = options.clips(replace(request, seed=data.data_seed), load_digits)
    return clips, (
        f"{options.motion} Moving MNIST of {options.num_digits} digits, test, seed "
        f"{data.data_seed} ({words})"
    )


def _test_kth(
    data: EvaluationData, options: KTHOptions, request: ClipRequest
) -> tuple[ClipDataset, str]:
    root = data.data_root or "data/kth"
    if Path(root).is_file():
        return _clips_in_file(root, data.layout, "KTH", request)
    clips = options.clips(replace(request, cache=data.cache), root)
    return clips, f"KTH in {root}, persons 21-25, {', '.join(options.actions)}"


def _test_videos(
    data: EvaluationData, options: VideoOptions, request: ClipRequest
) -> tuple[ClipDataset, str]:
    root = data.data_root or options.test_data
    if root is None:
        raise ConfigError("--data videos needs --data-root DIR, a folder of videos")
    clips = options.clips(replace(request, cache=data.cache), root)
    place = options.test_data or root
    return clips, f"videos in {place}, test, stride {options.stride}"


def _test_lerobot(
    data: EvaluationData, options: RobotOptions, request: ClipRequest
) -> tuple[ClipDataset, str]:
    if data.data_root is None:
        raise ConfigError("--data lerobot needs --data-root ROOT, a robot's recordings")
    clips = options.clips(replace(request, cache=data.cache), data.data_root)
    return clips, f"recordings of a robot in {data.data_root}, test"


def _clips_in_file(
    path: str, layout: str | None, name: str, request: ClipRequest
) -> tuple[ClipDataset, str]:
    """The clips of a published test set that is one file."""
    model = request.model
    clips = ArrayClips(
        path,
        request.n_frames,
        image_size=model.image_size,
        channels=model.channels,
        layout=layout,
    )
    return clips, f"{name} in {path}, the first frames of its {len(clips)} clips"


# Of each data set a function that opens its test split, and words that name it.
TEST_SETS: dict[str, Callable[..., tuple[ClipDataset, str]]] = {
    "bair": _test_bair,
    "smmnist": _test_smmnist,
    "kth": _test_kth,
    "videos": _test_videos,
    "lerobot": _test_lerobot,
}
