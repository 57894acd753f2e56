"""The data sections: where the samples come from, drawn, shipped or the user's own."""

import os
import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from momentumlab.experiment.ranges import Keys, Range, broken, refused
from momentumlab.experiment.section import NotNegative, Section, Seed
from momentumlab.text import shown

_NEVER_IN_A_PATH = re.compile("[\0\ud800-\udfff]")  # NUL, and halves of characters that no file can hold


def _absolute(path: str) -> str:
    """`path` seen from the working folder, so that the resolved experiment means the same everywhere."""
    if not path or _NEVER_IN_A_PATH.search(path):
        raise broken("must be the path of a file")
    return os.path.abspath(path)


FilePath = Annotated[str, AfterValidator(_absolute)]
Samples = Annotated[int, Range(1, 10**8)]


class _Data(Section):
    kind: str
    seed: Seed = Field(default=0, description="The seed of the drawn samples and of the split into training and test.")
    test: Annotated[float, Range(0, 1, high_open=True)] = Field(
        default=0.0, description="The share of the samples that is held out for the test."
    )
    standardize: bool = Field(
        default=False,
        description="Shift and scale each feature to mean 0 and deviation 1 on the training part.",
    )


class LineData(_Data):
    """Points around a straight line, y = slope·x + intercept + noise, drawn as the article does."""

    kind: Literal["line"] = Field(description="Points around a straight line.")
    samples: Samples = Field(default=100, description="How many points are drawn.")
    slope: float = Field(default=2.0, description="The true w of the line.")
    intercept: float = Field(default=1.0, description="The true b of the line.")
    noise: NotNegative = Field(default=0.1, description="The standard deviation of the noise on y.")


class MoonsData(_Data):
    """Two interleaved half circles: two classes that no straight line parts."""

    kind: Literal["moons"] = Field(description="Two interleaved half circles, two classes.")
    samples: Annotated[int, Range(2, 10**8)] = Field(default=200, description="How many points are drawn.")
    noise: NotNegative = Field(default=0.1, description="The standard deviation of the noise on both coordinates.")


class DigitsData(_Data):
    """The 1797 handwritten digits of 8×8 pixels that come with the package: ten classes."""

    samples: ClassVar[int] = 1797

    kind: Literal["digits"] = Field(description="1797 handwritten digits of 8×8 pixels, ten classes.")
    test: Annotated[float, Range(0, 1, high_open=True)] = Field(
        default=0.2, description="The share of the samples that is held out for the test."
    )


class CsvData(_Data):
    """A table of the user's own: some columns are the features, one is the target."""

    kind: Literal["csv"] = Field(description="A CSV file with a header row.")
    path: FilePath = Field(description="The CSV file, relative to the experiment file.")
    features: Annotated[list[str], Field(min_length=1)] = Field(description="The names of the feature columns.")
    target: str = Field(description="The name of the target column.")

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        problems: list[tuple[Keys, str]] = []
        if len(set(self.features)) < len(self.features):
            problems.append((("features",), f"got {shown(self.features)}, which names a column twice"))
        if self.target in self.features:
            problems.append((("target",), f"got {shown(self.target)}, which is one of the features"))
        if problems:
            raise refused(problems)
        return self


class NpzData(_Data):
    """Arrays of the user's own: x (sample, feature) and y (sample,) or (sample, target)."""

    kind: Literal["npz"] = Field(description="A numpy .npz file with the arrays x and y.")
    path: FilePath = Field(description="The .npz file, relative to the experiment file.")


Data = Annotated[LineData | MoonsData | DigitsData | CsvData | NpzData, Field(discriminator="kind")]


def training_samples(data: Data) -> int | None:
    """How many samples are trained on, or None where only the user's file knows."""
    if isinstance(data, CsvData | NpzData):
        return None
    return data.samples - round(data.test * data.samples)
