// Updates how many have voted, in place of results that are hidden, with the messages that live.js receives.

const section = document.querySelector(".hidden-results[data-live]");
if (section) updateTurnout(section);

function updateTurnout(section) {
  const language = document.documentElement.lang;
  const number = new Intl.NumberFormat(language);
  const plural = new Intl.PluralRules(language);
  const forms = JSON.parse(section.dataset.turnout);
  const [turnout, progress] = [".turnout", "progress"].map((name) => section.querySelector(name));

  section.addEventListener("state", ({ detail: { ballots } }) => {
    const sentence = forms[plural.select(ballots)] ?? forms.other;
    turnout.textContent = sentence.replace("%(votes)s", number.format(ballots));
    if (progress) progress.value = ballots;
  });
}
