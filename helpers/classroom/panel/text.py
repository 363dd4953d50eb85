"""A field for text, in one line or several."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A field that takes any text up to a length; each key is sent, as a slider's move is.

    A chart's `faults` say beside the field what is wrong with the text.

    Raises:
        ValueError: the text to begin with is too long.
    """

    name: str
    label: str
    value: str = ""
    lines: int = 1
    placeholder: str = ""
    monospace: bool = False
    most: int = 20_000
    group: str = ""
    kind: str = "text"

    def __post_init__(self):
        """Refuse a text to begin with that the browser would cut."""
        self.accept(self.value)

    def accept(self, value: object) -> None:
        """Return if the value is a text that is short enough.

        Raises:
            ValueError: it is not; the text says what is expected.
        """
        if not isinstance(value, str) or len(value) > self.most:
            raise ValueError(f"{self.name} is not a text of at most {self.most} characters")
