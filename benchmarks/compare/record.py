"""The record of a comparison: settings, machine, versions, every raw row, and a summary.

It is written whole after each row, so that a killed run goes on where it stopped. What
was measured with other settings, elsewhere, or with other versions is not continued.
"""

import json
from pathlib import Path

from benchmarks.compare.summary import summarize
from benchmarks.record import commit, environment, load, today

KEY = "network", "budget", "seed", "peer"


class Comparison:
    """The record in a file, read if it is there.

    Raises
    ------
    ValueError
        If it was measured on another machine.
    """

    def __init__(self, path):
        self.path = Path(path)
        machine = environment()
        machine.pop("packages")  # each environment has its own
        self.content = {"machine": machine, "versions": {}, "networks": {}}
        if self.path.is_file():
            self.content = json.loads(self.path.read_text(encoding="utf-8"))
            self._require("the machine", self.content["machine"], machine)

    def start(self, network, settings):
        """Begin or continue a network's rows; refuse those made with other settings."""
        new = {"settings": settings, "rows": []}
        kept = self.content["networks"].setdefault(network, new)
        self._require(f"{network}: settings", kept["settings"], settings)

    def rows(self, network):
        return self.content["networks"][network]["rows"]

    def find(self, **key):
        """The row of a network, budget, seed and peer, or None."""
        return next(
            (row for row in self.rows(key["network"])
             if all(row[name] == key[name] for name in KEY)), None,
        )  # fmt: skip

    def add(self, environment, key, figures):
        """Store a row; its versions have to be those of the rows before."""
        versions = figures.pop("versions")
        kept = self.content["versions"].setdefault(environment, versions)
        self._require(f"versions of {environment}", kept, versions)
        told = {"date": today(), "commit": commit(), "load": load()}
        self.rows(key["network"]).append(key | figures | told)
        self.write()

    def write(self):
        self.content["summary"] = summarize(self.content["networks"])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".part")
        fresh.write_text(_text(self.content), encoding="utf-8")
        fresh.replace(self.path)  # at once: no reader sees half a file

    def _require(self, what, kept, asked):
        if kept == asked:
            return
        differ = [x for x in {**kept, **asked} if kept.get(x) != asked.get(x)]
        told = "; ".join(f"{x} {kept.get(x)!r}, not {asked.get(x)!r}" for x in differ)
        raise ValueError(
            f"{self.path} was measured otherwise. {what}: {told}. Ask for the same, or "
            "give another file with --record."
        )


def _text(content):
    """JSON with a line per row."""
    networks = {}
    for name, network in content["networks"].items():
        rows = ",\n    ".join(json.dumps(row) for row in network["rows"])
        settings = json.dumps(network["settings"])
        networks[name] = f'{{"settings": {settings}, "rows": [\n    {rows}\n  ]}}'
    inside = ",\n  ".join(f"{json.dumps(name)}: {x}" for name, x in networks.items())
    rest = {name: x for name, x in content.items() if name != "networks"}
    text = json.dumps(rest, indent=1)
    return f'{{\n "networks": {{\n  {inside}\n }},{text[1:]}\n'
