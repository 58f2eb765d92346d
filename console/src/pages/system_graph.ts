// Who sends to whom: where nodes stand in the picture, and how each is. Pure.
import type { Node, Status } from "../api/types";

export type Health = "ready" | "starting" | "drained" | "absent" | "silent" | "heard" | "unknown";

export interface NodeHealth {
  health: Health;
  /** Since an edge was heard, by the clock of the node that was asked. */
  heard_ms: number | null;
}

/** How a node is, as far as the node that was asked knows: of edges, whose messages it gets, more than of others. */
export function health_of(node: Node, status: Status): NodeHealth {
  const edge = status.edges.find((each) => each.node === node.name);
  const heard_ms = edge?.heard_at ? Math.max(0, Date.parse(status.now) - Date.parse(edge.heard_at)) : null;
  if (node.state === "drained") return { health: "drained", heard_ms };
  if (edge?.absent) return { health: "absent", heard_ms };
  if (node.state !== "unknown") return { health: node.state, heard_ms };
  if (!edge) return { health: "unknown", heard_ms };
  return { health: heard_ms === null ? "silent" : "heard", heard_ms };
}

/** An edge, what completes windows, what shows results; a node with all roles is all of it. */
export type Layer = "edge" | "merge" | "receiver";

export function layer_of(node: Node): Layer {
  const { roles } = node;
  if (roles.length === 0 || roles.includes("merge")) return "merge";
  return roles.includes("edge") ? "edge" : "receiver";
}

export interface Box {
  node: Node;
  x: number;
  y: number;
}

export interface Graph {
  width: number;
  height: number;
  box_width: number;
  boxes: Box[];
  /** Where all that goes between nodes passes; null: one process does all. */
  bus: { x: number; y: number; width: number; height: number } | null;
  /** As paths; the node at the end that is no bus. */
  links: { node: Node; path: string }[];
}

export const BOX_HEIGHT = 58;
const GAP = 14;
const BUS = 26;
/** What a link needs to be seen. */
const REACH = 54;
/** Below this the picture goes from top to bottom. */
const ACROSS_WIDTH = 640;
const BOX_WIDTH_MAX = 300;

/** Edges, bus, merge workers, receivers: from left to right, or from top to bottom where that has no room. */
export function graph_of(nodes: readonly Node[], width: number): Graph {
  const by_name = [...nodes].sort((a, b) => a.name.localeCompare(b.name));
  const of = (layer: Layer) => by_name.filter((node) => layer_of(node) === layer);
  const edges = of("edge"), rest = (["merge", "receiver"] as const).map(of).filter((layer) => layer.length > 0);
  const has_bus = nodes.length > 1;
  return width >= ACROSS_WIDTH ? across(edges, rest, has_bus, width) : down(edges, rest, has_bus, width);
}

function across(edges: Node[], rest: Node[][], has_bus: boolean, width: number): Graph {
  const layers = [...(edges.length > 0 ? [edges] : []), ...rest];
  const most = Math.max(1, ...layers.map((layer) => layer.length));
  const height = most * BOX_HEIGHT + (most - 1) * GAP;
  const bus_room = has_bus ? BUS + 2 * REACH : 0;
  const box_width = Math.min(BOX_WIDTH_MAX, (width - bus_room - (Math.max(rest.length, 1) - 1) * REACH) / Math.max(layers.length, 1));
  const graph: Graph = { width, height, box_width, boxes: [], bus: null, links: [] };
  const used = layers.length * box_width + bus_room + (Math.max(rest.length, 1) - 1) * REACH;
  let x = (width - used) / 2;
  const put = (layer: Node[]) => {
    const top = (height - layer.length * BOX_HEIGHT - (layer.length - 1) * GAP) / 2;
    layer.forEach((node, i) => graph.boxes.push({ node, x, y: top + i * (BOX_HEIGHT + GAP) }));
    return graph.boxes.slice(-layer.length);
  };
  if (edges.length > 0) {
    const boxes = put(edges);
    x += box_width;
    for (const box of boxes) graph.links.push({ node: box.node, path: `M${x} ${box.y + BOX_HEIGHT / 2}H${x + REACH}` });
  }
  if (has_bus) {
    if (edges.length > 0) x += REACH;
    graph.bus = { x, y: 0, width: BUS, height };
    x += BUS + REACH;
  }
  rest.forEach((layer, i) => {
    const boxes = put(layer);
    // Also receivers read from the bus: their link passes between the merge workers.
    for (const box of boxes) {
      if (!has_bus) continue;
      const from = i === 0 ? x - REACH : graph.bus!.x + BUS;
      const middle = box.y + BOX_HEIGHT / 2;
      graph.links.push({ node: box.node, path: i === 0 ? `M${from} ${middle}H${x}` : `M${from} ${height - 1}H${x - REACH / 2}V${middle}H${x}` });
    }
    x += box_width + REACH;
  });
  return graph;
}

function down(edges: Node[], rest: Node[][], has_bus: boolean, width: number): Graph {
  const graph: Graph = { width, height: 0, box_width: width, boxes: [], bus: null, links: [] };
  let y = 0;
  const put = (layer: Node[]) => {
    for (const node of layer) {
      graph.boxes.push({ node, x: 0, y });
      y += BOX_HEIGHT + GAP;
    }
  };
  put(edges);
  if (has_bus) {
    graph.bus = { x: 0, y, width, height: BUS };
    y += BUS + GAP;
  }
  rest.forEach(put);
  graph.height = Math.max(0, y - GAP);
  return graph;
}
