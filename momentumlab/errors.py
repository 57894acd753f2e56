"""What can go wrong, as one small tree. The command line catches the root once and exits with `exit_code`.

    MomentumLabError            1  the message says what failed
    ├── ConfigError             2  the experiment, an option or a value is wrong; every problem at once
    ├── DataError               2  the user's data cannot be used
    ├── ResultError             1  a result folder is busy, damaged or cannot be written
    └── SignalError     130 or 143  a signal stopped the training

Divergence is not here: it is an outcome that is recorded, not an error.
"""

from collections.abc import Sequence


class MomentumLabError(Exception):
    """A failure that is explained to the user in words, without a traceback."""

    exit_code = 1


class ConfigError(MomentumLabError):
    """One or several problems of an experiment or an option; `problems` holds one line for each."""

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class DataError(ConfigError):
    """The user's data cannot be used: missing, malformed, or of the wrong shape or type."""


class ResultError(MomentumLabError):
    """A result folder is in use, damaged, or cannot be read or written."""


class SignalError(MomentumLabError):
    """A signal stopped the work; the exit code is the shell's for that signal."""

    def __init__(self, message: str, signal: int = 2) -> None:
        self.exit_code = 128 + signal
        super().__init__(message)
