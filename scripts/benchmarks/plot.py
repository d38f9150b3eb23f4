"""Draw what a report wants to show."""

from pathlib import Path

from benchmarks.report import Report


def draw(report: Report, path: Path) -> None:
    """Write a PNG; raises RuntimeError where there is nothing to draw or to draw with."""
    if report.plot is None:
        raise RuntimeError("this benchmark draws nothing")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeError("drawing needs matplotlib: pip install 'mlxd[bench]'") from error
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name, points in report.plot.lines.items():
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=name)
    axes.set(title=report.title, xlabel=report.plot.x, ylabel=report.plot.y)
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(path, dpi=120)
