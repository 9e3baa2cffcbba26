"""Measure svg_pyro on this machine, and print tables.

`data` reads random clips from data sets that it makes in a temporary folder. `train`
and `generate` run the paper's own loop in plain PyTorch (benchmarks/baseline.py) and
svg_pyro in turn, at the paper's settings; `overhead` runs the Pyro program and the same
mathematics without Pyro; `memory` and `scaling` show what work takes and how it grows;
`processes` trains with one process and with two, one thread each; `metrics` scores
56,000 images. Only where they are asked for: `precision` compares what a small model
learns in float32 and in bfloat16, and `compile` times futures from compiled networks
beside those from others.
"""

from collections.abc import Sequence

from benchmarks import command


def main(argv: Sequence[str] | None = None) -> None:
    command.main(argv, __doc__)


# Processes that read clips ahead import this file.
if __name__ == "__main__":
    main()
