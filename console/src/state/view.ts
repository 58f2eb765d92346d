// What an address says: a page, and how it looks at things. A link shows the same to whoever opens it, also with a
// later console: the version is in it, and what cannot be understood is told rather than guessed.

/** Grows when a parameter changes its meaning; `migrate` then has a step for the version before. */
export const VIEW_VERSION = 1;

/** Pages whose address is their name, in the order of the head. */
export const PLAIN_PAGES = ["live", "explore", "queries", "matrix", "exporters", "alerts", "system"] as const;
export type Page = (typeof PLAIN_PAGES)[number] | "query" | "new" | "alert" | "unknown";
/** How traffic is shown. */
export const UNITS = ["bits", "bytes", "packets"] as const;
export type Units = (typeof UNITS)[number];
export type Zone = "utc" | "local";
export const RANGES = ["5m", "15m", "1h", "6h", "24h", "7d"] as const;
export type RangeName = (typeof RANGES)[number];
export const CHARTS = ["area", "lines", "matrix", "flow", "table"] as const;
export type ChartName = (typeof CHARTS)[number];
/** Rows and columns of a matrix. */
export const SIZES = [16, 32, 64] as const;
export type MatrixSize = (typeof SIZES)[number];
export const ORDERS = ["total", "similar"] as const;
export type Order = (typeof ORDERS)[number];
/** How long before what is shown: a day is 24 h. */
export const EARLIER = ["1h", "24h", "7d"] as const;
export type Earlier = (typeof EARLIER)[number];

export interface View {
  page: Page;
  /** Of the page "query"; of "explore" and "matrix": what they are looking at. */
  query: string | null;
  /** Of the page "alert". */
  alert: string | null;
  /** A part of the page: "versions" of a query. What the page does not know is its first. */
  tab: string | null;
  /** What is picked of a list: an exporter's address. */
  pick: string | null;
  /** Columns that are grouped by. */
  by: readonly string[];
  /** Conditions, as charts/conditions.ts reads them. */
  filters: readonly string[];
  /** Compared with. */
  earlier: Earlier | null;
  /** Until now; of no weight when from and until are there. */
  range: RangeName | null;
  /** ms since the epoch, both or none: history. */
  from: number | null;
  until: number | null;
  units: Units | null;
  zone: Zone | null;
  chart: ChartName | null;
  /** A column. */
  measure: string | null;
  /** Of the page "matrix": how large it is, and in which order. */
  size: MatrixSize | null;
  order: Order | null;
  /** Text that a list is searched for. */
  search: string | null;
}

export interface Read {
  view: View;
  /** Of the parameters, those that were not understood. */
  unknown: string[];
  /** The link is of a later console. */
  later: boolean;
}

const EMPTY: Omit<View, "page" | "query"> = {
  alert: null, tab: null, pick: null, by: [], filters: [], earlier: null, range: null, from: null, until: null, units: null, zone: null, chart: null, measure: null, size: null, order: null, search: null,
};

export function view_of(page: Page, query: string | null = null): View {
  return { page, query, ...EMPTY };
}

function one_of<T extends string>(names: readonly T[], text: string): T | null {
  return (names as readonly string[]).includes(text) ? (text as T) : null;
}

function time_of(text: string): number | null {
  const at = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(at) ? null : at;
}

function decode(segment: string): string | null {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}

export function read_view(path: string, search: string): Read {
  const [first = "", second, third] = path.split("/").slice(1);
  let view = view_of("unknown");
  const plain = one_of(PLAIN_PAGES, first === "" ? "live" : first);
  if (plain !== null && second === undefined) view = view_of(plain);
  else if (first === "new" && second === undefined) view = view_of("new");
  else if ((first === "q" || first === "alerts") && second !== undefined && second !== "" && third === undefined) {
    const name = decode(second);
    if (name !== null) view = first === "q" ? view_of("query", name) : { ...view_of("alert"), alert: name };
  }
  const unknown: string[] = [];
  const parameters = new URLSearchParams(search);
  const version = Number(parameters.get("v") ?? VIEW_VERSION);
  for (const [key, text] of parameters) {
    const set = <K extends keyof View>(name: K, value: View[K]) => {
      if (value === null) unknown.push(key);
      else view[name] = value;
    };
    if (key === "v") {
      if (!Number.isSafeInteger(version) || version < 1) unknown.push(key);
    } else if (key === "r") set("range", one_of(RANGES, text));
    else if (key === "from") set("from", time_of(text));
    else if (key === "until") set("until", time_of(text));
    else if (key === "u") set("units", one_of(UNITS, text));
    else if (key === "tz") set("zone", one_of(["utc", "local"] as const, text));
    else if (key === "chart") set("chart", one_of(CHARTS, text));
    else if (key === "m") set("measure", text);
    else if (key === "n") set("size", SIZES.find((size) => String(size) === text) ?? null);
    else if (key === "o") set("order", one_of(ORDERS, text));
    else if (key === "s") set("search", text);
    else if (key === "q" && (view.page === "explore" || view.page === "matrix")) set("query", text);
    else if (key === "tab") set("tab", text);
    else if (key === "pick") set("pick", text);
    else if (key === "by") set("by", text.split(",").filter((name) => name !== ""));
    else if (key === "f") set("filters", [...view.filters, text]);
    else if (key === "cmp") set("earlier", one_of(EARLIER, text));
    else unknown.push(key);
  }
  if (view.from === null || view.until === null || view.from >= view.until) {
    if (view.from !== null || view.until !== null) unknown.push("from/until");
    view.from = view.until = null;
  }
  return { view, unknown, later: version > VIEW_VERSION };
}

/** The address of a view: read_view() of it is the view again. */
export function address_of(view: View): string {
  const path =
    view.page === "query" ? `/q/${encodeURIComponent(view.query ?? "")}`
    : view.page === "alert" ? `/alerts/${encodeURIComponent(view.alert ?? "")}`
    : view.page === "unknown" ? "/live" : `/${view.page}`;
  const parameters = new URLSearchParams();
  if (view.query !== null && view.page !== "query") parameters.set("q", view.query);
  if (view.tab !== null) parameters.set("tab", view.tab);
  if (view.pick !== null) parameters.set("pick", view.pick);
  if (view.by.length > 0) parameters.set("by", view.by.join(","));
  for (const each of view.filters) parameters.append("f", each);
  if (view.earlier !== null) parameters.set("cmp", view.earlier);
  if (view.from !== null && view.until !== null) {
    parameters.set("from", new Date(view.from).toISOString());
    parameters.set("until", new Date(view.until).toISOString());
  } else if (view.range !== null) parameters.set("r", view.range);
  if (view.units !== null) parameters.set("u", view.units);
  if (view.zone !== null) parameters.set("tz", view.zone);
  if (view.chart !== null) parameters.set("chart", view.chart);
  if (view.measure !== null) parameters.set("m", view.measure);
  if (view.size !== null) parameters.set("n", String(view.size));
  if (view.order !== null) parameters.set("o", view.order);
  if (view.search !== null && view.search !== "") parameters.set("s", view.search);
  const text = parameters.toString();
  return text === "" ? path : `${path}?v=${VIEW_VERSION}&${text}`;
}

export function range_ms(range: RangeName): number {
  const unit = { m: 60_000, h: 3_600_000, d: 86_400_000 }[range.slice(-1) as "m" | "h" | "d"];
  return Number(range.slice(0, -1)) * unit;
}
