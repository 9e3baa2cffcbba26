"""Score how far off the robot's hand is in a model's futures."""

from svg_pyro.commands.main import program

main = program("hand")

if __name__ == "__main__":
    main()
