"""What a submission got."""

from dataclasses import dataclass, field


@dataclass
class Result:
    """Points of the automatic tests, what a person still has to grade, and what happened."""

    student: str
    assignment: str
    points: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    by_hand: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def score(self) -> float:
        return sum(self.points.values())


Outcome = tuple[Result, str]  # and the graded notebook as text; "" where there is none
