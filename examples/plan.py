"""Push blocks to their goals by planning in a model's futures, and compare."""

from svg_pyro.commands.main import program

main = program("plan")

if __name__ == "__main__":
    main()
