"""Train SVG on a robot's recordings: a LeRobot data set, or HDF5 files."""

from svg_pyro.commands.main import program

main = program("train", "lerobot")

# Processes that make or read clips ahead import this file.
if __name__ == "__main__":
    main()
