"""What a linear layer can reach at most in float32, int8 and int4: its roofline."""

from dataclasses import dataclass

# Bytes of a weight, and of an input or output. int4 has a float32 scale for 32 weights.
SIZES = {"float32": (4.0, 4.0), "int8": (1.0, 1.0), "int4": (0.5 + 4 / 32, 4.0)}


@dataclass(frozen=True)
class Machine:
    """What one core does at most; `measure_machine` in probes.py measures it.

    Attributes:
        bandwidth: what it reads, in GB/s.
        float32: billions of operations a second; a product and an addition are two.
        int8: the same, of int8 added up in int32.
    """

    bandwidth: float
    float32: float
    int8: float

    def rate(self, kind: str) -> float:
        """Billions of operations a second: int4 is turned into floats before it is used."""
        return self.int8 if kind == "int8" else self.float32

    def ridge(self, kind: str) -> float:
        """How many operations it can do while one byte arrives."""
        return self.rate(kind) / self.bandwidth


# Round figures, for what has to look the same everywhere. A vector holds four times as many
# int8 as float32. A dot product instruction (VNNI; SDOT on ARM) multiplies and adds them in
# one step, like float32's FMA: 4 times the operations. x86 without it takes three
# instructions: 4/3. Source: A. Rodriguez et al., "Lower Numerical Precision Deep Learning
# Inference and Training", Intel, 2018.
TYPICAL = Machine(bandwidth=25.0, float32=250.0, int8=250.0 * 4)
WITHOUT_DOT_PRODUCT = Machine(bandwidth=25.0, float32=250.0, int8=250.0 * 4 / 3)


@dataclass(frozen=True)
class Ceiling:
    """What a linear layer can reach at one batch size.

    A layer takes the longer of two times, for its arithmetic and for its bytes (the
    roofline model: S. Williams et al., "Roofline", Communications of the ACM 52(4), 2009).
    Each weight, input and output is read or written once. It is not a ceiling where a cache
    that is nearer than the machine's `bandwidth` holds the smaller weights.

    Attributes:
        inputs: of the layer.
        outputs: of the layer.
        batch: rows that go through it at once.
        machine: which computes it.

    Raises:
        ValueError: a size is below 1.
    """

    inputs: int
    outputs: int
    batch: int
    machine: Machine

    def __post_init__(self):
        """Refuse sizes that no layer has."""
        if min(self.inputs, self.outputs, self.batch) < 1:
            raise ValueError(
                f"the layer is {self.inputs} by {self.outputs}, the batch {self.batch}; "
                "expected sizes of at least 1"
            )

    @property
    def operations(self) -> int:
        """Products and additions: two for each weight and row."""
        return 2 * self.batch * self.inputs * self.outputs

    def moved(self, kind: str) -> float:
        """Bytes of the weights, inputs and outputs; the kind is one of SIZES."""
        weight, value = SIZES[kind]
        values = self.batch * (self.inputs + self.outputs)
        return weight * self.inputs * self.outputs + value * values

    def intensity(self, kind: str) -> float:
        """Operations for each byte that is moved."""
        return self.operations / self.moved(kind)

    def attainable(self, kind: str) -> float:
        """Billions of operations a second at most: the lower of the two roofs."""
        sloped = self.intensity(kind) * self.machine.bandwidth
        return min(self.machine.rate(kind), sloped)

    def waits_for(self, kind: str) -> str:
        """Return "bytes" or "arithmetic"."""
        flat = self.intensity(kind) >= self.machine.ridge(kind)
        return "arithmetic" if flat else "bytes"

    def least_ms(self, kind: str) -> float:
        """Return the time that it takes at least."""
        return self.operations / self.attainable(kind) / 1e6

    def speedup(self, kind: str) -> float:
        """How many times as fast as float32, with both at their ceilings."""
        return self.attainable(kind) / self.attainable("float32")
