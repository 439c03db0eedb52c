"""The page in a real browser: hover, click, brush, zoom, legend, sort, filter, dark, print."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from analysis import fit
from analysis.forecasts import forecast_of, predict_held_out
from analysis.report import Findings, write_report
from tests.browser import CHROMIUM, Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
EVIL = "<img src=x onerror=\"document.title='owned'\"> " + "long " * 60
READY = "document.documentElement.classList.contains('ready')"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    one = Browser(tmp_path_factory.mktemp("chromium"))
    yield one
    one.close()


@pytest.fixture(scope="module")
def page(planted_runs, tmp_path_factory) -> Path:
    runs = planted_runs.assign(name=[EVIL, *planted_runs["name"][1:]])
    law = fit("chinchilla", runs, bootstrap=20)
    curves = pd.DataFrame(
        [
            (run, d * share, loss * (1.5 - share / 2))
            for run, d, loss in zip(runs["run_id"], runs["num_tokens"], runs["loss"], strict=True)
            for share in (0.1, 0.3, 1.0)
        ],
        columns=["run_id", "step", "loss"],
    )
    rows = predict_held_out(forecast_of(law), runs.tail(2))
    found = Findings(runs, fits=[law], curves=curves, holdout=rows)
    return write_report(tmp_path_factory.mktemp("page") / "r.html", found)


@pytest.fixture
def opened(browser, page):
    """The page as a reader at a desk first sees it."""
    browser.open(page.as_uri(), width=1100)
    browser.wait(READY)
    browser.frame()
    yield browser
    assert browser.problems == []


def area(browser, picture: str) -> tuple[float, float, float, float]:
    """Where a figure's first panel is in the window: left, top, width, height."""
    return tuple(
        browser.js(f"""(() => {{
            const figure = document.querySelector('[data-picture="{picture}"]');
            figure.scrollIntoView({{block: 'center'}});
            const over = figure.querySelector('.u-over').getBoundingClientRect();
            return [over.left, over.top, over.width, over.height];
        }})()""")
    )


def point(browser, picture="residuals"):
    """The place of some run's point, found by moving over the figure."""
    left, top, width, height = area(browser, picture)
    for x in range(4, int(width), 8):
        for y in range(4, int(height), 8):
            browser.mouse(left + x, top + y)
            if not browser.js("document.getElementById('tip').hidden"):
                return left + x, top + y
    raise AssertionError("no point of a run was found")


def near(browser) -> str:
    return browser.js("document.querySelector('tr.near')?.dataset.run ?? ''")


def marked(browser) -> list[str]:
    return browser.js("[...document.querySelectorAll('tr.marked')].map(r => r.dataset.run)")


def test_hover_says_the_run_and_a_click_marks_it_everywhere(opened):
    x, y = point(opened)
    run = near(opened)
    words = opened.js("document.getElementById('tip').textContent")
    row = opened.js(f"document.querySelector('tr[data-run=\"{run}\"]').textContent")
    assert "Parameters N" in words and "ln(measured / law)" in words
    assert words.split("\n")[0].strip()[:20] in row or "img src" in words
    before = opened.js("document.querySelector('[data-picture=scaling] canvas').toDataURL()")
    opened.click(x, y)
    opened.frame()
    assert marked(opened) == [run]
    assert "1 marked" in opened.js("document.querySelector('.shown').textContent")
    assert before != opened.js(
        "document.querySelector('[data-picture=scaling] canvas').toDataURL()"
    )
    opened.js(f"document.querySelector('tr[data-run=\"{run}\"]').click()")
    assert marked(opened) == []


def test_a_brush_marks_all_runs_in_it_and_a_drag_zooms(opened):
    left, top, width, height = area(opened, "residuals")
    middle = left + width / 2, top + height / 2
    canvas = "document.querySelector('[data-picture=residuals] canvas').toDataURL()"
    seen = []
    for modifiers in (8, 0):  # with and without Shift
        opened.mouse(left + 3, top + 3, "mouseMoved", "mousePressed", modifiers=modifiers)
        opened.mouse(*middle, "mouseMoved", "mouseReleased", modifiers=modifiers, held=True)
        opened.frame()
        seen.append((marked(opened), opened.js(canvas)))
    (some, whole), (still, zoomed) = seen
    assert 0 < len(some) < 30 and still == some  # a zoom marks nothing
    assert zoomed != whole
    opened.js("document.querySelector('[data-picture=residuals] .does button').click()")
    opened.frame()
    assert opened.js(canvas) == whole


def test_keys_go_through_the_runs_and_speak(opened):
    opened.js("document.querySelector('[data-picture=residuals] .place').focus()")
    opened.key("ArrowRight")
    first = near(opened)
    assert first and "Parameters N" in opened.js("document.getElementById('said').textContent")
    opened.key("ArrowRight")
    assert near(opened) != first
    opened.key("Enter")
    assert marked(opened) == [near(opened)]
    opened.key("Escape")
    assert marked(opened) == []


def test_rows_are_marked_by_keys_too(opened):
    opened.js("document.querySelector('.sortable tbody tr[tabindex=\"0\"]').focus()")
    opened.key("ArrowDown")
    opened.key("Enter")
    second = opened.js("document.querySelectorAll('.sortable tbody tr')[1].dataset.run")
    assert marked(opened) == [second]


def test_the_legend_takes_a_series_away(opened):
    button = "document.querySelector('[data-picture=scaling] .legend button')"
    canvas = "document.querySelector('[data-picture=scaling] canvas').toDataURL()"
    before = opened.js(canvas)
    opened.js(f"{button}.click()")
    opened.frame()
    assert opened.js(f"{button}.getAttribute('aria-pressed')") == "false"
    assert opened.js(canvas) != before


def test_the_run_table_is_sorted_and_filtered(opened, planted_runs):
    head = "[...document.querySelectorAll('.sortable th')].find(h => h.textContent === 'loss')"
    opened.js(f"{head}.querySelector('button').click()")
    order = "[...document.querySelectorAll('.sortable tbody tr')].map(r => r.dataset.run)"
    assert opened.js(order) == list(planted_runs.sort_values("loss")["run_id"])
    assert opened.js(f"{head}.getAttribute('aria-sort')") == "ascending"
    most = 3.2
    typed = f"loss<{most} N>100K"
    opened.js(f"""(() => {{ const i = document.querySelector('.filter input');
        i.value = {json.dumps(typed)}; i.dispatchEvent(new Event('input')); }})()""")
    left = planted_runs[(planted_runs["loss"] < most) & (planted_runs["num_params"] > 1e5)]
    shown = (
        "[...document.querySelectorAll('.sortable tbody tr')].filter(r => r.offsetParent).length"
    )
    assert opened.js(shown) == len(left) > 0
    assert f"{len(left)} of 30 runs" in opened.js("document.querySelector('.shown').textContent")


def test_every_button_that_saves_gives_its_file(opened, planted_runs, tmp_path):
    opened.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))

    def saved(selector, text, name):
        found = f"[...document.querySelectorAll({json.dumps(selector)})]"
        opened.js(f"{found}.find(b => b.textContent === {text!r}).click()")
        end = time.monotonic() + 20
        while not (tmp_path / name).exists():
            assert time.monotonic() < end, f"{text} gave no {name}: {[*tmp_path.iterdir()]}"
            time.sleep(0.05)
        return (tmp_path / name).read_text(encoding="utf-8")

    table = pd.read_csv(io.StringIO(saved(".tools a", "CSV", "runs.csv")))
    assert table["loss"].tolist() == pytest.approx(planted_runs["loss"].tolist(), rel=1e-11)
    assert len(json.loads(saved(".tools a", "JSON", "report.json"))["runs"]) == len(planted_runs)
    figure = "figure[data-picture=frontier] .does button"
    numbers = pd.read_csv(io.StringIO(saved(figure, "CSV", "frontier.csv")))
    drawn = numbers[numbers["series"] == "runs"].set_index("run_id").loc[planted_runs["run_id"]]
    assert drawn["y"].tolist() == pytest.approx(planted_runs["loss"].tolist(), rel=1e-3)
    svg = ElementTree.fromstring(saved(figure, "SVG", "frontier.svg"))
    assert svg.tag.endswith("svg") and "var(--" not in ElementTree.tostring(svg, "unicode")


def test_names_are_words_and_long_ones_are_cut(opened):
    assert opened.js("document.title") == "Scaling laws"
    assert opened.js("document.querySelectorAll('img').length") == 0
    cut = "document.querySelector('tr[data-run] td[title]')"
    assert opened.js(f"{cut}.title") == EVIL
    assert len(opened.js(f"{cut}.textContent")) <= 48


CONTRAST = """(() => {
  const rgb = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = rgb(c).map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (rgb(c).length === 3 || rgb(c)[3] > 0.9) return c; } return 'rgb(255,255,255)'; };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const low = [], main = document.querySelector('main');
  const walk = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) { const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !e.offsetParent || e.closest('svg')) continue;
    const c = ratio(light(getComputedStyle(e).color), light(ground(e)));
    if (c < 4.5) low.push([c.toFixed(2), e.tagName, walk.currentNode.data.slice(0, 30)]); }
  const style = getComputedStyle(document.documentElement), box = document.createElement('i');
  document.body.append(box);
  const card = light(ground(document.querySelector('.card')));
  const drawn = 's0 s12 s23 blue orange green vermilion purple muted';
  for (const name of drawn.split(' ')) {
    box.style.color = style.getPropertyValue('--' + name);
    const c = ratio(light(getComputedStyle(box).color), card);
    if (c < 3) low.push([c.toFixed(2), name]); }
  box.remove();
  return low;
})()"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1100, 740, 390])
def test_it_is_read_at_every_width_light_and_dark(browser, page, width, dark):
    """WCAG 2.2 AA: 4.5 to 1 for text, 3 to 1 for what is drawn; nothing beside the window."""
    browser.open(page.as_uri(), width=width, dark=dark)
    browser.wait(READY)
    assert browser.js(CONTRAST) == []
    assert browser.js("document.documentElement.scrollWidth") <= width
    # The run table, with a column for every option, is scrolled where it is no list of cards.
    kind = "table:not(.sortable) td" if width == 740 else "td"
    cells = f"[...document.querySelectorAll('{kind}')].filter(c => c.offsetParent)"
    window = "c.closest('.scroll').getBoundingClientRect().right"
    out = f"{cells}.filter(c => c.getBoundingClientRect().right > {window} + 1).length"
    assert browser.js(out) == 0
    assert browser.js(f"{cells}.filter(c => c.scrollWidth > c.clientWidth + 1).length") == 0
    tops = "[...document.querySelectorAll('[data-picture=plan] .panel')].map(p => p.offsetTop)"
    assert len(set(browser.js(tops))) == (3 if width < 760 else 1)
    assert browser.problems == []


@pytest.mark.slow  # nothing in the page keeps somebody out; axe takes seconds a page
@pytest.mark.parametrize(("width", "dark"), [(1100, False), (1100, True), (390, False)])
def test_axe_finds_no_barrier(browser, page, width, dark):
    pytest.importorskip("axe_core_python")
    browser.open(page.as_uri(), width=width, dark=dark)
    browser.wait(READY)
    assert browser.barriers() == []


def test_without_scripts_the_still_pictures_stand(browser, page):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page.as_uri())
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    shown = "[...document.querySelectorAll('.stills svg')].filter(s => s.clientWidth > 100).length"
    assert browser.js(shown) == 9
    assert browser.js("document.querySelector('.filter').offsetParent") is None


def test_it_prints_whole(opened, tmp_path):
    opened.call("Emulation.setEmulatedMedia", media="print", features=[])
    opened.size(720)
    opened.call("Emulation.setEmulatedMedia", media="print", features=[])
    fits = (
        "[...document.querySelectorAll('.scroll')].filter(s => s.scrollWidth > s.clientWidth + 1)"
    )
    assert opened.js(f"{fits}.length") == 0
    rows = "document.querySelector('.runs .scroll')"
    assert opened.js(f"{rows}.scrollHeight <= {rows}.clientHeight + 1")
    assert opened.js("[...document.querySelectorAll('.stills svg')].every(s => s.clientWidth > 50)")
    end = "getComputedStyle(document.querySelector('footer')).breakBefore"
    assert opened.js(end) == "avoid"  # with what stands before it, and nothing after it
    assert opened.js("document.querySelector('footer').getBoundingClientRect().bottom") == (
        opened.js("document.querySelector('main').getBoundingClientRect().bottom")
    )
    assert opened.js("['said', 'tip'].every(i => !document.getElementById(i).clientHeight)")
    opened.pdf(tmp_path / "r.pdf")
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")
    opened.call("Emulation.setEmulatedMedia", media="", features=[])
