"""A measurement of the layout of the presenter's page."""

from playwright.sync_api import Page

# Return what isn't as it should be: rows that overlap, are too small, or leave the window.
_FAULTS = """rows => {
    const faults = [];
    const {clientWidth: width, clientHeight: height, scrollWidth, scrollHeight} = document.documentElement;
    if (scrollWidth > innerWidth || scrollHeight > innerHeight) faults.push(`scrolls: ${scrollWidth}x${scrollHeight}`);
    const box = selector => [...document.querySelectorAll(selector)].map(element => element.getBoundingClientRect())
        .filter(box => box.width);
    const contains = (outer, inner) => outer.left <= inner.left + 1 && outer.right >= inner.right - 1
        && outer.top <= inner.top + 1 && outer.bottom >= inner.bottom - 1;
    const overlap = (one, other) => one.left < other.right - 1 && other.left < one.right - 1
        && one.top < other.bottom - 1 && other.top < one.bottom - 1;
    const parts = ["h1", ".total", ".explanation", ".result", ".below", ".qr", ".poll-url", ".controls > *"];
    const boxes = parts.flatMap(part => box(part).map(box => ({part, box})));
    const missing = parts.filter(part => part !== ".explanation" && !boxes.some(box => box.part === part));
    if (missing.length) faults.push(`missing: ${missing}`);
    boxes.forEach(({part, box}, index) => {
        if (!contains(new DOMRect(0, 0, width, height), box)) faults.push(`outside: ${part} ${JSON.stringify(box)}`);
        for (const other of boxes.slice(index + 1)) {
            if (overlap(box, other.box)) faults.push(`overlap: ${part} and ${other.part}`);
        }
    });
    const heading = document.querySelector("h1");
    const lines = Math.round(heading.clientHeight / parseFloat(getComputedStyle(heading).lineHeight));
    if (lines > 2) faults.push(`the question has ${lines} lines`);
    const shown = [...document.querySelectorAll(".result")].filter(row => row.checkVisibility());
    if (shown.length !== rows) faults.push(`${shown.length} rows`);
    for (const row of shown) {
        for (const part of row.querySelectorAll(".name, .votes, .share, svg")) {
            if (part.checkVisibility() && !contains(row.getBoundingClientRect(), part.getBoundingClientRect())) {
                faults.push(`outside of its row: ${part.textContent || part.tagName}`);
            }
        }
        const name = row.querySelector(".name");
        if (name.scrollHeight > name.clientHeight + 1 && name.clientWidth < 0.15 * row.clientWidth) {
            faults.push(`no room for the choice: ${name.textContent}`);
        }
        const letters = parseFloat(getComputedStyle(name).fontSize);
        if (letters < Math.max(16, 0.018 * innerHeight)) faults.push(`too small: ${letters}px`);
        if (row.querySelector("svg").clientHeight < 4) faults.push("the bar is too thin");
    }
    return faults;
}"""


def screen_faults(page: Page, width: int, height: int, count: int) -> list[str]:
    """Return what is wrong on a screen of this size, of a poll with `count` choices."""
    page.set_viewport_size({"width": width, "height": height})
    found: list[str] = page.evaluate(_FAULTS, min(count, 20))
    return [f"{count} choices at {width}x{height}: {fault}" for fault in found]
