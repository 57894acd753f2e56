"""A formula and its gradient as one list of numpy calls, which is played for every step of a stack.

    tape = Tape(objective.value, objective.gradient, dimension=2, dtype="float64")
    player = tape.player(theta)        # theta (run, parameter)
    loss, gradient = player.play()     # J(θ) and ∇J(θ), of what stands in theta now

The formulas are run once on terms that note what is asked of them. What both compute is then computed once, into arrays
that are filled again and again and begin where the processor likes it: each call is the one that the formula itself
makes, so the bits are the same, at half the cost.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from momentumlab.arrays import Array, aligned, one_by_one

Formula = Callable[[Any, Any], Any]


class Term(NDArrayOperatorsMixin):
    """Numbers that a tape will compute: (run,), or (run, parameter) with a width."""

    device = "cpu"

    def __init__(self, tape: "Tape", dtype: str, width: int = 0) -> None:
        self._tape = tape
        self.dtype = dtype
        self.width = width
        self.within: tuple[Term, Any] | None = None  # part of another term: which one, and the index there

    @property
    def root(self) -> "Term":
        """The term that this one is a part of, or itself."""
        return self.within[0].root if self.within else self

    def __getitem__(self, index: tuple[Any, ...]) -> "Term":
        return self._tape.part(self, index)

    def sum(self, axis: int) -> "Term":
        """(run,): as `total` adds the parameters of narrow arrays."""
        assert axis == -1
        added: Term = one_by_one([self[..., index] for index in range(self.width)])
        return added

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any) -> "Term":
        assert method == "__call__"
        return self._tape.note(function, inputs)


class _Call(NamedTuple):
    function: Callable[..., object]  # (*inputs, output)
    inputs: tuple[Any, ...]  # terms, numbers, and constant arrays
    output: Term


class _Module:
    """Numpy as the formulas see it while they are noted."""

    def __init__(self, tape: "Tape") -> None:
        self._tape = tape

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def where(self, condition: Term, one: Any, other: Any) -> Term:
        return self._tape.note(_choose, (condition, one, other))

    def stack(self, coordinates: tuple[Term, ...], axis: int) -> Term:
        assert axis == -1
        return self._tape.gathered(coordinates)


class Tape:
    """The calls that compute J and ∇J of any stack of this dtype."""

    def __init__(self, value: Formula, gradient: Formula, dimension: int, dtype: str) -> None:
        self._calls: list[_Call] = []
        self._known: dict[Any, Term] = {}
        self._dtype = dtype
        self.theta = Term(self, dtype, dimension)
        module = _Module(self)
        self.loss, self.gradient = value(self.theta, module), gradient(self.theta, module)
        lasting = [id(term) for term in (self.theta, self.loss, self.gradient)]
        last = {id(term): (place, term) for place, call in enumerate(self._calls) for term in _roots(call)}
        self._read_no_more: list[list[Term]] = [[] for _ in self._calls]  # after each call
        for place, term in last.values():
            if id(term) not in lasting:
                self._read_no_more[place].append(term)

    def note(self, function: Callable[..., object], inputs: tuple[Any, ...]) -> Term:
        """The term that a call gives; of two equal calls the first."""
        key = function, *(repr(one) if isinstance(one, int | float) else id(one) for one in inputs)
        if key not in self._known:
            width = max(one.width for one in inputs if isinstance(one, Term))
            self._known[key] = Term(self, "bool" if function in (np.less, np.greater) else self._dtype, width)
            self._calls.append(_Call(function, inputs, self._known[key]))
        return self._known[key]

    def part(self, term: Term, index: tuple[Any, ...]) -> Term:
        """One parameter of a term, (run,), or with None a column (run, 1)."""
        key = id(term), index
        if key not in self._known:
            part = self._known[key] = Term(self, term.dtype, width=1 if None in index else 0)
            part.within = term, index
        return self._known[key]

    def gathered(self, coordinates: tuple[Term, ...]) -> Term:
        """(run, parameter) from the (run,) of each, where the calls that compute them write at once."""
        block = Term(self, self._dtype, len(coordinates))
        computed = {id(call.output) for call in self._calls}
        for index, coordinate in enumerate(coordinates):
            place = coordinate
            if id(coordinate) not in computed or coordinate.within:
                place = Term(self, self._dtype)
                self._calls.append(_Call(np.positive, (coordinate,), place))
            place.within = block, (..., index)
        return block

    def player(self, theta: Array) -> "Player":
        """The calls for a stack whose parameters stand in `theta`, (run, parameter)."""
        return Player(self, theta)

    def on(self, theta: Array, loss: Array, gradient: Array) -> list[tuple[Callable[..., object], tuple[Any, ...]]]:
        """Each call with the arrays that it reads and fills; an array that is read no more is filled anew."""
        arrays = {id(self.theta): theta, id(self.loss): loss, id(self.gradient): gradient}
        free: dict[tuple[int, str], list[Array]] = {}

        def array(one: Any) -> Any:
            if not isinstance(one, Term):
                return one
            if one.within:
                return array(one.within[0])[one.within[1]]
            if id(one) not in arrays:
                spare = free.get((one.width, one.dtype))
                shape = (len(theta), one.width) if one.width else (len(theta),)
                arrays[id(one)] = spare.pop() if spare else aligned(shape, one.dtype)
            return arrays[id(one)]

        calls = []
        for call, read_no_more in zip(self._calls, self._read_no_more, strict=True):
            calls.append((call.function, tuple([array(one) for one in (*call.inputs, call.output)])))
            for term in read_no_more:
                free.setdefault((term.width, term.dtype), []).append(arrays[id(term)])
        return calls


class Player:
    """A tape on the arrays of one stack."""

    def __init__(self, tape: Tape, theta: Array) -> None:
        self.theta = theta
        self._gradient = aligned(theta.shape, theta.dtype)
        # Two arrays in turns for the loss: the one before is still looked at.
        loss, other = (aligned((len(theta),), theta.dtype) for _ in range(2))
        calls = tape.on(theta, loss, self._gradient)
        others = [(function, tuple(other if one is loss else one for one in given)) for function, given in calls]
        self._turns = [(calls, loss), (others, other)]

    def play(self) -> tuple[Array, Array]:
        """J and ∇J of what stands in θ now. ∇J's array is filled anew by the next play, J's by the one after that."""
        calls, loss = self._turns[0]
        self._turns.reverse()
        for function, given in calls:
            function(*given)
        return loss, self._gradient


def _roots(call: _Call) -> Iterator[Term]:
    return (one.root for one in (*call.inputs, call.output) if isinstance(one, Term))


def _choose(condition: Array, one: Any, other: Any, output: Array) -> None:
    # np.where, which has no place for its output.
    np.copyto(output, other)
    np.copyto(output, one, where=condition)
