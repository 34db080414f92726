"""Models and rules of the desk's own, as files that a registry can keep."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradewind.research.code.own import OwnCode, run
from tradewind.research.strategy.code_files import file_of

__all__ = ["OwnFiles"]


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """What is left of a model when its process has ended.

    Attributes
    ----------
    code : OwnCode
        What its strategy file names.
    source : bytes
        Of the module.
    files : mapping of str to bytes
        What the model has saved, by path; empty for a rule.
    parameters : mapping
        What it was given.
    """

    code: OwnCode
    source: bytes
    files: Mapping[str, bytes]
    parameters: Mapping[str, Any]

    @property
    def path(self) -> Path:
        """Where its code was below the strategy files."""
        return file_of(self.code.module, Path())

    def content(self) -> Iterator[bytes]:
        """Yield parameters, code and files, each with its name and length, in order."""
        yield json.dumps(dict(self.parameters), sort_keys=True).encode() + b"\n"
        for name, content in (("code", self.source), *sorted(self.files.items())):
            digest = hashlib.sha256(content).hexdigest()
            yield f"{self.code.name} {name} {len(content)} {digest}\n".encode()

    def named(self) -> Any:  # noqa: ANN401 - a class, or a function
        """Run the code that is kept, which may raise anything, and return what is named."""
        return getattr(run(self.code.module, self.path, self.source), self.code.attribute)

    def write(self, folder: Path) -> None:
        """Write the files into a folder."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
