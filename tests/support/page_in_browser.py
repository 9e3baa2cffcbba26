"""A person at the page of `svg-pyro serve`: page_in_browser.py URL VIDEO BROWSER.

A program of its own: what playwright leaves open is not the tests'.
"""

import sys

from playwright.sync_api import sync_playwright

if __name__ == "__main__":
    address, video, browser_path = sys.argv[1:]
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox"]
        )
        view = browser.new_page(viewport={"width": 1400, "height": 1000})
        view.goto(address, timeout=120_000)
        # The page opens with the futures of the first clip.
        view.locator("#look_1-gif").wait_for(timeout=120_000)
        view.locator("#look_1-png").wait_for(timeout=60_000)
        wide = "e => e.decode().then(() => e.naturalWidth)"
        print(view.locator("#look_1-gif").evaluate(wide))
        print(view.get_by_text("4 futures after 5 given frames. PSNR").count())
        view.set_input_files("input[type=file]", video)
        view.get_by_text("mine").first.wait_for(timeout=60_000)
        view.get_by_role("button", name="Show futures").click()
        view.locator("#look_2-gif").wait_for(timeout=120_000)
        print(view.locator("#look_2-gif").evaluate(wide))
        # On a telephone a picture is moved sideways; the page is not.
        view.set_viewport_size({"width": 400, "height": 900})
        print(view.evaluate("document.documentElement.scrollWidth"))
        print(view.locator("#look_2-gif").evaluate("e => e.clientWidth > 600"))
        browser.close()
