"""The program `svg-pyro`: the commands by name."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence

from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.threads import begin_with_patient_threads
from svg_pyro.errors import ConfigError

# Of each data set what it holds.
TRAINED = {
    "bair": "robot pushing; without the data set's files, simulated clips of it",
    "smmnist": "stochastic Moving MNIST: digits that bounce off the edges",
    "kth": "persons who walk, run, box, wave or clap",
    "videos": "a folder of your own videos",
    "lerobot": "recordings of robots: a LeRobot data set, or HDF5 files",
}
_LONG = ("train", "evaluate", "figures", "compare-parts")
COMMANDS = {
    "demo": "futures of held-out clips by a model that ships; nothing is trained",
    "train": f"train a model; on {', '.join(TRAINED)}",
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
# Of each command the file in this room, and its function.
_FUNCTIONS = {
    "demo": ("demo", "demo"),
    "train": ("train", "train"),
    "generate": ("generate", "generate"),
    "serve": ("serve", "serve"),
    "evaluate": ("evaluate", "evaluate"),
    "surprise": ("surprise", "score_video"),
    "plan": ("plan", "plan"),
    "hand": ("hand", "score_hand"),
    "figures": ("figures", "draw_figures"),
    "benchmark": ("benchmark", "benchmark"),
    "fit-prior": ("fit_prior", "fit_a_prior"),
    "compare-parts": ("compare_parts", "compare_parts"),
    "compare-elbos": ("compare_elbos", "compare_elbos"),
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
    if name != "train":
        _run([name], rest, own=own, prog=f"svg-pyro {name}")
    elif rest and rest[0] in ("-h", "--help"):
        print(_help("svg-pyro train DATA", TRAINED))
    elif not rest or rest[0] not in TRAINED:
        asked = f"no data set {rest[0]!r}" if rest else "train needs a data set"
        raise ConfigError(f"{asked}; choose one of {list(TRAINED)}")
    else:
        _run(argv[:2], rest[1:], own=own, prog=f"svg-pyro train {rest[0]}")


def program(*command: str) -> Callable[[Sequence[str] | None], None]:
    """A command as a program of its own.

    Parameters
    ----------
    *command : str
        A name of `COMMANDS`; "train" and the name of a data set.

    Returns
    -------
    callable
        Takes the flags, by default those of `sys.argv`, and runs the command.
    """

    @one_line_errors()
    def run(argv: Sequence[str] | None = None) -> None:
        flags = sys.argv[1:] if argv is None else argv
        _run(command, flags, own=argv is None)

    return run


def _run(
    command: Sequence[str], flags: Sequence[str], *, own: bool, prog: str | None = None
) -> None:
    """Load a command, and no other; before it, choose threads for this process."""
    name, *data = command
    if own and name in _LONG and not {"-h", "--help"} & {*flags}:
        begin_with_patient_threads()
    module, function = _FUNCTIONS[name]
    call = getattr(importlib.import_module(f"svg_pyro.commands.{module}"), function)
    call(*data, flags, prog=prog)


def _help(usage: str, known: Mapping[str, str]) -> str:
    width = max(map(len, known))
    lines = [f"  {name:{width}}  {words}" for name, words in known.items()]
    return "\n".join([f"usage: {usage} ...", "", *lines, "", f"{usage} --help"])
