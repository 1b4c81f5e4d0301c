"""Drawing of QR codes."""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import segno

_PNG_WIDTH = 1000  # pixels at least: enough for print

# Drawing takes up to 250 ms. One thread of its own: many codes at once, for made-up hosts, would slow all requests.
_DRAWER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="qr")


async def qr_code(url: str, kind: str = "svg") -> bytes:
    """Return the QR code of `url` as an image of this kind, svg or png.

    It is dark on light in both themes, since scanners may not read it otherwise.
    """
    return await asyncio.get_running_loop().run_in_executor(_DRAWER, _draw, url, kind)


@lru_cache(maxsize=100)  # of 20 kB at most
def _draw(url: str, kind: str) -> bytes:
    code = segno.make_qr(url)
    image = io.BytesIO()
    if kind == "svg":
        code.save(image, kind, border=4, light="#fff", xmldecl=False, omitsize=True, svgclass=None, lineclass=None)
    else:
        modules, _ = code.symbol_size(border=4)
        code.save(image, kind, border=4, scale=-(-_PNG_WIDTH // modules))
    return image.getvalue()
