"""`python -m momentumlab` is the command `momentumlab`."""

from momentumlab.cli import main

main()
