"""Train SVG on Moving MNIST, sample its futures, and show them.

The digits are MNIST, from --data-root or fetched (11 MB) where the network allows;
else scikit-learn's bundled handwritten digits stand in for them.
"""

from svg_pyro import SVGConfig, TrainingConfig
from svg_pyro.commands.datasets import smmnist_flags
from svg_pyro.commands.settings import Preset, one_line_errors, plan, training_parser
from svg_pyro.commands.train import run_training
from svg_pyro.data import MovingMNIST, find_digits

PRESETS = {
    "paper": Preset(
        SVGConfig.preset("smmnist"), TrainingConfig(n_frames=15, workers=4), horizon=25
    ),
    # Sized so that two CPU cores are done in minutes.
    "small": Preset(
        SVGConfig.preset("smmnist", width=16, beta=1e-5),
        TrainingConfig(
            steps=2000, batch_size=8, n_frames=15, lr=2e-3, lr_end=1e-4,
            validate_every=500, save_every=100,
        ),
        horizon=15,
    ),
    # One digit (--num-digits 1), so small that in 20 minutes of one CPU core the prior
    # learns when it will bounce; see the README. Two latents: unused ones would only add
    # noise to the prior's entropy.
    "bounces": Preset(
        SVGConfig.preset(
            "smmnist", width=8, g_dim=64, rnn_size=128, z_dim=2, beta=3e-5
        ),
        TrainingConfig(
            steps=6500, batch_size=16, n_frames=15, lr=2e-3, lr_end=1e-5,
            elbo="mean-field", validate_every=2000, save_every=500,
        ),
        horizon=15,
    ),
}  # fmt: skip


def parse(argv=None):
    parser = training_parser(__doc__, "runs/smmnist", PRESETS)
    parser.add_argument(
        "--data-root",
        help="folder of MNIST's IDX files (default: data/mnist, or fetched there)",
    )
    smmnist_flags(parser)
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    with one_line_errors():
        device, out, preset = plan(
            args, PRESETS, ("num_digits", "deterministic", "bundled_digits")
        )
        load_digits, words = find_digits(args.data_root, bundled=args.bundled_digits)
        print(words)

        def make_data(split, n_frames):
            return MovingMNIST(
                load_digits(split), split, n_frames, args.num_digits,
                args.deterministic, preset.model.image_size, preset.training.seed,
            )  # fmt: skip

        run_training(args, device, out, preset, make_data)


# Processes that read clips ahead import this file.
if __name__ == "__main__":
    main()
