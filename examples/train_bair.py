"""Train SVG on robot-pushing video, sample its futures, and show them.

With --data-root the BAIR robot-pushing TFRecords are read; without it, simulated
pushing clips are made once and stand in for them.
"""

from pathlib import Path

from svg_pyro import SVGConfig, TrainingConfig
from svg_pyro.commands.datasets import bair_flags
from svg_pyro.commands.settings import Preset, one_line_errors, plan, training_parser
from svg_pyro.commands.train import run_training
from svg_pyro.data import BairPush, download_bair, make_simulated_push
from svg_pyro.data.bair.dataset import verify

PRESETS = {
    "paper": Preset(SVGConfig.preset("bair"), TrainingConfig(workers=4), horizon=28),
    # Sized so that two CPU cores are done in minutes.
    "small": Preset(
        SVGConfig.preset(
            "bair", backbone="dcgan", width=16, g_dim=96, z_dim=16, beta=2e-6,
            pixel_skip=True,
        ),
        TrainingConfig(
            steps=1300, batch_size=8, lr=2e-3, lr_end=1e-4, validate_every=650,
            save_every=100,
        ),
        horizon=10,
    ),
}  # fmt: skip


def parse(argv=None):
    parser = training_parser(__doc__, "runs/bair", PRESETS)
    parser.add_argument("--data-root", help="folder of softmotion30_44k")
    parser.add_argument("--download", action="store_true",
                        help="fetch the data set (30 GB) to --data-root first")  # fmt: skip
    parser.add_argument("--verify", action="store_true",
                        help="check every record's CRC first")  # fmt: skip
    bair_flags(parser)
    parser.add_argument("--simulated-clips", type=int, default=640,
                        help="simulated training clips (default: 640)")  # fmt: skip
    return parser.parse_args(argv)


def data_root(args):
    """The folder to read: the published data, or the simulated stand-in."""
    if args.download:
        return download_bair(args.data_root or "data/bair")
    if args.data_root is not None:
        return args.data_root
    root = Path(args.simulated_root) / args.camera
    print(
        "no --data-root: simulated robot-pushing clips stand in for BAIR, "
        f"kept in {root}"
    )
    return make_simulated_push(
        root, n_train=args.simulated_clips, n_test=args.test_clips, camera=args.camera
    )


def main(argv=None):
    args = parse(argv)
    with one_line_errors():
        device, out, preset = plan(args, PRESETS, ("camera",))
        root = data_root(args)
        if args.verify:
            print(f"the CRCs of {verify(root)} records are right")

        def make_data(split, n_frames):
            return BairPush(
                root, split, n_frames, args.camera, preset.training.seed, out / "index"
            )

        run_training(args, device, out, preset, make_data)


# The simulator's worker processes import this file.
if __name__ == "__main__":
    main()
