"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const make = (tag, text, cls) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (cls) element.className = cls;
    return element;
  };

  // Charts: the pointer and the arrow keys show the values of one row of the table.
  const tip = $("tip");
  const plots = document.querySelectorAll(".plot");
  const hide = () => {
    tip.hidden = true;
    document.querySelectorAll(".hits .on").forEach((hit) => hit.classList.remove("on"));
  };
  const show = (plot, nth, x, y) => {
    const hits = plot.querySelectorAll(".hits rect");
    const values = plot.parentElement.querySelector(".values");
    const heads = values.querySelectorAll("thead th");
    const cells = values.querySelectorAll("tbody tr")[nth]?.children;
    if (!cells || !hits[nth]) return;
    hide();
    hits[nth].classList.add("on");
    tip.replaceChildren(...[...cells].map((cell, i) => {
      const line = make("div");
      line.append(make("span", heads[i].textContent), make("b", cell.textContent));
      return line;
    }));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = x + 16 + box.width > innerWidth ? x - 16 - box.width : x + 16;
    const top = y + 16 + box.height > innerHeight ? y - 16 - box.height : y + 16;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, top)}px`;
  };
  for (const plot of plots) {
    const hits = [...plot.querySelectorAll(".hits rect")];
    if (!hits.length) continue;
    let at = -1;
    plot.addEventListener("pointermove", (event) => {
      const nth = hits.indexOf(event.target);
      if (nth < 0) return hide();
      at = nth;
      show(plot, nth, event.clientX, event.clientY);
    });
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", (event) => {
      const last = hits.length - 1;
      const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: last }[event.key];
      if (event.key === "Escape") return hide();
      if (next === undefined) return;
      event.preventDefault();
      at = Math.min(last, Math.max(0, next));
      const box = hits[at].getBoundingClientRect();
      show(plot, at, box.right, box.top);
    });
  }

  // The audio files are next to the page. If the page was sent without them, show a message.
  document.querySelectorAll("audio").forEach((audio) => {
    audio.addEventListener("error", () => {
      audio.replaceWith(make("p", "The audio is in the run folder that this page was copied from.", "note"));
    });
  });

  // The table of turns.
  if (!$("turn-data")) return;
  const data = JSON.parse($("turn-data").textContent);
  // The index of each value in a row, by the column names in the page's data.
  const {
    call: CALL, turn: TURN, room: ROOM, utterance: UTTERANCE, variant: VARIANT, expect: EXPECT, outcome: OUTCOME,
    wire: WIRE, playout: PLAYOUT, at: AT, other: OTHER, flags: FLAGS, failure: FAILURE, warmup: WARMUP,
  } = Object.fromEntries(data.columns.map((name, i) => [name, i]));
  const PAGE = 50;
  // Rounds like the rest of the report: to the nearest tenth, ties to even. The only ties that
  // binary represents exactly are .25, which toFixed rounds up, and .75, where both agree.
  const ms = (us) => (us < 0 ? "–" : (us % 1000 === 250 ? (us - 50) / 1000 : us / 1000).toFixed(1));
  const ttfa = (row) => (row[WIRE] < 0 || row[PLAYOUT] < 0 ? -1 : row[WIRE] + row[PLAYOUT]);
  const flags = (row) => data.flags.filter((_, bit) => row[FLAGS] & (1 << bit));
  const named = (list, i) => (row) => list[row[i]] ?? "";
  const varied = (i) => new Set(data.turns.map((row) => row[i])).size > 1;
  const has = (i) => data.turns.some((row) => row[i] >= 0);
  const columns = [
    { head: "call", key: (r) => r[CALL], text: (r) => r[CALL] },
    { head: "turn", key: (r) => r[TURN], text: (r) => r[TURN] },
    { head: "ttfa", key: ttfa, text: (r) => ms(ttfa(r)) },
    { head: "ttfa_wire", key: (r) => r[WIRE], text: (r) => ms(r[WIRE]) },
    { head: "playout", key: (r) => r[PLAYOUT], text: (r) => ms(r[PLAYOUT]) },
    { head: "outcome", word: true, text: named(data.outcomes, OUTCOME) },
    { head: "expected", word: true, text: named(data.expects, EXPECT), when: varied(EXPECT) },
    { head: "stop, early by", key: (r) => r[OTHER], text: (r) => ms(r[OTHER]), when: has(OTHER) },
    { head: "utterance", word: true, text: named(data.utterances, UTTERANCE) },
    { head: "variant", word: true, text: named(data.variants, VARIANT), when: varied(VARIANT) },
    { head: "at, s", key: (r) => r[AT], text: (r) => (r[AT] < 0 ? "–" : (r[AT] / 1000).toFixed(1)) },
    { head: "doubts", word: true, text: (r) => [...flags(r), ...(r[WARMUP] ? ["warm-up"] : [])].join(" ") },
    { head: "failure", word: true, text: named(data.failures, FAILURE), when: has(FAILURE) },
    { head: "room", word: true, text: named(data.rooms, ROOM) },
  ].filter((column) => column.when !== false);
  columns.forEach((column) => { column.key ??= column.text; });

  let sorted = { column: columns[2], down: true };
  let page = 0;
  let found = [];
  const search = data.turns.map((row) =>
    [`call ${row[CALL]}`, `turn ${row[TURN]}`, ...columns.filter((c) => c.word).map((c) => c.text(row))].join(" ").toLowerCase());
  const heads = columns.map((column) => {
    const head = make("th", undefined, column.word ? "word" : "");
    head.scope = "col";
    const button = make("button", column.head);
    button.type = "button";
    button.addEventListener("click", () => {
      sorted = { column, down: sorted.column === column ? !sorted.down : !column.word && column.head !== "call" };
      page = 0;
      draw();
    });
    head.append(button);
    return head;
  });
  $("turn-heads").append(...heads);
  const fill = (select, words) => select.append(...words.map((word) => new Option(word, word)));
  fill($("by-outcome"), data.outcomes.filter((_, i) => data.turns.some((row) => row[OUTCOME] === i)));
  fill($("by-flag"), ["none", ...data.flags.filter((_, bit) => data.turns.some((row) => row[FLAGS] & (1 << bit)))]);
  fill($("by-variant"), data.variants);
  $("variant-label").hidden = !varied(VARIANT);

  const filter = () => {
    const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const phrase = words.join(" ");
    const [outcome, flag, variant] = ["by-outcome", "by-flag", "by-variant"].map((id) => $(id).value);
    found = [...data.turns.keys()].filter((i) => {
      const row = data.turns[i];
      return (!outcome || data.outcomes[row[OUTCOME]] === outcome)
        && (!flag || (flag === "none" ? !row[FLAGS] : flags(row).includes(flag)))
        && (!variant || data.variants[row[VARIANT]] === variant)
        && (/^(call|turn) \d+$/.test(phrase) ? ` ${search[i]} `.includes(` ${phrase} `) : words.every((word) => search[i].includes(word)));
    });
    page = 0;
    draw();
  };
  const order = (a, b) => {
    const [x, y] = [sorted.column.key(data.turns[a]), sorted.column.key(data.turns[b])];
    // Missing values come last, in either direction.
    const none = (v) => v === -1 || v === "";
    if (none(x) !== none(y)) return none(x) ? 1 : -1;
    const by = x < y ? -1 : x > y ? 1 : 0;
    return (sorted.down ? -by : by) || a - b;
  };
  const draw = () => {
    found.sort(order);
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    const from = page * PAGE;
    $("turn-rows").replaceChildren(...found.slice(from, from + PAGE).map((i) => {
      const line = make("tr");
      line.append(...columns.map((column) => {
        const text = column.text(data.turns[i]);
        return make("td", text, column.word ? `word${column.head === "outcome" ? ` ${text}` : ""}` : "");
      }));
      return line;
    }));
    heads.forEach((head, i) => {
      if (columns[i] === sorted.column) head.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    $("shown").textContent = `${found.length.toLocaleString("en")} of ${data.turns.length.toLocaleString("en")} turns`;
    $("page").textContent = `${page + 1} of ${pages}`;
    $("before").disabled = page === 0;
    $("after").disabled = page + 1 >= pages;
    $("pages").hidden = pages < 2;
  };
  $("before").addEventListener("click", () => { page -= 1; draw(); });
  $("after").addEventListener("click", () => { page += 1; draw(); });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("find").addEventListener("input", filter);
  ["by-outcome", "by-flag", "by-variant"].forEach((id) => $(id).addEventListener("change", filter));
  $("filters").hidden = false;
  $("turn-table").hidden = false;
  filter();
})();
