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
from svg_pyro.data.decode import FITS
from svg_pyro.data.kth import ACTIONS
from svg_pyro.errors import ConfigError

# The frames that the papers predict.
HORIZONS = {"bair": 28, "smmnist": 25, "kth": 30, "videos": 20}


def add_data_flags(parser):
    """Flags that choose a data set, as the training examples have them."""
    flag = parser.add_argument
    flag("--data", choices=HORIZONS, default="bair", help="(default: bair)")
    flag("--data-root", metavar="DIR",
         help="folder of the data set; without it bair is the simulated stand-in, "
         "smmnist looks in data/mnist, and kth in data/kth")  # fmt: skip
    flag("--data-seed", type=int, default=0,
         help="of smmnist's clips: the training's seed (default: 0)")  # fmt: skip
    flag("--cache", default="runs/frames",
         help="folder of decoded frames (default: runs/frames)")  # fmt: skip
    bair = parser.add_argument_group("bair").add_argument
    bair("--camera", choices=("aux1", "main"), default="aux1")
    bair("--simulated-root", default="data/simulated_push",
         help="where simulated clips are kept (default: data/simulated_push)")  # fmt: skip
    digits = parser.add_argument_group("smmnist").add_argument
    digits("--bundled-digits", action="store_true",
           help="take scikit-learn's digits, and do not look for MNIST")  # fmt: skip
    digits("--num-digits", type=int, default=2, help="in a clip (default: 2)")
    digits("--deterministic", action="store_true", help="the edges reflect the digits")
    kth = parser.add_argument_group("kth").add_argument
    kth("--actions", nargs="+", choices=ACTIONS, default=ACTIONS, metavar="ACTION",
        help=f"of {', '.join(ACTIONS)} (default: all)")  # fmt: skip
    videos = parser.add_argument_group("videos").add_argument
    videos(
        "--test-data", metavar="DIR", help="videos to test on; --data-root is not split"
    )
    videos("--stride", type=int, default=1,
           help="frames of a video from one frame of a clip to the next (default: 1)")  # fmt: skip
    videos("--fit", choices=FITS, default="crop",
           help="how a frame becomes a square (default: crop)")  # fmt: skip


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
