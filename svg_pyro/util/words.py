"""Foreign text inside a message of one line."""


def one_line(text: object, most: int = 120) -> str:
    """`text` in one line of ASCII, cut where it is longer than `most` characters."""
    line = " ".join(str(text).split()).encode("ascii", "backslashreplace").decode()
    # A control character may clear the screen, or forge a line.
    line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)
    return line if len(line) <= most else line[: most - 3] + "..."
