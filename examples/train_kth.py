"""Train SVG on videos of people who walk, jog, run, box, wave and clap (KTH).

Reads the published files where they lie; --download fetches them (1.1 GB).
"""

from svg_pyro import SVGConfig, TrainingConfig
from svg_pyro.commands.datasets import kth_flags
from svg_pyro.commands.settings import Preset, one_line_errors, plan, training_parser
from svg_pyro.commands.train import run_training
from svg_pyro.data import KTH, download_kth

PRESETS = {
    "paper": Preset(
        SVGConfig.preset("kth"),
        TrainingConfig(n_frames=20, lr=8e-4, lr_end=8e-4, workers=4),
        horizon=30,
    ),
    # Sized so that two CPU cores are done in minutes.
    "small": Preset(
        SVGConfig.preset(
            "kth", backbone="dcgan", width=16, g_dim=96, z_dim=16, pixel_skip=True
        ),
        TrainingConfig(
            steps=1300, batch_size=8, n_frames=20, lr=2e-3, lr_end=1e-4,
            validate_every=650, save_every=100,
        ),
        horizon=20,
    ),
}  # fmt: skip


def parse(argv=None):
    parser = training_parser(__doc__, "runs/kth", PRESETS)
    parser.add_argument("--data-root", default="data/kth",
                        help="folder of the .avi files, and of 00sequences.txt "
                        "(default: data/kth)")  # fmt: skip
    parser.add_argument("--download", action="store_true",
                        help="fetch what of the data set is not in --data-root "
                        "(1.1 GB) first")  # fmt: skip
    kth_flags(parser)
    parser.add_argument("--cache",
                        help="where decoded frames are kept "
                        "(default: frames, beside the run's folder)")  # fmt: skip
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    with one_line_errors():
        device, out, preset = plan(args, PRESETS, ("actions",))
        if args.download:
            download_kth(args.data_root, actions=args.actions)

        def make_data(split, n_frames):
            return KTH(
                args.data_root, split, n_frames, preset.model.image_size,
                cache=args.cache or out.parent / "frames",
                seed=preset.training.seed, actions=args.actions,
            )  # fmt: skip

        run_training(args, device, out, preset, make_data)


if __name__ == "__main__":
    main()
