/* Sharing a poll: completes its URL, copies it or a text, and opens the device's share sheet where there is one. */

const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/;
const STATUS_MS = 4000;

for (const element of document.querySelectorAll("[data-copied]")) {
  const text = element.querySelector("[data-copyable]");
  const status = element.querySelector("[role=status]");
  const copy = element.querySelector("[data-action=copy]");

  copy.hidden = false;
  if (element.dataset.share) completeAddress(element, text);

  copy.addEventListener("click", async () => {
    if (!(await copyText(text))) return;
    status.textContent = element.dataset.copied;
    setTimeout(() => (status.textContent = ""), STATUS_MS);
  });
}

/* Show the whole URL in the text, and the button for the share sheet. */
function completeAddress(element, text) {
  const url = new URL(element.dataset.share, location.href);
  const hint = element.querySelector("[data-local]");
  const share = element.querySelector("[data-action=share]");

  text.textContent = url.href;
  if (hint) hint.hidden = !LOOPBACK.test(url.hostname);
  share.hidden = !navigator.share;
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
