// Where bands and ribbons of a flow are. Pure.

export interface Link {
  from: string;
  to: string;
  value: number;
}

export interface Node {
  name: string;
  value: number;
  y: number;
  height: number;
}

export interface Band<L extends Link> {
  link: L;
  /** Of its upper edges on both sides. */
  from_y: number;
  to_y: number;
  height: number;
}

export interface Sankey<L extends Link> {
  left: Node[];
  right: Node[];
  bands: Band<L>[];
  height: number;
}

/** Two sides, both from the largest down, `last` at the end; heights are amounts. Bands leave in the order in which they come in. */
export function lay_sankey<L extends Link>(links: readonly L[], height: number, gap: number, last: string): Sankey<L> {
  const sums = (side: "from" | "to") => {
    const found = new Map<string, number>();
    for (const link of links) found.set(link[side], (found.get(link[side]) ?? 0) + link.value);
    return [...found].sort((a, b) => Number(a[0] === last) - Number(b[0] === last) || b[1] - a[1]);
  };
  const from = sums("from"), to = sums("to");
  const total = from.reduce((sum, [, value]) => sum + value, 0);
  const rows = Math.max(from.length, to.length);
  // Many nodes: the gaps take no more than half.
  const between = rows > 1 ? Math.min(gap, (height / 2) / (rows - 1)) : 0;
  const scale = total > 0 ? (height - between * (rows - 1)) / total : 0;
  const stack = (side: [string, number][]): Node[] => {
    let y = 0;
    return side.map(([name, value]) => {
      const node = { name, value, y, height: value * scale };
      y += node.height + between;
      return node;
    });
  };
  const left = stack(from), right = stack(to);
  const place = (nodes: readonly Node[]) => new Map(nodes.map((node, i) => [node.name, i]));
  const left_at = place(left), right_at = place(right);
  const left_used = left.map(() => 0), right_used = right.map(() => 0);
  const bands = links.map((link) => ({ link, from_y: 0, to_y: 0, height: link.value * scale }));
  for (const band of [...bands].sort((a, b) => right_at.get(a.link.to)! - right_at.get(b.link.to)!)) {
    const at = left_at.get(band.link.from)!;
    band.from_y = left[at]!.y + left_used[at]!;
    left_used[at]! += band.height;
  }
  for (const band of [...bands].sort((a, b) => left_at.get(a.link.from)! - left_at.get(b.link.from)!)) {
    const at = right_at.get(band.link.to)!;
    band.to_y = right[at]!.y + right_used[at]!;
    right_used[at]! += band.height;
  }
  return { left, right, bands, height };
}

export interface Arc {
  /** Radians, from the top, clockwise. */
  start: number;
  end: number;
}

export interface Ribbon {
  from: number;
  to: number;
  value: number;
  /** What goes back. */
  back: number;
  source: Arc;
  target: Arc;
}

/** Nodes around a circle, as wide as what they send; a ribbon is as wide at each end as what leaves there. */
export function lay_chord(cells: readonly (readonly number[])[], gap: number): { arcs: Arc[]; ribbons: Ribbon[] } {
  const sent = cells.map((row) => row.reduce((sum, value) => sum + value, 0));
  const total = sent.reduce((sum, value) => sum + value, 0);
  const scale = total > 0 ? (2 * Math.PI - gap * cells.length) / total : 0;
  let angle = 0;
  const parts: Arc[][] = [];
  const arcs = cells.map((row, i) => {
    const start = angle;
    parts[i] = row.map((value) => {
      const part = { start: angle, end: angle + value * scale };
      angle = part.end;
      return part;
    });
    const arc = { start, end: angle };
    angle += gap;
    return arc;
  });
  const ribbons: Ribbon[] = [];
  for (let i = 0; i < cells.length; ++i) {
    for (let j = i; j < cells.length; ++j) {
      const value = cells[i]![j]!, back = cells[j]![i]!;
      if (value > 0 || back > 0) ribbons.push({ from: i, to: j, value, back, source: parts[i]![j]!, target: parts[j]![i]! });
    }
  }
  return { arcs, ribbons };
}
