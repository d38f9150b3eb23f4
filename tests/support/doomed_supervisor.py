"""Be a supervisor that is about to be killed: start one scripted child, say its pid once it is ready, and wait.

Run as a script by the chaos tests: `python -P doomed_supervisor.py <tests folder> <socket>`.
"""

import asyncio
import sys

from mlxd.protocol import control
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.supervisor.lifecycle.process import Callbacks, SpawnLauncher


async def main(socket: str) -> None:
    """Start the child and never end."""
    ready = asyncio.Event()

    def on_message(message: control.FromWorker) -> None:
        if isinstance(message, control.Hello):
            child.send(control.Start(spec))
        elif isinstance(message, control.Ready):
            ready.set()

    spec = WorkerSpec(model_id="a", kind=ModelKind.TEXT, path="/nowhere", socket=socket)
    callbacks = Callbacks(on_message, lambda chunk: None, lambda code: None)
    child = SpawnLauncher("support.child:run").start("a", callbacks)
    await ready.wait()
    print(child.pid, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.path.append(sys.argv[1])
    asyncio.run(main(sys.argv[2]))
