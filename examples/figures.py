"""The paper's figures, from checkpoints of examples/train_smmnist.py.

sharpness  how sampled futures and the deterministic predictor's blur with time
bounces    where a digit goes after a bounce, truth against samples (one digit)
prior      the learned prior's standard deviation against time, bounces marked, and
           the AUC with which its entropy tells the frame after a bounce
curves     PSNR and SSIM of the best sample against time
rollouts   long futures as pictures
all        each of these that the checkpoints allow

Pictures go to --out, with the numbers as JSON beside them.
"""

import argparse
from pathlib import Path

import svg_pyro
from svg_pyro.commands.figures import FIGURES, Figures, Skipped
from svg_pyro.commands.settings import Parser, choose_device, one_line_errors
from svg_pyro.data import find_digits
from svg_pyro.errors import ConfigError

COUNTS = {
    "num-digits": "digits in a clip, as in training",
    "clips": "held-out clips for sharpness and curves",
    "num-samples": "futures of each clip",
    "horizon": "predicted frames in sharpness and curves",
    "sequences": "clips for prior and bounces",
    "long": "frames of the clips for prior, and predicted ones in rollouts",
    "pictures": "clips in rollouts",
    "seed": "of clips and samples",
}


def parse(argv=None):
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("what", nargs="+", choices=[*FIGURES, "all"], metavar="WHAT",
         help="figures to draw")  # fmt: skip
    flag("--checkpoint", action="append", required=True, metavar="NAME=PATH",
         help="a model and its name in the figures; give one or more")  # fmt: skip
    flag("--data-root", help="folder of MNIST's IDX files (default: data/mnist)")
    flag("--bundled-digits", action="store_true", help="take scikit-learn's digits")
    for name, words in COUNTS.items():
        value = getattr(Figures, name.replace("-", "_"))
        flag(f"--{name}", type=int, default=value, help=f"{words} (default: {value})")
    flag("--n-past", type=int, help="context (default: the first checkpoint's)")
    flag("--protocol", default="svg", help="of the scores (default: svg)")
    flag("--out", default="runs/figures", help="folder (default: runs/figures)")
    flag("--device", help="cuda or cpu (default: cuda where there is one)")
    return parser.parse_args(argv)


def load_models(pairs, device):
    """Models by the names that were given to them."""
    models = {}
    for pair in pairs:
        name, _, path = pair.partition("=")
        if not name or not path or name in models or name == "truth":
            raise ConfigError(f"--checkpoint {pair}: give NAME=PATH, each name once")
        models[name] = svg_pyro.load(path, map_location=device)
    return models


def main(argv=None):
    args = parse(argv)
    with one_line_errors():
        models = load_models(args.checkpoint, choose_device(args.device))
        load_digits, words = find_digits(args.data_root, bundled=args.bundled_digits)
        print(words)
        n_past = args.n_past
        if n_past is None:
            n_past = next(iter(models.values())).config.n_past
        counts = {k.replace("-", "_") for k in COUNTS}
        figures = Figures(
            models, load_digits("test"), Path(args.out), n_past,
            protocol=args.protocol, **{k: getattr(args, k) for k in counts},
        )  # fmt: skip
        for name in FIGURES if "all" in args.what else dict.fromkeys(args.what):
            try:
                print(f"{name}: {getattr(figures, name)()}")
            except Skipped as reason:
                print(f"{name}: skipped, {reason}")
        print(f"figures in {figures.out}")


if __name__ == "__main__":
    main()
