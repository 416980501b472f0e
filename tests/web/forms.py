"""Reads the forms of a page as a browser would send them."""

from html.parser import HTMLParser


class _Reader(HTMLParser):
    def __init__(self, action: str) -> None:
        super().__init__()
        self._action = action
        self.found = False
        self.given: dict[str, str] = {}
        self._inside = False
        self._area: str | None = None
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        if tag == "form":
            self._inside = has.get("action") == self._action
            self.found = self.found or self._inside
        if not self._inside or "disabled" in has:
            return
        name, value = has.get("name") or "", has.get("value") or ""
        if tag == "input" and name:
            if has.get("type") not in {"checkbox", "radio"} or "checked" in has:
                self.given[name] = value
        elif tag == "textarea" and name:
            self._area, self.given[name] = name, ""
        elif tag == "select" and name:
            self._select = name
        elif tag == "option" and self._select:
            chosen = "selected" in has or self._select not in self.given
            self.given[self._select] = value if chosen else self.given[self._select]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "textarea":
            self._area = None
        elif tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        if self._area:
            self.given[self._area] += data if self.given[self._area] else data.removeprefix("\n")


def form_of(page: str, action: str) -> dict[str, str]:
    """The fields of the form with this action, as they are; buttons are left out."""
    reader = _Reader(action)
    reader.feed(page)
    assert reader.found, f"no form with the action {action}"
    return reader.given


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def words_of(page: str) -> str:
    """What is to be read on a page, in one line."""
    reader = _Text()
    reader.feed(page)
    return " ".join(" ".join(reader.words).split())
