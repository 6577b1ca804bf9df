"""Pixel values as image processors of transformers make them, for prepare's own.

    python make_images.py

Writes images.json beside this file: preprocessor_config.json of each processor, pictures, and
pixel_values. Needs transformers 4.57.1, whose image processors compute with Pillow, and
Pillow 11.3.0.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from transformers import CLIPImageProcessor, DeiTImageProcessor, ViTImageProcessor

PROCESSORS = {
    "vit": ViTImageProcessor(size={"height": 6, "width": 6}),
    "vit, bicubic, one number": ViTImageProcessor(size=6, resample=3, image_mean=[0.4, 0.5, 0.6]),
    "vit, another factor": ViTImageProcessor(
        size=6, rescale_factor=1 / 127.5, image_mean=[1, 1, 1], image_std=[1, 1, 1]),
    "vit, not normalized": ViTImageProcessor(size=6, do_normalize=False),
    "deit": DeiTImageProcessor(size={"height": 8, "width": 8}, crop_size={"height": 6, "width": 6}),
    "clip": CLIPImageProcessor(size={"shortest_edge": 7}, crop_size={"height": 6, "width": 6}),
}


def main():
    draw = np.random.default_rng(0)
    pictures = [draw.integers(0, 256, shape, dtype=np.uint8)
                for shape in ((6, 6, 3), (9, 13, 3), (15, 11, 3))]
    found = []
    for name, processor in PROCESSORS.items():
        values = [processor(Image.fromarray(picture), return_tensors="np")["pixel_values"][0]
                  for picture in pictures]
        found.append({
            "name": name, "preprocessor": json.loads(processor.to_json_string()),
            "values": [np.round(value.astype(float), 5).transpose(1, 2, 0).ravel().tolist()
                       for value in values],
        })
    text = json.dumps({"pictures": [picture.tolist() for picture in pictures], "processors": found})
    Path(__file__).with_name("images.json").write_text(
        text.replace("]}, {", "]},\n{") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
