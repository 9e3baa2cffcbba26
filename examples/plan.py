"""Push blocks to their goals by planning in a model's futures, and compare."""

from svg_pyro.commands.plan import plan as main

if __name__ == "__main__":
    main()
