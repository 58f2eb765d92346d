// From EXPLAIN (DISTRIBUTED, FORMAT json) to a picture: what runs where, and what goes from one to the next. Pure.

export interface Operator {
  operator: string;
  facts: { name: string; text: string }[];
  operators?: Operator[];
}

export interface Plan {
  plan: string;
  operators: Operator[];
}

/** In the order in which rows pass them. */
export const LANES = ["edge", "bus", "merge", "out"] as const;
export type Lane = (typeof LANES)[number];

export interface PlanNode {
  id: number;
  lane: Lane;
  /** "source": where rows come from; "bus": what EXPLAIN says of the way; "out": whom results reach. */
  kind: "source" | "operator" | "bus" | "out";
  label: string;
  /** The fact that tells most of it, below its label. */
  note: string;
  facts: Operator["facts"];
}

export interface PlanEdge {
  from: number;
  to: number;
  /** "in": rows of a stream enter; "out": rows of the result; else what lies between, of which nothing is counted. */
  carries: "in" | "between" | "out";
}

export interface Graph {
  nodes: PlanNode[];
  edges: PlanEdge[];
  /** Of the whole query: placement, limits of memory. */
  remarks: Operator[];
}

export interface Out {
  label: string;
  note: string;
}

const fact = (operator: Operator, name: string) => operator.facts.find((each) => each.name === name)?.text ?? "";

/** Which of an operator's facts says what it does. */
function note_of(operator: Operator): string {
  const aggregates = operator.facts.filter(({ name }) => name === "aggregate").map(({ text }) => text.split(/\s{2,}/)[0]);
  if (aggregates.length > 0) return `${aggregates.join(", ")} · ${fact(operator, "group by")}`;
  for (const name of ["keys", "analytic", "combine", "filter", "columns", "output"]) if (fact(operator, name) !== "") return fact(operator, name);
  return "";
}

function lane_of(operator: Operator): Lane {
  const runs = fact(operator, "runs");
  if (runs !== "") return runs.startsWith("edge") ? "edge" : "merge";
  return operator.operator.startsWith("source stream") ? "edge" : "merge";
}

/** @param outs  whom the result reaches: what is kept, sinks, queries that read it */
export function graph_of(plan: Plan, outs: readonly Out[]): Graph {
  const graph: Graph = { nodes: [], edges: [], remarks: [] };
  const add = (node: Omit<PlanNode, "id">): PlanNode => {
    const added = { id: graph.nodes.length, ...node };
    graph.nodes.push(added);
    return added;
  };
  const chain = (operators: readonly Operator[]): PlanNode[] => {
    let before: PlanNode[] = [];
    let fed = false;
    for (const each of operators) {
      if (/^(placement |state at most)/.test(each.operator)) {
        graph.remarks.push(each);
        continue;
      }
      if (each.operators) {
        const ends = chain(each.operators);
        before = fed ? [...before, ...ends] : ends;
        fed = true;
        continue;
      }
      const source = each.operator.startsWith("source ");
      const lane = lane_of(each);
      const node = { lane, kind: source ? "source" as const : "operator" as const, label: each.operator.replace(/ \((rows|final rows|where flows arrive|row by row).*\)$/, ""), note: note_of(each), facts: each.facts };
      // What leaves the edge travels, whether groups or rows.
      const ends = before.map((end) => {
        if (end.lane !== "edge" || lane !== "merge") return end;
        const way = add({ lane: "bus", kind: "bus", label: "", note: end.kind === "source" ? "" : end.facts.find(({ name }) => name === "travels")?.text ?? "", facts: end.facts.filter(({ name }) => /^(ships|travels|estimate)$/.test(name)) });
        graph.edges.push({ from: end.id, to: way.id, carries: end.kind === "source" ? "in" : "between" });
        return way;
      });
      const added = add(node);
      for (const end of ends) graph.edges.push({ from: end.id, to: added.id, carries: end.kind === "source" && end.lane === "edge" ? "in" : "between" });
      before = [added];
      fed = true;
    }
    return before;
  };
  let ends = chain(plan.operators);
  // Rows that are only passed on are written by edges; who reads them is elsewhere.
  ends = ends.map((end) => {
    if (end.lane !== "edge") return end;
    const way = add({ lane: "bus", kind: "bus", label: "", note: fact({ operator: "", facts: end.facts }, "travels"), facts: end.facts.filter(({ name }) => /^(ships|travels|estimate)$/.test(name)) });
    graph.edges.push({ from: end.id, to: way.id, carries: "between" });
    return way;
  });
  for (const out of outs) {
    const node = add({ lane: "out", kind: "out", label: out.label, note: out.note, facts: [] });
    for (const end of ends) graph.edges.push({ from: end.id, to: node.id, carries: "out" });
  }
  return graph;
}

export interface Laid {
  /** Of each node, by its id. */
  places: { x: number; y: number }[];
  lanes: { lane: Lane; y: number; height: number }[];
  width: number;
  height: number;
}

export const NODE = { width: 268, height: 56, apart_x: 22, apart_y: 34, lane_top: 26, lane_bottom: 14 };

/** Layers from above to below, lane by lane: a node is below all that it reads; joins stand in the middle of theirs. */
export function lay_out(graph: Graph): Laid {
  const { nodes, edges } = graph;
  const reads = nodes.map((node) => edges.filter((edge) => edge.to === node.id).map((edge) => edge.from));
  const layer: number[] = nodes.map(() => 0);
  const lanes: Laid["lanes"] = [];
  let first = 0, top = 0;
  const layer_tops: number[] = [];
  for (const lane of LANES) {
    const members = nodes.filter((node) => node.lane === lane);
    if (members.length === 0) continue;
    // By id: whatever a node reads was made before it.
    for (const node of members) layer[node.id] = Math.max(first, ...reads[node.id]!.map((from) => (nodes[from]!.lane === lane ? layer[from]! + 1 : first)));
    const last = Math.max(...members.map((node) => layer[node.id]!));
    const count = last - first + 1;
    const height = NODE.lane_top + NODE.lane_bottom + count * NODE.height + (count - 1) * NODE.apart_y;
    for (let i = 0; i < count; ++i) layer_tops[first + i] = top + NODE.lane_top + i * (NODE.height + NODE.apart_y);
    lanes.push({ lane, y: top, height });
    top += height + 10;
    first = last + 1;
  }
  const step = NODE.width + NODE.apart_x;
  const centre: number[] = [];
  let leaves = 0;
  for (const node of nodes) {
    const above = reads[node.id]!;
    if (node.kind === "out") continue;
    centre[node.id] = above.length === 0 ? leaves++ : above.reduce((sum, from) => sum + centre[from]!, 0) / above.length;
  }
  const outs = nodes.filter((node) => node.kind === "out");
  const middle = outs[0] && reads[outs[0].id]!.length > 0 ? centre[reads[outs[0].id]![0]!]! : 0;
  outs.forEach((node, i) => (centre[node.id] = middle + i - (outs.length - 1) / 2));
  const least = Math.min(0, ...centre), most = Math.max(0, ...centre);
  return {
    places: nodes.map((node) => ({ x: (centre[node.id]! - least) * step, y: layer_tops[layer[node.id]!]! })),
    lanes,
    width: (most - least) * step + NODE.width,
    height: top - 10,
  };
}
