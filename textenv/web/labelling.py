"""The labelling page: a prompt with its responses in an order of chance, ranked from the keyboard.

Every form is answered by a redirect once what it says is on the disk, so that a page can be reloaded, left and sent twice.
"""

import math
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, quote, unquote

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from textenv.errors import ArgumentError, OrderError, TextenvError
from textenv.preferences.agreement import agreement
from textenv.preferences.comparison import RATINGS
from textenv.preferences.names import clean_name
from textenv.preferences.store import ComparisonStore

BODY_BYTES: Final = 65536
"""That a form may have; ours have some hundred."""
NAME_LENGTH: Final = 64
"""Of an annotator's name, in characters."""

_FILES: Final = {"label.js": "text/javascript", "label.css": "text/css"}
_MESSAGES: Final = {
    "again": "That one had been judged before, and the first judgement stays; Undo takes it back.",
    "gone": "That judgement was not taken: it had been undone, or came in another way.",
    "other": "That judgement was not taken: its page was shown to another annotator. Open your own address again.",
    "ranks": "Every response needs a rank, or choose “Cannot tell”.",
    "name": f"A name has 1 to {NAME_LENGTH} characters. None of them may be invisible, such as a control character or a mark of direction.",
}
# What the radio buttons and the hidden fields of a page send; int would take signs, underscores and the digits of other scripts.
_NUMBER: Final = re.compile(r"[0-9]{1,5}")


async def read_form(request: Request) -> dict[str, str]:
    """Read the fields of a form."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES:
            raise HTTPException(413, f"A form has at most {BODY_BYTES} bytes.")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


Form = Annotated[dict[str, str], Depends(read_form)]


class LabellingPage:
    """What the page answers.

    Args:
        store: of the comparisons.
        port: of the server; it is in the name of the cookie that holds the annotator's name.
        overlap: how many annotators are to judge each item.
        ratings: ask for a rating of each response too.
        instructions: by what to judge, a text that is shown with every item.
    """

    def __init__(self, store: ComparisonStore, *, port: int, overlap: int, ratings: bool, instructions: str = "") -> None:
        self._store, self._overlap, self._ratings, self._instructions = store, overlap, ratings, instructions
        self._cookie = f"textenv-annotator-{port}"
        self._templates = Environment(
            loader=PackageLoader("textenv.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )

    def app(self) -> FastAPI:
        """Make the application; it expects a `Guard` in front of it."""
        app = FastAPI(openapi_url=None, telemetry={"auto_configure": False})  # nothing is sent, whatever the environment says
        app.get("/")(self.show)
        app.get("/name")(self.ask_name)
        app.post("/name")(self.take_name)
        app.post("/label")(self.label)
        app.post("/undo")(self.undo)
        app.get("/progress")(self.progress)
        app.get("/static/{name}")(self.static)
        app.add_exception_handler(TextenvError, _tell_error)
        return app

    def show(self, request: Request) -> Response:
        """Show the annotator's item, or that there is none."""
        annotator = self._annotator(request)
        if not annotator:
            return self.ask_name(request)
        lease = self._store.lease(annotator, overlap=self._overlap)
        progress = self._store.progress(overlap=self._overlap)
        common = {
            "annotator": annotator,
            "is_bound": bool(request.state.annotator),
            "progress": progress,
            "open_to": self._store.open_to(annotator, overlap=self._overlap),
            "last": self._store.last(annotator),
            "message": _message(request),
        }
        if lease is None:
            return self._page("done.html", **common)
        letters = [_letter(place) for place in range(len(lease.responses))]
        ratings = range(RATINGS[0], RATINGS[1] + 1) if self._ratings else ()
        return self._page("label.html", **common, lease=lease, letters=letters, ratings=ratings, instructions=self._instructions)

    def ask_name(self, request: Request) -> Response:
        """Ask who is there."""
        _refuse_bound(request)
        return self._page("name.html", annotator=self._annotator(request), longest=NAME_LENGTH, message=_message(request))

    def take_name(self, request: Request, form: Form) -> Response:
        """Keep the annotator's name in a cookie."""
        _refuse_bound(request)
        try:
            name = page_name(form.get("name", ""))
        except ArgumentError:
            return RedirectResponse("/name?name", 303)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._cookie, quote(name), max_age=10**8, httponly=True, samesite="strict")
        return answer

    def label(self, request: Request, form: Form) -> Response:
        """Keep a judgement."""
        annotator = self._annotator(request)
        try:
            ranks = None if "cannot_tell" in form else _dense(_numbers(form, "rank"))
            ratings = _numbers(form, "rating")
            with self._store.together():
                new = self._store.submit(
                    form.get("token", ""),
                    ranks,
                    ratings if self._ratings or any(ratings) else None,
                    _seconds(form.get("seconds", "")),
                    annotator=request.state.annotator or None,
                )
                if annotator:
                    self._store.lease(annotator, overlap=self._overlap)  # as the next page will ask for
        except (ArgumentError, ValueError):
            return RedirectResponse("/?ranks", 303)
        except OrderError:
            is_others = self._store.holder(form.get("token", "")) is not None
            return RedirectResponse("/?other" if is_others else "/?gone", 303)
        return RedirectResponse("/" if new else "/?again", 303)

    def undo(self, request: Request, form: Form) -> Response:
        """Take the annotator's last judgement back."""
        annotator = self._annotator(request)
        if annotator:
            self._store.undo(annotator, form.get("last", ""))
        return RedirectResponse("/", 303)

    def progress(self, request: Request) -> Response:
        """Show who has judged how much, and how far they agree."""
        progress = self._store.progress(overlap=self._overlap)
        measured = agreement(self._store.comparisons(least=2))  # the others say nothing of it
        return self._page("progress.html", annotator=self._annotator(request), progress=progress, agreement=measured, overlap=self._overlap)

    def static(self, name: str) -> Response:
        """Give the script or the style sheet."""
        if name not in _FILES:
            raise HTTPException(404)
        return Response((files("textenv.web") / "templates" / name).read_bytes(), media_type=_FILES[name])

    def _page(self, template: str, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(values))

    def _annotator(self, request: Request) -> str:
        """Return the name that belongs to the address, else the one that was typed, empty before that."""
        if request.state.annotator:
            return str(request.state.annotator)
        try:
            return page_name(unquote(request.cookies.get(self._cookie, "")))
        except ArgumentError:
            return ""


def page_name(text: str) -> str:
    """Return the name of an annotator of the page, as `clean_name` writes it.

    Raises:
        ArgumentError: it is empty, too long, or cannot be a name.
    """
    name = clean_name(text)
    if not 0 < len(name) <= NAME_LENGTH:
        raise ArgumentError(f"An annotator's name has 1 to {NAME_LENGTH} characters, got {text!r}.")
    return name


def _refuse_bound(request: Request) -> None:
    """Raise HTTPException to whoever has an address that belongs to one name."""
    if request.state.annotator:
        raise HTTPException(403, f"This address is that of {request.state.annotator}.")


def _message(request: Request) -> str:
    return next((text for name, text in _MESSAGES.items() if name in request.query_params), "")


def _numbers(form: Mapping[str, str], what: str) -> list[int | None]:
    """Read the fields `what`-0, `what`-1, ... of the responses, None for those that were left out."""
    places = min(_number(form.get("responses", "0")), BODY_BYTES)
    return [_number(form[f"{what}-{place}"]) if form.get(f"{what}-{place}") else None for place in range(places)]


def _seconds(text: str) -> float | None:
    """Return how long an annotator took; None, rather than no judgement, where that cannot be read."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return None if math.isnan(seconds) else seconds


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return int(text)


def _dense(ranks: list[int | None]) -> list[int]:
    """Close the gaps in ranks.

    >>> _dense([2, 5, 2])
    [1, 2, 1]

    Raises:
        ValueError: one is missing.
    """
    given = [rank for rank in ranks if rank is not None]
    if len(given) < len(ranks):
        raise ValueError
    return [sorted(set(given)).index(rank) + 1 for rank in given]


def _letter(place: int) -> str:
    """Name a response by its place.

    >>> _letter(0), _letter(27)
    ('A', 'B2')
    """
    return chr(ord("A") + place % 26) + (str(place // 26 + 1) if place >= 26 else "")


async def _tell_error(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error} Nothing was kept; go back and try again.", 503)
