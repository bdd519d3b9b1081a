"""A labelling page in a process of its own, and a browser without scripts."""

import html
import http.client
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit


def start(store: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """Run `textenv label` on any free port; gives the process and the address."""
    command = [sys.executable, "-m", "textenv", "label", str(store), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


class Answer:
    """What a server answered."""

    def __init__(self, status: int, headers: Mapping[str, str], text: str) -> None:
        self.status, self.headers, self.text = status, headers, text

    @property
    def to(self) -> str:
        """Where it leads."""
        return self.headers.get("location", "")

    def field(self, name: str) -> str:
        """Give the value of a hidden field."""
        (value,) = re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)"', self.text)
        return str(value)

    @property
    def texts(self) -> list[str]:
        """Give the prompt and the responses."""
        return [html.unescape(text) for text in re.findall(r'<div class="text"[^>]*>(.*?)</div>', self.text, re.DOTALL)]

    @property
    def checked(self) -> list[str]:
        """Name the radio buttons that are on, such as "rank-0=2"."""
        return ["=".join(found) for found in re.findall(r'<input type="radio" name="([\w-]+)" value="(\d)" checked', self.text)]


class Client:
    """Keeps cookies, and sends the origin along with forms.

    Args:
        address: of the page, with the token.
        name: of the annotator, under which it enters.
    """

    def __init__(self, address: str, name: str = "") -> None:
        self.cookies: dict[str, str] = {}
        self.host = urlsplit(address).netloc
        self.request("GET", f"/?{urlsplit(address).query}")
        if name:
            self.post("/name", name=name)

    def request(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        """Send one request; headers are named with _ for -, and an empty one is left out."""
        sent = {"Host": self.host, "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, path, body, {name: value for name, value in sent.items() if value})
            response = connection.getresponse()
            answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read().decode())
        finally:
            connection.close()
        for cookie in [value for name, value in response.getheaders() if name.lower() == "set-cookie"]:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def get(self, path: str = "/") -> Answer:
        return self.request("GET", path)

    def post(self, path: str, **fields: Any) -> Answer:
        form = {"Origin": f"http://{self.host}", "Content_Type": "application/x-www-form-urlencoded"}
        return self.request("POST", path, urlencode(fields), **form)
