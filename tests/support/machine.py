"""Stand for a machine with little memory, of which each process takes what the test says."""

from collections import Counter
from dataclasses import dataclass, field

from support.launcher import FakeLauncher

from mlxd.supervisor.budget.budget import Budget, Gauges
from mlxd.supervisor.budget.costs import Costs
from mlxd.supervisor.clock import Clock, SystemClock

MB = 1 << 20


@dataclass
class Machine:
    """Measure processes of a fake launcher: each takes `each` bytes unless said otherwise."""

    launcher: FakeLauncher
    budget: int = 1000 * MB
    total: int = 2000 * MB
    each: int = 200 * MB
    footprints: dict[int, int] = field(default_factory=dict)
    costs: Costs = field(default_factory=Costs)
    readings: Counter[str] = field(default_factory=Counter)
    others: list[int] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    """What the next readings of what is available raise, one after the other."""

    def footprint(self, pid: int) -> int:
        """Return what a process takes, 0 where it is gone."""
        self.readings["footprint"] += 1
        return self.taken(pid)

    def taken(self, pid: int) -> int:
        """Return the same, without counting."""
        alive = any(child.pid == pid for child in self.launcher.alive)
        return self.footprints.get(pid, self.each) if alive else 0

    def available(self) -> int:
        """Return what no process takes."""
        self.readings["available"] += 1
        if self.failures:
            raise self.failures.pop()
        return self.total - sum(self.taken(child.pid) for child in self.launcher.alive)

    def make_budget(self, clock: Clock | None = None, *, wire: bool = False) -> Budget:
        """Return what a pool decides by."""
        gauges = Gauges(
            budget=lambda: self.budget,
            recommended=lambda: self.total,
            available=self.available,
            footprint=self.footprint,
            peak=lambda pid: 2 * self.taken(pid),
            others=lambda: self.others,
        )
        return Budget(gauges, self.costs, clock or SystemClock(), wire=wire)
