"""Train SVG on videos of people who walk, jog, run, box, wave and clap (KTH)."""

from collections.abc import Sequence

from svg_pyro.commands.train import train


def main(argv: Sequence[str] | None = None) -> None:
    train("kth", argv)


# Processes that make or read clips ahead import this file.
if __name__ == "__main__":
    main()
