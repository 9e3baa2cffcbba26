"""Score how far off the robot's hand is in a model's futures."""

from svg_pyro.commands.hand import score_hand as main

if __name__ == "__main__":
    main()
