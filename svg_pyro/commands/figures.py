"""Draw the paper's figures from checkpoints of Moving MNIST."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

import svg_pyro
from svg_pyro import SVG
from svg_pyro.commands.devices import choose_device
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.fields import option
from svg_pyro.commands.figure_settings import FigureSettings, LabelledDigits, Skipped
from svg_pyro.commands.out_folder import own_folder
from svg_pyro.commands.own_parts import add_parts, use_parts
from svg_pyro.commands.paper_figures import FIGURES, Figures
from svg_pyro.commands.parser import Parser
from svg_pyro.data import find_digits
from svg_pyro.data.digits import find_labels
from svg_pyro.errors import ConfigError

_DESCRIPTION = """\
The paper's figures, from checkpoints of Moving MNIST (train smmnist).

sharpness    how sampled futures and the deterministic predictor's blur with time
bounces      where a digit goes after a bounce, truth against samples (one digit)
prior        the learned prior's standard deviation against time, bounces marked,
             and the AUC with which its entropy tells the frame after a bounce
curves       PSNR and SSIM of the best sample against time
recognition  how often a classifier still names the digit rightly (one digit)
rollouts     long futures as pictures
all          each of these that the checkpoints allow

Pictures go to --out, with the numbers as JSON beside them."""


@dataclass(frozen=True)
class FiguresOptions:
    """Which figures are drawn, of which models.

    Attributes
    ----------
    what : tuple of str
        Figures to draw.
    checkpoint : tuple of str
        NAME=PATH: a model and its name in the figures; may be given again.
    data_root : str or None
        Folder of MNIST's IDX files; without it data/mnist.
    bundled_digits : bool
        Take scikit-learn's digits, and do not look for MNIST.
    n_past : int or None
        Frames of context; without it the first checkpoint's.
    out : str
        Folder of the pictures.
    device : str or None
        cuda or cpu; without it cuda where there is one.
    """

    what: tuple[str, ...] = option(
        kind="positional", choices=(*FIGURES, "all"), metavar="WHAT"
    )
    checkpoint: tuple[str, ...] = option(kind="append", metavar="NAME=PATH")
    data_root: str | None = option(None, metavar="DIR")
    bundled_digits: bool = False
    n_past: int | None = option(None, least=1)
    out: str = option("runs/figures", metavar="DIR")
    device: str | None = None


@one_line_errors()
def draw_figures(argv: Sequence[str] | None = None, *, prog: str | None = None) -> None:
    """Draw figures, as the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        Figures and flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    parser = Parser(_DESCRIPTION, prog=prog)
    parser.add_fields(FiguresOptions)
    parser.add_fields(FigureSettings, title="clips and samples")
    add_parts(parser)
    flags = parser.parse(argv)
    use_parts(flags)
    options, settings = flags.make(FiguresOptions), flags.make(FigureSettings)
    models = load_models(options.checkpoint, choose_device(options.device))
    load_digits, words = find_digits(options.data_root, bundled=options.bundled_digits)
    print(words)
    n_past = options.n_past or next(iter(models.values())).config.n_past

    def labelled() -> LabelledDigits:
        labels = find_labels(options.data_root, bundled=options.bundled_digits)
        return LabelledDigits(load_digits("train"), labels("train"), labels("test"))

    with own_folder(options.out) as out:
        figures = Figures(models, load_digits("test"), out, n_past, settings, labelled)
        for name in FIGURES if "all" in options.what else dict.fromkeys(options.what):
            try:
                print(f"{name}: {getattr(figures, name)()}")
            except Skipped as reason:
                print(f"{name}: skipped, {reason}")
        print(f"figures in {figures.out}")


def load_models(pairs: Sequence[str], device: torch.device) -> dict[str, SVG]:
    """Models by the names that were given to them.

    Parameters
    ----------
    pairs : sequence of str
        NAME=PATH, each.
    device : torch.device
        Where the models go.

    Raises
    ------
    ConfigError
        If a name is missing, given twice, or "truth".
    CheckpointError
        If a file is missing or is no checkpoint.
    """
    models: dict[str, SVG] = {}
    for pair in pairs:
        name, _, path = pair.partition("=")
        if not name or not path or name in models or name == "truth":
            raise ConfigError(f"--checkpoint {pair}: give NAME=PATH, each name once")
        models[name] = svg_pyro.load(path, map_location=device)
    return models
