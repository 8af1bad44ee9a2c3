"""The status page in a real browser, headless Chromium, while a list has run out (S23, S58).

With SASGATE_SCREENSHOTS=FOLDER what it shows is kept there, as docs/ has it.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from raw_backend import RawBackend
from revoking_processes import (
    ADMITTED,
    REVOKED,
    TEST_CAS,
    Door,
    Gateway,
    PublisherProcess,
    gateway_on,
    write_configuration,
)
from sasgate.lab import trees
from sasgate.lab.pki import Lab
from sasgate.lab.switches import ListMode


CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="chromium is absent: apt-get install chromium chromium-driver",
)

RED = "rgba(207, 34, 46, 1)"


@pytest.fixture(scope="module")
def page(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway whose list has run out, under débrayage, after some calls."""
    folder = tmp_path_factory.mktemp("browser")
    with RawBackend() as backend, PublisherProcess(lab, folder / "publisher") as publisher:
        publisher.board.revoke("revoked")
        publisher.board.lists(ListMode.EXPIRED, trees.ORG_TEST)
        with gateway_on(configured(lab, folder / "gateway", backend, publisher), lab) as gateway:
            reason = "IGC Santé <b>is down</b>"
            done = gateway.order("disengage", "--for", "4h", "--reason", reason)
            assert done.code == 0, done.said
            assert gateway.word() == ADMITTED
            assert gateway.word("revoked") == REVOKED
            yield address(gateway)


def configured(lab: Lab, folder: Path, backend: RawBackend, publisher: PublisherProcess) -> Path:
    doors = {"test": Door({"crl": publisher.lists(*TEST_CAS)})}
    ini = write_configuration(lab, folder, backend.url, doors, revocation={"mode": "crl"})
    admin = "[sasgate]\nadmin = tcp:0:interface=127.0.0.1\n"
    ini.write_text(ini.read_text("utf-8").replace("[sasgate]\n", admin, 1), "utf-8")
    return ini


def address(gateway: Gateway) -> str:
    return f"http://localhost:{gateway.process.port('admin')}/"


@contextmanager
def browsing(language: str, *arguments: str) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",  # it runs as root where tests do
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-proxy-server",
        "--window-size=1280,1900",
        *arguments,
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"intl.accept_languages": language})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield browser
    finally:
        browser.quit()


@pytest.fixture(scope="module", params=["en", "fr"])
def shown(request: pytest.FixtureRequest, page: str) -> Iterator[tuple[str, Any]]:
    """The language, and a browser of it that shows the page."""
    with browsing(request.param) as browser:
        browser.get(page)
        yield request.param, browser


def test_it_is_in_the_language_of_the_browser(shown: tuple[str, Any]) -> None:
    language, browser = shown
    assert browser.title == {"en": "sasgate: Critical", "fr": "sasgate: Critique"}[language]
    root = browser.find_element(By.TAG_NAME, "html")
    assert root.get_attribute("lang") == language


def test_s23_debrayage_is_red_with_its_clock_and_its_reason(shown: tuple[str, Any]) -> None:
    language, browser = shown
    box = browser.find_element(By.CSS_SELECTOR, "#debrayage .box")
    assert box.is_displayed()
    assert box.value_of_css_property("background-color") == RED
    assert {"en": "DÉBRAYAGE IN FORCE", "fr": "DÉBRAYAGE EN COURS"}[language] in box.text
    assert "IGC Santé <b>is down</b>" in box.text
    assert re.fullmatch(r"3 h 5\d min", box.find_element(By.CLASS_NAME, "clock").text)


def test_s23_the_expired_list_is_red(shown: tuple[str, Any]) -> None:
    language, browser = shown
    word = {"en": "EXPIRED", "fr": "EXPIRÉE"}[language]
    marks = browser.find_elements(By.CSS_SELECTOR, "tr.critical td.mark")
    (mark,) = (each for each in marks if word in each.text)
    assert mark.is_displayed()
    assert mark.value_of_css_property("color") == RED
    row = mark.find_element(By.XPATH, "..")
    assert trees.ORG_TEST in row.text


def test_decisions_are_shown_with_their_reasons(shown: tuple[str, Any]) -> None:
    _, browser = shown
    assert "FAILED:revoked" in browser.find_element(By.TAG_NAME, "main").text


def test_bars_and_the_chart_are_drawn(shown: tuple[str, Any]) -> None:
    _, browser = shown
    for selector in (".bar rect.ok", ".hour rect.requests", ".hour rect.refusals"):
        assert browser.find_element(By.CSS_SELECTOR, selector).size["width"] > 0


def test_nothing_overflows_the_window(shown: tuple[str, Any]) -> None:
    _, browser = shown
    width = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(width) == 0


def test_s58_nothing_was_loaded_from_elsewhere_and_the_console_is_empty(
    shown: tuple[str, Any], page: str
) -> None:
    _, browser = shown
    loaded = browser.execute_script(
        "return performance.getEntriesByType('resource').map(each => each.name)"
    )
    assert all(each.startswith(page) for each in loaded)
    assert browser.get_log("browser") == []


def test_it_needs_no_script(page: str) -> None:
    with browsing("en") as browser:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        browser.get(page)
        assert browser.find_element(By.CLASS_NAME, "clock").text


def test_a_screenshot_is_kept_where_one_is_asked_for(shown: tuple[str, Any], page: str) -> None:
    language, browser = shown
    folder = os.environ.get("SASGATE_SCREENSHOTS")
    if folder:
        browser.execute_script(_WORDED_FOR_PEOPLE)
    image = browser.get_screenshot_as_png()
    assert image.startswith(b"\x89PNG")
    if folder:
        Path(folder, f"status-{language}.png").write_bytes(image)
        browser.get(page)


# What is particular to a test stands in no document.
_WORDED_FOR_PEOPLE = r"""
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
    const text = texts.currentNode;
    text.data = text.data.replace(/\/\S*\/sasgate\.ini/, "/etc/sasgate/recette.ini")
        .replace(/<.?b>/g, "");
}
"""
