"""What one experiment is: the sections of its YAML file as frozen, fully resolved values.

Experiment ── data, model, loss   or   objective        what is minimised
           ── optimizer                                 the rule, with γ and η
           ── train, record                             how long, and what is written down
           ── expect                                    what the run should give
           ── sweep                                     the axes of the grid, as written
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from momentumlab.experiment.agreement import disagreements, resolved_loss
from momentumlab.experiment.ranges import Range, Says, broken, refused
from momentumlab.experiment.schema_data import Data
from momentumlab.experiment.schema_expect import Expect
from momentumlab.experiment.schema_objectives import Objective
from momentumlab.experiment.schema_optimizer import AnyOptimizer, MomentumOptimizer
from momentumlab.experiment.section import Count, Section, Seed

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
DEVICE = re.compile(r"cpu|cuda(:(0|[1-9][0-9]{0,3}))?")

UNLESS_SAID = 100  # epochs of a model, steps of an objective


def _matches(pattern: re.Pattern[str], law: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise broken(law)
        return text

    return AfterValidator(check)


def _only_false(value: bool) -> bool:
    if value:
        raise broken("must be false")
    return value


_Never = Annotated[bool, AfterValidator(_only_false), WithJsonSchema({"const": False})]
_Switch = Annotated[bool | None, AfterValidator(lambda value: value or None)]  # off is as if it were left out
_Layer = Annotated[int, Range(1, 65536)]


# ---- what is minimised -------------------------------------------------------------------------------------


class _Model(Section):
    kind: str
    start: Annotated[list[float], Field(min_length=1, max_length=16)] | None = Field(
        default=None,
        description="Starting parameters of a small model (linear: w, then b); drawn by seed if left out.",
    )


class LinearModel(_Model):
    """One layer, ŷ = w·x + b, for targets that are numbers."""

    kind: Literal["linear"] = Field(description="One layer for targets that are numbers.")


class SoftmaxModel(_Model):
    """One layer whose outputs are the scores of the classes."""

    kind: Literal["softmax"] = Field(description="One layer for targets that are classes.")


class MlpModel(_Model):
    """Layers with an activation between them."""

    kind: Literal["mlp"] = Field(description="Several layers with an activation between them.")
    hidden: Annotated[list[_Layer], Field(min_length=1, max_length=8)] = Field(
        default=[128], description="The width of each hidden layer."
    )
    activation: Literal["relu", "tanh", "gelu"] = Field(default="relu", description="What stands between two layers.")


Model = Annotated[LinearModel | SoftmaxModel | MlpModel, Field(discriminator="kind")]
Loss = Literal["mse", "cross_entropy"]


# ---- how long, and what is written down --------------------------------------------------------------------


class Train(Section):
    """How long, on what, and how exactly is trained."""

    epochs: Count | None = Field(
        default=None, description="Passes through the data (models); 100 unless steps is given."
    )
    steps: Count | None = Field(default=None, description="Updates; for objectives 100 unless said.")
    batch_size: Annotated[Count | Literal["full"], Says("must be full or a whole number of at least 1")] = Field(
        default="full", description="Samples of one update (models); the last smaller batch is kept."
    )
    dtype: Literal["float32", "float64"] = Field(
        default="float32", description="The precision of every number; float64 for objectives unless said."
    )
    device: Annotated[str, _matches(DEVICE, "must be cpu, cuda, or one GPU such as cuda:0")] = Field(
        default="cpu", description="Where models are trained: cpu, cuda or cuda:N."
    )
    threads: Annotated[int, Range(1, 1024)] = Field(default=1, description="Threads that torch may use.")
    target: float | None = Field(
        default=None, description="A loss; runs.csv says in steps_to_target at which step it was first reached."
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is not None and self.steps is not None:
            raise refused([((), "give either epochs or steps, not both")])
        return self


class Record(Section):
    """What is written down while it trains."""

    every: Annotated[Count | Literal["auto"], Says("must be auto or a whole number of at least 1")] = Field(
        default="auto", description="Record each n-th step; auto keeps metrics.csv at or below 200,000 rows."
    )
    evaluate: Annotated[
        Count | _Never | Literal["auto"], Says("must be auto, false or a whole number of at least 1")
    ] = Field(
        default="auto",
        description="Evaluate after each n-th epoch (models); auto is start, end and at most 10 between.",
    )
    vectors: Annotated[bool | Literal["auto"], Says("must be auto, true or false")] = Field(
        default="auto",
        description="Record θ, gradient and velocity themselves; auto does so at 4 parameters or fewer.",
    )
    forces: _Switch = Field(
        default=None, description="Record inertia and push, and which shares of the push it reinforces and cancels."
    )
    path: _Switch = Field(
        default=None, description="Record the length of the path, the displacement, and how often v changes its sign."
    )
    energy: _Switch = Field(default=None, description="Record the energy J + (γ/2η)·‖v‖² and where it went.")
    sharpness: Count | None = Field(
        default=None, description="Record λ_max of the Hessian against the rule's limit every n-th step (dear)."
    )
    noise_scale: Count | None = Field(
        default=None, description="Record the gradient noise scale of minibatches every n-th step."
    )


# ---- the whole ---------------------------------------------------------------------------------------------

_AXES_SCHEMA = {
    "type": "object",
    "properties": {
        "zip": {"type": "boolean", "description": "Pair the axes but the seed, instead of crossing them."},
        "match": {
            "enum": ["eta", "effective", "critical"],
            "description": "What is held equal while γ varies: η, η/(1 − γ), or the damping of the steepest direction.",
        },
    },
    "additionalProperties": {
        "anyOf": [
            {"type": "array", "minItems": 1},
            {
                "type": "string",
                "examples": ["0,0.5,0.9", "lin:0:0.99:64", "log:1e-3:1:7", "1-log:1e-3:0.3:7", "0..4"],
            },
        ]
    },
}


class Experiment(Section):
    """One question: a problem, an optimizer with γ and η, how long, what to record; all filled in."""

    name: Annotated[
        str,
        _matches(NAME, "must be letters, digits, '.', '_' or '-', at most 100, beginning with a letter or digit"),
    ] = Field(default="experiment", description="The name of the results; the file's stem unless given.")
    seed: Seed = Field(default=0, description="Decides the start, the order of minibatches and the gradient noise.")
    data: Data | None = Field(default=None, description="What a model learns from.")
    model: Model | None = Field(default=None, description="What is trained on the data.")
    loss: Loss | None = Field(default=None, description="How a model is judged; by model and data unless given.")
    objective: Objective | None = Field(
        default=None, description="A formula to minimise, in place of data, model and loss."
    )
    optimizer: AnyOptimizer = Field(default=MomentumOptimizer(), description="The rule, with γ and η.")
    train: Train = Field(default=Train(), description="How long and how exactly.")
    record: Record = Field(default=Record(), description="What is written down.")
    expect: Expect | None = Field(
        default=None, description="What the run should give; momentumlab run says whether it held."
    )
    sweep: Annotated[dict[str, Any], WithJsonSchema(_AXES_SCHEMA)] | None = Field(
        default=None,
        description="The axes of the grid: gamma, eta, seed or a dotted key, each with its values.",
    )

    @model_validator(mode="after")
    def _settle(self) -> Self:
        if problems := disagreements(self):
            raise refused(problems)
        # Frozen for everybody else: the defaults that depend on other sections are known only here.
        self.__dict__.update(loss=resolved_loss(self), train=self._settled_train())
        return self

    def _settled_train(self) -> Train:
        train = self.train
        unsaid = train.epochs is None and train.steps is None
        if self.objective is None:
            return train.settled(epochs=UNLESS_SAID) if unsaid else train
        dtype = train.dtype if "dtype" in train.model_fields_set else "float64"
        return train.settled(dtype=dtype, steps=train.steps or UNLESS_SAID)

    def resolved(self) -> dict[str, Any]:
        """Everything, defaults included, as plain data in the order of the file: read again, it is equal."""
        return self.model_dump(exclude_none=True)

    def written(self) -> dict[str, Any]:
        """Only what the user said, as plain values: what a cell of the grid is written over."""
        return self.model_dump(exclude_unset=True)
