// Nodes and who sends to whom, how far behind they are, what came in, what is kept.
import { useState } from "preact/hooks";
import { api, Refusal } from "../api/client";
import { samples_of } from "../api/metrics";
import { system } from "../api/system";
import type { Node, Query, Status } from "../api/types";
import { useWidth } from "../charts/width";
import { view_beside } from "../state/address";
import { zone } from "../state/preferences";
import { ask_again, usePoll } from "../state/poll";
import { may_administer } from "../state/session";
import { Badge, Link, Loading, type Mark, Panel, Trouble } from "../widgets/basics";
import { useNow } from "../widgets/held";
import { Question } from "../widgets/question";
import { parts_of, Stat } from "../widgets/stat";
import { date_time, duration, short, whole, with_unit } from "../words/format";
import { system_words } from "../words/system";
import { words } from "../words/words";
import { file_name, save } from "./export";
import { BOX_HEIGHT, graph_of, type Health, health_of, layer_of } from "./system_graph";

const MARKS: Record<Health, Mark> = { ready: "good", heard: "good", starting: "warning", silent: "warning", absent: "bad", drained: "quiet", unknown: "quiet" };
const HISTORY = ["backstream_history_bytes", "backstream_history_files", "backstream_history_rows", "backstream_history_oldest_timestamp_seconds"] as const;

export function OverviewPart() {
  const status = usePoll(api.status, 2_000).value;
  const nodes = usePoll(system.nodes, 5_000).value;
  const queries = usePoll(api.queries, 5_000).value;
  const problem = status.problem ?? nodes.problem ?? queries.problem;
  if (!status.value || !nodes.value || !queries.value) return problem ? <Trouble problem={problem} /> : <Loading />;
  return (
    <>
      {problem && <Trouble problem={problem} />}
      {!status.value.ready && <div class="trouble" role="status"><strong>{system_words.value.not_ready}</strong>{status.value.not_ready.map((why) => <p key={why}>{why}</p>)}</div>}
      <Figures status={status.value} queries={queries.value} />
      <Nodes nodes={nodes.value} status={status.value} />
      <div class="system-columns">
        <Ingest status={status.value} />
        <Storage status={status.value} />
      </div>
    </>
  );
}

/** The query that is furthest behind; null: none tells. */
function slowest_of(queries: readonly Query[]): Query | null {
  return queries.reduce<Query | null>((worst, query) => (query.lag_seconds !== null && query.lag_seconds > (worst?.lag_seconds ?? -Infinity) ? query : worst), null);
}

function Figures({ status, queries }: { status: Status; queries: readonly Query[] }) {
  const w = words.value, s = system_words.value;
  const now = useNow(1_000);
  const slowest = slowest_of(queries);
  const lag = status.watermark.lag_seconds ?? slowest?.lag_seconds ?? null;
  const held = queries.filter((query) => query.state_octets !== null);
  const octets = held.reduce((sum, query) => sum + query.state_octets!, 0), groups = held.reduce((sum, query) => sum + (query.groups ?? 0), 0);
  return (
    <dl class="stats system-stats">
      <Stat label={s.lag} {...parts_of(lag === null ? "–" : duration(Math.max(0, lag) * 1000, w.locale))}
        note={status.watermark.held_by !== null ? `${s.held_by} ${status.watermark.held_by}` : slowest ? <Link to={view_beside("query", slowest.name)}>{s.slowest_note(slowest.name)}</Link> : undefined} />
      <Stat label={s.state_held} {...parts_of(held.length === 0 ? "–" : with_unit(octets, "B", w.locale))} note={held.length > 0 ? s.state_note(short(groups, w.locale)) : undefined} />
      <Stat label={s.results_kept} {...parts_of(status.history ? with_unit(status.history.octets, "B", w.locale) : "–")} mark={status.history?.trouble ? "bad" : undefined}
        note={status.history?.trouble || (status.history?.oldest ? s.since(date_time(Date.parse(status.history.oldest), zone.value)) : undefined)} />
      <Stat label={s.clients} value={whole(status.clients.streams, w.locale)} note={s.clients_note(status.clients.sessions)} />
      <Stat label={s.uptime} {...parts_of(duration(Math.max(0, now - Date.parse(status.started_at)), w.locale))} note={status.version} />
    </dl>
  );
}

function Nodes({ nodes, status }: { nodes: readonly Node[]; status: Status }) {
  const w = words.value, s = system_words.value;
  const [drained, set_drained] = useState<string | null>(null);
  const [asked, set_asked] = useState<string | null>(null);
  const told = (node: Node) => {
    const { health, heard_ms } = health_of(node, status);
    return {
      health, mark: MARKS[health],
      text: health === "heard" ? s.heard(duration(heard_ms!, w.locale)) : s.node_states[health],
      heard: heard_ms === null ? "–" : duration(heard_ms, w.locale),
    };
  };
  const roles = (node: Node) => (node.roles.length === 0 ? ["edge", "merge", "receiver"] : node.roles).map((role) => s.roles[role] ?? role).join(", ");
  return (
    <Panel title={s.nodes}>
      <Picture nodes={nodes} told={told} roles={roles} />
      <table class="data list-on-narrow">
        <caption class="visually-hidden">{s.nodes}</caption>
        <thead>
          <tr>
            <th scope="col">{w.name}</th><th scope="col">{s.role}</th><th scope="col">PoP</th><th scope="col">{w.state}</th>
            <th scope="col">{s.version}</th><th scope="col" class="number">{s.last_heard}</th>
            {may_administer.value && <th scope="col"><span class="visually-hidden">{s.drain}</span></th>}
          </tr>
        </thead>
        <tbody>
          {[...nodes].sort((a, b) => a.name.localeCompare(b.name)).map((node) => {
            const { health, mark, text, heard } = told(node);
            return (
              <tr key={node.name}>
                <th scope="row">{node.name}{node.name === status.node && <> <small>{s.asked}</small></>}</th>
                <td data-label={s.role}>{roles(node)}</td>
                <td data-label="PoP">{node.site || "–"}</td>
                <td data-label={w.state}><Badge mark={mark}>{text}</Badge>{health === "absent" && <span class="cell-warning">{s.absent_note}</span>}</td>
                <td data-label={s.version}>{node.version ?? "–"}{node.version !== undefined && node.version !== status.version && <span class="cell-warning">{s.other_version(node.version)}</span>}</td>
                <td data-label={s.last_heard} class="number">{heard}</td>
                {may_administer.value && <td class="number row-actions">{node.state !== "drained" && <button type="button" class="button" onClick={() => set_asked(node.name)}>{s.drain}<span class="visually-hidden"> {node.name}</span></button>}</td>}
              </tr>
            );
          })}
        </tbody>
      </table>
      <p role="status" class="muted">{drained !== null && s.drained(drained)}</p>
      {asked !== null && (
        <Question title={s.drain_title(asked)} yes={s.do_it.drain} close={() => set_asked(null)}
          act={async () => {
            await system.drain(asked);
            set_drained(asked);
            ask_again();
          }}><p>{s.drain_text}</p></Question>
      )}
    </Panel>
  );
}

/** The table beside it says the same. */
function Picture({ nodes, told, roles }: { nodes: readonly Node[]; told: (node: Node) => { health: Health; mark: Mark; text: string }; roles: (node: Node) => string }) {
  const s = system_words.value;
  const { element, width } = useWidth(900);
  const graph = graph_of(nodes, width);
  const letters = Math.max(8, Math.floor((graph.box_width - 34) / 7.2));
  const cut = (text: string) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);
  return (
    <figure class="node-graph" ref={element}>
      <svg width={graph.width} height={graph.height} role="img" aria-label={s.nodes_summary(nodes.length)}>
        {graph.links.map(({ node, path }) => <path key={node.name} d={path} class={`node-link node-link-${told(node).mark}${layer_of(node) === "edge" && told(node).health !== "absent" ? " node-flow" : ""}`} />)}
        {graph.bus && (
          <g>
            <rect class="node-bus" x={graph.bus.x} y={graph.bus.y} width={graph.bus.width} height={graph.bus.height} rx={6} />
            <text class="node-note" text-anchor="middle" transform={`translate(${graph.bus.x + graph.bus.width / 2} ${graph.bus.y + graph.bus.height / 2})${graph.bus.width < graph.bus.height ? " rotate(-90)" : ""}`} dy="0.35em">{s.bus}</text>
          </g>
        )}
        {graph.boxes.map(({ node, x, y }) => {
          const { mark, text } = told(node);
          return (
            <g key={node.name} transform={`translate(${x} ${y})`} class={`node-box node-box-${mark}`}>
              <rect width={graph.box_width} height={BOX_HEIGHT} rx={8} />
              <circle cx={16} cy={20} r={5} />
              <text class="node-name" x={30} y={24}>{cut(node.name)}</text>
              <text class="node-note" x={30} y={43}>{cut(`${roles(node)} · ${text}`)}<title>{`${node.name}: ${roles(node)}, ${text}`}</title></text>
            </g>
          );
        })}
      </svg>
    </figure>
  );
}

const COUNTERS = ["datagrams", "octets", "records", "flows", "kernel_drops", "not_allowed", "rejected", "awaiting_template", "missing"] as const;
/** What should be none. */
const LOSSES: readonly string[] = ["kernel_drops", "not_allowed", "rejected", "awaiting_template", "missing"];

function Ingest({ status }: { status: Status }) {
  const w = words.value, s = system_words.value;
  const { ingest, rates, listeners } = status;
  const rate_of = (name: string) => (name in rates ? rates[name as keyof typeof rates] : null);
  return (
    <Panel title={s.ingest} aside={listeners.length > 0 && <span class="muted">{s.all_counted}</span>}>
      {listeners.length === 0 ? <p class="empty">{s.ingest_none}</p> : (
        <>
          <table class="data">
            <thead class="visually-hidden"><tr><th scope="col">{w.name}</th><th scope="col">{w.total}</th><th scope="col">{s.per_second}</th></tr></thead>
            <tbody>
              {COUNTERS.map((name) => (
                <tr key={name}>
                  <th scope="row">{s.ingest_names[name]}</th>
                  <td class={`number${LOSSES.includes(name) && ingest[name] > 0 ? " warn" : ""}`}>{name === "octets" ? with_unit(ingest[name], "B", w.locale) : whole(ingest[name], w.locale)}</td>
                  <td class="number muted">{rate_of(name) !== null && `${short(rate_of(name)!, w.locale)} ${s.per_second}`}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <div class="table-scroll" role="region" tabIndex={0} aria-label={s.listener}>
          <table class="data">
            <thead><tr><th scope="col">{s.listener}</th><th scope="col" class="number">{s.buffer}</th><th scope="col" class="number">{s.ingest_names.datagrams}</th><th scope="col" class="number">{s.ingest_names.kernel_drops}</th></tr></thead>
            <tbody>
              {listeners.map((each) => (
                <tr key={each.address}><th scope="row">{each.address}</th><td class="number">{with_unit(each.receive_buffer_octets, "B", w.locale)}</td><td class="number">{whole(each.datagrams, w.locale)}</td><td class={`number${each.kernel_drops > 0 ? " warn" : ""}`}>{whole(each.kernel_drops, w.locale)}</td></tr>
              ))}
            </tbody>
          </table>
          </div>
        </>
      )}
    </Panel>
  );
}

function Storage({ status }: { status: Status }) {
  const w = words.value, s = system_words.value;
  const text = usePoll(system.metrics, 10_000).value.value;
  const samples = text === null ? null : samples_of(text, HISTORY);
  const of = (family: (typeof HISTORY)[number], tier: string) => samples?.[family].find(({ labels }) => labels["tier"] === tier)?.value;
  const tiers = samples?.backstream_history_bytes.map(({ labels }) => labels["tier"]!) ?? [];
  const [problem, set_problem] = useState<Refusal | null>(null);
  const export_catalog = async () => {
    set_problem(null);
    try {
      save(file_name("catalog", Date.now(), "json"), "application/json", await system.export_catalog());
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      set_problem(error);
    }
  };
  const { checkpoint } = status;
  return (
    <Panel title={s.storage}>
      {status.history === null ? <p class="empty">{s.history_off}</p> : (
        <>
          {status.history.trouble && <p class="trouble"><strong>{s.history_trouble}</strong>: {status.history.trouble}</p>}
          {tiers.length > 0 && (
            <table class="data list-on-narrow">
              <thead><tr><th scope="col">{s.tier}</th><th scope="col" class="number">{s.size}</th><th scope="col" class="number">{s.files}</th><th scope="col" class="number">{s.kept_rows}</th><th scope="col" class="number">{s.oldest}</th></tr></thead>
              <tbody>
                {tiers.map((tier) => {
                  const oldest = of("backstream_history_oldest_timestamp_seconds", tier);
                  return (
                    <tr key={tier}>
                      <th scope="row">{s.tiers[tier] ?? tier}</th>
                      <td class="number" data-label={s.size}>{with_unit(of("backstream_history_bytes", tier) ?? 0, "B", w.locale)}</td>
                      <td class="number" data-label={s.files}>{whole(of("backstream_history_files", tier) ?? 0, w.locale)}</td>
                      <td class="number" data-label={s.kept_rows}>{short(of("backstream_history_rows", tier) ?? 0, w.locale)}</td>
                      <td class="number" data-label={s.oldest}>{oldest ? date_time(oldest * 1000, zone.value) : "–"}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          )}
        </>
      )}
      <dl class="facts">
        <div><dt>{s.checkpoint}</dt><dd>{checkpoint.at === null ? s.checkpoint_none : s.checkpoint_age(duration(Date.parse(status.now) - Date.parse(checkpoint.at), w.locale), with_unit(checkpoint.octets, "B", w.locale))}</dd></div>
        <div><dt>{s.catalog}</dt><dd>{s.revision(status.catalog.revision)}</dd></div>
        <div>
          <dt>{s.outages}</dt>
          <dd>
            {status.outages.length === 0 ? s.outages_none : (
              <ul>{status.outages.map((outage) => (
                <li key={outage.from}>
                  {date_time(Date.parse(outage.from), zone.value)}, {duration(Date.parse(outage.until) - Date.parse(outage.from), w.locale)}: {outage.clean ? s.outage_clean : <span class="warn">{s.outage_killed}</span>}
                </li>
              ))}</ul>
            )}
          </dd>
        </div>
      </dl>
      {problem && <Trouble problem={problem} />}
      {may_administer.value && (
        <div class="toolbar">
          <button type="button" class="button" onClick={() => void export_catalog()} aria-describedby="export-note">{s.catalog_export}</button>
          <p id="export-note" class="muted">{s.catalog_export_note}</p>
        </div>
      )}
    </Panel>
  );
}
