// What may stand in a diagram in Borealis XML: docs/borealis.md as tables (test/diagram.test.mjs compares).

export interface ElementWords {
  attributes: readonly string[];
  /** Elements that may stand in it. */
  children: readonly string[];
}

const IN_A_QUERY = ["box", "schema", "input", "output"];

export const ELEMENTS: Record<string, ElementWords> = {
  borealis: { attributes: [], children: [...IN_A_QUERY, "query"] },
  query: { attributes: ["name"], children: IN_A_QUERY },
  schema: { attributes: ["name"], children: ["field"] },
  field: { attributes: ["name", "type", "size"], children: [] },
  input: { attributes: ["stream", "schema"], children: [] },
  output: { attributes: ["stream", "schema"], children: [] },
  box: { attributes: ["name", "type", "node"], children: ["in", "out", "parameter"] },
  in: { attributes: ["stream"], children: [] },
  out: { attributes: ["stream"], children: [] },
  parameter: { attributes: ["name", "value"], children: [] },
};

export const TYPES = ["byte", "short", "int", "long", "single", "double", "string", "timestamp"];

/** Parameters by type of box. Of those with a number, ".0", ".1" … follow each other. */
export const BOXES: Record<string, readonly string[]> = {
  filter: ["expression.0", "pass-on-false-port"],
  map: ["expression.i", "output-field-name.i"],
  union: [],
  aggregate: ["aggregate-function.i", "aggregate-function-output-name.i", "window-size-by", "window-size", "advance", "order-by", "order-on-field", "group-by", "timeout", "slack", "drop-empty-outputs", "independent-window-alignment"],
  bsort: ["order-on", "slack", "group-by"],
  join: ["predicate", "left-order-by", "left-buffer-size", "left-order-on-field", "right-order-by", "right-buffer-size", "right-order-on-field", "timeout", "out-field.i", "out-field-name.i"],
  joinstatic: ["predicate", "out-field.i", "out-field-name.i"],
  waitfor: ["predicate", "timeout"],
  random_drop: ["drop_rate", "max_batch_size"],
};

/** What a parameter may be, where it is one of a few. */
export const CHOICES: Record<string, readonly string[]> = {
  "window-size-by": ["VALUES", "TUPLES"],
  "order-by": ["FIELD", "TUPLENUM"],
  "left-order-by": ["VALUES", "TUPLES"],
  "right-order-by": ["VALUES", "TUPLES"],
  "pass-on-false-port": ["0", "1"],
  "drop-empty-outputs": ["0", "1"],
  "independent-window-alignment": ["0", "1"],
};

export const AGGREGATES = "count sum avg min max firstval lastval count_distinct".split(" ");
export const DIAGRAM_FUNCTIONS = ("min max abs int long short byte strlen pad now sequence sin cos tan asin acos atan atan2 sinh cosh tanh ln log sqrt exp floor ceil pow").split(" ");
export const OPERATORS = ["and", "or", "not", "if", "then", "else"];
