"""The report in a browser: wide and narrow, light and dark, by mouse and keyboard; nothing is fetched."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

from cnnkit.report import charts, report
from cnnkit.report.page import page_of
from cnnkit.report.pictures import Picture

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromium-driver"),
]

PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAAC"


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


HOSTILE = "\u202e</script><script>alert(1)</script>\"'\n" + 300 * "x"


@pytest.fixture(scope="module", params=["a run", "names that are meant to break it", "several runs", "folds"])
def address(request, tmp_path_factory, page, joint, folds):
    file = tmp_path_factory.mktemp("report") / "report.html"
    text = HOSTILE if "names" in request.param else "cat"
    pictures = [Picture(PIXEL, "images/7.png", "is cat, taken for dog")]
    several = request.param == "several runs"
    if several:
        made = joint(HOSTILE)
    elif request.param == "folds":
        made = folds(HOSTILE, pictures)
    else:
        made = page(text, (text, "dog"), pictures=pictures)
    file.write_text(report.html(made))
    return file.as_uri(), len(made.charts), 0 if several else 1


def opened(browser, address, width=1280, scheme="light"):
    """Opens a page and waits until it has drawn itself."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    for log in ("browser", "performance"):
        browser.get_log(log)  # of the page before
    browser.get(address)
    end = time.monotonic() + 30
    while not browser.execute_script("return document.documentElement.dataset.drawn"):
        assert time.monotonic() < end, browser.get_log("browser")
        time.sleep(0.05)


def quiet(browser, address):
    """Nothing was said on the console, and nothing asked for."""
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert {url for url in asked if not url.startswith("data:")} == {address}


def accessible(browser):
    """axe-core finds no serious violation."""
    from axe_selenium_python import Axe

    axe = Axe(browser)
    axe.inject()
    found = axe.run()
    assert found["passes"]
    assert [entry for entry in found["violations"] if entry["impact"] in ("serious", "critical")] == []


BESIDE_THEIR_CELLS = """return [...document.querySelectorAll("table:not(#matrix) th[scope=row]")]
.filter((cell) => cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.textContent.slice(0, 60))"""

ROOM_BEYOND_1 = """const views = Bokeh.documents.map((d) => Bokeh.index.get_by_id(d.roots()[0].id));
const view = views.find(({ model }) => model.below[0].axis_label === "probability of the answer");
const { x_range, y_range } = view.model, { width, height } = view.frame.bbox;
return [[x_range, width], [y_range, height]].map(([at, size]) => size * (at.end - 1) / (at.end - at.start))"""


@pytest.mark.parametrize("width", [1280, 390])
def test_names_of_rows_stay_in_their_cells_and_the_largest_points_of_a_chart_in_its_frame(
    browser, tmp_path, page, width
):
    (tmp_path / "report.html").write_text(report.html(page()))
    opened(browser, (tmp_path / "report.html").as_uri(), width)
    assert browser.execute_script(BESIDE_THEIR_CELLS) == []
    assert min(browser.execute_script(ROOM_BEYOND_1)) >= charts.LARGEST / 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_whole_usable_and_fetches_nothing(browser, address, width, scheme):
    from selenium.webdriver.common.keys import Keys

    address, charts, cells = address
    opened(browser, address, width, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    frames = "return Bokeh.documents.map((d) => Bokeh.index.get_by_id(d.roots()[0].id).frame.bbox.height)"
    heights = browser.execute_script(frames)
    assert len(heights) == charts > 0 and min(heights) > 100
    buttons = browser.find_elements("css selector", "#matrix button")
    assert len(buttons) == cells
    for cell in buttons:
        for choose in (cell.click, lambda cell=cell: cell.send_keys(Keys.ENTER)):
            browser.execute_script("document.getElementById('chosen').replaceChildren()")
            choose()
            assert "is cat, taken for dog" in browser.find_element("id", "chosen").text
            assert browser.find_element("css selector", "#chosen img").get_attribute("alt") == "images/7.png"
    inks = "return Bokeh.documents.flatMap((d) => d.roots()).flatMap((p) => [...p.left, ...p.below])"
    inks = browser.execute_script(f"{inks}.map((a) => a.major_label_text_color.value ?? a.major_label_text_color)")
    assert set(inks) == {{"light": "#1a1a1a", "dark": "#ececec"}[scheme]}
    quiet(browser, address)
    accessible(browser)


COUNTED = 10
"""Classes of a matrix that is wider than a telephone."""


@pytest.fixture(scope="module")
def wide(tmp_path_factory, page):
    """A page whose matrix is full, each cell with a picture of its own."""
    file = tmp_path_factory.mktemp("wide") / "report.html"
    names = [f"quite a long name {k}" if k % 2 else f"n{k}" for k in range(COUNTED)]
    cells = {f"{i},{j}": [Picture(PIXEL, f"{i},{j}", "told")] for i in range(COUNTED) for j in range(COUNTED)}
    made = page(classes=names, counts=np.ones((COUNTED, COUNTED), int).tolist())
    file.write_text(report.html(replace(made, cells=cells)))
    return file.as_uri()


def chosen(browser):
    """The pictures that are shown of a cell."""
    return [image.get_attribute("alt") for image in browser.find_elements("css selector", "#chosen img")]


@pytest.mark.parametrize("width", [1280, 390])
def test_every_kind_of_cell_shows_its_pictures_to_a_mouse_wherever_the_matrix_was_scrolled_to(browser, wide, width):
    opened(browser, wide, width)
    last = COUNTED - 1
    kinds = [(4, 4), (0, last), (3, 0), (last, last), (5, 1), (0, 5), (8, 2), (last, 0), (2, 7), (6, 3), (0, 0)]
    for i, j in kinds:
        browser.find_element("css selector", f"[data-cell='{i},{j}']").click()  # fails where something covers it
        assert chosen(browser) == [f"{i},{j}"]


UNCOVERED = """
const it = document.activeElement, box = it.getBoundingClientRect();
return [box.left + 3, box.right - 3].every((x) => document.elementFromPoint(x, (box.top + box.bottom) / 2) === it);
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_with_the_keyboard_a_cell_is_never_behind_a_name_its_pictures_are_reached_and_escape_closes_them(
    browser, wide, width
):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys):
        for key in keys:
            ActionChains(browser).send_keys(key).perform()

    def focused():
        return browser.execute_script("return document.activeElement.dataset.cell ?? document.activeElement.id")

    opened(browser, wide, width)
    for _ in range(60):
        press(Keys.TAB)
        if focused() == "0,0":
            break
    for key in (*[Keys.ARROW_RIGHT] * (COUNTED - 1), Keys.ARROW_DOWN, *[Keys.ARROW_LEFT] * (COUNTED - 1)):
        press(key)
        assert browser.execute_script(UNCOVERED), focused()
        style = "const s = getComputedStyle(document.activeElement); return s.outlineStyle + parseFloat(s.outlineWidth)"
        assert browser.execute_script(style) == "solid3"
    press(Keys.ENTER)
    assert focused() == "1,0" and chosen(browser) == ["1,0"]
    press(Keys.TAB)
    assert focused() == "chosen"
    press(Keys.ESCAPE)
    assert focused() == "1,0" and chosen(browser) == []
    assert browser.find_elements("css selector", "[aria-pressed=true]") == []
    press(Keys.ENTER, Keys.ESCAPE)
    assert focused() == "1,0" and chosen(browser) == []


def test_arrow_keys_lead_to_the_nearest_cell_with_pictures_and_nowhere_where_there_is_none(browser, tmp_path, page):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    there = ["0,0", "0,3", "2,0", "2,2", "3,3"]
    counts = np.zeros((4, 4), int)
    for key in there:
        counts[tuple(map(int, key.split(",")))] = 1
    made = page(classes=["a", "b", "c", "d"], counts=counts.tolist())
    file = tmp_path / "report.html"
    file.write_text(report.html(replace(made, cells={key: [Picture(PIXEL, key, "told")] for key in there})))
    opened(browser, file.as_uri())
    browser.find_element("css selector", "[data-cell='0,0']").send_keys("")
    went = []
    for key in (Keys.ARROW_UP, Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_DOWN):
        ActionChains(browser).send_keys(key).perform()
        went.append(browser.execute_script("return document.activeElement.dataset.cell"))
    # From 3,3 to the left: 2,2 is one column away and one row aside, 2,0 three columns.
    assert went == ["0,0", "0,3", "3,3", "2,2", "2,0", "3,3"]


def test_what_is_unfolded_is_folded_by_escape(browser, wide):
    from selenium.webdriver.common.keys import Keys

    opened(browser, wide)
    folded = browser.find_element("css selector", "#config + details")
    summary = folded.find_element("css selector", "summary")
    summary.send_keys(Keys.ENTER)
    assert folded.get_attribute("open")
    folded.find_element("css selector", "pre").send_keys(Keys.ESCAPE)
    assert folded.get_attribute("open") is None and browser.switch_to.active_element == summary


def test_without_scripts_what_is_missing_is_said_and_the_tables_stand(browser, wide):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(wide)
        assert "JavaScript" in browser.find_element("css selector", "noscript p").text
        assert browser.find_element("id", "matrix").is_displayed()
        assert not any(each.is_displayed() for each in browser.find_elements("css selector", ".drawn, .live"))
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_on_paper_there_are_charts_and_what_is_folded_on_the_screen(browser, tmp_path, page):
    (tmp_path / "report.html").write_text(report.html(page()))
    opened(browser, (tmp_path / "report.html").as_uri(), scheme="dark")
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown = browser.find_elements("css selector", ".printed img")
    assert len(shown) == 3 and all(image.is_displayed() and image.size["height"] > 200 for image in shown)
    assert browser.find_element("css selector", ".printed p").text == "\u2014 training - - validation"
    assert browser.find_element("css selector", "details.print pre").is_displayed()
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.find_elements("css selector", ".printed, details[open]") == []


def test_of_a_thousand_classes_it_stays_small_opens_and_can_be_searched(browser, run_of, tmp_path):
    classes = [f"class {k:04} of a thousand, with a name of its own" for k in range(1000)]
    said = [k // 5 if k % 7 else (k // 5 * 3 + 1) % 1000 for k in range(5000)]
    run, of = run_of(classes=classes, each=5, said=said, size=32)
    content = report.html(page_of(run, of, [])).encode()
    assert len(content) < 8_000_000
    (tmp_path / "report.html").write_bytes(content)
    address = (tmp_path / "report.html").as_uri()
    opened(browser, address)
    assert browser.execute_script("return document.querySelectorAll('*').length") < 40_000
    first, *_ = browser.find_elements("css selector", "#pairs button")
    first.click()
    assert len(browser.find_elements("css selector", "#chosen img")) == int(first.text)
    search = browser.find_element("css selector", "section[aria-labelledby=classes] input[type=search]")
    search.send_keys("class 0421")
    rows = browser.find_elements("css selector", "section[aria-labelledby=classes] tbody tr:not([hidden])")
    assert [row.find_element("css selector", "th").text for row in rows] == [classes[421]]
    search.clear()
    browser.find_element("css selector", "section[aria-labelledby=classes] th:nth-child(4) button").click()
    recalls = browser.execute_script(
        "return [...document.querySelectorAll('section[aria-labelledby=classes] tbody tr')]"
        ".map((row) => parseFloat(row.cells[3].textContent))"
    )
    assert recalls == sorted(recalls) and len(recalls) == 1000
    quiet(browser, address)
