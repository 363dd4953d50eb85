"""The controls of a live panel: what each offers, and what it accepts.

Those that stand side by side and name the same `group` get its name as their heading.
"""

from dataclasses import dataclass, field
from itertools import combinations


class _Control:
    """What the kinds share: `accept`, and a start value that is accepted."""

    def __post_init__(self):
        """Refuse a start value that the browser would silently change."""
        self.accept(self.value)

    def accept(self, value: object) -> None:
        """Return if the control can stand on the value.

        Raises:
            ValueError: it cannot; the text says what it offers.
        """
        # True == 1 in Python, so the type has to fit as well.
        if not any(value == o and type(value) is type(o) for o in self.options):
            raise ValueError(f"{self.name} is {value!r}; expected {self.offers}")

    def _require_names(self):
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError(
                f"{self.name} has the names {self.names}; expected one or more, each once"
            )

    @property
    def offers(self) -> str:
        """What the control offers, in words."""
        return "one of " + ", ".join(map(repr, self.options))


@dataclass(frozen=True)
class Range(_Control):
    """A slider over whole numbers, from low to high, both included.

    Where `decimals` is 2, the learner sees 0.75 for a value of 75: steps of whole numbers
    never drift, as steps of 0.01 would. `sets` holds values of other controls, name ->
    value, that a move of this one brings along.

    Raises:
        ValueError: the limits are not a range, or the value is not one that the slider can
            stand on.
    """

    name: str
    label: str
    low: int
    high: int
    value: int
    step: int = 1
    decimals: int = 0
    group: str = ""
    sets: dict[str, object] = field(default_factory=dict)
    kind: str = "range"

    def __post_init__(self):
        """Refuse limits that are not a range."""
        limits = (self.low, self.high, self.step)
        if not all(type(limit) is int for limit in limits):
            raise ValueError(f"{self.name} has low, high, step {limits}; expected integers")
        if self.low >= self.high or self.step < 1 or (self.high - self.low) % self.step:
            raise ValueError(
                f"{self.name} runs {self.offers}; expected low below high, and a step of "
                "at least 1 that leads from one to the other"
            )
        super().__post_init__()

    @property
    def options(self) -> range:
        """Every value that the slider can stand on."""
        return range(self.low, self.high + 1, self.step)

    @property
    def offers(self) -> str:
        """What the slider offers, in words."""
        return f"{self.low} to {self.high} in steps of {self.step}"


@dataclass(frozen=True)
class Choice(_Control):
    """A few named options, of which one is chosen (radio buttons).

    Raises:
        ValueError: there are not at least two different options, or the value is not
            among them.
    """

    name: str
    label: str
    options: tuple[str, ...]
    value: str
    group: str = ""
    kind: str = "choice"

    def __post_init__(self):
        """Refuse options that nobody could tell apart."""
        if len(self.options) < 2 or len(set(self.options)) < len(self.options):
            raise ValueError(
                f"{self.name} has the options {self.options}; expected two or more, "
                "each once"
            )
        super().__post_init__()


@dataclass(frozen=True)
class Menu(Choice):
    """The same as a Choice, as a menu that opens: for more than four or five options."""

    kind: str = "menu"


@dataclass(frozen=True)
class Stops(_Control):
    """A slider over a few numbers that are not evenly spaced, such as 2, 3, 4, 8, 32.

    Raises:
        ValueError: there are not at least two, in rising order, or the value is not among
            them.
    """

    name: str
    label: str
    options: tuple[int, ...]
    value: int
    group: str = ""
    kind: str = "stops"

    def __post_init__(self):
        """Refuse stops that a slider could not put in a row."""
        if len(self.options) < 2 or list(self.options) != sorted(set(self.options)):
            raise ValueError(
                f"{self.name} has the stops {self.options}; expected two or more, rising"
            )
        super().__post_init__()


@dataclass(frozen=True)
class Ticks(_Control):
    """A list of boxes; the value is a tuple of the names that are ticked, in their order.

    Raises:
        ValueError: there is no name, or one stands twice, or a ticked one is not listed.
    """

    name: str
    label: str
    names: tuple[str, ...]
    value: tuple[str, ...] = ()
    group: str = ""
    kind: str = "ticks"

    def __post_init__(self):
        """Refuse names that nobody could tell apart."""
        self._require_names()
        super().__post_init__()

    @property
    def options(self) -> list[tuple[str, ...]]:
        """Every set of names: 2 to the power of their number."""
        sizes = range(len(self.names) + 1)
        return [some for size in sizes for some in combinations(self.names, size)]

    def accept(self, value: object) -> None:
        """Return if the value is a list or tuple of names in their order, each once."""
        listed = isinstance(value, list | tuple)
        if not listed or [name for name in self.names if name in value] != list(value):
            raise ValueError(f"{self.name} is {value!r}; expected {self.offers}")

    @property
    def offers(self) -> str:
        """What can be ticked, in words."""
        return "some of " + ", ".join(map(repr, self.names)) + ", in this order"


@dataclass(frozen=True)
class Sliders(_Control):
    """A small slider for each name, all folded away; the value is a number for each.

    Attributes:
        each: what comes before a name where a slider is read out, as in "Bits of head".
        stops: on which each can stand.
        texts: how these are written.

    Raises:
        ValueError: names or stops are too few or twice there, a stop has no text, or the
            value is not one stop for each name.
    """

    name: str
    label: str
    each: str
    names: tuple[str, ...]
    stops: tuple[int, ...]
    texts: tuple[str, ...]
    value: tuple[int, ...]
    group: str = ""
    kind: str = "sliders"

    def __post_init__(self):
        """Refuse names or stops that nobody could tell apart."""
        self._require_names()
        count = len(set(self.stops))
        if count < 2 or not count == len(self.stops) == len(self.texts):
            raise ValueError(
                f"{self.name} has the stops {self.stops} and the texts {self.texts}; "
                "expected two stops or more, each once, and a text for each"
            )
        super().__post_init__()

    def accept(self, value: object) -> None:
        """Return if the value is a list or tuple of one stop for each name."""
        right = isinstance(value, list | tuple) and len(value) == len(self.names)
        if not right or any(type(n) is not int or n not in self.stops for n in value):
            raise ValueError(f"{self.name} is {value!r}; expected {self.offers}")

    @property
    def offers(self) -> str:
        """What the sliders offer, in words."""
        return f"{len(self.names)} numbers, each one of " + ", ".join(map(str, self.stops))


@dataclass(frozen=True)
class Check(_Control):
    """A box that is ticked or not.

    Raises:
        ValueError: the value is neither True nor False.
    """

    name: str
    label: str
    value: bool = False
    group: str = ""
    kind: str = "check"

    @property
    def options(self) -> tuple[bool, bool]:
        """Not ticked, ticked."""
        return (False, True)


Control = Range | Stops | Choice | Check | Ticks | Sliders
