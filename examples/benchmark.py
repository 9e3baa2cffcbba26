"""Measure svg_pyro on this machine, and print tables."""

from svg_pyro.commands.main import program

main = program("benchmark")

# Processes that read clips ahead import this file.
if __name__ == "__main__":
    main()
