"use strict";
const graph = JSON.parse(document.getElementById("data").textContent);
const COLOURS = { Drug: "#2f6fb0", Condition: "#c2453c", Study: "#3f8f5b", Publication: "#8a5ba8", Substance: "#2c8c94",
  Organization: "#b07a2f", Person: "#7a6a5b", Value: "#8b98a5" };

const short = (text, most = 40) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

// What documents say goes in as text, never as markup.
function element(tag, text, kind) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

const nodes = new Map();
function place(id, name, type) {
  if (!nodes.has(id)) {
    const background = COLOURS[type] || "#5a6b7b";
    const centre = id === graph.key;
    nodes.set(id, { id, label: short(name), shape: type === "Value" ? "box" : "dot", size: centre ? 22 : 13,
      color: { background: type === "Value" ? "#eef2f5" : background, border: background }, borderWidth: centre ? 4 : 1 });
  }
  return id;
}

place(graph.key, graph.name, graph.type);
const lines = graph.edges.map((edge) => ({
  id: edge.id,
  from: place(edge.subject.key, edge.subject.name, edge.subject.type),
  to: edge.object ? place(edge.object.key, edge.object.name, edge.object.type) : place("value:" + edge.id, edge.value, "Value"),
  label: edge.predicate,
}));

const network = new vis.Network(
  document.getElementById("picture"),
  { nodes: new vis.DataSet([...nodes.values()]), edges: new vis.DataSet(lines) },
  {
    layout: { randomSeed: 7, improvedLayout: nodes.size < 150 },
    edges: { arrows: "to", color: { color: "#9fb0c0", highlight: "#1b2733" }, font: { size: 11, color: "#5a6b7b" } },
    nodes: { font: { size: 14, color: "#1b2733" } },
    physics: { barnesHut: { springLength: 170 }, stabilization: { iterations: 300 } },
    interaction: { hover: true },
  },
);
network.once("stabilizationIterationsDone", () => network.setOptions({ physics: false }));

function showEdge(id) {
  const edge = graph.edges.find((one) => one.id === id);
  const target = edge.object ? edge.object.name : edge.value;
  const parts = [
    element("h2", `${edge.subject.name} — ${edge.predicate} → ${short(target, 300)}`),
    element("p", `edge ${edge.id}, said by ${count(edge.documents, "document")}`, "dim"),
  ];
  for (const trail of edge.evidence) {
    const facts = document.createElement("dl");
    const say = (label, text) => facts.append(element("dt", label), element("dd", text));
    say("document", `${trail.source_id ? `${trail.source} ${trail.source_id}` : trail.doc_id}, generation ${trail.generation}`);
    if (trail.title) say("title", trail.title);
    if (trail.start !== null) say("text", `characters ${trail.start}–${trail.end}`);
    if (trail.field) say("field", trail.field);
    say("place", trail.place);
    say("payload", `sha256 ${trail.locator.payload}`);
    for (const [name, value] of Object.entries(trail.attributes)) say(name, value);
    say("found by", `${trail.extractor} ${trail.version}`);
    parts.push(element("blockquote", trail.quote), facts);
  }
  document.getElementById("evidence").replaceChildren(...parts);
  for (const button of document.querySelectorAll("#edges button")) button.setAttribute("aria-pressed", button.dataset.edge === id);
  network.selectEdges([id]);
  document.getElementById("evidence").scrollIntoView({ block: "start" });
}

network.on("click", (event) => {
  if (event.nodes.length === 0 && event.edges.length > 0) showEdge(event.edges[0]);
});

const about = [
  element("h1", graph.name),
  element("p", `${graph.types.join(" / ")}, in ${count(graph.documents, "document")}`, "dim"),
  ...(graph.identifiers.length ? [element("p", graph.identifiers.join(", "), "dim")] : []),
  ...graph.merges.map((merge) => {
    const names = merge.entities.map((one) => `${one.name} (${one.type})`).join(", ");
    const stated = merge.stated_by.length ? `, as ${merge.stated_by.join(", ")} state` : "";
    return element("p", `one by ${merge.by}: ${names}${stated}`, "dim");
  }),
  ...(graph.left_out ? [element("p", "There is more: raise --limit.", "dim")] : []),
];
document.getElementById("about").replaceChildren(...about);
document.getElementById("edges").replaceChildren(...graph.edges.map((edge) => {
  const button = element("button", `${short(edge.subject.name)} — ${edge.predicate} → ${short(edge.object ? edge.object.name : edge.value)}`);
  button.dataset.edge = edge.id;
  button.addEventListener("click", () => showEdge(edge.id));
  return button;
}));
