"""Change one line of a module for as long as a block runs, to see whether a test notices."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType


@contextmanager
def mutated(module: ModuleType, old: str, new: str) -> Iterator[None]:
    """Replace the one place where `old` stands in the module's source by `new`.

    The functions stay the same objects and only get other code, so that whoever imported one runs the mutant too, and
    classes are those that everybody knows.
    """
    source = inspect.getsource(module)
    if source.count(old) != 1:
        raise AssertionError(f"{old!r} stands {source.count(old)} times in {module.__name__}")
    mutant = ModuleType(f"mutant of {module.__name__}")
    mutant.__dict__["__file__"] = module.__file__
    code = compile(source.replace(old, new), f"<mutant of {module.__name__}>", "exec")
    exec(code, mutant.__dict__)
    originals = {
        name: function.__code__
        for name, function in vars(module).items()
        if isinstance(function, FunctionType) and function.__module__ == module.__name__
    }
    try:
        for name in originals:
            vars(module)[name].__code__ = vars(mutant)[name].__code__
        yield
    finally:
        for name, code in originals.items():
            vars(module)[name].__code__ = code
