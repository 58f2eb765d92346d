// Where bands and ribbons of a flow are, by d3's layouts. Pure.
import { chord } from "d3-chord";
import { sankey } from "d3-sankey";

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

/** Two sides, both from the largest down, `last` at the end; heights are amounts. */
export function lay_sankey<L extends Link>(links: readonly L[], height: number, gap: number, last: string): Sankey<L> {
  interface Place { id: string; name: string }
  interface Flow { link: L }
  const sides = (["from", "to"] as const).map((side) => [...new Set(links.map((link) => link[side]))]);
  // A name may stand on both sides, where it is two nodes.
  const nodes = sides.flatMap((names, side): Place[] => names.map((name) => ({ id: `${side} ${name}`, name })));
  if (nodes.length === 0) return { left: [], right: [], bands: [], height };
  const laid = sankey<Place, Flow>()
    .nodeId((node) => node.id)
    .nodeSort((a, b) => Number(a.name === last) - Number(b.name === last) || b.value! - a.value!)
    .nodePadding(gap)
    .iterations(0)
    .extent([[0, 0], [1, height]])({
      nodes,
      links: links.map((link) => ({ source: `0 ${link.from}`, target: `1 ${link.to}`, value: link.value, link })),
    });
  const side = (depth: number) =>
    laid.nodes.filter((node) => node.depth === depth).sort((a, b) => a.y0! - b.y0!)
      .map((node): Node => ({ name: node.name, value: node.value!, y: node.y0!, height: node.y1! - node.y0! }));
  const bands = laid.links.map(({ link, y0, y1, width }) => ({ link, from_y: y0! - width! / 2, to_y: y1! - width! / 2, height: width! }));
  return { left: side(0), right: side(1), bands, height };
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
  const laid = chord().padAngle(gap)(cells.map((row) => [...row]));
  const arc = ({ startAngle, endAngle }: { startAngle: number; endAngle: number }): Arc => ({ start: startAngle, end: endAngle });
  const ribbons = laid.map(({ source, target }): Ribbon => ({
    from: source.index, to: target.index, source: arc(source), target: arc(target),
    value: cells[source.index]![target.index]!, back: cells[target.index]![source.index]!,
  }));
  return { arcs: laid.groups.map(arc), ribbons };
}
