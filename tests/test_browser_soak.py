"""A few turns of tests/reliability/browser_soak.py, and what it found when it ran first."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.reliability.browser_soak import call_at_random, loads, lose_devices, make_site, soak_page

from .browser import NO_CHROMIUM, chromium

pytestmark = pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("soak") / "page")


def test_nothing_stays_of_an_element_that_is_gone(chrome: Browser, page: Path) -> None:
    found = loads(chrome, page, count=3, beside=True, warm=2)
    growth = found["growth"]
    assert growth["gpuBytes"] == growth["gpuObjects"] == growth["windowListeners"] == 0, found
    # fewer is no leak: a count falls by one where the other element's badge changes meanwhile
    assert growth["nodes"] <= 0 and growth["listeners"] <= 0 and found["growth_mb"] < 1, found
    assert found["last"]["gpuBytes"] > 50_000, "the other element's are counted"
    alone = loads(chrome, page, count=1, beside=False, warm=0)["last"]
    assert alone["gpuBytes"] == alone["devices"] == 0, "the device went with the last element"


def test_a_device_may_be_lost_at_any_moment(chrome: Browser, page: Path) -> None:
    found = lose_devices(chrome, page, count=3)  # while another one is set up, an avatar is added, one is loaded
    assert found["survived"] == len(found["moments"]) == 3 and found["faults"] == [], found


def test_no_order_of_calls_breaks_the_element(chrome: Browser, page: Path) -> None:
    found = call_at_random(chrome, page, count=40, seed=3)
    assert found["isSame"] is True and found["mistakes"] == found["faults"] == [], found
    assert found["calls"] == 40 and found["refused"] > 5


def test_two_elements_with_one_file_show_the_same_person_to_the_bit(chrome: Browser, page: Path) -> None:
    """The second one's avatar is whole at once: its neutral one, uploaded later, must not replace it."""
    script = """async () => {
        const pictures = [];
        for (const shown of [soak.element(), soak.element()]) {
            await shown.complete;
            shown.setPose(1);
            shown.setCamera(soak.CAMERA);
            pictures.push(await shown.scene.readPixels());
        }
        return [pictures[0].every((value, i) => value === pictures[1][i]), pictures[0].some((value) => value > 0)];
    }"""
    with soak_page(chrome, page) as tab:
        assert tab.page.evaluate(script) == [True, True]


def test_wrong_attributes_are_told_on_the_element(chrome: Browser, page: Path) -> None:
    """Nobody can catch what an attribute throws."""
    script = """async () => {
        const shown = soak.element({pose: "-1", background: "no colour", speed: "77"});
        await shown.complete;
        const told = [shown.shadowRoot.querySelector("#message").innerText];
        for (const [name, value] of [["speed", 99], ["pose", 500]]) {
            shown[name] = value;
            told.push(shown.shadowRoot.querySelector("#message").innerText);
        }
        for (const camera of [3, "", undefined]) {
            try { shown.setCamera(camera); } catch (error) { told.push(error.name); }
        }
        for (const size of [{width: 0}, {width: 1e6}, {height: 1.5}]) {
            await shown.screenshot(size).catch((error) => told.push(error.name));
        }
        try { shown.setCamera({...soak.CAMERA, height: 1e6}); } catch (error) { told.push(error.name); }
        await shown.scene.render();
        told.push(shown.error);
        const wrong = await shown.load("http://[").catch((error) => error.code);
        return [told, wrong, shown.speed, shown.background];
    }"""
    with soak_page(chrome, page) as tab:
        told, code, *_ = tab.page.evaluate(script)
        assert "there is no frame -1" in told[0] and "found 99" in told[1] and "no frame 500" in told[2], told
        assert told[3:] == [*(7 * ["RangeError"]), None] and code == "not-found"
        assert tab.page.evaluate("() => soak.faults") == []
