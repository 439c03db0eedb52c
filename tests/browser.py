"""A headless Chromium, driven over a pipe by its own protocol; nothing to install beside it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser")) if p), None)
FLAGS = """
--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync
--remote-debugging-pipe --force-device-scale-factor=1 --hide-scrollbars
"""
HERE = ("file:", "data:", "blob:", "http://127.0.0.1", "http://mlflow.localhost")


class Browser:
    """One page of a Chromium of its own.

    Parameters
    ----------
    profile : Path
        A new, empty folder.
    """

    def __init__(self, profile: Path) -> None:
        there, mine = os.pipe(), os.pipe()
        self._write, self._read = there[1], mine[0]

        def pipes() -> None:  # Chromium reads from 3 and writes to 4
            ends = os.dup(there[0]), os.dup(mine[1])
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self._process = subprocess.Popen(
            [str(CHROMIUM), *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=pipes,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(there[0])
        os.close(mine[1])
        self._id, self._kept, self._session = 0, b"", ""
        self.problems: list[str] = []
        [page] = [t for t in self._targets() if t["type"] == "page"]
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _targets(self) -> list[dict[str, Any]]:
        for _ in range(100):
            found: list[dict[str, Any]] = self.call("Target.getTargets")["targetInfos"]
            if any(t["type"] == "page" for t in found):
                return found
            time.sleep(0.05)
        raise AssertionError("Chromium has no page")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol; what it answers."""
        self._id += 1
        message: dict[str, Any] = {"id": self._id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._id:
                assert "error" not in answer, (method, answer["error"])
                return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._kept:
            got = os.read(self._read, 1 << 20)
            assert got, "Chromium has gone"
            self._kept += got
        text, _, self._kept = self._kept.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.problems.append(json.dumps(message["params"])[:500])
        if message.get("method") == "Network.requestWillBeSent":
            address = message["params"]["request"]["url"]
            if not address.startswith(HERE):
                self.problems.append(f"asked the network: {address}")
        return message

    def open(self, address: str, width: int = 1100, height: int = 900, dark: bool = False) -> None:
        """Go to a page and wait until it is loaded."""
        self.size(width, height, dark)
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def size(self, width: int, height: int = 900, dark: bool = False) -> None:
        """Set the window's size and the reader's preference."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)  # fmt: skip
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 20) -> None:
        """Wait until a condition holds in the page."""
        end = time.monotonic() + seconds
        while not self.js(f"Boolean({condition})"):
            assert time.monotonic() < end, f"not within {seconds} s: {condition}"
            time.sleep(0.03)

    def frame(self) -> None:
        """Wait until what was changed is drawn."""
        self.js("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def barriers(self) -> list[str]:
        """What axe-core finds in the page against WCAG 2, A and AA: rule and place."""
        axe = files("axe_core_python") / "axe.min.js"
        self.js(axe.read_text(encoding="utf-8") + "; null")
        rules = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
        found: list[str] = self.js(f"""axe.run({{runOnly: {json.dumps(rules)}}}).then(all =>
            all.violations.flatMap(one => one.nodes.map(node => `${{one.id}}: ${{node.html}}`)))""")
        return found

    def mouse(
        self, x: float, y: float, *kinds: str, modifiers: int = 0, held: bool = False
    ) -> None:
        """Move there, or press and release there: ``mouseMoved``, ``mousePressed``, ..."""
        for kind in kinds or ("mouseMoved",):
            idle = kind == "mouseMoved" and not held
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, modifiers=modifiers,
                button="none" if idle else "left", buttons=int(held), clickCount=1,
            )  # fmt: skip

    def click(self, x: float, y: float) -> None:
        """Click at a place."""
        self.mouse(x, y, "mouseMoved", "mousePressed", "mouseReleased")

    def key(self, key: str) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key)

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """The page as a PNG."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it is printed."""
        answer = self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)
