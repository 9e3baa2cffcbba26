"""The program `svg-pyro`: the commands by name."""

import sys
from collections.abc import Mapping, Sequence

from svg_pyro.commands.parser import one_line_errors
from svg_pyro.errors import ConfigError

_TRAINED = {
    "bair": "robot pushing; without the data set's files, simulated clips of it",
    "smmnist": "stochastic Moving MNIST: digits that bounce off the edges",
    "kth": "persons who walk, run, box, wave or clap",
    "videos": "a folder of your own videos",
    "lerobot": "recordings of robots: a LeRobot data set, or HDF5 files",
}
_LONG = ("train", "evaluate", "figures", "compare-parts")
COMMANDS = {
    "demo": "futures of held-out clips by a model that ships; nothing is trained",
    "train": f"train a model; on {', '.join(_TRAINED)}",
    "generate": "sample futures of any video",
    "serve": "a web page of a model's futures of a clip or a video",
    "evaluate": "score checkpoints on test clips",
    "surprise": "score every frame of a video by how much it surprises a model",
    "plan": "push blocks to their goals by planning in a model's futures",
    "hand": "score how far off the robot's hand is in a model's futures",
    "figures": "draw the paper's figures",
    "benchmark": "measure speed and memory on this machine",
    "fit-prior": "give a trained model another prior",
    "compare-parts": "compare priors, guides and observation models by training them",
    "compare-elbos": "compare the gradients of two ELBOs",
}


@one_line_errors()
def main(argv: Sequence[str] | None = None) -> None:
    """Run a command, as the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        The command's name, and what is handed on to it; `sys.argv` where they are not
        given.

    Raises
    ------
    SystemExit
        With status 2 where the user can mend an error, which is said in one line.
    """
    own = argv is None
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(_help("svg-pyro COMMAND", COMMANDS))
        return
    name, *rest = argv
    if name not in COMMANDS:
        raise ConfigError(f"no command {name!r}; choose one of {list(COMMANDS)}")
    if own and name in _LONG and not {"-h", "--help"} & {*rest}:
        from svg_pyro.commands.threads import begin_with_patient_threads

        begin_with_patient_threads()
    if name != "train":
        _run(name, rest)
    elif rest and rest[0] in ("-h", "--help"):
        print(_help("svg-pyro train DATA", _TRAINED))
    elif not rest or rest[0] not in _TRAINED:
        asked = f"no data set {rest[0]!r}" if rest else "train needs a data set"
        raise ConfigError(f"{asked}; choose one of {list(_TRAINED)}")
    else:
        from svg_pyro.commands.train import train

        train(rest[0], rest[1:], prog=f"svg-pyro train {rest[0]}")


# Each command imports what it needs and no more.
def _run(name: str, argv: Sequence[str]) -> None:
    prog = f"svg-pyro {name}"
    if name == "demo":
        from svg_pyro.commands.demo import demo

        demo(argv, prog=prog)
    elif name == "generate":
        from svg_pyro.commands.generate import generate

        generate(argv, prog=prog)
    elif name == "evaluate":
        from svg_pyro.commands.evaluate import evaluate

        evaluate(argv, prog=prog)
    elif name == "surprise":
        from svg_pyro.commands.surprise import score_video

        score_video(argv, prog=prog)
    elif name == "plan":
        from svg_pyro.commands.plan import plan

        plan(argv, prog=prog)
    elif name == "hand":
        from svg_pyro.commands.hand import score_hand

        score_hand(argv, prog=prog)
    elif name == "figures":
        from svg_pyro.commands.figures import draw_figures

        draw_figures(argv, prog=prog)
    elif name == "serve":
        from svg_pyro.commands.serve import serve

        serve(argv, prog=prog)
    elif name == "benchmark":
        from svg_pyro.commands.benchmark import benchmark

        benchmark(argv, prog=prog)
    elif name == "fit-prior":
        from svg_pyro.commands.fit_prior import fit_a_prior

        fit_a_prior(argv, prog=prog)
    elif name == "compare-parts":
        from svg_pyro.commands.compare_parts import compare_parts

        compare_parts(argv, prog=prog)
    else:
        from svg_pyro.commands.compare_elbos import compare_elbos

        compare_elbos(argv, prog=prog)


def _help(usage: str, known: Mapping[str, str]) -> str:
    width = max(map(len, known))
    lines = [f"  {name:{width}}  {words}" for name, words in known.items()]
    return "\n".join([f"usage: {usage} ...", "", *lines, "", f"{usage} --help"])
