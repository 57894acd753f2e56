"""One contestant in a process of its own: told in JSON what to call, it prints what that gives as one line of JSON."""

import importlib
import json
import sys


def main() -> None:
    told = json.loads(sys.argv[1])
    module, _, function = told["function"].partition(":")
    given = getattr(importlib.import_module(f"contestants.{module}"), function)(**told["arguments"])
    print("\n" + json.dumps(given))


if __name__ == "__main__":
    main()
