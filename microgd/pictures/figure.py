"""The Matplotlib figure that `plots` makes. Importing this module loads Matplotlib."""

from io import BytesIO

try:
    from matplotlib import axes, figure, ticker
except ModuleNotFoundError as error:
    # What is missing is Matplotlib or a package that it needs. pip installs both.
    needed = "" if error.name == "matplotlib" else f", and that needs {error.name}"
    message = f"microgd.plots needs Matplotlib{needed}: pip install matplotlib"
    raise ModuleNotFoundError(message, name=error.name) from None

__all__ = ["Figure", "axes", "ticker"]


class Figure(figure.Figure):
    """A Matplotlib figure that shows itself in Jupyter even if pyplot was never loaded."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()
