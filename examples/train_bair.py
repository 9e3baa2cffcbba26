"""Train SVG on robot-pushing video (BAIR, or simulated clips), and show its futures."""

from collections.abc import Sequence

from svg_pyro.commands.train import train


def main(argv: Sequence[str] | None = None) -> None:
    train("bair", argv)


# Processes that make or read clips ahead import this file.
if __name__ == "__main__":
    main()
