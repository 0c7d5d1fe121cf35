import csv
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from agelens.output.tables import COLUMNS
from served import serving

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-fake-device-for-media-stream",  # a camera that Chromium draws
]  # fmt: skip
PAGE = Path(__file__).parents[2] / "src" / "agelens" / "serving" / "page"


@pytest.fixture(scope="module")
def client(tiny_model: Path) -> Iterator[httpx.Client]:
    with serving(tiny_model, request_bytes=2_000_000) as client:
        yield client


def test_every_file_is_served_with_a_strict_content_policy(client) -> None:
    for file in PAGE.iterdir():
        answer = client.get("/" if file.name == "index.html" else f"/page/{file.name}")
        assert (answer.status_code, answer.content) == (200, file.read_bytes())
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        namespaces_only = re.sub(r"http://www\.w3\.org/\S+", "", file.read_text("utf-8"))
        assert not re.search(r"https?://|//[a-z]+\.", namespaces_only), file.name
    assert client.get("/page/../app.py").status_code == 404


@pytest.fixture(scope="module")
def browser() -> Iterator:
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    programs = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    program = next(filter(None, programs), None)
    if program is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with driver.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser, client, **context) -> Iterator:
    context = browser.new_context(**context)
    page = context.new_page()
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    ours = (str(client.base_url), "blob:")
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(ours) else wrong.append(r.url))
    page.on("console", lambda m: wrong.append(m.text) if "Security Policy" in m.text else None)
    page.goto(str(client.base_url))
    yield page
    context.close()
    assert wrong == []


@pytest.fixture(scope="module", params=[390, 1440])
def wide_page(browser, client, request) -> Iterator:
    with opened(browser, client, viewport={"width": request.param, "height": 900}) as page:
        yield page


@pytest.fixture
def page(wide_page) -> Iterator:
    wide_page.reload()
    wide_page.wait_for_selector("#model:not([hidden])")
    yield wide_page
    assert wide_page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_faces_are_shown_and_can_be_inspected(page, client, group_path, tmp_path) -> None:
    page.set_input_files("#files", group_path)
    page.wait_for_selector("#faces .face")
    answer = client.post("/v1/predict", content=group_path.read_bytes())
    faces = answer.json()["pictures"][0]["faces"]
    assert page.locator("#faces .face").count() == len(faces) >= 7
    assert page.inner_text(".age b") == str(round(faces[0]["age"]))
    assert page.locator("#face .curve").count() == 1
    page.focus("#faces .face[tabindex='0']")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".which span") == f"Face 2 of {len(faces)}"
    focused = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(focused).startswith("Face 2 of")
    page.hover("#faces .face >> nth=2")
    assert page.inner_text(".which span") == f"Face 3 of {len(faces)}"
    with page.expect_download() as got:
        page.click("#csv")
    got.value.save_as(tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text("utf-8").splitlines()))
    shown = [(tuple(row), float(row["age"]), row["status"]) for row in rows]
    assert shown == [(COLUMNS, face["age"], face["status"]) for face in faces]
    with page.expect_download() as got:
        page.click("#save")
    assert got.value.suggested_filename == "group-agelens.png"
    got.value.save_as(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (1600, 1067)


def test_many_pictures_no_face_and_a_hostile_file(page, astronaut_path, tmp_path) -> None:
    Image.new("RGB", (200, 200), "teal").save(tmp_path / "plain.png")
    (tmp_path / "hostile.jpg").write_bytes(b"\xff\xd8\xff\xe0<script>alert(1)</script>")
    named = tmp_path / "<img src=x onerror=alert(1)>.jpg"
    named.write_bytes(astronaut_path.read_bytes())
    (tmp_path / "large.jpg").write_bytes(bytes(2_000_001))
    names = ["plain.png", "hostile.jpg", named.name, "large.jpg"]
    page.set_input_files("#files", [tmp_path / name for name in names])
    page.locator("#strip .done").nth(1).wait_for()
    page.locator("#strip .failed").nth(1).wait_for()
    assert "No face found" in page.inner_text("#face")
    page.click("#strip li:nth-child(2) button")
    text = page.text_content("#face")
    assert "damaged" in text or "not a picture" in text
    page.click("#strip li:nth-child(3) button")
    assert page.inner_text("#name") == named.name
    assert page.inner_text(".which span") == "Face 1 of 1"
    page.click("#strip li:nth-child(4) button")
    assert "the limit is 2,000,000" in page.inner_text("#face")
    page.click("#clear")
    assert page.is_hidden("#result")


def test_a_folder_is_uploaded_and_its_results_can_be_copied(page, astronaut_path, tmp_path) -> None:
    folder = tmp_path / "people"
    (folder / "more").mkdir(parents=True)
    for name in ("a.jpg", "more/b.jpg"):
        (folder / name).write_bytes(astronaut_path.read_bytes())
    (folder / "notes.txt").write_text("no picture")
    page.set_input_files("#folder-files", folder)
    page.locator("#strip .done").nth(1).wait_for()
    page.wait_for_selector("#progress-box", state="hidden")
    assert page.text_content("#progress-text") == "2 of 2 pictures, 2 faces"
    assert page.text_content("#live") == "Finished: 2 of 2 pictures, 2 faces"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy")
    page.wait_for_selector("#copy:text-is('Copied')")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert [one["file"] for one in copied] == ["people/a.jpg", "people/more/b.jpg"]
    assert {"status", "reasons", "doubt"} <= set(copied[0]["faces"][0])


def test_a_format_that_the_browser_cannot_show_is_predicted(page, astronaut_path, tmp_path) -> None:
    with Image.open(astronaut_path) as image:
        image.save(tmp_path / "a.tif", compression="tiff_lzw")
    page.set_input_files("#files", tmp_path / "a.tif")
    page.wait_for_selector("#faces .face")
    page.wait_for_selector("#picture.blank", state="attached")
    assert page.inner_text(".which span") == "Face 1 of 1"
    assert page.is_disabled("#save") and page.is_enabled("#csv")


def test_colours_follow_the_system_and_the_button(browser, client) -> None:
    with opened(browser, client, color_scheme="dark") as page:
        page.wait_for_selector("html[data-theme=dark]", state="attached")
        page.click("#theme")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_a_refused_camera_shows_a_message(page) -> None:
    page.click("#camera")
    page.wait_for_selector("#camera-bad:not([hidden])")
    assert "camera" in page.inner_text("#camera-bad").lower() and page.is_hidden("#shoot")
    page.keyboard.press("Escape")
    assert page.is_hidden("#camera-box")


def test_the_camera_takes_a_picture(browser, client) -> None:
    with opened(browser, client, permissions=["camera"]) as page:
        page.click("#camera")
        page.wait_for_selector("#shoot:enabled")
        page.click("#shoot")
        page.wait_for_selector("#strip .done", state="attached")
        assert page.inner_text("#name") == "camera-1.jpg" and page.is_hidden("#camera-box")


def test_the_hint_depends_on_touch(browser, client, astronaut_path) -> None:
    for touch, hint in ((True, "Tap a face."), (False, "Point at a face")):
        with opened(browser, client, has_touch=touch, is_mobile=touch) as page:
            page.set_input_files("#files", astronaut_path)
            page.wait_for_selector("#faces .face")
            assert page.inner_text("#hint").strip().startswith(hint)


def test_a_key_is_asked_for_and_no_withheld_gender_shown(browser, tiny_model, astronaut_path):
    key = "a-key-for-the-page-only"
    service = serving(tiny_model, api_keys=(key,), gender_threshold=1.0)
    with service as client, opened(browser, client) as page:
        page.wait_for_selector("#key-form:not([hidden])")
        page.fill("#key", key)
        page.keyboard.press("Enter")
        page.wait_for_selector("#model:not([hidden])")
        page.set_input_files("#files", astronaut_path)
        page.wait_for_selector("#faces .face.neither")
        assert "not given" in page.get_attribute("#faces .face", "aria-label")
        assert re.match(r"(person|child|young person), \d+ \(", page.text_content(".label.on"))
        assert "null" not in page.inner_text("#result")
