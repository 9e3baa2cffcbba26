"""Train SVG on Moving MNIST, and show its futures."""

from svg_pyro.commands.main import program

main = program("train", "smmnist")

# Processes that make or read clips ahead import this file.
if __name__ == "__main__":
    main()
