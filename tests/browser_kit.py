"""A headless Chromium, driven through chromedriver: what tests of pages need of WebDriver, and no more.

Everything here blocks and is bounded in time; trio tests go through `trio.to_thread.run_sync`.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 20.0
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key under which WebDriver says which element it means."""

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",  # tests may run as root, in a container
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--force-prefers-reduced-motion",
]


def why_not():
    """What is missing for a browser on this machine, or None."""
    for program in ("chromium", "chromedriver", "certutil"):
        if not shutil.which(program):
            return f"no {program} here; as root on Debian: python3 tests/browser/install.py"
    return None


class Page:
    """One window of a browser."""

    def __init__(self, address, session):
        self._base = f"http://{address}/session/{session}"

    def _ask(self, method, path, **arguments):
        body = json.dumps(arguments).encode() if method == "POST" else None
        request = urllib.request.Request(f"{self._base}/{path}".rstrip("/"), body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            told = json.load(error)["value"]
            raise AssertionError(f"{told['error']}: {told['message'].splitlines()[0]}") from None

    def go(self, url):
        self._ask("POST", "url", url=url)

    def reload(self):
        self._ask("POST", "refresh")

    def run(self, script, *args):
        """What a script `return`s."""
        return self._ask("POST", "execute/sync", script=script, args=list(args))

    def resize(self, width, height):
        self._ask("POST", "window/rect", width=width, height=height)

    def type(self, selector, text):
        """Type into a field as a person would; the end of a line is the key Enter."""
        found = self._ask("POST", "element", using="css selector", value=selector)[ELEMENT]
        self._ask("POST", f"element/{found}/value", text=text.replace("\n", "\ue007"))

    def click(self, selector):
        found = self._ask("POST", "element", using="css selector", value=selector)[ELEMENT]
        self._ask("POST", f"element/{found}/click")

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def until(self, script, *args, seconds=PATIENCE):
        """Wait until what a script returns is true, and return it."""
        end = time.monotonic() + seconds
        while not (found := self.run(script, *args)):
            assert time.monotonic() < end, f"{script} is not true within {seconds:g} s; {self.look()}"
            time.sleep(0.05)
        return found

    def until_text(self, selector, text, seconds=PATIENCE):
        self.until(
            "return (document.querySelector(arguments[0])?.innerText ?? '').includes(arguments[1])",
            selector,
            text,
            seconds=seconds,
        )

    def look(self):
        """What is on the page, for people."""
        return "the page shows: " + " | ".join(self.text("body").splitlines())

    def complaints(self):
        """What the browser itself has found wrong since it was last asked."""
        entries = self._ask("POST", "se/log", type="browser")
        return [entry["message"] for entry in entries if entry["level"] in {"WARNING", "SEVERE"}]

    def screenshot(self, path):
        Path(path).write_bytes(base64.b64decode(self._ask("GET", "screenshot")))

    def close(self):
        self._ask("DELETE", "")


@contextmanager
def browser(home, *, authority=None):
    """A function that opens pages, each in a browser of its own.

    Args:
        home: a folder for all that they keep.
        authority: path of a CA certificate (PEM) that they trust as any other.
    """
    if authority is not None:
        _trust(home, authority)
    with _driver(home) as address:
        pages = []

        def open_page(width=1100, height=800):
            arguments = [
                *ARGUMENTS,
                f"--window-size={width},{height}",
                f"--user-data-dir={home}/{len(pages)}",
            ]
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": {"args": arguments, "binary": shutil.which("chromium")},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            body = json.dumps({"capabilities": {"alwaysMatch": wanted}}).encode()
            with urllib.request.urlopen(f"http://{address}/session", body, timeout=2 * PATIENCE) as answer:
                pages.append(Page(address, json.load(answer)["value"]["sessionId"]))
            return pages[-1]

        try:
            yield open_page
        finally:
            for page in pages:
                page.close()


def _trust(home, authority):
    store = f"sql:{home}/.pki/nssdb"
    (Path(home) / ".pki/nssdb").mkdir(parents=True)
    subprocess.run(["certutil", "-d", store, "-N", "--empty-password"], check=True)
    options = ["-A", "-t", "C,,", "-n", "test", "-i", authority]
    subprocess.run(["certutil", "-d", store, *options], check=True)


@contextmanager
def _driver(home):
    environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": f"{home}/config"}
    process = subprocess.Popen(
        ["chromedriver", "--port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        port = next(line.split()[-1].rstrip(".") for line in process.stdout if "started successfully" in line)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)
        process.stdout.close()
