"""How a picture becomes an image of a corpus: colours, size, mean and deviation of the channels.

A model directory tells it by preprocessor_config.json, as transformers' image processors read it,
and by image_size and num_channels of config.json. The simulator computes
(value / 255 - mean) / std; another rescale_factor is folded into mean and std.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import MISSING, USAGE, PrepareError, one_line, shown
from ..home import directory_of
from ..tokens.tokenizer_directory import read_json
from .picture import Picture

FILE = "preprocessor_config.json"
REFUSED = ("crop_pct", "do_pad", "do_flip_channel_order", "do_color_quantize", "rescale_offset")
"""Fields that change an image in ways that are not computed here."""
SQUARE = ("ViT", "DeiT", "Beit")
"""Processors whose size of one number is height and width; of others it is the shorter edge."""
BILINEAR, BICUBIC, LAST_FILTER = 2, 3, 5
LARGEST = 4096
LONGEST = 16384
"""The longest edge of a picture that is resized before it is cut."""


@dataclass(frozen=True)
class Preparation:
    """What is done to every picture.

    `size` is the edge of an image, or None for the size that pictures have. A picture is resized to
    `resized` x `resized` pixels, or, with `keeps_shape`, so that its shorter edge has `resized`.
    Then the middle is cut out. `mean` and `std` are of the channels, or None for those of train.
    """

    channels: int
    size: int | None = None
    resized: int | None = None
    keeps_shape: bool = False
    resample: int = BICUBIC
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    normalization: str = "train"

    @property
    def request(self) -> dict[str, Any]:
        """What a request says of it."""
        return dataclasses.asdict(self)

    def image(self, source: Picture) -> Image.Image:
        """The picture in the colours and the size of the corpus. Raises PrepareError."""
        picture = source.open("L" if self.channels == 1 else "RGB")
        if self.size is None or self.resized is None:
            return picture
        width = height = self.resized
        if self.keeps_shape:
            short, long = sorted(picture.size)
            other = int(self.resized * long / short)
            width, height = (width, other) if picture.width <= picture.height else (other, height)
        if max(width, height) > LONGEST:
            raise PrepareError(
                f"{source.where} has {picture.width} x {picture.height} pixels, resized"
                f" {width} x {height}; at most {LONGEST} is known, so cut it or remove it"
            )
        if picture.size != (width, height):
            picture = picture.resize((width, height), self.resample)
        left, top = (width - self.size) // 2, (height - self.size) // 2
        if picture.size == (self.size, self.size):
            return picture
        return picture.crop((left, top, left + self.size, top + self.size))


def of_options(
    model: str | None,
    own_channels: int,
    size: int | None,
    mean: list[float] | None,
    std: list[float] | None,
    is_grey: bool,
) -> Preparation:
    """The preparation for a model, as the options change it.

    `own_channels` is taken where neither the model nor `is_grey` says how many there are.
    """
    if (mean is None) != (std is None):
        raise PrepareError("give --mean and --std together", USAGE)
    folder = model_folder(model) if model is not None else None
    config = read_json(folder / "config.json") if folder is not None else {}
    settings = read_json(folder / FILE) if folder is not None else {}
    channels = 1 if is_grey else _number(folder, config, "num_channels") or own_channels
    if channels not in (1, 3):
        raise PrepareError(
            f"{shown(folder)}/config.json: num_channels {channels}; 1 or 3 are known"
        )
    made = Preparation(channels)
    if settings:
        made = _as_processor(made, folder, settings)
    edge = size or _number(folder, config, "image_size") or made.size
    if edge is not None:
        if edge > LARGEST:
            raise PrepareError(f"images of {edge} x {edge}; at most {LARGEST} are known", USAGE)
        resized = edge
        if made.size and made.resized:
            resized = int(made.resized * edge / made.size + 0.5)
        does_resize = size is not None or settings.get("do_resize", True)
        made = dataclasses.replace(made, size=edge, resized=resized if does_resize else None)
    if mean is not None:
        given = {"mean": _each(mean, channels, "--mean"), "std": _each(std, channels, "--std")}
        made = dataclasses.replace(made, **given, normalization="given")
    if made.std is not None and min(made.std) <= 0:
        raise PrepareError("a standard deviation of a channel is not above 0; give --std", USAGE)
    return made


def model_folder(name: str) -> Path:
    """A model directory by name or path."""
    folder = directory_of(name)
    if not (folder / "config.json").is_file():
        raise PrepareError(
            f"--model {name}: {shown(folder)} has no config.json; give a model's name in"
            " CELLM_HOME, or the path of its directory with a /",
            MISSING,
        )
    return folder


def _number(folder: Path | None, config: dict[str, Any], key: str) -> int | None:
    """A whole number of config.json; of image_size [n, n] the n."""
    value = config.get(key)
    if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    if value is None or (_is_whole(value) and value > 0):
        return value
    raise PrepareError(f"{shown(folder)}/config.json: {key}: {value!r} is not one whole number")


def _is_whole(value: Any) -> bool:
    """Whether a value of JSON is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    """Whether a value of JSON is a number that colours can have: neither NaN nor huge."""
    return (_is_whole(value) or isinstance(value, float)) and abs(value) <= 1e6


def _each(values: list[float], channels: int, what: str) -> tuple[float, ...]:
    """A number for each channel; one number is for all."""
    if len(values) not in (1, channels):
        raise PrepareError(f"{what}: {len(values)} numbers for {channels} channels", USAGE)
    return tuple(values * channels if len(values) == 1 else values)


def _as_processor(made: Preparation, folder: Path, settings: dict[str, Any]) -> Preparation:
    """What preprocessor_config.json says of size and normalization."""

    def refused(cause: str) -> PrepareError:
        return PrepareError(f"{shown(folder)}/{FILE}: {cause}")

    for key in REFUSED:
        if settings.get(key):
            raise refused(
                f"{key} is not known here; prepare with --size, --mean and --std, without --model"
            )
    kind = str(
        settings.get("image_processor_type") or settings.get("feature_extractor_type") or ""
    )
    size, crop = settings.get("size"), settings.get("crop_size")
    keeps_shape = isinstance(size, dict) and size.get("shortest_edge") is not None
    does_crop = bool(settings.get("do_center_crop"))
    if _is_whole(size) and does_crop and not kind.startswith(SQUARE):
        keeps_shape = True
    resized = _edge(size, refused, "size")
    edge = _edge(crop, refused, "crop_size") if does_crop else resized
    if keeps_shape and not does_crop:
        raise refused("size has a shortest_edge without do_center_crop, so images differ in size")
    default = BILINEAR if kind.startswith("ViT") else BICUBIC
    resample = settings.get("resample", default)
    if not _is_whole(resample) or not 0 <= resample <= LAST_FILTER:
        raise refused(f"resample: {resample!r} is not a filter of Pillow, 0 to {LAST_FILTER}")
    mean, std = _normalization(settings, made.channels, refused)
    return dataclasses.replace(
        made,
        size=edge,
        resized=resized,
        keeps_shape=keeps_shape,
        resample=resample,
        mean=mean,
        std=std,
        normalization=f"model {folder.resolve().name}",
    )


def _edge(size: Any, refused: Any, key: str) -> int | None:
    """The edge that a size of a processor gives."""
    if isinstance(size, dict):
        given = {name: value for name, value in size.items() if value is not None}
        if given.get("height") != given.get("width"):
            raise refused(f"{key}: images that are not square are not known; give --size")
        if given.keys() not in ({"height", "width"}, {"shortest_edge"}):
            raise refused(f"{key}: {one_line(size, 60)} is neither height and width nor an edge")
        size = given.get("height", given.get("shortest_edge"))
    if isinstance(size, list) and len(size) == 2 and size[0] == size[1]:
        size = size[0]
    if size is not None and (not _is_whole(size) or size < 1):
        raise refused(f"{key}: {size!r} is not a number of pixels")
    return size


def _normalization(
    settings: dict[str, Any], channels: int, refused: Any
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation on the scale where 255 is 1, of what the processor rescales."""
    factor = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0
    if not _is_number(factor) or factor < 1e-6:
        raise refused(f"rescale_factor: {one_line(repr(factor), 60)} is no number above 0")
    scale = 1.0 if abs(factor * 255 - 1) < 1e-6 else 1 / (255 * factor)
    if not settings.get("do_normalize", True):
        return (0.0,) * channels, (scale,) * channels
    found = []
    for key in ("image_mean", "image_std"):
        values = settings.get(key)
        if isinstance(values, (int, float)):
            values = [values]
        if not isinstance(values, list) or not all(map(_is_number, values)):
            raise refused(f"no {key}, a list of numbers; give --mean and --std")
        if channels == 1 and len(set(values)) == 1:
            values = values[:1]
        if len(values) not in (1, channels):
            raise refused(
                f"{key}: {len(values)} numbers for {channels} channels; give --mean and --std"
            )
        found.append(tuple(float(value) * scale for value in values * (channels // len(values))))
    return found[0], found[1]
