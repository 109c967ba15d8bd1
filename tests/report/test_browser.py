"""The report in a browser: wide and narrow, light and dark, by mouse and keyboard; nothing is fetched."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from cnnkit.report import report
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


@pytest.fixture(scope="module")
def address(tmp_path_factory, page):
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(report.html(page(pictures=[Picture(PIXEL, "images/7.png", "is cat, taken for dog")])))
    return file.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_whole_usable_and_fetches_nothing(browser, address, width, scheme):
    from axe_selenium_python import Axe
    from selenium.webdriver.common.keys import Keys

    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(address)
    end = time.monotonic() + 30
    while not browser.execute_script("return document.documentElement.dataset.drawn"):
        assert time.monotonic() < end, browser.get_log("browser")
        time.sleep(0.05)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    cell = browser.find_element("css selector", "#matrix button")
    for choose in (cell.click, lambda: cell.send_keys(Keys.ENTER)):
        browser.execute_script("document.getElementById('chosen').replaceChildren()")
        choose()
        assert "is cat, taken for dog" in browser.find_element("id", "chosen").text
        assert browser.find_element("css selector", "#chosen img").get_attribute("alt") == "images/7.png"
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert {url for url in asked if not url.startswith("data:")} == {address}
    axe = Axe(browser)
    axe.inject()
    found = axe.run()
    assert found["passes"]
    assert [entry for entry in found["violations"] if entry["impact"] in ("serious", "critical")] == []
