"""Names of other libraries that these do not promise to keep, and what happens without them.

A module that uses such names says so in a `ForeignNames` of its own. A test looks each of them up,
and fails with a sentence when the library no longer has it. Where the library can do the work by
itself, a module asks `ForeignNames.usable` before, and leaves it to the library.
"""

import logging
from dataclasses import dataclass
from importlib import import_module

__all__ = ["ForeignNames"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ForeignNames:
    """What one module uses of a library beyond its documented interface.

    Attributes
    ----------
    distribution : str
        The library's name on the package index.
    names : tuple of str
        Such as ``"package.module:Class.attribute"``.
    use : str
        What they are used for.
    without : str
        What happens where one is missing.
    """

    distribution: str
    names: tuple[str, ...]
    use: str
    without: str

    def missing(self) -> str:
        """Return a sentence that says which names the library lacks; empty if it has them all."""
        absent = [name for name in self.names if not _exists(name)]
        if not absent:
            return ""
        from importlib.metadata import version

        return (
            f"{self.distribution} {version(self.distribution)} lacks {', '.join(absent)}, used to "
            f"{self.use}; without it, {self.without}"
        )

    def usable(self) -> bool:
        """Tell whether the library has all of the names; warn if it does not."""
        sentence = self.missing()
        if sentence:
            log.warning("%s", sentence)
        return not sentence


def _exists(name: str) -> bool:
    module, _, attributes = name.partition(":")
    try:
        owner: object = import_module(module)
    except ImportError:
        return False
    for attribute in filter(None, attributes.split(".")):
        if hasattr(owner, attribute):
            owner = getattr(owner, attribute)
        else:
            return isinstance(owner, type) and _set_by_constructor(owner, attribute)
    return True


def _set_by_constructor(owner: type, attribute: str) -> bool:
    """Tell whether instances have an attribute that the class itself has not."""
    for each in owner.__mro__:
        code = getattr(vars(each).get("__init__"), "__code__", None)
        declared = vars(each).get("__annotations__", {})
        if attribute in declared or (code is not None and attribute in code.co_names):
            return True
    return False
