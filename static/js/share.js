/* Sharing a poll: completes its URL, copies it, and opens the device's share sheet where there is one. */

const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/;
const STATUS_MS = 4000;

for (const element of document.querySelectorAll("[data-share]")) {
  const text = element.querySelector(".share-url");
  const url = new URL(element.dataset.share, location.href);
  const [copy, share] = element.querySelectorAll("button");
  const status = element.querySelector("[role=status]");
  const hint = element.querySelector("[data-local]");

  text.textContent = url.href;
  element.querySelector("[data-buttons]").hidden = false;
  share.hidden = !navigator.share;
  if (hint) hint.hidden = !LOOPBACK.test(url.hostname);

  copy.addEventListener("click", async () => {
    if (!(await copyText(text))) return;
    status.textContent = element.dataset.copied;
    setTimeout(() => (status.textContent = ""), STATUS_MS);
  });
  share.addEventListener("click", () => {
    navigator.share({title: element.dataset.title || document.title, url: url.href}).catch(() => {}); // closed again
  });
}

/* Return whether the text of the element was copied; if not, it is selected. */
async function copyText(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    // Not allowed, or the page isn't on https: then there is no navigator.clipboard.
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}
