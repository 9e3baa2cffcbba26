"""The data sets by name, with their command-line flags: what to test a checkpoint on."""

from pathlib import Path

from svg_pyro.data import (
    KTH,
    BairPush,
    MovingMNIST,
    VideoFolder,
    find_digits,
    make_simulated_push,
)
from svg_pyro.data.videos.decode import FITS
from svg_pyro.data.videos.kth import ACTIONS
from svg_pyro.errors import ConfigError

# The frames that the papers predict.
HORIZONS = {"bair": 28, "smmnist": 25, "kth": 30, "videos": 20}


def bair_flags(parser):
    """Flags of BAIR robot pushing, for training and testing."""
    flag = parser.add_argument
    flag("--camera", choices=("aux1", "main"), default="aux1")
    flag("--simulated-root", default="data/simulated_push", metavar="DIR",
         help="where simulated clips are kept (default: data/simulated_push)")  # fmt: skip


def smmnist_flags(parser):
    """Flags of Moving MNIST, for training and testing."""
    flag = parser.add_argument
    flag("--bundled-digits", action="store_true",
         help="take scikit-learn's digits, and do not look for MNIST")  # fmt: skip
    flag("--num-digits", type=int, default=2, help="digits in a clip (default: 2)")
    flag("--deterministic", action="store_true",
         help="the edges reflect the digits (default: they send them off anew)")  # fmt: skip


def kth_flags(parser):
    """Flags of KTH, for training and testing."""
    parser.add_argument("--actions", nargs="+", choices=ACTIONS, default=list(ACTIONS),
                        metavar="ACTION", help=f"of {', '.join(ACTIONS)} "
                        "(default: all)")  # fmt: skip


def videos_flags(parser):
    """Flags of a user's own videos, for training and testing."""
    flag = parser.add_argument
    flag("--test-data", metavar="DIR", help="other videos to test on; without it a "
         "tenth of the videos is kept for testing")  # fmt: skip
    flag("--stride", type=int, default=1,
         help="frames of a video from one frame of a clip to the next (default: 1)")  # fmt: skip
    flag("--fit", choices=FITS, default="crop",
         help="how a frame becomes a square (default: crop, the centre)")  # fmt: skip


_FLAGS = {
    "bair": bair_flags, "smmnist": smmnist_flags, "kth": kth_flags,
    "videos": videos_flags,
}  # fmt: skip


def add_data_flags(parser):
    """Flags that choose a data set, and those of each."""
    flag = parser.add_argument
    flag("--data", choices=HORIZONS, default="bair", help="(default: bair)")
    flag("--data-root", metavar="DIR",
         help="folder of the data set; without it bair is the simulated stand-in, "
         "smmnist looks in data/mnist, and kth in data/kth")  # fmt: skip
    flag("--data-seed", type=int, default=0,
         help="of smmnist's clips: the training's seed (default: 0)")  # fmt: skip
    flag("--cache", default="runs/frames",
         help="folder of decoded frames (default: runs/frames)")  # fmt: skip
    for name, add in _FLAGS.items():
        add(parser.add_argument_group(name))


def make_test_set(args, config, n_frames):
    """The test set that the flags ask for, and words that name it.

    Parameters
    ----------
    args : argparse.Namespace
        Of a parser with `add_data_flags`.
    config : SVGConfig
        Gives the size (and for own videos the channels) of the frames.
    n_frames : int
        Frames in a clip.

    Returns
    -------
    data : ClipDataset
    words : str

    Raises
    ------
    ConfigError, DataError
    """
    return _SETS[args.data](args, config, n_frames)


def _bair(args, config, n_frames):
    root, words = args.data_root, f"BAIR robot pushing in {args.data_root}"
    if root is None:
        root = _simulated(args)
        words = f"simulated robot pushing in {root} (no --data-root)"
    return BairPush(root, "test", n_frames, args.camera), f"{words}, test"


def _simulated(args):
    root = Path(args.simulated_root) / args.camera
    # Those of a training run are taken as they are: asking for another number of clips
    # would make them anew.
    if any(root.glob("*/test/*.tfrecords")):
        return root
    return make_simulated_push(root, camera=args.camera)


def _smmnist(args, config, n_frames):
    load_digits, words = find_digits(args.data_root, bundled=args.bundled_digits)
    motion = "deterministic" if args.deterministic else "stochastic"
    data = MovingMNIST(
        load_digits("test"), "test", n_frames, args.num_digits, args.deterministic,
        config.image_size, args.data_seed,
    )  # fmt: skip
    return data, (
        f"{motion} Moving MNIST of {args.num_digits} digits, test, seed "
        f"{args.data_seed} ({words})"
    )


def _kth(args, config, n_frames):
    root = args.data_root or "data/kth"
    data = KTH(
        root,
        "test",
        n_frames,
        config.image_size,
        cache=args.cache,
        actions=args.actions,
    )
    return data, f"KTH in {root}, persons 21-25, {', '.join(args.actions)}"


def _videos(args, config, n_frames):
    root = args.data_root or args.test_data
    if root is None:
        raise ConfigError("--data videos needs --data-root DIR, a folder of videos")
    data = VideoFolder(
        root, "test", n_frames, config.image_size, config.channels, args.cache,
        stride=args.stride, fit=args.fit, test_path=args.test_data,
    )  # fmt: skip
    return data, f"videos in {args.test_data or root}, test, stride {args.stride}"


_SETS = {"bair": _bair, "smmnist": _smmnist, "kth": _kth, "videos": _videos}
