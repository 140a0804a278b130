"use strict";
/* Everything is set as text: no name or message is ever read as HTML. */
const INTERVAL = 2000;
const LIMIT = 5000;
const ROWS = 200;
const TITLES = { agent: "agent", nodes: "nodes", services: "Services", bgp: "BGP", bfd: "BFD", l2: "layer 2", packets: "packets" };

const by = (id) => document.getElementById(id);
const element = (tag, text, name) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
};
const or = (value) => (value === null || value === undefined ? "-" : value);
const indexed = (list) => new Map(list.map((it) => [it.number, it]));
const bad = (text, isBad) => ({ text, isBad });

function vip(it) {
  const address = it.address.includes(":") ? `[${it.address}]` : it.address;
  return `${address}:${it.port}/${it.protocol}`;
}

function nodes(status) {
  const liveness = indexed(status.liveness);
  const traffic = indexed(status.node_traffic);
  return status.nodes.map((node) => {
    const lives = liveness.get(node.index);
    const state = node.is_self ? "this node" : lives ? lives.state : "-";
    return [
      node.name, node.address, node.way, bad(node.excluded ? `${state}, excluded` : state, state === "dead"),
      lives ? `${lives.silent_ms} ms ago` : "-", traffic.get(node.index)?.packets ?? 0,
    ];
  });
}

function services(status) {
  const traffic = indexed(status.vip_traffic);
  return status.services.flatMap((service) => service.vips.map((it) => {
    const counts = traffic.get(it.number) ?? {};
    const members = it.ring ? it.ring.members.map((member) => member.node) : [];
    const more = members.length > 5 ? ` and ${members.length - 5} more` : "";
    return [
      `${service.service.namespace}/${service.service.name}`, vip(it),
      bad(it.ring ? members.slice(0, 5).join(" ") + more : "not served", !it.ring), or(it.announcer),
      counts.packets ?? 0, counts.bytes ?? 0, counts.source_refused ?? 0,
    ];
  }));
}

const bgp = (status) => status.bgp.sessions.map((it) => [
  it.peer, it.address, bad(it.state, it.state !== "established"), `${it.seconds} s`,
  it.bfd === null ? "-" : bad(it.bfd ? "up" : "down", !it.bfd),
  Object.values(it.families).reduce((sum, family) => sum + family.announced, 0), or(it.last_error),
]);

const bfd = (status) => status.bfd.sessions.map((it) => [
  it.peer, it.address, bad(it.state, it.state !== "Up"), `${it.seconds} s`, `${it.detection_ms} ms`, it.down_events,
]);

const l2 = (status) => status.l2.addresses.map((it) => [
  it.address, it.services.join(", "), bad(or(it.announcer), it.announcer === null), it.phase, it.takeovers, it.answered,
]);

const packets = (status) => status.outcomes.filter((it) => it.packets > 0).map((it) => [
  it.name, bad(it.dropped ? "dropped" : "", it.dropped), it.packets,
]);

const TABLES = [
  ["Nodes", ["Node", "Address", "Forwarding", "State", "Last seen", "#Forwarded"], nodes],
  ["Services", ["Service", "VIP", "Nodes", "Announcer", "#Packets", "#Bytes", "#Refused"], services],
  ["BGP", ["Peer", "Address", "State", "Since", "BFD", "#Prefixes", "Last error"], bgp],
  ["BFD", ["Peer", "Address", "State", "Since", "#Detection", "#Downs"], bfd],
  ["Layer 2", ["Address", "Services", "Announcer", "This node", "#Takeovers", "#Answered"], l2],
  ["Packets", ["Verdict", "", "#Packets"], packets],
];

function row(tag, values, heads) {
  const made = element("tr");
  values.forEach((value, column) => {
    const { text, isBad } = typeof value === "object" ? value : { text: value, isBad: false };
    const names = [heads[column].startsWith("#") ? "number" : "", isBad ? "bad" : ""];
    made.append(element(tag, text, names.join(" ").trim()));
  });
  return made;
}

function fill(section, title, heads, rows) {
  section.hidden = rows.length === 0;
  section.querySelector("summary").textContent = `${title} (${rows.length})`;
  const table = element("table");
  const head = element("thead");
  head.append(row("th", heads.map((it) => it.replace("#", "")), heads));
  const body = element("tbody");
  body.append(...rows.slice(0, ROWS).map((values) => row("td", values, heads)));
  table.append(head, body);
  section.querySelector(".wide").replaceChildren(table);
  section.querySelector("p").textContent = rows.length > ROWS ? `and ${rows.length - ROWS} more` : "";
}

const sections = TABLES.map(([title]) => {
  const section = element("details");
  section.id = title.toLowerCase().replace(" ", "-");
  section.open = title === "Nodes";
  section.append(element("summary", title), element("div", undefined, "wide"), element("p"));
  return section;
});
by("tables").append(...sections);

function show(status) {
  const problems = status.summary.findings.filter((it) => it.severity === "problem").length;
  document.title = `${problems > 0 ? `(${problems}) ` : ""}${status.node} – Fairlead`;
  by("node").textContent = status.node;
  by("version").textContent = `fairlead ${status.version}`;
  by("verdict").textContent = problems === 0 ? "no problems" : problems === 1 ? "1 problem" : `${problems} problems`;
  by("verdict").className = problems === 0 ? "" : "bad";
  by("findings").replaceChildren(...status.summary.findings.map((it) => element("li", it.text, it.severity)));
  by("areas").replaceChildren(...status.summary.areas.flatMap((it) => [
    element("dt", TITLES[it.area] ?? it.area), element("dd", it.text),
  ]));
  TABLES.forEach(([title, heads, rows], index) => fill(sections[index], title, heads, rows(status)));
}

let last = null;
async function refresh() {
  try {
    const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(LIMIT) });
    if (!answer.ok) throw new Error(`the agent answers ${answer.status}`);
    show(await answer.json());
    last = new Date();
    by("stale").hidden = true;
  } catch (error) {
    const since = last ? `Not updated since ${last.toLocaleTimeString()}` : "No status yet";
    by("stale").textContent = `${since}: ${error.message}`;
    by("stale").hidden = false;
  }
}
async function loop() {
  if (!document.hidden) await refresh();
  setTimeout(loop, INTERVAL);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
loop();
