"""Folders that come divided into training and testing, as data sets are published."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from svg_pyro.data.videos.decode import Source

_KINDS = {
    "train": ("train", "training", "trainset"),
    "test": ("test", "testing", "testset"),
    "held out": ("val", "valid", "validation", "eval", "dev"),
}
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class PublishedSplit:
    """The videos of a folder by the part that the names of their folders give.

    Attributes
    ----------
    train, test : list of Source
        What is trained and what is tested on.
    words : str
        What was done, for the user.
    """

    train: list[Source]
    test: list[Source]
    words: str


def published_split(root: Path, sources: Sequence[Source]) -> PublishedSplit | None:
    """The division that a folder comes with, if it does.

    It does where two folders (or files) side by side have names that differ in one word
    alone, "train" in one and "test" in the other, or "val" where there is no "test"; in
    any case of letters, and also as "training", "validation" and so on. What lies in
    neither is trained on; a part for validation beside one for testing is left out.

    Parameters
    ----------
    root : Path
        The folder that was searched.
    sources : sequence of Source
        The videos in it.
    """
    parts = [_part_of(root, source) for source in sources]
    twins = {part[1] for part in parts if part and part[0] == "train"}
    twins &= {part[1] for part in parts if part and part[0] != "train"}
    kinds = [part[0] if part and part[1] in twins else None for part in parts]
    tested = "test" if "test" in kinds else "held out"
    if "train" not in kinds or tested not in kinds:
        return None
    train, test, left_out = [], [], 0
    for source, kind in zip(sources, kinds, strict=True):
        if kind == tested:
            test.append(source)
        elif kind in ("train", None):
            train.append(source)
        else:
            left_out += 1
    names = [_example(root, sources, kinds, kind) for kind in ("train", tested)]
    also = f"; {left_out} videos for validation are left out" if left_out else ""
    return PublishedSplit(
        train,
        test,
        f"{root}: divided as it comes: {len(train)} videos, as in {names[0]}, are "
        f"trained on, and {len(test)}, as in {names[1]}, tested on{also}",
    )


def _part_of(root: Path, source: Source) -> tuple[str, tuple[str, ...]] | None:
    """The part that a path below the folder names, and the path without that word."""
    if source.path == root:
        return None
    path = PurePath(source.path.relative_to(root))
    names = [*path.parts[:-1], path.name if source.kind == "images" else path.stem]
    for place, name in enumerate(names):
        for kind, known in _KINDS.items():
            for word in _WORD.finditer(name):
                # Of a film's own name the word must be all: "train 3.mp4" may show one.
                alone = place < len(names) - 1 or word[0] == name
                if word[0].lower() in known and alone:
                    rest = f"{name[: word.start()]}*{name[word.end() :]}"
                    return kind, (*names[:place], rest)
    return None


def _example(
    root: Path, sources: Sequence[Source], kinds: Sequence[str | None], kind: str
) -> str:
    """The folder or file that the first video of a part lies in."""
    path = sources[list(kinds).index(kind)].path.relative_to(root)
    part = _part_of(root, sources[list(kinds).index(kind)])
    assert part is not None
    return str(PurePath(*path.parts[: len(part[1])]))
