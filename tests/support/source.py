"""Read the product's own source: its files, what each imports, how long it is."""

import ast
import sys
from collections.abc import Iterator, Set
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MLX = frozenset({"mlx", "mlx_lm", "numpy", "transformers", "tokenizers"})
WEB = frozenset({"starlette", "uvicorn"})
ALLOWED = {
    "protocol": {"msgspec", "mlxd.protocol"},
    "config": {"msgspec", "yaml", "mlxd.protocol", "mlxd.config"},
    "supervisor": {
        *WEB, "click", "httptools", "httpx", "huggingface_hub", "msgspec", "opentelemetry",
        "prometheus_client", "psutil", "python_multipart",
        "mlxd.protocol", "mlxd.config", "mlxd.supervisor",
    },
    "workers": {
        *WEB, "PIL", "av", "certifi", "greenlet", "llguidance", "misaki", "mlx", "mlx_audio", "mlx_lm", "mlx_vlm",
        "msgspec", "numpy", "scipy", "soundfile", "tokenizers", "transformers", "mlxd.protocol", "mlxd.workers",
    },
}  # fmt: skip
"""What each folder may import beside the standard library; `click` only under supervisor/cli/."""
FOLDERS = tuple(ALLOWED)


def product_files() -> list[Path]:
    """Return every Python file that ships."""
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def all_files() -> list[Path]:
    """Return every Python file of the repository."""
    rest = [path for folder in ("tests", "scripts") for path in (ROOT / folder).rglob("*.py")]
    return sorted(product_files() + rest)


def name(path: Path) -> str:
    """Return the path as the repository's map shows it."""
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    """Return the file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the full dotted name of everything imported, inside functions too.

    `from a import b` yields `a.b`: b may be a module, and a rule on `a.b` has to see it.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def top_level_imports(tree: ast.Module) -> Iterator[str]:
    """Yield what importing the module imports; function bodies and type-checking blocks are left out."""
    for node in tree.body:
        guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not guarded and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(node)


def under(module: str, prefixes: Set[str]) -> bool:
    """Tell whether a dotted name is one of the prefixes or inside one."""
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


def is_stdlib(module: str) -> bool:
    """Tell whether a dotted name belongs to Python itself."""
    return module.partition(".")[0] in sys.stdlib_module_names
