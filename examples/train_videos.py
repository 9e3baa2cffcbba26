"""Train SVG on your own videos, and show their futures."""

from svg_pyro.commands.main import program

main = program("train", "videos")

# Processes that make or read clips ahead import this file.
if __name__ == "__main__":
    main()
