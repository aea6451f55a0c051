"""Writes tests/data/media/text.json: lines of text as Pillow draws them with the font of Debian's fonts-wqy-microhei.

Run by hand:  python tests/reference/text_drawing.py        (needs pillow and the font)
"""

import json
import pathlib

from PIL import Image, ImageDraw, ImageFont

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "media" / "text.json"
FONT = "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"
LINES = [("高兴", 40), ("高兴", 18), ("Wave AV 0.123 s: 高兴，na\u00efve", 20), ("gy|", 33)]
LEFT, BASELINE = 3, 1.25


def drawn(text, size):
    font = ImageFont.truetype(FONT, size, layout_engine=ImageFont.Layout.BASIC)
    advance = round(font.getlength(text))
    baseline = round(BASELINE * size)
    picture = Image.new("L", (advance + 2 * LEFT, 2 * size), 0)
    ImageDraw.Draw(picture).text((LEFT, baseline), text, fill=255, font=font, anchor="ls")
    rows = [picture.crop((0, y, picture.width, y + 1)).tobytes().hex() for y in range(picture.height)]
    return {"text": text, "size": size, "left": LEFT, "baseline": baseline, "advance": advance, "rows": rows}


OUT.write_text(json.dumps([drawn(*line) for line in LINES], indent=0) + "\n")
