"""Score every frame of a video by how much it surprises a model."""

from svg_pyro.commands.main import program

main = program("surprise")

if __name__ == "__main__":
    main()
