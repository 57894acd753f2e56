"""`python -m momentumlab` is the command `momentumlab`."""

import sys


def main() -> None:
    """The command, from its first import on: stopped before it has begun, it leaves without a traceback."""
    try:
        from momentumlab.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
