"""Shows a picture's narrow form on a phone: NAME-narrow.svg, where it lies beside NAME.svg."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PICTURE = re.compile(r'<img [^>]*src="([^"]*/)?([^"/]+)\.svg"[^>]*>')


def on_page_content(html: str, config: Any, **_: Any) -> str:
    """Return the page with both forms of each such picture, of which a browser loads the one that fits."""
    images = Path(config.docs_dir) / "images"

    def both(found: re.Match[str]) -> str:
        folder, name = found.group(1) or "", f"{found.group(2)}-narrow.svg"
        if not (images / name).exists():
            return found.group()
        source = f'<source media="(max-width: 700px)" srcset="{folder}{name}">'
        return f'<picture class="fits">{source}{found.group()}</picture>'

    return PICTURE.sub(both, html)
