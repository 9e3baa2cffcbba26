"""Foreign text inside a message of one line."""


def one_line(text: object, most: int = 120) -> str:
    """`text` in one line of ASCII, cut where it is longer than `most` characters."""
    line = " ".join(str(text).split()).encode("ascii", "backslashreplace").decode()
    line = printable(line)
    return line if len(line) <= most else line[: most - 3] + "..."


def printable(line: str) -> str:
    """`line` with escapes for what may clear the screen, or forge a line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in line
    )


def shortened(line: str, most: int) -> str:
    """`line`, without its middle where it is longer than `most` characters."""
    if len(line) <= most:
        return line
    end = most // 3
    return f"{line[: most - end - 3]}...{line[-end:]}"


def shown(value: object) -> str:
    """A value of a caller or a file, as a message shows it: in 40 characters."""
    if isinstance(value, (list, tuple, dict, set)):
        # One that holds itself many times over has no end.
        return f"a {type(value).__name__}" if value else repr(value)
    if isinstance(value, int) and abs(value) > 10**15:
        return "a number beyond 10**15"
    return one_line(repr(value), 40)


def why_unreadable(error: Exception) -> str:
    """Why ``torch.load`` failed, and never its advice to run what a file holds."""
    lines = str(error).strip().splitlines()
    line = lines[0] if lines else type(error).__name__
    if "weights_only" in line or "Weights only" in line:
        return "it holds other things than tensors, numbers and text"
    return one_line(line.split(". ")[0])
