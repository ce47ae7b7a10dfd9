"""How does a photo become what the network has learned to read?

The network has learned from digits that were all prepared in one way: ink 1 on paper 0, 20 pixels
high or wide, and the centre of mass in the middle of 28 × 28. A photo has to become like them.
"""

# %% The photo: one digit, and no frame. Without --image the program draws one.
import sys

import figures.photo
import networks
import numpy as np
import program
from PIL import Image, ImageDraw, ImageOps

from microgd import data, nn

parser = program.parser(__doc__)
parser.add_argument("--image", metavar="FILE", help="a photo or drawing of one digit")
parser.add_argument("--load", metavar="PATH", help="a network from digits.py --save PATH")
networks.add_options(parser, epochs=10)
options = program.options(parser)


def drawing_of_seven():
    """A 7, small and low on a sheet of grey paper on which the light is uneven."""
    light = np.linspace(190, 230, 300) * np.ones((400, 1))
    page = Image.fromarray(light.astype(np.uint8))
    pen = ImageDraw.Draw(page)
    pen.line([(60, 205), (150, 200), (100, 340)], fill=60, width=14, joint="curve")
    return page


def opened(path):
    """The picture in a file, upright, with red, green, blue and opacity for each pixel."""
    with Image.open(path) as file:
        picture = ImageOps.exif_transpose(file).convert("RGBA")
    picture.thumbnail((400, 400))
    return picture


# %% The steps. First, ink is what is unlike the edge of the picture, so the colours don't matter.
def ink_of(picture):
    """From 0 for paper to 1 for ink."""
    colours = np.asarray(picture, float)
    edge = np.concatenate([colours[0], colours[-1], colours[:, 0], colours[:, -1]])
    difference = np.linalg.norm(colours - np.median(edge, axis=0), axis=2)
    if difference.max() < 60:  # of 510
        raise ValueError("there is nothing on it that stands out")
    # What is faint, an eighth of the strongest or less, is shadow.
    return np.clip(1.3 * difference / difference.max() - 0.15, 0, 1)


def cropped(ink):
    """The ink alone, without the paper around it."""
    rows = np.flatnonzero(ink.max(axis=1) > 0.3)
    columns = np.flatnonzero(ink.max(axis=0) > 0.3)
    if not len(rows) or not len(columns):
        raise ValueError("the ink on it is too faint")
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def in_box_of_20(ink):
    """The ink at a size at which its longer side is 20 pixels."""
    height, width = ink.shape
    scale = 20 / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = Image.fromarray(ink.astype(np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))


def centre_of_mass(ink):
    """Its row and its column."""
    rows, columns = np.indices(ink.shape)
    return np.average(rows, weights=ink), np.average(columns, weights=ink)


def centred(small):
    """28 × 28 pixels with the centre of mass of the ink as near to the middle as it can be."""
    height, width = small.shape
    if max(height, width) > 28:
        raise ValueError(f"{width} × {height} pixels do not fit into 28 × 28")
    row, column = centre_of_mass(small)
    top = np.clip(round(13.5 - row), 0, 28 - height)
    left = np.clip(round(13.5 - column), 0, 28 - width)
    image = np.zeros((28, 28), np.float32)
    image[top : top + height, left : left + width] = small
    return image


try:
    picture = opened(options.image) if options.image else drawing_of_seven().convert("RGBA")
    ink = ink_of(picture)
    small = in_box_of_20(cropped(ink))
    image = centred(small)
except (OSError, ValueError) as error:
    sys.exit(f"{f'--image {options.image}' if options.image else 'the drawing'}: {error}")
# For comparison: only made smaller, with black paper and white ink if the paper is the lighter.
grey = np.asarray(picture.convert("L").resize((28, 28)), np.float32) / 255
shrunk = 1 - grey if np.median(grey) > 0.5 else grey

# %% A network: loaded, or trained now
if options.load:
    model = networks.last_in(options.load)
else:
    model = networks.trained(options, nn.cross_entropy, data.digits().train)
NAME = networks.name_of(*networks.parts_of(model))

# %% What does it say?
p, p_shrunk = networks.probabilities(model, np.stack([image, shrunk]).reshape(2, 784))
SAYS, SAYS_SHRUNK = p.argmax(), p_shrunk.argmax()
print("\n".join(networks.as_text(image)))
program.say(
    f"{options.image or 'The drawing'}: the network {NAME} says {SAYS}, with a probability of",
    f"{p.max():.0%}. Of the same picture that is only made smaller, it says {SAYS_SHRUNK}",
    f"({p_shrunk.max():.0%}).",
)
program.say("It has an answer for anything, even if there is no digit on the picture.")
centre = centre_of_mass(image)
off = np.abs(np.array(centre) - 13.5).max()
pictures = {
    "1. The picture": picture,
    "2. Ink: what is unlike the edge": ink,
    f"3. Cut out, {small.shape[1]} × {small.shape[0]} pixels": small,
    f"4. Centre of mass (+) {'in' if off < 1 else 'near'} the middle": image,
    "Instead: only made smaller": shrunk,
}
program.save(figures.photo.draw(pictures, centre, p, p_shrunk), options.out / "photo.png")
