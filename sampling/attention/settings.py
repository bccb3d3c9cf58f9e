"""What the user asked of Tiled Attention."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..sampling_range import SamplingRange

NEIGHBOURHOOD, SCALE_FUSION, GLOBAL_TOKENS = "neighbourhood", "scale fusion", "global tokens"
METHODS = (NEIGHBOURHOOD, SCALE_FUSION, GLOBAL_TOKENS)


@dataclass(frozen=True)
class AttentionSettings:
    """The inputs of the node. Immutable, for clones of a model share it.

    Attributes:
        native: (height, width) in image pixels of the pictures that the model was made for.
        method: one of METHODS.
        strength: 0 (nothing is changed) to 1. Of neighbourhood and scale fusion: how much of plain attention they take the
            place of. Of global tokens: how much a token of the whole canvas counts beside one of the tile.
        span: of the sampling.
        jitter: whether the windows lie elsewhere at every call.

    Raises:
        ValueError: in words for the user.
    """

    native: tuple[int, int]
    method: str = NEIGHBOURHOOD
    strength: float = 1.0
    span: SamplingRange = field(default_factory=SamplingRange)
    jitter: bool = True

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method {self.method!r} is not known: use one of {', '.join(METHODS)}")
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength {self.strength} is not between 0 and 1: use 1 for the method alone, 0 for plain attention")
        for name, side in zip(("native_height", "native_width"), self.native, strict=True):
            if side < 1:
                raise ValueError(f"{name} {side} is no picture size: use 0 for the model's own, or for example 1024")

    @property
    def idle(self) -> bool:
        """Whether nothing is to be done at any step."""
        return self.strength == 0 or self.span.empty
