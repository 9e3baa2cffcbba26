"""Train SVG on robot-pushing video (BAIR, or simulated clips), and show its futures."""

from svg_pyro.commands.main import program

main = program("train", "bair")

# Processes that make or read clips ahead import this file.
if __name__ == "__main__":
    main()
