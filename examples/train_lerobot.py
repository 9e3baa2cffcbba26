"""Train SVG on a robot's recordings: a LeRobot data set, or HDF5 files."""

from collections.abc import Sequence

from svg_pyro.commands.train import train


def main(argv: Sequence[str] | None = None) -> None:
    train("lerobot", argv)


# Processes that make or read clips ahead import this file.
if __name__ == "__main__":
    main()
