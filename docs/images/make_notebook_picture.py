"""Make `notebook.png`, which shows the example notebook's bar and table for 300 jobs.

Voila runs the notebook on its built-in server, and a Chromium without a window shows it. In a
clone, with Chromium installed (Debian and Ubuntu: `apt-get install chromium`):

    pip install -e ".[progress]" ipykernel ipywidgets pillow playwright voila
    python docs/images/make_notebook_picture.py
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).with_name("notebook.png")
NOTEBOOK = Path(__file__).parents[2] / "examples" / "cancel_jobs.ipynb"
CELL = "bulk.delete_jobs(api, run_uids)"
LAST_TEXT = "Not all jobs were cancelled"
WIDTH = 800
# Sharp on dense screens, and few colors for a small file.
SCALE, COLORS = 2, 32


def screenshot(url: str) -> bytes:
    """Open the notebook, which runs it, and return the picture of the cell."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": WIDTH, "height": 600}, device_scale_factor=SCALE)
        page.goto(url)
        page.get_by_text(LAST_TEXT).wait_for()
        cell = page.locator(".jp-Cell", has_text=CELL)
        cell.get_by_text("300/300").wait_for()
        return cell.screenshot()


def main() -> None:
    """Run Voila for as long as the screenshot takes, and write the file."""
    # Without a host, the notebook starts its own server.
    environment = {name: os.environ[name] for name in os.environ if name != "TATOR_HOST"}
    command = [sys.executable, "-m", "voila", str(NOTEBOOK)]
    command += ["--no-browser", "--strip_sources=False"]
    voila = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    with voila:
        try:
            assert voila.stderr
            url = next(filter(None, (re.search(r"http://\S+", line) for line in voila.stderr)))[0]
            picture = Image.open(io.BytesIO(screenshot(url)))
        finally:
            voila.terminate()
    picture.convert("RGB").quantize(COLORS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
