// What pages do more where the browser can. Without any of it they all work.
"use strict";

const later = (act, milliseconds) => {
  let waiting;
  return (...values) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => act(...values), milliseconds);
  };
};

const send = (path, form) =>
  fetch(path, {
    method: "POST",
    body: new URLSearchParams([...new FormData(form)].filter(([name, value]) => typeof value === "string" && !name.includes("password"))),
  });

// Copies what an element says: a proof into the billing software, say.
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
    button.textContent = "Copié";
  });
}

for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// What was wrong is the first thing to be read.
document.getElementById("erreurs")?.focus();

// A scanner types on and on: its field is ready for the next card, without moving the answer out of sight.
const scan = document.querySelector("[data-scan]");
scan?.focus({ preventScroll: true });
scan?.select();

// A photo is sent as soon as it is taken.
for (const input of document.querySelectorAll("input[type=file][data-at-once]")) {
  input.addEventListener("change", () => input.files.length && input.form.requestSubmit());
}

// The rules of a password, ticked off as they are met.
for (const list of document.querySelectorAll("[data-rules]")) {
  const input = document.getElementById(list.dataset.rules);
  const show = () => {
    for (const rule of list.children) {
      const isMet = new RegExp(rule.dataset.rule, "u").test(input.value);
      rule.classList.toggle("met", isMet);
      rule.setAttribute("aria-label", `${rule.textContent} : ${isMet ? "oui" : "pas encore"}`);
    }
  };
  input.addEventListener("input", show);
  show();
}

// Fields checked as one types, by the same rules as when they are sent; what was not touched yet is left alone.
for (const form of document.querySelectorAll("form[data-check]")) {
  const touched = new Set();
  let latest = 0;
  const check = later(async () => {
    const mine = (latest += 1);
    const answer = await send(form.dataset.check, form).catch(() => undefined);
    if (!answer?.ok) return;
    const faults = await answer.json();
    if (mine !== latest) return;
    for (const name of touched) {
      const input = form.elements[name];
      const said = document.getElementById(`${name}-faute`);
      if (!input || !said) continue;
      const wrong = input.value ? faults[name] : undefined;
      said.textContent = wrong ?? "";
      said.hidden = wrong === undefined;
      if (wrong === undefined) input.removeAttribute("aria-invalid");
      else {
        input.setAttribute("aria-invalid", "true");
        const hint = document.getElementById(`${name}-conseil`);
        input.setAttribute("aria-describedby", hint ? `${said.id} ${hint.id}` : said.id);
      }
      input.classList.toggle("good", wrong === undefined && input.value !== "");
    }
  }, 350);
  form.addEventListener("change", (event) => {
    if (!event.target.name || event.target.name.includes("password")) return;
    touched.add(event.target.name);
    check();
  });
  form.addEventListener("input", (event) => touched.has(event.target.name) && check());
}

// Parts of a form that go with a choice made in it.
for (const part of document.querySelectorAll("[data-when]")) {
  const [name, values] = part.dataset.when.split("=");
  const wanted = values.split("|");
  const form = part.closest("form");
  const show = () => {
    part.hidden = !wanted.includes(new FormData(form).get(name) ?? "");
    part.disabled = part.hidden; // a group of fields that is not shown is not sent
  };
  form.addEventListener("change", show);
  show();
}

// What would be granted, line by line, while one types.
for (const form of document.querySelectorAll("form[data-simulate]")) {
  const place = document.getElementById("simulation");
  let latest = 0;
  const simulate = later(async () => {
    const mine = (latest += 1);
    place.setAttribute("aria-busy", "true");
    try {
      const answer = await send(form.dataset.simulate, form);
      if (mine !== latest) return;
      if (answer.redirected || !answer.ok) place.textContent = "Le calcul n'a pas pu être fait. Envoyez : rien de ce qui est saisi ne sera perdu.";
      else place.innerHTML = await answer.text();
    } catch {
      place.textContent = "La connexion est coupée : le calcul reprendra avec elle.";
    } finally {
      if (mine === latest) place.removeAttribute("aria-busy");
    }
  }, 300);
  form.addEventListener("input", simulate);
  // A scanner ends what it read with Enter: that fills in a field, and asks for nothing yet.
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("input")) event.preventDefault();
  });
}

// A page that shows something under way looks again by itself, unless something is about to be sent from it.
const again = document.querySelector("[data-again]");
if (again) {
  const looking = setInterval(() => {
    if (![...document.querySelectorAll("input[type=file]")].some((input) => input.value)) location.reload();
  }, Number(again.dataset.again) * 1000);
  document.addEventListener("submit", () => clearInterval(looking));
}

// What is sent once is not sent twice by a second click.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
  setTimeout(() => delete event.target.dataset.sent, 10000); // it may have been stopped
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});
