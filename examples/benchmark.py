"""Measure svg_pyro on this machine, and print tables."""

from svg_pyro.commands.benchmark import benchmark as main

# Processes that read clips ahead import this file.
if __name__ == "__main__":
    main()
