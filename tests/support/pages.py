"""Strict parsing of HTML pages and images, and look-ups in them."""

import struct
from xml.etree.ElementTree import Element

import html5lib
from multidict import MultiDict

XHTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"


def parse(text: str) -> Element:
    """Return the document without namespaces on HTML elements. Raises html5lib's ParseError for invalid HTML."""
    document: Element = html5lib.HTMLParser(strict=True).parse(text)
    for element in document.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.removeprefix(XHTML)
    return document


def words(element: Element) -> str:
    """Return the text below `element`, with single spaces."""
    return " ".join("".join(element.itertext()).split())


def find(document: Element, tag: str, **attributes: str) -> list[Element]:
    """Return the elements `tag` with these attributes (`class_` for class), in document order."""
    wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    return [
        element
        for element in document.iter(tag)
        if all(value in element.get(name, "").split() for name, value in wanted.items())
    ]


def fields(document: Element, action: str) -> MultiDict[str]:
    """Return the fields that a browser submits with the form for `action`, without those of its buttons."""
    (form,) = (form for form in document.iter("form") if form.get("action") == action)
    sent: MultiDict[str] = MultiDict()
    for element in form.iter():
        name, kind = element.get("name"), element.get("type", "text")
        if not name or (kind in {"checkbox", "radio"} and "checked" not in element.attrib):
            continue
        if "disabled" in element.attrib:
            continue
        if element.tag == "input" and kind not in {"submit", "button"}:
            sent.add(name, element.get("value", "on" if kind in {"checkbox", "radio"} else ""))
        elif element.tag == "select":
            options = element.findall("option")
            chosen = next((option for option in options if "selected" in option.attrib), options[0])
            sent.add(name, chosen.get("value", ""))
        elif element.tag == "textarea":
            sent.add(name, "".join(element.itertext()))
    return sent


def field_errors(document: Element) -> dict[str, str]:
    """Return {field: its error message}, after checking that a summary lists the same errors with links to the fields.

    The focus starts on that summary, and the title says that there are errors.
    """
    messages = {
        message.get("id", "").removeprefix("error-"): message for message in find(document, "p", class_="message")
    }
    errors = {name: words(message) for name, message in messages.items()}
    (summary,) = [element for element in document.iter() if "autofocus" in element.attrib]
    listed = {link.get("href", "").removeprefix("#"): words(link) for link in summary.iter("a")}
    assert {name: text.partition(": ")[2] for name, text in listed.items()} == errors
    invalid = [element for element in document.iter() if element.get("aria-invalid") == "true"]
    described = {name for element in invalid for name in element.get("aria-describedby", "").split()}
    for name in errors.keys() - {"choices"}:
        assert [element.get("id") for element in document.iter() if element.get("id") == name] == [name]
        assert f"error-{name}" in described
    assert (document.findtext(".//title") or "").startswith("Error: ")
    return errors


def links(document: Element) -> dict[str, str]:
    """Return {text of a link: its URL}."""
    return {words(link): link.get("href", "") for link in document.iter("a")}


def png_size(png: bytes) -> tuple[int, int]:
    """Return width and height of a PNG image."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height
