// Updates the results on a page with the messages that live.js receives.

const ANNOUNCEMENT_PAUSE = 5_000; // milliseconds between two announcements to screen readers

const section = document.querySelector("[data-live]");
if (section) updateResults(section);

// Write messages into the section, as templates/public/_results.html renders it.
function updateResults(section) {
  const language = document.documentElement.lang;
  const number = new Intl.NumberFormat(language);
  const { style } = section.dataset;
  const figures = [0, 1, 2].map((decimals) => new Intl.NumberFormat(language, { style, minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
  const plural = new Intl.PluralRules(language);
  const [votes, total] = [section.dataset.votes, section.dataset.total].map((forms) => JSON.parse(forms));
  const { votesOf, totalOf } = section.dataset; // the number that decides the plural form
  const { joined } = section.dataset; // a total of two parts: the points, and the voters that gave them
  const from = joined && JSON.parse(section.dataset.from);
  const count = (forms, of, numbers) =>
    fill(forms[plural.select(numbers[of])], Object.fromEntries(Object.entries(numbers).map(([name, n]) => [name, number.format(n)])));
  const announce = createAnnouncer(section);

  section.addEventListener("state", ({ detail: message }) => {
    const rows = [...section.querySelectorAll("[data-choice]")];
    const resultOf = (row) => message.choices[row.dataset.choice];
    const unit = style === "percent" ? 100 : 1;
    const figure = ({ value, sign }) => (value === null ? "–" : sign + figures[message.decimals].format(value / unit));
    const voters = message.ballots;
    const leaders = rows.filter((row) => resultOf(row).leads);
    for (const row of rows) {
      const result = resultOf(row);
      row.querySelector(".votes").textContent = count(votes, votesOf, { votes: result.votes, points: result.points, voters });
      row.querySelector(".share").textContent = figure(result);
      row.querySelector(".fill").setAttribute("width", result.bar);
      markLeader(row, result.leads, leaders.length > 1 ? section.dataset.tied : section.dataset.leads);
    }
    const numbers = { votes: message.votes, points: message.points, voters };
    const counted = count(total, totalOf, numbers);
    const totalText = joined ? fill(joined, { points: counted, voters: count(from, "voters", numbers) }) : counted;
    section.querySelector(".total").textContent = totalText;
    section.querySelector(".rounding").hidden = message.adds_up;
    const names = leaders.map((row) => row.querySelector(".name").textContent);
    const share = names.length ? figure(resultOf(leaders[0])) : "";
    announce(totalText, names, fill(section.dataset.figure ?? "%(figure)s", { figure: share }));
    document.querySelector(".later-votes")?.removeAttribute("hidden"); // of the distribution of scores
    section.dispatchEvent(new CustomEvent("results", { detail: message.choices }));
  });
}

function markLeader(row, leads, text) {
  row.classList.toggle("leads", leads);
  let label = row.querySelector(".leader-label");
  if (!leads) return label?.remove();
  if (!label) {
    label = document.createElement("span");
    label.className = "leader-label";
    row.querySelector(".name").after(" ", label);
  }
  label.textContent = text;
}

// Return a function that announces the latest results to screen readers, at most once every ANNOUNCEMENT_PAUSE.
function createAnnouncer(section) {
  const region = section.querySelector("[data-announcer]");
  const list = new Intl.ListFormat(document.documentElement.lang);
  let timer = null;
  let sentence = "";

  return (total, names, share) => {
    const leaders = fill(section.dataset.leaders, { choices: list.format(names), share });
    sentence = names.length ? `${total}. ${leaders}` : total;
    timer ??= setTimeout(() => {
      timer = null;
      region.textContent = sentence;
    }, ANNOUNCEMENT_PAUSE);
  };
}

// Fill the placeholders of a translated sentence, such as %(votes)s, at once: values may contain any characters.
function fill(sentence, values) {
  return sentence.replace(/%\((\w+)\)s/g, (_, name) => values[name]);
}
