"""The JSON Schema of the experiment file, for editors: `python -m momentumlab.experiment.json_schema`."""

import json
from typing import Any

from momentumlab.experiment.keys import ALIASES
from momentumlab.experiment.schema import Experiment


def schema() -> dict[str, Any]:
    """The schema of an experiment as JSON Schema 2020-12, with the other spellings of γ and η."""
    made = Experiment.model_json_schema()
    sections = [part["properties"] for name, part in made["$defs"].items() if name.endswith("Optimizer")]
    for properties in sections:
        for alias, key in ALIASES.items():
            if key in properties:
                properties[alias] = {**properties[key], "description": f"Another spelling of {key}."}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def text() -> str:
    """The schema as the file that is shipped."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")
