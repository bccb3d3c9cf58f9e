"""How many of something, in words that a person reads: 1 tile, 2 tiles."""


def counted(count: int, noun: str) -> str:
    """The number and its noun.

    >>> counted(1, "tile"), counted(9, "boundary")
    ('1 tile', '9 boundaries')
    """
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count} {noun if count == 1 else plural}"
