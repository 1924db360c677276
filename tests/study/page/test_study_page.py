"""The page of a study in a browser: it loads without an error and without a network, and its stepper steps."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from small_studies import ARM, PLACE, STUDY, stored, synthetic

from benchmarks.compounding_error.analysis.results import Results
from benchmarks.compounding_error.page import report
from benchmarks.compounding_error.running.cells import Cell, run
from benchmarks.compounding_error.studies.base.parts import MASKED
from benchmarks.compounding_error.studies.base.questions import QUESTIONS
from benchmarks.compounding_error.study import Study

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=5000", "--dump-dom"),
]
WATCH = "<script>window.faults = []; window.addEventListener('error', (e) => faults.push(e.message));</script>"
ACT = """<script>
const seen = {};
const now = () => ({ count: $("count").textContent, action: $("action").textContent, pop: $("pop").textContent,
  later: document.querySelectorAll("#text .later").length, now: document.querySelectorAll("#text .now").length });
const key = (name) => $("viewer").dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
seen.loaded = now();
$("begin").click(); seen.begin = now();
$("forth").click(); seen.one = now();
key("ArrowRight"); seen.two = now();
key("ArrowLeft"); seen.back = now();
key("End"); seen.end = now();
$("step").value = 1; $("step").dispatchEvent(new Event("input")); seen.slid = now();
$("agent").selectedIndex = 1; $("agent").dispatchEvent(new Event("change")); seen.other = now();
const button = document.querySelector(".legend button"); button.click();
seen.chosen = [document.body.classList.contains("chosen"), document.querySelectorAll("[data-row].on").length > 0];
seen.faults = faults;
document.title = JSON.stringify(seen);
</script>"""


@pytest.fixture(scope="module")
def page():
    study = Study("pair", "Which </script> & why?", (replace(ARM, decodings=()), MASKED), (PLACE,), seeds=1)
    records = [stored(run(Cell(arm, PLACE, 0))) for arm in study.arms]
    records[0]["trajectories"][0]["value"][0] = float("inf")
    results = Results(study, records)
    return report.page(results, {}), [r["trajectories"][0] for r in records]


def test_the_page_loads_nothing(page):
    text, _ = page
    named = re.findall(r"""\b(?:src|href)\s*=\s*["']?([^"'\s>]*)""", text)
    assert len(named) > 5
    assert all(name.startswith(("#", "data:")) for name in named)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", text)
    assert "Which &lt;/script&gt; &amp; why?" in text


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_it_loads_without_an_error_and_the_stepper_steps(page, tmp_path):
    text, (first, second) = page
    acting = text.replace("<head>", f"<head>{WATCH}").replace("</body>", f"{ACT}</body>")
    (tmp_path / "page.html").write_text(acting)
    line = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"file://{tmp_path / 'page.html'}"]
    dumped = subprocess.run(line, capture_output=True, text=True, timeout=120, check=True).stdout
    title = re.search(r"<title>(.*?)</title>", dumped, re.DOTALL)[1]
    seen = json.loads(title.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert seen["faults"] == []
    n = len(first["written"])
    assert seen["loaded"]["count"] == seen["end"]["count"] == f"step {n} of {n}"
    assert seen["begin"] == {"count": f"step 0 of {n}", "action": "–", "pop": "–", "later": n, "now": 0}
    assert seen["one"]["count"] == seen["back"]["count"] == seen["slid"]["count"] == f"step 1 of {n}"
    assert seen["one"]["action"] == f"writes {first['written'][0]}"
    assert seen["one"]["later"] == n - 1
    assert seen["two"]["count"] == f"step 2 of {n}"
    assert seen["end"]["later"] == 0
    m = len(second["written"])
    assert seen["other"]["count"] == f"step {m} of {m}"
    assert float(seen["other"]["pop"]) == pytest.approx(second["backspace"][-1], abs=1e-4)
    assert seen["chosen"] == [True, False]  # no figure was given to this page


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_on_a_narrow_screen_nothing_but_figures_and_tables_slides(tmp_path):
    study = replace(STUDY, questions=QUESTIONS)
    report.write(Results(study, synthetic(study)), tmp_path / ".")
    text = (tmp_path / "report.html").read_text()
    steps = Study("one", "A?", (replace(ARM, decodings=()),), (PLACE,), seeds=1)
    stepped = report.page(Results(steps, [stored(run(Cell(steps.arms[0], PLACE, 0)))]), {})
    for name, page in (("tables", text), ("steps", stepped)):
        # A frame of that width: the window of a headless browser has a least width of its own.
        measure = (
            "<script>addEventListener('load', () => { document.title = JSON.stringify([document.documentElement."
            "scrollWidth, innerWidth, [...document.querySelectorAll('.drawing')].map((d) => d.scrollWidth > "
            "d.clientWidth)]); parent.postMessage(document.title, '*') })</script>"
        )
        (tmp_path / f"{name}.html").write_text(page.replace("</body>", f"{measure}</body>"))
        outer = (
            f'<iframe src="{name}.html" width=390 height=800 style="border:0"></iframe>'
            "<script>addEventListener('message', (e) => { document.title = e.data })</script>"
        )
        (tmp_path / "outer.html").write_text(f"<!doctype html><title></title>{outer}")
        line = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"file://{tmp_path / 'outer.html'}"]
        dumped = subprocess.run(line, capture_output=True, text=True, timeout=120, check=True).stdout
        width, inner, sliding = json.loads(re.search(r"<title>(.*?)</title>", dumped, re.DOTALL)[1])
        assert inner == 390
        assert width <= 390, name
        assert all(sliding)
    assert text.count("<figcaption>") == text.count("<figure>") > 0
