"""Matplotlib's figure as `plots` makes it. This loads Matplotlib, so it is imported last of all."""

from io import BytesIO

try:
    from matplotlib import axes, figure, ticker
except ModuleNotFoundError as error:
    # Of Matplotlib, or of a package that it needs itself: pip brings either.
    needed = "" if error.name == "matplotlib" else f", and that needs {error.name}"
    message = f"microgd.plots needs Matplotlib{needed}: pip install matplotlib"
    raise ModuleNotFoundError(message, name=error.name) from None

__all__ = ["Figure", "axes", "ticker"]


class Figure(figure.Figure):
    """Matplotlib's figure, which shows itself in Jupyter even if nobody has loaded pyplot."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()
