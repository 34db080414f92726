"""Models of the desk's own code in MLflow: their code and the files they have saved.

No pickle is made of them. What they save is their own business; each file's SHA-256 is kept beside
it, and their code is run only if it is the code that was trained.
"""

import ast
import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import packages_distributions, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from tradewind.errors import RegistryError

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

    from tradewind.research.strategy.models import ModelFields

__all__ = ["load_own", "log_own"]

_LOADER: Final = Path(__file__).with_name("own_code.py")
_OWN: Final = "own"
_ABOUT: Final = "about.json"


def log_own(model: Any, common: dict[str, Any]) -> "ModelInfo":  # noqa: ANN401
    """Log what a model or a rule of the desk's own leaves behind; see `flavours.log_model`."""
    import mlflow.pyfunc

    kept = model.packed()
    common["pip_requirements"] = _with_imports(kept.source, common["pip_requirements"])
    files = {f"code/{kept.path}": kept.source}
    files |= {f"saved/{name}": content for name, content in kept.files.items()}
    about = {
        "name": kept.code.name,
        "place": kept.code.place,
        "strategy": kept.code.strategy,
        "parameters": dict(kept.parameters),
        "sha256": hashlib.sha256(kept.source).hexdigest(),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    with TemporaryDirectory(prefix="tradewind-") as name:
        folder = Path(name, _OWN)
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        (folder / _ABOUT).write_text(json.dumps(about, indent=2) + "\n")
        info: ModelInfo = mlflow.pyfunc.log_model(
            python_model=str(_LOADER), artifacts={_OWN: str(folder)}, **common
        )
    return info


def _with_imports(source: bytes, requirements: Sequence[str]) -> list[str]:
    """Return requirements, and the installed packages that a module imports."""
    named = {each.partition("==")[0] for each in requirements}
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module.partition(".")[0])
    installed = packages_distributions()
    found = {package for module in modules for package in installed.get(module, ())}
    return [*requirements, *(f"{each}=={version(each)}" for each in sorted(found - named))]


def load_own(uri: str, fields: "ModelFields") -> Any:  # noqa: ANN401 - as the kind has it
    """Load a model that `log_own` has logged.

    Raises
    ------
    RegistryError
        If it is no such model, or one of its files is not what was logged.
    FitError
        If its code cannot be run.
    """
    from mlflow.artifacts import download_artifacts

    from tradewind.research.code.own import OwnCode
    from tradewind.research.models.model import code_of
    from tradewind.research.models.own import OwnFiles
    from tradewind.research.strategy.code_files import file_of

    with TemporaryDirectory(prefix="tradewind-") as name:
        folder = Path(download_artifacts(uri, dst_path=name), "artifacts", _OWN)
        if not (folder / _ABOUT).is_file():
            raise RegistryError(f"{uri} holds no code of the desk's own; train it again")
        about = json.loads((folder / _ABOUT).read_bytes())
        files = {path: _read(folder / path, digest, uri)
                 for path, digest in about["files"].items()}  # fmt: skip
    code = OwnCode(about["strategy"], about["place"], about["name"])
    if fields.own_code is None or fields.own_code[1] != code.name:
        raise RegistryError(f"{uri} holds {code.name}, which its strategy does not name")
    saved = {
        path.removeprefix("saved/"): content
        for path, content in files.items()
        if path.startswith("saved/")
    }
    source = files[f"code/{file_of(code.module, Path())}"]
    kind: Any = code_of(fields)
    return kind.unpacked(OwnFiles(code, source, saved, about["parameters"]))


def _read(path: Path, digest: str, uri: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RegistryError(f"{uri}: {path.name} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise RegistryError(
            f"{uri}: {path.name} is not the file that was logged. Somebody changed it; train again"
        )
    return content
