// The card beside the pointer: all that is known of one token and of the segment that it points at.

const signed = (value) => value.toFixed(2).replace("-", "−");

function card(m, token, segment) {
  const count = m.experts.length, shares = m.gates.slice(token * count, (token + 1) * count), row = m.row[segment];
  const order = [...shares.keys()].sort((a, b) => shares[b] - shares[a]).slice(0, 2);
  const line = (name, value, mark = "") => `<div><span class="${mark}">${esc(name)}</span><b>${esc(value)}</b></div>`;
  const experts = order.map((e) => say("expert_" + m.experts[e])).join(" · ");
  const stack = shares.map((share, e) => `<i style="width:${(100 * share).toFixed(1)}%;background:${rgb(EXPERT_COLOURS[e])}"></i>`);
  const fits = row?.fit === undefined ? "" : line(say("card_fit", { phrase: row.phrase ?? m.phrases.join("; ") }), row.fit.toFixed(2));
  const about = row ? line(say("card_mean_score"), signed(row.score)) + line(say("card_mean_chance"), `${percent(row.chance)} %`) + fits : "";
  return `<strong>${esc(row ? say("card_segment", { i: segment }) : say("card_none"))}</strong>${about}
    <hr>${line(say("card_score"), signed(m.scores[token]))}${line(say("card_chance"), `${percent(m.chance[token])} %`)}`
    + line(experts, order.map((e) => percent(shares[e])).join(" · ") + " %") + `<div class="fm-stack">${stack.join("")}</div>`
    + m.arms.map((arm, i) => line(say("card_error", { arm: arm.title }),
      arm.seen.has(token) ? say("card_visible") : arm.error[token].toFixed(3), ARM_CLASSES[i])).join("");
}

// The same for ears: name and value of every line.
function spoken(box) {
  const lines = [...box.querySelectorAll("strong, div:not(.fm-stack)")];
  return lines.map((line) => [...(line.children.length ? line.children : [line])].map((part) => part.textContent).join(" ")).join(", ");
}
