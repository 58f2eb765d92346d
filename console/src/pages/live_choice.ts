// What Live shows of whatever happens to be registered. Pure.
import type { Query } from "../api/types";
import { quantity_of } from "../words/format";
import { adds_up, main_measure, shape_of, type Shape } from "../charts/shape";

export interface Tile {
  query: Query;
  shape: Shape;
  measure: string;
}

/** Tiles at most, each a session on the server; with the matrix over two rows they fill a grid of two or three columns. */
const TILES_MAX = 5;
const EXPORTERS = /^exporter(_|$)/;

function tile_of(query: Query): Tile | null {
  if (query.plain || query.state !== "running" || !query.columns.some((column) => column.name === "window_start")) return null;
  const shape = shape_of(query.columns);
  const measure = main_measure(shape);
  return measure === null ? null : { query, shape, measure };
}

function dimension_names(tile: Tile): string {
  return tile.shape.dimensions.map((column) => column.name).sort().join(",");
}

/** Traffic over time: by PoP rather than by exporter, rather than by another thing of few values. Null: none fits. */
export function traffic_of(queries: readonly Query[]): Tile | null {
  const rank = (tile: Tile): number => {
    const names = dimension_names(tile);
    const by = ["site", "", "exporter", "protocol", "ip_version", "ip_version,protocol"].indexOf(names);
    return by < 0 || !adds_up(tile.measure) ? Infinity : by;
  };
  const found = queries.map(tile_of).filter((tile): tile is Tile => tile !== null && rank(tile) < Infinity);
  return found.sort((a, b) => rank(a) - rank(b))[0] ?? null;
}

/** Who and what is largest: one tile for each set of dimensions, those that have given most windows first. */
export function tiles_of(queries: readonly Query[], traffic: Tile | null): Tile[] {
  const best = new Map<string, Tile>();
  for (const tile of queries.map(tile_of)) {
    if (!tile || tile.query.name === traffic?.query.name || EXPORTERS.test(tile.query.name)) continue;
    // What looks for the unusual and has found nothing is no tile: alerts tell of it.
    if (tile.shape.dimensions.length === 0 || quantity_of(tile.measure).kind !== "octets" || finds_nothing(tile.query)) continue;
    const names = dimension_names(tile);
    const known = best.get(names);
    if (!known || closed(tile) > closed(known)) best.set(names, tile);
  }
  const weight = (tile: Tile) => (tile.shape.matrix ? 0 : tile.shape.dimensions.length);
  return [...best.values()].sort((a, b) => weight(a) - weight(b) || closed(b) - closed(a)).slice(0, TILES_MAX);
}

/** Windows have closed, and none had a row. */
export function finds_nothing({ ledger }: Query): boolean {
  return ledger !== null && ledger.windows_closed > 0 && ledger.result_rows === 0;
}

function closed(tile: Tile): number {
  return tile.query.ledger?.windows_closed ?? 0;
}
