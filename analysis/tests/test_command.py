"""The command: files, formats, sizes, the page, and lines on what was left out."""

from __future__ import annotations

import contextlib
import html.parser
import io
import re
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

import pandas as pd

from .. import __main__ as command
from . import made_up

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PROBE = """<script>window.onload = () => {
  const images = [...document.images];
  document.title = images.length + " images, " + images.filter(i => i.naturalWidth > 0).length
    + " drawn";
}</script>"""


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and output of the command."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = command.main([str(argument) for argument in arguments])
    return code, output.getvalue()


class Page(html.parser.HTMLParser):
    """What a page loads, and what it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.images: dict[str, str] = {}
        self.texts: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.loaded += [str(own[key]) for key in ("src", "href", "data", "srcset") if key in own]
        self.links += [tag] if tag in ("link", "script", "iframe", "object") else []
        if tag == "img":
            self.images[str(own["alt"])] = str(own["src"])

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


class SameTextTests(unittest.TestCase):
    """Two methods that the user calls the same."""

    def test_one_line_says_what_the_runs_differ_in(self) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            folder = made_up.study(Path(temporary) / "s")
            code, text = run(folder, "--labels", "dense=ours", "--labels", "sparse=ours")
            self.assertEqual(code, 1)
            self.assertRegex(text, r"^figures: --labels: runs that differ in .* are all 'ours'\n$")
            self.assertFalse((folder / "figures").exists())


class CommandTests(unittest.TestCase):
    """A study and a run of other settings."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.temporary = tempfile.TemporaryDirectory()
        cls.runs = Path(cls.temporary.name) / "anything"
        made_up.study(cls.runs / "some <name> & more")
        made_up.write(cls.runs / "failed", [0.1], status="failed")
        cls.code, cls.text = run(cls.runs, "--format", "png,pdf", "--format", "svg")
        cls.folder = cls.runs / "figures"
        cls.names = [
            *("utility-against-communication.tiny", "paired-differences.tiny"),
            *("time-to-accuracy.tiny", "byte-ledger.tiny", "partition"),
        ]

    @classmethod
    def tearDownClass(cls) -> None:
        cls.temporary.cleanup()

    def test_each_figure_has_pictures_tables_and_a_caption(self) -> None:
        self.assertEqual(self.code, 0)
        for name in self.names:
            self.assertIn(f"made     {self.folder / name}.png", self.text)
            for end in ("png", "pdf", "svg", "csv", "tex", "txt"):
                self.assertGreater((self.folder / f"{name}.{end}").stat().st_size, 50)
            self.assertFalse(pd.read_csv(self.folder / f"{name}.csv").empty)
        for table in self.folder.glob("*.csv"):
            self.assertIn("\\toprule", table.with_suffix(".tex").read_text())
        self.assertRegex(self.text.splitlines()[-1], r"^figures: 5 made; .*index.html shows all$")

    def test_what_was_left_out_is_said_in_a_line(self) -> None:
        lines = [line for line in self.text.splitlines() if line.startswith("left out")]
        self.assertIn(
            f"left out {self.runs / 'failed'}: is not finished (status: failed)", lines
        )
        self.assertNotIn("sweep.yaml", self.text)

    def test_pictures_have_the_width_that_was_asked_for(self) -> None:
        name = self.names[0]
        content = (self.folder / f"{name}.png").read_bytes()
        self.assertEqual(struct.unpack(">I", content[16:20])[0], round(6.5 * 300))
        # 300 dots per inch are 11811 per metre.
        place = content.index(b"pHYs")
        self.assertEqual(struct.unpack(">I", content[place + 4 : place + 8])[0], 11811)
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", (self.folder / f"{name}.pdf").read_bytes())
        self.assertAlmostEqual(float(box[1]), 6.5 * 72, places=1)

    def test_fonts_are_in_the_pdf_as_truetype(self) -> None:
        content = (self.folder / f"{self.names[0]}.pdf").read_bytes()
        self.assertIn(b"/FontFile2", content)
        self.assertNotIn(b"/Type3", content)

    def test_the_page_has_every_figure_and_loads_nothing(self) -> None:
        text = (self.folder / "index.html").read_text()
        page = Page()
        page.feed(text)
        self.assertEqual(list(page.images), self.names)
        for source in page.images.values():
            self.assertTrue(source.startswith("data:image/svg+xml;base64,"))
        for address in page.loaded:
            self.assertTrue(address.startswith(("#", "data:")), address[:60])
        self.assertEqual(page.links, [])
        self.assertNotRegex(text, r"https?://|url\(|@import")
        shown = "".join(page.texts)
        self.assertIn("some <name> & more", shown)
        for word in ("Dense LoRA", "FLASC 1/10", "node-1", "0.1.0", "digest", "Left out"):
            self.assertIn(word, shown)

    @unittest.skipUnless(CHROMIUM, "chromium is not installed")
    def test_a_browser_without_network_draws_every_picture(self) -> None:
        page = self.folder / "probe.html"
        text = (self.folder / "index.html").read_text()
        page.write_text(text.replace("</body>", PROBE + "</body>"))
        with tempfile.TemporaryDirectory() as profile:
            done = subprocess.run(
                [
                    str(CHROMIUM),
                    *("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
                    "--host-resolver-rules=MAP * ~NOTFOUND",
                    f"--user-data-dir={profile}",
                    page.as_uri(),
                ],
                capture_output=True,
                text=True,
                timeout=120,
            )
        count = len(self.names)
        self.assertIn(f"<title>{count} images, {count} drawn</title>", done.stdout, done.stderr)

    def test_points_labels_baseline_and_width(self) -> None:
        output = Path(self.temporary.name) / "chosen"
        code, text = run(
            *(self.runs, "--output", output, "--format", "svg", "--width", "8cm"),
            *("--points", "sparse,nobody", "--labels", "sparse=Ours", "--baseline", "sparse"),
        )
        self.assertEqual(code, 0)
        table = pd.read_csv(output / "utility-against-communication.tiny.csv")
        self.assertEqual(set(table["label"]), {"Ours"})
        self.assertIn("left out --points nobody: no run has this name", text)
        self.assertIn("left out 2 of 4 runs: not in --points", text)
        picture = (output / "utility-against-communication.tiny.svg").read_text()
        width = float(re.search(r'<svg [^>]*?width="([\d.]+)pt"', picture)[1])
        self.assertAlmostEqual(width, 8 / 2.54 * 72, places=2)

    def test_a_name_that_no_run_has_is_said(self) -> None:
        output = Path(self.temporary.name) / "none"
        _, text = run(
            *(self.runs, "--output", output, "--format", "svg", "--points", "dense"),
            *("--baseline", "typo", "--labels", "typo=x"),
        )
        self.assertIn("left out --baseline typo: no run has this name", text)
        self.assertIn("left out --labels typo: no run has this name", text)

    def test_no_run_is_an_error(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            code, text = run(folder)
        self.assertEqual((code, text), (1, f"figures: no finished run in {folder}\n"))

    def test_figures_of_one_run_are_not_put_into_it(self) -> None:
        path = self.runs / "some <name> & more" / "dense.seed-0"
        self.assertEqual(command.output_of([path]), Path("figures"))
        self.assertEqual(command.output_of([path.parent]), path.parent / "figures")
        self.assertEqual(command.output_of([path, path]), Path("figures"))


if __name__ == "__main__":
    unittest.main()
