"""Train SVG on your own videos, sample their futures, and show them.

DIR is searched for mp4, avi, mov, webm, mkv and gif files, folders of images, and
.npy or .npz arrays. A tenth of the videos is kept for testing.
"""

from pathlib import Path

from svg_pyro import SVGConfig, TrainingConfig
from svg_pyro.commands.datasets import videos_flags
from svg_pyro.commands.settings import Preset, one_line_errors, plan, training_parser
from svg_pyro.commands.train import run_training
from svg_pyro.data import VideoFolder

PRESETS = {
    "paper": Preset(
        SVGConfig.preset("kth", channels=3),
        TrainingConfig(n_frames=20, workers=4),
        horizon=20,
    ),
    # Sized so that two CPU cores are done in minutes.
    "small": Preset(
        SVGConfig.preset(
            "kth", channels=3, backbone="dcgan", width=16, g_dim=96, z_dim=16,
            n_past=5, beta=2e-6, pixel_skip=True,
        ),
        TrainingConfig(
            steps=1300, batch_size=8, n_frames=15, lr=2e-3, lr_end=1e-4,
            validate_every=650, save_every=100,
        ),
        horizon=10,
    ),
}  # fmt: skip


def parse(argv=None):
    parser = training_parser(__doc__, "runs/videos", PRESETS)
    flag = parser.add_argument
    flag("dir", metavar="DIR", help="a folder of videos, or a file of several")
    videos_flags(parser)
    flag("--cache", help="folder of decoded frames (default: frames beside the run)")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    with one_line_errors():
        device, out, preset = plan(args, PRESETS, ("stride", "fit"))
        model = preset.model
        cache = Path(args.cache) if args.cache else out.parent / "frames"

        def make_data(split, n_frames):
            return VideoFolder(
                args.dir, split, n_frames, model.image_size, model.channels, cache,
                stride=args.stride, fit=args.fit, seed=preset.training.seed,
                test_path=args.test_data,
            )  # fmt: skip

        run_training(args, device, out, preset, make_data)


if __name__ == "__main__":
    main()
